/* Settings that change while the program runs: when batch and the drop folder do
 * what. ALTER SYSTEM SET over the SQL door:
 *
 *   calls   the value is checked as one of the configuration would be, then
 *           written down in the catalog (setting:NAME)
 *   loop    it is in force: timers begin anew, batch is told
 *
 * What is written down goes before the configuration's folder, also at the next
 * starts, until ALTER SYSTEM RESET: so does PostgreSQL, whose statement this is.
 * Each start says what goes before what. All other settings are read once, at
 * the start: a statement for one of them is refused.
 *
 * What can go wrong: the catalog cannot be written: nothing changes. A value
 * of before that is none any more is left alone, and said. */
#include "app/tune_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum tn_app_setting tunable[] = {
	TN_SET_CUT_INTERVAL, TN_SET_CUT_ROWS, TN_SET_INBOX_SCAN,
	TN_SET_SNAPSHOT_KEEP, TN_SET_COLD_AFTER,
};

bool
tn_app_is_tunable(enum tn_app_setting i)
{
	for (uint32_t k = 0; k < TN_COUNT(tunable); k++)
		if (tunable[k] == i)
			return true;
	return false;
}

static void
key_of(enum tn_app_setting i, char key[static 80])
{
	snprintf(key, 80, "setting:%s", tn_app_setting_name(i));
}

/* ---- in force --------------------------------------------------------- */

static void
cut_time(void *arg)
{
	struct app *a = arg;

	__atomic_store_n(&a->cut_next_us, tn_os_mono_us() +
	    a->set.number[TN_SET_CUT_INTERVAL], __ATOMIC_RELAXED);
	tn_app_engine_cut(a, "timer");
}

static void
time_cuts(struct app *a)
{
	int64_t us = a->set.number[TN_SET_CUT_INTERVAL];

	if (a->cut_timer == NULL)
		return;
	__atomic_store_n(&a->cut_next_us, tn_os_mono_us() + us,
	    __ATOMIC_RELAXED);
	tn_net_timer_start(a->cut_timer, (uint64_t)us / 1000,
	    (uint64_t)us / 1000);
}

void
tn_app_cuts_open(struct app *a)
{
	a->cut_timer = tn_net_timer_new(a->loop, cut_time, a);
	time_cuts(a);
}

static void
tell_batch(struct app *a)
{
	const int64_t *n = a->set.number;
	struct tn_batch_tuned t = { .garbage_us = n[TN_SET_SNAPSHOT_KEEP],
	    .cold_after_us = n[TN_SET_COLD_AFTER] > 0 ?
	    n[TN_SET_COLD_AFTER] : 1 };

	tn_batch_tune(a->batch, &t);
	tn_objects_keep(a->objects, t.garbage_us);
}

/* On the loop. */
static void
put_in_force(struct app *a, enum tn_app_setting i, const char *text,
    int64_t number, int64_t since_us)
{
	tn_http_setting_gone(a->http, (uint32_t)i);
	tn_net_lock_take(a->tuning);
	snprintf(a->set.text[i], sizeof a->set.text[i], "%s", text);
	__atomic_store_n(&a->set.number[i], number, __ATOMIC_RELAXED);
	a->set_us[i] = since_us;
	tn_net_lock_drop(a->tuning);
	/* What it is for may be gone; the next start has it. */
	if (a->stopping)
		return;
	if (i == TN_SET_CUT_INTERVAL)
		time_cuts(a);
	else if (i == TN_SET_INBOX_SCAN)
		tn_inbox_every(a->inbox, number);
	else if (i != TN_SET_CUT_ROWS)
		tell_batch(a);
}

/* ---- the start ---------------------------------------------------------- */

static void
take_kept(struct app *a, enum tn_app_setting i, const char *kept)
{
	char *text = NULL;
	long long since = strtoll(kept, &text, 10);
	struct tn_diag d = { .line = 0 };
	int64_t v = 0;

	text += *text == ' ';
	if (tn_app_setting_parse(i, text, &v, &d) != TN_OK) {
		tn_say(TN_WARN, "app", "%s as ALTER SYSTEM set it is left "
		    "alone: %s", tn_app_setting_name(i), d.message);
		return;
	}
	tn_say(TN_INFO, "app", "%s is '%s', set by ALTER SYSTEM; before the "
	    "configuration's '%s'", tn_app_setting_name(i), text,
	    a->set.text[i]);
	snprintf(a->set.text[i], sizeof a->set.text[i], "%s", text);
	a->set.number[i] = v;
	a->set_us[i] = since > 0 ? since : 1;
}

enum tn_status
tn_app_tune_load(struct app *a)
{
	struct tn_arena *arena = tn_arena_new(1024);
	enum tn_status st = TN_OK;

	a->tuning = tn_net_lock_new();
	a->configured = tn_alloc(sizeof *a->configured);
	*a->configured = a->set;
	for (uint32_t k = 0; st == TN_OK && k < TN_COUNT(tunable); k++) {
		const char *text = NULL;
		char key[80];
		key_of(tunable[k], key);
		st = tn_catalog_get(a->catalog, key, arena, &text);
		if (st == TN_OK)
			take_kept(a, tunable[k], text);
		if (st == TN_ENOTFOUND)
			st = TN_OK;
	}
	tn_arena_free(arena);
	return st;
}

