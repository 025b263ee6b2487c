/* decode: the values of a page body, without nulls, into our types. Stored
 * values that are ours already are decoded in place; others go through a
 * slot and are converted. Every length is held against the body; a body may
 * be longer than needed (padding), never shorter. */
#include "parquet/parquet_int.h"

static bool
is_dict(int32_t encoding)
{
	return encoding == TN_PQ_RLE_DICTIONARY ||
	    encoding == TN_PQ_PLAIN_DICTIONARY;
}

enum tn_status
tn_parquet_decode_codes(const struct pq_dict *dict, struct tn_slice in,
    size_t n, uint32_t *out)
{
	uint32_t max;

	if (n == 0)
		return TN_OK;
	if (!dict->present || in.n < 1)
		return TN_ECORRUPT;
	if (!tn_parquet_hybrid_decode((struct tn_slice){ in.p + 1, in.n - 1 },
	    in.p[0], out, n, &max))
		return TN_ECORRUPT;
	return max < dict->count ? TN_OK : TN_ECORRUPT;
}

/* ---- fixed width ----------------------------------------------------- */

static void
pick(const struct pq_dict *dict, const uint32_t *codes, size_t n, size_t width,
    uint8_t *out)
{
	const uint8_t *v = dict->values;

	switch (width) {
	case 2:
		for (size_t i = 0; i < n; i++)
			memcpy(out + 2 * i, v + 2 * (size_t)codes[i], 2);
		break;
	case 4:
		for (size_t i = 0; i < n; i++)
			memcpy(out + 4 * i, v + 4 * (size_t)codes[i], 4);
		break;
	case 8:
		for (size_t i = 0; i < n; i++)
			memcpy(out + 8 * i, v + 8 * (size_t)codes[i], 8);
		break;
	default:
		for (size_t i = 0; i < n; i++)
			memcpy(out + width * i, v + width * codes[i], width);
	}
}

static enum tn_status
from_dict(struct pq_call *call, const struct pq_leaf *leaf,
    const struct pq_dict *dict, struct tn_slice in, size_t n, void *out)
{
	uint32_t *codes = tn_parquet_slot(call, TN_PQ_SLOT_CODES,
	    n * sizeof *codes);
	enum tn_status st;

	if (codes == NULL)
		return TN_ENOMEM;
	st = tn_parquet_decode_codes(dict, in, n, codes);
	if (st == TN_OK)
		pick(dict, codes, n, tn_record_type_width(leaf->type), out);
	return st;
}

static enum tn_status
plain_bools(struct tn_slice in, size_t n, uint8_t *out)
{
	if (in.n < (n + 7) / 8)
		return TN_ECORRUPT;
	for (size_t i = 0; i < n; i++)
		out[i] = in.p[i >> 3] >> (i & 7) & 1;
	return TN_OK;
}

static enum tn_status
rle_bools(struct pq_call *call, struct tn_slice in, size_t n, uint8_t *out)
{
	uint32_t *codes = tn_parquet_slot(call, TN_PQ_SLOT_CODES,
	    n * sizeof *codes);
	uint32_t max;

	if (codes == NULL)
		return TN_ENOMEM;
	if (in.n < 4 || pq_load32(in.p) > in.n - 4)
		return TN_ECORRUPT;
	in = (struct tn_slice){ in.p + 4, pq_load32(in.p) };
	if (!tn_parquet_hybrid_decode(in, 1, codes, n, &max))
		return TN_ECORRUPT;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)codes[i];
	return TN_OK;
}

static enum tn_status
delta_ints(struct pq_call *call, const struct pq_leaf *leaf,
    struct tn_slice in, size_t n, void *out)
{
	struct tn_cursor c = { in.p, in.p + in.n, false };
	int64_t *wide = out;
	int32_t *narrow = out;

	if (leaf->physical == TN_PQ_INT32)
		wide = tn_parquet_slot(call, TN_PQ_SLOT_INTS,
		    n * sizeof *wide);
	else if (leaf->physical != TN_PQ_INT64)
		return TN_EUNSUPPORTED;
	if (wide == NULL)
		return TN_ENOMEM;
	if (!tn_parquet_delta_decode(&c, wide, n))
		return TN_ECORRUPT;
	for (size_t i = 0; leaf->physical == TN_PQ_INT32 && i < n; i++)
		narrow[i] = (int32_t)wide[i];
	return TN_OK;
}

/* BYTE_STREAM_SPLIT: the first bytes of all values, then the second ... */
static enum tn_status
split(struct tn_slice in, size_t n, size_t width, uint8_t *out)
{
	if (in.n < n * width)
		return TN_ECORRUPT;
	for (size_t k = 0; k < width; k++)
		for (size_t i = 0; i < n; i++)
			out[i * width + k] = in.p[k * n + i];
	return TN_OK;
}

