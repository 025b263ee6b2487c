/* wrap: tn_lake_sync tn_lake_put_days tn_catalog_prepared_note tn_catalog_publish tn_lake_merge_open tn_lake_merge_next tn_os_mono_us */
/* Silver of a definition to come: made beside the old, taken over by the start
 * that has the definition, and the same then as what that start would make by
 * itself; whatever comes in between. */
#include "test.h"

#include <fcntl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_help.h"
#include "fail_help.h"
#include "quiet.h"

#define EV "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL," \
	" who text"
#define WITH ") WITH (event_time = 'ts');" \
	"CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d," \
	" count(*) AS n FROM ev GROUP BY d;"
static const char old_sql[] = EV WITH;
static const char new_sql[] = EV ", twice int8 GENERATED ALWAYS AS (n * 2)"
    " STORED" WITH;
static const char other_sql[] = EV ", more text DEFAULT 'x'" WITH;

/* ---- calls that fail, and what comes between ---------------------------- */

WRAP(tn_lake_sync, (struct tn_lake *l, bool cold), (l, cold))
WRAP(tn_lake_put_days, (struct tn_lake *l, const struct tn_lake_write *w,
    struct tn_batch *const *b, uint32_t n, struct tn_lake_files *out),
    (l, w, b, n, out))
WRAP(tn_catalog_prepared_note, (struct tn_catalog *c,
    const struct tn_catalog_prepared *p, const struct tn_catalog_file *f,
    uint32_t n), (c, p, f, n))
WRAP(tn_catalog_publish, (struct tn_catalog *c,
    struct tn_catalog_publication *p), (c, p))

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

/* Done before a piece of bronze is read. */
static struct {
	void (*act)(struct rig *g);
	struct rig *g;
	int left;
} between;

enum tn_status __real_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status __wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status
__wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d)
{
	*out = NULL;
	if (between.act != NULL && between.left-- == 0)
		between.act(between.g);
	return fails_now() ? TN_EIO : __real_tn_lake_merge_next(m, out, d);
}

/* Each look at the clock takes longer than a step may: so that other jobs come
 * between any two acts. */
static int64_t ahead;

int64_t __real_tn_os_mono_us(void);
int64_t __wrap_tn_os_mono_us(void);
int64_t
__wrap_tn_os_mono_us(void)
{
	return __real_tn_os_mono_us() + __atomic_add_fetch(&ahead, 2100000,
	    __ATOMIC_RELAXED);
}

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static struct tn_os_table quick;

/* ---- rows, definitions -------------------------------------------------- */

/* Ten rows of a day in two blocks, some of "eve"; received on day ${in} and the
 * next one. */
static void
day(struct rig *g, uint32_t d, uint32_t in)
{
	for (uint32_t k = 0; k < 2; k++) {
		struct tn_buf text = { 0 };
		for (uint32_t i = 0; i < 5; i++, g->rows++)
			tn_buf_printf(&text, "{\"n\":%u,\"ts\":\"2026-03-0%uT"
			    "%02u:00:00Z\",\"who\":\"%s\"}\n", g->rows, d,
			    i, i % 5 == 3 ? "eve" : "adam");
		g->received_us = INT64_C(1772800000000000) +
		    (int64_t)(in + k) * INT64_C(86400000000);
		append_text(g, 0, tn_buf_cstr(&text));
		tn_buf_fini(&text);
	}
}

static void
make(struct rig *g)
{
	fault.left = -1;
	memset(&between, 0, sizeof between);
	rig_make(g, old_sql);
	g->batch->o.young_files_max = 2;
	for (uint32_t d = 1; d <= 4; d++) {
		day(g, d, 1);
		day(g, 5, 1);            /* The clock went back: files of bronze
		                          * overlap when they are merged. */
		assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
		if (d == 2)
			g->batch->o.young_files_max = 1000;
	}
}

struct coming {
	struct tn_sql_pipeline *p;
	struct tn_governance_stream s;
	struct tn_batch_prepare prepare;
};

