/* When what comes next, for GET /api/v1/schedule and the page Runs: cuts, looks
 * at the drop folder, snapshots that expire, partitions that move to the cold
 * folder, days that leave with the retention of a table. The times come from
 * where they are decided: the timers' own, and what the catalog has.
 *
 * Asked with a name and a value it tells how it would be with that value, or
 * what is wrong with it, and changes nothing. */
#include "app/tune_int.h"

#include <stdio.h>
#include <string.h>

#define NEXT_MAX 5
#define DAY_US INT64_C(86400000000)

/* The soonest times after now, each once, in order. */
struct next {
	int64_t now_us;
	int64_t at[NEXT_MAX];
	uint32_t count;
};
struct shown {
	enum tn_app_setting i;
	char text[TN_APP_SETTING_TEXT];
	int64_t number;
	int64_t set_us;
	bool asked;              /* As if it had this value. */
};

static void
add_time(struct next *n, int64_t us)
{
	uint32_t i = 0;

	if (us <= n->now_us)
		return;
	while (i < n->count && n->at[i] < us)
		i++;
	if (i == NEXT_MAX || (i < n->count && n->at[i] == us))
		return;
	if (n->count < NEXT_MAX)
		n->count++;
	memmove(&n->at[i + 1], &n->at[i], (n->count - i - 1) *
	    sizeof n->at[0]);
	n->at[i] = us;
}

/* A timer: ${first_us} is monotonic; one that is set now begins now. */
static void
add_ticks(struct next *n, const struct shown *s, int64_t first_us)
{
	int64_t mono = tn_os_mono_us();
	int64_t first = s->asked ? s->number : first_us - mono;

	if (first_us == 0)
		return;          /* It does not tick. */
	for (int k = 0; k < NEXT_MAX; k++)
		add_time(n, n->now_us + (first > 0 ? first : 1) +
		    k * s->number);
}

/* Each goes when the one after it has been there for so long. */
static enum tn_status
add_snapshots(struct app *a, struct next *n, int64_t keep_us)
{
	int64_t followed[NEXT_MAX];
	uint32_t count = 0;
	enum tn_status st = tn_catalog_cuts_followed(a->catalog,
	    n->now_us - keep_us, NEXT_MAX, followed, &count);

	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		add_time(n, followed[i] + keep_us);
	return st;
}

static const struct tn_sql_table *
table_of(const struct app *a, const struct tn_catalog_file *f)
{
	int i = f->tier == TN_TIER_BRONZE || f->tier == TN_TIER_SILVER ?
	    tn_serving_stream_by_id(a->model, f->object) : -1;

	return i >= 0 ? a->model->streams[i].table : NULL;
}

static bool
is_same_part(const struct tn_catalog_file *x, const struct tn_catalog_file *y)
{
	return x->tier == y->tier && x->object == y->object &&
	    strcmp(x->partition, y->partition) == 0;
}

/* Partitions that are not there yet, by their newest row; those of a table with
 * a cold_after of its own go by that. */
static void
add_moves(struct app *a, struct next *n, int64_t after_us)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(a->catalog);
	int64_t newest = INT64_MIN;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct tn_catalog_file *f = &s->files[i];
		const struct tn_sql_table *t = table_of(a, f);
		bool last = i + 1 == s->count ||
		    !is_same_part(f, &s->files[i + 1]);
		if (f->time_max > newest)
			newest = f->time_max;
		if (last && t != NULL && t->cold_after_us < 0 &&
		    newest < INT64_MAX - after_us)
			add_time(n, newest + after_us);
		if (last)
			newest = INT64_MIN;
	}
	tn_catalog_snapshot_put(s);
}

static void
add_days(struct app *a, struct next *n, const struct tn_governance_stream *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(a->catalog);
	uint32_t first, count = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g->id, &first);

	for (uint32_t i = first; i < first + count; i++) {
		int64_t in_day = s->files[i].time_max % DAY_US;
		int64_t day = s->files[i].time_max -
		    (in_day < 0 ? in_day + DAY_US : in_day);
		/* Rows beyond all dates never leave. */
		if (!__builtin_add_overflow(day, DAY_US +
		    g->table->retention_us, &day))
			add_time(n, day);
	}
	tn_catalog_snapshot_put(s);
}

/* ---- words ---------------------------------------------------------------- */

static void
put_str(struct tn_buf *out, const char *name, const char *text)
{
	tn_buf_printf(out, ",\"%s\":\"", name);
	tn_buf_json(out, text, strlen(text));
	tn_buf_char(out, '"');
}

