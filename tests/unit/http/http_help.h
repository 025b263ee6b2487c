/* A whole server in the test's process: every room below http, wired as app
 * wires them, on a thread of its own, with a folder of its own; and a client
 * of raw sockets, because what is tested is what travels on the wire. */
#ifndef TN_HTTP_HELP_H
#define TN_HTTP_HELP_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/http_int.h"
#include "os/os.h"

#define UNUSED __attribute__((unused))
#define WAIT_MS 60000          /* A bound of patience. */

/* ---- the server ------------------------------------------------------ */

struct rig {
	/* Set before start. */
	const char *sql;
	const char *listen;
	const char *password;
	const char *web_dir;
	uint32_t header_ms;
	uint32_t body_idle_ms;
	uint32_t connections_max;
	size_t pending_bytes_max;
	struct tn_http_mqtt mqtt;
	/* Made. */
	char dir[64];
	pthread_t thread;
	sem_t started;
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_speed *speed;
	struct tn_serving *serving;
	struct tn_ingest *ingest;
	struct tn_batch_jobs *batch;
	struct tn_governance_access *access;
	struct tn_http *http;
	uint16_t port;
	char setup[40];
};

static const char rig_sql[] =
    "CREATE TABLE badge (event_id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " office text NOT NULL, direction text NOT NULL CHECK (direction IN "
    "('in','out'))) WITH (event_time = 'ts');\n"
    "CREATE TABLE plain (n int8, t text DEFAULT 'x');\n"
    "CREATE MATERIALIZED VIEW visits AS SELECT office, "
    "date_bin('1 hour', ts, 'epoch') AS hour, count(*) AS visits "
    "FROM badge GROUP BY office, hour;\n"
    "CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n FROM plain;\n";

static void
rig_must(enum tn_status st, const struct tn_diag *d, const char *what)
{
	if (st == TN_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, tn_status_text(st),
	    d->message);
	abort();
}

static void
rig_committed(void *arg, struct tn_governance_rows *rows)
{
	tn_speed_push(((struct rig *)arg)->speed, rows);
}

static size_t
rig_backlog(void *arg)
{
	return tn_speed_backlog(((struct rig *)arg)->speed);
}

static void
rig_published(void *arg, uint64_t lsn)
{
	struct rig *g = arg;
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);

	struct tn_diag d = { .line = 0 };

	if (tn_ingest_published(g->ingest, s, &d) != TN_OK)
		print_message("key files: %s\n", d.message);
	tn_ingest_trim(g->ingest, lsn);
	tn_catalog_snapshot_put(s);
}

static void
rig_recall(void *arg, struct tn_governance_rows *rows)
{
	static const struct tn_diag none;

	rig_must(tn_ingest_recall(((struct rig *)arg)->ingest, rows), &none,
	    "recall");
}

static void
rig_seal(void *speed, uint64_t *lsn, struct tn_serving_refs *refs)
{
	tn_speed_seal(speed, lsn, refs);
}

static void
rig_unseal(void *speed)
{
	tn_speed_unseal(speed);
}

static void
rig_speed_published(void *speed)
{
	tn_speed_published(speed);
}

static void
rig_stores(struct rig *g)
{
	struct tn_diag d = { .line = 0 };
	struct tn_sql_source source = { "test.sql", tn_slice_of(g->sql) };
	struct tn_sql_pipeline *pipeline = NULL;
	char path[128];
	struct tn_log_opts lo = { .dir = path,
	    .segment_bytes = 16 << 20 };

	rig_must(tn_sql_load(&pipeline, &source, 1, &d), &d, "sql");
	snprintf(path, sizeof path, "%s/catalog.db", g->dir);
	rig_must(tn_catalog_open(&g->catalog, path, &d), &d, "catalog");
	snprintf(path, sizeof path, "%s/lake", g->dir);
	rig_must(tn_lake_open(&g->lake, path, &d), &d, "lake");
	snprintf(path, sizeof path, "%s/log", g->dir);
	rig_must(tn_log_open(&g->log, &lo, &d), &d, "log");
	rig_must(tn_serving_model_new(&g->model, pipeline, g->catalog, &d),
	    &d, "model");
	rig_must(tn_governance_access_new(&g->access, g->catalog), &d,
	    "access");
	if (g->password != NULL)
		rig_must(tn_governance_set_password(g->access,
		    tn_slice_of(g->password), &d), &d, "password");
	tn_governance_setup_code(g->access, g->setup);
}

