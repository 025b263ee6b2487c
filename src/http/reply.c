/* Answers: problems (RFC 9457), headers that every answer has, and the way
 * into libmicrohttpd. Small bodies are copied there and our buffer stays for
 * the next request; large ones change owner.
 *
 * What can go wrong: memory is out inside libmicrohttpd; then the connection
 * is closed. */
#include "http/http_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "os/os.h"

#define COPY_MAX 4096

const char tn_http_type_json[] = "application/json; charset=utf-8";
const char tn_http_type_text[] = "text/plain; charset=utf-8";
static const char type_problem[] = "application/problem+json";

static const struct {
	uint32_t code;
	const char *title;
} titles[] = {
	{ 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" },
	{ 204, "No Content" }, { 206, "Partial Content" },
	{ 302, "Found" }, { 304, "Not Modified" },
	{ 400, "Bad Request" }, { 401, "Unauthorized" },
	{ 403, "Forbidden" }, { 404, "Not Found" },
	{ 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
	{ 408, "Request Timeout" }, { 409, "Conflict" },
	{ 410, "Gone" }, { 412, "Precondition Failed" },
	{ 413, "Content Too Large" }, { 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" },
	{ 422, "Unprocessable Content" },
	{ 426, "Upgrade Required" }, { 429, "Too Many Requests" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" }, { 507, "Insufficient Storage" },
};

const char *
tn_http_title(uint32_t code)
{
	for (size_t i = 0; i < TN_COUNT(titles); i++)
		if (titles[i].code == code)
			return titles[i].title;
	return "Error";
}

/* ---- the body of an answer ------------------------------------------- */

struct tn_arena *
tn_http_arena(struct request *r)
{
	if (r->arena == NULL)
		r->arena = tn_arena_new(2048);
	return r->arena;
}

void
tn_http_say(struct request *r, uint32_t code, const char *type)
{
	r->code = code;
	r->type = type;
}

void
tn_http_json(struct request *r, uint32_t code)
{
	tn_http_say(r, code, tn_http_type_json);
}

void
tn_http_extra(struct request *r, const char *name, const char *value)
{
	tn_assert(r->extra_count < TN_HTTP_EXTRA_MAX);
	r->extra[r->extra_count++] = (struct tn_http_extra){ name, value };
}

uint32_t
tn_http_code_of(enum tn_status st, const struct tn_diag *d)
{
	static const uint32_t codes[] = {
		[TN_OK] = 200, [TN_END] = 200, [TN_EINVAL] = 400,
		[TN_ENOTFOUND] = 404, [TN_EEXIST] = 409,
		[TN_ECONFLICT] = 409, [TN_EDENIED] = 403, [TN_EFULL] = 503,
		[TN_ELIMIT] = 413, [TN_ECORRUPT] = 500,
		[TN_EUNSUPPORTED] = 400, [TN_ENOSPC] = 507, [TN_EIO] = 500,
		[TN_ENOMEM] = 503, [TN_ECLOSED] = 503,
		[TN_EUNREACHABLE] = 503,
	};

	tn_assert((size_t)st < TN_COUNT(codes) && codes[st] != 0);
	if (strcmp(d->code, "idempotency_mismatch") == 0)
		return 422;
	if (strcmp(d->code, "rows_retired") == 0 && st == TN_ELIMIT)
		return 410;
	return codes[st];
}

/* "idempotency_mismatch" to "/problems/idempotency-mismatch". */
static void
put_type(struct tn_buf *out, const char *code)
{
	tn_buf_str(out, "{\"type\":\"");
	tn_buf_str(out, code[0] != '\0' ? "/problems/" : "about:blank");
	for (; *code != '\0'; code++)
		tn_buf_char(out, *code == '_' ? '-' : *code);
	tn_buf_char(out, '"');
}

void
tn_http_problem_with(struct request *r, uint32_t code,
    const struct tn_diag *d, const char *members)
{
	struct tn_buf *out = &r->out;

	tn_buf_clear(out);
	put_type(out, d->code);
	tn_buf_printf(out, ",\"title\":\"%s\",\"status\":%u,\"detail\":",
	    tn_http_title(code), (unsigned)code);
	tn_http_put_str(out, d->message);
	if (d->hint[0] != '\0') {
		tn_buf_str(out, ",\"hint\":");
		tn_http_put_str(out, d->hint);
	}
	if (d->line > 0)
		tn_buf_printf(out, ",\"line\":%u", (unsigned)d->line);
	if (d->column > 0)
		tn_buf_printf(out, ",\"column\":%u", (unsigned)d->column);
	if (members != NULL) {
		tn_buf_char(out, ',');
		tn_buf_str(out, members);
	}
	tn_buf_char(out, '}');
	tn_http_say(r, code, type_problem);
	/* Memory is freed by a cut, which takes its time. */
	if (code == 503 && r->extra_count < TN_HTTP_EXTRA_MAX)
		tn_http_extra(r, "Retry-After",
		    strcmp(d->code, "memory_full") == 0 ? "5" : "1");
}

void
tn_http_problem(struct request *r, uint32_t code, const struct tn_diag *d)
{
	tn_http_problem_with(r, code, d, NULL);
}

void
tn_http_fail(struct request *r, uint32_t code, const char *word,
    const char *hint, const char *fmt, ...)
{
	struct tn_diag d = { .line = 0 };
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(d.message, sizeof d.message, fmt, args);
	va_end(args);
	(void)snprintf(d.code, sizeof d.code, "%s", word);
	if (hint != NULL)
		tn_diag_hint(&d, "%s", hint);
	tn_http_problem(r, code, &d);
}

/* ---- counting -------------------------------------------------------- */

static uint32_t
slot_of(uint32_t code)
{
	for (uint32_t i = 0; i < TN_COUNT(titles); i++)
		if (titles[i].code == code)
			return i;
	return TN_COUNT(titles);
}

void
tn_http_count(struct request *r)
{
	uint32_t route = r->route != NULL ?
	    (uint32_t)(r->route - tn_http_routes) : tn_http_route_count;
	struct tn_counter **c = &r->h->counters[route * TN_HTTP_CODES +
	    slot_of(r->code)];
	struct tn_buf labels = { 0 };
	char code[16];

	if (*c == NULL) {
		tn_counter_label(&labels, "route", r->route != NULL ?
		    r->route->path : "page");
		tn_counter_label(&labels, "method",
		    tn_http_method_name(r->method));
		(void)snprintf(code, sizeof code, "%u", (unsigned)r->code);
		tn_counter_label(&labels, "code", code);
		*c = tn_counter_get(TN_COUNTER, "tarn_http_requests_total",
		    tn_buf_cstr(&labels), "HTTP requests answered.");
		tn_buf_fini(&labels);
	}
	tn_counter_add(*c, 1);
	if (r->sse == NULL)
		tn_histogram_add_us(r->h->seconds,
		    (uint64_t)(tn_os_mono_us() - r->begun_us));
}

/* ---- headers --------------------------------------------------------- */

static const struct tn_http_extra page_headers[] = {
	{ "Content-Security-Policy", "default-src 'none'; script-src 'self'; "
	    "style-src 'self'; img-src 'self' data:; connect-src 'self'; "
	    "font-src 'self'; base-uri 'none'; form-action 'self'; "
	    "frame-ancestors 'none'; require-trusted-types-for 'script'; "
	    "trusted-types tarn" },
	{ "Referrer-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
};

static void
add(struct MHD_Response *m, const char *name, const char *value)
{
	/* Fails only when memory is out: an answer with fewer headers. */
	(void)MHD_add_response_header(m, name, value);
}

static void
add_headers(const struct request *r, struct MHD_Response *m)
{
	if (r->type != NULL && r->code != 204 && r->code != 304)
		add(m, "Content-Type", r->type);
	add(m, "X-Content-Type-Options", "nosniff");
	if (!r->cacheable)
		add(m, "Cache-Control", "no-store");
	for (size_t i = 0; r->page && i < TN_COUNT(page_headers); i++)
		add(m, page_headers[i].name, page_headers[i].value);
	for (uint32_t i = 0; i < r->extra_count; i++)
		add(m, r->extra[i].name, r->extra[i].value);
	if (r->close || r->h->draining)
		add(m, "Connection", "close");
}

/* ---- sending --------------------------------------------------------- */

static void
drop_answer(void *arg)
{
	tn_serving_answer_unref(arg);
}

static struct tn_slice
bytes_of(const struct request *r)
{
	if (r->code == 204 || r->code == 304)
		return (struct tn_slice){ NULL, 0 };
	if (r->answer != NULL)
		return (struct tn_slice){ r->answer->body.p,
		    r->answer->body.n };
	if (r->fixed.p != NULL)
		return r->fixed;
	return (struct tn_slice){ r->out.p, r->out.n };
}

/* libmicrohttpd frees with free(), which is what tn_free is. */
static struct MHD_Response *
give_out(struct request *r)
{
	struct MHD_Response *m = MHD_create_response_from_buffer(r->out.n,
	    r->out.p, MHD_RESPMEM_MUST_FREE);

	if (m != NULL)
		memset(&r->out, 0, sizeof r->out);
	return m;
}

static struct MHD_Response *
make_response(struct request *r)
{
	struct tn_slice s = bytes_of(r);
	struct MHD_Response *m;

	if (r->sse != NULL)
		return tn_http_sse_response(r);
	if (r->upgrade)
		return tn_http_upgrade_response();
	if (r->file_answer)
		return tn_http_file_response(r);
	if (r->answer != NULL && s.n > COPY_MAX) {
		m = MHD_create_response_from_buffer_with_free_callback_cls(
		    s.n, r->answer->body.p, drop_answer, r->answer);
		if (m != NULL)
			r->answer = NULL;
		return m;
	}
	if (r->fixed.p != NULL)
		return MHD_create_response_from_buffer(s.n,
		    (void *)(uintptr_t)s.p, MHD_RESPMEM_PERSISTENT);
	if (s.n > COPY_MAX)
		return give_out(r);
	return MHD_create_response_from_buffer(s.n, (void *)(uintptr_t)s.p,
	    MHD_RESPMEM_MUST_COPY);
}

/* The body of an answer could not be held: say so instead. */
static void
say_no_memory(struct request *r)
{
	r->page = false;
	r->cacheable = false;
	r->file_answer = false;
	tn_http_fail(r, 503, "memory_full", "ask again later",
	    "memory is out for the answer");
}

enum MHD_Result
tn_http_send(struct request *r)
{
	struct MHD_Response *m;
	enum MHD_Result ok;

	tn_assert(r->ready && !r->sent);
	tn_assert(r->code >= 200 || r->upgrade);
	r->sent = true;
	if (r->out.no_memory)
		say_no_memory(r);
	tn_http_count(r);
	if (r->out.failed) {
		tn_say(TN_ERROR, "http", "an answer of %s is too large",
		    r->route != NULL ? r->route->path : "a file");
		return MHD_NO;
	}
	m = make_response(r);
	if (m == NULL)
		return MHD_NO;
	add_headers(r, m);
	ok = MHD_queue_response(r->c, r->code, m);
	MHD_destroy_response(m);
	return ok;
}

void
tn_http_send_raw(struct request *r)
{
	struct tn_slice s = bytes_of(r);
	struct tn_buf b = { 0 };

	tn_buf_printf(&b, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n"
	    "X-Content-Type-Options: nosniff\r\n\r\n", (unsigned)r->code,
	    tn_http_title(r->code), r->type, s.n);
	tn_buf_add(&b, s.p, s.n);
	/* Best effort: a client that does not read gets the close alone. */
	(void)send(r->conn->fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	tn_buf_fini(&b);
	r->sent = true;
	tn_http_count(r);
}
