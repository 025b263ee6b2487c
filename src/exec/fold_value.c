/* Values and columns as folds and queries need them: canonical words (see
 * fold_int.h), their order and hash, widening, gathering and slicing of
 * columns.
 *
 * Slices of a column are free where they start at a multiple of 8 rows. What
 * can go wrong: nothing; bytes from files are checked with
 * tn_exec_value_check before they get here. */
#include "exec/fold_int.h"

#include <math.h>

#define US_PER_DAY INT64_C(86400000000)

enum tn_form
tn_exec_form(uint8_t type_id)
{
	static const uint8_t forms[TN_T_COUNT] = {
		[TN_T_NONE] = TN_FORM_NONE, [TN_T_BOOL] = TN_FORM_INT,
		[TN_T_INT2] = TN_FORM_INT, [TN_T_INT4] = TN_FORM_INT,
		[TN_T_INT8] = TN_FORM_INT, [TN_T_FLOAT4] = TN_FORM_FLOAT,
		[TN_T_FLOAT8] = TN_FORM_FLOAT,
		[TN_T_NUMERIC] = TN_FORM_NUMERIC,
		[TN_T_TEXT] = TN_FORM_TEXT, [TN_T_DATE] = TN_FORM_INT,
		[TN_T_TIME] = TN_FORM_INT, [TN_T_TIMESTAMP] = TN_FORM_INT,
		[TN_T_TIMESTAMPTZ] = TN_FORM_INT,
		[TN_T_INTERVAL] = TN_FORM_INTERVAL,
		[TN_T_JSONB] = TN_FORM_TEXT, [TN_T_UUID] = TN_FORM_UUID,
		[TN_T_BYTES] = TN_FORM_TEXT,
	};

	tn_assert(type_id < TN_T_COUNT);
	return forms[type_id];
}

/* ---- single values --------------------------------------------------- */

static int64_t
int_at(const struct tn_column *c, uint32_t row)
{
	switch (c->type.id) {
	case TN_T_BOOL:
		return ((const uint8_t *)c->values)[row] != 0;
	case TN_T_INT2:
		return ((const int16_t *)c->values)[row];
	case TN_T_INT4:
	case TN_T_DATE:
		return ((const int32_t *)c->values)[row];
	default:
		return ((const int64_t *)c->values)[row];
	}
}

static uint64_t
float_word(double d, bool canon)
{
	uint64_t w;

	if (isnan(d))
		return UINT64_C(0x7ff8000000000000);
	if (canon && d == 0)
		return 0;
	memcpy(&w, &d, 8);
	return w;
}

static __int128
interval_span(const uint64_t w[2])
{
	struct tn_interval v;

	memcpy(&v, w, 16);
	return ((__int128)v.months * 30 + v.days) * US_PER_DAY + v.us;
}

/* Equal intervals to equal words: whole days and the rest, both of one sign.
 * Months only where the days would not fit. */
static void
interval_canon(uint64_t w[2])
{
	__int128 span = interval_span(w);
	int64_t days = (int64_t)(span / US_PER_DAY);
	struct tn_interval v = { .us = (int64_t)(span % US_PER_DAY) };

	if (days > INT32_MAX || days < INT32_MIN) {
		v.months = (int32_t)(days / 30);
		days %= 30;
	}
	v.days = (int32_t)days;
	memcpy(w, &v, 16);
}

static void
value_at(const struct tn_column *c, uint32_t row, bool canon,
    struct tn_value *v)
{
	enum tn_form form = tn_exec_form(c->type.id);

