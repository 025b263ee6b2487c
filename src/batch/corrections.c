/* Corrections: which published numbers does a publication change?
 *
 *   a cut      groups whose bucket had ended when the cut before was
 *              published and that it touches again (late data): their states
 *              in the old gold, finished, against the new rows
 *   recompute  all rows of the old gold files, of whatever version, against
 *              the new rows
 *
 * The rows as they were are kept with an index in key order; the new rows,
 * which come partition by partition as they are written, are looked up in it.
 * A row that was not there before is no correction; one that is gone now, or
 * that HAVING hides now, is one: its values are null.
 *
 * Rows of another version of the view are matched by the names of its group
 * columns and compared by the names of the others, as far as types fit. Where
 * the old rows are then not told apart by them, nothing is compared.
 *
 * What can go wrong: an old gold file cannot be read, or there is no memory for
 * the old rows; then nothing is compared, because recompute is the way to mend
 * such a file and does not need them. */
#include "batch/batch_int.h"

#include <stdlib.h>
#include <string.h>

#define DAY_US INT64_C(86400000000)
#define TEXT_MAX 4096            /* Key or value; longer is only counted. */

/* Batches of one shape: outputs, _visible, _k0.., _state. */
struct batch_of {
	struct tn_batch *b;
	uint8_t *has;            /* Columns that it really has. */
};
struct row {
	uint32_t batch;
	uint32_t row;
	bool seen;               /* Met among the new rows. */
};
struct tn_batch_before {
	const struct tn_serving_view *v;
	struct tn_batch *shape;  /* Of no rows: its schema is the others'. */
	struct batch_of *batches;
	uint32_t batch_count, batch_cap;
	struct row *rows;        /* In order of keys. */
	uint32_t row_count;
	uint32_t *key;           /* Columns that tell rows apart. */
	uint32_t key_count;
	uint8_t *found;          /* Of the file being read. */
	struct tn_budget_share held;
};

static struct tn_batch_before *
before_new(const struct tn_serving_view *v, bool by_name)
{
	const struct tn_sql_select *s = v->def->select;
	struct tn_batch_before *x = tn_zalloc(sizeof *x);
	struct tn_exec_fold *none = tn_exec_fold_new(v->program);

	x->v = v;
	x->held.class = TN_BUDGET_CUTS;
	x->shape = tn_exec_fold_save(none);
	tn_exec_fold_free(none);
	x->found = tn_zalloc(x->shape->schema->count + 1);
	x->key_count = s->group_count;
	x->key = tn_zalloc((s->group_count + 1) * sizeof *x->key);
	for (uint32_t g = 0; g < s->group_count; g++)
		x->key[g] = by_name ? (uint32_t)v->def->group_output[g] :
		    s->output_count + 1 + g;
	return x;
}

void
tn_batch_before_free(struct tn_batch_before *x)
{
	if (x == NULL)
		return;
	for (uint32_t i = 0; i < x->batch_count; i++) {
		tn_record_batch_unref(x->batches[i].b);
		tn_free(x->batches[i].has);
	}
	tn_budget_set(&x->held, 0);
	tn_record_batch_unref(x->shape);
	tn_free(x->batches);
	tn_free(x->rows);
	tn_free(x->key);
	tn_free(x->found);
	tn_free(x);
}

/* Takes the batch. */
static void
add_batch(struct tn_batch_before *x, struct tn_batch *b)
{
	uint32_t columns = x->shape->schema->count;
	struct batch_of *to;

	if (x->batch_count == x->batch_cap) {
		x->batch_cap = x->batch_cap == 0 ? 4 : x->batch_cap * 2;
		x->batches = tn_realloc(x->batches,
		    x->batch_cap * sizeof *x->batches);
	}
	to = &x->batches[x->batch_count++];
	to->b = b;
	to->has = tn_alloc(columns + 1);
	memcpy(to->has, x->found, columns);
	x->row_count += b->rows;
}

