/* Gold plus tail, restricted by what the reader asked for: the one idea of
 * the design in code. Also the reader's filters: names and texts to bounds on
 * group values. */
#include "serving/serving_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)

static int64_t
time_of(const struct tn_column *c)
{
	if (c->type.id == TN_T_DATE)
		return ((const int32_t *)c->values)[0] * DAY_US;
	return ((const int64_t *)c->values)[0];
}

/* Can a gold file hold buckets within the bounds? */
bool
tn_serving_may_match(const struct tn_serving_view *v, const struct tn_catalog_file *f,
    const struct tn_exec_bound *bounds, uint32_t count)
{
	int bucket = v->def->select->bucket_group;

	if (bucket < 0 || strcmp(f->partition, "null") == 0)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (bounds[i].group != (uint32_t)bucket)
			continue;
		if (bounds[i].min != NULL && f->time_max < time_of(bounds[i].min))
			return false;
		if (bounds[i].max != NULL && f->time_min > time_of(bounds[i].max))
			return false;
	}
	return true;
}

static enum tn_status
add_gold(struct request *r, const struct tn_catalog_file *f,
    struct tn_exec_fold **sum, struct tn_diag *d)
{
	const struct tn_serving_view *v = &r->s->o.model->views[r->view];
	struct tn_serving_gold_slice slice = { .view = v, .file = f,
	    .slice = { 0, 1 }, .left = r->left };
	struct tn_serving_gold *g = NULL;
	struct tn_exec_fold *part;
	size_t so_far = *sum != NULL ? tn_exec_fold_bytes(*sum) : 0;
	enum tn_status st = tn_serving_request_room(r, so_far +
	    tn_serving_read_bytes(f), d);

	if (st == TN_OK)
		st = tn_serving_gold_load(r->s, &slice, &g, d);
	if (st == TN_OK)
		st = tn_serving_request_awaited(r, d);
	if (st == TN_OK)
		st = tn_serving_request_room(r, so_far +
		    tn_exec_fold_clone_bytes(g->fold, r->bounds,
		    r->bound_count), d);
	if (st != TN_OK) {
		tn_serving_gold_put(r->s, g);
		return st;
	}
	part = tn_exec_fold_clone(g->fold, r->bounds, r->bound_count);
	tn_serving_gold_put(r->s, g);
	if (*sum == NULL) {
		*sum = part;
		tn_exec_fold_until(part, r->left);
		return TN_OK;
	}
	tn_exec_fold_merge(*sum, part);
	tn_exec_fold_free(part);
	return tn_serving_request_awaited(r, d);
}

struct tn_exec_fold *
tn_serving_merge(struct request *r, struct tn_diag *d)
{
	const struct tn_serving_view *v = &r->s->o.model->views[r->view];
	const struct tn_catalog_snapshot *base = r->past.kind == PAST_NOT ?
	    r->ask.base : r->past.gold;
	struct tn_exec_fold *sum = NULL;
	uint32_t first = 0, n = base == NULL ? 0 :
	    tn_catalog_snapshot_find(base, TN_TIER_GOLD, v->id, &first);
	enum tn_status st = TN_OK;

	tn_serving_keep(r, r->ask.base);
	tn_serving_keep_tail(r);
	for (uint32_t i = first; st == TN_OK && i < first + n &&
	    r->layer != TN_LAYER_SPEED; i++) {
		const struct tn_catalog_file *f = &base->files[i];
		if (f->version == v->version &&
		    tn_serving_may_match(v, f, r->bounds, r->bound_count))
			st = add_gold(r, f, &sum, d);
	}
	if (st == TN_ECLOSED)
		(void)!tn_serving_request_awaited(r, d);
	if (st == TN_ENOMEM)
		(void)tn_diag_set(d, st, "memory_full",
		    "memory is out for the states of the view");
	if (st != TN_OK) {
		tn_exec_fold_free(sum);
		return NULL;
	}
	if (sum == NULL)
		sum = tn_exec_fold_new(v->program);
	tn_exec_fold_until(sum, r->left);
	if (r->layer != TN_LAYER_BATCH && r->ask.fold != NULL)
		tn_exec_fold_merge(sum, r->ask.fold);
	/* Its result rows and their text are about as large again. */
	if (tn_serving_request_awaited(r, d) != TN_OK ||
	    tn_serving_request_room(r, 2 * tn_exec_fold_bytes(sum), d) !=
	    TN_OK) {
		tn_exec_fold_free(sum);
		sum = NULL;
	}
	return sum;
}