	if (c->dict != NULL) {
		row = ((const uint32_t *)c->values)[row];
		c = c->dict;
	}
	switch (form) {
	case TN_FORM_INT:
		v->w[0] = (uint64_t)int_at(c, row);
		break;
	case TN_FORM_FLOAT:
		v->w[0] = float_word(c->type.id == TN_T_FLOAT4 ?
		    (double)((const float *)c->values)[row] :
		    ((const double *)c->values)[row], canon);
		break;
	case TN_FORM_TEXT:
		v->text = tn_column_text(c, row);
		break;
	case TN_FORM_NONE:
		v->w[0] = 0;
		break;
	default:
		memcpy(v->w, (const uint8_t *)c->values + row * 16ul, 16);
		if (form == TN_FORM_INTERVAL && canon)
			interval_canon(v->w);
	}
}

void
tn_exec_value_canon(const struct tn_column *c, uint32_t row,
    struct tn_value *v)
{
	value_at(c, row, true, v);
}

void
tn_exec_value_raw(const struct tn_column *c, uint32_t row,
    struct tn_value *v)
{
	value_at(c, row, false, v);
}

static int
order_float(uint64_t a, uint64_t b)
{
	double da;
	double db;

	memcpy(&da, &a, 8);
	memcpy(&db, &b, 8);
	if (isnan(da) || isnan(db))
		return (int)isnan(da) - (int)isnan(db);
	if (da == db)       /* -0 has the greater bits and comes first. */
		return (a < b) - (a > b);
	return da < db ? -1 : 1;
}

static int
order_interval(const uint64_t *a, const uint64_t *b)
{
	__int128 sa = interval_span(a);
	__int128 sb = interval_span(b);

	if (sa != sb)
		return sa < sb ? -1 : 1;
	return memcmp(a, b, 16);
}

