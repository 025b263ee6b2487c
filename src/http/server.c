/* The door itself: libmicrohttpd in external epoll mode, run by our loop.
 *
 *   its epoll descriptor is readable --> run
 *   a suspended request's answer stands --> resume, kick --> run
 *   every 250 ms: deadlines, heartbeats, and run, for its own timeouts
 *
 * Its traps (FACTS.md, section 2) and where they are met: resuming wakes
 * nothing (kick); stopping with suspended connections aborts (all are resumed
 * first); its timeout is for inactivity only (conn.c); what it takes but
 * should not (guard.c); upgraded connections must be closed before it stops
 * (upgrade.c closes them at once, and keeps a copy); an answer may be queued
 * only inside its calls (an answer that stands waits for the next call). A
 * wrong Content-Length makes 0.9.75 send its own 400 twice; it closes the
 * connection then, and nothing behind it is read, which a test holds fast. */
#include "http/http_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"

#define RUNS_MAX 8           /* Of libmicrohttpd in one turn of the loop. */
#define FIGURES_US INT64_C(2000000)
#define FILE_THREADS 2       /* They wait for the disk, not the processor. */

/* ---- running libmicrohttpd ------------------------------------------- */

static void
run(struct tn_http *h)
{
	MHD_UNSIGNED_LONG_LONG wait_ms = 1;

	if (h->running || h->stopped)
		return;
	h->running = true;
	for (int i = 0; i < RUNS_MAX; i++) {
		(void)MHD_run(h->daemon);
		wait_ms = 1;
		if (MHD_get_timeout(h->daemon, &wait_ms) != MHD_YES ||
		    wait_ms > 0)
			break;
	}
	h->running = false;
	if (wait_ms == 0)
		tn_http_kick(h);
}

static void
run_kick(struct tn_net_job *job)
{
	struct tn_http *h = (struct tn_http *)(void *)((char *)job -
	    offsetof(struct tn_http, kick));

	h->kicked = false;
	run(h);
	tn_http_unref(h);
}

void
tn_http_kick(struct tn_http *h)
{
	if (h->kicked || h->stopped)
		return;
	h->kicked = true;
	h->refs++;
	h->kick.run = run_kick;
	tn_net_loop_post(h->o.loop, &h->kick);
}

static void
readable(void *arg)
{
	run(arg);
}

static void
swept(void *arg)
{
	struct tn_http *h = arg;
	int64_t now = tn_os_mono_us();

	tn_http_conn_sweep(h);
	tn_http_sse_tick(h);
	if (now >= h->next_figures_us) {
		h->next_figures_us = now + FIGURES_US;
		tn_http_figures(h);
	}
	run(h);
}

/* libmicrohttpd's timeout of inactivity. */
static unsigned
idle_s(const struct tn_http *h)
{
	return (h->o.body_idle_ms + 999) / 1000;
}

/* ---- libmicrohttpd's calls ------------------------------------------- */

