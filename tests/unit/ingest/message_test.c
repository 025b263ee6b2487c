/* wrap: pwrite pwritev write writev */
/* Messages of a broker on their way to the log: the order of what a route was
 * given, memos in the commit of their messages, commits that fail, routes that
 * are freed with messages under way. What is stored is read from what was
 * committed. */
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ingest/ingest_int.h"

/* ---- a write that fails ---------------------------------------------- */

static struct { int on; int error; } fault;  /* Atomic. */

static bool
fails_now(int fd)
{
	struct stat s;

	if (!__atomic_load_n(&fault.on, __ATOMIC_SEQ_CST) || fd <= 2 ||
	    fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
		return false;
	errno = fault.error;
	return true;
}

#define WRAP(name, params, args) \
	ssize_t __real_##name params; \
	ssize_t __wrap_##name params; \
	ssize_t __wrap_##name params \
	{ \
		return fails_now(fd) ? -1 : __real_##name args; \
	}
WRAP(pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(pwritev, (int fd, const struct iovec *v, int n, off_t at),
    (fd, v, n, at))
WRAP(write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(writev, (int fd, const struct iovec *v, int n), (fd, v, n))

/* ---- the rig --------------------------------------------------------- */

#define MESSAGES 20000

static const char sql[] =
    "CREATE TABLE plain (k text NOT NULL, n int8 NOT NULL) "
    "WITH (mqtt = 'plain/{k} -> n');"
    "CREATE TABLE keyed (k text PRIMARY KEY, n int8 NOT NULL) "
    "WITH (mqtt = 'keyed/{k} -> n');";

static struct {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_net_timer *poll, *guard;
	struct tn_ingest *ingest;
	struct tn_ingest_route *plain, *keyed;
	int rows;                    /* Atomic. */
	int commits;                 /* Atomic: blocks, that is. */
	struct tn_net_latch *hold;   /* The writer waits for it, once. */
	/* Of the waiting test. */
	uint32_t wanted;
} g;
static struct {
	uint32_t order[MESSAGES];
	enum tn_status st[MESSAGES];
	uint32_t accepted, quarantined, duplicates, reasons;
	uint32_t count;
} told;

static void
committed(void *arg, struct tn_governance_rows *rows)
{
	struct tn_net_latch *hold = __atomic_exchange_n(&g.hold, NULL,
	    __ATOMIC_SEQ_CST);

	(void)arg;
	__atomic_add_fetch(&g.rows, (int)rows->batch->rows, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&g.commits, 1, __ATOMIC_SEQ_CST);
	if (hold != NULL)
		tn_net_latch_wait(hold);
}

static size_t
no_backlog(void *arg)
{
	(void)arg;
	return 0;
}

static void
poll_told(void *arg)
{
	(void)arg;
	if (told.count >= g.wanted)
		tn_net_loop_stop(g.loop);
}

static void
stuck(void *arg)
{
	(void)arg;
	fail_msg("the loop did not end");
}

static void
run_until_told(uint32_t n)
{
	g.wanted = n;
	tn_net_timer_start(g.poll, 1, 1);
	tn_net_timer_start(g.guard, 60000, 0);
	tn_net_loop_run(g.loop);
	tn_net_timer_stop(g.poll);
	tn_net_timer_stop(g.guard);
	assert_int_equal(told.count, n);
}

static void
must(enum tn_status st, const struct tn_diag *d)
{
	if (st != TN_OK)
		print_message("%s: %s\n", tn_status_text(st), d->message);
	assert_int_equal(st, TN_OK);
}

static struct tn_ingest_route *
route_of(const char *stream, const char *pattern)
{
	uint32_t i = 0;

	while (strcmp(g.model->streams[i].table->name, stream) != 0)
		i++;
	return tn_ingest_route_new(g.ingest, i, pattern);
}

static void
rig_open(void)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	char path[100];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 16 << 20 };
	struct tn_ingest_opts io = { .decoders = 2, .backlog = no_backlog,
		.committed = committed };

	must(tn_sql_load(&p, &source, 1, &d), &d);
	(void)snprintf(path, sizeof path, "%s/catalog.db", g.dir);
	must(tn_catalog_open(&g.catalog, path, &d), &d);
	(void)snprintf(path, sizeof path, "%s/lake", g.dir);
	must(tn_lake_open(&g.lake, path, &d), &d);
	(void)snprintf(path, sizeof path, "%s/log", g.dir);
	must(tn_log_open(&g.log, &lo, &d), &d);
	must(tn_serving_model_new(&g.model, p, g.catalog, &d), &d);
	g.loop = tn_net_loop_new();
	g.poll = tn_net_timer_new(g.loop, poll_told, NULL);
	g.guard = tn_net_timer_new(g.loop, stuck, NULL);
	io.loop = g.loop;
	io.model = g.model;
	io.catalog = g.catalog;
	io.lake = g.lake;
	io.log = g.log;
	g.ingest = tn_ingest_new(&io);
	g.plain = route_of("plain", "plain/{k} -> n");
	g.keyed = route_of("keyed", "keyed/{k} -> n");
}

static void
rig_close(void)
{
	tn_ingest_flush(g.ingest);
	tn_ingest_stop(g.ingest);
	tn_net_loop_settle(g.loop);
	if (g.plain != NULL)
		tn_ingest_route_free(g.plain);
	if (g.keyed != NULL)
		tn_ingest_route_free(g.keyed);
	/* Nothing is held any more, whatever became of the messages. */
	assert_int_equal(g.ingest->pending, 0);
	assert_null(g.ingest->routes);
	tn_ingest_free(g.ingest);
	tn_net_timer_free(g.poll);
	tn_net_timer_free(g.guard);
	tn_net_loop_settle(g.loop);
	tn_net_loop_free(g.loop);
	tn_serving_model_free(g.model);
	tn_log_close(g.log);
	tn_lake_close(g.lake);
	tn_catalog_close(g.catalog);
}

static int
rig_make(void **state)
{
	(void)state;
	memset(&g, 0, sizeof g);
	memset(&told, 0, sizeof told);
	memset(&fault, 0, sizeof fault);
	strcpy(g.dir, "/tmp/tarn-message-XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	rig_open();
	return 0;
}

static int
rig_drop(void **state)
{
	char command[100];

	(void)state;
	rig_close();
	(void)snprintf(command, sizeof command, "rm -rf %s", g.dir);
	return system(command);
}

/* ---- messages -------------------------------------------------------- */

static void
done(void *arg, const struct tn_ingest_outcome *o)
{
	assert_true(tn_net_on_loop());
	assert_true(told.count < MESSAGES);
	told.order[told.count] = (uint32_t)(uintptr_t)arg;
	told.st[told.count++] = o->status;
	told.accepted += o->accepted;
	told.quarantined += o->quarantined;
	told.duplicates += o->duplicates;
	told.reasons += o->reason != NULL;
	assert_int_equal(o->reason != NULL, o->quarantined > 0);
	assert_int_equal(o->why != NULL, o->status != TN_OK);
}

static void
give(struct tn_ingest_route *r, const char *topic, const char *payload,
    struct tn_ingest_memo *memo, uint32_t number)
{
	struct tn_ingest_message m = { .route = r,
	    .client = tn_slice_of("client"), .topic = tn_slice_of(topic),
	    .payload = tn_slice_of(payload), .memo = memo, .done = done,
	    .arg = (void *)(uintptr_t)number };

	tn_ingest_message(g.ingest, &m);
}

/* Goal: a route's messages are told in the order of giving, each with its own
 * counts and reason, many of them with one commit. */
static void
in_order(void **state)
{
	uint32_t quarantined = 0;

	(void)state;
	for (uint32_t i = 0; i < 6000; i++) {
		bool bad = i % 7 == 3;
		quarantined += bad;
		give(g.plain, "plain/door", bad ? "x" : "5", NULL, i);
	}
	assert_int_equal(told.count, 0);
	run_until_told(6000);
	for (uint32_t i = 0; i < 6000; i++) {
		assert_int_equal(told.order[i], i);
		assert_int_equal(told.st[i], TN_OK);
	}
	assert_int_equal(told.quarantined, quarantined);
	assert_int_equal(told.reasons, quarantined);
	assert_int_equal(told.accepted, 6000 - quarantined);
	assert_int_equal(g.rows, 6000);
	assert_true(g.commits < 100);
}

/* Goal: what became of a message's row is said of that message: taken, seen
 * before, or bad. */
static void
counts_are_of_the_message(void **state)
{
	(void)state;
	give(g.keyed, "keyed/a", "1", NULL, 0);
	give(g.keyed, "keyed/a", "2", NULL, 1);
	give(g.keyed, "keyed/b", "", NULL, 2);
	give(g.keyed, "keyed/c", "3", NULL, 3);
	run_until_told(4);
	assert_int_equal(told.accepted, 2);
	assert_int_equal(told.duplicates, 1);
	assert_int_equal(told.quarantined, 1);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(told.order[i], i);
}

/* ---- memos ----------------------------------------------------------- */

struct memo {
	struct tn_ingest_memo memo;  /* First. */
	char key[16];
	uint32_t value;
	uint32_t written;
};

static void
write_memo(struct tn_ingest_memo *m, struct tn_buf *key, struct tn_buf *value)
{
	struct memo *x = (struct memo *)m;

	x->written++;
	tn_buf_str(key, x->key);
	tn_buf_u32(value, x->value);
}

/* What the log remembers; 0: nothing. */
static uint32_t
remembered(const struct memo *x)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_slice value = { NULL, 0 };
	enum tn_status st = tn_ingest_memo_get(g.ingest,
	    tn_slice_of(x->key), a, &value);
	struct tn_cursor c = { value.p, value.p + value.n, false };
	uint32_t v = st == TN_OK ? tn_cursor_u32(&c) : 0;

	assert_true(st == TN_OK || st == TN_ENOTFOUND);
	tn_arena_free(a);
	return v;
}

/* Goal: a memo is written once a commit, with what it says then, and is there
 * when its messages are, also after a restart. */
static void
memos_come_with_their_commit(void **state)
{
	struct memo a = { .memo = { .write = write_memo }, .key = "m:a" };
	struct memo z = { .memo = { .write = write_memo }, .key = "m:z" };

	(void)state;
	assert_int_equal(remembered(&a), 0);
	for (uint32_t i = 0; i < 100; i++) {
		a.value = i + 1;
		z.value = i + 1001;
		give(g.plain, "plain/x", "1", i % 2 == 0 ? &a.memo : &z.memo,
		    i);
	}
	assert_true(a.memo.listed && z.memo.listed);
	tn_ingest_messages_send(g.ingest);
	assert_false(a.memo.listed || z.memo.listed);
	assert_int_equal(a.written, 1);
	a.value = 77;                    /* Too late for this commit. */
	run_until_told(100);
	assert_int_equal(remembered(&a), 100);
	assert_int_equal(remembered(&z), 1100);
	rig_close();
	rig_open();
	assert_int_equal(remembered(&a), 100);
	give(g.plain, "plain/x", "1", &a.memo, 0);
	told.count = 0;
	run_until_told(1);
	assert_int_equal(remembered(&a), 77);
	assert_int_equal(remembered(&z), 1100);
}

/* Goal: a commit that fails takes its memos with it, all its messages hear of
 * it, and a full disk is over when there is room again. */
static void
failing_commit(void **state)
{
	struct memo a = { .memo = { .write = write_memo }, .key = "m:f",
	    .value = 1 };

	(void)state;
	give(g.plain, "plain/x", "1", &a.memo, 0);
	run_until_told(1);
	assert_int_equal(told.st[0], TN_OK);
	fault.error = ENOSPC;
	__atomic_store_n(&fault.on, 1, __ATOMIC_SEQ_CST);
	a.value = 2;
	for (uint32_t i = 0; i < 50; i++)
		give(g.plain, "plain/x", "1", &a.memo, 1 + i);
	run_until_told(51);
	__atomic_store_n(&fault.on, 0, __ATOMIC_SEQ_CST);
	for (uint32_t i = 1; i < 51; i++) {
		assert_int_equal(told.st[i], TN_ENOSPC);
		assert_int_equal(told.order[i], i);
	}
	assert_int_equal(remembered(&a), 1);
	assert_int_equal(g.rows, 1);
	a.value = 3;
	give(g.plain, "plain/x", "1", &a.memo, 51);
	run_until_told(52);
	assert_int_equal(told.st[51], TN_OK);
	assert_int_equal(remembered(&a), 3);
	assert_int_equal(g.rows, 2);
}

/* Goal: a failed write that is no want of room closes the door: those on their
 * way are told, room says so to the next. */
static void
failed_log(void **state)
{
	(void)state;
	assert_int_equal(tn_ingest_room(g.ingest), TN_OK);
	fault.error = EIO;
	__atomic_store_n(&fault.on, 1, __ATOMIC_SEQ_CST);
	give(g.plain, "plain/x", "1", NULL, 0);
	run_until_told(1);
	__atomic_store_n(&fault.on, 0, __ATOMIC_SEQ_CST);
	assert_true(told.st[0] != TN_OK);
	assert_int_equal(tn_ingest_room(g.ingest), TN_ECLOSED);
	give(g.plain, "plain/x", "1", NULL, 1);
	run_until_told(2);
	assert_true(told.st[1] != TN_OK);
	assert_int_equal(g.rows, 0);
}

/* ---- what the writer decodes ----------------------------------------- */

/* The writer is in a commit of message 0, until ${hold} opens. */
static struct tn_net_latch *
hold_writer(void)
{
	struct tn_net_latch *hold = tn_net_latch_new();
	int before = __atomic_load_n(&g.commits, __ATOMIC_SEQ_CST);

	__atomic_store_n(&g.hold, hold, __ATOMIC_SEQ_CST);
	give(g.plain, "plain/x", "1", NULL, 0);
	tn_ingest_messages_send(g.ingest);
	while (__atomic_load_n(&g.commits, __ATOMIC_SEQ_CST) == before)
		(void)sched_yield();
	return hold;
}

/* Goal: batches that come while the writer is in a commit are one block for
 * each route in the next, with all their memos, and are told in order. */
static void
joined(void **state)
{
	struct memo a = { .memo = { .write = write_memo }, .key = "m:a" };
	struct memo z = { .memo = { .write = write_memo }, .key = "m:z" };
	struct tn_net_latch *hold = hold_writer();

	(void)state;
	for (uint32_t i = 1; i <= 10; i++) {
		a.value = z.value = i;
		give(i % 3 == 0 ? g.keyed : g.plain, i % 3 == 0 ? "keyed/k" :
		    "plain/x", i == 5 ? "bad" : "1", i % 3 == 0 ? &z.memo :
		    &a.memo, i);
		tn_ingest_messages_send(g.ingest);
	}
	tn_net_latch_open(hold);
	run_until_told(11);
	assert_int_equal(g.commits, 3);
	assert_int_equal(g.rows, 11);
	assert_int_equal(told.accepted, 8);
	assert_int_equal(told.quarantined, 1);
	assert_int_equal(told.duplicates, 2);
	/* Each route's own, in order. */
	for (uint32_t i = 1, plain = 0, keyed = 0; i < 11; i++) {
		uint32_t n = told.order[i];
		uint32_t *last = n % 3 == 0 ? &keyed : &plain;
		assert_true(n > *last);
		*last = n;
	}
	assert_int_equal(remembered(&a), 10);
	assert_int_equal(remembered(&z), 9);
	tn_net_latch_free(hold);
}

/* Goal: when the commit of joined batches fails, all their messages hear of it,
 * none of their memos is there, and what is given next is taken. */
static void
joined_fail(void **state)
{
	struct memo a = { .memo = { .write = write_memo }, .key = "m:a" };
	struct tn_net_latch *hold = hold_writer();

	(void)state;
	fault.error = ENOSPC;
	__atomic_store_n(&fault.on, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 1; i <= 5; i++) {
		a.value = i;
		give(g.plain, "plain/x", "1", &a.memo, i);
		tn_ingest_messages_send(g.ingest);
	}
	tn_net_latch_open(hold);
	run_until_told(6);
	__atomic_store_n(&fault.on, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(told.st[0], TN_OK);
	for (uint32_t i = 1; i <= 5; i++) {
		assert_int_equal(told.order[i], i);
		assert_int_equal(told.st[i], TN_ENOSPC);
	}
	assert_int_equal(remembered(&a), 0);
	give(g.plain, "plain/x", "1", &a.memo, 6);
	run_until_told(7);
	assert_int_equal(told.st[6], TN_OK);
	assert_int_equal(remembered(&a), 5);
	assert_int_equal(g.rows, 2);
	tn_net_latch_free(hold);
}

/* Messages of ${n} clients that each wait for the answer. */
static void
give_each(uint32_t from, uint32_t n)
{
	for (uint32_t i = from; i < from + n; i++) {
		struct tn_ingest_message m = { .route = g.plain,
		    .client = tn_slice_of("client"),
		    .topic = tn_slice_of("plain/x"),
		    .payload = tn_slice_of("1"), .alone = true,
		    .done = done, .arg = (void *)(uintptr_t)i };

		tn_ingest_message(g.ingest, &m);
	}
}

/* ${n} of them are in a commit, until the latch opens; ${last}: done() of the
 * last of them, or NULL. */
static struct tn_net_latch *
hold_many(uint32_t n,
    void (*last)(void *arg, const struct tn_ingest_outcome *o))
{
	struct tn_net_latch *hold = tn_net_latch_new();
	int before = __atomic_load_n(&g.commits, __ATOMIC_SEQ_CST);

	__atomic_store_n(&g.hold, hold, __ATOMIC_SEQ_CST);
	give_each(0, n);
	if (last != NULL)
		g.plain->open->messages[n - 1].done = last;
	tn_ingest_messages_send(g.ingest);
	while (__atomic_load_n(&g.commits, __ATOMIC_SEQ_CST) == before)
		(void)sched_yield();
	return hold;
}

static void
give_20(struct tn_net_job *job)
{
	(void)job;
	give_each(45, 20);
}

static void
in_a_turn(struct tn_net_job *job)
{
	job->run = give_20;
	tn_net_loop_post(g.loop, job);
}

/* Of the last of the many: the turn after the answers brings others. */
static void
done_then_others(void *arg, const struct tn_ingest_outcome *o)
{
	static struct tn_net_job job;

	done(arg, o);
	job.run = in_a_turn;
	tn_net_loop_post(g.loop, &job);
}

static void
done_then_stop(void *arg, const struct tn_ingest_outcome *o)
{
	done(arg, o);
	tn_net_loop_stop(g.loop);
}

/* Goal: messages of a few clients wait for those of many that are in a commit,
 * and go then, all together, though nothing else wakes the loop. */
static void
few_wait_for_many(void **state)
{
	struct tn_net_latch *hold = hold_many(40, NULL);

	(void)state;
	give_each(40, 5);
	tn_ingest_messages_turn(g.ingest);
	assert_non_null(g.plain->open);
	give_each(45, 1);
	g.plain->open->messages[5].done = done_then_stop;
	tn_net_latch_open(hold);
	/* Nothing but that it is awake ends the wait. */
	tn_net_timer_start(g.guard, 60000, 0);
	tn_net_loop_run(g.loop);
	tn_net_timer_stop(g.guard);
	assert_int_equal(told.count, 46);
	assert_int_equal(g.commits, 2);
	tn_net_latch_free(hold);
}

/* Goal: what comes in the turn after the answers is of the same commit. */
static void
few_wait_a_turn_more(void **state)
{
	struct tn_net_latch *hold = hold_many(40, done_then_others);

	(void)state;
	give_each(40, 5);
	tn_net_latch_open(hold);
	run_until_told(65);
	assert_int_equal(g.plain->sent, 2);
	for (uint32_t i = 0; i < 65; i++)
		assert_int_equal(told.order[i], i);
	tn_net_latch_free(hold);
}

/* Goal: when those that wait become many, they go straight to the writer, and
 * with them the one that made them many: its memo names it. */
static void
few_become_many(void **state)
{
	struct memo a = { .memo = { .write = write_memo }, .key = "m:a" };
	struct tn_net_latch *hold = hold_many(40, NULL);
	uint32_t given = 45;
	size_t bytes = 0;

	(void)state;
	give_each(40, 5);
	tn_ingest_messages_turn(g.ingest);
	while (g.plain->on_way == 1) {
		bytes = g.plain->open->bytes.n;
		a.value = given;
		give(g.plain, "plain/x", "1", &a.memo, given++);
	}
	assert_in_range(bytes, TN_INGEST_DIRECT - 64, TN_INGEST_DIRECT);
	assert_null(g.plain->open);
	assert_int_equal(g.plain->decoding, 0);
	tn_net_latch_open(hold);
	run_until_told(given);
	assert_int_equal(remembered(&a), given - 1);
	tn_net_latch_free(hold);
}

/* Goal: a large one is the decoder's, with who waited: none goes before it whose
 * memo names it. */
static void
few_and_a_large_one(void **state)
{
	static char large[2 * TN_INGEST_DIRECT];
	struct memo a = { .memo = { .write = write_memo }, .key = "m:a" };
	struct tn_net_latch *hold = hold_many(40, NULL);

	(void)state;
	give_each(40, 5);
	a.value = 45;
	give(g.plain, "plain/x", "1", &a.memo, 45);
	tn_ingest_messages_turn(g.ingest);
	assert_non_null(g.plain->open);
	a.value = 46;
	memset(large, '1', sizeof large - 1);
	give(g.plain, "plain/x", large, &a.memo, 46);
	assert_null(g.plain->open);
	assert_int_equal(g.plain->decoding, 1);
	tn_net_latch_open(hold);
	run_until_told(47);
	assert_int_equal(a.written, 1);
	assert_int_equal(remembered(&a), 46);
	tn_net_latch_free(hold);
}

/* Goal: who waits for a commit that fails goes on by itself; who waits in a
 * route that is freed is not called. */
static void
few_behind_a_failure(void **state)
{
	struct tn_net_latch *hold;

	(void)state;
	hold = hold_writer();
	fault.error = ENOSPC;
	__atomic_store_n(&fault.on, 1, __ATOMIC_SEQ_CST);
	give_each(1, 40);
	tn_ingest_messages_turn(g.ingest);
	assert_null(g.plain->open);
	tn_net_latch_open(hold);
	while (__atomic_load_n(&g.plain->begun, __ATOMIC_RELAXED) < 2)
		(void)sched_yield();
	give_each(41, 5);
	tn_ingest_messages_turn(g.ingest);
	assert_non_null(g.plain->open);
	run_until_told(46);
	__atomic_store_n(&fault.on, 0, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < 46; i++)
		assert_int_equal(told.st[i], i > 0 ? TN_ENOSPC : TN_OK);
	assert_int_equal(g.plain->alone, 0);
	tn_net_latch_free(hold);
	hold = hold_many(40, NULL);
	give_each(86, 5);
	tn_ingest_messages_turn(g.ingest);
	assert_non_null(g.plain->open);
	tn_ingest_route_free(g.plain);
	g.plain = NULL;
	tn_net_latch_open(hold);
	tn_ingest_flush(g.ingest);
	tn_net_loop_settle(g.loop);
	assert_int_equal(told.count, 46);
	tn_net_latch_free(hold);
}

/* Goal: nobody waits in a small company, nor for who does not wait, nor when as
 * much was gathered as is under way, nor behind a batch that waits itself. */
static void
others_do_not_wait(void **state)
{
	struct tn_net_latch *hold = hold_many(40, NULL);
	uint32_t given = 40;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		give(g.plain, "plain/x", "1", NULL, given++);
	tn_ingest_messages_turn(g.ingest);
	assert_null(g.plain->open);
	give_each(given, 2);            /* Joins these. */
	tn_ingest_messages_turn(g.ingest);
	assert_null(g.plain->open);
	given += 2;
	tn_net_latch_open(hold);
	run_until_told(given);
	assert_int_equal(g.commits, 2);
	tn_net_latch_free(hold);
	hold = hold_many(25, NULL);
	give_each(25, 5);               /* 30 are no company. */
	tn_ingest_messages_turn(g.ingest);
	assert_null(g.plain->open);
	tn_net_latch_open(hold);
	run_until_told(given + 30);
	tn_net_latch_free(hold);
	hold = hold_many(40, NULL);
	give_each(40, 80);
	tn_ingest_messages_turn(g.ingest);
	assert_null(g.plain->open);
	tn_net_latch_open(hold);
	run_until_told(given + 30 + 120);
	tn_net_latch_free(hold);
}

/* Goal: handfuls, which the writer decodes, and bursts, which the decoder does,
 * are committed in the order of giving however they follow each other. */
static void
few_and_many(void **state)
{
	uint32_t given = 0, waits = 0;
	bool direct = false, decoded = false;

	(void)state;
	for (uint32_t round = 0; round < 400; round++) {
		uint32_t n = round % 5 == 2 ? 1500 : 1 + round % 4;
		if (given + n > MESSAGES)
			break;
		for (uint32_t i = 0; i < n; i++)
			give(g.plain, "plain/door", "5", NULL, given + i);
		given += n;
		if (round % 5 == 3)
			tn_ingest_messages_send(g.ingest);
		else
			tn_ingest_messages_turn(g.ingest);
		decoded |= g.plain->decoding > 0;
		direct |= g.plain->on_way > g.plain->decoding;
		waits += g.plain->open != NULL;
		if (round % 7 == 6)
			run_until_told(given);
	}
	run_until_told(given);
	assert_true(given > 10000 && direct && decoded && waits > 0);
	for (uint32_t i = 0; i < given; i++)
		assert_int_equal(told.order[i], i);
	assert_int_equal(g.rows, given);
}

struct sender {
	uint32_t done;
	uint64_t accepted;
};

static void
body_done(void *arg, const struct tn_ingest_result *r)
{
	struct sender *x = arg;

	assert_int_equal(r->status, TN_OK);
	x->done++;
	x->accepted += r->accepted;
	if (x->done == 64)
		tn_net_loop_stop(g.loop);
}

static void
no_resume(void *arg)
{
	(void)arg;
	fail_msg("nobody had to wait");
}

/* Goal: small bodies that come while the writer is in a commit are one block,
 * each with its own answer. */
static void
small_bodies_joined(void **state)
{
	static const char row[] = "{\"k\":\"a\",\"n\":1}\n{\"k\":\"b\",\"n\":2}";
	struct sender x = { 0 };
	struct tn_net_latch *hold = hold_writer();

	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		struct tn_codec_spec *spec = tn_zalloc(sizeof *spec);
		struct tn_ingest_request r = { .stream = tn_slice_of("plain"),
		    .spec = spec, .source = "test", .done = body_done,
		    .resume = no_resume, .arg = &x };
		struct tn_ingest_body *b = NULL;
		struct tn_diag d = { .line = 0 };

		tn_codec_spec_init(spec, TN_CODEC_NDJSON);
		must(tn_ingest_begin(g.ingest, &r, &b, &d), &d);
		must(tn_ingest_feed(b, tn_slice_of(row)), &d);
		tn_ingest_end(b);
	}
	tn_net_latch_open(hold);
	tn_net_timer_start(g.guard, 60000, 0);
	tn_net_loop_run(g.loop);
	tn_net_timer_stop(g.guard);
	assert_int_equal(x.done, 64);
	assert_int_equal(x.accepted, 128);
	assert_int_equal(g.commits, 2);
	tn_net_latch_free(hold);
}

/* ---- routes that go -------------------------------------------------- */

/* Goal: a route that is freed calls nobody any more, wherever its messages
 * are: gathered, with the decoder or on their way back. */
static void
route_freed(void **state)
{
	struct memo a = { .memo = { .write = write_memo }, .key = "m:r",
	    .value = 9 };

	(void)state;
	/* Still gathered: not sent at all. */
	give(g.plain, "plain/x", "1", &a.memo, 0);
	assert_true(a.memo.listed);
	tn_ingest_route_free(g.plain);
	assert_false(a.memo.listed);
	assert_int_equal(a.written, 0);
	/* Under way: committed, and nobody hears of it. */
	g.plain = route_of("plain", "plain/{k} -> n");
	give(g.plain, "plain/x", "1", &a.memo, 1);
	tn_ingest_messages_send(g.ingest);
	tn_ingest_route_free(g.plain);
	/* Come back: waits in the loop. */
	g.plain = route_of("plain", "plain/{k} -> n");
	give(g.plain, "plain/x", "1", NULL, 2);
	tn_ingest_messages_send(g.ingest);
	tn_ingest_flush(g.ingest);
	tn_ingest_route_free(g.plain);
	g.plain = NULL;
	give(g.keyed, "keyed/x", "1", NULL, 3);
	run_until_told(1);
	assert_int_equal(told.order[0], 3);
	assert_int_equal(g.rows, 3);
	assert_int_equal(remembered(&a), 9);
}

/* Goal: large messages do not wait for the end of the turn, and room is gone
 * while too much is on its way. */
static void
room_is_bounded(void **state)
{
	static char large[200000];
	enum tn_status st;
	uint32_t n = 0;

	(void)state;
	memset(large, '1', sizeof large - 1);
	/* Asked once: there may be room again a moment later. */
	while ((st = tn_ingest_room(g.ingest)) == TN_OK && n < 2000)
		give(g.plain, "plain/x", large, NULL, n++);
	assert_true(n > 10 && n < 2000);
	assert_int_equal(st, TN_EFULL);
	run_until_told(n);
	assert_int_equal(tn_ingest_room(g.ingest), TN_OK);
	assert_int_equal(told.quarantined, n);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_make, rig_drop)
	const struct CMUnitTest tests[] = {
		TEST(in_order), TEST(counts_are_of_the_message),
		TEST(memos_come_with_their_commit), TEST(failing_commit),
		TEST(failed_log), TEST(joined), TEST(joined_fail),
		TEST(few_wait_for_many), TEST(few_wait_a_turn_more),
		TEST(few_become_many), TEST(few_and_a_large_one),
		TEST(few_behind_a_failure), TEST(others_do_not_wait),
		TEST(few_and_many), TEST(small_bodies_joined),
		TEST(route_freed), TEST(room_is_bounded),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
