/* wrap: tn_catalog_publish */
/* Corrections: which published numbers a cut or a recompute is said to have
 * changed. The test owns the clock: a bucket has ended when the cut before was
 * published after its end. */
#include "test.h"

#include "batch_help.h"
#include "quiet.h"

static enum tn_status publish_fails;

enum tn_status __real_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status __wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status
__wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p)
{
	return publish_fails != TN_OK ? publish_fails :
	    __real_tn_catalog_publish(c, p);
}

#define TABLE \
	"CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL," \
	" office text NOT NULL, x double precision NOT NULL)" \
	" WITH (event_time = 'ts');" \
	"CREATE TABLE offices (office text PRIMARY KEY, city text)" \
	" WITH (kind = 'reference');"
#define HOURLY \
	"CREATE MATERIALIZED VIEW hourly AS SELECT office," \
	" date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS n," \
	" sum(x) AS total FROM ev GROUP BY office, hour;"

/* ---- the clock ------------------------------------------------------- */

static _Atomic int64_t now_us;   /* The batch thread looks, too. */
static struct tn_os_table table;

static int64_t
wall_us(void)
{
	return now_us;
}

static void
at(const char *time)
{
	int64_t us = 0;

	assert_true(tn_serving_time(tn_slice_of(time), &us));
	now_us = us;
}

static void
make(struct rig *g, const char *sql)
{
	table = tn_os_real;
	table.wall_us = wall_us;
	tn_os_use(&table);
	at("2026-03-01T10:00:30Z");
	publish_fails = TN_OK;
	rig_make(g, sql);
}

static void
drop(struct rig *g)
{
	rig_drop(g);
	tn_exec_ref_free(g->ref);
	tn_os_use(NULL);
}

/* ---- events ---------------------------------------------------------- */

/* One event a call: "berlin 08:10 1.5". */
static void
event(struct rig *g, const char *office, const char *time, double x)
{
	struct tn_buf b = { 0 };

	tn_buf_printf(&b, "{\"id\":\"e%u\",\"ts\":\"2026-03-01T%s:00Z\","
	    "\"office\":\"%s\",\"x\":%g}\n", g->rows++, time, office, x);
	append_text(g, 0, tn_buf_cstr(&b));
	tn_buf_fini(&b);
}

/* All corrections of a view, oldest first, a line each:
 * run key column old new. */
static char *
said(struct rig *g, const char *view)
{
	int v = tn_serving_view_find(g->model, tn_slice_of(view));
	struct tn_catalog_corrections_of q = {
	    .view = g->model->views[v].id, .from_us = INT64_MIN,
	    .to_us = INT64_MAX, .limit = 1000 };
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_correction *x;
	struct tn_buf out = { 0 };
	uint32_t n = 0;
	char *text;

	assert_int_equal(tn_catalog_corrections(g->catalog, &q, a, &x, &n),
	    TN_OK);
	for (uint32_t i = n; i-- > 0; )
		tn_buf_printf(&out, "%s %s %s %s\n", x[i].key, x[i].column,
		    x[i].before, x[i].after);
	text = tn_strdup(tn_buf_cstr(&out));
	tn_buf_fini(&out);
	tn_arena_free(a);
	return text;
}

static void
expect(struct rig *g, const char *view, const char *want)
{
	char *text = said(g, view);

	assert_string_equal(text, want);
	tn_free(text);
}

/* Rows that the newest run changed, compactions apart. */
static uint64_t
changed(struct rig *g)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_run *r;
	uint32_t n = 0, i = 0;
	uint64_t rows;

	assert_int_equal(tn_catalog_runs(g->catalog, 0, 9, a, &r, &n), TN_OK);
	while (i < n && (strcmp(r[i].kind, "compact") == 0 ||
	    strcmp(r[i].kind, "expire") == 0))
		i++;
	assert_true(i < n);
	rows = r[i].changed;
	tn_arena_free(a);
	return rows;
}

