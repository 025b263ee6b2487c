/* wrap: pwrite pwritev write writev */
/* The intake with real bodies: cut into pieces of any size, compressed,
 * broken off at any stage, held back, and with commits that fail in their
 * middle. The loop runs on the main thread, a driver thread is the client.
 * What is stored is read from the log, not from answers. */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "ingest/ingest_int.h"
#include "os/os.h"

/* ---- a write that fails ---------------------------------------------- */

/* Disk full for one call, the ${after}th after it was armed. */
static struct { int armed; int after; int error; int fired; } fault;

static bool
fails_now(int fd)
{
	struct stat s;

	if (!__atomic_load_n(&fault.armed, __ATOMIC_SEQ_CST) || fd <= 2 ||
	    fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
		return false;
	if (__atomic_sub_fetch(&fault.after, 1, __ATOMIC_SEQ_CST) != 0)
		return false;
	__atomic_store_n(&fault.armed, 0, __ATOMIC_SEQ_CST);
	fault.fired++;
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

/* ---- the intake ------------------------------------------------------ */

static const char sql[] =
    "CREATE TABLE plain (n int8 NOT NULL, t text);"
    "CREATE TABLE keyed (n int8 PRIMARY KEY, t text);";

struct rig {
	char dir[64];
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_ingest *ingest;
	pthread_t driver;
	void (*script)(struct rig *g);
	size_t backlog;              /* Atomic: what speed would say. */
	int commits;                 /* Atomic. */
	int fail_after_commit;       /* Arms the fault; 0: never. */
	int fail_call;
	struct tn_net_latch *hold;   /* Atomic: the next commit waits for it, */
	struct tn_net_latch *held;   /* and opens this. */
	uint64_t hold_after;         /* Atomic: not in that of this LSN. */
};

static void
committed(void *arg, struct tn_governance_rows *rows)
{
	struct rig *g = arg;
	struct tn_net_latch *hold = NULL;

	assert_true(rows->batch->rows > 0);
	if (rows->lsn > __atomic_load_n(&g->hold_after, __ATOMIC_SEQ_CST))
		hold = __atomic_exchange_n(&g->hold, NULL, __ATOMIC_SEQ_CST);
	if (hold != NULL) {
		tn_net_latch_open(g->held);
		tn_net_latch_wait(hold);
	}
	if (__atomic_add_fetch(&g->commits, 1, __ATOMIC_SEQ_CST) ==
	    g->fail_after_commit) {
		fault.after = g->fail_call;
		__atomic_store_n(&fault.armed, 1, __ATOMIC_SEQ_CST);
	}
}

static size_t
backlog(void *arg)
{
	return __atomic_load_n(&((struct rig *)arg)->backlog,
	    __ATOMIC_SEQ_CST);
}

static void
must(enum tn_status st, const struct tn_diag *d)
{
	if (st != TN_OK)
		print_message("%s: %s\n", tn_status_text(st), d->message);
	assert_int_equal(st, TN_OK);
}

static size_t chunk_bytes = 4096, row_bytes = 2048;
/* 0: as it is; TN_LOG_NO_JOURNAL: its failures are LMDB's. */
static uint64_t journal_bytes;

static void
rig_open(struct rig *g)
{
	struct tn_sql_source source = { "test.sql", tn_slice_of(sql) };
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	char path[100];
	struct tn_log_opts lo = { .dir = path, .segment_bytes = 16 << 20,
		.journal_bytes = journal_bytes };
	struct tn_ingest_opts io;

	must(tn_sql_load(&p, &source, 1, &d), &d);
	(void)snprintf(path, sizeof path, "%s/catalog.db", g->dir);
	must(tn_catalog_open(&g->catalog, path, &d), &d);
	(void)snprintf(path, sizeof path, "%s/lake", g->dir);
	must(tn_lake_open(&g->lake, path, &d), &d);
	(void)snprintf(path, sizeof path, "%s/log", g->dir);
	must(tn_log_open(&g->log, &lo, &d), &d);
	must(tn_serving_model_new(&g->model, p, g->catalog, &d), &d);
	g->loop = tn_net_loop_new();
	io = (struct tn_ingest_opts){ .loop = g->loop, .model = g->model,
	    .catalog = g->catalog, .lake = g->lake, .log = g->log,
	    .decoders = 2, .chunk_bytes = chunk_bytes,
	    .row_bytes_max = row_bytes,
	    .committed = committed, .backlog = backlog, .arg = g };
	g->ingest = tn_ingest_new(&io);
}

static void
rig_close(struct rig *g)
{
	tn_ingest_flush(g->ingest);
	tn_ingest_stop(g->ingest);
	tn_net_loop_settle(g->loop);
	/* Nothing is held any more, whatever became of the bodies. */
	assert_null(g->ingest->bodies);
	assert_int_equal(g->ingest->pending, 0);
	tn_ingest_free(g->ingest);
	tn_net_loop_free(g->loop);
	tn_serving_model_free(g->model);
	tn_log_close(g->log);
	tn_lake_close(g->lake);
	tn_catalog_close(g->catalog);
}

static void *
drive(void *arg)
{
	struct rig *g = arg;

	g->script(g);
	tn_net_loop_stop(g->loop);
	return NULL;
}

static void
rig_run(struct rig *g, void (*script)(struct rig *g))
{
	g->script = script;
	assert_int_equal(pthread_create(&g->driver, NULL, drive, g), 0);
	tn_net_loop_run(g->loop);
	pthread_join(g->driver, NULL);
}

static void
rig_make(struct rig *g)
{
	memset(g, 0, sizeof *g);
	memset(&fault, 0, sizeof fault);
	strcpy(g->dir, "/tmp/tarn-ingest-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	rig_open(g);
}

static void
rig_drop(struct rig *g)
{
	char command[100];

	rig_close(g);
	(void)snprintf(command, sizeof command, "rm -rf %s", g->dir);
	assert_int_equal(system(command), 0);
}

/* ---- a client -------------------------------------------------------- */

enum { NEVER = -1, AT_END = -2 };
struct client {
	struct tn_net_job job;
	struct rig *g;
	const char *stream, *key;
	struct tn_slice body;
	size_t piece;
	enum tn_coding coding;
	enum tn_codec_format format;
	int64_t abort_at;            /* After so many bytes. */
	/* Out. */
	struct tn_ingest_body *at;
	size_t sent;
	uint32_t resumed, refused;
	bool answered, waiting;
	bool posted;                 /* A turn is under way. */
	struct tn_ingest_result result;
	char code[40];
	struct tn_net_latch *over;
};

static void
client_done(void *arg, const struct tn_ingest_result *r)
{
	struct client *c = arg;

	assert_false(c->answered);
	assert_int_equal(c->abort_at, NEVER);
	c->answered = true;
	c->at = NULL;
	c->result = *r;
	memcpy(c->code, r->diag.code, sizeof c->code);
	/* A turn under way looks at us again: it ends us then. */
	if (!c->posted)
		tn_net_latch_open(c->over);
}

static void
client_post(struct client *c)
{
	c->posted = true;
	tn_net_loop_post(c->g->loop, &c->job);
}

static bool
aborts_now(struct client *c)
{
	if (c->abort_at < 0 || c->sent < (size_t)c->abort_at)
		return false;
	tn_ingest_abort(c->at);
	tn_net_latch_open(c->over);
	return true;
}

/* Every second piece, the first one too, is given away as a whole: into an
 * inbox that is empty it goes without a copy. */
static enum tn_status
client_feed(struct client *c, struct tn_slice piece)
{
	struct tn_buf whole = { .max = SIZE_MAX };
	const uint8_t *was;
	enum tn_status st;

	if (c->sent / c->piece % 2 == 1)
		return tn_ingest_feed(c->at, piece);
	tn_buf_add(&whole, piece.p, piece.n);
	was = whole.p;
	st = tn_ingest_feed_whole(c->at, &whole);
	assert_int_equal(whole.n, st == TN_OK ? 0 : piece.n);
	assert_true(c->sent > 0 || st != TN_OK || whole.p != was);
	tn_buf_fini(&whole);
	return st;
}

/* One piece a turn, so that the threads work in between. */
static void
client_turn(struct tn_net_job *job)
{
	struct client *c = (struct client *)job;
	size_t n = c->body.n - c->sent;

	c->posted = false;
	if (c->at == NULL) {
		tn_net_latch_open(c->over);
		return;
	}
	if (aborts_now(c))
		return;
	if (n == 0) {
		tn_ingest_end(c->at);
		if (c->abort_at == AT_END) {
			tn_ingest_abort(c->at);
			tn_net_latch_open(c->over);
		}
		return;
	}
	n = n < c->piece ? n : c->piece;
	if (client_feed(c, (struct tn_slice){ c->body.p + c->sent, n }) ==
	    TN_EFULL) {
		c->refused++;
		c->waiting = true;
		return;
	}
	c->sent += n;
	client_post(c);
}

static void
client_resume(void *arg)
{
	struct client *c = arg;

	assert_true(c->waiting);
	c->waiting = false;
	c->resumed++;
	client_post(c);
}

static void
client_begin(struct tn_net_job *job)
{
	struct client *c = (struct client *)job;
	struct tn_codec_spec *spec = tn_zalloc(sizeof *spec);
	struct tn_ingest_request r = { .stream = tn_slice_of(c->stream),
	    .spec = spec, .coding = c->coding, .source = "test",
	    .done = client_done, .resume = client_resume, .arg = c };

	tn_codec_spec_init(spec, c->format);
	if (c->key != NULL)
		r.idempotency_key = tn_slice_of(c->key);
	c->result.status = tn_ingest_begin(c->g->ingest, &r, &c->at,
	    &c->result.diag);
	if (c->result.status != TN_OK) {
		memcpy(c->code, c->result.diag.code, sizeof c->code);
		tn_net_latch_open(c->over);
		return;
	}
	c->job.run = client_turn;
	client_turn(&c->job);
}

/* Begins; the latch opens when it is over. */
static void
client_start(struct client *c)
{
	c->over = tn_net_latch_new();
	c->job.run = client_begin;
	tn_net_loop_post(c->g->loop, &c->job);
}

static void
client_wait(struct client *c)
{
	tn_net_latch_wait(c->over);
	tn_net_latch_free(c->over);
}

static struct client
client(struct rig *g, const char *stream, struct tn_slice body,
    size_t piece)
{
	return (struct client){ .g = g, .stream = stream, .body = body,
	    .piece = piece, .format = TN_CODEC_NDJSON, .abort_at = NEVER };
}

static void
client_send(struct client *c)
{
	client_start(c);
	client_wait(c);
}

/* ---- what is sent, and what is stored -------------------------------- */

static void
make_rows(struct tn_buf *out, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		tn_buf_printf(out, "{\"n\":%u,\"t\":\"%u \\u00e4 ä \\\" ",
		    i, i);
		for (uint32_t k = 0; k < i * 7 % 90; k++)
			tn_buf_char(out, (char)('a' + (i + k) % 26));
		tn_buf_str(out, i % 3 == 0 ? "\"}\r\n" : "\"}\n");
	}
}

static void
compress_body(struct tn_buf *out, struct tn_slice in, enum tn_coding coding)
{
	size_t room = in.n + 1000, n = room;
	uint8_t *p = tn_alloc(room);
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in.p,
	    .avail_in = (uInt)in.n, .next_out = p, .avail_out = (uInt)room };

	if (coding == TN_CODING_GZIP) {
		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8,
		    Z_DEFAULT_STRATEGY), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		n = z.total_out;
		deflateEnd(&z);
	} else if (coding == TN_CODING_ZSTD) {
		n = ZSTD_compress(p, room, in.p, in.n, 3);
		assert_false(ZSTD_isError(n));
	} else {
		memcpy(p, in.p, in.n);
		n = in.n;
	}
	tn_buf_add(out, p, n);
	tn_free(p);
}