static int
order_text(struct tn_slice a, struct tn_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

int
tn_exec_value_order(enum tn_form form, const struct tn_value *a,
    const struct tn_value *b)
{
	__int128 na;
	__int128 nb;

	switch (form) {
	case TN_FORM_INT:
		return ((int64_t)a->w[0] > (int64_t)b->w[0]) -
		    ((int64_t)a->w[0] < (int64_t)b->w[0]);
	case TN_FORM_FLOAT:
		return order_float(a->w[0], b->w[0]);
	case TN_FORM_NUMERIC:
		memcpy(&na, a->w, 16);
		memcpy(&nb, b->w, 16);
		return (na > nb) - (na < nb);
	case TN_FORM_UUID:
		return memcmp(a->w, b->w, 16);
	case TN_FORM_INTERVAL:
		return order_interval(a->w, b->w);
	case TN_FORM_TEXT:
		return order_text(a->text, b->text);
	default:
		return 0;
	}
}

uint64_t
tn_exec_value_prefix(enum tn_form form, const struct tn_value *v)
{
	const uint64_t top = UINT64_C(1) << 63;
	uint8_t first[8] = { 0 };
	uint64_t u = 0;

	switch (form) {
	case TN_FORM_INT:
		return v->w[0] ^ top;
	case TN_FORM_FLOAT:
		return v->w[0] & top ? ~v->w[0] : v->w[0] | top;
	case TN_FORM_NUMERIC:
		return v->w[1] ^ top;
	case TN_FORM_TEXT:
		if (v->text.n > 0)
			memcpy(first, v->text.p, v->text.n < 8 ? v->text.n : 8);
		for (int i = 0; i < 8; i++)
			u = u << 8 | first[i];
		return u;
	default:
		return 0;
	}
}

void
tn_exec_value_store(struct tn_type t, const struct tn_value *v,
    void *values, uint32_t row)
{
	size_t width = tn_record_type_width(t);
	int64_t i = (int64_t)v->w[0];
	int32_t i4 = (int32_t)i;
	int16_t i2 = (int16_t)i;
	uint8_t i1 = (uint8_t)i;
	const void *from = v->w;
	double d;
	float f;

	tn_assert(width > 0);
	if (t.id == TN_T_FLOAT4) {
		memcpy(&d, v->w, 8);
		f = (float)d;
		from = &f;
	} else if (width == 4) {
		from = &i4;
	} else if (width == 2) {
		from = &i2;
	} else if (width == 1) {
		from = &i1;
	}
	memcpy((uint8_t *)values + row * width, from, width);
}

static bool
float_check(struct tn_type t, uint64_t w)
{
	double d;

	memcpy(&d, &w, 8);
	if (isnan(d))
		return w == float_word(d, false);
	return t.id == TN_T_FLOAT8 || isinf(d) || (double)(float)d == d;
}

bool
tn_exec_value_check(struct tn_type t, const struct tn_value *v)
{
	__int128 limit = 1;
	__int128 n;

	switch (tn_exec_form(t.id)) {
	case TN_FORM_INT:
		if (t.id == TN_T_BOOL)
			return v->w[0] <= 1;
		if (t.id == TN_T_INT2)
			return (int64_t)v->w[0] == (int16_t)v->w[0];
		if (t.id == TN_T_INT4 || t.id == TN_T_DATE)
			return (int64_t)v->w[0] == (int32_t)v->w[0];
		return true;
	case TN_FORM_FLOAT:
		return float_check(t, v->w[0]);
	case TN_FORM_NUMERIC:
		for (int i = 0; i < TN_NUMERIC_DIGITS_MAX; i++)
			limit *= 10;
		memcpy(&n, v->w, 16);
		return n > -limit && n < limit;
	case TN_FORM_TEXT:
		return t.id == TN_T_BYTES ||
		    tn_utf8_valid(v->text.p, v->text.n);
	default:
		return true;
	}
}

/* ---- words ----------------------------------------------------------- */

void
tn_exec_words_of_text(struct tn_slice s, uint64_t w[static 2])
{
	uint32_t n = (uint32_t)s.n;

	tn_assert(s.n <= UINT32_MAX);
	w[0] = 0;
	w[1] = 0;
	memcpy(w, &n, 4);
	if (n <= TN_TEXT_INLINE) {
		if (n > 0)
			memcpy((uint8_t *)w + 4, s.p, n);
		return;
	}
	memcpy((uint8_t *)w + 4, s.p, 4);
	w[1] = (uint64_t)(uintptr_t)s.p;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)
	    (a ^ UINT64_C(0x9e3779b97f4a7c15)) *
	    (b ^ UINT64_C(0xd1b54a32d192ed03));

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t
tn_exec_words_hash(enum tn_form form, const uint64_t *w, const uint8_t *base,
    uint64_t seed)
{
	struct tn_slice s;

	if (form == TN_FORM_TEXT && tn_words_len(w) > TN_TEXT_INLINE) {
		s = tn_words_text(w, base);
		return tn_hash64(s.p, s.n, seed);
	}
	if (tn_form_words(form) == 1)
		return mix(w[0] ^ seed, w[0] >> 32);
	return mix(mix(w[0] ^ seed, 11), w[1]);
}

/* ---- columns --------------------------------------------------------- */

const int64_t *
tn_exec_widen_int(struct tn_arena *a, const struct tn_column *c)
{
	int64_t *out;

	tn_assert(tn_exec_form(c->type.id) == TN_FORM_INT && c->dict == NULL);
	if (tn_record_type_width(c->type) == 8)
		return c->values;
	out = tn_arena_alloc(a, (size_t)c->rows * 8);
	if (c->type.id == TN_T_BOOL)
		for (uint32_t i = 0; i < c->rows; i++)
			out[i] = ((const uint8_t *)c->values)[i] != 0;
	else if (c->type.id == TN_T_INT2)
		for (uint32_t i = 0; i < c->rows; i++)
			out[i] = ((const int16_t *)c->values)[i];
	else
		for (uint32_t i = 0; i < c->rows; i++)
			out[i] = ((const int32_t *)c->values)[i];
	return out;
}

const double *
tn_exec_widen_float(struct tn_arena *a, const struct tn_column *c)
{
	double *out;

	tn_assert(tn_exec_form(c->type.id) == TN_FORM_FLOAT);
	tn_assert(c->dict == NULL);
	if (c->type.id == TN_T_FLOAT8)
		return c->values;
	out = tn_arena_alloc(a, (size_t)c->rows * 8);
	for (uint32_t i = 0; i < c->rows; i++)
		out[i] = (double)((const float *)c->values)[i];
	return out;
}

const uint8_t *
tn_exec_valid_bytes(struct tn_arena *a, const struct tn_column *c)
{
	uint8_t *out;

	if (c->type.id == TN_T_NONE)
		return tn_arena_zalloc(a, c->rows);
	if (c->valid == NULL)
		return NULL;
	out = tn_arena_alloc(a, c->rows);
	for (uint32_t i = 0; i < c->rows; i++)
		out[i] = c->valid[i >> 3] >> (i & 7) & 1;
	return out;
}

struct tn_column
tn_exec_column_slice(const struct tn_column *c, uint32_t start, uint32_t n)
{
	size_t width = c->dict != NULL ? 4 : tn_record_type_width(c->type);
	struct tn_column s = *c;

	tn_assert(start % 8 == 0 && start <= c->rows && n <= c->rows - start);
	s.rows = n;
	if (c->valid != NULL)
		s.valid = c->valid + start / 8;
	if (c->values != NULL)
		s.values = (const uint8_t *)c->values + start * width;
	if (c->offsets != NULL)
		s.offsets = c->offsets + start;
	return s;
}

static const uint8_t *
take_valid(struct tn_arena *a, const struct tn_column *c,
    const uint32_t *rows, uint32_t n)
{
	uint8_t *valid = tn_arena_zalloc(a, ((size_t)n + 63) / 64 * 8);
	bool nulls = false;

	for (uint32_t i = 0; i < n; i++) {
		bool v = rows[i] != UINT32_MAX && tn_column_valid(c, rows[i]);

		valid[i >> 3] |= (uint8_t)(v << (i & 7));
		nulls |= !v;
	}
	return nulls ? valid : NULL;
}

static void
take_text(struct tn_arena *a, const struct tn_column *c, const uint32_t *rows,
    uint32_t n, struct tn_column *out)
{
	uint32_t *offsets = tn_arena_alloc(a, ((size_t)n + 1) * 4);
	size_t total = 0;
	uint8_t *bytes;

	for (uint32_t i = 0; i < n; i++)
		if (rows[i] != UINT32_MAX)
			total += c->offsets[rows[i] + 1] - c->offsets[rows[i]];
	tn_assert(total <= TN_BATCH_TEXT_MAX);
	bytes = tn_arena_alloc(a, total + 1);
	total = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct tn_slice s = { bytes, 0 };

		if (rows[i] != UINT32_MAX)
			s = tn_column_text(c, rows[i]);
		offsets[i] = (uint32_t)total;
		if (s.n > 0)
			memcpy(bytes + total, s.p, s.n);
		total += s.n;
	}
	offsets[n] = (uint32_t)total;
	out->offsets = offsets;
	out->bytes = bytes;
}

