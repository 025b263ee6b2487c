/* /lake/...: the files of the lake as they lie on disk, for engines that read
 * Parquet, Iceberg or Delta over HTTP.
 *
 *   a data file   the catalog must know its path (visible, or dropped and not
 *                 yet removed); file.c sends it, whole or in ranges
 *   metadata      small and made for this caller: locations in it begin with
 *                 the address by which it reached us (lake_url, else Host)
 *
 * Nothing is found by walking folders: a path that the catalog does not name
 * and that has not the form of a metadata file is 404, so no path can lead
 * out. Key files are not for readers. */
#include "http/http_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define FOR_EVER "private, max-age=31536000, immutable"

/* What the head asks, copied: the client may go while a thread works. */
struct lake_ask {
	struct request *r;
	const char *path;
	const char *base;
	bool head;
	struct tn_slice range, if_range, none_match;
	struct tn_http_file file;
	const char *modified;
	enum tn_status st;
};

/* ---- the address ----------------------------------------------------- */

static bool
is_host(struct tn_slice s)
{
	static const char more[] = ".:-[]_";

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if ((c < '0' || c > '9') && (c < 'a' || c > 'z') &&
		    (c < 'A' || c > 'Z') && (c == '\0' ||
		    strchr(more, c) == NULL))
			return false;
	}
	return s.n > 0 && s.n < 256;
}

const char *
tn_http_lake_base(struct request *r)
{
	const char *set = r->h->o.lake_url;
	size_t n = set != NULL ? strlen(set) : 0;

	while (n > 0 && set[n - 1] == '/')
		n--;
	if (n > 0)
		return tn_arena_strndup(tn_http_arena(r), set, n);
	if (is_host(r->head.host))
		return tn_arena_printf(tn_http_arena(r), "http://%.*s/lake",
		    (int)r->head.host.n, (const char *)r->head.host.p);
	tn_http_fail(r, 400, "bad_host", "ALTER SYSTEM SET lake_url says how "
	    "others reach /lake", "the Host header is no address");
	return NULL;
}

/* ---- common ---------------------------------------------------------- */

static struct tn_slice
copied(struct request *r, struct tn_slice s)
{
	if (s.p == NULL)
		return s;
	return (struct tn_slice){ (const uint8_t *)tn_arena_strndup(
	    tn_http_arena(r), (const char *)s.p, s.n), s.n };
}

static void
not_there(struct request *r)
{
	tn_http_fail(r, 404, "no_such_file", "GET /api/v1/files and "
	    "/iceberg/v1/namespaces/{tier}/tables list what there is",
	    "the lake has no such file (any more)");
}

static const char *
type_of(const char *path)
{
	size_t n = strlen(path);

	if (n > 5 && strcmp(path + n - 5, ".json") == 0)
		return tn_http_type_json;
	if (n > 8 && strcmp(path + n - 8, ".parquet") == 0)
		return "application/vnd.apache.parquet";
	return n > 5 && strcmp(path + n - 5, ".text") == 0 ?
	    tn_http_type_text : "application/octet-stream";
}

/* RFC 9110, 5.6.7: Sun, 06 Nov 1994 08:49:37 GMT. */
static const char *
http_date(struct tn_arena *a, int64_t us)
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] =
	    "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t s = us / 1000000, day = s / 86400, in = s % 86400;
	int32_t y;
	uint32_t m, d;

	tn_record_civil(day, &y, &m, &d);
	return tn_arena_printf(a, "%.3s, %02u %.3s %04d %02d:%02d:%02d GMT",
	    days + day % 7 * 3, (unsigned)d, months + (m - 1) * 3, (int)y,
	    (int)(in / 3600), (int)(in / 60 % 60), (int)(in % 60));
}

/* ---- data files ------------------------------------------------------ */

static void
data_back(struct tn_net_job *job)
{
	struct request *r = (struct request *)job;
	struct lake_ask *x = r->job_arg;

	if (r->c == NULL || x->st != TN_OK) {
		if (x->st == TN_ENOTFOUND || r->c == NULL)
			not_there(r);
		else
			tn_http_catalog_failed(r, x->st);
		tn_http_back(r);
		return;
	}
	if (x->modified != NULL)
		tn_http_extra(r, "Last-Modified", x->modified);
	tn_http_file_answer(r, &x->file);
	tn_http_release(r);
}

/* On the pool. */
static void
data_look(struct tn_net_job *job)
{
	struct request *r = (struct request *)job;
	struct lake_ask *x = r->job_arg;
	struct tn_arena *a = tn_http_arena(r);
	struct tn_catalog_file f;
	struct tn_os_info info;
	char etag[64];

	x->st = tn_catalog_file_named(r->h->o.catalog, x->path, &f);
	if (x->st == TN_OK && f.tier == TN_TIER_KEYS)
		x->st = TN_ENOTFOUND;
	if (x->st == TN_OK) {
		(void)snprintf(etag, sizeof etag, "\"%08x-%llu\"",
		    (unsigned)f.crc, (unsigned long long)f.bytes);
		x->file.path = tn_arena_printf(a, "%s/%s",
		    tn_lake_root(r->h->o.lake), f.path);
		x->file.etag = tn_arena_strdup(a, etag);
		x->file.type = type_of(f.path);
		x->file.cache = FOR_EVER;
		if (tn_os_look(x->file.path, &info) == TN_OK)
			x->modified = http_date(a, info.modified_ns / 1000);
	}
	job->run = data_back;
	tn_net_loop_post(r->h->o.loop, job);
}

