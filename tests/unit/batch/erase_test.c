/* wrap: tn_lake_create tn_lake_add tn_lake_finish tn_lake_merge_open tn_lake_merge_next tn_lake_sync tn_catalog_publish tn_catalog_run_begin tn_catalog_expire tn_catalog_corrections_forget */
/* Erasure of rows: what is left in bronze, silver and gold; failing at any
 * call; readers of snapshots from before; what the next start finishes. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_help.h"
#include "fail_help.h"
#include "quiet.h"

static const char sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL, who text)"
    " WITH (event_time = 'ts');"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n, max(who) AS last FROM ev GROUP BY d;"
    "CREATE MATERIALIZED VIEW whole AS SELECT count(*) AS n, count(DISTINCT"
    " who) AS people FROM ev;";

/* ---- calls that fail -------------------------------------------------- */

WRAP(tn_lake_create, (struct tn_lake *l, const struct tn_lake_write *w,
    const struct tn_schema *s, struct tn_lake_writer **out), (l, w, s, out))
WRAP(tn_lake_add, (struct tn_lake_writer *w, const struct tn_batch *b),
    (w, b))
WRAP(tn_lake_sync, (struct tn_lake *l, bool cold), (l, cold))
WRAP(tn_catalog_run_begin, (struct tn_catalog *c,
    const struct tn_catalog_run *r, uint64_t *id), (c, r, id))
WRAP(tn_catalog_expire, (struct tn_catalog *c, int64_t us, uint64_t lsn,
    uint32_t *n), (c, us, lsn, n))
WRAP(tn_catalog_corrections_forget, (struct tn_catalog *c,
    const uint32_t *views, uint32_t n), (c, views, n))

enum tn_status __real_tn_lake_finish(struct tn_lake_writer *w,
    struct tn_lake_file *out);
enum tn_status __wrap_tn_lake_finish(struct tn_lake_writer *w,
    struct tn_lake_file *out);
enum tn_status
__wrap_tn_lake_finish(struct tn_lake_writer *w, struct tn_lake_file *out)
{
	if (!fails_now())
		return __real_tn_lake_finish(w, out);
	tn_lake_abandon(w);
	return TN_EIO;
}

enum tn_status __real_tn_lake_merge_open(struct tn_lake *l,
    const struct tn_lake_merge_opts *o, struct tn_lake_merge **out,
    struct tn_diag *d);
enum tn_status __wrap_tn_lake_merge_open(struct tn_lake *l,
    const struct tn_lake_merge_opts *o, struct tn_lake_merge **out,
    struct tn_diag *d);
enum tn_status
__wrap_tn_lake_merge_open(struct tn_lake *l,
    const struct tn_lake_merge_opts *o, struct tn_lake_merge **out,
    struct tn_diag *d)
{
	*out = NULL;
	return fails_now() ? TN_EIO : __real_tn_lake_merge_open(l, o, out, d);
}

/* A clock for who says how long things take; 0: the real one. */
static _Atomic int64_t mono, publication_us, piece_us;

static int64_t
mono_us(void)
{
	return mono != 0 ? mono : tn_os_real.mono_us();
}

enum tn_status __real_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status __wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status
__wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p)
{
	mono += publication_us;
	return fails_now() ? TN_EIO : __real_tn_catalog_publish(c, p);
}

/* Before a piece of a file is read rows come, and the time of a cut. */
static struct {
	struct rig *g;
	int left;
	int times;      /* Before each of so many. */
	int pieces;
} between;

static void between_pieces(void);

enum tn_status __real_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status __wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status
__wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d)
{
	*out = NULL;
	mono += piece_us;
	between.pieces++;
	if (between.g != NULL && between.left-- <= 0 && between.times-- > 0)
		between_pieces();
	return fails_now() ? TN_EIO : __real_tn_lake_merge_next(m, out, d);
}

/* Syncs cost time, and are the business of others. */
static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static struct tn_os_table quick;

/* ---- events and what is there ----------------------------------------- */