#define TAKE(type) \
	for (uint32_t i = 0; i < n; i++) \
		((type *)to)[i] = rows[i] == UINT32_MAX ? 0 : \
		    ((const type *)from)[rows[i]]

static void
take_fixed(void *to, const void *from, size_t width, const uint32_t *rows,
    uint32_t n)
{
	switch (width) {
	case 1:
		TAKE(uint8_t);
		break;
	case 2:
		TAKE(uint16_t);
		break;
	case 4:
		TAKE(uint32_t);
		break;
	case 8:
		TAKE(uint64_t);
		break;
	default:
		for (uint32_t i = 0; i < n; i++)
			if (rows[i] == UINT32_MAX)
				memset((uint8_t *)to + i * width, 0, width);
			else
				memcpy((uint8_t *)to + i * width,
				    (const uint8_t *)from + rows[i] * width,
				    width);
	}
}

struct tn_column
tn_exec_column_take(struct tn_arena *a, const struct tn_column *c,
    const uint32_t *rows, uint32_t n)
{
	size_t width = c->dict != NULL ? 4 : tn_record_type_width(c->type);
	struct tn_column out = { .type = c->type, .rows = n, .dict = c->dict };
	void *values;

	if (c->values == NULL && c->offsets == NULL)
		return tn_exec_column_null(a, c->type, n);
	out.valid = take_valid(a, c, rows, n);
	if (width == 0) {
		take_text(a, c, rows, n, &out);
		return out;
	}
	values = tn_arena_alloc(a, n * width);
	take_fixed(values, c->values, width, rows, n);
	out.values = values;
	return out;
}

