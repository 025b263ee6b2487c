/* wrap: tn_lake_create tn_lake_add tn_lake_finish tn_lake_merge_open tn_lake_merge_next tn_lake_sync tn_catalog_publish tn_catalog_run_begin tn_parquet_column_read tn_parquet_chunk_write tn_parquet_finish tn_governance_digest_add tn_batch_chain_take */
/* Compaction: how many files stand, that the rows in them are the same, step
 * by step beside cuts, given up at any step, failing at any call, overtaken,
 * and with readers of old snapshots. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "batch/compact_int.h"
#include "batch_help.h"
#include "fail_help.h"
#include "parquet/parquet_int.h"
#include "quiet.h"

#define HALF_DAY INT64_C(43200000000)

static const char sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL, s text)"
    " WITH (event_time = 'ts');"
    "CREATE TABLE other (n int8, ts timestamptz NOT NULL, s text)"
    " WITH (event_time = 'ts', sort_by = 's');"
    "CREATE MATERIALIZED VIEW days AS SELECT date_trunc('day', ts) AS d,"
    " count(*) AS n FROM ev GROUP BY d;";

/* ---- calls that fail -------------------------------------------------- */

WRAP(tn_lake_create, (struct tn_lake *l, const struct tn_lake_write *w,
    const struct tn_schema *s, struct tn_lake_writer **out), (l, w, s, out))
WRAP(tn_lake_add, (struct tn_lake_writer *w, const struct tn_batch *b),
    (w, b))
WRAP(tn_lake_sync, (struct tn_lake *l, bool cold), (l, cold))
WRAP(tn_catalog_run_begin, (struct tn_catalog *c,
    const struct tn_catalog_run *r, uint64_t *id), (c, r, id))

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

/* Whoever merges waits here, once, where a test has set the gate. */
static struct {
	struct tn_net_latch *inside, *open;
	uint32_t set;            /* Atomic: of which call. */
	pthread_t who;           /* Went through it. */
	bool through;            /* Atomic. */
	uint32_t after;          /* Columns they read and pages they packed then. */
	int merge_nice;          /* Of who merges ... */
	int cut_nice;            /* ... and who publishes. */
} gate;

enum { READ = 1, FINISH, HASH };

