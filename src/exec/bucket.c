/* Which time buckets are over at an instant.
 *
 * The bucket expression itself is asked: it is evaluated for a row whose time
 * is that instant. So months, time zones and days of 23 hours need no rules of
 * their own. An expression of more than one column (a time zone in a column)
 * cannot be asked; then the width of the bins decides. */
#include "exec/fold_int.h"

#define DAY_US INT64_C(86400000000)

static bool
is_time(struct tn_type t)
{
	return t.id == TN_T_DATE || t.id == TN_T_TIMESTAMP ||
	    t.id == TN_T_TIMESTAMPTZ;
}

static struct tn_column
instant(struct tn_type t, int64_t us, struct tn_arena *a)
{
	struct tn_column c = { .type = t, .rows = 1 };
	int64_t *wide = tn_arena_alloc(a, sizeof *wide);
	int32_t *days = tn_arena_alloc(a, sizeof *days);

	*wide = us;
	*days = (int32_t)(us / DAY_US - (us % DAY_US < 0));
	c.values = t.id == TN_T_DATE ? (const void *)days : wide;
	return c;
}

/* The one column that the expression is made of, or -1. */
static int
only_column(const struct tn_sql_select *s, const struct tn_sql_expr *e,
    struct tn_arena *a)
{
	uint8_t *used = tn_arena_zalloc(a, s->input->count + 1ul);
	int found = -1;

	tn_exec_expr_columns(e, used);
	for (uint32_t i = 0; i < s->input->count; i++) {
		if (used[i] == 0)
			continue;
		if (found >= 0 || !is_time(s->input->fields[i].type))
			return -1;
		found = (int)i;
	}
	return found;
}

static const struct tn_column *
ask(const struct tn_sql_select *s, const struct tn_sql_expr *e,
    uint32_t column, int64_t us, struct tn_arena *a)
{
	uint32_t n = s->input->count;
	struct tn_column *cols = tn_arena_alloc(a, n * sizeof *cols);
	struct tn_batch row = { .schema = s->input, .rows = 1,
	    .columns = cols };
	struct tn_exec_env env = { .batch = &row, .arena = a };

	for (uint32_t i = 0; i < n; i++)
		cols[i] = i == column ?
		    instant(s->input->fields[i].type, us, a) :
		    tn_exec_column_null(a, s->input->fields[i].type, 1);
	return tn_exec_eval(e, &env);
}

const struct tn_column *
tn_exec_first_open(const struct tn_sql_select *s, int64_t us,
    struct tn_arena *a)
{
	const struct tn_sql_expr *e;
	const struct tn_column *open = NULL;
	struct tn_column *c;
	int column;

	if (s->bucket_group < 0)
		return NULL;
	e = s->groups[s->bucket_group];
	column = only_column(s, e, a);
	if (column >= 0)
		open = ask(s, e, (uint32_t)column, us, a);
	if (open != NULL && tn_column_valid(open, 0))
		return open;
	if (s->bucket_us == 0 || e->type.id == TN_T_DATE)
		return NULL;
	c = tn_arena_alloc(a, sizeof *c);
	*c = instant(e->type, us - s->bucket_us + 1, a);
	return c;
}

const struct tn_column *
tn_exec_bucket_at(const struct tn_sql_select *s, uint32_t column, int64_t us,
    struct tn_arena *a)
{
	const struct tn_sql_expr *e;
	const struct tn_column *at;

	if (s->bucket_group < 0)
		return NULL;
	e = s->groups[s->bucket_group];
	if (only_column(s, e, a) != (int)column)
		return NULL;
	at = ask(s, e, column, us, a);
	return tn_column_valid(at, 0) ? at : NULL;
}
