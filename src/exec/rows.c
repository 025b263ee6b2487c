/* Input assembly: from the rows of a source to the input space of a plan (see
 * tn_sql_select) for one slice of rows.
 *
 *   skip -> source and hidden columns -> each join -> WHERE
 *
 * Rows that drop out are gone before anything later is evaluated, so an
 * expression never raises errors for rows it does not concern. Columns that
 * the plan does not use are left without values. A slice that loses no row is
 * not copied. Dictionary columns stay what they are: tn_exec_eval knows them.
 *
 * A join sees a reference table as of each row's LSN: that of the block, or
 * the _lsn column, or the newest version when the source is no stream. */
#include "exec/expr_int.h"
#include "exec/fold_int.h"

/* One slice on its way. */
struct work {
	struct tn_input *in;
	struct tn_exec_env *env;
	struct tn_arena *a;
	struct tn_column *columns;
	uint32_t rows;
	uint32_t ready;          /* Columns made so far. */
	const uint64_t *offsets;
	const uint64_t *lsns;    /* NULL: all of them in->rows->lsn. */
};

static bool
used(const struct tn_sql_select *s, uint32_t column)
{
	return s->used == NULL || s->used[column] != 0;
}

static bool
has_data(const struct tn_column *c)
{
	return c->values != NULL || c->offsets != NULL;
}

static const uint64_t *
take_words(struct work *w, const uint64_t *from, const uint32_t *rows,
    uint32_t count)
{
	uint64_t *to;

	if (from == NULL)
		return NULL;
	to = tn_arena_alloc(w->a, count * sizeof *to);
	for (uint32_t i = 0; i < count; i++)
		to[i] = from[rows[i]];
	return to;
}

/* Keep the rows listed. */
static void
compact(struct work *w, const uint32_t *rows, uint32_t count)
{
	for (uint32_t c = 0; c < w->ready; c++) {
		if (has_data(&w->columns[c]))
			w->columns[c] = tn_exec_column_take(w->a,
			    &w->columns[c], rows, count);
		w->columns[c].rows = count;
	}
	w->offsets = take_words(w, w->offsets, rows, count);
	w->lsns = take_words(w, w->lsns, rows, count);
	w->rows = count;
	w->in->batch.rows = count;
}

/* ---- the source ------------------------------------------------------ */

static bool
is_stream(const struct tn_sql_select *s)
{
	return s->source_kind == TN_SQL_STREAM &&
	    s->source_columns >= TN_SQL_HIDDEN;
}

/* The value of hidden column ${k} of each row. */
static int64_t *
hidden_values(struct work *w, uint32_t k, uint32_t start)
{
	const struct tn_exec_rows *rows = w->in->rows;
	int64_t *v = tn_arena_alloc(w->a, (size_t)w->rows * 8);
	int64_t first = (int64_t)rows->lsn;
	int64_t step = 0;

	if (k == 1) {
		first = (int64_t)(rows->offset + start);
		step = 1;
	} else if (k == 2) {
		first = rows->received_us;
	}
	for (uint32_t i = 0; i < w->rows; i++)
		v[i] = first + step * i;
	return v;
}

static void
source_columns(struct work *w, uint32_t start)
{
	const struct tn_sql_select *s = w->in->s;
	const struct tn_exec_rows *rows = w->in->rows;
	uint32_t given = s->source_columns;

	if (is_stream(s) && !rows->has_hidden)
		given -= TN_SQL_HIDDEN;
	tn_assert(rows->batch->schema->count >= given);
	for (uint32_t c = 0; c < s->source_columns; c++) {
		struct tn_column *to = &w->columns[c];

		to->type = s->input->fields[c].type;
		to->rows = w->rows;
		if (!used(s, c))
			continue;
		if (c < given)
			*to = tn_exec_column_slice(&rows->batch->columns[c],
			    start, w->rows);
		else
			to->values = hidden_values(w, c - given, start);
	}
	w->ready = s->source_columns;
}