/* ---- the index ------------------------------------------------------- */

static int
order_keys(const struct tn_batch_before *x, const struct tn_batch *a,
    uint32_t i, const struct tn_batch *b, uint32_t k)
{
	int c = 0;

	for (uint32_t g = 0; c == 0 && g < x->key_count; g++)
		c = tn_record_compare(&a->columns[x->key[g]], i,
		    &b->columns[x->key[g]], k);
	return c;
}

static int
order_rows(const void *pa, const void *pb, void *arg)
{
	const struct tn_batch_before *x = arg;
	const struct row *a = pa, *b = pb;

	return order_keys(x, x->batches[a->batch].b, a->row,
	    x->batches[b->batch].b, b->row);
}

/* False when two rows have one key: they cannot be told apart. */
static bool
make_index(struct tn_batch_before *x)
{
	uint32_t n = 0;

	x->rows = tn_zalloc((x->row_count + 1ul) * sizeof *x->rows);
	for (uint32_t i = 0; i < x->batch_count; i++)
		for (uint32_t k = 0; k < x->batches[i].b->rows; k++)
			x->rows[n++] = (struct row){ i, k, false };
	tn_assert(n == x->row_count);
	qsort_r(x->rows, n, sizeof *x->rows, order_rows, x);
	for (uint32_t i = 1; i < n; i++)
		if (order_rows(&x->rows[i - 1], &x->rows[i], x) == 0)
			return false;
	return true;
}

static struct row *
find(const struct tn_batch_before *x, const struct tn_batch *b, uint32_t row)
{
	uint32_t lo = 0, hi = x->row_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		struct row *at = &x->rows[mid];
		int c = order_keys(x, x->batches[at->batch].b, at->row, b,
		    row);
		if (c == 0)
			return at;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* ---- the rows as they were ------------------------------------------- */

/* No memory for them: the cut goes on without. */
static struct tn_batch_before *
drop_before(struct tn_batch_before *x, const struct tn_serving_view *v)
{
	tn_say(TN_WARN, "batch", "memory is out: what changes in published "
	    "rows of view %s is not noted this time", v->def->name);
	tn_batch_before_free(x);
	return NULL;
}

struct tn_batch_before *
tn_batch_before_cut(const struct tn_serving_view *v,
    const struct tn_exec_fold *old, const struct tn_exec_fold *delta,
    int64_t cut_us)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_exec_bound ended = {
		.group = (uint32_t)v->def->select->bucket_group,
		.max = tn_exec_first_open(v->def->select, cut_us, a) };
	struct tn_batch_before *x = NULL;
	struct tn_exec_fold *late = NULL, *were = NULL;
	struct tn_batch *saved;

	if (ended.max != NULL && tn_column_valid(ended.max, 0))
		late = tn_exec_fold_clone(delta, &ended, 1);
	if (late != NULL && tn_exec_fold_groups(late) > 0)
		were = tn_exec_fold_pick(old, late);
	if (were != NULL && tn_exec_fold_groups(were) > 0) {
		x = before_new(v, false);
		memset(x->found, 1, x->shape->schema->count);
		saved = tn_exec_fold_save(were);
		if (saved == NULL)
			x = drop_before(x, v);
		else
			add_batch(x, saved);
		if (x != NULL && !make_index(x))
			tn_assert(!"a group stands once in a fold");
	}
	tn_exec_fold_free(were);
	tn_exec_fold_free(late);
	tn_arena_free(a);
	return x;
}