static void
wait_at(uint32_t call)
{
	uint32_t set = call;

	if (!__atomic_compare_exchange_n(&gate.set, &set, 0, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	gate.merge_nice = getpriority(PRIO_PROCESS, 0);
	gate.who = pthread_self();
	tn_net_latch_open(gate.inside);
	tn_net_latch_wait(gate.open);
	__atomic_store_n(&gate.through, true, __ATOMIC_RELEASE);
}

static void
count_work(void)
{
	if (__atomic_load_n(&gate.through, __ATOMIC_ACQUIRE) &&
	    pthread_equal(gate.who, pthread_self()))
		__atomic_add_fetch(&gate.after, 1, __ATOMIC_RELAXED);
}

enum tn_status __real_tn_parquet_column_read(struct pq_call *call, uint32_t c,
    struct tn_column *out);
enum tn_status __wrap_tn_parquet_column_read(struct pq_call *call, uint32_t c,
    struct tn_column *out);
enum tn_status
__wrap_tn_parquet_column_read(struct pq_call *call, uint32_t c,
    struct tn_column *out)
{
	count_work();
	return __real_tn_parquet_column_read(call, c, out);
}

enum tn_status __real_tn_parquet_chunk_write(struct pq_scratch *s,
    const struct pq_column *c, struct tn_buf *out, uint64_t base,
    struct pq_chunk_written *w);
enum tn_status __wrap_tn_parquet_chunk_write(struct pq_scratch *s,
    const struct pq_column *c, struct tn_buf *out, uint64_t base,
    struct pq_chunk_written *w);
enum tn_status
__wrap_tn_parquet_chunk_write(struct pq_scratch *s, const struct pq_column *c,
    struct tn_buf *out, uint64_t base, struct pq_chunk_written *w)
{
	count_work();
	return __real_tn_parquet_chunk_write(s, c, out, base, w);
}

void __real_tn_governance_digest_add(struct tn_governance_digest *d,
    const void *p, size_t n);
void __wrap_tn_governance_digest_add(struct tn_governance_digest *d,
    const void *p, size_t n);
void
__wrap_tn_governance_digest_add(struct tn_governance_digest *d, const void *p,
    size_t n)
{
	count_work();
	__real_tn_governance_digest_add(d, p, n);
}

enum tn_status __real_tn_batch_chain_take(struct tn_batch_chain *x,
    const struct tn_catalog_file *f, struct tn_diag *d);
enum tn_status __wrap_tn_batch_chain_take(struct tn_batch_chain *x,
    const struct tn_catalog_file *f, struct tn_diag *d);
enum tn_status
__wrap_tn_batch_chain_take(struct tn_batch_chain *x,
    const struct tn_catalog_file *f, struct tn_diag *d)
{
	wait_at(HASH);
	return __real_tn_batch_chain_take(x, f, d);
}

enum tn_status __real_tn_parquet_finish(struct tn_parquet_writer *w,
    struct tn_parquet_written *out);
enum tn_status __wrap_tn_parquet_finish(struct tn_parquet_writer *w,
    struct tn_parquet_written *out);
enum tn_status
__wrap_tn_parquet_finish(struct tn_parquet_writer *w,
    struct tn_parquet_written *out)
{
	wait_at(FINISH);
	return __real_tn_parquet_finish(w, out);
}

enum tn_status __real_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status __wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d);
enum tn_status
__wrap_tn_lake_merge_next(struct tn_lake_merge *m,
    const struct tn_batch **out, struct tn_diag *d)
{
	wait_at(READ);
	return fails_now() ? TN_EIO : __real_tn_lake_merge_next(m, out, d);
}

enum tn_status __real_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status __wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p);
enum tn_status
__wrap_tn_catalog_publish(struct tn_catalog *c,
    struct tn_catalog_publication *p)
{
	gate.cut_nice = getpriority(PRIO_PROCESS, 0);
	return fails_now() ? TN_EIO : __real_tn_catalog_publish(c, p);
}

/* ---- the clock: each look at it is a second --------------------------- */

static int64_t mono;

static int64_t
slow_mono(void)
{
	return __atomic_add_fetch(&mono, 1000000, __ATOMIC_RELAXED);
}

/* Syncs cost time, and are the business of tests/unit/app/engine_faults_test.c. */
static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static struct tn_os_table slow, quick;

/* ---- events and what is there ----------------------------------------- */

/* Rows of both streams on three days; received half a day after the last. */
static void
append(struct rig *g, uint32_t rows)
{
	struct tn_buf text = { 0 };

	if (g->received_us == 0)
		g->received_us = INT64_C(1772800000000000);
	for (uint32_t i = 0; i < rows; i++, g->rows++)
		tn_buf_printf(&text, "{\"n\":%u,\"ts\":\"2026-03-0%uT%02u:"
		    "%02u:00Z\",\"s\":\"%u words of %u\"}\n", g->rows,
		    (unsigned)random() % 3 + 1, (unsigned)random() % 24,
		    (unsigned)random() % 60, (unsigned)random() % 7,
		    g->rows);
	append_text(g, 0, tn_buf_cstr(&text));
	append_text(g, 1, tn_buf_cstr(&text));
	tn_buf_fini(&text);
}

static void
make(struct rig *g, uint64_t full_bytes)
{
	fault.left = -1;
	rig_make(g, sql);
	g->batch->o.compact_file_bytes = full_bytes;
}

static bool
same_partition(const struct tn_catalog_file *x,
    const struct tn_catalog_file *y)
{
	return x->tier == y->tier && x->object == y->object &&
	    strcmp(x->partition, y->partition) == 0;
}

static uint32_t
most_young(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);
	struct tn_batch_tiers t = { g->batch->o.compact_file_bytes, 2,
	    false };
	uint32_t most = 0;

	for (uint32_t i = 0, end; i < s->count; i = end) {
		uint32_t young;
		for (end = i; end < s->count && same_partition(&s->files[i],
		    &s->files[end]); end++)
			continue;
		young = tn_batch_young(&t, &s->files[i], end - i);
		if (s->files[i].tier <= TN_TIER_SILVER && young > most)
			most = young;
	}
	tn_catalog_snapshot_put(s);
	return most;
}

