/* A file of the disk as an answer: the whole of it or one range, with its
 * ETag. Used for objects and for the files of the lake.
 *
 *   handler --open, size--> a thread of `files` --> loop: what is asked for
 *     (If-Match, If-None-Match, If-Range, Range) --> 200, 206, 304, 412, 416
 *   libmicrohttpd asks for bytes --> from the piece at hand; when that is
 *     empty the connection is suspended, a thread reads the next piece, and
 *     the loop goes on with it
 *
 * So the loop never reads from the disk, and an answer of any size needs one
 * piece of memory. The threads are http's own: queries that take seconds must
 * not hold up a download.
 *
 * A file that is removed while it is being sent is sent to its end: it stays
 * open. What can go wrong: the file ends early or cannot be read; then the
 * connection is closed in the midst, so that the reader sees it. */
#include "http/http_int.h"

#include <string.h>

#include "os/os.h"

#define PIECE_BYTES (256 * 1024)
#define BLOCK_BYTES (32 * 1024)  /* libmicrohttpd's own copy. */

struct file_send {
	struct tn_net_job job;   /* First. */
	struct request *r;       /* Held while a job is under way. */
	uint32_t refs;           /* The request, the response, a job. */
	struct tn_os_file *file;
	char *path;
	char *etag;              /* Or NULL. */
	const char *type;
	const char *cache;       /* Of the request's arena, as type; or NULL. */
	uint64_t bytes;
	uint64_t at;             /* Of the file: where the next piece is. */
	uint64_t left;           /* Of the answer, behind this piece. */
	uint8_t *piece;
	size_t have, from;
	enum tn_status st;       /* Of opening, or of the last read. */
	bool busy;               /* A thread has it. */
	bool waiting;            /* libmicrohttpd waits for bytes. */
	struct tn_budget_share held;
};

/* ---- ranges ---------------------------------------------------------- */

static bool
digits(struct tn_slice *s, uint64_t *v)
{
	size_t n = 0;

	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (n == 0)
		return false;
	/* More than a number holds: beyond the end of any file. */
	if (!tn_parse_u64((struct tn_slice){ s->p, n }, v))
		*v = UINT64_MAX;
	s->p += n;
	s->n -= n;
	return true;
}

/* "bytes=0-9", "bytes=10-", "bytes=-5" (RFC 9110, 14.1.2). More than one
 * range, other units and what is no range are passed over: the answer is then
 * the whole, as the RFC allows. */
enum tn_http_range
tn_http_range(struct tn_slice s, uint64_t bytes, uint64_t *first,
    uint64_t *count)
{
	static const char unit[] = "bytes=";
	size_t n = sizeof unit - 1;
	uint64_t a = 0, b = UINT64_MAX;
	bool has_a, has_b;

	*first = 0;
	*count = bytes;
	if (s.n < n || !tn_http_is((struct tn_slice){ s.p, n }, unit))
		return TN_RANGE_NONE;
	s = tn_http_trim((struct tn_slice){ s.p + n, s.n - n });
	has_a = digits(&s, &a);
	if (s.n == 0 || s.p[0] != '-')
		return TN_RANGE_NONE;
	s.p++;
	s.n--;
	has_b = digits(&s, &b);
	if (s.n > 0 || (!has_a && !has_b) || (has_a && has_b && b < a))
		return TN_RANGE_NONE;
	if (has_a && a >= bytes)
		return TN_RANGE_BEYOND;
	if (!has_a && (b == 0 || bytes == 0))
		return TN_RANGE_BEYOND;
	*first = has_a ? a : b < bytes ? bytes - b : 0;
	if (!has_a || b >= bytes)
		b = bytes - 1;
	*count = b - *first + 1;
	return TN_RANGE_ONE;
}

/* Strong comparison of a list of ETags, as If-Match asks (13.1.1). */
bool
tn_http_etag_listed(struct tn_slice header, const char *etag)
{
	size_t n = strlen(etag);

	if (tn_slice_is(tn_http_trim(header), "*"))
		return true;
	while (header.n > 0) {
		const uint8_t *comma = memchr(header.p, ',', header.n);
		size_t part = comma != NULL ? (size_t)(comma - header.p) :
		    header.n;
		struct tn_slice tag = tn_http_trim((struct tn_slice){
		    header.p, part });
		if (tag.n == n && memcmp(tag.p, etag, n) == 0)
			return true;
		part += comma != NULL;
		header.p += part;
		header.n -= part;
	}
	return false;
}