static void
cut(struct rig *g)
{
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
}

/* What the newest run but compactions made of views, a line each:
 * view rows groups files changed. */
static void
expect_made(struct rig *g, const char *want)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_run *r;
	struct tn_catalog_run_view *x;
	struct tn_buf out = { 0 };
	uint32_t n = 0, i = 0, made = 0;

	assert_int_equal(tn_catalog_runs(g->catalog, 0, 9, a, &r, &n), TN_OK);
	while (i < n && (strcmp(r[i].kind, "compact") == 0 ||
	    strcmp(r[i].kind, "expire") == 0))
		i++;
	assert_true(i < n);
	assert_int_equal(tn_catalog_run_views(g->catalog, r[i].id, r[i].id, a,
	    &x, &made), TN_OK);
	for (uint32_t k = 0; k < made; k++) {
		assert_true(x[k].started_us >= r[i].started_us &&
		    x[k].write_us >= 0 && x[k].fold_us >= -1);
		tn_buf_printf(&out, "%s %lld %u %u %llu\n", x[k].name,
		    (long long)x[k].rows, (unsigned)x[k].groups,
		    (unsigned)x[k].files, (unsigned long long)x[k].changed);
	}
	assert_string_equal(tn_buf_cstr(&out), want);
	tn_buf_fini(&out);
	tn_arena_free(a);
}

/* ---- cuts ------------------------------------------------------------ */

/* Goal: an event into a bucket that had ended when the last cut was published
 * is a correction with the old and the new value; one into the bucket under
 * way, or one that makes a new row, is none. */
static void
late_event(void **state)
{
	struct rig g;

	(void)state;
	make(&g, TABLE HOURLY);
	event(&g, "berlin", "08:10", 1.5);
	event(&g, "berlin", "08:20", 1);
	event(&g, "berlin", "10:00", 1);
	event(&g, "munich", "09:10", 1);
	cut(&g);
	expect(&g, "hourly", "");
	event(&g, "berlin", "10:00", 1);         /* Under way. */
	event(&g, "munich", "08:30", 1);         /* New. */
	at("2026-03-01T10:01:30Z");
	cut(&g);
	expect(&g, "hourly", "");
	assert_int_equal(changed(&g), 0);
	event(&g, "berlin", "08:30", 0.25);
	event(&g, "berlin", "10:00", 1);
	at("2026-03-01T10:02:30Z");
	cut(&g);
	expect(&g, "hourly", "{\"office\":\"berlin\",\"hour\":"
	    "\"2026-03-01T08:00:00Z\"} n 2 3\n"
	    "{\"office\":\"berlin\",\"hour\":\"2026-03-01T08:00:00Z\"} "
	    "total 2.5 2.75\n");
	assert_int_equal(changed(&g), 1);
	/* A value that stays is none: only n differs. */
	event(&g, "munich", "09:20", 0);
	at("2026-03-01T10:03:30Z");
	cut(&g);
	assert_int_equal(changed(&g), 1);
	char *text = said(&g, "hourly");
	assert_non_null(strstr(text, "\"2026-03-01T09:00:00Z\"} n 1 2\n"));
	assert_null(strstr(text, "\"2026-03-01T09:00:00Z\"} total"));
	tn_free(text);
	drop(&g);
}

#define OFFICES \
	"CREATE MATERIALIZED VIEW by_office AS SELECT office, count(*) AS n" \
	" FROM ev WHERE x > 1 GROUP BY office;" \
	"CREATE MATERIALIZED VIEW nobody AS SELECT office, count(*) AS n" \
	" FROM ev WHERE x > 100 GROUP BY office;"

/* Goal: a cut notes of each view that it touched the rows it folded,
 * their groups, its files and what it changed; of one that has nothing new it
 * notes nothing. A recompute notes its own view. */