/* Without key columns its rows cannot be matched: they are left out. */
static enum tn_status
take_old(void *arg, struct tn_batch *b)
{
	struct tn_batch_before *x = arg;
	struct tn_batch *copy;
	size_t more;
	uint32_t *all;

	for (uint32_t g = 0; g < x->key_count; g++)
		if (x->found[x->key[g]] == 0)
			return TN_END;
	all = tn_alloc((b->rows + 1ul) * sizeof *all);
	for (uint32_t i = 0; i < b->rows; i++)
		all[i] = i;
	copy = tn_record_batch_take(b, all, b->rows);
	tn_free(all);
	if (copy == NULL)
		return TN_ENOMEM;
	/* ${b} itself borrows the file's values, so its bytes say little. */
	more = tn_record_batch_bytes(copy) + b->rows * sizeof(struct row);
	if (!tn_budget_try(&x->held, x->held.bytes + more)) {
		tn_record_batch_unref(copy);
		return tn_budget_refuse(NULL);
	}
	add_batch(x, copy);
	return TN_OK;
}

static enum tn_status
read_old(struct tn_batch_before *x, struct tn_lake *lake, const char *path)
{
	const struct tn_schema *s = x->shape->schema;
	uint8_t *used = tn_zalloc(s->count + 1);
	struct tn_diag d = { .line = 0 };
	struct tn_lake_read r = { .path = path, .schema = s, .used = used,
	    .found = x->found, .each = take_old, .arg = x };
	enum tn_status st;

	for (uint32_t i = 0; i < s->count; i++)
		used[i] = strcmp(s->fields[i].name, "_state") != 0;
	st = tn_lake_read(lake, &r, &d);
	if (st != TN_OK)
		tn_say(TN_WARN, "batch", "what changes in view %s cannot be "
		    "told: %s", x->v->def->name, d.message[0] != '\0' ?
		    d.message : tn_status_text(st));
	tn_free(used);
	return st;
}

/* Can rows of another version be matched by the names of their groups? */
static bool
has_names(const struct tn_serving_view *v)
{
	for (uint32_t g = 0; g < v->def->select->group_count; g++)
		if (v->def->group_output[g] < 0)
			return false;
	return true;
}

struct tn_batch_before *
tn_batch_before_files(struct tn_lake *lake, const struct tn_serving_view *v,
    const struct tn_catalog_snapshot *base,
    const struct tn_batch_stays *stays)
{
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_GOLD,
	    v->id, &first);
	const struct tn_catalog_file *f = base->files + first;
	struct tn_batch_before *x;
	enum tn_status st = TN_OK;
	bool other = false;

	for (uint32_t i = 0; i < n; i++)
		other = other || f[i].version != v->version;
	if (n == 0 || (other && !has_names(v)))
		return NULL;
	x = before_new(v, other);
	for (uint32_t i = 0; st == TN_OK && i < n; i++)
		if (stays == NULL || !stays->file(stays->arg, &f[i]))
			st = read_old(x, lake, f[i].path);
	if (st == TN_OK && make_index(x))
		return x;
	tn_batch_before_free(x);
	return NULL;
}

/* ---- comparing ------------------------------------------------------- */

static bool
is_group(const struct tn_serving_view *v, uint32_t output)
{
	for (uint32_t g = 0; g < v->def->select->group_count; g++)
		if (v->def->group_output[g] == (int)output)
			return true;
	return false;
}

static int64_t
bucket_us(const struct tn_batch_before *x, const struct tn_batch *b,
    uint32_t row)
{
	int bucket = x->v->def->select->bucket_group;
	const struct tn_column *c;

	if (bucket < 0)
		return INT64_MIN;
	c = &b->columns[x->key[bucket]];
	if (!tn_column_valid(c, row))
		return INT64_MIN;
	if (c->type.id == TN_T_DATE)
		return ((const int32_t *)c->values)[row] * DAY_US;
	return ((const int64_t *)c->values)[row];
}