static void
come(struct rig *g, const char *sql, struct coming *c)
{
	struct tn_sql_source source = { "new.sql", tn_slice_of(sql) };
	struct tn_catalog_object o;

	assert_int_equal(tn_sql_load(&c->p, &source, 1, NULL), TN_OK);
	c->s.table = c->p->tables[0];
	assert_int_equal(tn_catalog_foresee(g->catalog, TN_CATALOG_STREAM,
	    "ev", c->s.table->definition, &o), TN_OK);
	c->s.id = o.id;
	c->s.version = o.version;
	c->s.silver = tn_serving_silver_schema(c->s.table);
	c->prepare = (struct tn_batch_prepare){ &c->s, 1 };
}

static void
gone(struct coming *c)
{
	tn_free((void *)c->s.silver);
	tn_sql_pipeline_free(c->p);
}

/* No act between any more, once what was posted is done: a cut may come behind
 * what it came between. */
static void
nothing_between(struct rig *g)
{
	struct tn_batch_request q = { .kind = TN_BATCH_VERIFY,
	    .view = "none such", .reason = "request" };
	struct tn_batch_report r;
	uint32_t rows;

	do {
		rows = __atomic_load_n(&g->rows, __ATOMIC_SEQ_CST);
		memset(&r, 0, sizeof r);
		assert_int_not_equal(tn_batch_run(g->batch, &q, &r), TN_OK);
		tn_buf_fini(&r.text);
	} while (rows != __atomic_load_n(&g->rows, __ATOMIC_SEQ_CST));
	between.act = NULL;
}

static enum tn_status
prepare(struct rig *g, const char *sql)
{
	struct coming c = { .p = NULL };
	struct tn_batch_report r;
	struct tn_batch_request q = { .kind = TN_BATCH_PREPARE,
	    .reason = "request", .prepare = &c.prepare };
	enum tn_status st;

	if (sql != NULL)
		come(g, sql, &c);
	memset(&r, 0, sizeof r);
	st = tn_batch_run(g->batch, &q, &r);
	tn_buf_fini(&r.text);
	if (sql != NULL)
		gone(&c);
	return st;
}

static uint32_t
prepared(struct rig *g, uint64_t *rows)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_prepared *all = NULL;
	uint32_t count = 0, files = 0;

	assert_int_equal(tn_catalog_prepared(g->catalog, a, &all, &count),
	    TN_OK);
	assert_true(count <= 1);
	*rows = count == 0 ? 0 : all[0].rows;
	files = count == 0 ? 0 : all[0].files;
	tn_arena_free(a);
	return files;
}

/* ---- silver as it is ----------------------------------------------------- */

struct row {
	int64_t lsn, offset, n, twice;
};
struct rows {
	struct row all[1000];
	uint32_t count;
};

static enum tn_status
take_rows(void *arg, struct tn_batch *b)
{
	struct rows *x = arg;
	uint32_t h = b->schema->count - TN_SQL_HIDDEN;
	bool twice = b->schema->fields[h - 1].type.id == TN_T_INT8;

	for (uint32_t i = 0; i < b->rows; i++) {
		assert_true(x->count < 1000);
		x->all[x->count++] = (struct row){
		    ((const int64_t *)b->columns[h].values)[i],
		    ((const int64_t *)b->columns[h + 1].values)[i],
		    ((const int64_t *)b->columns[0].values)[i],
		    !twice ? 0 : tn_column_valid(&b->columns[h - 1], i) ?
		    ((const int64_t *)b->columns[h - 1].values)[i] : -1 };
	}
	return TN_OK;
}

static int
by_place(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void
look(struct rig *g, struct rows *x)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);
	const struct tn_governance_stream *t = &g->model->streams[0];
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_SILVER, t->id,
	    &first);
	struct tn_diag d = { .line = 0 };

	x->count = 0;
	for (uint32_t i = first; i < first + n; i++) {
		struct tn_lake_read r = { .path = s->files[i].path,
		    .schema = t->silver, .each = take_rows, .arg = x };
		uint32_t from = x->count;
		assert_int_equal(s->files[i].version, t->version);
		assert_int_equal(tn_lake_read(g->lake, &r, &d), TN_OK);
		for (; from < x->count; from++)
			assert_true((uint64_t)x->all[from].lsn >=
			    s->files[i].lsn_min && (uint64_t)
			    x->all[from].lsn <= s->files[i].lsn_max);
	}
	qsort(x->all, x->count, sizeof *x->all, by_place);
	tn_catalog_snapshot_put(s);
}

