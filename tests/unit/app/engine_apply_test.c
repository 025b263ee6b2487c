/* Definitions that change while the engine runs, and at its starts: after any
 * order of events, cuts, applies and restarts every view is its SELECT over all
 * accepted events; what fails leaves the old; rows of the quarantine come back
 * once each when their CHECK lets them. */
#include "engine_fixture.h"

#include "app/plan_int.h"

#define HEAD "ALTER SYSTEM SET objects = 'off';" \
	"ALTER SYSTEM SET holistic_state_bytes = '4 KiB';" \
	"CREATE TABLE e (id text NOT NULL, ts timestamptz NOT NULL," \
	" g text NOT NULL, n int NOT NULL CHECK (n < %u))" \
	" WITH (event_time = 'ts', max_future_skew = '40000 days');" \
	"CREATE TABLE r (g text PRIMARY KEY, city text)" \
	" WITH (kind = 'reference');"

/* Views, each in two definitions. */
static const struct { const char *name, *sql[2]; } defs[] = {
	{ "a", { "SELECT g, count(*) AS c FROM e GROUP BY g",
	    "SELECT g, count(*) AS c, sum(n) AS s FROM e GROUP BY g" } },
	{ "b", { "SELECT date_bin('1 day', ts, 'epoch') AS d, count(DISTINCT "
	    "id) AS u FROM e GROUP BY d", "SELECT date_bin('1 hour', ts, "
	    "'epoch') AS h, g, max(n) AS m FROM e WHERE n > 20 GROUP BY h, "
	    "g" } },
	{ "c", { "SELECT r.city, count(*) AS c FROM e LEFT JOIN r ON r.g = "
	    "e.g GROUP BY r.city", "SELECT r.city, min(e.n) AS c FROM e JOIN "
	    "r ON r.g = e.g GROUP BY r.city" } },
	{ "t", { "SELECT count(*) AS c, sum(n) AS s FROM e",
	    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS p FROM "
	    "e" } },
};
enum { DEFS = TN_COUNT(defs) };

struct world {
	uint64_t seed;
	uint32_t events, limit;
	int have[DEFS];              /* -1: no such view. */
	char text[4000];
	/* Of every event: its n. */
	uint32_t n[4000];
	bool taken[4000];
};

static uint32_t
below(struct world *w, uint32_t n)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(w->seed >> 33) % n;
}

static void
write_text(struct world *w)
{
	int at = snprintf(w->text, sizeof w->text, HEAD, w->limit);

	for (size_t i = 0; i < DEFS; i++)
		if (w->have[i] >= 0)
			at += snprintf(w->text + at, sizeof w->text -
			    (size_t)at, "CREATE MATERIALIZED VIEW %s AS %s;",
			    defs[i].name, defs[i].sql[w->have[i]]);
}

static void
post_some(struct fixture *f, uint32_t count)
{
	struct world *w = f->arg;
	struct tn_buf b = { 0 };
	uint64_t good = 0;
	struct call c;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t k = w->events++;
		w->n[k] = below(w, 100);
		w->taken[k] = w->n[k] < w->limit;
		good += w->taken[k];
		tn_buf_printf(&b, "{\"id\":\"e%u\",\"ts\":\"2026-03-%02uT%02u:"
		    "00:00Z\",\"g\":\"g%u\",\"n\":%u}\n", (unsigned)k,
		    (unsigned)below(w, 5) + 1, (unsigned)below(w, 24),
		    (unsigned)below(w, 4), (unsigned)w->n[k]);
	}
	c = post(f, "e", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.accepted, good);
	tn_buf_fini(&b);
}

static void
post_city(struct fixture *f)
{
	struct world *w = f->arg;
	char body[100];

	snprintf(body, sizeof body, "{\"g\":\"g%u\",\"city\":\"c%u\"}",
	    (unsigned)below(w, 4), (unsigned)below(w, 3));
	(void)post(f, "r", body, NULL);
}