/* Raw rows from ${lsn} on, each with a newline; how many. */
static uint32_t
stored_rows(struct rig *g, uint64_t lsn, struct tn_buf *out)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	struct tn_diag d;
	uint32_t rows = 0;

	for (; lsn <= tn_log_last(g->log); lsn++) {
		struct tn_log_block b;
		size_t at = 0;
		must(tn_log_read(g->log, lsn, a, &b, &d), &d);
		rows += b.rows;
		for (uint32_t i = 0; i < b.rows; i++) {
			tn_buf_add(out, b.raw.p + at, b.lengths[i]);
			tn_buf_char(out, '\n');
			at += b.lengths[i];
		}
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return rows;
}

/* The rows of ${body}, ${times} times over, and nothing else. */
static void
check_stored(struct rig *g, uint64_t lsn, struct tn_slice body)
{
	struct tn_buf got = { 0 }, want = { 0 };

	for (size_t i = 0; i < body.n; i++)
		if (body.p[i] != '\r')
			tn_buf_char(&want, (char)body.p[i]);
	stored_rows(g, lsn, &got);
	if (got.n != want.n)
		print_message("%zu bytes stored of %zu\n", got.n, want.n);
	assert_true(tn_slice_eq((struct tn_slice){ got.p, got.n },
	    (struct tn_slice){ want.p, want.n }));
	tn_buf_fini(&got);
	tn_buf_fini(&want);
}