static void
put_next(struct tn_buf *out, const struct next *n)
{
	tn_buf_str(out, ",\"next\":[");
	for (uint32_t i = 0; i < n->count; i++) {
		if (i > 0)
			tn_buf_char(out, ',');
		tn_record_print_json_time(out, n->at[i]);
	}
	tn_buf_str(out, "]}");
}

static enum tn_status
put_setting(struct app *a, const struct shown *s, int64_t now_us,
    struct tn_buf *out)
{
	const char *configured = a->configured->text[s->i];
	struct next n = { .now_us = now_us };
	enum tn_status st = TN_OK;

	tn_buf_str(out, "{\"editable\":true");
	put_str(out, "name", tn_app_setting_name(s->i));
	put_str(out, "about", tn_app_setting_doc(s->i));
	put_str(out, "value", s->text);
	put_str(out, "configured", configured);
	put_str(out, "default", tn_app_setting_default(s->i));
	tn_buf_printf(out, ",\"source\":\"%s\"", s->set_us != 0 ?
	    "alter system" : strcmp(configured, tn_app_setting_default(s->i))
	    != 0 ? "configuration" : "default");
	tn_buf_str(out, ",\"set_at\":");
	if (s->set_us > 1)
		tn_record_print_json_time(out, s->set_us);
	else
		tn_buf_str(out, "null");
	if (s->i == TN_SET_CUT_INTERVAL)
		add_ticks(&n, s, __atomic_load_n(&a->cut_next_us,
		    __ATOMIC_RELAXED));
	else if (s->i == TN_SET_INBOX_SCAN)
		add_ticks(&n, s, tn_inbox_due(a->inbox));
	else if (s->i == TN_SET_SNAPSHOT_KEEP)
		st = add_snapshots(a, &n, s->number);
	else if (s->i == TN_SET_COLD_AFTER)
		add_moves(a, &n, s->number);
	put_next(out, &n);
	return st;
}

/* What tables say themselves, and a start reads. */
static void
put_retention(struct app *a, int64_t now_us, struct tn_buf *out)
{
	for (uint32_t i = 0; i < a->model->stream_count; i++) {
		const struct tn_governance_stream *g = &a->model->streams[i];
		struct next n = { .now_us = now_us };
		if (g->table->retention_us <= 0)
			continue;
		tn_buf_str(out, ",{\"editable\":false,\"name\":\"retention\"");
		put_str(out, "table", g->table->name);
		tn_buf_printf(out, ",\"us\":%lld",
		    (long long)g->table->retention_us);
		add_days(a, &n, g);
		put_next(out, &n);
	}
}

static enum tn_status
put_asked(struct app *a, const char *name, const char *value, int64_t now_us,
    struct tn_buf *out, struct tn_diag *d)
{
	struct shown s = { .asked = true, .set_us = 1 };
	enum tn_status st;

	while (s.i < TN_SET_COUNT && (!tn_app_is_tunable(s.i) ||
	    strcmp(tn_app_setting_name(s.i), name) != 0))
		s.i++;
	if (s.i == TN_SET_COUNT)
		return tn_diag_set(d, TN_EINVAL, "unknown_setting",
		    "\"%.80s\" is no setting that can change", name);
	st = tn_app_setting_parse(s.i, value, &s.number, d);
	if (st != TN_OK)
		return st;
	(void)snprintf(s.text, sizeof s.text, "%s", value);
	return put_setting(a, &s, now_us, out);
}

enum tn_status
tn_app_schedule_json(void *app, const char *name, const char *value,
    struct tn_buf *out, struct tn_diag *d)
{
	struct app *a = app;
	int64_t now_us = tn_os_wall_us();
	enum tn_status st = TN_OK;
	bool first = true;

	tn_buf_str(out, "{\"schedules\":[");
	if (name != NULL) {
		st = put_asked(a, name, value, now_us, out, d);
		tn_buf_str(out, "]}");
		return st;
	}
	for (enum tn_app_setting i = 0; st == TN_OK && i < TN_SET_COUNT; i++) {
		struct shown s = { .i = i };
		if (!tn_app_is_tunable(i) || (i == TN_SET_COLD_AFTER &&
		    tn_lake_cold_folder(a->lake) == NULL))
			continue;
		tn_net_lock_take(a->tuning);
		memcpy(s.text, a->set.text[i], sizeof s.text);
		s.number = a->set.number[i];
		s.set_us = a->set_us[i];
		tn_net_lock_drop(a->tuning);
		if (!first)
			tn_buf_char(out, ',');
		first = false;
		st = put_setting(a, &s, now_us, out);
	}
	put_retention(a, now_us, out);
	tn_buf_str(out, "]}");
	return st;
}
