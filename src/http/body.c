/* Bodies. Events go to ingest straight from libmicrohttpd's buffer, files to
 * objects; other bodies are gathered up to their limit. A body that was refused, or whose
 * answer stands already, is read and dropped so that the client gets to read
 * the answer: up to DRAIN_MAX, then the answer is written and the connection
 * closed. */
#include "http/http_int.h"

#define PLAN_BODY ((size_t)4 << 20)      /* A pipeline of many files. */

#include <string.h>

void
tn_http_body_begin(struct request *r)
{
	uint64_t n = 0;
	bool has = r->head.transfer.p != NULL;

	if (r->head.length.p != NULL && tn_parse_u64(r->head.length, &n))
		has = has || n > 0;
	r->take = r->route->body;
	r->body_max = r->route->run == tn_http_run_sql ?
	    r->h->o.sql_bytes_max * 2 + 1024 :
	    r->route->run == tn_http_run_plan ? PLAN_BODY :
	    TN_HTTP_SMALL_BODY;
	if (r->take == TN_BODY_NONE && has) {
		tn_http_fail(r, 400, "body_not_expected", NULL,
		    "%s takes no body", r->route->path);
		r->close = true;
	} else if (r->take == TN_BODY_COLLECT && n > r->body_max) {
		tn_http_fail(r, 413, "body_too_large", NULL,
		    "the body may have %zu bytes at most", r->body_max);
	} else if (r->take == TN_BODY_INGEST) {
		tn_http_ingest_begin(r);
	} else if (r->take == TN_BODY_OBJECT) {
		tn_http_object_begin(r);
	}
}

static void
collect(struct request *r, const char *p, size_t n)
{
	if (r->body.n + n <= r->body_max) {
		tn_buf_add(&r->body, p, n);
		if (!r->body.failed)
			return;
		tn_http_fail(r, 503, "memory_full", "send again later",
		    "memory is out for the body");
		tn_http_ready(r);
		return;
	}
	tn_http_fail(r, 413, "body_too_large", NULL,
	    "the body may have %zu bytes at most", r->body_max);
	tn_http_ready(r);
}

bool
tn_http_body_take(struct request *r, const char *p, size_t *n)
{
	if (!r->ready && r->take == TN_BODY_INGEST) {
		if (tn_http_ingest_take(r, (struct tn_slice){
		    (const uint8_t *)p, *n }) == TN_EFULL)
			return true;    /* *n stays: nothing was taken. */
	} else if (!r->ready && r->take == TN_BODY_OBJECT) {
		if (tn_http_object_take(r, (struct tn_slice){
		    (const uint8_t *)p, *n }) == TN_EFULL)
			return true;
	} else if (!r->ready && r->take == TN_BODY_COLLECT) {
		collect(r, p, *n);
	} else {
		r->dropped += *n;
	}
	r->taken += *n;
	*n = 0;
	if (r->dropped <= TN_HTTP_DRAIN_MAX)
		return true;
	if (!r->ready)
		tn_http_fail(r, 413, "body_too_large", NULL,
		    "this takes no body of this size");
	tn_http_send_raw(r);
	return false;
}