static void
rig_layers(struct rig *g)
{
	struct tn_diag d = { .line = 0 };
	struct tn_speed_opts so = { .model = g->model,
	    .catalog = g->catalog, .lake = g->lake, .log = g->log };
	struct tn_serving_opts vo = { .loop = g->loop, .pool = g->pool,
	    .model = g->model, .catalog = g->catalog, .lake = g->lake,
	    .log = g->log, .live_ms = 20 };
	struct tn_ingest_opts io = { .loop = g->loop, .model = g->model,
	    .catalog = g->catalog, .lake = g->lake, .log = g->log,
	    .pending_bytes_max = g->pending_bytes_max,
	    .committed = rig_committed, .backlog = rig_backlog, .arg = g };
	struct tn_batch_opts bo = { .model = g->model,
	    .catalog = g->catalog, .lake = g->lake, .log = g->log,
	    .pool = g->pool, .published = rig_published, .arg = g };

	g->speed = tn_speed_new(&so);
	vo.speed = (struct tn_serving_speed){ tn_speed_ask, g->speed };
	g->serving = tn_serving_new(&vo);
	tn_speed_attach(g->speed, g->serving);
	g->ingest = tn_ingest_new(&io);
	rig_must(tn_speed_replay(g->speed, rig_recall, g, &d), &d,
	    "replay");
	bo.serving = g->serving;
	bo.speed = (struct tn_batch_speed){ .seal = rig_seal,
	    .unseal = rig_unseal, .published = rig_speed_published,
	    .speed = g->speed };
	g->batch = tn_batch_new(&bo);
	rig_must(tn_batch_mend(g->batch, &d), &d, "mend");
}

static void
rig_door(struct rig *g)
{
	static const struct tn_http_setting settings[] = {
		{ "chunk_bytes", "1MiB", "1MiB", "Bytes of one commit." },
	};
	struct tn_diag d = { .line = 0 };
	struct tn_http_opts o = { .loop = g->loop, .listen = g->listen,
	    .web_dir = g->web_dir, .data_dir = g->dir, .model = g->model,
	    .catalog = g->catalog, .lake = g->lake, .log = g->log,
	    .serving = g->serving, .ingest = g->ingest, .speed = g->speed,
	    .batch = g->batch, .access = g->access, .pool = g->pool,
	    .settings = settings, .setting_count = TN_COUNT(settings),
	    .connections_max = g->connections_max,
	    .header_ms = g->header_ms, .body_idle_ms = g->body_idle_ms,
	    .instance = "unit", .mqtt = g->mqtt };

	rig_must(tn_http_new(&g->http, &o, &d), &d, "http");
	g->port = tn_http_port(g->http);
	tn_http_set_ready(g->http, true);
}

static void
rig_close(struct rig *g)
{
	tn_http_free(g->http);
	tn_ingest_flush(g->ingest);
	tn_speed_flush(g->speed);
	tn_batch_free(g->batch);
	tn_ingest_stop(g->ingest);
	tn_speed_stop(g->speed);
	tn_net_pool_free(g->pool);
	tn_net_loop_settle(g->loop);
	tn_ingest_free(g->ingest);
	tn_serving_free(g->serving);
	tn_speed_free(g->speed);
	tn_governance_access_free(g->access);
	tn_net_loop_free(g->loop);
	tn_serving_model_free(g->model);
	tn_log_close(g->log);
	tn_lake_close(g->lake);
	tn_catalog_close(g->catalog);
}