static void
expect_same(struct fixture *f, const char *view_sql, const char *direct)
{
	struct call a = { .f = f, .sql = view_sql };
	struct call b = { .f = f, .sql = direct };
	char *x, *y;

	tn_speed_flush(f->a.speed);
	x = answer_of(&a);
	y = answer_of(&b);
	assert_string_equal(x, y);
	tn_free(x);
	tn_free(y);
}

static void
check_views(struct fixture *f)
{
	struct world *w = f->arg;
	char x[400], y[400];
	uint64_t count = 0, sum = 0;

	for (size_t i = 0; i < DEFS; i++) {
		assert_int_equal(tn_serving_view_find(f->a.model,
		    tn_slice_of(defs[i].name)) >= 0, w->have[i] >= 0);
		if (w->have[i] < 0)
			continue;
		snprintf(x, sizeof x, "SELECT * FROM %s ORDER BY 1%s",
		    defs[i].name, i == 1 && w->have[i] == 1 ? ", 2" : "");
		snprintf(y, sizeof y, "%s ORDER BY 1%s", defs[i].sql[
		    w->have[i]], i == 1 && w->have[i] == 1 ? ", 2" : "");
		expect_same(f, x, y);
	}
	for (uint32_t k = 0; k < w->events; k++)
		if (w->taken[k]) {
			count++;
			sum += w->n[k];
		}
	snprintf(y, sizeof y, "c,s\n%llu,%llu\n", (unsigned long long)count,
	    (unsigned long long)sum);
	expect_sql(f, "SELECT count(*) AS c, coalesce(sum(n), 0) AS s FROM e",
	    y);
}

/* ---- apply ----------------------------------------------------------- */

struct applied {
	struct tn_net_job job;
	struct fixture *f;
	const char *text;
	bool apply;
	enum tn_status st;
	struct tn_diag d;
	char json[4000];
	struct tn_net_latch *latch;
};

static void
told(void *arg, enum tn_status st, const struct tn_diag *d,
    struct tn_slice json)
{
	struct applied *x = arg;

	x->st = st;
	x->d = *d;
	snprintf(x->json, sizeof x->json, "%.*s", (int)json.n,
	    json.n > 0 ? (const char *)json.p : "");
	tn_net_latch_open(x->latch);
}

static void
run_ask(struct tn_net_job *job)
{
	struct applied *x = (struct applied *)job;
	struct tn_http_text file = { "test.sql", tn_slice_of(x->text) };
	struct tn_http_texts q = { .apply = x->apply, .files = &file,
	    .count = 1 };

	tn_app_definitions_run(&x->f->a, &q, told, x);
}

static struct applied
ask(struct fixture *f, const char *text, bool apply)
{
	struct applied x = { .f = f, .text = text, .apply = apply };

	x.job.run = run_ask;
	x.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &x.job);
	tn_net_latch_wait(x.latch);
	tn_net_latch_free(x.latch);
	return x;
}

static void
change_views(struct fixture *f)
{
	struct world *w = f->arg;
	struct applied x;

	for (size_t i = 0; i < DEFS; i++)
		if (below(w, 2) == 0)
			w->have[i] = (int)below(w, 3) - 1;
	write_text(w);
	x = ask(f, w->text, true);
	if (x.st != TN_OK)
		print_message("%s\n", x.d.message);
	assert_int_equal(x.st, TN_OK);
	x = ask(f, w->text, false);
	assert_int_equal(x.st, TN_OK);
	assert_non_null(strstr(x.json, "{\"changes\":0,"));
}

