/* /api/v1/objects: files by name, straight from libmicrohttpd's buffer to the
 * room objects, and back by file.c.
 *
 *   PUT   head --name, headers--> begin --> feed ... --> end --> 201 or 200
 *   GET   look up --> headers --> file.c
 *
 * What comes back was sent by somebody: a browser must not run it as a page
 * of ours. So it is told to take the type as it is, to open nothing but
 * pictures, and to do even that in a sandbox.
 *
 * What can go wrong: everything that objects.h lists; 412, 413, 422 (a
 * checksum), 503, 507 come from there. */
#include "http/http_int.h"

#include <stdio.h>
#include <string.h>

#define META_PREFIX "x-tarn-meta-"
#define META_MAX 16              /* Headers of it. */
#define LIMIT_STANDARD 1000

/* ---- small things ----------------------------------------------------- */

static bool
has_objects(struct request *r)
{
	if (r->h->o.objects != NULL)
		return true;
	tn_http_fail(r, 404, "no_objects", "they are off by ALTER SYSTEM SET "
	    "objects = 'off', or the pipeline has a table or view of its own "
	    "with the name objects", "this server keeps no objects");
	return false;
}

/* "bucket/key" of the route. */
static void
split_name(const struct request *r, struct tn_slice *bucket,
    struct tn_slice *key)
{
	const uint8_t *slash = memchr(r->var.p, '/', r->var.n);

	tn_assert(slash != NULL);
	*bucket = (struct tn_slice){ r->var.p, (size_t)(slash - r->var.p) };
	*key = (struct tn_slice){ slash + 1, r->var.n - bucket->n - 1 };
}

static uint32_t
code_of(const struct tn_objects_result *s)
{
	if (s->status == TN_ECONFLICT)
		return 412;
	if (strcmp(s->diag.code, "checksum") == 0)
		return 422;
	return tn_http_code_of(s->status, &s->diag);
}

static void
fail(struct request *r, const struct tn_objects_result *s)
{
	struct tn_diag d = s->diag;

	if (s->status == TN_EDENIED)
		tn_diag_hint(&d, "give it a name of its own; a token of the "
		    "scope admin overwrites and deletes");
	if (d.message[0] == '\0')
		tn_diag_set(&d, s->status, "objects", "objects: %s",
		    tn_status_text(s->status));
	tn_http_problem(r, code_of(s), &d);
}

static const char *
etag_of(struct request *r, const struct tn_objects_info *i)
{
	return tn_arena_printf(tn_http_arena(r), "\"%s\"", i->sha256);
}

/* ---- PUT: the head ---------------------------------------------------- */

struct put_head {
	struct request *r;
	struct tn_objects_put put;
	struct tn_buf meta;      /* {"name":"value",... */
	const char *names[META_MAX];
	uint32_t count;
	uint8_t md5[16];
	bool failed;             /* The answer stands. */
};

static void
head_fails(struct put_head *p, const char *word, const char *message)
{
	if (!p->failed)
		tn_http_fail(p->r, 400, word, NULL, "%s", message);
	p->failed = true;
}