static void
made_of_views(void **state)
{
	struct tn_batch_request again = { .kind = TN_BATCH_RECOMPUTE,
	    .reason = "request", .view = "hourly" };
	struct tn_batch_report r = { .status = TN_OK };
	struct rig g;

	(void)state;
	make(&g, TABLE HOURLY OFFICES);
	event(&g, "berlin", "08:10", 1.5);
	event(&g, "berlin", "08:20", 1);
	event(&g, "munich", "09:10", 1);
	cut(&g);
	expect_made(&g, "by_office 3 1 1 0\nhourly 3 2 1 0\n");
	event(&g, "berlin", "08:30", 1);
	at("2026-03-01T10:01:30Z");
	cut(&g);
	expect_made(&g, "hourly 1 1 1 1\n");
	assert_int_equal(tn_batch_run(g.batch, &again, &r), TN_OK);
	tn_buf_fini(&r.text);
	expect_made(&g, "hourly 4 2 1 0\n");
	drop(&g);
}

/* Goal: what counts is when the cut before was published, to the second: not
 * now, and not a later publication of the same cut. */
static void
edge_of_bucket(void **state)
{
	struct rig g;

	(void)state;
	make(&g, TABLE HOURLY);
	at("2026-03-01T08:59:59Z");
	event(&g, "berlin", "08:10", 1);
	cut(&g);
	/* Published anew after the bucket's end: nothing newer is in it. */
	at("2026-03-01T09:30:00Z");
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	event(&g, "berlin", "08:50", 1);
	cut(&g);
	expect(&g, "hourly", "");
	event(&g, "berlin", "09:50", 1);
	at("2026-03-01T10:00:00Z");
	cut(&g);
	expect(&g, "hourly", "");
	event(&g, "berlin", "09:51", 1);
	cut(&g);
	expect(&g, "hourly", "{\"office\":\"berlin\",\"hour\":"
	    "\"2026-03-01T09:00:00Z\"} n 1 2\n"
	    "{\"office\":\"berlin\",\"hour\":\"2026-03-01T09:00:00Z\"} "
	    "total 1 2\n");
	drop(&g);
}

/* Goal: months and days of a time zone end when they do there; a view without
 * a bucket has no late data. */
static void
other_buckets(void **state)
{
	struct rig g;

	(void)state;
	make(&g, TABLE
	    "CREATE MATERIALIZED VIEW monthly AS SELECT"
	    " date_trunc('month', ts) AS month, count(*) AS n FROM ev"
	    " GROUP BY month;"
	    "CREATE MATERIALIZED VIEW nyc AS SELECT"
	    " date_trunc('day', ts, 'America/New_York') AS day,"
	    " count(*) AS n FROM ev GROUP BY day;"
	    "CREATE MATERIALIZED VIEW dates AS SELECT ts::date AS d,"
	    " count(*) AS n FROM ev GROUP BY d;"
	    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM ev;"
	    "CREATE MATERIALIZED VIEW offices_of AS SELECT office,"
	    " count(*) AS n FROM ev GROUP BY office;");
	event(&g, "berlin", "04:10", 1);         /* 28 February there. */
	event(&g, "berlin", "06:10", 1);
	at("2026-03-02T04:30:00Z");              /* Still 1 March there. */
	cut(&g);
	event(&g, "berlin", "04:20", 1);
	event(&g, "berlin", "06:20", 1);
	cut(&g);
	expect(&g, "nyc", "{\"day\":\"2026-02-28T05:00:00Z\"} n 1 2\n");
	expect(&g, "dates", "{\"d\":\"2026-03-01\"} n 2 4\n");
	expect(&g, "monthly", "");
	at("2026-04-01T00:00:00Z");
	event(&g, "berlin", "06:30", 1);
	cut(&g);
	expect(&g, "monthly", "");
	event(&g, "berlin", "06:40", 1);
	cut(&g);
	expect(&g, "monthly", "{\"month\":\"2026-03-01T00:00:00Z\"} n 5 6\n");
	expect(&g, "total", "");
	expect(&g, "offices_of", "");
	drop(&g);
}