/* Start with the new definition; *adopted: rows that were prepared. */
static void
start(struct rig *g, const char *sql, uint64_t *adopted)
{
	struct tn_diag d = { .line = 0 };
	uint64_t rows;
	unsigned long long found = 0;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_run *runs;
	uint32_t count;

	rig_close(g);
	g->sql = sql;
	rig_open(g);
	assert_int_equal(tn_batch_rebuild(g->batch, &d), TN_OK);
	assert_int_equal(tn_batch_mend(g->batch, &d), TN_OK);
	assert_int_equal(prepared(g, &rows), 0);
	assert_int_equal(tn_catalog_runs(g->catalog, 0, 50, a, &runs, &count),
	    TN_OK);
	for (uint32_t i = 0; i < count && adopted != NULL; i++) {
		const char *at = strstr(runs[i].detail, "; ");
		if (at != NULL && strcmp(runs[i].reason, "definition") == 0 &&
		    sscanf(at, "; %llu of them were prepared", &found) == 1)
			break;
	}
	if (adopted != NULL)
		*adopted = found;
	tn_arena_free(a);
}

static uint32_t
files_on_disk(struct rig *g)
{
	struct tn_buf b = { 0 };
	char line[16] = "";
	FILE *p;

	tn_buf_printf(&b, "find %s/lake/silver -name '*.parquet' | wc -l",
	    g->dir);
	p = popen(tn_buf_cstr(&b), "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof line, p));
	(void)pclose(p);
	tn_buf_fini(&b);
	return (uint32_t)strtoul(line, NULL, 10);
}

static uint32_t
files_in_force(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g->model->streams[0].id, &first);

	tn_catalog_snapshot_put(s);
	return n;
}

/* After a start with the new definition: every row once, in its place, with
 * the new column; as bronze says; and no file that nobody names. */
static void
expect_new(struct rig *g, uint32_t rows)
{
	static struct rows x;

	look(g, &x);
	assert_int_equal(x.count, rows);
	for (uint32_t i = 0; i < x.count; i++) {
		assert_true(i == 0 || x.all[i].offset > x.all[i - 1].offset);
		assert_int_equal(x.all[i].twice, 2 * x.all[i].n);
	}
	assert_int_equal(run(g, TN_BATCH_VERIFY), TN_OK);
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	g->batch->o.garbage_us = 0;
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
}

/* ---- tests ---------------------------------------------------------------- */

/* Goal: what is prepared is what a start would make; nobody sees it before;
 * the start reads only what came later. */
static void
test_adopt(void **state)
{
	static struct rows mine, theirs;
	struct rig g, fresh;
	uint64_t rows, adopted;
	uint32_t before;

	(void)state;
	make(&g);
	g.batch->o.slice_rows = 12;
	before = files_in_force(&g);
	assert_int_equal(prepare(&g, new_sql), TN_OK);
	assert_int_equal(files_in_force(&g), before);
	assert_true(prepared(&g, &rows) > 1);
	assert_int_equal(rows, 80);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	/* Once more: there is nothing to do. */
	assert_int_equal(prepare(&g, new_sql), TN_OK);
	assert_true(prepared(&g, &rows) > 1);
	assert_int_equal(rows, 80);
	day(&g, 6, 1);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	day(&g, 6, 1);                   /* In the log. */
	start(&g, new_sql, &adopted);
	assert_int_equal(adopted, 80);
	look(&g, &mine);
	expect_new(&g, 90);
	rig_drop(&g);

	make(&fresh);
	day(&fresh, 6, 1);
	assert_int_equal(run(&fresh, TN_BATCH_CUT), TN_OK);
	start(&fresh, new_sql, &adopted);
	assert_int_equal(adopted, 0);
	look(&fresh, &theirs);
	assert_int_equal(mine.count, theirs.count);
	assert_memory_equal(mine.all, theirs.all,
	    mine.count * sizeof *mine.all);
	rig_drop(&fresh);
}

static void
cut_between(struct rig *g)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT,
	    .reason = "timer" };

	day(g, 1 + g->rows / 10 % 7, 9);
	assert_int_equal(tn_batch_post(g->batch, &q), TN_OK);
	if (g->rows < 120)
		between.left = 1;
}

/* Goal: rows that come meanwhile are followed, also when compaction writes
 * bronze anew, at whatever point. */
