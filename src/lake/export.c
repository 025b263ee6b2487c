/* Metadata of tables for the doors. On disk it holds absolute locations
 * ("file:///data/lake/..."), as Iceberg wants them, so that a folder can be
 * read in place. Who comes over HTTP needs other ones: every location begins
 * with the lake's root, and that is exchanged on the way out, in the JSON and
 * in the Avro files. A manifest list also tells how long each manifest is:
 * that becomes the length it has when it is sent. So there is one metadata,
 * and it can be read both ways. */
#include "lake/tables_int.h"

#include <stdio.h>
#include <string.h>

#include "codec/codec.h"
#include "os/os.h"

#define METADATA_MAX ((size_t)64 << 20)

/* ---- which ----------------------------------------------------------- */

static bool
has_hint(struct tn_lake *lake, const char *tier, const char *name)
{
	char path[TN_LAKE_PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%s/%s/"
	    TN_LAKE_ICEBERG_FOLDER "/version-hint.text", lake->root, tier,
	    name);

	return n > 0 && n < (int)sizeof path &&
	    tn_os_kind(path) == TN_OS_FILE;
}

enum tn_status
tn_lake_table_names(struct tn_lake *lake, const char *tier, char ***names,
    size_t *count)
{
	char path[TN_LAKE_PATH_MAX];
	size_t all = 0;
	enum tn_status st = tn_lake_absolute(lake, tier, path);

	*count = 0;
	if (st == TN_OK)
		st = tn_os_list(path, names, &all);
	for (size_t i = 0; st == TN_OK && i < all; i++) {
		if (has_hint(lake, tier, (*names)[i]))
			(*names)[(*count)++] = (*names)[i];
		else
			tn_free((*names)[i]);
	}
	return st;
}

enum tn_status
tn_lake_table_newest(struct tn_lake *lake, const char *tier,
    const char *name, char out[static 200])
{
	char path[TN_LAKE_PATH_MAX];
	struct tn_buf b = { 0 };
	uint64_t version = 0;
	int n;
	enum tn_status st;

	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
	    !has_hint(lake, tier, name))
		return TN_ENOTFOUND;
	(void)snprintf(path, sizeof path, "%s/%s/%s/" TN_LAKE_ICEBERG_FOLDER
	    "/version-hint.text", lake->root, tier, name);
	st = tn_os_read_file(path, &b, 64);
	if (st == TN_OK && !tn_parse_u64((struct tn_slice){ b.p, b.n },
	    &version))
		st = TN_ENOTFOUND;
	tn_buf_fini(&b);
	n = snprintf(out, 200, "%s/%s/" TN_LAKE_ICEBERG_FOLDER
	    "/v%llu.metadata.json", tier, name, (unsigned long long)version);
	return st == TN_OK && n >= 200 ? TN_ENOTFOUND : st;
}

static bool
is_plain(struct tn_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '/' ||
		    s.p[i] == '\\')
			return false;
	return s.n > 0 && s.p[0] != '.';
}

static bool
is_tier(struct tn_slice s)
{
	return tn_slice_is(s, "bronze") || tn_slice_is(s, "silver") ||
	    tn_slice_is(s, "gold");
}

bool
tn_lake_is_metadata(struct tn_slice path)
{
	struct tn_slice part[4];
	uint32_t n = 0;

	for (; n < 4; n++) {
		const uint8_t *slash = memchr(path.p, '/', path.n);
		size_t k = slash != NULL ? (size_t)(slash - path.p) : path.n;
		part[n] = (struct tn_slice){ path.p, k };
		if (slash == NULL)
			break;
		path.p += k + 1;
		path.n -= k + 1;
	}
	return n == 3 && is_tier(part[0]) && part[1].n > 0 &&
	    part[1].p[0] != '.' && (tn_slice_is(part[2],
	    TN_LAKE_ICEBERG_FOLDER) || tn_slice_is(part[2],
	    TN_LAKE_DELTA_FOLDER)) && is_plain(part[3]);
}

/* ---- with other locations -------------------------------------------- */

struct exchange {
	struct tn_lake *lake;
	const char *from;        /* "file:///data/lake/" */
	struct tn_buf to;        /* "http://host/lake/" */
	struct tn_buf text;      /* What was made last. */
	uint64_t bytes;          /* Of the manifest whose path came last. */
	enum tn_status st;
};

static enum tn_status rewrite_avro(struct exchange *x, struct tn_slice in,
    struct tn_buf *out);

static bool
begins(struct tn_slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && memcmp(s.p, with, n) == 0;
}

