/* stats: least and greatest values of pages and chunks for the writer.
 *
 * Floats: NaN is counted and never in a bound; a zero bound is written as
 * -0.0 (least) or +0.0 (greatest), because the format leaves their order
 * open. Texts longer than TN_PQ_STAT_BYTES are cut: the least one just so
 * (at a character), the greatest one with its last character raised, so that
 * it still bounds. When no character can be raised there is no bound. */
#include "parquet/parquet_int.h"

#include <math.h>

static void
add_int(struct pq_minmax *m, __int128 least, __int128 most)
{
	if (!m->has || least < m->min.i)
		m->min.i = least;
	if (!m->has || most > m->max.i)
		m->max.i = most;
	m->has = true;
}

static void
add_float(struct pq_minmax *m, double v)
{
	if (isnan(v)) {
		m->nans++;
		return;
	}
	if (!m->has || v < m->min.f)
		m->min.f = v;
	if (!m->has || v > m->max.f)
		m->max.f = v;
	m->has = true;
}

static void
add_bytes(struct pq_minmax *m, struct tn_slice s)
{
	struct pq_value v = { 0, 0, s };

	if (!m->has || tn_parquet_value_compare(TN_PQ_BY_BYTES, &v,
	    &m->min) < 0)
		m->min.s = s;
	if (!m->has || tn_parquet_value_compare(TN_PQ_BY_BYTES, &v,
	    &m->max) > 0)
		m->max.s = s;
	m->has = true;
}

/* The first eight bytes as a number in the order of the text. */
static uint64_t
prefix(struct tn_slice s)
{
	uint64_t v = 0;

	if (s.n == 0)
		return 0;
	memcpy(&v, s.p, s.n < 8 ? s.n : 8);
	return __builtin_bswap64(v);
}

/* Most texts are told from the bounds by their first eight bytes. */
static void
minmax_texts(const struct pq_column *c, uint32_t from, uint32_t to,
    struct pq_minmax *m)
{
	uint64_t least = m->has ? prefix(m->min.s) : UINT64_MAX;
	uint64_t most = m->has ? prefix(m->max.s) : 0;

	for (uint32_t i = from; i < to; i++) {
		struct tn_slice s = pq_text_at(c, i);
		uint64_t head = prefix(s);

		if (head > least && head < most)
			continue;
		add_bytes(m, s);
		least = prefix(m->min.s);
		most = prefix(m->max.s);
	}
}

static void
minmax_i32(const int32_t *v, size_t n, struct pq_minmax *m)
{
	int32_t least = v[0], most = v[0];

	for (size_t i = 1; i < n; i++) {
		least = v[i] < least ? v[i] : least;
		most = v[i] > most ? v[i] : most;
	}
	add_int(m, least, most);
}

static void
minmax_i64(const int64_t *v, size_t n, struct pq_minmax *m)
{
	int64_t least = v[0], most = v[0];

	for (size_t i = 1; i < n; i++) {
		least = v[i] < least ? v[i] : least;
		most = v[i] > most ? v[i] : most;
	}
	add_int(m, least, most);
}

void
tn_parquet_minmax_add(const struct pq_column *c, uint32_t i,
    struct pq_minmax *m)
{
	const uint8_t *p;

	if (c->width == 0) {
		add_bytes(m, pq_text_at(c, i));
		return;
	}
	p = c->values + i * c->width;
	switch (c->leaf.physical) {
	case TN_PQ_BOOLEAN:
		add_int(m, *p, *p);
		break;
	case TN_PQ_INT32:
		add_int(m, *(const int32_t *)p, *(const int32_t *)p);
		break;
	case TN_PQ_INT64:
		add_int(m, *(const int64_t *)p, *(const int64_t *)p);
		break;
	case TN_PQ_FLOAT:
		add_float(m, *(const float *)p);
		break;
	case TN_PQ_DOUBLE:
		add_float(m, *(const double *)p);
		break;
	default:
		if (c->leaf.convert == TN_PQ_SAME)
			add_bytes(m, (struct tn_slice){ p, c->width });
		else
			add_int(m, *(const __int128 *)p,
			    *(const __int128 *)p);
	}
}

void
tn_parquet_minmax(const struct pq_column *c, uint32_t from, uint32_t to,
    struct pq_minmax *m)
{
	if (from == to)
		return;
	switch (c->leaf.physical) {
	case TN_PQ_INT32:
		minmax_i32((const int32_t *)c->values + from, to - from, m);
		break;
	case TN_PQ_INT64:
		minmax_i64((const int64_t *)c->values + from, to - from, m);
		break;
	case TN_PQ_BYTE_ARRAY:
		minmax_texts(c, from, to, m);
		break;
	default:
		for (uint32_t i = from; i < to; i++)
			tn_parquet_minmax_add(c, i, m);
	}
}