static void *
rig_main(void *arg)
{
	struct rig *g = arg;

	rig_stores(g);
	g->loop = tn_net_loop_new();
	g->pool = tn_net_pool_new("query", 2, 64);
	rig_layers(g);
	rig_door(g);
	sem_post(&g->started);
	tn_net_loop_run(g->loop);
	rig_close(g);
	return NULL;
}

UNUSED static void
rig_start(struct rig *g)
{
	if (g->sql == NULL)
		g->sql = rig_sql;
	if (g->listen == NULL)
		g->listen = "127.0.0.1:0";
	strcpy(g->dir, "/tmp/tarn-http-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	sem_init(&g->started, 0, 0);
	assert_int_equal(pthread_create(&g->thread, NULL, rig_main, g), 0);
	while (sem_wait(&g->started) != 0)
		;
}

UNUSED static void
rig_stop(struct rig *g)
{
	char command[128];

	tn_net_loop_stop(g->loop);
	pthread_join(g->thread, NULL);
	sem_destroy(&g->started);
	snprintf(command, sizeof command, "rm -rf '%s'", g->dir);
	assert_int_equal(system(command), 0);
}

/* Setup and teardown of a group with this rig. */
#define RIG_OF_GROUP(rig) \
	static int \
	start(void **state) \
	{ \
		(void)state; \
		rig_start(&(rig)); \
		return 0; \
	} \
	static int \
	stop(void **state) \
	{ \
		(void)state; \
		rig_stop(&(rig)); \
		return 0; \
	}

/* ---- the client ------------------------------------------------------ */

struct reply {
	int code;
	char *head;              /* With its empty line. */
	struct tn_buf body;
	bool chunked;
	bool cut;                /* The connection ended before its end. */
};

UNUSED static int64_t
now_ms(void)
{
	return tn_os_mono_us() / 1000;
}

UNUSED static int
dial(const struct rig *g)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons(g->port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	assert_true(fd >= 0);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

/* All of it; false when the other side closed. */
UNUSED static bool
put_bytes(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t k = send(fd, s, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		s += k;
		n -= (size_t)k;
	}
	return true;
}

UNUSED static bool
put(int fd, const char *s)
{
	return put_bytes(fd, s, strlen(s));
}

/* 1: a byte; 0: the end; -1: nothing within ms. */
static int
get_byte(int fd, char *c, int64_t until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left = until - now_ms();

	if (poll(&p, 1, left > 0 ? (int)left : 0) <= 0)
		return -1;
	return recv(fd, c, 1, 0) == 1 ? 1 : 0;
}

/* Nothing more and closed within ms? */
UNUSED static bool
ends(int fd, int ms)
{
	char c;

	return get_byte(fd, &c, now_ms() + ms) == 0;
}

UNUSED static bool
is_silent(int fd, int ms)
{
	char c;

	return get_byte(fd, &c, now_ms() + ms) == -1;
}

static bool
get_line(int fd, struct tn_buf *b, int64_t until)
{
	char c = 0;

	while (c != '\n') {
		if (get_byte(fd, &c, until) != 1)
			return false;
		tn_buf_char(b, c);
	}
	return true;
}

static bool
get_exactly(int fd, struct tn_buf *b, size_t n, int64_t until)
{
	while (n > 0) {
		char part[65536];
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_ms();
		ssize_t k;
		if (poll(&p, 1, left > 0 ? (int)left : 0) <= 0)
			return false;
		k = recv(fd, part, n < sizeof part ? n : sizeof part, 0);
		if (k <= 0)
			return false;
		tn_buf_add(b, part, (size_t)k);
		n -= (size_t)k;
	}
	return true;
}

/* A header's value (static memory), or "". */
UNUSED static const char *
header(const struct reply *r, const char *name)
{
	static _Thread_local char value[4096];
	const char *p = r->head;
	size_t n = strlen(name);

	while (p != NULL && (p = strchr(p, '\n')) != NULL) {
		p++;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			p += n + 1;
			while (*p == ' ')
				p++;
			snprintf(value, sizeof value, "%.*s",
			    (int)strcspn(p, "\r"), p);
			return value;
		}
	}
	return "";
}

static void
get_chunks(int fd, struct reply *r, int64_t until)
{
	struct tn_buf line = { 0 };

	for (;;) {
		size_t n;
		tn_buf_clear(&line);
		if (!get_line(fd, &line, until))
			break;
		n = strtoul(tn_buf_cstr(&line), NULL, 16);
		if (!get_exactly(fd, &r->body, n, until))
			break;
		tn_buf_clear(&line);
		if (!get_line(fd, &line, until))
			break;
		if (n == 0) {
			tn_buf_fini(&line);
			return;
		}
	}
	r->cut = true;
	tn_buf_fini(&line);
}

/* Only the head. */
UNUSED static bool
get_head(int fd, struct reply *r)
{
	struct tn_buf head = { 0 };
	int64_t until = now_ms() + WAIT_MS;
	bool ok = true;

	memset(r, 0, sizeof *r);
	while (ok && (head.n < 4 || memcmp(head.p + head.n - 4, "\r\n\r\n",
	    4) != 0))
		ok = get_line(fd, &head, until);
	r->head = tn_strdup(tn_buf_cstr(&head));
	tn_buf_fini(&head);
	if (ok)
		r->code = atoi(r->head + 9);
	r->cut = !ok;
	r->chunked = ok && strstr(r->head, "chunked") != NULL;
	return ok;
}

/* One answer; has_body false after HEAD. */
UNUSED static void
get_reply(int fd, struct reply *r, bool has_body)
{
	size_t n;

	do {
		tn_free(r->head);
		if (!get_head(fd, r))
			return;
	} while (r->code == 100);
	if (!has_body || r->code == 204 || r->code == 304)
		return;
	if (r->chunked) {
		get_chunks(fd, r, now_ms() + WAIT_MS);
		return;
	}
	n = strtoul(header(r, "Content-Length"), NULL, 10);
	r->cut = !get_exactly(fd, &r->body, n, now_ms() + WAIT_MS);
}

UNUSED static void
reply_free(struct reply *r)
{
	tn_free(r->head);
	tn_buf_fini(&r->body);
	memset(r, 0, sizeof *r);
}

UNUSED static bool
says(struct reply *r, const char *words)
{
	return strstr(tn_buf_cstr(&r->body), words) != NULL;
}

/* Send a text on a fresh connection and read one answer. */
UNUSED static void
ask(const struct rig *g, struct reply *r, const char *text)
{
	int fd = dial(g);

	memset(r, 0, sizeof *r);
	(void)put(fd, text);
	get_reply(fd, r, strncmp(text, "HEAD", 4) != 0);
	close(fd);
}

/* METHOD /path with some header lines and a body. */
UNUSED static void
call(const struct rig *g, struct reply *r, const char *method,
    const char *path, const char *headers, const char *body)
{
	struct tn_buf b = { 0 };
	size_t n = body != NULL ? strlen(body) : 0;
	int fd = dial(g);

	memset(r, 0, sizeof *r);
	tn_buf_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method,
	    path, headers != NULL ? headers : "");
	if (body != NULL)
		tn_buf_printf(&b, "Content-Length: %zu\r\n", n);
	tn_buf_str(&b, "\r\n");
	if (body != NULL)
		tn_buf_add(&b, body, n);
	(void)put_bytes(fd, b.p, b.n);
	tn_buf_fini(&b);
	get_reply(fd, r, strcmp(method, "HEAD") != 0);
	close(fd);
}

/* The same, expecting a code and words in the body. */
UNUSED static void
expect_call(const struct rig *g, const char *method, const char *path,
    const char *headers, const char *body, int code, const char *words)
{
	struct reply r;

	call(g, &r, method, path, headers, body);
	if (r.code != code || (words != NULL && !says(&r, words)))
		print_message("%s %s: %s%s\n", method, path, r.head,
		    tn_buf_cstr(&r.body));
	assert_int_equal(r.code, code);
	if (words != NULL)
		assert_true(says(&r, words));
	reply_free(&r);
}

#endif