/* Goal: a run keeps at most corrections_max numbers and counts all rows. */
static void
bounded(void **state)
{
	struct rig g;
	char *text;
	uint32_t lines = 0;

	(void)state;
	make(&g, TABLE HOURLY);
	rig_close(&g);
	g.corrections_max = 5;
	rig_open(&g);
	for (int twice = 0; twice < 2; twice++) {
		for (int hour = 0; hour < 8; hour++) {
			char time[8];
			(void)snprintf(time, sizeof time, "0%d:10",
			    (int)((unsigned)hour % 10));
			event(&g, "berlin", time, 1);
		}
		cut(&g);
	}
	assert_int_equal(changed(&g), 8);
	text = said(&g, "hourly");
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 5);
	tn_free(text);
	drop(&g);
}

/* Goal: when the publication fails there are no corrections; the cut that then
 * succeeds says them once. */
static void
with_the_numbers(void **state)
{
	struct rig g;

	(void)state;
	make(&g, TABLE HOURLY);
	event(&g, "berlin", "08:10", 1);
	cut(&g);
	event(&g, "berlin", "08:20", 0);
	publish_fails = TN_EIO;
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_EIO);
	expect(&g, "hourly", "");
	assert_int_equal(changed(&g), 0);
	publish_fails = TN_OK;
	cut(&g);
	expect(&g, "hourly", "{\"office\":\"berlin\",\"hour\":"
	    "\"2026-03-01T08:00:00Z\"} n 1 2\n");
	drop(&g);
}

/* ---- recompute ------------------------------------------------------- */

/* The reference table as one version of its only row. */
static void
office_is(struct rig *g, const char *office, const char *city)
{
	int t = tn_serving_stream_find(g->model, tn_slice_of("offices"));
	const struct tn_sql_table *def = g->model->streams[t].table;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_column *cols = tn_arena_zalloc(a, 2 * sizeof *cols);

	for (int i = 0; i < 2; i++) {
		const char *s = i == 0 ? office : city;
		uint32_t *ends = tn_arena_zalloc(a, 2 * sizeof *ends);
		ends[1] = (uint32_t)strlen(s);
		cols[i] = (struct tn_column){ .rows = 1, .offsets = ends,
		    .type = tn_record_type(TN_T_TEXT),
		    .bytes = (const uint8_t *)tn_arena_strdup(a, s) };
	}
	struct tn_batch *b = tn_record_batch_new(a, def->schema, 1, cols);
	tn_exec_ref_free(g->ref);
	g->ref = tn_exec_ref_new(def);
	g->ref_name = "offices";
	tn_exec_ref_put(g->ref, b, NULL, 0);
	tn_record_batch_unref(b);
}

/* Goal: recomputing what did not change corrects nothing; with a reference row
 * that is another one, the numbers of its rows are corrections, also in views
 * without a time bucket; a row that is gone is one, a new row is none. */
static void
recompute(void **state)
{
	struct rig g;

	(void)state;
	make(&g, TABLE HOURLY
	    "CREATE MATERIALIZED VIEW cities AS SELECT o.city,"
	    " count(*) AS n FROM ev e LEFT JOIN offices o"
	    " ON o.office = e.office GROUP BY o.city;"
	    "CREATE MATERIALIZED VIEW in_paris AS SELECT"
	    " count(*) FILTER (WHERE o.city = 'Paris') AS n,"
	    " min(o.city) AS first FROM ev e"
	    " LEFT JOIN offices o ON o.office = e.office;");
	office_is(&g, "b1", "Paris");
	event(&g, "b1", "08:10", 1);
	event(&g, "b1", "10:10", 1);
	event(&g, "b2", "10:10", 1);
	cut(&g);
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	expect(&g, "cities", "");
	expect(&g, "in_paris", "");
	expect(&g, "hourly", "");
	office_is(&g, "b1", "Lyon");
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	expect(&g, "cities", "{\"city\":\"Paris\"} n 2 null\n");
	expect(&g, "in_paris", "{} n 2 0\n{} first \"Paris\" \"Lyon\"\n");
	expect(&g, "hourly", "");
	drop(&g);
}