/* Eleven rows of a day in two blocks, three of them of "eve". */
static void
day(struct rig *g, uint32_t d)
{
	struct tn_buf text = { 0 };
	char more[200];

	for (uint32_t i = 0; i < 10; i++, g->rows++)
		tn_buf_printf(&text, "{\"n\":%u,\"ts\":\"2026-03-0%uT%02u:00:"
		    "00Z\",\"who\":\"%s\"}\n", g->rows, d, i,
		    i % 5 == 3 ? "eve" : "adam");
	append_text(g, 0, tn_buf_cstr(&text));
	tn_buf_fini(&text);
	(void)snprintf(more, sizeof more, "{\"n\":%u,\"ts\":\"2026-03-0%uT03"
	    ":00:00Z\",\"who\":\"eve\"}\n", g->rows++, d);
	append_text(g, 0, more);
}

static void
between_pieces(void)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT,
	    .reason = "timer" };

	day(between.g, 5);
	assert_int_equal(tn_batch_post(between.g->batch, &q), TN_OK);
}

static enum tn_status
erase(struct rig *g, const char *text, struct tn_batch_report *r)
{
	struct tn_arena *a = tn_arena_new(4096);
	const struct tn_sql_delete *del = NULL;
	struct tn_diag d = { .line = 0 };
	struct tn_batch_erase e;
	struct tn_batch_request q = { .kind = TN_BATCH_ERASE,
	    .reason = "request", .erase = &e };
	enum tn_status st;

	assert_int_equal(tn_sql_delete_parse(tn_serving_pipeline(g->model),
	    tn_slice_of(text), a, &del, &d), TN_OK);
	e = (struct tn_batch_erase){ del->where, del->used, del->by_arrival,
	    tn_os_wall_us() };
	q.view = del->table->name;
	memset(r, 0, sizeof *r);
	st = tn_batch_run(g->batch, &q, r);
	tn_buf_fini(&r->text);
	tn_arena_free(a);
	return st;
}

struct count {
	uint64_t rows, eve, erased, bytes;
};

static enum tn_status
count_bronze(void *arg, struct tn_batch *b)
{
	struct count *c = arg;
	const int32_t *status = b->columns[TN_BRONZE_STATUS].values;

	for (uint32_t i = 0; i < b->rows; i++) {
		struct tn_slice raw = tn_governance_bronze_text(
		    &b->columns[TN_BRONZE_RAW], i);
		/* Offsets are dense, whatever became of the rows. */
		assert_int_equal(((const int64_t *)
		    b->columns[TN_BRONZE_OFFSET].values)[i], c->rows);
		c->rows++;
		c->eve += memmem(raw.p, raw.n, "eve", 3) != NULL;
		c->erased += status[i] == TN_MARK_ERASED;
		if (status[i] == TN_MARK_ERASED)
			c->bytes += raw.n + tn_governance_bronze_text(
			    &b->columns[TN_BRONZE_SOURCE], i).n;
	}
	return TN_OK;
}

static enum tn_status
count_silver(void *arg, struct tn_batch *b)
{
	struct count *c = arg;

	for (uint32_t i = 0; i < b->rows; i++)
		c->eve += tn_slice_is(tn_column_text(&b->columns[2], i),
		    "eve");
	c->rows += b->rows;
	return TN_OK;
}

static struct count
look(struct rig *g, const struct tn_catalog_snapshot *s,
    enum tn_catalog_tier tier)
{
	struct count c = { 0 };
	bool raw = tier == TN_TIER_BRONZE;
	uint32_t first, n = tn_catalog_snapshot_find(s, tier,
	    g->model->streams[0].id, &first);
	struct tn_diag d = { .line = 0 };

	for (uint32_t i = first; i < first + n; i++) {
		struct tn_lake_read r = { .path = s->files[i].path,
		    .schema = raw ? &tn_governance_bronze :
		    g->model->streams[0].silver, .each = raw ? count_bronze :
		    count_silver, .arg = &c };
		assert_int_equal(tn_lake_read(g->lake, &r, &d), TN_OK);
	}
	return c;
}