/* ---- life ------------------------------------------------------------ */

static void
unref(struct file_send *f)
{
	tn_assert(f->refs > 0);
	if (--f->refs > 0)
		return;
	tn_budget_set(&f->held, 0);
	tn_os_close(f->file);
	tn_free(f->piece);
	tn_free(f->path);
	tn_free(f->etag);
	tn_free(f);
}

void
tn_http_file_free(struct file_send *f)
{
	if (f != NULL)
		unref(f);
}

static void
dropped(void *arg)
{
	unref(arg);
}

static void
post(struct file_send *f, void (*run)(struct tn_net_job *job))
{
	enum tn_status st;

	tn_assert(!f->busy);
	f->busy = true;
	f->refs++;
	tn_http_hold(f->r);
	f->job.run = run;
	/* There is room for a job of each connection. */
	st = tn_net_pool_post(f->r->h->files, &f->job);
	tn_assert(st == TN_OK);
}

static void
post_back(struct file_send *f, void (*run)(struct tn_net_job *job))
{
	f->job.run = run;
	tn_net_loop_post(f->r->h->o.loop, &f->job);
}

/* On the loop: the job is over. */
static void
settle(struct file_send *f)
{
	struct request *r = f->r;

	f->busy = false;
	unref(f);
	tn_http_release(r);
}

/* ---- sending --------------------------------------------------------- */

static void
read_back(struct tn_net_job *job)
{
	struct file_send *f = (struct file_send *)job;

	if (f->waiting) {
		f->waiting = false;
		tn_http_wake(f->r);
	}
	settle(f);
}

static void
read_piece(struct tn_net_job *job)
{
	struct file_send *f = (struct file_send *)job;
	size_t n = f->left < PIECE_BYTES ? (size_t)f->left : PIECE_BYTES;

	f->st = tn_os_pread(f->file, f->piece, n, f->at);
	f->from = 0;
	f->have = f->st == TN_OK ? n : 0;
	f->at += n;
	f->left -= n;
	if (f->st != TN_OK)
		tn_say(TN_ERROR, "http", "reading %s: %s", f->path,
		    tn_status_text(f->st));
	post_back(f, read_back);
}

static ssize_t
give(void *arg, uint64_t pos, char *out, size_t max)
{
	struct file_send *f = arg;
	size_t n = f->have - f->from;

	(void)pos;
	tn_assert(!f->busy);
	if (f->st != TN_OK || f->r->c == NULL)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0) {
		tn_assert(f->left > 0);
		f->waiting = true;
		f->r->suspended = true;
		MHD_suspend_connection(f->r->c);
		post(f, read_piece);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(out, f->piece + f->from, n);
	f->from += n;
	return (ssize_t)n;
}

struct MHD_Response *
tn_http_file_response(struct request *r)
{
	struct file_send *f = r->file;
	struct MHD_Response *m = MHD_create_response_from_callback(f->left,
	    BLOCK_BYTES, give, f, dropped);

	if (m != NULL)
		f->refs++;
	return m;
}

/* ---- what is asked for ----------------------------------------------- */

/* An If-Range that is a date never matches: the whole file is always right. */
static bool
range_holds(const struct request *r, const struct file_send *f)
{
	struct tn_slice s = r->head.if_range;

	if (r->method != TN_HTTP_GET || r->head.range.p == NULL)
		return false;
	return s.p == NULL || (f->etag != NULL && tn_slice_is(s, f->etag));
}

static void
no_such_range(struct request *r, struct file_send *f)
{
	tn_http_fail(r, 416, "range", "ask for bytes before its end",
	    "the file has %llu bytes", (unsigned long long)f->bytes);
	tn_http_extra(r, "Content-Range", tn_arena_printf(tn_http_arena(r),
	    "bytes */%llu", (unsigned long long)f->bytes));
}

