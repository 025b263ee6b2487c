/* sink: rows being put together, of a whole column or of one page of which
 * only a part is wanted. Values without nulls are decoded to the front of the
 * page's place and then spread, from the back, to the rows that have one. */
#include "parquet/parquet_int.h"

#define SHORT_TEXT 16u

/* ---- nulls ----------------------------------------------------------- */

static inline bool
bit_at(const uint8_t *bits, size_t i)
{
	return bits[i >> 3] >> (i & 7) & 1;
}

/* ${width} is a constant in each caller. */
static inline void
spread_width(uint8_t *v, const uint8_t *bits, size_t at, size_t n,
    size_t present, size_t width)
{
	for (size_t i = n; i-- > 0 && present <= i;) {
		if (!bit_at(bits, at + i)) {
			memset(v + i * width, 0, width);
			continue;
		}
		present--;
		memmove(v + i * width, v + present * width, width);
	}
}

static void
spread(uint8_t *v, const uint8_t *bits, size_t at, size_t n, size_t present,
    size_t width)
{
	switch (width) {
	case 1:
		spread_width(v, bits, at, n, present, 1);
		break;
	case 2:
		spread_width(v, bits, at, n, present, 2);
		break;
	case 4:
		spread_width(v, bits, at, n, present, 4);
		break;
	case 8:
		spread_width(v, bits, at, n, present, 8);
		break;
	default:
		tn_assert(width == 16);
		spread_width(v, bits, at, n, present, 16);
	}
}

/* ---- texts ----------------------------------------------------------- */

bool
tn_parquet_ascii(const uint8_t *p, size_t n)
{
	uint64_t all = 0;

	for (; n >= 8; n -= 8, p += 8)
		all |= pq_load64(p);
	for (; n > 0; n--, p++)
		all |= *p;
	return (all & UINT64_C(0x8080808080808080)) == 0;
}

bool
tn_parquet_texts_valid(const uint8_t *bytes, const uint32_t *offsets,
    uint32_t n)
{
	uint32_t from = offsets[0];
	uint32_t to = offsets[n];

	if (from == to || tn_parquet_ascii(bytes + from, to - from))
		return true;
	if (!tn_utf8_valid(bytes + from, to - from))
		return false;
	/* None may begin inside a character of the one before. */
	for (uint32_t i = 0; i < n; i++)
		if (offsets[i] < to && (bytes[offsets[i]] & 0xc0) == 0x80)
			return false;
	return true;
}

/* Room for ${bytes} more of text; counts them. */
static enum tn_status
text_room(struct pq_call *call, struct pq_sink *sink, size_t bytes)
{
	if (bytes > call->bytes_max - call->bytes)
		return TN_ELIMIT;
	call->bytes += bytes;
	/* It was measured by what headers say of the pages. */
	if (sink->bytes_in_arena && sink->bytes.cap - sink->bytes.n < bytes +
	    SHORT_TEXT)
		return TN_ECORRUPT;
	if (tn_buf_reserve(&sink->bytes, bytes + SHORT_TEXT) == NULL)
		return TN_ENOMEM;
	return TN_OK;
}

/* Sources have TN_PQ_SLACK bytes behind them, and so has the sink. */
static inline void
copy_text(uint8_t *to, struct tn_slice s)
{
	if (s.n <= SHORT_TEXT)
		memcpy(to, s.p, SHORT_TEXT);
	else
		memcpy(to, s.p, s.n);
}

/* Of texts that are copied already. */
static void
add_offsets(struct pq_sink *sink, const struct tn_slice *s, uint32_t n,
    uint32_t present)
{
	uint32_t *offsets = sink->offsets + sink->rows;
	uint32_t at = (uint32_t)sink->bytes.n;
	uint32_t next = 0;

	for (uint32_t i = 0; i < n; i++) {
		offsets[i] = at;
		if (present == n || bit_at(sink->valid, sink->rows + i))
			at += (uint32_t)s[next++].n;
	}
	offsets[n] = at;
	sink->bytes.n = at;
	tn_assert(next == present);
}