static void
test_follow(void **state)
{
	(void)state;
	for (int k = 0; k < 12; k += 3) {
		struct rig g;
		uint64_t rows, adopted;
		make(&g);
		g.batch->o.slice_rows = 7;
		g.batch->o.prepare_rest = 1;
		g.batch->o.young_files_max = 2;
		between.act = cut_between;
		between.g = &g;
		between.left = k;
		assert_int_equal(prepare(&g, new_sql), TN_OK);
		nothing_between(&g);
		(void)prepared(&g, &rows);
		assert_true(rows >= 80);
		start(&g, new_sql, &adopted);
		assert_int_equal(adopted, rows);
		expect_new(&g, g.rows);
		rig_drop(&g);
	}
}

/* Goal: whatever call fails, the next request or the next start goes on behind
 * what is noted, and has each row once. */
static void
test_failures(void **state)
{
	bool done = false;
	uint32_t failures = 0, partly = 0;

	(void)state;
	for (int k = 0; !done; k++) {
		struct rig g;
		uint64_t rows, adopted;
		enum tn_status st;
		make(&g);
		g.batch->o.slice_rows = 7;
		fault.left = k;
		fault.failed = 0;
		st = prepare(&g, new_sql);
		done = fault.failed == 0;
		fault.left = -1;
		assert_int_equal(st == TN_OK, done);
		failures += !done;
		(void)prepared(&g, &rows);
		partly += rows > 0 && rows < 80;
		if (failures % 2 == 0) {
			assert_int_equal(prepare(&g, new_sql), TN_OK);
			(void)prepared(&g, &rows);
			assert_int_equal(rows, 80);
		}
		start(&g, new_sql, &adopted);
		assert_int_equal(adopted, rows);
		expect_new(&g, 80);
		rig_drop(&g);
	}
	assert_true(failures > 8);
	assert_true(partly > 3);
}

/* Goal: a start that fails to publish keeps what is prepared. */
static void
test_start_fails(void **state)
{
	struct tn_diag d = { .line = 0 };
	struct rig g;
	uint64_t rows;

	(void)state;
	make(&g);
	assert_int_equal(prepare(&g, new_sql), TN_OK);
	rig_close(&g);
	g.sql = new_sql;
	rig_open(&g);
	fault.left = 0;
	assert_int_equal(tn_batch_rebuild(g.batch, &d), TN_EIO);
	fault.left = -1;
	(void)prepared(&g, &rows);
	assert_int_equal(rows, 80);
	start(&g, new_sql, &rows);
	assert_int_equal(rows, 80);
	expect_new(&g, 80);
	rig_drop(&g);
}

static void
stop_between(struct rig *g)
{
	__atomic_store_n(&g->batch->stopping, 1, __ATOMIC_RELAXED);
}

/* Goal: a program that ends in between has what is noted. */
static void
test_stop(void **state)
{
	uint32_t partly = 0, stopped = 0;

	(void)state;
	for (int k = 0; k < 10; k += 2) {
		struct rig g;
		uint64_t rows, adopted;
		enum tn_status st;
		make(&g);
		g.batch->o.slice_rows = 7;
		between.act = stop_between;
		between.g = &g;
		between.left = k;
		st = prepare(&g, new_sql);
		assert_int_equal(st == TN_OK, between.left >= 0);
		stopped += st == TN_ECLOSED;
		between.act = NULL;
		(void)prepared(&g, &rows);
		partly += rows > 0 && rows < 80;
		start(&g, new_sql, &adopted);
		assert_int_equal(adopted, rows);
		expect_new(&g, 80);
		rig_drop(&g);
	}
	assert_true(partly > 0 && stopped > 2);
}

static void
cancel_between(struct rig *g)
{
	struct tn_batch_work w;

	tn_batch_progress(g->batch, &w);
	assert_true(w.run != 0);
	assert_int_equal(w.total, 80);
	assert_int_equal(tn_batch_cancel(g->batch, w.run), TN_OK);
}

/* Goal: canceled, replaced by another definition, or not wanted any more, it
 * goes with its files. */