void
tn_parquet_minmax_merge(enum pq_order o, struct pq_minmax *to,
    const struct pq_minmax *from)
{
	to->nulls += from->nulls;
	to->nans += from->nans;
	if (!from->has)
		return;
	if (!to->has || tn_parquet_value_compare(o, &from->min, &to->min) < 0)
		to->min = from->min;
	if (!to->has || tn_parquet_value_compare(o, &from->max, &to->max) > 0)
		to->max = from->max;
	to->has = true;
}

/* ---- stored form ----------------------------------------------------- */

/* Start of the last character of p[0, n). */
static size_t
last_char(const uint8_t *p, size_t n)
{
	size_t at = n - 1;

	while (at > 0 && n - at < 4 && (p[at] & 0xc0) == 0x80)
		at--;
	return at;
}

static uint32_t
decode_char(const uint8_t *p, size_t n)
{
	static const uint8_t head[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t v = p[0] & head[n];

	for (size_t i = 1; i < n; i++)
		v = v << 6 | (p[i] & 0x3f);
	return v;
}

static size_t
encode_char(uint8_t *p, uint32_t v)
{
	size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; v >>= 6)
		p[i] = (uint8_t)(0x80 | (v & 0x3f));
	p[0] = (uint8_t)(n == 1 ? v : (0xf00u >> n & 0xff) | v);
	return n;
}

/* The least text above all that begin with p[0, *n). */
static bool
raise_text(uint8_t *p, size_t *n)
{
	while (*n > 0) {
		size_t at = last_char(p, *n);
		uint32_t v = decode_char(p + at, *n - at) + 1;

		if (v == 0xd800)
			v = 0xe000;
		if (v < 0x110000) {
			*n = at + encode_char(p + at, v);
			return true;
		}
		*n = at;
	}
	return false;
}

static bool
raise_bytes(uint8_t *p, size_t *n)
{
	while (*n > 0 && p[*n - 1] == 0xff)
		--*n;
	if (*n == 0)
		return false;
	p[*n - 1]++;
	return true;
}

static bool
put_text(struct tn_buf *b, const struct pq_leaf *leaf, struct tn_slice s,
    bool is_max, bool *exact)
{
	bool text = leaf->type.id != TN_T_BYTES;
	uint8_t cut[TN_PQ_STAT_BYTES + 4];
	size_t n = TN_PQ_STAT_BYTES;

	*exact = s.n <= TN_PQ_STAT_BYTES;
	if (*exact) {
		tn_buf_add(b, s.p, s.n);
		return true;
	}
	/* Characters stay whole: back to the start of the one that is cut. */
	while (text && n > TN_PQ_STAT_BYTES - 4 && (s.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(cut, s.p, n);
	/* A text that is not UTF-8 is raised as bytes. */
	text = text && tn_utf8_valid(cut, n);
	if (is_max && !(text ? raise_text(cut, &n) : raise_bytes(cut, &n)))
		return false;
	tn_buf_add(b, cut, n);
	return true;
}

static void
put_numeric(struct tn_buf *b, __int128 v)
{
	uint8_t p[16];

	for (int i = 15; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
	tn_buf_add(b, p, sizeof p);
}

static double
signed_zero(double v, bool is_max)
{
	if (v != 0)
		return v;
	return is_max ? 0.0 : -0.0;
}

bool
tn_parquet_stat_put(struct tn_buf *b, const struct pq_leaf *leaf,
    const struct pq_value *v, bool is_max, bool *exact)
{
	double f;
	float narrow;

	*exact = true;
	switch (leaf->physical) {
	case TN_PQ_BOOLEAN:
		tn_buf_char(b, (char)v->i);
		break;
	case TN_PQ_INT32:
		tn_buf_u32(b, (uint32_t)v->i);
		break;
	case TN_PQ_INT64:
		tn_buf_u64(b, (uint64_t)v->i);
		break;
	case TN_PQ_FLOAT:
		narrow = (float)signed_zero(v->f, is_max);
		tn_buf_add(b, &narrow, sizeof narrow);
		break;
	case TN_PQ_DOUBLE:
		f = signed_zero(v->f, is_max);
		tn_buf_add(b, &f, sizeof f);
		break;
	case TN_PQ_BYTE_ARRAY:
		return put_text(b, leaf, v->s, is_max, exact);
	default:
		if (leaf->convert == TN_PQ_SAME)
			tn_buf_add(b, v->s.p, v->s.n);
		else
			put_numeric(b, v->i);
	}
	return true;
}
