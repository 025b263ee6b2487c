/* POST /api/v1/streams/{stream}: from libmicrohttpd's buffer to ingest.
 *
 *   head      format and coding from the headers, options from the query
 *   first     begin the body; when the type says nothing, gather up to
 *   bytes     SNIFF_BYTES first and look at them
 *   bytes     feed; when ingest is full: take nothing and wait for resume
 *   end       end; the answer comes when all is on disk
 *
 * What can go wrong: ingest ends early (a broken body, a full disk): the
 * answer then stands before the body's end and the rest is dropped. */
#include "http/http_int.h"

#include <stdio.h>
#include <string.h>

/* What the head said; the spec is made when the body begins. */
static const struct {
	const char *type;
	int format;              /* -1: look at the bytes. */
} types[] = {
	{ "application/json", TN_CODEC_JSON },
	{ "application/x-ndjson", TN_CODEC_NDJSON },
	{ "application/ndjson", TN_CODEC_NDJSON },
	{ "application/jsonl", TN_CODEC_NDJSON },
	{ "application/x-jsonlines", TN_CODEC_NDJSON },
	{ "text/csv", TN_CODEC_CSV },
	{ "application/csv", TN_CODEC_CSV },
	{ "application/octet-stream", -1 },
	{ "application/x-www-form-urlencoded", -1 },
	{ "", -1 },
};

static bool
format_of_type(struct request *r, int *format)
{
	char media[64];
	bool charset = tn_http_media(r->head.type, media);

	for (size_t i = 0; charset && i < TN_COUNT(types); i++)
		if (strcmp(media, types[i].type) == 0) {
			*format = types[i].format;
			return true;
		}
	tn_http_fail(r, 415, "unsupported_media_type", "send Content-Type: "
	    "application/json, application/x-ndjson or text/csv, in UTF-8",
	    "this takes no Content-Type %.*s", (int)(r->head.type.n > 99 ?
	    99 : r->head.type.n), (const char *)r->head.type.p);
	return false;
}

/* format= wins over the type. */
static bool
choose_format(struct request *r, int *format)
{
	struct tn_slice s = tn_http_param(r, "format");

	if (s.p == NULL)
		return format_of_type(r, format);
	if (tn_slice_is(s, "json"))
		*format = TN_CODEC_JSON;
	else if (tn_slice_is(s, "ndjson"))
		*format = TN_CODEC_NDJSON;
	else if (tn_slice_is(s, "csv"))
		*format = TN_CODEC_CSV;
	else {
		tn_http_fail(r, 400, "bad_format", NULL,
		    "format is json, ndjson or csv");
		return false;
	}
	return true;
}

static bool
choose_coding(struct request *r)
{
	struct tn_slice c = r->head.coding;

	r->coding = TN_CODING_IDENTITY;
	if (c.n == 0 || tn_http_is(c, "identity"))
		return true;
	if (tn_http_is(c, "gzip") || tn_http_is(c, "x-gzip"))
		r->coding = TN_CODING_GZIP;
	else if (tn_http_is(c, "zstd"))
		r->coding = TN_CODING_ZSTD;
	else {
		tn_http_fail(r, 415, "unsupported_coding", "send it plain, "
		    "as gzip or as zstd", "this takes no Content-Encoding "
		    "%.*s", (int)(c.n > 63 ? 63 : c.n), (const char *)c.p);
		return false;
	}
	return true;
}

/* A missing stream is told before the body is sent. The rest of the head is
 * looked at here, too; the body itself begins with its first byte. */
void
tn_http_ingest_begin(struct request *r)
{
	int format = -1;

	if (tn_serving_stream_find(r->h->o.model, r->var) < 0) {
		tn_http_fail(r, 404, "unknown_stream", "GET /api/v1/streams "
		    "lists them; CREATE TABLE in the configuration makes one",
		    "there is no stream \"%.*s\"", (int)(r->var.n > 63 ? 63 :
		    r->var.n), (const char *)r->var.p);
		return;
	}
	if (!choose_format(r, &format) || !choose_coding(r))
		return;
	r->sniff = format < 0;
	r->format = (enum tn_codec_format)(format < 0 ? 0 : format);
}