/* ---- pieces ---------------------------------------------------------- */

static void
pieces(struct rig *g)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 61, 1000, 4095, 4096,
	    4097, 65535, 65536, 65537, SIZE_MAX };
	struct tn_buf body = { 0 }, packed = { 0 };

	make_rows(&body, 0, 400);
	for (int coding = 0; coding <= TN_CODING_ZSTD; coding++) {
		tn_buf_clear(&packed);
		compress_body(&packed, (struct tn_slice){ body.p, body.n },
		    (enum tn_coding)coding);
		for (size_t i = 0; i < TN_COUNT(sizes); i++) {
			uint64_t lsn = tn_log_last(g->log) + 1;
			struct client c = client(g, "plain", (struct tn_slice){
			    packed.p, packed.n }, sizes[i]);
			c.coding = (enum tn_coding)coding;
			client_send(&c);
			assert_int_equal(c.result.status, TN_OK);
			assert_int_equal(c.result.accepted, 400);
			assert_int_equal(c.result.last_offset -
			    c.result.first_offset, 399);
			check_stored(g, lsn, (struct tn_slice){ body.p,
			    body.n });
		}
	}
	tn_buf_fini(&body);
	tn_buf_fini(&packed);
}

/* Goal: a body is the same rows in whatever pieces it comes, and however it
 * is packed. */
