/* Server-sent events: one connection, any number of views, the status.
 *
 *   live message, status, ping --> queue --> libmicrohttpd asks for bytes
 *
 * With an empty queue the connection is suspended. A reader that is slower
 * than what happens is disconnected when its queue passes QUEUE_MAX; a
 * snapshot, or one patch of many rows, may be larger than that: snapshots and
 * what finds the queue empty are not counted against it, but have a bound of
 * their own. So is one whose queue the memory budget does not grant.
 * A suspended connection cannot see that its client went away; the heartbeat
 * every 10 s does. */
#include "http/http_int.h"

#include <string.h>
#include <sys/socket.h>

#include "os/os.h"

#define PING_US INT64_C(10000000)
#define STATUS_US INT64_C(1000000)
#define BLOCK_BYTES 16384

/* ---- the queue ------------------------------------------------------- */

static void
wake(struct sse *s)
{
	if (!s->waiting || s->r->c == NULL)
		return;
	s->waiting = false;
	s->r->suspended = false;
	MHD_resume_connection(s->r->c);
	tn_http_kick(s->r->h);
}

static void
lose(struct sse *s)
{
	if (s->lost)
		return;
	s->lost = true;
	tn_say(TN_INFO, "http", "a live reader at %s was too slow and is "
	    "disconnected", s->r->conn->address);
	/* Its socket is full: only closing wakes libmicrohttpd. */
	(void)shutdown(s->r->conn->fd, SHUT_RDWR);
	wake(s);
}

/* Room for n more bytes? What was sent is forgotten first. */
static bool
make_room(struct sse *s, size_t n, bool snapshot)
{
	size_t unsent = s->queue.n - s->queue_from;

	if (s->lost || s->ended)
		return false;
	if (s->queue_from > 0 && s->queue_from >= unsent) {
		memmove(s->queue.p, s->queue.p + s->queue_from, unsent);
		s->queue.n = unsent;
		s->queue_from = 0;
	}
	if (unsent == 0)
		s->whole_bytes = 0;
	if (snapshot || unsent == 0)
		s->whole_bytes += n;
	if (unsent + n > TN_HTTP_QUEUE_MAX + s->whole_bytes ||
	    unsent + n > TN_HTTP_QUEUE_HARD) {
		lose(s);
		return false;
	}
	return true;
}

static void
put_event(struct sse *s, struct tn_slice json, bool snapshot)
{
	if (!make_room(s, json.n + 8, snapshot))
		return;
	tn_buf_str(&s->queue, "data: ");
	tn_buf_add(&s->queue, json.p, json.n);
	tn_buf_str(&s->queue, "\n\n");
	s->last_us = tn_os_mono_us();
	if (s->queue.failed || !tn_budget_try(&s->held, s->queue.cap))
		lose(s);
	else
		wake(s);
}

static void
message(void *arg, struct tn_slice json)
{
	static const char head[] = "{\"type\":\"snapshot\"";

	put_event(arg, json, json.n >= sizeof head - 1 &&
	    memcmp(json.p, head, sizeof head - 1) == 0);
}

static ssize_t
read_queue(void *arg, uint64_t at, char *out, size_t max)
{
	struct request *r = arg;
	struct sse *s = r->sse;
	size_t n;

	(void)at;
	if (s->lost)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = s->queue.n - s->queue_from;
	if (n == 0 && s->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		s->waiting = true;
		r->suspended = true;
		MHD_suspend_connection(r->c);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(out, s->queue.p + s->queue_from, n);
	s->queue_from += n;
	if (s->queue_from == s->queue.n) {
		s->queue_from = 0;
		tn_buf_clear(&s->queue);
		s->whole_bytes = 0;
	}
	return (ssize_t)n;
}

struct MHD_Response *
tn_http_sse_response(struct request *r)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN,
	    BLOCK_BYTES, read_queue, r, NULL);
}

/* ---- opening and closing --------------------------------------------- */

static struct sse *
sse_new(struct request *r)
{
	struct tn_http *h = r->h;
	struct sse *s = tn_zalloc(sizeof *s);

	s->r = r;
	s->held.class = TN_BUDGET_LIVE;
	s->last_us = tn_os_mono_us();
	s->queue.max = 2 * (size_t)TN_HTTP_QUEUE_HARD;
	s->next = h->sses;
	if (h->sses != NULL)
		h->sses->prev = s;
	h->sses = s;
	h->sse_count++;
	tn_counter_set(h->clients, h->sse_count);
	tn_buf_str(&s->queue, "retry: 1000\n\n");
	r->sse = s;
	return s;
}

static void
close_lives(struct sse *s)
{
	for (uint32_t i = 0; i < s->live_count; i++)
		tn_serving_live_close(s->lives[i]);
	s->live_count = 0;
}