struct tn_column
tn_exec_column_plain(struct tn_arena *a, const struct tn_column *c)
{
	const uint32_t *codes = c->values;
	struct tn_column out;
	uint32_t *rows;

	if (c->dict == NULL)
		return *c;
	rows = tn_arena_alloc(a, (size_t)c->rows * 4);
	for (uint32_t i = 0; i < c->rows; i++)
		rows[i] = tn_column_valid(c, i) ? codes[i] : UINT32_MAX;
	out = tn_exec_column_take(a, c->dict, rows, c->rows);
	out.valid = c->valid;
	return out;
}

struct tn_column
tn_exec_column_null(struct tn_arena *a, struct tn_type t, uint32_t n)
{
	size_t width = tn_record_type_width(t);
	struct tn_column c = { .type = t, .rows = n };

	c.valid = tn_arena_zalloc(a, ((size_t)n + 63) / 64 * 8);
	if (width > 0) {
		c.values = tn_arena_zalloc(a, n * width);
	} else {
		c.offsets = tn_arena_zalloc(a, ((size_t)n + 1) * 4);
		c.bytes = tn_arena_zalloc(a, 1);
	}
	return c;
}

struct tn_column
tn_exec_eval_column(const struct tn_sql_expr *e, struct tn_exec_env *env,
    bool plain)
{
	const struct tn_column *c;

	if (env->batch->rows == 0)
		return tn_exec_column_null(env->arena, e->type, 0);
	if (e->node != TN_SQL_COLUMN)
		return *tn_exec_eval(e, env);
	c = &env->batch->columns[e->column];
	return plain ? tn_exec_column_plain(env->arena, c) : *c;
}

const uint32_t *
tn_exec_select(const struct tn_sql_expr *e, struct tn_exec_env *env,
    uint32_t *count)
{
	uint32_t n = env->batch->rows;
	uint32_t *rows = tn_arena_alloc(env->arena, (size_t)n * 4);
	uint8_t *pass = tn_arena_alloc(env->arena, n);
	uint32_t m = 0;

	*count = n;
	if (n == 0)
		return NULL;
	tn_exec_filter(e, env, pass);
	for (uint32_t i = 0; i < n; i++) {
		rows[m] = i;
		m += pass[i];
	}
	*count = m;
	return m == n ? NULL : rows;
}

struct tn_schema *
tn_exec_schema_copy(struct tn_arena *a, const struct tn_schema *s)
{
	struct tn_schema *copy = tn_arena_alloc(a, sizeof *copy);
	struct tn_field *fields = tn_arena_alloc(a,
	    s->count * sizeof *fields);

	*copy = *s;
	copy->name = s->name != NULL ? tn_arena_strdup(a, s->name) : NULL;
	for (uint32_t i = 0; i < s->count; i++) {
		fields[i] = s->fields[i];
		fields[i].name = tn_arena_strdup(a, s->fields[i].name);
	}
	copy->fields = fields;
	return copy;
}

void
tn_exec_expr_columns(const struct tn_sql_expr *e, uint8_t *used)
{
	if (e == NULL)
		return;
	if (e->node == TN_SQL_COLUMN)
		used[e->column] = 1;
	for (uint32_t i = 0; i < e->arg_count; i++)
		tn_exec_expr_columns(e->args[i], used);
}