/* FIXED by way of texts (DELTA_BYTE_ARRAY). */
static enum tn_status
fixed_texts(struct pq_call *call, const struct pq_leaf *leaf,
    struct pq_body body, size_t n, uint8_t *out)
{
	struct tn_slice *s = tn_parquet_slot(call, TN_PQ_SLOT_TEXTS,
	    n * sizeof *s);
	size_t width = tn_parquet_stored_width(leaf);
	enum tn_status st = s == NULL ? TN_ENOMEM : TN_OK;

	if (st == TN_OK)
		st = tn_parquet_decode_texts(call, leaf, NULL, body, n, s);
	for (size_t i = 0; st == TN_OK && i < n; i++) {
		if (s[i].n != width)
			return TN_ECORRUPT;
		memcpy(out + i * width, s[i].p, width);
	}
	return st;
}

/* Values in their stored width. */
static enum tn_status
stored(struct pq_call *call, const struct pq_leaf *leaf, struct pq_body body,
    size_t n, void *out)
{
	size_t width = tn_parquet_stored_width(leaf);
	bool is_bool = leaf->physical == TN_PQ_BOOLEAN;

	switch (body.encoding) {
	case TN_PQ_PLAIN:
		if (is_bool)
			return plain_bools(body.in, n, out);
		if (body.in.n / width < n)
			return TN_ECORRUPT;
		memcpy(out, body.in.p, n * width);
		return TN_OK;
	case TN_PQ_RLE:
		return is_bool ? rle_bools(call, body.in, n, out) :
		    TN_EUNSUPPORTED;
	case TN_PQ_DELTA:
		return delta_ints(call, leaf, body.in, n, out);
	case TN_PQ_SPLIT:
		return is_bool ? TN_EUNSUPPORTED :
		    split(body.in, n, width, out);
	case TN_PQ_DELTA_BYTES:
		return leaf->physical != TN_PQ_FIXED ? TN_EUNSUPPORTED :
		    fixed_texts(call, leaf, body, n, out);
	default:
		return TN_EUNSUPPORTED;
	}
}

/* Numerics that carry their length each. */
static enum tn_status
decimal_texts(struct pq_call *call, const struct pq_leaf *leaf,
    struct pq_body body, size_t n, __int128 *out)
{
	struct tn_slice *s = tn_parquet_slot(call, TN_PQ_SLOT_TEXTS,
	    n * sizeof *s);
	enum tn_status st = s == NULL ? TN_ENOMEM : TN_OK;

	if (st == TN_OK)
		st = tn_parquet_decode_texts(call, leaf, NULL, body, n, s);
	for (size_t i = 0; st == TN_OK && i < n; i++)
		if (s[i].n == 0 ||
		    !tn_parquet_big_endian(s[i].p, s[i].n, &out[i]))
			st = TN_ECORRUPT;
	return st;
}

enum tn_status
tn_parquet_decode_fixed(struct pq_call *call, const struct pq_leaf *leaf,
    const struct pq_dict *dict, struct pq_body body, size_t n, void *out)
{
	enum tn_status st;
	void *raw;

	if (n == 0)
		return TN_OK;
	if (is_dict(body.encoding))
		return from_dict(call, leaf, dict, body.in, n, out);
	if (leaf->convert == TN_PQ_DEC_BYTES)
		return decimal_texts(call, leaf, body, n, out);
	if (leaf->convert == TN_PQ_SAME)
		return stored(call, leaf, body, n, out);
	raw = tn_parquet_slot(call, TN_PQ_SLOT_STORED,
	    n * tn_parquet_stored_width(leaf));
	if (raw == NULL)
		return TN_ENOMEM;
	st = stored(call, leaf, body, n, raw);
	if (st == TN_OK && !tn_parquet_convert(leaf, raw, n, out))
		st = TN_ECORRUPT;
	return st;
}

/* ---- texts ----------------------------------------------------------- */

static enum tn_status
plain_texts(struct tn_slice in, size_t n, struct tn_slice *out)
{
	const uint8_t *p = in.p;
	const uint8_t *end = in.p + in.n;

	for (size_t i = 0; i < n; i++) {
		uint32_t bytes;

		if (end - p < 4)
			return TN_ECORRUPT;
		bytes = pq_load32(p);
		p += 4;
		if (bytes > (size_t)(end - p))
			return TN_ECORRUPT;
		out[i] = (struct tn_slice){ p, bytes };
		p += bytes;
	}
	return TN_OK;
}

static enum tn_status
fixed_blobs(struct tn_slice in, size_t n, size_t width, struct tn_slice *out)
{
	if (in.n / width < n)
		return TN_ECORRUPT;
	for (size_t i = 0; i < n; i++)
		out[i] = (struct tn_slice){ in.p + i * width, width };
	return TN_OK;
}