/* ---- the answer ------------------------------------------------------ */

static void
put_offset(struct tn_buf *out, const char *name, bool has, uint64_t v)
{
	if (has)
		tn_buf_printf(out, ",\"%s\":%llu", name,
		    (unsigned long long)v);
	else
		tn_buf_printf(out, ",\"%s\":null", name);
}

static void
put_counts(struct tn_buf *out, const struct tn_ingest_result *s)
{
	tn_buf_printf(out, "\"accepted\":%llu,\"quarantined\":%llu,"
	    "\"duplicates\":%llu", (unsigned long long)s->accepted,
	    (unsigned long long)s->quarantined,
	    (unsigned long long)s->duplicates);
	put_offset(out, "first_offset", s->has_offset, s->first_offset);
	put_offset(out, "last_offset", s->has_offset, s->last_offset);
	tn_buf_printf(out, ",\"lsn\":%llu", (unsigned long long)s->lsn);
}

static void
put_errors(struct tn_buf *out, const struct tn_ingest_result *s)
{
	tn_buf_str(out, ",\"errors\":[");
	for (uint32_t i = 0; i < s->error_count; i++) {
		const struct tn_ingest_error *e = &s->errors[i];
		tn_buf_printf(out, "%s{\"row\":%llu,\"line\":%llu,\"code\":",
		    i > 0 ? "," : "", (unsigned long long)e->row,
		    (unsigned long long)e->line);
		tn_http_put_str(out, e->code);
		tn_buf_str(out, ",\"column\":");
		tn_http_put_str(out, e->column);
		tn_buf_str(out, ",\"message\":");
		tn_http_put_str(out, e->message);
		tn_buf_char(out, '}');
	}
	tn_buf_char(out, ']');
}

static void
failed(struct request *r, const struct tn_ingest_result *s)
{
	struct tn_buf members = { 0 };

	put_counts(&members, s);
	tn_http_problem_with(r, tn_http_code_of(s->status, &s->diag),
	    &s->diag, tn_buf_cstr(&members));
	tn_buf_fini(&members);
}

static void
done(void *arg, const struct tn_ingest_result *s)
{
	struct request *r = arg;

	r->ingest = NULL;
	if (r->ready)
		return;         /* Refused by us in the meantime. */
	if (s->replayed)
		tn_http_extra(r, "Idempotency-Replayed", "true");
	if (s->status != TN_OK) {
		failed(r, s);
	} else {
		tn_buf_clear(&r->out);
		tn_buf_char(&r->out, '{');
		put_counts(&r->out, s);
		put_errors(&r->out, s);
		tn_buf_char(&r->out, '}');
		tn_http_json(r, 200);
	}
	tn_http_ready(r);
}

static void
resumed(void *arg)
{
	tn_http_wake(arg);
}

/* ---- the body -------------------------------------------------------- */

static enum tn_status
fill_spec(struct request *r, struct tn_codec_spec *spec, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	tn_codec_spec_init(spec, r->format);
	for (uint32_t i = 0; st == TN_OK && i < r->param_count; i++) {
		if (tn_slice_is(r->params[i].name, "format"))
			continue;
		st = tn_codec_spec_set(spec, r->params[i].name,
		    r->params[i].value, d);
		if (st != TN_ENOTFOUND)
			continue;
		tn_diag_hint(d, "load options are delimiter, header, null, "
		    "columns, time_format, time_zone, rename, constant and "
		    "format");
		st = tn_diag_set(d, TN_EINVAL, "unknown_parameter",
		    "there is no load option \"%.*s\"",
		    (int)(r->params[i].name.n > 63 ? 63 :
		    r->params[i].name.n), (const char *)r->params[i].name.p);
	}
	return st;
}

static void
refuse(struct request *r, enum tn_status st, const struct tn_diag *d)
{
	tn_http_problem(r, tn_http_code_of(st, d), d);
	tn_http_ready(r);
}