static int
base64_value(uint8_t c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* 16 bytes in base64: 22 characters and two marks. */
static bool
read_md5(struct tn_slice s, uint8_t out[static 16])
{
	uint32_t bits = 0;
	size_t n = 0;

	if (s.n != 24 || s.p[22] != '=' || s.p[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++) {
		int v = base64_value(s.p[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4 == 0)
			continue;
		/* 6, 12, 18, 24 bits are there: a byte at the last three. */
		out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
		tn_assert(n <= 16);
	}
	return n == 16;
}

static void
add_meta(struct put_head *p, struct tn_slice name, struct tn_slice value)
{
	char *low;

	if (p->count == META_MAX || name.n == 0) {
		head_fails(p, "bad_metadata",
		    "16 headers x-tarn-meta-NAME are taken at most");
		return;
	}
	if (!tn_utf8_valid(value.p, value.n)) {
		head_fails(p, "bad_metadata", "a header x-tarn-meta-NAME is "
		    "not UTF-8");
		return;
	}
	low = tn_arena_strndup(tn_http_arena(p->r), (const char *)name.p,
	    name.n);
	for (size_t i = 0; i < name.n; i++)
		if (low[i] >= 'A' && low[i] <= 'Z')
			low[i] |= 32;
	for (uint32_t i = 0; i < p->count; i++)
		if (strcmp(p->names[i], low) == 0)
			head_fails(p, "bad_metadata",
			    "a header x-tarn-meta-NAME is repeated");
	p->names[p->count++] = low;
	tn_buf_str(&p->meta, p->count > 1 ? ",\"" : "{\"");
	tn_buf_json(&p->meta, low, name.n);
	tn_buf_str(&p->meta, "\":\"");
	tn_buf_json(&p->meta, value.p, value.n);
	tn_buf_char(&p->meta, '"');
}

static enum MHD_Result
each_header(void *arg, enum MHD_ValueKind kind, const char *name,
    size_t name_bytes, const char *value, size_t value_bytes)
{
	struct put_head *p = arg;
	struct tn_slice n = { (const uint8_t *)name, name_bytes };
	struct tn_slice v = tn_http_trim((struct tn_slice){
	    (const uint8_t *)value, value_bytes });
	size_t prefix = sizeof META_PREFIX - 1;

	(void)kind;
	if (n.n > prefix && tn_http_is((struct tn_slice){ n.p, prefix },
	    META_PREFIX)) {
		add_meta(p, (struct tn_slice){ n.p + prefix, n.n - prefix },
		    v);
	} else if (tn_http_is(n, "x-tarn-sha256")) {
		if (v.n != 64 || p->put.sha256.n > 0)
			head_fails(p, "bad_checksum",
			    "x-tarn-sha256 has 64 hex digits, once");
		p->put.sha256 = v;
	} else if (tn_http_is(n, "content-md5")) {
		if (!read_md5(v, p->md5))
			head_fails(p, "bad_checksum",
			    "Content-MD5 is 16 bytes in base64");
		p->put.md5 = (struct tn_slice){ p->md5, sizeof p->md5 };
	}
	return MHD_YES;
}

/* A media type as it may be sent back: printable, not too long. */
static struct tn_slice
type_of(const struct request *r)
{
	struct tn_slice s = r->head.type;
	const uint8_t *slash = s.n > 0 ? memchr(s.p, '/', s.n) : NULL;

	if (slash == NULL || s.n > TN_OBJECTS_TYPE_MAX)
		return (struct tn_slice){ NULL, 0 };
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return (struct tn_slice){ NULL, 0 };
	return s;
}

static void
read_must(struct put_head *p)
{
	struct request *r = p->r;

	if (r->head.none_match.p != NULL &&
	    !tn_slice_is(r->head.none_match, "*"))
		head_fails(p, "bad_condition",
		    "If-None-Match of a PUT is * or absent");
	p->put.must.absent = r->head.none_match.p != NULL;
	p->put.must.match = r->head.if_match;
	/* Who sends events adds, and destroys nothing: not by a name that
	 * is taken, either. The same once more is a repetition. */
	p->put.must.same = tn_http_scope(r) != TN_SCOPE_ADMIN;
}

static void put_done(void *arg, const struct tn_objects_result *s);
static void put_resumed(void *arg);

void
tn_http_object_begin(struct request *r)
{
	struct put_head p = { .r = r };
	struct tn_objects_result s = { .status = TN_OK };

	if (!has_objects(r) || !tn_http_only_params(r,
	    (const char *const []){ NULL }))
		return;
	if (r->head.coding.n > 0 && !tn_http_is(r->head.coding, "identity")) {
		tn_http_fail(r, 415, "unsupported_coding", "send it plain, "
		    "or as a file of that type",
		    "objects take no Content-Encoding");
		return;
	}
	/* RFC 9110, 14.5: a part would become the whole. */
	if (r->head.content_range.p != NULL) {
		tn_http_fail(r, 400, "partial_put", "send all of it, without "
		    "Content-Range", "an object cannot be written in parts");
		return;
	}
	split_name(r, &p.put.bucket, &p.put.key);
	(void)MHD_get_connection_values_n(r->c, MHD_HEADER_KIND, each_header,
	    &p);
	read_must(&p);
	if (p.count > 0)
		tn_buf_char(&p.meta, '}');
	p.put.metadata = (struct tn_slice){ p.meta.p, p.meta.n };
	p.put.type = type_of(r);
	p.put.source = r->conn->source;
	p.put.has_bytes = r->head.length.p != NULL &&
	    tn_parse_u64(r->head.length, &p.put.bytes);
	p.put.done = put_done;
	p.put.resume = put_resumed;
	p.put.arg = r;
	if (!p.failed)
		s.status = tn_objects_put_begin(r->h->o.objects, &p.put,
		    &r->upload, &s.diag);
	if (!p.failed && s.status != TN_OK)
		fail(r, &s);
	tn_buf_fini(&p.meta);
}

/* ---- PUT: the body and the answer ------------------------------------- */

enum tn_status
tn_http_object_take(struct request *r, struct tn_slice s)
{
	if (r->upload == NULL)
		return TN_OK;
	return tn_objects_put_feed(r->upload, s);
}

void
tn_http_run_object_put(struct request *r)
{
	tn_assert(r->upload != NULL);
	tn_objects_put_end(r->upload);
}

static void
put_resumed(void *arg)
{
	tn_http_wake(arg);
}

static void
put_answer(struct request *r, const struct tn_objects_result *s)
{
	tn_buf_clear(&r->out);
	tn_buf_char(&r->out, '{');
	tn_objects_put_info(&r->out, &s->info);
	tn_buf_printf(&r->out, ",\"lsn\":%llu}", (unsigned long long)s->lsn);
	tn_http_json(r, s->created ? 201 : 200);
	tn_http_extra(r, "ETag", etag_of(r, &s->info));
}

static void
put_done(void *arg, const struct tn_objects_result *s)
{
	struct request *r = arg;

	r->upload = NULL;
	if (s->status != TN_OK)
		fail(r, s);
	else
		put_answer(r, s);
	tn_http_ready(r);
}

/* ---- GET -------------------------------------------------------------- */

/* A browser may show these, and no others, as they are. */
static bool
is_picture(struct tn_slice type)
{
	return tn_slice_is(type, "image/jpeg") ||
	    tn_slice_is(type, "image/png") ||
	    tn_slice_is(type, "image/gif") ||
	    tn_slice_is(type, "image/webp");
}

/* The last part of the key, as RFC 8187 writes it. */
static const char *
disposition(struct request *r, const struct tn_objects_info *i)
{
	struct tn_buf b = { 0 };
	size_t from = i->key.n;
	const char *s;

	while (from > 0 && i->key.p[from - 1] != '/')
		from--;
	tn_buf_str(&b, is_picture(i->type) ? "inline" : "attachment");
	if (i->key.n > 0)
		tn_buf_str(&b, "; filename*=UTF-8''");
	for (; from < i->key.n; from++) {
		uint8_t c = i->key.p[from];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		    || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		    c == '_';
		if (plain)
			tn_buf_char(&b, (char)c);
		else
			tn_buf_printf(&b, "%%%02X", (unsigned)c);
	}
	s = tn_arena_strdup(tn_http_arena(r), tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static void
put_metadata(struct request *r, struct tn_slice json)
{
	struct tn_arena *a = tn_http_arena(r);
	struct tn_json *o = NULL;
	struct tn_diag d;

	if (json.n == 0 || tn_codec_json_parse(a, json, &o, &d) != TN_OK ||
	    o->kind != TN_JSON_OBJECT)
		return;
	for (uint32_t i = 0; i < o->count && i < META_MAX; i++)
		tn_http_extra(r, tn_arena_printf(a, META_PREFIX "%.*s",
		    (int)o->keys[i].n, (const char *)o->keys[i].p),
		    tn_arena_printf(a, "%.*s", (int)o->items[i].text.n,
		    (const char *)o->items[i].text.p));
}

static void
put_headers(struct request *r, const struct tn_objects_info *i)
{
	tn_http_extra(r, "Content-Disposition", disposition(r, i));
	tn_http_extra(r, "Content-Security-Policy",
	    "default-src 'none'; sandbox");
	tn_http_extra(r, "Cross-Origin-Resource-Policy", "same-origin");
	tn_http_extra(r, "x-tarn-sha256", tn_arena_printf(tn_http_arena(r),
	    "%s", i->sha256));
	put_metadata(r, i->metadata);
}

static void
found(void *arg, const struct tn_objects_result *s)
{
	struct request *r = arg;
	struct tn_http_file f = { .path = s->path };

	if (r->c == NULL || s->status != TN_OK) {
		fail(r, s);
		tn_http_back(r);
		return;
	}
	put_headers(r, &s->info);
	f.etag = etag_of(r, &s->info);
	f.type = tn_arena_strndup(tn_http_arena(r),
	    (const char *)s->info.type.p, s->info.type.n);
	/* A name may get another content, a content never changes. */
	f.cache = s->info.key.n > 0 ? "private, no-cache" :
	    "private, max-age=31536000, immutable";
	tn_http_file_answer(r, &f);
	tn_http_release(r);
}

static void
no_such_object(struct request *r)
{
	tn_http_fail(r, 404, "no_such_object", NULL,
	    "there is no such object");
}

void
tn_http_run_object(struct request *r)
{
	struct tn_slice bucket, key;
	struct tn_diag d = { .line = 0 };

	split_name(r, &bucket, &key);
	if (has_objects(r) && tn_http_only_params(r,
	    (const char *const []){ NULL })) {
		if (tn_objects_name_check(bucket, key, &d) == TN_OK) {
			tn_http_hold(r);
			tn_objects_find(r->h->o.objects, bucket, key, found,
			    r);
			return;
		}
		no_such_object(r);
	}
	tn_http_ready(r);
}

void
tn_http_run_content(struct request *r)
{
	if (has_objects(r) && tn_http_only_params(r,
	    (const char *const []){ NULL })) {
		if (r->var.n == 64) {
			tn_http_hold(r);
			tn_objects_find(r->h->o.objects, r->var,
			    (struct tn_slice){ NULL, 0 }, found, r);
			return;
		}
		no_such_object(r);
	}
	tn_http_ready(r);
}

/* ---- lists ------------------------------------------------------------ */

static void
listed(void *arg, const struct tn_objects_result *s)
{
	struct request *r = arg;

	if (s->status != TN_OK) {
		fail(r, s);
	} else {
		tn_buf_clear(&r->out);
		tn_buf_add(&r->out, s->json.p, s->json.n);
		tn_http_json(r, 200);
	}
	tn_http_back(r);
}

void
tn_http_run_buckets(struct request *r)
{
	struct tn_objects_list q = { .limit = 0 };

	if (!has_objects(r) || !tn_http_only_params(r,
	    (const char *const []){ NULL })) {
		tn_http_ready(r);
		return;
	}
	tn_http_hold(r);
	tn_objects_list(r->h->o.objects, &q, listed, r);
}

static bool
list_request(struct request *r, struct tn_objects_list *q)
{
	uint64_t limit;

	if (!has_objects(r) || !tn_http_only_params(r, (const char *const []){
	    "prefix", "after", "limit", NULL }) ||
	    !tn_http_limit(r, LIMIT_STANDARD, 10000, &limit))
		return false;
	*q = (struct tn_objects_list){ .bucket = r->var,
	    .prefix = tn_http_param(r, "prefix"),
	    .after = tn_http_param(r, "after"), .limit = (uint32_t)limit };
	if (r->var.n <= TN_OBJECTS_BUCKET_MAX &&
	    q->prefix.n <= TN_OBJECTS_KEY_MAX &&
	    q->after.n <= TN_OBJECTS_KEY_MAX)
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "a bucket, prefix or after is longer than names may be");
	return false;
}

void
tn_http_run_objects(struct request *r)
{
	struct tn_objects_list q;

	if (!list_request(r, &q)) {
		tn_http_ready(r);
		return;
	}
	tn_http_hold(r);
	tn_objects_list(r->h->o.objects, &q, listed, r);
}

/* ---- DELETE ----------------------------------------------------------- */

static void
gone(void *arg, const struct tn_objects_result *s)
{
	struct request *r = arg;

	if (s->status != TN_OK) {
		fail(r, s);
	} else {
		tn_buf_clear(&r->out);
		tn_buf_char(&r->out, '{');
		tn_objects_put_info(&r->out, &s->info);
		tn_buf_printf(&r->out, ",\"lsn\":%llu,\"names_left\":%llu,"
		    "\"erased\":%s}", (unsigned long long)s->lsn,
		    (unsigned long long)s->info.names,
		    s->removed ? "true" : "false");
		tn_http_json(r, 200);
	}
	tn_http_back(r);
}

static bool
delete_request(struct request *r, struct tn_objects_delete *q)
{
	struct tn_slice erase = tn_http_param(r, "erase");
	struct tn_diag d = { .line = 0 };

	if (!has_objects(r) || !tn_http_only_params(r, (const char *const []){
	    "erase", NULL }))
		return false;
	*q = (struct tn_objects_delete){ .source = r->conn->source,
	    .erase = tn_slice_is(erase, "1"),
	    .must = { .match = r->head.if_match } };
	if (erase.n > 0 && !q->erase && !tn_slice_is(erase, "0")) {
		tn_http_fail(r, 400, "bad_parameter", NULL,
		    "erase is 0 or 1");
		return false;
	}
	split_name(r, &q->bucket, &q->key);
	if (tn_objects_name_check(q->bucket, q->key, &d) == TN_OK)
		return true;
	no_such_object(r);
	return false;
}

void
tn_http_run_object_gone(struct request *r)
{
	struct tn_objects_delete q;

	if (!delete_request(r, &q)) {
		tn_http_ready(r);
		return;
	}
	tn_http_hold(r);
	tn_objects_delete(r->h->o.objects, &q, gone, r);
}