static void
expect(struct rig *g, uint64_t rows, uint64_t erased)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	struct count b = look(g, s, TN_TIER_BRONZE);
	struct count v = look(g, s, TN_TIER_SILVER);

	assert_int_equal(b.rows, rows);
	assert_int_equal(b.erased, erased);
	assert_int_equal(b.bytes, 0);
	assert_int_equal(v.rows, rows - erased);
	if (erased > 0)
		assert_int_equal(b.eve + v.eve, 0);
	tn_catalog_snapshot_put(s);
	assert_int_equal(run(g, TN_BATCH_VERIFY), TN_OK);
}

static void
make(struct rig *g)
{
	fault.left = -1;
	rig_make(g, sql);
	g->batch->o.young_files_max = 1000;
	for (uint32_t d = 1; d <= 3; d++) {
		day(g, d);
		assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	}
	day(g, 4);                       /* In the log. */
}

/* ---- tests ------------------------------------------------------------ */

/* Goal: rows of every tier and of the log's tail go, their places stay, gold
 * is that of the others, and another time there is nothing to do. */
static void
test_erase(void **state)
{
	struct tn_batch_report r;
	struct rig g;
	uint32_t publications;

	(void)state;
	make(&g);
	expect(&g, 33, 0);
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r),
	    TN_OK);
	assert_int_equal(r.rows, 12);
	assert_int_equal(r.lsn, tn_log_last(g.log));
	expect(&g, 44, 12);
	publications = g.publications;
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r),
	    TN_OK);
	assert_int_equal(r.rows, 0);
	assert_int_equal(g.publications, publications);
	/* Late rows and recomputes find what there is. */
	day(&g, 2);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(run(&g, TN_BATCH_RECOMPUTE), TN_OK);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE true", &r), TN_OK);
	assert_int_equal(r.rows, 43);
	expect(&g, 55, 55);
	rig_drop(&g);
}

/* Whether what tells of erased rows is still to be forgotten. */
static bool
is_noted(struct rig *g)
{
	struct tn_arena *a = tn_arena_new(256);
	const char *text = NULL;
	bool is = tn_catalog_get(g->catalog, "erase_pending", a, &text) ==
	    TN_OK;

	tn_arena_free(a);
	return is;
}

/* Goal: whatever call fails, the rows are there, all of them, or gone, all of
 * them; what is left to forget is done by the next cut. */
static void
test_failures(void **state)
{
	struct tn_batch_report r;
	struct rig g;
	uint32_t failures = 0, unfinished = 0;
	const int most = 1 << 20;
	int calls;

	(void)state;
	make(&g);
	fault.left = most;
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r),
	    TN_OK);
	calls = most - fault.left;
	fault.left = -1;
	rig_drop(&g);
	for (int k = 0; k <= calls; k += k < 20 || k > calls - 12 ? 1 : 7) {
		const struct tn_catalog_snapshot *s;
		uint64_t left;
		enum tn_status st;
		make(&g);
		fault.left = k;
		fault.failed = 0;
		st = erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r);
		assert_int_equal(st == TN_OK, fault.failed == 0);
		assert_int_equal(fault.failed, k < calls);
		fault.left = -1;
		failures += fault.failed;
		unfinished += strcmp(r.diag.code, "erase_unfinished") == 0;
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_false(is_noted(&g));
		s = tn_catalog_snapshot(g.catalog);
		left = look(&g, s, TN_TIER_SILVER).eve;
		assert_int_equal(look(&g, s, TN_TIER_BRONZE).eve, left);
		tn_catalog_snapshot_put(s);
		assert_true(left == 0 || left == 12);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'",
		    &r), TN_OK);
		assert_int_equal(r.rows, left);
		expect(&g, 44, 12);
		rig_drop(&g);
	}
	assert_true(failures > 20);
	assert_true(unfinished > 1);
}

/* Goal: a reader of a snapshot from before goes on reading it, and its files
 * go when it ends; nobody else finds that snapshot. */
