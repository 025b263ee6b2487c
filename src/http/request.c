/* Requests: made when a URL was read, used again through a free list, counted
 * while work is under way elsewhere. All on the loop, but the work itself.
 *
 * What libmicrohttpd owns (path, parameters, headers) is gone with the
 * connection; work that goes on must have copied it into the arena. */
#include "http/http_int.h"

#include <string.h>

#include "os/os.h"

#define FREE_MAX 128
#define KEEP_BYTES (16 * 1024)

static void
link_request(struct request *r)
{
	struct tn_http *h = r->h;

	r->prev = NULL;
	r->next = h->requests;
	if (h->requests != NULL)
		h->requests->prev = r;
	h->requests = r;
}

static void
unlink_request(struct request *r)
{
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		r->h->requests = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
}

struct request *
tn_http_request_new(struct tn_http *h, struct MHD_Connection *c)
{
	struct request *r = h->free_list;
	struct tn_buf out, body;

	if (r != NULL) {
		h->free_list = r->next;
		h->free_count--;
		out = r->out;
		body = r->body;
		memset(r, 0, offsetof(struct request, params));
		r->out = out;
		r->body = body;
	} else {
		r = tn_zalloc(sizeof *r);
	}
	r->h = h;
	r->c = c;
	r->refs = 1;
	h->refs++;
	link_request(r);
	return r;
}

/* A buffer that grew large gives its memory back. */
static void
settle_buf(struct tn_buf *b)
{
	if (b->cap > KEEP_BYTES || b->failed)
		tn_buf_fini(b);
	else
		tn_buf_clear(b);
	b->max = 0;
	b->failed = false;
}

static void
request_free(struct request *r)
{
	struct tn_http *h = r->h;

	tn_assert(r->c == NULL && r->ingest == NULL && r->sse == NULL);
	tn_assert(r->upload == NULL);
	unlink_request(r);
	settle_buf(&r->out);
	settle_buf(&r->body);
	tn_serving_answer_unref(r->answer);
	tn_http_file_free(r->file);
	tn_arena_free(r->arena);
	if (h->free_count < FREE_MAX && !h->stopped) {
		r->next = h->free_list;
		h->free_list = r;
		h->free_count++;
	} else {
		tn_buf_fini(&r->out);
		tn_buf_fini(&r->body);
		tn_free(r);
	}
	tn_http_unref(h);
}

void
tn_http_release(struct request *r)
{
	tn_assert(r->refs > 0);
	r->refs--;
	if (r->refs == 0)
		request_free(r);
}

void
tn_http_hold(struct request *r)
{
	r->refs++;
}

void
tn_http_wake(struct request *r)
{
	if (!r->suspended || r->c == NULL)
		return;
	r->suspended = false;
	/* Looks of before say nothing of what it has not read yet. */
	if (r->conn != NULL)
		r->conn->peer = PEER_THERE;
	MHD_resume_connection(r->c);
	tn_http_kick(r->h);
}

void
tn_http_ready(struct request *r)
{
	tn_assert(tn_net_on_loop());
	tn_assert(!r->ready);
	r->ready = true;
	tn_http_wake(r);
}

void
tn_http_back(struct request *r)
{
	tn_http_ready(r);
	tn_http_release(r);
}

/* ---- work elsewhere -------------------------------------------------- */

static void
run_back(struct tn_net_job *job)
{
	tn_http_back((struct request *)job);
}

static void
run_work(struct tn_net_job *job)
{
	struct request *r = (struct request *)job;

	r->work(r);
	job->run = run_back;
	tn_net_loop_post(r->h->o.loop, job);
}

void
tn_http_work(struct request *r, void (*work)(struct request *r))
{
	tn_http_hold(r);
	r->work = work;
	r->job.run = run_work;
	if (tn_net_pool_post(r->h->o.pool, &r->job) == TN_OK)
		return;
	tn_http_fail(r, 503, "overloaded", "ask again in a second",
	    "too many requests wait already");
	tn_http_back(r);
}

/* ---- parameters ------------------------------------------------------ */

struct tn_slice
tn_http_param(const struct request *r, const char *name)
{
	for (uint32_t i = 0; i < r->param_count; i++)
		if (tn_slice_is(r->params[i].name, name))
			return r->params[i].value;
	return (struct tn_slice){ NULL, 0 };
}

bool
tn_http_number(struct request *r, const char *name, uint64_t standard,
    uint64_t max, uint64_t *out)
{
	struct tn_slice s = tn_http_param(r, name);

	*out = standard;
	if (s.p == NULL)
		return true;
	if (tn_parse_u64(s, out) && *out <= max)
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "%s must be a number from 0 to %llu", name,
	    (unsigned long long)max);
	return false;
}

bool
tn_http_limit(struct request *r, uint64_t standard, uint64_t max,
    uint64_t *out)
{
	struct tn_slice s = tn_http_param(r, "limit");
	const char *hint = "without limit there are all rows";

	*out = standard;
	if (s.p == NULL)
		return true;
	if (tn_parse_u64(s, out) && *out > 0 && *out <= max)
		return true;
	if (standard > 0)
		hint = tn_arena_printf(tn_http_arena(r),
		    "without limit it is %llu", (unsigned long long)standard);
	tn_http_fail(r, 400, "bad_parameter", hint,
	    "limit must be a number from 1 to %llu",
	    (unsigned long long)max);
	return false;
}

bool
tn_http_only_params(struct request *r, const char *const *names)
{
	for (uint32_t i = 0; i < r->param_count; i++) {
		struct tn_slice s = r->params[i].name;
		bool known = false;
		for (const char *const *n = names; *n != NULL; n++)
			known = known || tn_slice_is(s, *n);
		if (known)
			continue;
		tn_http_fail(r, 400, "unknown_parameter",
		    "/api/openapi.json lists what each path takes",
		    "there is no parameter \"%.*s\" here",
		    (int)(s.n > 63 ? 63 : s.n), (const char *)s.p);
		return false;
	}
	return true;
}