static void
random_steps(struct fixture *f)
{
	struct world *w = f->arg;

	check_views(f);
	for (int step = 0; step < 14; step++) {
		uint32_t dice = below(w, 10);
		if (dice < 4)
			post_some(f, 1 + below(w, 30));
		else if (dice < 5)
			post_city(f);
		else if (dice < 7)
			assert_int_equal(batch(f, TN_BATCH_CUT).status,
			    TN_OK);
		else
			change_views(f);
		if (below(w, 2) == 0)
			check_views(f);
	}
	check_views(f);
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

static uint64_t
seed_of(void)
{
	const char *text = getenv("TARN_SEED");
	uint64_t seed = 0;

	if (text == NULL || !tn_parse_u64(tn_slice_of(text), &seed))
		tn_os_random(&seed, sizeof seed);
	seed &= UINT32_MAX;
	print_message("TARN_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static void
begin(struct fixture *f, struct world *w)
{
	memset(w, 0, sizeof *w);
	w->seed = seed_of();
	w->limit = 80;
	for (size_t i = 0; i < DEFS; i++)
		w->have[i] = i == 3 ? -1 : 0;
	write_text(w);
	make_dir(f);
	f->arg = w;
	f->pipeline = w->text;
}

/* Goal: after random events, cuts, applies and restarts each view is what its
 * SELECT gives over all rows, and verify finds it so. */
static void
test_random(void **state)
{
	struct world *w = tn_alloc(sizeof *w);
	struct fixture f;

	(void)state;
	begin(&f, w);
	for (int session = 0; session < 4; session++)
		run_script(&f, random_steps);
	remove_dir(&f);
	tn_free(w);
}

/* ---- batch's part ---------------------------------------------------- */

static void
late(struct fixture *f)
{
	struct world *w = f->arg;
	struct tn_serving_change c = { .model = f->a.model };
	struct tn_batch_request q = { .kind = TN_BATCH_APPLY,
	    .reason = "request", .change = &c };
	struct tn_batch_report r = { .status = TN_OK };
	struct tn_sql_source s;
	struct tn_diag d;

	post_some(f, 40);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	post_some(f, 20);
	w->have[0] = 1;
	w->have[3] = 1;
	write_text(w);
	s = (struct tn_sql_source){ "test.sql", tn_slice_of(w->text) };
	assert_int_equal(tn_sql_load(&c.pipeline, &s, 1, &d), TN_OK);
	assert_int_equal(tn_serving_change_add(&c, tn_sql_view(c.pipeline,
	    tn_slice_of("a")), &d), TN_OK);
	assert_int_equal(tn_serving_change_add(&c, tn_sql_view(c.pipeline,
	    tn_slice_of("t")), &d), TN_OK);
	for (uint32_t i = 0; i < 2; i++)
		c.built[i].states = tn_exec_fold_new(f->a.model->views[
		    c.built[i].view].program);
	assert_int_equal(tn_batch_run(f->a.batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
	tn_serving_change_fini(&c);
	check_views(f);
	post_some(f, 10);
	check_views(f);
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
	check_views(f);
}

/* Goal: states that lack all that cuts have added since get it in batch's
 * job: rows of silver, and those of the log. */
static void
test_late(void **state)
{
	struct world *w = tn_alloc(sizeof *w);
	struct fixture f;

	(void)state;
	begin(&f, w);
	run_script(&f, late);
	run_script(&f, check_views);
	remove_dir(&f);
	tn_free(w);
}

/* ---- failures -------------------------------------------------------- */

static void
damage(struct fixture *f)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    f->a.catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_BRONZE,
	    f->a.model->streams[0].id, &first);
	char path[400];
	FILE *file;

	assert_true(n > 0);
	snprintf(path, sizeof path, "%s/lake/%s", f->dir,
	    s->files[first].path);
	file = fopen(path, "r+b");
	assert_non_null(file);
	for (long at = 4; at < 400; at += 7) {
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		assert_int_equal(fputc(0x55, file), 0x55);
	}
	assert_int_equal(fclose(file), 0);
	tn_catalog_snapshot_put(s);
}

static uint32_t
prepared(struct fixture *f)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_catalog_prepared *all;
	uint32_t count;

	assert_int_equal(tn_catalog_prepared(f->a.catalog, a, &all, &count),
	    TN_OK);
	tn_arena_free(a);
	return count;
}

static void
refused(struct fixture *f)
{
	struct world *w = f->arg;
	struct applied x;
	char text[4000];

	post_some(f, 50);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	post_some(f, 10);
	x = ask(f, "CREATE TABLE e (", true);
	assert_int_equal(x.st, TN_EINVAL);
	assert_non_null(strstr(x.d.message, "test.sql:1:"));
	/* Tables wait for a start: silver is prepared, nothing else is done. */
	snprintf(text, sizeof text, "%s", w->text);
	memcpy(strstr(text, "n < 80"), "n < 90", 6);
	memcpy(strstr(text, "count(*) AS c"), "count(*) AS k", 13);
	x = ask(f, text, true);
	assert_int_equal(x.st, TN_OK);
	assert_non_null(strstr(x.json, "\"restart\":false"));
	assert_non_null(strstr(x.json, "restart Tarn to take it"));
	assert_int_equal(prepared(f), 1);
	check_views(f);
	/* Not any more. */
	x = ask(f, w->text, true);
	assert_int_equal(x.st, TN_OK);
	assert_int_equal(prepared(f), 0);
	/* What silver gives cannot be compared with the raw bytes. */
	damage(f);
	snprintf(text, sizeof text, "%s", w->text);
	memcpy(strstr(text, "count(*) AS c"), "count(*) AS k", 13);
	x = ask(f, text, true);
	assert_int_not_equal(x.st, TN_OK);
	assert_true(x.d.message[0] != '\0');
	check_views(f);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	check_views(f);
}

/* Goal: a mistake in the text, a table that changes, and raw bytes that do not
 * agree leave what is served as it is, and cuts go on. */
static void
test_refused(void **state)
{
	struct world *w = tn_alloc(sizeof *w);
	struct fixture f;

	(void)state;
	begin(&f, w);
	run_script(&f, refused);
	remove_dir(&f);
	tn_free(w);
}

/* ---- what comes back, what goes --------------------------------------- */

#define OFF "ALTER SYSTEM SET objects = 'off';"
#define TWO OFF "CREATE TABLE e (g text, n int);" \
	"CREATE MATERIALIZED VIEW a AS SELECT count(*) AS c FROM e;"
#define MORE "CREATE TABLE x (g text, n int);"
#define MORE_VIEW "CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c FROM x;"

static void
nothing(struct fixture *f)
{
	struct applied x = ask(f, f->pipeline, false);

	assert_int_equal(x.st, TN_OK);
	assert_non_null(strstr(x.json, "{\"changes\":0,"));
}

static void
come_back(struct fixture *f)
{
	static const char *const texts[] = { TWO MORE MORE_VIEW, TWO MORE,
	    OFF MORE "CREATE TABLE e (g text, n int);" "CREATE MATERIALIZED VIEW "
	    "a AS SELECT count(*) AS k FROM e;" };
	struct tn_serving_change c = { .model = f->a.model };
	struct tn_sql_source s = { "test.sql", tn_slice_of(texts[0]) };
	struct tn_diag d = { .line = 0 };

	for (size_t i = 0; i < TN_COUNT(texts); i++) {
		struct applied x = ask(f, texts[i], true);
		assert_int_equal(x.st, TN_ECONFLICT);
		assert_string_equal(x.d.code, "needs_restart");
		assert_non_null(strstr(x.d.message, "x is a new table"));
	}
	assert_int_equal(tn_sql_load(&c.pipeline, &s, 1, &d), TN_OK);
	assert_int_equal(tn_serving_change_add(&c, tn_sql_view(c.pipeline,
	    tn_slice_of("v")), &d), TN_ECONFLICT);
	assert_int_equal(c.built_count, 0);
	tn_serving_change_fini(&c);
	nothing(f);
}

/* Goal: a table that was left out for a while and is put back with the same
 * text is not in the model: it waits for a start, which takes it. */
static void
test_come_back(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = TWO MORE MORE_VIEW;
	run_script(&f, nothing);
	f.pipeline = TWO;
	run_script(&f, come_back);
	f.pipeline = TWO MORE MORE_VIEW;
	run_script(&f, nothing);
	remove_dir(&f);
}

#define ROOM(limit) "CREATE TABLE room (emp int PRIMARY KEY, team text " \
	"CHECK (team <> '" limit "')) WITH (kind = 'reference');"

static void
move_team(struct fixture *f)
{
	struct call c = post(f, "room", "{\"emp\":7,\"team\":\"X\"}", NULL);

	assert_int_equal(c.result.accepted, 0);
	c = post(f, "room", "{\"emp\":7,\"team\":\"Y\"}", NULL);
	assert_int_equal(c.result.accepted, 1);
}

static void
team_stays(struct fixture *f)
{
	expect_sql(f, "SELECT emp, team FROM room", "emp,team\n7,Y\n");
}

/* Goal: a row of a reference table that a CHECK refused does not replace a
 * later one of its key when the CHECK lets it. */
static void
test_reference(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = ROOM("X");
	run_script(&f, move_team);
	f.pipeline = ROOM("Z");
	run_script(&f, team_stays);
	remove_dir(&f);
}

#define SENT OFF "CREATE TABLE e (g text, n int);" \
	"CREATE MATERIALIZED VIEW s WITH (publish = 'live/{g}') AS " \
	"SELECT g, count(*) AS c FROM e GROUP BY g;"

static void
stop_publishing(struct fixture *f)
{
	static const char *const texts[] = { OFF "CREATE TABLE e (g text, n int);"
	    "CREATE MATERIALIZED VIEW s AS SELECT count(*) AS k, g FROM e "
	    "GROUP BY g;", OFF "CREATE TABLE e (g text, n int);" };

	for (size_t i = 0; i < TN_COUNT(texts); i++) {
		struct applied x = ask(f, texts[i], false);
		assert_int_equal(x.st, TN_OK);
		assert_non_null(strstr(x.json, "\"restart\":true"));
		x = ask(f, texts[i], true);
		assert_int_equal(x.st, TN_ECONFLICT);
		assert_non_null(strstr(x.d.message, "s is a view with "
		    "publish"));
	}
}

/* Goal: a view that publishes waits for a start, too, when the new text
 * publishes it no more or has it no more. */
static void
test_published(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = SENT;
	run_script(&f, stop_publishing);
	remove_dir(&f);
}

/* ---- retention ------------------------------------------------------- */

#define KEPT OFF "CREATE TABLE e (n int8, ts timestamptz NOT NULL) WITH " \
	"(event_time = 'ts', retention = '10 days');" \
	"CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d, " \
	"count(*) AS c FROM e GROUP BY d;"
/* One bucket that reaches from long ago to long from now, and one a day. */
#define ANEW KEPT "CREATE MATERIALIZED VIEW age AS SELECT " \
	"date_bin('36500 days', ts, 'epoch') AS a, count(*) AS c FROM e " \
	"GROUP BY a; CREATE MATERIALIZED VIEW fresh AS SELECT " \
	"date_trunc('day', ts) AS d, count(*) AS c FROM e GROUP BY d; " \
	"CREATE MATERIALIZED VIEW total AS SELECT count(*) AS c FROM e;"

static void
post_at(struct fixture *f, int days_ago)
{
	char body[100], time[40];
	time_t t = (time_t)(tn_os_wall_us() / 1000000) - days_ago * 86400;
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	(void)strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(body, sizeof body, "{\"n\":1,\"ts\":\"%s\"}\n", time);
	assert_int_equal(post(f, "e", body, NULL).result.status, TN_OK);
}

static void
expect_kept(struct fixture *f)
{
	expect_sql(f, "SELECT sum(c) AS s FROM days", "s\n8\n");
	expect_sql(f, "SELECT c AS s FROM age", "s\n3\n");
	expect_sql(f, "SELECT sum(c) AS s FROM fresh", "s\n3\n");
	expect_sql(f, "SELECT c FROM total", "c\n3\n");
}

static void
apply_after_retention(struct fixture *f)
{
	struct applied x;

	for (int i = 0; i < 5; i++)
		post_at(f, 40 + i);
	for (int i = 0; i < 3; i++)
		post_at(f, i);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	expect_sql(f, "SELECT count(*) AS s FROM e", "s\n3\n");
	x = ask(f, ANEW, true);
	assert_int_equal(x.st, TN_OK);
	assert_non_null(strstr(x.json, "total: counts only the rows that "
	    "retention has left"));
	expect_kept(f);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

/* What comes later is added to what was left. */
static void
one_more_day(struct fixture *f)
{
	expect_kept(f);
	post_at(f, 0);
	assert_int_equal(batch(f, TN_BATCH_CUT).status, TN_OK);
	expect_sql(f, "SELECT c AS s FROM age", "s\n4\n");
	expect_sql(f, "SELECT sum(c) AS s FROM fresh", "s\n4\n");
	assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

/* Goal: a view that comes while tarn runs counts in the bucket that lost some
 * of its rows those that are left, and has no bucket of which all are gone. */
static void
test_retention(void **state)
{
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = KEPT;
	run_script(&f, apply_after_retention);
	f.pipeline = ANEW;
	run_script(&f, one_more_day);
	remove_dir(&f);
}

/* ---- quarantine ------------------------------------------------------ */

static void
quarantine_steps(struct fixture *f)
{
	struct world *w = f->arg;

	check_views(f);
	for (int step = 0; step < 4; step++) {
		post_some(f, 1 + below(w, 20));
		if (below(w, 3) == 0)
			assert_int_equal(batch(f, TN_BATCH_CUT).status,
			    TN_OK);
	}
	check_views(f);
	if (below(w, 2) == 0)
		assert_int_equal(batch(f, TN_BATCH_VERIFY).status, TN_OK);
}

/* Goal: over starts with random CHECKs, and without a key that would drop a
 * second one, a row is accepted from the first
 * definition on that lets it pass, once; what was accepted stays. */
static void
test_quarantine(void **state)
{
	struct world *w = tn_alloc(sizeof *w);
	struct fixture f;

	(void)state;
	begin(&f, w);
	for (int session = 0; session < 7; session++) {
		run_script(&f, quarantine_steps);
		w->limit = 1 + below(w, 100);
		write_text(w);
		for (uint32_t k = 0; k < w->events; k++)
			w->taken[k] = w->taken[k] || w->n[k] < w->limit;
	}
	run_script(&f, check_views);
	remove_dir(&f);
	tn_free(w);
}

/* ---- differences ----------------------------------------------------- */

static void
expect_diff(const char *was, const char *is, const char *want)
{
	struct tn_sql_source s = { "x", tn_slice_of(was) };
	struct tn_sql_source t = { "y", tn_slice_of(is) };
	struct tn_sql_pipeline *a = NULL, *b = NULL;
	struct tn_buf out = { 0 };

	assert_int_equal(tn_sql_load(&a, &s, 1, NULL), TN_OK);
	assert_int_equal(tn_sql_load(&b, &t, 1, NULL), TN_OK);
	tn_app_table_diff(a->tables[0], b->tables[0], &out);
	assert_string_equal(tn_buf_cstr(&out), want);
	tn_buf_fini(&out);
	tn_sql_pipeline_free(a);
	tn_sql_pipeline_free(b);
}

/* Goal: what changed of a table is named, and nothing else. */
static void
test_diff(void **state)
{
	(void)state;
	expect_diff("CREATE TABLE e (a int, b text)",
	    "CREATE TABLE e (a bigint NOT NULL, c date DEFAULT '2026-01-01')",
	    "column a: integer becomes bigint; column a: NOT NULL; column c "
	    "date is new; column b is gone");
	expect_diff("CREATE TABLE e (a int CHECK (a > 1) DEFAULT 2, b int "
	    "CHECK (b > 1))", "CREATE TABLE e (a int CHECK (a > 2) DEFAULT 3,"
	    " b int, CHECK (a < b))", "column a: its DEFAULT; e_a_check: "
	    "CHECK (a > 1) becomes (a > 2); e_check: CHECK (a < b) is new; "
	    "e_b_check: CHECK (b > 1) is gone");
	expect_diff("CREATE TABLE e (a int PRIMARY KEY, t timestamptz) WITH "
	    "(event_time = 't', dedupe_window = '1 day')",
	    "CREATE TABLE e (a int, t timestamptz) WITH (retention = "
	    "'9 days', sort_by = 'a', mqtt = 'x/{a}')",
	    "column a: may be null; column t: may be null; PRIMARY KEY; "
	    "event_time");
	expect_diff("CREATE TABLE e (a int, b int)",
	    "CREATE TABLE e (b int, a int)", "order of columns");
}

static void
expect_options(const char *was, const char *is, const char *want)
{
	struct tn_sql_source s = { "x", tn_slice_of(was) };
	struct tn_sql_source t = { "y", tn_slice_of(is) };
	struct tn_sql_pipeline *a = NULL, *b = NULL;
	struct tn_buf out = { 0 }, x = { 0 }, y = { 0 };

	assert_int_equal(tn_sql_load(&a, &s, 1, NULL), TN_OK);
	assert_int_equal(tn_sql_load(&b, &t, 1, NULL), TN_OK);
	if (a->view_count > 0) {
		tn_app_view_options(a->views[0], &x);
		tn_app_view_options(b->views[0], &y);
	} else {
		tn_app_table_options(a->tables[0], &x);
		tn_app_table_options(b->tables[0], &y);
	}
	tn_app_options_diff(tn_buf_cstr(&x), tn_buf_cstr(&y), &out);
	assert_string_equal(tn_buf_cstr(&out), want);
	tn_buf_fini(&out);
	tn_buf_fini(&x);
	tn_buf_fini(&y);
	tn_sql_pipeline_free(a);
	tn_sql_pipeline_free(b);
}

/* Goal: each option that changed is named with both values; neither its place
 * nor how a length of time is written counts. */
static void
test_options(void **state)
{
	static const char *const with[] = { "title = 'A', unit = 'ppm'",
	    "unit = 'ppm', title = 'A'", "title = 'B', position = 2" };
	char text[3][300];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		snprintf(text[i], sizeof text[i], "CREATE TABLE e (g text, "
		    "n int); CREATE MATERIALIZED VIEW v WITH (%s) AS SELECT g,"
		    " count(*) AS c FROM e GROUP BY g", with[i]);
	expect_options(text[0], text[1], "");
	expect_options(text[0], text[2], "position: none becomes 2; title: A "
	    "becomes B; unit: ppm becomes none");
	expect_options("CREATE TABLE e (a int PRIMARY KEY, t timestamptz)"
	    " WITH (event_time = 't', dedupe_window = '24 hours')",
	    "CREATE TABLE e (a int PRIMARY KEY, t timestamptz)"
	    " WITH (dedupe_window = '1 day', event_time = 't')", "");
	expect_options("CREATE TABLE e (a int PRIMARY KEY, t timestamptz)"
	    " WITH (event_time = 't', dedupe_window = '1 day',"
	    " cold_after = '9 hours')",
	    "CREATE TABLE e (a int PRIMARY KEY, t timestamptz) WITH"
	    " (event_time = 't', retention = '9 days', sort_by = 'a', mqtt ="
	    " 'x/{a}', cold_after = 'never')", "bronze_retention: forever "
	    "becomes 9 days; cold_after: 9 hours becomes never; "
	    "dedupe_window: 1 days becomes 7 days; mqtt: none becomes x/{a}; "
	    "retention: forever becomes 9 days; sort_by: none becomes a");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_come_back),
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_retention),
		cmocka_unit_test(test_quarantine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