enum tn_status
tn_serving_merge_keys(struct tn_serving *s, const struct tn_serving_view *v,
    const struct tn_catalog_snapshot *base, const struct tn_exec_fold *keys,
    struct tn_exec_fold *fold, struct tn_diag *d)
{
	struct tn_exec_fold *sum = tn_exec_fold_new(v->program);
	uint32_t first, n = tn_catalog_snapshot_find(base, TN_TIER_GOLD,
	    v->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		struct tn_serving_gold *g = NULL;
		if (base->files[i].version != v->version)
			continue;
		st = tn_serving_gold_get(s, v, &base->files[i], &g, d);
		if (st != TN_OK)
			break;
		struct tn_exec_fold *part = tn_exec_fold_pick(g->fold, keys);
		tn_exec_fold_merge(sum, part);
		tn_exec_fold_free(part);
		tn_serving_gold_put(s, g);
	}
	if (st == TN_OK)
		tn_exec_fold_merge(fold, sum);
	tn_exec_fold_free(sum);
	return st;
}

/* ---- filters --------------------------------------------------------- */

/* "now", "now-24h", "now+30m": units s m h d w. */
static bool
parse_relative(struct tn_slice t, int64_t *us)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = { 1, 60, 3600, 86400, 604800 };
	struct tn_slice digits = { t.p + 4, t.n > 5 ? t.n - 5 : 0 };
	const char *unit;
	uint64_t n;

	if (t.n < 3 || memcmp(t.p, "now", 3) != 0)
		return false;
	*us = tn_os_wall_us();
	if (t.n == 3)
		return true;
	if (t.n < 6 || (t.p[3] != '-' && t.p[3] != '+') ||
	    !tn_parse_u64(digits, &n) || n > 1000000)
		return false;
	unit = memchr(units, t.p[t.n - 1], sizeof units - 1);
	if (unit == NULL)
		return false;
	n *= (uint64_t)seconds[unit - units] * 1000000;
	*us += t.p[3] == '-' ? -(int64_t)n : (int64_t)n;
	return true;
}

bool
tn_serving_time(struct tn_slice text, int64_t *us)
{
	struct tn_type t = tn_record_type(TN_T_TIMESTAMPTZ);
	const struct tn_column *c;
	struct tn_arena *a;

	if (parse_relative(text, us))
		return true;
	a = tn_arena_new(256);
	c = tn_exec_parse(a, t, text);
	if (c != NULL)
		*us = time_of(c);
	tn_arena_free(a);
	return c != NULL;
}

static const struct tn_column *
time_value(struct request *r, struct tn_type t, struct tn_slice text)
{
	struct tn_column *c;
	int64_t *us;
	int32_t *days;

	us = tn_arena_alloc(r->arena, sizeof *us);
	if (!parse_relative(text, us))
		return tn_exec_parse(r->arena, t, text);
	c = tn_arena_zalloc(r->arena, sizeof *c);
	c->type = t;
	c->rows = 1;
	c->values = us;
	if (t.id == TN_T_DATE) {
		days = tn_arena_alloc(r->arena, sizeof *days);
		*days = (int32_t)(*us / DAY_US);
		c->values = days;
	}
	return c;
}

static void
list_filters(const struct tn_sql_view *v, struct tn_diag *d)
{
	char text[300];
	size_t n = 0;

	for (uint32_t g = 0; g < v->select->group_count; g++)
		if (v->group_output[g] >= 0 && n < sizeof text - 80)
			n += (size_t)snprintf(text + n, sizeof text - n,
			    "%s, ",
			    v->select->outputs[v->group_output[g]].name);
	text[n] = '\0';
	tn_diag_hint(d, "filters of this view: %snull (=NAME), %slimit, "
	    "layer, format, order, as_of (column.limit= for a column of that "
	    "name)", text, v->select->bucket_group < 0 ? "" :
	    "from, to (on its time bucket), ");
}

#define COLUMN "column."

/* The group that an output of this name shows, or -1. One whose name is also
 * that of a parameter (limit, order) is meant with "column." before it. */