/* The request line was read; what we return is the request's context. */
static void *
uri_seen(void *arg, const char *uri, struct MHD_Connection *c)
{
	struct tn_http *h = arg;
	struct request *r = tn_http_request_new(h, c);
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(c,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	r->conn = i->socket_context;
	r->uri = uri != NULL ? uri : "";
	r->uri_bytes = strlen(r->uri);
	r->bad_line = !tn_http_url_plain(r->uri, r->uri_bytes);
	/* Nothing in it can be escaped: it keeps its place when the rest is
	 * decoded. */
	(void)tn_http_absolute(r->uri, r->uri_bytes, &r->authority);
	if (r->conn->used && !r->conn->partial) {
		r->conn->partial = true;
		r->conn->since_us = tn_os_mono_us();
	}
	h->parsing = r;
	return r;
}

/* Called for every name and value of the query, then for the path, right
 * after uri_seen. */
static size_t
unescape(void *arg, struct MHD_Connection *c, char *s)
{
	struct tn_http *h = arg;
	size_t n = 0;

	(void)c;
	tn_assert(h->parsing != NULL);
	if (tn_http_decode(s, &n))
		return n;
	h->parsing->bad_url = true;
	s[0] = '\0';
	return 0;
}

static void
choose_route(struct request *r)
{
	uint32_t others;
	char allow[64];

	r->route = tn_http_route_find(r->method, r->path, &r->var, &others);
	if (r->route == NULL && others == 0 && (r->method == TN_HTTP_GET ||
	    r->method == TN_HTTP_HEAD || r->method == TN_HTTP_OPTIONS))
		others = r->method == TN_HTTP_OPTIONS ? 1u : 0;
	if (r->route != NULL || others == 0)
		return;
	tn_http_route_allow(others, allow);
	if (r->method == TN_HTTP_OPTIONS)
		tn_http_say(r, 204, NULL);
	else
		tn_http_fail(r, 405, "method_not_allowed", NULL,
		    "%.*s takes %s", (int)(r->path.n > 100 ? 100 : r->path.n),
		    (const char *)r->path.p, allow);
	tn_http_extra(r, "Allow", tn_arena_printf(tn_http_arena(r), "%s",
	    allow));
}

/* The live streams need an answer without an end. */
static bool
head_of_stream(const struct request *r)
{
	return r->method == TN_HTTP_HEAD && r->route != NULL &&
	    (r->route->run == tn_http_run_live ||
	    r->route->run == tn_http_run_view_live);
}

/* Route, access and body; an answer's code is set when it failed. */
static void
look_at_head(struct request *r, const char *method, const char *version)
{
	if (!tn_http_guard(r, method, version))
		return;
	if (r->h->draining) {
		tn_http_fail(r, 503, "stopping", "ask again when it runs",
		    "the program is stopping");
		return;
	}
	choose_route(r);
	if (r->code != 0 || !tn_http_may(r))
		return;
	if (r->route != NULL && !head_of_stream(r))
		tn_http_body_begin(r);
	else if (head_of_stream(r))
		tn_http_say(r, 200, "text/event-stream");
	else if (r->method == TN_HTTP_OTHER || r->method == TN_HTTP_POST ||
	    r->method == TN_HTTP_DELETE || r->method == TN_HTTP_PUT)
		tn_http_fail(r, 404, "no_such_path", "GET /api/openapi.json "
		    "lists the paths", "there is nothing at this path");
}

/* An answer that stands at the head goes out now when the body would be too
 * much to read and drop, or when the client waits to be told to go on. */
static bool
answer_at_once(const struct request *r)
{
	uint64_t n = 0;

	if (r->head.length.p != NULL && !tn_parse_u64(r->head.length, &n))
		return true;
	return r->close || r->head.expect.p != NULL || n > TN_HTTP_EARLY_MAX;
}

static enum MHD_Result
begin(struct request *r, const char *url, const char *method,
    const char *version)
{
	r->begun = true;
	r->begun_us = tn_os_mono_us();
	r->h->in_flight++;
	r->h->parsing = NULL;
	r->conn->busy = true;
	r->conn->request = r;
	r->conn->since_us = r->begun_us;
	r->conn->window_bytes = 0;
	r->method = tn_http_method_of(method);
	r->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
	r->path = tn_slice_of(url);
	look_at_head(r, method, version);
	if (r->code == 0)
		return MHD_YES;
	r->ready = true;
	return answer_at_once(r) ? tn_http_send(r) : MHD_YES;
}

/* When a suspended connection goes on, libmicrohttpd reads first, and what it
 * reads of a client that has ended its side makes it close the connection,
 * whatever waits to be answered or taken from its buffer. Connections with a
 * timeout of their own have their turn before it reads from any, so that an
 * answer is begun then, and behind that it does not read. */
static void
turn_first(struct request *r, bool first)
{
	if (r->first != first)
		(void)MHD_set_connection_option(r->c,
		    MHD_CONNECTION_OPTION_TIMEOUT, idle_s(r->h) + first);
	r->first = first;
}

static enum MHD_Result
suspend(struct request *r)
{
	turn_first(r, true);
	r->suspended = true;
	MHD_suspend_connection(r->c);
	return MHD_YES;
}

static enum MHD_Result
finish(struct request *r)
{
	if (!r->ended) {
		r->ended = true;
		if (!r->ready && r->route != NULL)
			r->route->run(r);
		else if (!r->ready)
			tn_http_run_page(r);
	}
	return r->ready ? tn_http_send(r) : suspend(r);
}

static enum MHD_Result
handle(void *arg, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *data, size_t *n,
    void **context)
{
	struct request *r = *context;

	(void)arg;
	(void)c;
	tn_assert(r != NULL);
	if (!r->begun)
		return begin(r, url, method, version);
	turn_first(r, false);
	if (*n == 0)
		return r->sent ? MHD_YES : finish(r);
	if (!tn_http_body_take(r, data, n))
		return MHD_NO;
	return *n > 0 ? suspend(r) : MHD_YES;
}

static void
completed(void *arg, struct MHD_Connection *c, void **context,
    enum MHD_RequestTerminationCode why)
{
	struct tn_http *h = arg;
	struct request *r = *context;

	(void)c;
	(void)why;
	if (r == NULL)
		return;
	*context = NULL;
	if (h->parsing == r)
		h->parsing = NULL;
	if (r->begun)
		h->in_flight--;
	if (r->conn != NULL)
		tn_http_conn_idle(r->conn);
	tn_http_sse_free(r->sse);
	r->sse = NULL;
	if (r->ingest != NULL)
		tn_ingest_abort(r->ingest);
	r->ingest = NULL;
	if (r->upload != NULL)
		tn_objects_put_abort(r->upload);
	r->upload = NULL;
	r->suspended = false;
	r->conn = NULL;
	r->c = NULL;
	r->left = true;
	tn_http_release(r);
}

static void
logged(void *arg, const char *fmt, va_list args)
{
	char line[256];
	size_t n;

	(void)arg;
	(void)vsnprintf(line, sizeof line, fmt, args);
	n = strlen(line);
	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == ' '))
		line[--n] = '\0';
	tn_say(TN_DEBUG, "http", "%s", line);
}