static void
test_pieces(void **state)
{
	struct rig g;

	(void)state;
	rig_make(&g);
	rig_run(&g, pieces);
	rig_drop(&g);
}

/* ---- bodies that break ----------------------------------------------- */

static void
broken(struct rig *g)
{
	struct tn_buf body = { 0 }, packed = { 0 };
	struct client c;
	uint64_t lsn;

	make_rows(&body, 0, 300);
	compress_body(&packed, (struct tn_slice){ body.p, body.n },
	    TN_CODING_GZIP);
	/* Cut short, and damaged. */
	c = client(g, "plain", (struct tn_slice){ packed.p, packed.n - 9 },
	    500);
	c.coding = TN_CODING_GZIP;
	client_send(&c);
	assert_int_equal(c.result.status, TN_EINVAL);
	assert_string_equal(c.code, "bad_encoding");
	packed.p[packed.n / 2] ^= 0x55;
	c = client(g, "plain", (struct tn_slice){ packed.p, packed.n }, 500);
	c.coding = TN_CODING_GZIP;
	client_send(&c);
	assert_int_equal(c.result.status, TN_EINVAL);
	/* A row beyond the limit: what came before it is taken and counted,
	 * and the rest of a long body is swallowed. */
	lsn = tn_log_last(g->log) + 1;
	tn_buf_clear(&body);
	make_rows(&body, 0, 10);
	for (uint32_t i = 0; i < 300000; i++)
		tn_buf_char(&body, 'x');
	c = client(g, "plain", (struct tn_slice){ body.p, body.n }, 3000);
	client_send(&c);
	assert_int_equal(c.result.status, TN_ELIMIT);
	assert_string_equal(c.code, "row_too_large");
	assert_int_equal(c.result.accepted, 10);
	tn_buf_clear(&body);
	make_rows(&body, 0, 10);
	check_stored(g, lsn, (struct tn_slice){ body.p, body.n });
	/* Nothing at all is an answer too. */
	c = client(g, "plain", tn_slice_of(""), 1);
	client_send(&c);
	assert_int_equal(c.result.status, TN_OK);
	assert_false(c.result.has_offset);
	tn_buf_fini(&body);
	tn_buf_fini(&packed);
}