static int
find_group(const struct tn_sql_view *v, struct tn_slice name)
{
	const size_t n = sizeof COLUMN - 1;
	int group = -1;

	if (name.n > n && memcmp(name.p, COLUMN, n) == 0)
		name = (struct tn_slice){ name.p + n, name.n - n };
	for (uint32_t g = 0; g < v->select->group_count; g++)
		if (v->group_output[g] >= 0 && tn_slice_is(name,
		    v->select->outputs[v->group_output[g]].name))
			group = (int)g;
	return group;
}

/* Or was it rounded to the scale? Compared with all digits that fit beside
 * those before the point. */
static bool
is_exact(struct request *r, const struct tn_column *value,
    struct tn_slice text)
{
	struct tn_type t = value->type, wide = t;
	const struct tn_column *v = NULL;
	__int128 x;

	if (t.id != TN_T_NUMERIC)
		return true;
	memcpy(&x, value->values, sizeof x);
	wide.precision = wide.scale = TN_NUMERIC_DIGITS_MAX;
	for (; v == NULL && wide.scale > t.scale; wide.scale--)
		v = tn_exec_parse(r->arena, wide, text);
	if (v == NULL)
		return true;
	for (uint8_t i = t.scale; i < v->type.scale; i++)
		x *= 10;
	return memcmp(&x, v->values, sizeof x) == 0;
}

static enum tn_status
bad_value(const struct tn_serving_param *p, struct tn_type t,
    struct tn_diag *d)
{
	bool time = t.id == TN_T_TIMESTAMP || t.id == TN_T_TIMESTAMPTZ ||
	    t.id == TN_T_DATE;
	char name[48];

	if (time)
		tn_diag_hint(d, "times are like 2026-03-01T08:00:00Z, "
		    "2026-03-01 or now-24h");
	else
		tn_diag_hint(d, "its type is %s; null=%.*s is for the rows "
		    "that have none", tn_record_type_name(t, name),
		    (int)(p->name.n > 60 ? 60 : p->name.n), p->name.p);
	return tn_diag_set(d, TN_EINVAL, "bad_filter",
	    "\"%.*s\" is no value for \"%.*s\"",
	    (int)(p->value.n > 60 ? 60 : p->value.n), p->value.p,
	    (int)(p->name.n > 60 ? 60 : p->name.n), p->name.p);
}

/* name=value, from=, to= (on the bucket), null=name. */
static enum tn_status
one_bound(struct request *r, const struct tn_serving_param *p,
    struct tn_exec_bound *b, struct tn_diag *d)
{
	const struct tn_sql_view *v = r->s->o.model->views[r->view].def;
	int group = find_group(v, p->name);
	bool from = group < 0 && tn_slice_is(p->name, "from");
	bool to = group < 0 && tn_slice_is(p->name, "to");
	bool null = group < 0 && tn_slice_is(p->name, "null");
	const struct tn_column *value;
	struct tn_type t;

	if (from || to)
		group = v->select->bucket_group;
	if (null)
		group = find_group(v, p->value);
	if (group < 0) {
		list_filters(v, d);
		return tn_diag_set(d, TN_EINVAL, "unknown_filter",
		    "view \"%s\" cannot be filtered by \"%.*s\"", v->name,
		    (int)(p->name.n > 60 ? 60 : p->name.n), p->name.p);
	}
	*b = (struct tn_exec_bound){ .group = (uint32_t)group,
	    .only_null = true };
	if (null)
		return TN_OK;
	t = v->select->groups[group]->type;
	t.length_max = 0;                /* A cast would cut the text. */
	value = from || to ? time_value(r, t, p->value) :
	    tn_exec_parse(r->arena, t, p->value);
	if (value == NULL)
		return tn_slice_is(p->value, "null") && !from && !to ? TN_OK :
		    bad_value(p, t, d);
	/* What no value equals has an end that is not its own. */
	*b = (struct tn_exec_bound){ .group = (uint32_t)group,
	    .min = to ? NULL : value, .max = from ? NULL : value,
	    .max_inclusive = !to && is_exact(r, value, p->value) };
	return TN_OK;
}

enum tn_status
tn_serving_bounds(struct request *r, const struct tn_serving_param *params,
    uint32_t count, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	if (count > TN_SERVING_BOUNDS_MAX)
		return tn_diag_set(d, TN_EINVAL, "too_many_filters",
		    "at most %d filters", TN_SERVING_BOUNDS_MAX);
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		st = one_bound(r, &params[i], &r->bounds[r->bound_count++],
		    d);
	return st;
}