static void
panicked(void *arg, const char *file, unsigned line, const char *reason)
{
	(void)arg;
	tn_say(TN_ERROR, "http", "libmicrohttpd gave up at %s:%u: %s", file,
	    line, reason != NULL ? reason : "");
	abort();
}

/* ---- life ------------------------------------------------------------ */

static void
set_defaults(struct tn_http_opts *o)
{
	if (o->connections_max == 0)
		o->connections_max = 1000;
	if (o->header_ms == 0)
		o->header_ms = 10000;
	if (o->body_idle_ms == 0)
		o->body_idle_ms = 60000;
	if (o->sql_bytes_max == 0)
		o->sql_bytes_max = 65536;
}

static enum tn_status
start_daemon(struct tn_http *h, struct tn_diag *d)
{
	const union MHD_DaemonInfo *info;
	MHD_set_panic_func(panicked, NULL);
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG |
	    MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0, NULL, NULL, handle, h,
	    MHD_OPTION_EXTERNAL_LOGGER, logged, h,
	    MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)TN_HTTP_POOL_BYTES,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)h->o.connections_max,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT,
	    (unsigned)h->o.address_connections_max,
	    MHD_OPTION_CONNECTION_TIMEOUT, idle_s(h),
	    MHD_OPTION_STRICT_FOR_CLIENT, tn_http_layout_known() ? 0 : 1,
	    MHD_OPTION_URI_LOG_CALLBACK, uri_seen, h,
	    MHD_OPTION_UNESCAPE_CALLBACK, unescape, h,
	    MHD_OPTION_NOTIFY_COMPLETED, completed, h,
	    MHD_OPTION_NOTIFY_CONNECTION, tn_http_conn_notify, h,
	    MHD_OPTION_END);
	if (h->daemon == NULL)
		return tn_diag_set(d, TN_EIO, "http_start",
		    "the HTTP server cannot start: out of descriptors or "
		    "memory");
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	tn_assert(info != NULL && info->epoll_fd >= 0);
	h->watch = tn_net_watch_new(h->o.loop, info->epoll_fd, readable, h);
	tn_assert(h->watch != NULL);
	h->listen_fd = -1;      /* The daemon's now. */
	return TN_OK;
}

enum tn_status
tn_http_new(struct tn_http **http, const struct tn_http_opts *o,
    struct tn_diag *d)
{
	struct tn_http *h = tn_zalloc(sizeof *h);
	enum tn_status st;