struct look {
	struct rig *g;
	uint32_t stream;
	uint64_t rows;
	uint64_t sum;            /* Of the rows' numbers. */
	uint64_t lsn_min, lsn_max;
	uint64_t offset;         /* Bronze: the next. */
	uint64_t lsn;            /* Bronze: of the last row. */
};

static enum tn_status
look_at_silver(void *arg, struct tn_batch *b)
{
	struct look *l = arg;
	uint32_t sort[TN_BATCH_SORT_MAX], n = tn_batch_sort_columns(
	    &l->g->model->streams[l->stream], sort);

	for (uint32_t i = 0; i < b->rows; i++) {
		int c = 0;
		for (uint32_t k = 0; i > 0 && c == 0 && k < n; k++)
			c = tn_record_compare(&b->columns[sort[k]], i - 1,
			    &b->columns[sort[k]], i);
		assert_true(c <= 0);
		l->sum += (uint64_t)((const int64_t *)
		    b->columns[0].values)[i];
		uint64_t lsn = (uint64_t)((const int64_t *)
		    b->columns[3].values)[i];
		assert_true(lsn >= l->lsn_min && lsn <= l->lsn_max);
	}
	l->rows += b->rows;
	return TN_OK;
}

static enum tn_status
look_at_bronze(void *arg, struct tn_batch *b)
{
	struct look *l = arg;

	for (uint32_t i = 0; i < b->rows; i++) {
		uint64_t lsn = (uint64_t)((const int64_t *)
		    b->columns[TN_BRONZE_LSN].values)[i];
		assert_int_equal(((const int64_t *)
		    b->columns[TN_BRONZE_OFFSET].values)[i], l->offset);
		assert_true(lsn >= l->lsn && lsn >= l->lsn_min &&
		    lsn <= l->lsn_max);
		l->offset++;
		l->lsn = lsn;
	}
	return TN_OK;
}

static void
read_tier(struct rig *g, const struct tn_catalog_snapshot *s,
    struct look *l, enum tn_catalog_tier tier)
{
	const struct tn_governance_stream *st = &g->model->streams[l->stream];
	uint32_t first, n = tn_catalog_snapshot_find(s, tier, st->id, &first);
	bool raw = tier == TN_TIER_BRONZE;

	for (uint32_t i = first; i < first + n; i++) {
		struct tn_lake_read r = { .path = s->files[i].path,
		    .schema = raw ? &tn_governance_bronze : st->silver,
		    .each = raw ? look_at_bronze : look_at_silver,
		    .arg = l };
		struct tn_diag d = { .line = 0 };
		l->lsn_min = s->files[i].lsn_min;
		l->lsn_max = s->files[i].lsn_max;
		if (tn_lake_read(g->lake, &r, &d) != TN_OK)
			fail_msg("%s: %s", s->files[i].path, d.message);
	}
}

/* Every row is there once, in files that are sorted as they should be; bronze
 * has them in the order in which they came. */
static void
check_snapshot(struct rig *g, const struct tn_catalog_snapshot *s,
    uint32_t rows)
{
	for (uint32_t k = 0; k < 2; k++) {
		struct look l = { .g = g, .stream = k };
		read_tier(g, s, &l, TN_TIER_SILVER);
		assert_int_equal(l.rows, rows);
		assert_int_equal(l.sum, rows == 0 ? 0 :
		    (uint64_t)rows * (rows - 1) / 2);
		read_tier(g, s, &l, TN_TIER_BRONZE);
		assert_int_equal(l.offset, rows);
	}
}

static void
check_rows(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);

	check_snapshot(g, s, g->rows);
	tn_catalog_snapshot_put(s);
}

/* Files on disk that the catalog does not know; none of its own is missing. */
static void
check_folder(struct rig *g)
{
	struct tn_arena *a = tn_arena_new(4096);
	const char **paths = NULL;
	uint32_t count = 0, removed = 0;
	char full[400];

	assert_int_equal(tn_catalog_paths(g->catalog, a, &paths, &count),
	    TN_OK);
	for (uint32_t i = 0; i < count; i++) {
		(void)snprintf(full, sizeof full, "%s/lake/%s", g->dir,
		    paths[i]);
		assert_int_equal(tn_os_kind(full), TN_OS_FILE);
	}
	assert_int_equal(tn_lake_sweep(g->lake, paths, count, &removed),
	    TN_OK);
	assert_int_equal(removed, 0);
	tn_arena_free(a);
}