static void
test_gone(void **state)
{
	struct rig g;
	uint64_t rows, adopted;
	uint32_t files;

	(void)state;
	make(&g);
	g.batch->o.slice_rows = 7;
	files = files_on_disk(&g);
	between.act = cancel_between;
	between.g = &g;
	between.left = 6;
	assert_int_equal(prepare(&g, new_sql), TN_ECLOSED);
	between.act = NULL;
	assert_int_equal(prepared(&g, &rows), 0);
	assert_int_equal(files_on_disk(&g), files);
	assert_int_equal(prepare(&g, other_sql), TN_OK);
	assert_true(prepared(&g, &rows) > 0);
	assert_int_equal(prepare(&g, new_sql), TN_OK);
	assert_int_equal(files_on_disk(&g), files + prepared(&g, &rows));
	assert_int_equal(prepare(&g, NULL), TN_OK);
	assert_int_equal(prepared(&g, &rows), 0);
	assert_int_equal(files_on_disk(&g), files);
	/* A start with another one, and with the old one. */
	assert_int_equal(prepare(&g, other_sql), TN_OK);
	start(&g, old_sql, NULL);
	assert_int_equal(files_on_disk(&g), files);
	assert_int_equal(prepare(&g, other_sql), TN_OK);
	start(&g, new_sql, &adopted);
	assert_int_equal(adopted, 0);
	expect_new(&g, 80);
	rig_drop(&g);
}

static void
erase_between(struct rig *g)
{
	static struct tn_batch_erase e;
	static struct tn_arena *a;
	const struct tn_sql_delete *del = NULL;
	struct tn_batch_request q = { .kind = TN_BATCH_ERASE,
	    .reason = "request", .erase = &e, .view = "ev" };
	struct tn_diag d = { .line = 0 };

	if (a != NULL)
		tn_arena_free(a);
	a = tn_arena_new(4096);
	assert_int_equal(tn_sql_delete_parse(tn_serving_pipeline(g->model),
	    tn_slice_of("DELETE FROM ev WHERE who = 'eve'"), a, &del, &d),
	    TN_OK);
	e = (struct tn_batch_erase){ del->where, del->used, del->by_arrival,
	    tn_os_wall_us() };
	assert_int_equal(tn_batch_post(g->batch, &q), TN_OK);
}

/* Goal: an erasure in between does not wait, and what is prepared has none of
 * its rows. */
static void
test_erase(void **state)
{
	(void)state;
	for (int k = 0; k < 9; k += 4) {
		struct rig g;
		uint64_t rows, adopted;
		make(&g);
		g.batch->o.slice_rows = 7;
		between.act = erase_between;
		between.g = &g;
		between.left = k;
		assert_int_equal(prepare(&g, new_sql), TN_OK);
		nothing_between(&g);
		(void)prepared(&g, &rows);
		assert_int_equal(rows, 64);
		start(&g, new_sql, &adopted);
		assert_int_equal(adopted, 64);
		expect_new(&g, 64);
		rig_drop(&g);
	}
}

/* One bit in the middle, and the size as it was. */
static void
flip(struct rig *g, const struct tn_catalog_file *f)
{
	char path[300];
	uint8_t byte;
	int fd;

	(void)snprintf(path, sizeof path, "%s/lake/%s", g->dir, f->path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)f->bytes / 2), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)f->bytes / 2), 1);
	assert_int_equal(close(fd), 0);
}

/* Goal: files that are not there as they were noted, or not every bit of them,
 * are not believed: all rows are read anew. */
static void
test_damage(void **state)
{
	(void)state;
	for (int flipped = 0; flipped < 2; flipped++) {
		struct tn_arena *a = tn_arena_new(1024);
		struct tn_catalog_prepared *all;
		struct tn_catalog_file *files;
		struct rig g;
		uint64_t adopted;
		uint32_t count;
		make(&g);
		assert_int_equal(prepare(&g, new_sql), TN_OK);
		assert_int_equal(tn_catalog_prepared(g.catalog, a, &all,
		    &count), TN_OK);
		assert_int_equal(tn_catalog_prepared_files(g.catalog, &all[0],
		    a, &files, &count), TN_OK);
		if (flipped)
			flip(&g, &files[count - 1]);
		else
			assert_int_equal(tn_lake_remove(g.lake,
			    files[count - 1].path), TN_OK);
		start(&g, new_sql, &adopted);
		assert_int_equal(adopted, 0);
		expect_new(&g, 80);
		rig_drop(&g);
		tn_arena_free(a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_erase),
		cmocka_unit_test(test_damage),
	};

	quick = tn_os_real;
	quick.sync = no_sync;
	tn_os_use(&quick);
	/* Failures on purpose are said on standard error. */
	quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