/* Goal: a body that breaks ends with one answer that says how and what was
 * taken of it. */
static void
test_broken(void **state)
{
	struct rig g;

	(void)state;
	rig_make(&g);
	rig_run(&g, broken);
	rig_drop(&g);
}

/* ---- long headers ---------------------------------------------------- */

static void
make_wide(struct tn_buf *out, size_t name_bytes, uint32_t rows)
{
	tn_buf_clear(out);
	tn_buf_str(out, "n,");
	for (size_t i = 0; i < name_bytes; i++)
		tn_buf_char(out, 'x');
	for (uint32_t i = 0; i < rows; i++)
		tn_buf_str(out, "\n1,");
	tn_buf_char(out, '\n');
}

/* Rows from ${lsn} on; bronze has spec and source in each of them. */
static uint32_t
wide_rows(struct rig *g, uint64_t lsn)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	struct tn_diag d;
	uint32_t rows = 0;

	for (; lsn <= tn_log_last(g->log); lsn++) {
		struct tn_log_block b;
		must(tn_log_read(g->log, lsn, a, &b, &d), &d);
		/* A step of the splitter may bring some more. */
		assert_true((b.rows - 2048.0) * (double)(b.spec.n +
		    b.source.n) < TN_INGEST_SAME_BYTES);
		rows += b.rows;
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return rows;
}

static void
wide(struct rig *g)
{
	struct tn_buf body = { 0 }, packed = { 0 };
	struct client c;

	for (int coding = 0; coding <= TN_CODING_ZSTD; coding++)
		for (int i = 0; i < 2; i++) {
			uint64_t lsn = tn_log_last(g->log) + 1;
			make_wide(&body, i == 0 ? 65000 : 9000, 100000);
			tn_buf_clear(&packed);
			compress_body(&packed, (struct tn_slice){ body.p,
			    body.n }, (enum tn_coding)coding);
			c = client(g, "plain", (struct tn_slice){ packed.p,
			    packed.n }, 250000);
			c.coding = (enum tn_coding)coding;
			c.format = TN_CODEC_CSV;
			client_send(&c);
			assert_int_equal(c.result.status, TN_OK);
			assert_int_equal(c.result.accepted, 100000);
			assert_int_equal(wide_rows(g, lsn), 100000);
		}
	make_wide(&body, TN_LOG_SPEC_MAX, 100);
	c = client(g, "plain", (struct tn_slice){ body.p, body.n }, 5000);
	c.format = TN_CODEC_CSV;
	client_send(&c);
	assert_int_equal(c.result.status, TN_ELIMIT);
	assert_string_equal(c.code, "header_too_large");
	assert_int_equal(c.result.accepted, 0);
	tn_buf_fini(&body);
	tn_buf_fini(&packed);
}

/* Goal: behind a long header come blocks of few rows, because bronze has it in
 * each of them; one that no block can hold is refused with its reason. */
static void
test_wide(void **state)
{
	struct rig g;

	(void)state;
	chunk_bytes = 1 << 20;
	row_bytes = 1 << 20;
	rig_make(&g);
	rig_run(&g, wide);
	rig_drop(&g);
	chunk_bytes = 4096;
	row_bytes = 2048;
}

/* ---- senders that go away -------------------------------------------- */

static void
aborts(struct rig *g)
{
	static const int64_t at[] = { 0, 1, 3000, 5000, 30000, 66000, AT_END };
	static const size_t sizes[] = { 1500, 40000 };
	struct tn_buf body = { 0 }, got = { 0 };
	const char *line, *end;

	make_rows(&body, 0, 1000);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < TN_COUNT(at) * 2; i++) {
			struct client c = client(g, "plain", (struct tn_slice){
			    body.p, body.n }, sizes[i % 2]), after;
			c.abort_at = at[i / 2];
			c.key = i % 3 == 0 ? "again and again" : NULL;
			client_start(&c);
			client_wait(&c);
			after = client(g, "keyed", tn_slice_of(
			    "{\"n\":1,\"t\":\"x\"}\n"), 100);
			client_send(&after);
			assert_int_equal(after.result.status, TN_OK);
			assert_false(c.answered);
		}
	/* Whole rows, in order, whatever came of each body. */
	stored_rows(g, 1, &got);
	line = tn_buf_cstr(&got);
	for (; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		assert_true(line[0] == '{' && end[-1] == '}');
	}
	tn_buf_fini(&body);
	tn_buf_fini(&got);
}