void
tn_http_sse_free(struct sse *s)
{
	struct tn_http *h;

	if (s == NULL)
		return;
	h = s->r->h;
	close_lives(s);
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		h->sses = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	h->sse_count--;
	tn_counter_set(h->clients, h->sse_count);
	tn_buf_fini(&s->queue);
	tn_budget_set(&s->held, 0);
	tn_free(s);
}

static void
fail_open(struct request *r, const struct tn_diag *d)
{
	uint32_t code = 400;

	if (strcmp(d->code, "unknown_view") == 0)
		code = 404;
	else if (strcmp(d->code, "too_many_subscribers") == 0 ||
	    strcmp(d->code, "memory_full") == 0)
		code = 503;
	tn_http_sse_free(r->sse);
	r->sse = NULL;
	tn_http_problem(r, code, d);
	tn_http_ready(r);
}

static bool
open_view(struct request *r, const struct tn_serving_view_request *q)
{
	struct sse *s = r->sse;
	struct tn_diag d = { .line = 0 };
	struct tn_serving_live *l = NULL;

	if (s->live_count < TN_HTTP_VIEWS_MAX)
		l = tn_serving_live_open(r->h->o.serving, q, message, s, &d);
	else
		(void)tn_diag_set(&d, TN_EINVAL, "too_many_views",
		    "one connection shows at most %d views",
		    TN_HTTP_VIEWS_MAX);
	if (l == NULL) {
		fail_open(r, &d);
		return false;
	}
	s->lives[s->live_count++] = l;
	return true;
}

static void
begin_stream(struct request *r)
{
	tn_http_say(r, 200, "text/event-stream");
	/* For proxies that gather answers before they pass them on. */
	tn_http_extra(r, "X-Accel-Buffering", "no");
	tn_http_ready(r);
}

void
tn_http_run_view_live(struct request *r)
{
	struct tn_serving_view_request q = { .view = r->var };
	struct tn_serving_param params[TN_HTTP_PARAMS_MAX];

	if (!tn_http_view_request(r, &q, params)) {
		tn_http_ready(r);
		return;
	}
	(void)sse_new(r);
	if (open_view(r, &q))
		begin_stream(r);
}

void
tn_http_run_live(struct request *r)
{
	static const char *const known[] = { "view", "status", "limit",
	    NULL };
	struct tn_serving_view_request q = { .layer = TN_LAYER_MERGED };
	uint64_t limit;
	struct sse *s;

	if (!tn_http_only_params(r, known) ||
	    !tn_http_limit(r, 0, UINT32_MAX, &limit)) {
		tn_http_ready(r);
		return;
	}
	q.limit = (uint32_t)limit;
	s = sse_new(r);
	s->want_status = tn_slice_is(tn_http_param(r, "status"), "1");
	for (uint32_t i = 0; i < r->param_count; i++) {
		if (!tn_slice_is(r->params[i].name, "view"))
			continue;
		q.view = r->params[i].value;
		if (!open_view(r, &q))
			return;
	}
	/* The first status comes at once. */
	r->h->next_status_us = s->want_status ? 0 : r->h->next_status_us;
	begin_stream(r);
}

/* ---- every 250 ms ---------------------------------------------------- */

static void
send_status(struct tn_http *h)
{
	struct tn_buf b = { 0 };

	for (struct sse *s = h->sses; s != NULL; s = s->next) {
		if (!s->want_status)
			continue;
		if (b.n == 0) {
			/* {"instance" becomes {"type":"status","instance". */
			tn_buf_str(&b, "{\"type\":\"status\",");
			tn_http_status_json(h, &b);
		}
		if (b.failed)
			break;           /* The next second brings one. */
		put_event(s, (struct tn_slice){ b.p, b.n }, false);
	}
	tn_buf_fini(&b);
}

void
tn_http_sse_tick(struct tn_http *h)
{
	int64_t now = tn_os_mono_us();

	if (now >= h->next_status_us) {
		h->next_status_us = now + STATUS_US;
		send_status(h);
	}
	for (struct sse *s = h->sses; s != NULL; s = s->next) {
		if (now - s->last_us < PING_US || s->ended || s->lost)
			continue;
		if (!make_room(s, 8, false))
			continue;
		tn_buf_str(&s->queue, ": ping\n\n");
		s->last_us = now;
		if (s->queue.failed)
			lose(s);
		else
			wake(s);
	}
}

void
tn_http_sse_end(struct tn_http *h)
{
	for (struct sse *s = h->sses; s != NULL; s = s->next) {
		close_lives(s);
		s->ended = true;
		if (!h->stopped)
			wake(s);
	}
}