/* How long a manifest is once it is exchanged. */
static uint64_t
length_of(struct exchange *x, struct tn_slice path)
{
	struct exchange inner = { .lake = x->lake, .from = x->from };
	struct tn_buf in = { 0 }, out = { 0 };
	char rel[TN_LAKE_PATH_MAX], full[TN_LAKE_PATH_MAX];
	uint64_t n = 0;

	(void)snprintf(rel, sizeof rel, "%.*s", (int)path.n,
	    (const char *)path.p);
	if (x->st == TN_OK)
		x->st = tn_lake_absolute(x->lake, rel, full);
	if (x->st == TN_OK)
		x->st = tn_os_read_file(full, &in, METADATA_MAX);
	tn_buf_add(&inner.to, x->to.p, x->to.n);
	if (x->st == TN_OK)
		x->st = rewrite_avro(&inner, (struct tn_slice){ in.p, in.n },
		    &out);
	n = out.n;
	tn_buf_fini(&in);
	tn_buf_fini(&out);
	tn_buf_fini(&inner.to);
	tn_buf_fini(&inner.text);
	return n;
}

static struct tn_slice
exchange_text(void *arg, struct tn_slice field, struct tn_slice value)
{
	struct exchange *x = arg;
	size_t n = strlen(x->from);

	if (!begins(value, x->from) || (!tn_slice_is(field, "file_path") &&
	    !tn_slice_is(field, "manifest_path")))
		return value;
	tn_buf_clear(&x->text);
	tn_buf_add(&x->text, x->to.p, x->to.n);
	tn_buf_add(&x->text, value.p + n, value.n - n);
	if (tn_slice_is(field, "manifest_path"))
		x->bytes = length_of(x, (struct tn_slice){ value.p + n,
		    value.n - n });
	return (struct tn_slice){ x->text.p, x->text.n };
}

static int64_t
exchange_number(void *arg, struct tn_slice field, int64_t value)
{
	const struct exchange *x = arg;

	return tn_slice_is(field, "manifest_length") && x->bytes > 0 ?
	    (int64_t)x->bytes : value;
}

static enum tn_status
rewrite_avro(struct exchange *x, struct tn_slice in, struct tn_buf *out)
{
	struct tn_codec_avro_edit edit = { exchange_text, exchange_number,
	    x };
	enum tn_status st = tn_codec_avro_edit(out, in, &edit);

	return x->st != TN_OK ? x->st : st;
}

/* Texts that begin so are locations; a quote stands before them. */
static void
rewrite_json(const struct exchange *x, struct tn_slice in,
    struct tn_buf *out)
{
	struct tn_buf from = { 0 };
	size_t at = 0;

	tn_buf_char(&from, '"');
	tn_buf_json(&from, x->from, strlen(x->from));
	while (at < in.n) {
		const uint8_t *hit = memmem(in.p + at, in.n - at, from.p,
		    from.n);
		size_t n = hit != NULL ? (size_t)(hit - in.p) - at :
		    in.n - at;
		tn_buf_add(out, in.p + at, n);
		at += n;
		if (hit == NULL)
			break;
		tn_buf_char(out, '"');
		tn_buf_json(out, x->to.p, x->to.n);
		at += from.n;
	}
	tn_buf_fini(&from);
}

static bool
ends(const char *s, const char *with)
{
	size_t n = strlen(s), k = strlen(with);

	return n >= k && strcmp(s + n - k, with) == 0;
}

char *
tn_lake_location(const struct tn_lake *lake)
{
	char *root = tn_os_real_path(lake->root);
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "file://%s", root != NULL ? root : lake->root);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	tn_free(root);
	return s;
}

static enum tn_status
rewrite(struct exchange *x, const char *path, struct tn_slice in,
    struct tn_buf *out)
{
	if (ends(path, ".avro"))
		return rewrite_avro(x, in, out);
	if (ends(path, ".metadata.json"))
		rewrite_json(x, in, out);
	else
		tn_buf_add(out, in.p, in.n);
	return TN_OK;
}

enum tn_status
tn_lake_metadata(struct tn_lake *lake, const char *path, const char *base,
    struct tn_buf *out)
{
	struct exchange x = { .lake = lake };
	struct tn_buf in = { 0 }, from = { 0 };
	char full[TN_LAKE_PATH_MAX], *root;
	enum tn_status st = tn_lake_absolute(lake, path, full);

	if (st == TN_OK && base == NULL)
		return tn_os_read_file(full, out, METADATA_MAX);
	if (st == TN_OK)
		st = tn_os_read_file(full, &in, METADATA_MAX);
	root = tn_lake_location(lake);
	tn_buf_printf(&from, "%s/", root);
	x.from = tn_buf_cstr(&from);
	tn_buf_printf(&x.to, "%s/", base);
	if (st == TN_OK)
		st = rewrite(&x, path, (struct tn_slice){ in.p, in.n }, out);
	tn_free(root);
	tn_buf_fini(&from);
	tn_buf_fini(&x.to);
	tn_buf_fini(&x.text);
	tn_buf_fini(&in);
	return st != TN_OK ? st : tn_buf_status(out);
}