void
tn_app_tune_close(struct app *a)
{
	tn_net_lock_free(a->tuning);
	tn_free(a->configured);
	a->tuning = NULL;
	a->configured = NULL;
}

/* ---- the statement -------------------------------------------------------- */

struct alter {
	struct tn_net_job job;           /* First. */
	struct tn_app_proc *p;
	enum tn_app_setting i;
	const char *text;
	int64_t number;
	int64_t since_us;                /* 0: as the configuration says. */
};

static const struct tn_field answer_fields[] = {
	{ "name", { .id = TN_T_TEXT }, false },
	{ "value", { .id = TN_T_TEXT }, false },
	{ "detail", { .id = TN_T_TEXT }, false },
};
static const struct tn_schema answer_schema = { .name = "alter",
    .count = TN_COUNT(answer_fields), .fields = answer_fields };

static void
put_text(struct tn_builder *b, uint32_t column, const char *s)
{
	tn_record_builder_text(b, column, (const uint8_t *)s, strlen(s));
}

static void
answer(struct alter *x, const char *was)
{
	struct tn_builder *b = tn_record_builder_new(&answer_schema, 1);
	const char *name = tn_app_setting_name(x->i);
	const char *file = x->p->a->configured->text[x->i];

	put_text(b, 0, name);
	put_text(b, 1, x->text);
	put_text(b, 2, x->since_us == 0 ? tn_arena_printf(x->p->arena,
	    "%s is '%s' again, as the configuration says; it was '%s'", name,
	    x->text, was) : tn_arena_printf(x->p->arena, "%s is '%s' from now "
	    "on and at later starts; it was '%s'. The configuration's '%s' "
	    "comes back with ALTER SYSTEM RESET %s", name, x->text, was, file,
	    name));
	tn_record_builder_row_end(b);
	tn_app_proc_rows(x->p, b);
	tn_app_proc_end(x->p);
}

/* On the loop. */
static void
altered(struct tn_net_job *job)
{
	struct alter *x = (struct alter *)job;
	struct app *a = x->p->a;
	const char *was = tn_arena_strdup(x->p->arena, a->set.text[x->i]);

	put_in_force(a, x->i, x->text, x->number, x->since_us);
	tn_say(TN_INFO, "app", "ALTER SYSTEM: %s is '%s', it was '%s'",
	    tn_app_setting_name(x->i), x->text, was);
	answer(x, was);
}

static enum tn_status
find_setting(const char *name, enum tn_app_setting *i, struct tn_diag *d)
{
	uint32_t k = 0;

	while (k < TN_SET_COUNT && strcmp(name, tn_app_setting_name(
	    (enum tn_app_setting)k)) != 0)
		k++;
	*i = (enum tn_app_setting)k;
	if (k < TN_SET_COUNT && tn_app_is_tunable(*i))
		return TN_OK;
	if (k == TN_SET_COUNT) {
		tn_diag_hint(d, "GET /api/v1/settings lists them");
		return tn_diag_set(d, TN_EINVAL, "unknown_setting",
		    "there is no setting \"%.80s\"", name);
	}
	tn_diag_hint(d, "write it in a .sql file of the configuration and "
	    "start Tarn anew; while it runs cut_interval, cut_rows, "
	    "inbox_scan_interval, snapshot_keep and cold_after can change");
	return tn_diag_set(d, TN_EUNSUPPORTED, "setting_fixed",
	    "%s is read at the start only", name);
}

/* Checked, then written down. */
static enum tn_status
keep_value(struct alter *x, const char *value, struct tn_diag *d)
{
	struct tn_app_proc *p = x->p;
	const char *kept = NULL;
	enum tn_status st;
	char key[80];

	x->text = value != NULL ? value : p->a->configured->text[x->i];
	st = tn_app_setting_parse(x->i, x->text, &x->number, d);
	if (st == TN_OK && value != NULL) {
		x->since_us = tn_os_wall_us();
		kept = tn_arena_printf(p->arena, "%lld %s",
		    (long long)x->since_us, value);
	}
	key_of(x->i, key);
	if (st == TN_OK) {
		st = tn_catalog_set(p->a->catalog, key, kept);
		if (st != TN_OK)
			tn_diag_set(d, st, "catalog", "it could not be "
			    "written down, and nothing was changed: %s",
			    tn_status_text(st));
	}
	return st;
}

void
tn_app_alter(struct tn_net_job *job)
{
	struct tn_app_proc *p = (struct tn_app_proc *)job;
	struct tn_diag *d = &p->answer->diag;
	struct alter *x = tn_arena_zalloc(p->arena, sizeof *x);
	struct tn_sql_alter sql;

	x->p = p;
	x->job.run = altered;
	p->answer->status = tn_sql_alter_parse(p->text, p->arena, &sql, d);
	if (p->answer->status == TN_OK)
		p->answer->status = find_setting(sql.name, &x->i, d);
	if (p->answer->status == TN_OK)
		p->answer->status = keep_value(x, sql.value, d);
	if (p->answer->status != TN_OK)
		tn_app_proc_end(p);
	else
		tn_net_loop_post(p->a->loop, &x->job);
}