static enum tn_status
dict_texts(struct pq_call *call, const struct pq_dict *dict,
    struct tn_slice in, size_t n, struct tn_slice *out)
{
	uint32_t *codes = tn_parquet_slot(call, TN_PQ_SLOT_CODES,
	    n * sizeof *codes);
	enum tn_status st;

	if (codes == NULL)
		return TN_ENOMEM;
	st = tn_parquet_decode_codes(dict, in, n, codes);
	for (size_t i = 0; st == TN_OK && i < n; i++)
		out[i] = dict->texts[codes[i]];
	return st;
}

/* Lengths, then all bytes. */
static enum tn_status
delta_length_texts(struct pq_call *call, struct tn_cursor *c, size_t n,
    struct tn_slice *out)
{
	int64_t *lengths = tn_parquet_slot(call, TN_PQ_SLOT_INTS,
	    n * sizeof *lengths);

	if (lengths == NULL)
		return TN_ENOMEM;
	if (!tn_parquet_delta_decode(c, lengths, n))
		return TN_ECORRUPT;
	for (size_t i = 0; i < n; i++) {
		/* Foreign lengths wrap at 32 bits. */
		uint32_t bytes = (uint32_t)lengths[i];

		if (bytes > (size_t)(c->end - c->p))
			return TN_ECORRUPT;
		out[i] = (struct tn_slice){ c->p, bytes };
		c->p += bytes;
	}
	return TN_OK;
}

/* Put prefix of the one before and suffix together, all into call->joined. */
static enum tn_status
join(struct pq_call *call, const int64_t *prefixes, size_t n,
    struct tn_slice *out)
{
	size_t all = 0;
	uint8_t *p;

	for (size_t i = 0; i < n; i++) {
		size_t before = i == 0 ? 0 :
		    (size_t)(uint32_t)prefixes[i - 1] + out[i - 1].n;

		if ((uint32_t)prefixes[i] > before)
			return TN_ECORRUPT;
		all += (uint32_t)prefixes[i] + out[i].n;
		if (all > TN_PQ_PAGE_BYTES_MAX)
			return TN_ELIMIT;
	}
	tn_buf_clear(&call->joined);
	p = tn_buf_reserve(&call->joined, all + TN_PQ_SLACK);
	if (p == NULL)
		return TN_ENOMEM;
	memset(p + all, 0, TN_PQ_SLACK);
	for (size_t i = 0; i < n; i++) {
		size_t prefix = (uint32_t)prefixes[i];

		if (prefix > 0)
			memcpy(p, out[i - 1].p, prefix);
		if (out[i].n > 0)
			memcpy(p + prefix, out[i].p, out[i].n);
		out[i] = (struct tn_slice){ p, prefix + out[i].n };
		p += out[i].n;
	}
	return TN_OK;
}

static enum tn_status
delta_texts(struct pq_call *call, struct tn_slice in, size_t n,
    struct tn_slice *out)
{
	struct tn_cursor c = { in.p, in.p + in.n, false };
	int64_t *prefixes = tn_parquet_slot(call, TN_PQ_SLOT_INTS2,
	    n * sizeof *prefixes);
	enum tn_status st;

	if (prefixes == NULL)
		return TN_ENOMEM;
	if (!tn_parquet_delta_decode(&c, prefixes, n))
		return TN_ECORRUPT;
	st = delta_length_texts(call, &c, n, out);
	return st != TN_OK ? st : join(call, prefixes, n, out);
}

enum tn_status
tn_parquet_decode_texts(struct pq_call *call, const struct pq_leaf *leaf,
    const struct pq_dict *dict, struct pq_body body, size_t n,
    struct tn_slice *out)
{
	struct tn_cursor c = { body.in.p, body.in.p + body.in.n, false };

	if (n == 0)
		return TN_OK;
	if (is_dict(body.encoding))
		return dict_texts(call, dict, body.in, n, out);
	if (body.encoding == TN_PQ_DELTA_BYTES)
		return delta_texts(call, body.in, n, out);
	if (body.encoding == TN_PQ_PLAIN && leaf->physical == TN_PQ_FIXED)
		return fixed_blobs(body.in, n, leaf->fixed_bytes, out);
	if (leaf->physical != TN_PQ_BYTE_ARRAY)
		return TN_EUNSUPPORTED;
	if (body.encoding == TN_PQ_PLAIN)
		return plain_texts(body.in, n, out);
	if (body.encoding == TN_PQ_DELTA_LENGTH)
		return delta_length_texts(call, &c, n, out);
	return TN_EUNSUPPORTED;
}