	tn_assert(tn_net_on_loop());
	*http = NULL;
	h->o = *o;
	set_defaults(&h->o);
	h->refs = 1;
	h->lock = tn_net_lock_new();
	h->files = tn_net_pool_new("files", FILE_THREADS,
	    h->o.connections_max + 1);
	h->started_us = tn_os_mono_us();
	h->counters = tn_zalloc((tn_http_route_count + 1) * TN_HTTP_CODES *
	    sizeof *h->counters);
	h->seconds = tn_histogram_get("tarn_http_seconds", NULL,
	    "From a request's head to its answer.");
	h->clients = tn_counter_get(TN_GAUGE, "tarn_sse_clients", NULL,
	    "Open live connections.");
	h->listen_fd = -1;
	st = tn_http_listen(h, d);
	if (st == TN_OK)
		st = start_daemon(h, d);
	if (st != TN_OK) {
		tn_http_free(h);
		return st;
	}
	h->sweep = tn_net_timer_new(h->o.loop, swept, h);
	tn_net_timer_start(h->sweep, TN_HTTP_SWEEP_MS, TN_HTTP_SWEEP_MS);
	tn_http_figures(h);
	*http = h;
	return TN_OK;
}

uint16_t
tn_http_port(const struct tn_http *h)
{
	return h->port;
}

void
tn_http_set_closed(struct tn_http *h, int64_t since_us, const char *why)
{
	__atomic_store_n(&h->closed_why, why, __ATOMIC_RELAXED);
	__atomic_store_n(&h->closed_us, since_us, __ATOMIC_RELAXED);
}

bool
tn_http_is_loopback(const struct tn_http *h)
{
	return h->loopback;
}

void
tn_http_set_ready(struct tn_http *h, bool ready)
{
	__atomic_store_n(&h->ready, ready ? 1 : 0, __ATOMIC_RELEASE);
}

void
tn_http_set_progress(struct tn_http *h, const char *json)
{
	char *text = json != NULL ? tn_strdup(json) : NULL, *old;

	tn_net_lock_take(h->lock);
	old = h->progress;
	h->progress = text;
	tn_net_lock_drop(h->lock);
	tn_free(old);
}

void
tn_http_drain(struct tn_http *h)
{
	MHD_socket fd;

	tn_assert(tn_net_on_loop());
	if (h->draining)
		return;
	h->draining = true;
	tn_http_set_ready(h, false);
	fd = MHD_quiesce_daemon(h->daemon);
	if (fd != MHD_INVALID_SOCKET) {
		tn_net_hand_gone(fd);
		(void)close(fd);
	}
	tn_http_sse_end(h);
	tn_http_kick(h);
}

bool
tn_http_idle(const struct tn_http *h)
{
	return h->in_flight == 0;
}

void
tn_http_unref(struct tn_http *h)
{
	tn_assert(h->refs > 0);
	h->refs--;
	if (h->refs > 0)
		return;
	while (h->free_list != NULL) {
		struct request *r = h->free_list;
		h->free_list = r->next;
		tn_buf_fini(&r->out);
		tn_buf_fini(&r->body);
		tn_free(r);
	}
	tn_net_lock_free(h->lock);
	tn_free(h->progress);
	tn_free(h->counters);
	tn_free(h);
}

/* Operations still under way hold their requests, and those hold us: what
 * they touch when they come back is still there. */
void
tn_http_free(struct tn_http *h)
{
	if (h == NULL)
		return;
	h->draining = true;
	h->stopped = true;
	for (struct request *r = h->requests; r != NULL; r = r->next) {
		if (r->suspended && r->c != NULL)
			MHD_resume_connection(r->c);
		r->suspended = false;
	}
	tn_http_sse_end(h);
	tn_net_watch_free(h->watch);
	tn_net_timer_free(h->sweep);
	if (h->daemon != NULL)
		MHD_stop_daemon(h->daemon);
	if (h->listen_fd >= 0) {
		tn_net_hand_gone(h->listen_fd);
		(void)close(h->listen_fd);
	}
	/* What its threads post is run when the loop is settled. */
	tn_net_pool_free(h->files);
	h->files = NULL;
	tn_http_unref(h);
}
