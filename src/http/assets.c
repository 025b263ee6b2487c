/* The page's files. A release build carries them as a table, sorted by path,
 * plain and gzipped, made by packaging/assets.sh; names under /assets/ carry
 * a hash and never change. With web_dir the files of a folder are served
 * instead, for those who write the page: read anew for every request, on the
 * pool, and found only by walking the folder's own names, so that no path can
 * lead out of it.
 *
 * A path that is no file and not under /api/, /assets/, /lake/ or /iceberg/ is
 * a route of the page: it gets index.html. */
#include "http/http_int.h"

#include <string.h>

#include "os/os.h"

#define DEV_FILE_MAX (8 * 1024 * 1024)
#define DEV_DEPTH_MAX 8

/* The layout is shared with packaging/assets.sh; all members 8 bytes. */
struct tn_http_asset {
	const char *path;        /* "/assets/1a2b/app.js" */
	const char *type;
	const char *etag;        /* With its quotes. */
	const uint8_t *gz;
	uint64_t gz_bytes;
	const uint8_t *plain;
	uint64_t plain_bytes;
	uint64_t immutable;
};
_Static_assert(sizeof(struct tn_http_asset) == 64, "as assets.sh writes it");
extern const struct tn_http_asset tn_http_assets[] __attribute__((weak));
extern const uint64_t tn_http_asset_count __attribute__((weak));

static const char index_path[] = "/index.html";

static const struct tn_http_asset *
find_asset(struct tn_slice path)
{
	uint64_t low = 0, high;

	if (&tn_http_asset_count == NULL)
		return NULL;
	high = tn_http_asset_count;
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		const char *p = tn_http_assets[mid].path;
		size_t n = strlen(p);
		int c = memcmp(path.p, p, path.n < n ? path.n : n);
		if (c == 0)
			c = path.n < n ? -1 : path.n > n;
		if (c == 0)
			return &tn_http_assets[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static bool
starts(struct tn_slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && memcmp(s.p, with, n) == 0;
}

/* What path stands for when it is no file. */
static bool
is_page_route(struct tn_slice path)
{
	return !starts(path, "/api/") && !tn_slice_is(path, "/api") &&
	    !starts(path, "/assets/") && !starts(path, "/lake/") &&
	    !starts(path, "/iceberg/");
}

static void
not_there(struct request *r, struct tn_slice path)
{
	tn_http_fail(r, 404, "no_such_path", "GET /api/openapi.json lists "
	    "the paths", "there is nothing at %.*s", (int)(path.n > 100 ?
	    100 : path.n), (const char *)path.p);
}

/* ---- built in -------------------------------------------------------- */

static void
send_asset(struct request *r, const struct tn_http_asset *a)
{
	bool gz = a->gz_bytes > 0 && (a->plain_bytes == 0 ||
	    tn_http_accepts_gzip(r->head.accept_encoding));

	r->page = true;
	r->cacheable = true;
	tn_http_extra(r, "Cache-Control", a->immutable ?
	    "public, max-age=31536000, immutable" : "no-cache");
	tn_http_extra(r, "ETag", a->etag);
	tn_http_extra(r, "Vary", "Accept-Encoding");
	if (tn_http_etag_matches(r->head.none_match, a->etag)) {
		tn_http_say(r, 304, NULL);
		return;
	}
	r->fixed = gz ? (struct tn_slice){ a->gz, a->gz_bytes } :
	    (struct tn_slice){ a->plain, a->plain_bytes };
	if (gz)
		tn_http_extra(r, "Content-Encoding", "gzip");
	tn_http_say(r, 200, a->type);
}

static void
send_no_page(struct request *r)
{
	tn_buf_str(&r->out, "Tarn " TN_VERSION " runs, but this build has no "
	    "page.\nThe API is described at /api/openapi.json\n");
	tn_http_say(r, 200, tn_http_type_text);
	r->page = true;
}

static void
run_built_in(struct request *r)
{
	const struct tn_http_asset *a = find_asset(r->path);

	if (a == NULL && is_page_route(r->path))
		a = find_asset(tn_slice_of(index_path));
	if (a != NULL)
		send_asset(r, a);
	else if (is_page_route(r->path))
		send_no_page(r);
	else
		not_there(r, r->path);
	tn_http_ready(r);
}

/* ---- from a folder --------------------------------------------------- */

static const char *
type_of(const char *path)
{
	static const struct {
		const char *end;
		const char *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".json", tn_http_type_json },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".ico", "image/x-icon" },
		{ ".txt", tn_http_type_text },
	};
	size_t n = strlen(path);

	for (size_t i = 0; i < TN_COUNT(types); i++) {
		size_t k = strlen(types[i].end);
		if (n > k && strcmp(path + n - k, types[i].end) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* Does the folder have just this name? */
static bool
has_name(const char *dir, struct tn_slice name)
{
	char **names = NULL;
	size_t count = 0;
	bool found = false;

	if (tn_os_list(dir, &names, &count) != TN_OK)
		return false;
	for (size_t i = 0; i < count; i++) {
		found = found || tn_slice_is(name, names[i]);
		tn_free(names[i]);
	}
	tn_free(names);
	return found;
}

/* The real path of a URL path, walked name by name; NULL when there is no
 * such file. Names come from the folders, so "..", "" and "." never match. */
static const char *
walk(struct tn_arena *a, const char *root, const char *path)
{
	const char *at = root;

	for (int depth = 0; depth < DEV_DEPTH_MAX && *path == '/'; depth++) {
		size_t n = strcspn(path + 1, "/");
		if (!has_name(at, (struct tn_slice){
		    (const uint8_t *)path + 1, n }))
			return NULL;
		at = tn_arena_printf(a, "%s/%.*s", at, (int)n, path + 1);
		path += n + 1;
	}
	return *path == '\0' && tn_os_kind(at) == TN_OS_FILE ? at : NULL;
}

/* The page asks for /assets/<hash>/name; in web/ itself the file is name. */
static const char *
without_hash(const char *path)
{
	const char *rest;

	if (strncmp(path, "/assets/", 8) != 0)
		return path;
	rest = strchr(path + 8, '/');
	return rest != NULL ? rest : path;
}

/* text: the URL path; number[0]: it may be a route of the page. */
static void
folder_work(struct request *r)
{
	struct tn_arena *a = tn_arena_new(1024);
	const char *root = r->h->o.web_dir;
	const char *file = walk(a, root, r->text);

	if (file == NULL)
		file = walk(a, root, without_hash(r->text));

	if (file == NULL && r->number[0] != 0)
		file = walk(a, root, index_path);
	if (file == NULL || tn_os_read_file(file, &r->out, DEV_FILE_MAX) !=
	    TN_OK) {
		not_there(r, tn_slice_of(r->text));
	} else {
		r->page = true;
		tn_http_say(r, 200, type_of(file));
	}
	tn_arena_free(a);
}

void
tn_http_run_page(struct request *r)
{
	if (tn_slice_is(r->path, "/"))
		r->path = tn_slice_of(index_path);
	if (r->h->o.web_dir == NULL) {
		run_built_in(r);
		return;
	}
	r->text = tn_arena_strndup(tn_http_arena(r), (const char *)r->path.p,
	    r->path.n);
	r->number[0] = is_page_route(r->path);
	tn_http_work(r, folder_work);
}