static void
send_data(struct request *r, struct lake_ask *x)
{
	tn_http_hold(r);
	r->job_arg = x;
	r->job.run = data_look;
	if (tn_net_pool_post(r->h->o.pool, &r->job) == TN_OK)
		return;
	tn_http_fail(r, 503, "overloaded", "ask again in a second",
	    "too many requests wait already");
	tn_http_back(r);
}

/* ---- metadata -------------------------------------------------------- */

static bool
ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && strcmp(s + n - k, with) == 0;
}

/* The answer stands whole in r->out: cut the range that is wanted. */
static void
cut_range(struct request *r, const struct lake_ask *x, const char *etag)
{
	uint64_t first, count, bytes = r->out.n;
	enum tn_http_range how = TN_RANGE_NONE;

	if (!x->head && x->range.p != NULL && (x->if_range.p == NULL ||
	    tn_slice_is(x->if_range, etag)))
		how = tn_http_range(x->range, bytes, &first, &count);
	if (how == TN_RANGE_BEYOND) {
		tn_http_fail(r, 416, "range", "ask for bytes before its end",
		    "the file has %llu bytes", (unsigned long long)bytes);
		tn_http_extra(r, "Content-Range", tn_arena_printf(
		    tn_http_arena(r), "bytes */%llu",
		    (unsigned long long)bytes));
		return;
	}
	if (how == TN_RANGE_ONE) {
		tn_http_extra(r, "Content-Range", tn_arena_printf(
		    tn_http_arena(r), "bytes %llu-%llu/%llu",
		    (unsigned long long)first,
		    (unsigned long long)(first + count - 1),
		    (unsigned long long)bytes));
		memmove(r->out.p, r->out.p + first, (size_t)count);
		r->out.n = (size_t)count;
	}
	tn_http_say(r, how == TN_RANGE_ONE ? 206 : 200, type_of(x->path));
}

static void
metadata_work(struct request *r)
{
	struct lake_ask *x = r->job_arg;
	struct tn_arena *a = tn_http_arena(r);
	struct tn_os_info info;
	const char *etag;
	enum tn_status st = tn_lake_metadata(r->h->o.lake, x->path, x->base,
	    &r->out);

	if (st == TN_ENOTFOUND) {
		not_there(r);
		return;
	}
	if (st != TN_OK) {
		tn_http_fail(r, st == TN_ENOMEM ? 503 : 500,
		    "file_unreadable", NULL, "the file cannot be read: %s",
		    tn_status_text(st));
		return;
	}
	etag = tn_arena_printf(a, "\"%016llx-%zu\"", (unsigned long long)
	    tn_hash64(r->out.p, r->out.n, 0), r->out.n);
	tn_http_extra(r, "ETag", etag);
	tn_http_extra(r, "Accept-Ranges", "bytes");
	if (tn_os_look(tn_arena_printf(a, "%s/%s", tn_lake_root(
	    r->h->o.lake), x->path), &info) == TN_OK)
		tn_http_extra(r, "Last-Modified", http_date(a,
		    info.modified_ns / 1000));
	/* Made for the Host that was asked, and two names change. */
	r->cacheable = true;
	tn_http_extra(r, "Cache-Control", "private, no-cache");
	if (x->none_match.p != NULL && tn_http_etag_matches(x->none_match,
	    etag))
		tn_http_say(r, 304, NULL);
	else
		cut_range(r, x, etag);
}

/* ---- the door -------------------------------------------------------- */

void
tn_http_run_lake(struct request *r)
{
	struct tn_arena *a = tn_http_arena(r);
	struct lake_ask *x = tn_arena_zalloc(a, sizeof *x);

	x->r = r;
	x->path = tn_arena_strndup(a, (const char *)r->var.p, r->var.n);
	x->head = r->method == TN_HTTP_HEAD;
	x->range = copied(r, r->head.range);
	x->if_range = copied(r, r->head.if_range);
	x->none_match = copied(r, r->head.none_match);
	if (!tn_lake_is_metadata(r->var)) {
		if (ends(x->path, ".parquet")) {
			send_data(r, x);
			return;
		}
		not_there(r);
		tn_http_ready(r);
		return;
	}
	x->base = tn_http_lake_base(r);
	if (x->base == NULL) {
		tn_http_ready(r);
		return;
	}
	r->job_arg = x;
	tn_http_work(r, metadata_work);
}