/* A hidden int8 column as it is in the batch. */
static const uint64_t *
hidden_stored(struct work *w, uint32_t k, uint32_t start)
{
	const struct tn_sql_select *s = w->in->s;
	const struct tn_column *c = &w->in->rows->batch->columns[
	    s->source_columns - TN_SQL_HIDDEN + k];

	tn_assert(c->values != NULL && c->type.id == TN_T_INT8);
	return (const uint64_t *)c->values + start;
}

static void
positions(struct work *w, uint32_t start)
{
	const struct tn_exec_rows *rows = w->in->rows;
	bool stored = is_stream(w->in->s) && rows->has_hidden;

	if (w->in->offsets_wanted)
		w->offsets = stored ? hidden_stored(w, 1, start) :
		    (const uint64_t *)hidden_values(w, 1, start);
	if (w->in->s->join_count > 0 && stored)
		w->lsns = hidden_stored(w, 0, start);
}

static void
drop_skipped(struct work *w, uint32_t start)
{
	const uint8_t *skip = w->in->rows->skip;
	uint32_t *rows;
	uint32_t n = 0;

	if (skip == NULL)
		return;
	rows = tn_arena_alloc(w->a, (size_t)w->rows * 4);
	for (uint32_t i = 0; i < w->rows; i++) {
		rows[n] = i;
		n += skip[start + i] == 0;
	}
	if (n < w->rows)
		compact(w, rows, n);
}

/* ---- joins ----------------------------------------------------------- */

/* Where the joined row of each row is; batch NULL: there is none. */
struct match {
	const struct tn_batch *batch;
	uint32_t at;
};

static const struct tn_exec_ref *
ref_of(const struct tn_input *in, const char *name)
{
	for (uint32_t i = 0; in->refs != NULL && i < in->refs->count; i++)
		if (strcmp(in->refs->names[i], name) == 0)
			return in->refs->refs[i];
	return NULL;
}

static uint64_t
lsn_of(const struct work *w, uint32_t row)
{
	if (w->lsns != NULL)
		return w->lsns[row];
	return is_stream(w->in->s) || w->in->rows->lsn != 0 ?
	    w->in->rows->lsn : UINT64_MAX;
}

static struct match *
find(struct work *w, const struct tn_sql_join *j)
{
	const struct tn_exec_ref *ref = ref_of(w->in, j->table);
	struct match *m = tn_arena_zalloc(w->a, w->rows * sizeof *m);
	const struct tn_column **key = tn_arena_alloc(w->a,
	    j->key_count * sizeof *key);

	for (uint32_t k = 0; k < j->key_count; k++) {
		struct tn_column *c = tn_arena_alloc(w->a, sizeof *c);

		*c = tn_exec_eval_column(j->key[k], w->env, true);
		key[k] = c;
	}
	for (uint32_t i = 0; ref != NULL && i < w->rows; i++)
		if (!tn_exec_ref_find(ref, key, i, lsn_of(w, i), &m[i].batch,
		    &m[i].at))
			m[i].batch = NULL;
	return m;
}

static void
joined_text(struct work *w, const struct match *m, uint32_t k,
    struct tn_column *to)
{
	uint32_t *offsets = tn_arena_alloc(w->a, (w->rows + 1ul) * 4);
	size_t total = 0;
	uint8_t *bytes;

	for (uint32_t i = 0; i < w->rows; i++) {
		offsets[i] = (uint32_t)total;
		if (m[i].batch != NULL)
			total += tn_column_text(&m[i].batch->columns[k],
			    m[i].at).n;
	}
	tn_assert(total <= TN_BATCH_TEXT_MAX);
	offsets[w->rows] = (uint32_t)total;
	bytes = tn_arena_alloc(w->a, total + 1);
	for (uint32_t i = 0; i < w->rows; i++) {
		struct tn_slice s = { NULL, 0 };

		if (m[i].batch != NULL)
			s = tn_column_text(&m[i].batch->columns[k],
			    m[i].at);
		if (s.n > 0)
			memcpy(bytes + offsets[i], s.p, s.n);
	}
	to->offsets = offsets;
	to->bytes = bytes;
}

static void
joined_column(struct work *w, const struct match *m, uint32_t k,
    struct tn_column *to)
{
	size_t width = tn_record_type_width(to->type);
	uint8_t *valid = tn_arena_zalloc(w->a, tn_bits_words(w->rows) * 8);
	uint8_t *values;