/* What the batch thread was asked before is done. */
static void
pass_by(struct rig *g)
{
	struct tn_batch_request q = { .kind = TN_BATCH_VERIFY,
	    .view = "none such", .reason = "request" };
	struct tn_batch_report r;

	memset(&r, 0, sizeof r);
	assert_int_not_equal(tn_batch_run(g->batch, &q, &r), TN_OK);
	tn_buf_fini(&r.text);
}

static bool
is_lent(struct rig *g)
{
	return __atomic_load_n(&g->batch->compaction->turn.lent,
	    __ATOMIC_RELAXED) != 0;
}

/* One step, on whichever thread, and wait for it. */
static void
tick(struct rig *g)
{
	tn_batch_tick(g->batch);
	do
		pass_by(g);
	while (is_lent(g));
}

/* Until somebody waits at the gate: one tick does not lend the round where its
 * first steps took the batch thread's time. */
static void
tick_until_inside(struct rig *g)
{
	do
		tn_batch_tick(g->batch);
	while (__atomic_load_n(&gate.set, __ATOMIC_ACQUIRE) != 0 &&
	    sched_yield() == 0);
	tn_net_latch_wait(gate.inside);
}

/* Bronze files that go on in another one: of neighbours of one publication,
 * whose numbers follow each other, the first ends below the cut. */
static uint32_t
rolled(struct rig *g)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);
	uint32_t n = 0;

	for (uint32_t i = 0; i + 1 < s->count && s->files[i].tier ==
	    TN_TIER_BRONZE; i++)
		n += same_partition(&s->files[i], &s->files[i + 1]) &&
		    s->files[i + 1].id == s->files[i].id + 1 &&
		    s->files[i].bytes >= g->batch->o.compact_file_bytes;
	tn_catalog_snapshot_put(s);
	return n;
}

/* ---- tests ------------------------------------------------------------ */

/* Goal: after each of many cuts no partition has more young files than the
 * setting says, and the rows are the same, in their order; also where files
 * are full after some cuts. */
static void
test_bounds(void **state)
{
	(void)state;
	for (int small = 0; small < 2; small++) {
		struct rig g;
		uint32_t most_rolled = 0;
		uint32_t young = small ? 6 : 2;
		make(&g, small ? 8000 : 1 << 27);
		g.batch->o.young_files_max = young;
		for (int i = 0; i < 60; i++) {
			for (int k = 2 + i % 4; k > 0; k--)
				append(&g, 30 + (uint32_t)random() % 60);
			g.received_us += HALF_DAY / 10;
			assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
			assert_true(most_young(&g) <= young);
			if (rolled(&g) > most_rolled)
				most_rolled = rolled(&g);
			if (i % 10 == 9)
				check_rows(&g);
		}
		print_message("%u bronze files go on in another\n",
		    most_rolled);
		assert_true((most_rolled > 0) == (small == 1));
		check_folder(&g);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		rig_drop(&g);
	}
}

/* Goal: one small step at a time, with cuts and other jobs between, it comes
 * to the same end. */
static void
test_steps(void **state)
{
	struct rig g;
	uint32_t ticks = 0;

	(void)state;
	make(&g, 20000);
	slow = quick;
	slow.mono_us = slow_mono;
	tn_os_use(&slow);
	tick(&g);
	for (int i = 0; i < 40; i++) {
		append(&g, 1 + (uint32_t)random() % 60);
		g.received_us += HALF_DAY / 8;
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		for (long k = random() % 12; k > 0; k--)
			tick(&g);
		/* Overdue at 4 times the setting: then within the cut. */
		assert_true(most_young(&g) <= 8);
	}
	check_rows(&g);
	while (most_young(&g) > 2) {
		tick(&g);
		assert_true(ticks++ < 2000);
	}
	check_rows(&g);
	for (int i = 0; i < 50; i++)
		tick(&g);
	check_folder(&g);
	tn_os_use(&quick);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	rig_drop(&g);
}