/* Goal: a sender may go at any moment; nothing is held, nothing is half
 * stored, and the next body is served. */
static void
test_aborts(void **state)
{
	struct rig g;

	(void)state;
	rig_make(&g);
	rig_run(&g, aborts);
	rig_drop(&g);
}

/* ---- held back ------------------------------------------------------- */

static void
held(struct rig *g)
{
	struct tn_buf body = { 0 };
	struct client a, b;

	/* Faster than the threads: the inbox says no, and takes it later. */
	make_rows(&body, 0, 30000);
	a = client(g, "plain", (struct tn_slice){ body.p, body.n }, 200000);
	client_send(&a);
	assert_int_equal(a.result.status, TN_OK);
	assert_int_equal(a.result.accepted, 30000);
	assert_true(a.refused > 0);
	assert_int_equal(a.refused, a.resumed);
	/* The layer above is behind: new bodies are refused, begun ones wait
	 * and go on. */
	a = client(g, "plain", (struct tn_slice){ body.p, 100000 }, 1000);
	__atomic_store_n(&g->backlog, SIZE_MAX, __ATOMIC_SEQ_CST);
	b = client(g, "plain", tn_slice_of("{\"n\":1}\n"), 10);
	client_send(&b);
	assert_int_equal(b.result.status, TN_EFULL);
	assert_string_equal(b.code, "overloaded");
	__atomic_store_n(&g->backlog, 0, __ATOMIC_SEQ_CST);
	client_start(&a);
	__atomic_store_n(&g->backlog, SIZE_MAX, __ATOMIC_SEQ_CST);
	usleep(30000);
	__atomic_store_n(&g->backlog, 0, __ATOMIC_SEQ_CST);
	client_wait(&a);
	assert_true(a.result.status == TN_OK ||
	    a.result.status == TN_EFULL);
	tn_buf_fini(&body);
}

/* Goal: a body that was told to wait is told to go on, each time once, and
 * arrives whole. */
static void
test_held(void **state)
{
	struct rig g;

	(void)state;
	rig_make(&g);
	rig_run(&g, held);
	rig_drop(&g);
}

/* ---- the window ------------------------------------------------------ */

struct look {
	struct tn_net_job job;
	const struct client *c;
	bool full;
	struct tn_net_latch *done;
};

static void
look_window(struct tn_net_job *job)
{
	struct look *l = (struct look *)job;

	assert_non_null(l->c->at);
	l->full = !l->c->at->busy &&
	    l->c->at->chunks_out == TN_INGEST_CHUNKS_MAX;
	tn_net_latch_open(l->done);
}

static void
wait_full(struct rig *g, const struct client *c)
{
	int64_t end = tn_os_mono_us() + INT64_C(60) * 1000000;
	struct look l = { { NULL, look_window }, c, false, NULL };

	while (!l.full && tn_os_mono_us() < end) {
		l.done = tn_net_latch_new();
		tn_net_loop_post(g->loop, &l.job);
		tn_net_latch_wait(l.done);
		tn_net_latch_free(l.done);
	}
	assert_true(l.full);
}

/* The writer will wait in its next commit; returns when it does. */
static struct tn_net_latch *
hold_next(struct rig *g, struct tn_net_latch *before)
{
	struct tn_net_latch *hold = tn_net_latch_new();

	g->held = tn_net_latch_new();
	__atomic_store_n(&g->hold_after, tn_log_last(g->log),
	    __ATOMIC_SEQ_CST);
	__atomic_store_n(&g->hold, hold, __ATOMIC_SEQ_CST);
	if (before != NULL)
		tn_net_latch_open(before);
	return hold;
}