	for (uint32_t i = 0; i < w->rows; i++) {
		bool v = m[i].batch != NULL && tn_column_valid(
		    &m[i].batch->columns[k], m[i].at);

		valid[i >> 3] |= (uint8_t)(v << (i & 7));
	}
	to->valid = valid;
	if (width == 0) {
		joined_text(w, m, k, to);
		return;
	}
	values = tn_arena_zalloc(w->a, w->rows * width);
	for (uint32_t i = 0; i < w->rows; i++) {
		const uint8_t *from;

		if (m[i].batch == NULL)
			continue;
		tn_assert(m[i].batch->columns[k].dict == NULL);
		from = m[i].batch->columns[k].values;
		memcpy(values + i * width, from + m[i].at * width, width);
	}
	to->values = values;
}

static void
joined_columns(struct work *w, const struct tn_sql_join *j, uint32_t end,
    const struct match *m)
{
	for (uint32_t c = j->first_column; c < end; c++) {
		struct tn_column *to = &w->columns[c];

		*to = (struct tn_column){ .rows = w->rows,
		    .type = w->in->s->input->fields[c].type };
		if (used(w->in->s, c) && w->rows > 0)
			joined_column(w, m, c - j->first_column, to);
	}
	w->ready = end;
}

/* Rows that the rest of ON refuses have no match; returns whether any. */
static bool
refuse(struct work *w, const struct tn_sql_join *j, struct match *m)
{
	uint8_t *pass;
	bool any = false;

	if (j->rest == NULL || w->rows == 0)
		return false;
	pass = tn_arena_alloc(w->a, w->rows);
	tn_exec_filter(j->rest, w->env, pass);
	for (uint32_t i = 0; i < w->rows; i++) {
		if (pass[i] || m[i].batch == NULL)
			continue;
		m[i].batch = NULL;
		any = true;
	}
	return any;
}

static void
drop_unmatched(struct work *w, struct match *m)
{
	uint32_t *rows = tn_arena_alloc(w->a, (size_t)w->rows * 4);
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->rows; i++)
		if (m[i].batch != NULL)
			rows[n++] = i;
	if (n == w->rows)
		return;
	for (uint32_t i = 0; i < n; i++)
		m[i] = m[rows[i]];
	compact(w, rows, n);
}

/* Before the rest of ON is evaluated, rows without a match are gone (inner)
 * or null (left), so it raises no errors for them but on nulls. */
static void
join(struct work *w, uint32_t k)
{
	const struct tn_sql_select *s = w->in->s;
	const struct tn_sql_join *j = &s->joins[k];
	uint32_t end = k + 1 < s->join_count ?
	    s->joins[k + 1].first_column : s->input->count;
	struct match *m;

	tn_assert(j->first_column == w->ready);
	m = find(w, j);
	if (!j->left)
		drop_unmatched(w, m);
	joined_columns(w, j, end, m);
	if (!refuse(w, j, m))
		return;
	if (!j->left)
		drop_unmatched(w, m);
	else
		joined_columns(w, j, end, m);
}

void
tn_exec_input(struct tn_input *in, uint32_t start, uint32_t n,
    struct tn_exec_env *env)
{
	const struct tn_sql_select *s = in->s;
	struct work w = { .in = in, .env = env, .a = env->arena, .rows = n };
	const uint32_t *rows;
	uint32_t count;

	w.columns = tn_arena_zalloc(w.a, s->input->count * sizeof *w.columns);
	in->batch = (struct tn_batch){ .schema = s->input, .rows = n,
	    .columns = w.columns, .arena = w.a, .refs = 1 };
	env->batch = &in->batch;
	source_columns(&w, start);
	positions(&w, start);
	drop_skipped(&w, start);
	for (uint32_t k = 0; k < s->join_count; k++)
		join(&w, k);
	if (s->where != NULL) {
		rows = tn_exec_select(s->where, env, &count);
		if (rows != NULL)
			compact(&w, rows, count);
	}
	for (uint32_t c = 0; c < s->input->count; c++)
		w.columns[c].rows = w.rows;
	in->offsets = w.offsets;
	tn_assert(in->batch.rows == w.rows);
}