/* False when it failed; the answer then stands. */
static bool
open_body(struct request *r)
{
	struct tn_diag d = { .line = 0 };
	struct tn_ingest_request q = { .stream = r->var,
	    .coding = r->coding, .source = r->conn->source,
	    .idempotency_key = r->head.key, .done = done, .resume = resumed,
	    .arg = r };
	enum tn_status st;

	q.spec = tn_zalloc(sizeof *q.spec);
	st = fill_spec(r, q.spec, &d);
	if (st != TN_OK) {
		tn_codec_spec_fini(q.spec);
		tn_free(q.spec);
	} else {
		st = tn_ingest_begin(r->h->o.ingest, &q, &r->ingest, &d);
	}
	if (st == TN_OK)
		return true;
	r->ingest = NULL;
	refuse(r, st, &d);
	return false;
}

/* What came of the body so far is dropped; the sender is to send it again. */
static void
out_of_memory(struct request *r)
{
	if (r->ingest != NULL)
		tn_ingest_abort(r->ingest);
	r->ingest = NULL;
	tn_http_fail(r, 503, "memory_full", "send again later",
	    "memory is out for the body");
	tn_http_ready(r);
}

/* The first bytes, decompressed. */
static bool
look(struct request *r)
{
	struct tn_slice in = { r->body.p, r->body.n }, s = in;
	struct tn_buf plain = { 0 };
	enum tn_status st = TN_OK;
	struct tn_inflate *z;
	bool known;

	if (r->coding != TN_CODING_IDENTITY) {
		z = tn_inflate_new(r->coding);
		/* Damage leaves what came before it; ingest will say. */
		st = tn_inflate_step(z, &in, &plain, 4096);
		tn_inflate_free(z);
		s = (struct tn_slice){ plain.p, plain.n };
	}
	known = tn_http_sniff(s, &r->format);
	tn_buf_fini(&plain);
	if (known)
		return true;
	if (st == TN_ENOMEM) {
		out_of_memory(r);
		return false;
	}
	tn_http_fail(r, 415, "unknown_format", "send Content-Type: text/csv "
	    "for CSV, or ?format=csv", "the body does not look like JSON, "
	    "and no Content-Type says what it is");
	tn_http_ready(r);
	return false;
}

/* Looked at enough: begin and hand over what was gathered. */
static bool
end_sniff(struct request *r)
{
	enum tn_status st;

	r->sniff = false;
	if (!look(r) || !open_body(r))
		return false;
	/* A fresh body takes its first bytes whatever the load. */
	st = tn_ingest_feed(r->ingest, (struct tn_slice){ r->body.p,
	    r->body.n });
	tn_assert(st == TN_OK);
	tn_buf_clear(&r->body);
	return true;
}

enum tn_status
tn_http_ingest_take(struct request *r, struct tn_slice s)
{
	size_t part;

	if (r->sniff) {
		part = TN_HTTP_SNIFF_BYTES - r->body.n;
		part = s.n < part ? s.n : part;
		tn_buf_add(&r->body, s.p, part);
		s.p += part;
		s.n -= part;
		if (r->body.n < TN_HTTP_SNIFF_BYTES)
			return TN_OK;
		if (!end_sniff(r))
			return TN_OK;
		/* Fits: the inbox holds SNIFF_BYTES so far. */
		r->ingest_late = tn_ingest_feed(r->ingest, s) == TN_EFULL;
		if (r->ingest_late)
			tn_buf_add(&r->body, s.p, s.n);
		if (r->body.failed)
			out_of_memory(r);
		return TN_OK;
	}
	if (r->ingest == NULL && !open_body(r))
		return TN_OK;
	if (r->ingest_late) {
		if (tn_ingest_feed(r->ingest, (struct tn_slice){ r->body.p,
		    r->body.n }) == TN_EFULL)
			return TN_EFULL;
		r->ingest_late = false;
		tn_buf_clear(&r->body);
	}
	return tn_ingest_feed(r->ingest, s);
}

void
tn_http_run_ingest(struct request *r)
{
	if (r->sniff && !end_sniff(r))
		return;
	if (r->ingest == NULL && !open_body(r))
		return;
	if (r->ingest_late && tn_ingest_feed(r->ingest, (struct tn_slice){
	    r->body.p, r->body.n }) == TN_EFULL) {
		r->ended = false;       /* Come again when it may go on. */
		return;
	}
	r->ingest_late = false;
	tn_ingest_end(r->ingest);
}