static void
cut_done(void *arg, const struct tn_batch_report *r)
{
	assert_int_equal(r->status, TN_OK);
	tn_net_latch_open(arg);
}

/* Goal: a thread of low priority merges, and a cut does not wait for it: it is
 * published, at the priority of the process, while the merge stands still. Of
 * the round nothing is lost. One that finds too many files waits for the merge,
 * and then does it itself. */
static void
test_cut_beside(void **state)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT,
	    .reason = "request", .done = cut_done };
	struct rig g;
	int nice = getpriority(PRIO_PROCESS, 0), cuts = 0;

	(void)state;
	(void)alarm(120);                /* Where it does wait. */
	for (int round = 0; round < 2; round++) {
		make(&g, 20000);
		gate.inside = tn_net_latch_new();
		gate.open = tn_net_latch_new();
		tick(&g);
		for (int i = 0; i < 3; i++) {
			append(&g, 40);
			assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		}
		__atomic_store_n(&gate.set, READ, __ATOMIC_RELEASE);
		tick_until_inside(&g);
		assert_int_equal(gate.merge_nice, 10);
		for (cuts = 0; most_young(&g) <= 7; cuts++) {
			append(&g, 20);
			assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
			assert_int_equal(gate.cut_nice, nice);
			tn_batch_tick(g.batch);
		}
		assert_true(cuts >= 4);
		assert_true(is_lent(&g));
		if (round == 1) {
			struct tn_net_latch *done = tn_net_latch_new();
			append(&g, 20);
			q.arg = done;
			assert_int_equal(tn_batch_post(g.batch, &q), TN_OK);
			tn_net_latch_open(gate.open);
			tn_net_latch_wait(done);
			tn_net_latch_free(done);
			assert_true(most_young(&g) <= 8);
		} else {
			tn_net_latch_open(gate.open);
		}
		while (most_young(&g) > 2)
			tick(&g);
		check_rows(&g);
		check_folder(&g);
		assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
		rig_drop(&g);
		tn_net_latch_free(gate.inside);
		tn_net_latch_free(gate.open);
	}
	(void)alarm(0);
}

static void
erase_done(void *arg, const struct tn_batch_report *r)
{
	(void)r;
	tn_net_latch_open(arg);
}

/* What the newest failed run of compaction says. */
static void
check_why(struct rig *g, const char *why)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run *runs = NULL;
	uint32_t count = 0, i = 0;

	assert_int_equal(tn_catalog_runs(g->catalog, 0, 100, a, &runs,
	    &count), TN_OK);
	while (i < count && (strcmp(runs[i].kind, "compact") != 0 ||
	    runs[i].state != TN_RUN_FAILED))
		i++;
	assert_true(i < count);
	assert_string_equal(runs[i].detail, why);
	tn_arena_free(a);
}

/* Goal: an erasure and a stop wait for no step of a merge of low priority, which
 * has a tenth of a busy machine: it reads, packs and hashes nothing more once
 * they have come, wherever it is. What was under way is merged later. */