static void
say_part(struct request *r, struct file_send *f)
{
	uint64_t first = 0, count = f->bytes;
	enum tn_http_range how = TN_RANGE_NONE;

	if (range_holds(r, f))
		how = tn_http_range(r->head.range, f->bytes, &first, &count);
	if (how == TN_RANGE_BEYOND) {
		no_such_range(r, f);
		return;
	}
	f->held.class = TN_BUDGET_DOORS;
	if (!tn_budget_try(&f->held, sizeof *f + PIECE_BYTES + BLOCK_BYTES)) {
		tn_http_fail(r, 503, "memory_full", "ask again later",
		    "memory is out for the file");
		return;
	}
	f->piece = tn_try_alloc(PIECE_BYTES);
	if (f->piece == NULL) {
		tn_http_fail(r, 503, "memory_full", "ask again later",
		    "memory is out for the file");
		return;
	}
	f->at = first;
	f->left = count;
	r->file_answer = true;
	tn_http_extra(r, "Accept-Ranges", "bytes");
	if (how == TN_RANGE_ONE)
		tn_http_extra(r, "Content-Range", tn_arena_printf(
		    tn_http_arena(r), "bytes %llu-%llu/%llu",
		    (unsigned long long)first,
		    (unsigned long long)(first + count - 1),
		    (unsigned long long)f->bytes));
	tn_http_say(r, how == TN_RANGE_ONE ? 206 : 200, f->type);
}

static void
may_keep(struct request *r, const struct file_send *f)
{
	if (f->cache == NULL)
		return;
	r->cacheable = true;
	tn_http_extra(r, "Cache-Control", f->cache);
}

/* In the order of RFC 9110, 13.2.2. */
static void
answer(struct request *r, struct file_send *f)
{
	if (f->etag != NULL)
		tn_http_extra(r, "ETag", tn_arena_printf(tn_http_arena(r),
		    "%s", f->etag));
	if (r->head.if_match.p != NULL && (f->etag == NULL ||
	    !tn_http_etag_listed(r->head.if_match, f->etag)))
		tn_http_fail(r, 412, "precondition", NULL,
		    "the file has another ETag than If-Match names");
	else if (r->head.none_match.p != NULL && f->etag != NULL &&
	    tn_http_etag_matches(r->head.none_match, f->etag))
		tn_http_say(r, 304, NULL);
	else
		say_part(r, f);
	if (r->code < 400)
		may_keep(r, f);
}

static void
opened_back(struct tn_net_job *job)
{
	struct file_send *f = (struct file_send *)job;
	struct request *r = f->r;

	if (r->c == NULL) {
		/* The client is gone, its headers with it. */
		tn_http_say(r, 200, f->type);
	} else if (f->st == TN_ENOTFOUND) {
		tn_http_fail(r, 404, "no_such_file", NULL,
		    "the file is not there (any more)");
	} else if (f->st != TN_OK) {
		tn_http_fail(r, 500, "file_unreadable", NULL,
		    "the file cannot be read: %s", tn_status_text(f->st));
	} else {
		answer(r, f);
	}
	tn_http_ready(r);
	settle(f);
}

static void
open_file(struct tn_net_job *job)
{
	struct file_send *f = (struct file_send *)job;

	f->st = tn_os_open(&f->file, f->path, TN_OS_READ);
	if (f->st == TN_OK)
		f->st = tn_os_size(f->file, &f->bytes);
	post_back(f, opened_back);
}

void
tn_http_file_answer(struct request *r, const struct tn_http_file *x)
{
	struct file_send *f;

	tn_assert(tn_net_on_loop() && r->file == NULL && !r->ready);
	if (r->c == NULL) {
		/* The client is gone, and perhaps our threads with it. */
		tn_http_say(r, 200, x->type);
		tn_http_ready(r);
		return;
	}
	f = tn_zalloc(sizeof *f);
	f->refs = 1;
	f->r = r;
	f->path = tn_strdup(x->path);
	f->etag = x->etag != NULL ? tn_strdup(x->etag) : NULL;
	f->type = x->type != NULL ? tn_arena_strdup(tn_http_arena(r),
	    x->type) : "application/octet-stream";
	r->file = f;
	f->cache = x->cache != NULL ? tn_arena_strdup(tn_http_arena(r),
	    x->cache) : NULL;
	post(f, open_file);
}