static void
test_reader(void **state)
{
	const struct tn_catalog_snapshot *before, *none = NULL;
	struct tn_batch_report r;
	struct tn_catalog_file f;
	char path[200] = "";
	uint32_t first;
	struct rig g;

	(void)state;
	make(&g);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	before = tn_catalog_snapshot(g.catalog);
	assert_int_equal(tn_catalog_snapshot_find(before, TN_TIER_SILVER,
	    g.model->streams[0].id, &first), 4);
	memcpy(path, before->files[first].path, sizeof path);
	g.batch->o.garbage_us = INT64_C(3600000000);
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r),
	    TN_OK);
	assert_int_equal(look(&g, before, TN_TIER_SILVER).eve, 12);
	assert_int_equal(tn_catalog_file_named(g.catalog, path, &f), TN_OK);
	assert_int_equal(tn_catalog_snapshot_at(g.catalog,
	    TN_CATALOG_SEQUENCE, (int64_t)before->sequence - 1, &none),
	    TN_ENOTFOUND);
	tn_catalog_snapshot_put(before);
	day(&g, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(tn_catalog_file_named(g.catalog, path, &f),
	    TN_ENOTFOUND);
	rig_drop(&g);
}

/* Goal: a cut that comes between two pieces of a file is taken there, and its
 * rows are no rows of the statement: they stay. */
static void
test_cut_between(void **state)
{
	(void)state;
	for (int k = 0; k < 12; k += 3) {
		const struct tn_catalog_snapshot *s;
		struct tn_batch_report r;
		uint32_t publications;
		struct rig g;
		make(&g);
		publications = g.publications;
		between.g = &g;
		between.left = k;
		between.times = 1;
		assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = "
		    "'eve'", &r), TN_OK);
		between.g = NULL;
		assert_int_equal(r.rows, 12);
		/* Its own cut, this one, the change, the end. */
		assert_int_equal(g.publications, publications + 4);
		s = tn_catalog_snapshot(g.catalog);
		assert_int_equal(s->lsn, tn_log_last(g.log));
		assert_int_equal(look(&g, s, TN_TIER_BRONZE).erased, 12);
		assert_int_equal(look(&g, s, TN_TIER_SILVER).eve, 3);
		assert_int_equal(look(&g, s, TN_TIER_SILVER).rows, 43);
		tn_catalog_snapshot_put(s);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		rig_drop(&g);
	}
}

/* Goal: where the time of a cut comes before each piece, and a cut takes as long
 * as very many pieces, the erasure has its half of the time: it ends, and cuts
 * are taken meanwhile. */
static void
test_cuts_always(void **state)
{
	struct tn_batch_report r;
	uint32_t publications;
	struct rig g;
	int pieces;

	(void)state;
	make(&g);
	publications = g.publications;
	mono = 1;
	publication_us = 100000;
	piece_us = 30000;
	between.g = &g;
	between.left = 0;
	between.times = 1000;
	between.pieces = 0;
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r),
	    TN_OK);
	between.g = NULL;
	mono = publication_us = piece_us = 0;
	assert_int_equal(r.rows, 12);
	pieces = between.pieces;
	assert_true(pieces >= 12);
	/* Comes behind the cut that was posted last, so that is counted. */
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	/* Its own cut, the change, the end, the cut behind it (if there were
	 * rows left to take); one in four or five pieces. */
	publications = g.publications - publications - 3;
	assert_in_range(publications, 2, pieces / 4 + 1);
	rig_drop(&g);
}

/* Goal: an apply whose states were folded before an erasure is refused. */
static void
test_apply(void **state)
{
	struct tn_batch_report r;
	struct tn_batch_request q = { .kind = TN_BATCH_APPLY,
	    .reason = "request" };
	struct rig g;

	(void)state;
	make(&g);
	q.erasures = tn_batch_erasures(g.batch);
	assert_int_equal(erase(&g, "DELETE FROM ev WHERE who = 'eve'", &r),
	    TN_OK);
	memset(&r, 0, sizeof r);
	assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_ECONFLICT);
	assert_string_equal(r.diag.code, "rows_erased");
	rig_drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_erase),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_cut_between),
		cmocka_unit_test(test_cuts_always),
	};

	quick = tn_os_real;
	quick.sync = no_sync;
	quick.mono_us = mono_us;
	tn_os_use(&quick);
	/* Failures on purpose are said on standard error. */
	quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