static void
test_given_up(void **state)
{
	(void)state;
	(void)alarm(120);                /* Where it does wait. */
	for (uint32_t i = 0; i < 6; i++) {
		bool stop = i % 2 == 1;
		struct tn_net_latch *done = tn_net_latch_new();
		struct tn_batch_erase e;
		struct tn_batch_request q = { .kind = TN_BATCH_ERASE,
		    .reason = "request", .done = erase_done, .arg = done,
		    .erase = &e, .view = "ev" };
		struct tn_arena *a = tn_arena_new(4096);
		const struct tn_sql_delete *del = NULL;
		struct rig g;

		make(&g, 20000);
		assert_int_equal(tn_sql_delete_parse(tn_serving_pipeline(
		    g.model), tn_slice_of("DELETE FROM ev WHERE n = -1"), a,
		    &del, NULL), TN_OK);
		e = (struct tn_batch_erase){ del->where, del->used,
		    del->by_arrival, tn_os_wall_us() };
		gate.inside = tn_net_latch_new();
		gate.open = tn_net_latch_new();
		gate.through = false;
		gate.after = 0;
		tick(&g);
		for (int k = 0; k < 3; k++) {
			append(&g, 40);
			assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		}
		__atomic_store_n(&gate.set, READ + i / 2, __ATOMIC_RELEASE);
		tick_until_inside(&g);
		assert_int_equal(gate.merge_nice, 10);
		if (stop)
			tn_batch_stop(g.batch);
		else
			assert_int_equal(tn_batch_post(g.batch, &q), TN_OK);
		while (!g.batch->compaction->turn.given_up)
			(void)sched_yield();
		tn_net_latch_open(gate.open);
		if (stop) {
			rig_close(&g);
			assert_int_equal(gate.after, 0);
			rig_open(&g);
			check_why(&g, "the program is stopping");
		} else {
			tn_net_latch_wait(done);
			assert_int_equal(gate.after, 0);
			check_why(&g, "rows are erased first");
		}
		gate.through = false;
		check_folder(&g);
		check_rows(&g);
		append(&g, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		check_rows(&g);
		check_folder(&g);
		rig_drop(&g);
		tn_net_latch_free(gate.inside);
		tn_net_latch_free(gate.open);
		tn_net_latch_free(done);
		tn_arena_free(a);
	}
	(void)alarm(0);
}

/* Goal: where the program stops in the middle of a round, after any number of
 * steps, nothing of it stays, and the next start does it. */
static void
test_stopped(void **state)
{
	(void)state;
	slow = quick;
	slow.mono_us = slow_mono;
	for (int steps = 0; steps < 60; steps += 1 + steps / 6) {
		struct rig g;
		make(&g, 6000);
		tn_os_use(&slow);
		tick(&g);
		for (int i = 0; i < 3; i++) {
			append(&g, 40);
			assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		}
		for (int i = 0; i < steps; i++)
			tick(&g);
		rig_close(&g);
		tn_os_use(&quick);
		rig_open(&g);
		check_folder(&g);
		check_rows(&g);
		append(&g, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_true(most_young(&g) <= 2);
		check_rows(&g);
		check_folder(&g);
		rig_drop(&g);
	}
}

/* Goal: whichever call fails, the files of before are in force, no file of the
 * round is left, the run is said to have failed, and the next cut merges. */
static void
test_faults(void **state)
{
	uint32_t failed = 0;
	bool done = false;

	(void)state;
	for (int n = 0; !done; n += 1 + n / 12) {
		struct rig g;
		make(&g, 6000);
		g.batch->o.young_files_max = 100;
		for (int i = 0; i < 3; i++) {
			append(&g, 40);
			assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		}
		rig_close(&g);
		rig_open(&g);            /* The setting is 2. */
		g.batch->o.compact_file_bytes = 6000;
		fault.left = n;
		fault.failed = 0;
		tn_batch_compact(g.batch);
		fault.left = -1;
		done = fault.failed == 0;
		failed += fault.failed;
		check_folder(&g);
		check_rows(&g);
		if (!done)
			assert_int_equal(most_young(&g), 3);
		append(&g, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
		assert_true(most_young(&g) <= 2);
		check_rows(&g);
		check_folder(&g);
		rig_drop(&g);
	}
	print_message("%u calls failed\n", failed);
	assert_true(failed > 20);
}

/* Goal: files that another publication drops while they are merged stay
 * dropped, and the others stay. */
static void
test_overtaken(void **state)
{
	struct rig g;
	const struct tn_catalog_snapshot *s;
	struct tn_catalog_publication p = { .now_us = 1 };
	uint32_t first, n, files;

	(void)state;
	make(&g, 1 << 27);
	slow = quick;
	slow.mono_us = slow_mono;
	tn_os_use(&slow);
	tick(&g);
	for (int i = 0; i < 3; i++) {
		append(&g, 40);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	tick(&g);
	s = tn_catalog_snapshot(g.catalog);
	n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g.model->streams[1].id, &first);
	assert_true(n > 3);
	p.lsn = s->lsn;
	p.drop = &s->files[first].id;
	p.drop_count = 1;
	assert_int_equal(tn_catalog_publish(g.catalog, &p), TN_OK);
	files = s->count - 1;
	tn_catalog_snapshot_put(s);
	for (int i = 0; i < 400; i++)
		tick(&g);
	/* What was dropped is not back: 120 rows less its own. */
	s = tn_catalog_snapshot(g.catalog);
	n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
	    g.model->streams[1].id, &first);
	uint64_t rows = 0;
	for (uint32_t i = first; i < first + n; i++)
		rows += s->files[i].rows;
	assert_true(rows < 120 && rows > 0);
	assert_true(s->count < files);
	tn_catalog_snapshot_put(s);
	check_folder(&g);
	tn_os_use(&quick);
	rig_drop(&g);
}

/* Goal: young files that would wait until their day is quiet are merged when a
 * person asks, all of them and once; asked again there is nothing to do. */
static void
test_asked(void **state)
{
	struct rig g;
	struct tn_batch_request q = { .kind = TN_BATCH_COMPACT,
	    .reason = "request" };
	struct tn_batch_report r;
	const struct tn_catalog_snapshot *s;

	(void)state;
	make(&g, 1 << 27);
	for (int i = 0; i < 2; i++) {
		append(&g, 60);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	for (int i = 0; i < 2; i++) {
		uint32_t young = 0, first, n;
		memset(&r, 0, sizeof r);
		assert_int_equal(tn_batch_run(g.batch, &q, &r), TN_OK);
		/* Three days of silver and one of bronze, of two streams. */
		assert_int_equal(r.files, i == 0 ? 16 : 0);
		assert_non_null(strstr(tn_buf_cstr(&r.text), i == 0 ?
		    "16 young files of 8 partitions" : "nothing to do"));
		tn_buf_fini(&r.text);
		s = tn_catalog_snapshot(g.catalog);
		for (uint32_t k = 0; k < 2; k++) {
			n = tn_catalog_snapshot_find(s, TN_TIER_SILVER,
			    g.model->streams[k].id, &first);
			young += n;
		}
		assert_int_equal(young, 6);
		check_snapshot(&g, s, g.rows);
		tn_catalog_snapshot_put(s);
	}
	/* What comes later waits again. */
	append(&g, 60);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_false(g.batch->compaction->asked);
	check_folder(&g);
	rig_drop(&g);
}

/* Goal: who holds an old snapshot reads it as it was, however often its files
 * were merged since; when it lets go their space returns. */
static void
test_readers(void **state)
{
	struct rig g;
	const struct tn_catalog_snapshot *held[5];
	uint32_t rows[5], before = 0;
	struct tn_arena *a = tn_arena_new(4096);
	const char **paths = NULL;

	(void)state;
	make(&g, 1 << 27);
	for (int i = 0; i < 25; i++) {
		if (i % 5 == 0) {
			held[i / 5] = tn_catalog_snapshot(g.catalog);
			rows[i / 5] = g.rows;
		}
		append(&g, 20);
		g.received_us += HALF_DAY / 8;
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	assert_int_equal(tn_catalog_paths(g.catalog, a, &paths, &before),
	    TN_OK);
	for (int i = 0; i < 5; i++) {
		check_snapshot(&g, held[i], rows[i]);
		tn_catalog_snapshot_put(held[i]);
	}
	usleep(2);               /* garbage_us is 1. */
	for (int i = 0; i < 2; i++) {
		append(&g, 1);
		assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	}
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g.catalog);
	uint32_t now = 0;
	assert_int_equal(tn_catalog_paths(g.catalog, a, &paths, &now), TN_OK);
	assert_true(now < before);
	assert_true(now < 3 * s->count);
	tn_catalog_snapshot_put(s);
	check_folder(&g);
	tn_arena_free(a);
	rig_drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_cut_beside),
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_readers),
	};
	const char *seed = getenv("TARN_SEED");

	quick = tn_os_real;
	quick.sync = no_sync;
	tn_os_use(&quick);
	setvbuf(stdout, NULL, _IONBF, 0);
	print_message("TARN_SEED=%s\n", seed != NULL ? seed : "1");
	srandom(seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : 1);
	/* Failures on purpose are said on standard error. */
	quiet();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