/* Goal: a changed definition corrects the numbers that have the same name and
 * row in both versions, those that HAVING hides now included; other columns
 * and other groups are not compared. */
static void
changed_definition(void **state)
{
	struct rig g;
	struct tn_diag d = { .line = 0 };

	(void)state;
	make(&g, TABLE HOURLY
	    "CREATE MATERIALIZED VIEW apart AS SELECT office, count(*) AS n"
	    " FROM ev GROUP BY office;");
	event(&g, "berlin", "08:10", 1);
	event(&g, "berlin", "08:20", -1);
	event(&g, "berlin", "09:10", -1);
	event(&g, "munich", "08:10", 2);
	cut(&g);
	rig_close(&g);
	g.sql = TABLE
	    "CREATE MATERIALIZED VIEW hourly AS SELECT office,"
	    " date_bin('1 hour', ts, 'epoch') AS hour,"
	    " count(*) FILTER (WHERE x > 0) AS n, max(x)::text AS total"
	    " FROM ev GROUP BY office, hour HAVING max(x) > 0;"
	    "CREATE MATERIALIZED VIEW apart AS SELECT office,"
	    " date_bin('1 hour', ts, 'epoch') AS hour, sum(x)::int8 AS n"
	    " FROM ev GROUP BY office, hour;";
	rig_open(&g);
	assert_int_equal(tn_batch_rebuild(g.batch, &d), TN_OK);
	assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
	expect(&g, "hourly", "{\"office\":\"berlin\",\"hour\":"
	    "\"2026-03-01T08:00:00Z\"} n 2 1\n{\"office\":\"berlin\","
	    "\"hour\":\"2026-03-01T09:00:00Z\"} n 1 null\n");
	expect(&g, "apart", "");
	/* And back: fewer groups than before cannot be told apart. */
	rig_close(&g);
	g.sql = TABLE HOURLY
	    "CREATE MATERIALIZED VIEW apart AS SELECT office, count(*) AS n"
	    " FROM ev GROUP BY office;";
	rig_open(&g);
	assert_int_equal(tn_batch_rebuild(g.batch, &d), TN_OK);
	assert_int_equal(tn_batch_mend(g.batch, &d), TN_OK);
	expect(&g, "apart", "");
	drop(&g);
}

/* Goal: a gold file that cannot be read does not keep recompute from making
 * it anew; nothing is said of it then. */
static void
damaged_gold(void **state)
{
	struct rig g;
	const struct tn_catalog_snapshot *s;
	char path[400];
	uint32_t first;

	(void)state;
	make(&g, TABLE HOURLY);
	event(&g, "berlin", "08:10", 1);
	cut(&g);
	s = tn_catalog_snapshot(g.catalog);
	assert_int_equal(tn_catalog_snapshot_find(s, TN_TIER_GOLD,
	    g.model->views[0].id, &first), 1);
	(void)snprintf(path, sizeof path, "%s/lake/%s", g.dir,
	    s->files[first].path);
	tn_catalog_snapshot_put(s);
	assert_int_equal(truncate(path, 40), 0);
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	expect(&g, "hourly", "");
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_event),
		cmocka_unit_test(made_of_views),
		cmocka_unit_test(edge_of_bucket),
		cmocka_unit_test(other_buckets),
		cmocka_unit_test(bounded),
		cmocka_unit_test(with_the_numbers),
		cmocka_unit_test(recompute),
		cmocka_unit_test(changed_definition),
		cmocka_unit_test(damaged_gold),
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