static enum tn_status
add_texts(struct pq_call *call, struct pq_sink *sink, const struct tn_slice *s,
    uint32_t n, uint32_t present)
{
	uint32_t *offsets = sink->offsets + sink->rows;
	size_t all = 0;
	uint32_t next = 0;
	bool beside = true;
	uint8_t *base;
	uint32_t at;
	enum tn_status st;

	for (uint32_t i = 0; i < present; i++) {
		beside &= i == 0 || s[i].p == s[i - 1].p + s[i - 1].n;
		all += s[i].n;
	}
	st = text_room(call, sink, all);
	if (st != TN_OK)
		return st;
	base = sink->bytes.p;
	at = (uint32_t)sink->bytes.n;
	/* As DELTA_LENGTH has them: one copy. */
	if (beside && all > 0) {
		memcpy(base + at, s[0].p, all);
		add_offsets(sink, s, n, present);
		return TN_OK;
	}
	for (uint32_t i = 0; i < n; i++) {
		offsets[i] = at;
		if (present < n && !bit_at(sink->valid, sink->rows + i))
			continue;
		copy_text(base + at, s[next]);
		at += (uint32_t)s[next++].n;
	}
	offsets[n] = at;
	sink->bytes.n = at;
	tn_assert(next == present);
	return TN_OK;
}

static enum tn_status
add_text_page(struct pq_call *call, struct pq_sink *sink,
    const struct pq_dict *dict, struct pq_body body, uint32_t n,
    uint32_t present)
{
	struct tn_slice *s = tn_parquet_slot(call, TN_PQ_SLOT_TEXTS,
	    present * sizeof *s);
	bool from_dict = body.encoding == TN_PQ_RLE_DICTIONARY ||
	    body.encoding == TN_PQ_PLAIN_DICTIONARY;
	enum tn_status st;

	if (s == NULL)
		return TN_ENOMEM;
	st = tn_parquet_decode_texts(call, sink->leaf, dict, body, present, s);
	if (st == TN_OK)
		st = add_texts(call, sink, s, n, present);
	/* Dictionaries were checked when they were loaded. */
	if (st == TN_OK && !from_dict && sink->leaf->type.id != TN_T_BYTES &&
	    !tn_parquet_texts_valid(sink->bytes.p,
	    sink->offsets + sink->rows, n))
		st = TN_ECORRUPT;
	return st;
}

/* ---- rows ------------------------------------------------------------ */

enum tn_status
tn_parquet_sink_add(struct pq_call *call, struct pq_sink *sink,
    const struct pq_dict *dict, struct pq_body body, uint32_t n,
    uint32_t present)
{
	uint8_t *to = sink->values;
	enum tn_status st;

	tn_assert(n <= sink->rows_max - sink->rows && present <= n);
	if (sink->width > 0)
		to += sink->rows * sink->width;
	if (sink->codes)
		st = tn_parquet_decode_codes(dict, body.in, present,
		    (uint32_t *)(void *)to);
	else if (sink->width == 0)
		st = add_text_page(call, sink, dict, body, n, present);
	else
		st = tn_parquet_decode_fixed(call, sink->leaf, dict, body,
		    present, to);
	if (st != TN_OK)
		return st;
	if (present < n && sink->width > 0)
		spread(to, sink->valid, sink->rows, n, present, sink->width);
	sink->rows += n;
	sink->nulls += n - present;
	return TN_OK;
}

static enum tn_status
copy_texts(struct pq_call *call, struct pq_sink *to,
    const struct pq_sink *part, uint32_t from, uint32_t n)
{
	uint32_t first = part->offsets[from];
	uint32_t bytes = part->offsets[from + n] - first;
	uint32_t at = (uint32_t)to->bytes.n;
	enum tn_status st = text_room(call, to, bytes);

	if (st != TN_OK)
		return st;
	if (bytes > 0)
		tn_buf_add(&to->bytes, part->bytes.p + first, bytes);
	for (uint32_t i = 0; i <= n; i++)
		to->offsets[to->rows + i] = at + part->offsets[from + i] -
		    first;
	return TN_OK;
}

enum tn_status
tn_parquet_sink_copy(struct pq_call *call, struct pq_sink *to,
    const struct pq_sink *part, uint32_t from, uint32_t n)
{
	enum tn_status st = TN_OK;

	tn_assert(n <= to->rows_max - to->rows && from + n <= part->rows);
	if (to->width == 0)
		st = copy_texts(call, to, part, from, n);
	else
		memcpy(to->values + to->rows * to->width,
		    part->values + from * to->width, n * to->width);
	if (st == TN_OK && to->valid != NULL)
		to->nulls += n - (uint32_t)tn_parquet_bits_copy(to->valid,
		    to->rows, part->valid, from, n);
	to->rows += n;
	return st;
}