static void
put_key(struct tn_buf *out, const struct tn_serving_view *v,
    const struct tn_batch *b, uint32_t row)
{
	bool first = true;

	tn_buf_char(out, '{');
	for (uint32_t i = 0; i < v->def->select->output_count; i++) {
		const char *name = b->schema->fields[i].name;
		if (!is_group(v, i))
			continue;
		tn_buf_str(out, first ? "\"" : ",\"");
		first = false;
		tn_buf_json(out, name, strlen(name));
		tn_buf_str(out, "\":");
		tn_record_print_json(out, &b->columns[i], row);
	}
	tn_buf_char(out, '}');
}

static const char *
kept(struct change *c, const struct tn_buf *text)
{
	return tn_arena_strndup(c->texts, (const char *)text->p, text->n);
}

/* A row as it was and as it is. */
struct pair {
	const struct row *was;
	const struct tn_batch *after;    /* NULL: it is gone. */
	uint32_t row;
};

static void
note(struct change *c, const struct tn_batch_before *x,
    const struct pair *p, uint32_t column)
{
	const struct tn_batch *b = x->batches[p->was->batch].b;
	struct tn_buf key = { 0 }, old = { 0 }, new = { 0 };
	uint32_t max = c->b->o.corrections_max;

	if (c->correction_count >= max)
		return;
	if (c->corrections == NULL) {
		c->corrections = tn_zalloc(max * sizeof *c->corrections);
		c->texts = tn_arena_new(4096);
	}
	put_key(&key, x->v, b, p->was->row);
	tn_record_print_json(&old, &b->columns[column], p->was->row);
	if (p->after != NULL)
		tn_record_print_json(&new, &p->after->columns[column],
		    p->row);
	else
		tn_buf_str(&new, "null");
	if (key.n <= TEXT_MAX && old.n <= TEXT_MAX && new.n <= TEXT_MAX)
		c->corrections[c->correction_count++] =
		    (struct tn_catalog_correction){ .view = x->v->id,
		    .time_us = bucket_us(x, b, p->was->row),
		    .key = kept(c, &key), .before = kept(c, &old),
		    .after = kept(c, &new),
		    .column =
		    x->v->def->select->outputs[column].name };
	tn_buf_fini(&key);
	tn_buf_fini(&old);
	tn_buf_fini(&new);
}

static bool
is_visible(const struct tn_batch_before *x, const struct tn_batch *b,
    uint32_t row)
{
	return ((const uint8_t *)b->columns[
	    x->v->def->select->output_count].values)[row] != 0;
}

static void
compare_row(struct change *c, const struct tn_batch_before *x,
    const struct pair *p)
{
	const struct batch_of *old = &x->batches[p->was->batch];
	uint32_t columns = x->v->def->select->output_count;
	bool changed = p->after == NULL;

	for (uint32_t i = 0; i < columns; i++) {
		const struct tn_column *a = &old->b->columns[i];
		bool same;
		if (old->has[i] == 0 || is_group(x->v, i))
			continue;
		same = p->after == NULL ? !tn_column_valid(a, p->was->row) :
		    tn_batch_same_value(a, p->was->row,
		    &p->after->columns[i], p->row);
		if (same)
			continue;
		changed = true;
		note(c, x, p, i);
	}
	c->changed += changed;
}

void
tn_batch_compare(struct change *c, struct tn_batch_before *x,
    const struct tn_batch *after)
{
	for (uint32_t i = 0; x != NULL && i < after->rows; i++) {
		struct row *was = find(x, after, i);
		struct pair p = { was, after, i };
		if (was == NULL)
			continue;
		was->seen = true;
		if (!is_visible(x, after, i))
			p.after = NULL;
		if (is_visible(x, x->batches[was->batch].b, was->row))
			compare_row(c, x, &p);
	}
}

void
tn_batch_compare_rest(struct change *c, struct tn_batch_before *x)
{
	for (uint32_t i = 0; x != NULL && i < x->row_count; i++) {
		struct pair p = { &x->rows[i], NULL, 0 };
		if (!p.was->seen && is_visible(x,
		    x->batches[p.was->batch].b, p.was->row))
			compare_row(c, x, &p);
	}
}