static void
await_held(struct rig *g)
{
	tn_net_latch_wait(g->held);
	tn_net_latch_free(g->held);
}

static void
window(struct rig *g)
{
	struct tn_buf body = { 0 };
	struct tn_net_latch *first, *second;
	struct tn_slice all;
	struct client c;

	make_rows(&body, 0, 2000);
	all = (struct tn_slice){ body.p, body.n };
	assert_true(all.n > 3 * TN_INGEST_CHUNKS_MAX * chunk_bytes);
	c = client(g, "plain", all, 9000);
	first = hold_next(g, NULL);
	client_start(&c);
	await_held(g);
	wait_full(g, &c);
	second = hold_next(g, first);
	await_held(g);
	/* Some are back, others wait for the writer: their places are taken. */
	wait_full(g, &c);
	tn_net_latch_open(second);
	client_wait(&c);
	tn_net_latch_free(first);
	tn_net_latch_free(second);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, 2000);
	check_stored(g, 1, all);
	tn_buf_fini(&body);
}

/* Goal: a large body whose window is full goes on when one of its chunks is
 * back, not only when all of them are. */
static void
test_window(void **state)
{
	struct rig g;

	(void)state;
	rig_make(&g);
	rig_run(&g, window);
	rig_drop(&g);
}

/* ---- commits that fail ----------------------------------------------- */

static uint32_t gaps_seen;

static void
gap(struct rig *g)
{
	struct tn_buf body = { 0 };
	struct tn_slice all;
	struct client c;
	uint64_t stored;

	make_rows(&body, 0, 700);
	all = (struct tn_slice){ body.p, body.n };
	c = client(g, "plain", all, 9000);
	c.key = "one body";
	client_send(&c);
	g->fail_after_commit = 0;
	__atomic_store_n(&fault.armed, 0, __ATOMIC_SEQ_CST);
	stored = tn_log_next_offset(g->log, g->model->streams[
	    tn_serving_stream_find(g->model, tn_slice_of("plain"))].id);
	if (c.result.status != TN_OK) {
		assert_true(fault.fired > 0);
		/* The answer counts what is there, not what was hoped. */
		assert_int_equal(c.result.accepted, stored);
		assert_true(stored < 700);
		gaps_seen++;
	}
	if (tn_log_failure(g->log) == NULL) {
		assert_true(c.result.status == TN_OK ||
		    c.result.status == TN_ENOSPC);
		c = client(g, "plain", all, 9000);
		c.key = "one body";
		client_send(&c);
		assert_int_equal(c.result.status, TN_OK);
		assert_int_equal(c.result.accepted, 700);
		check_stored(g, 1, all);
	} else {
		assert_int_equal(c.result.status, TN_ECLOSED);
		assert_string_equal(c.code, "log_failed");
	}
	tn_buf_fini(&body);
}

static void
gap_again(struct rig *g)
{
	struct tn_buf body = { 0 };
	struct client c;

	make_rows(&body, 0, 700);
	c = client(g, "plain", (struct tn_slice){ body.p, body.n }, 9000);
	c.key = "one body";
	client_send(&c);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, 700);
	check_stored(g, 1, (struct tn_slice){ body.p, body.n });
	tn_buf_fini(&body);
}

/* Goal: when the disk is full in the middle of a body, its later chunks are
 * not taken (a gap would be skipped by the retry), the counts are what is
 * stored, and the body sent again with its key is there once, in order. */
static void
test_gap(void **state)
{
	struct rig g;

	(void)state;
	gaps_seen = 0;
	journal_bytes = TN_LOG_NO_JOURNAL;
	for (int commit = 1; commit <= 4; commit++)
		for (int call = 1; call <= 3; call++) {
			rig_make(&g);
			g.fail_after_commit = commit;
			g.fail_call = call;
			fault.error = ENOSPC;
			rig_run(&g, gap);
			rig_close(&g);
			rig_open(&g);
			rig_run(&g, gap_again);
			rig_drop(&g);
		}
	journal_bytes = 0;
	print_message("%u bodies with a gap\n", gaps_seen);
	assert_true(gaps_seen > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_aborts),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_gap),
	};

	/* A check that fails on the driver may end the process. */
	setvbuf(stdout, NULL, _IONBF, 0);
	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
