/* record: names, what the index holds of them, and what is told of them as
 * JSON. Every value of the index begins with a version byte; numbers are
 * little-endian, texts a varint and their bytes. */
#include "objects/objects_int.h"

#include <stdio.h>
#include <string.h>

#define VERSION 1

const char tn_objects_stream[] = "objects";
const char tn_objects_sql[] =
    "CREATE TABLE objects (\n"
    "  id           text PRIMARY KEY,\n"
    "  action       text NOT NULL CHECK (action IN ('put', 'delete')),\n"
    "  bucket       text NOT NULL,\n"
    "  key          text NOT NULL,\n"
    "  sha256       text NOT NULL,\n"
    "  bytes        bigint NOT NULL,\n"
    "  content_type text,\n"
    "  width        integer,\n"
    "  height       integer,\n"
    "  taken_at     timestamptz,\n"
    "  taken_offset text,\n"
    "  uploaded_at  timestamptz NOT NULL,\n"
    "  metadata     jsonb\n"
    ") WITH (event_time = 'uploaded_at', dedupe_window = '400 days');\n"
    "COMMENT ON TABLE objects IS 'Files put and deleted at "
    "/api/v1/objects, one row each.';\n";

/* ---- names ----------------------------------------------------------- */

static bool
is_bucket(struct tn_slice s)
{
	if (s.n < 3 || s.n > TN_OBJECTS_BUCKET_MAX || s.p[0] == '.' ||
	    tn_slice_is(s, "by-hash"))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') &&
		    c != '-' && c != '.' && c != '_')
			return false;
	}
	return true;
}

/* No segment that a file system or a proxy would take for another path. */
static bool
is_key(struct tn_slice s)
{
	size_t from = 0;

	if (s.n < 1 || s.n > TN_OBJECTS_KEY_MAX || !tn_utf8_valid(s.p, s.n))
		return false;
	for (size_t i = 0; i <= s.n; i++) {
		size_t n = i - from;
		if (i < s.n && (s.p[i] < 0x20 || s.p[i] == 0x7f ||
		    s.p[i] == '\\'))
			return false;
		if (i < s.n && s.p[i] != '/')
			continue;
		if (n == 0 || (n == 1 && s.p[from] == '.') ||
		    (n == 2 && s.p[from] == '.' && s.p[from + 1] == '.'))
			return false;
		from = i + 1;
	}
	return true;
}

enum tn_status
tn_objects_name_check(struct tn_slice bucket, struct tn_slice key,
    struct tn_diag *d)
{
	if (!is_bucket(bucket)) {
		tn_diag_hint(d, "3 to 63 of a-z, 0-9, '-', '_' and '.'; not "
		    "'by-hash', no '.' in front");
		return tn_diag_set(d, TN_EINVAL, "bad_bucket",
		    "this is no name of a bucket");
	}
	if (!is_key(key)) {
		tn_diag_hint(d, "1 to 400 bytes of UTF-8 without control "
		    "characters and backslashes; parts between slashes are "
		    "not empty, '.' or '..'");
		return tn_diag_set(d, TN_EINVAL, "bad_key",
		    "this is no key of an object");
	}
	return TN_OK;
}

void
tn_objects_name_key(struct tn_buf *out, struct tn_slice bucket,
    struct tn_slice key)
{
	tn_buf_char(out, 'n');
	tn_buf_add(out, bucket.p, bucket.n);
	tn_buf_char(out, '/');
	if (key.n > 0)
		tn_buf_add(out, key.p, key.n);
}

void
tn_objects_hex(const uint8_t sha[static SHA_BYTES],
    char out[static SHA_HEX + 1])
{
	for (size_t i = 0; i < SHA_BYTES; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", sha[i]);
}

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
tn_objects_unhex(struct tn_slice hex, uint8_t sha[static SHA_BYTES])
{
	if (hex.n != SHA_HEX)
		return false;
	for (size_t i = 0; i < SHA_BYTES; i++) {
		int high = digit(hex.p[2 * i]), low = digit(hex.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		sha[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Strong comparison (RFC 9110, 13.1.1): "<sha>" with its quotes, not weak. */
bool
tn_objects_if_holds(const struct tn_objects_if *must, const struct name *now)
{
	char tag[SHA_HEX + 3];
	const uint8_t *at;
	struct tn_slice list = must->match;

	if (must->absent && now != NULL)
		return false;
	if (list.p == NULL)
		return true;
	if (now == NULL || tn_slice_is(list, "*"))
		return now != NULL;
	tag[0] = tag[SHA_HEX + 1] = '"';
	tn_objects_hex(now->sha, tag + 1);
	tag[SHA_HEX + 1] = '"';
	at = memmem(list.p, list.n, tag, SHA_HEX + 2);
	return at != NULL && (at == list.p || at[-1] != '/');
}

/* ---- values of the index --------------------------------------------- */

static void
put_text(struct tn_buf *out, struct tn_slice s)
{
	tn_buf_varint(out, s.n);
	if (s.n > 0)
		tn_buf_add(out, s.p, s.n);
}

static struct tn_slice
get_text(struct tn_cursor *c)
{
	uint64_t n = tn_cursor_varint(c);

	if (n > (uint64_t)(c->end - c->p))
		c->failed = true;
	return tn_cursor_bytes(c, c->failed ? 0 : (size_t)n);
}

void
tn_objects_name_put(struct tn_buf *out, const struct name *n)
{
	tn_buf_char(out, VERSION);
	tn_buf_add(out, n->sha, SHA_BYTES);
	tn_buf_u64(out, n->bytes);
	tn_buf_u64(out, (uint64_t)n->uploaded_us);
	tn_buf_u32(out, n->image.width);
	tn_buf_u32(out, n->image.height);
	tn_buf_char(out, n->image.has_taken);
	tn_buf_u64(out, (uint64_t)n->image.taken_us);
	put_text(out, tn_slice_of(n->image.taken_offset));
	put_text(out, n->type);
	put_text(out, n->metadata);
}

bool
tn_objects_name_get(struct tn_slice s, struct name *n)
{
	struct tn_cursor c = { s.p, s.p + s.n, false };
	struct tn_slice sha, offset;

	memset(n, 0, sizeof *n);
	c.failed = tn_cursor_u8(&c) != VERSION;
	sha = tn_cursor_bytes(&c, SHA_BYTES);
	if (!c.failed)
		memcpy(n->sha, sha.p, SHA_BYTES);
	n->bytes = tn_cursor_u64(&c);
	n->uploaded_us = (int64_t)tn_cursor_u64(&c);
	n->image.width = tn_cursor_u32(&c);
	n->image.height = tn_cursor_u32(&c);
	n->image.has_taken = tn_cursor_u8(&c) != 0;
	n->image.taken_us = (int64_t)tn_cursor_u64(&c);
	offset = get_text(&c);
	if (offset.n < sizeof n->image.taken_offset && offset.n > 0)
		memcpy(n->image.taken_offset, offset.p, offset.n);
	n->type = get_text(&c);
	n->metadata = get_text(&c);
	return !c.failed;
}

void
tn_objects_content_put(struct tn_buf *out, const struct content *c)
{
	tn_buf_char(out, VERSION);
	tn_buf_u64(out, c->names);
	tn_buf_u64(out, c->bytes);
	tn_buf_u64(out, (uint64_t)c->gone_us);
	put_text(out, c->type);
}

bool
tn_objects_content_get(struct tn_slice s, struct content *x)
{
	struct tn_cursor c = { s.p, s.p + s.n, false };

	memset(x, 0, sizeof *x);
	c.failed = tn_cursor_u8(&c) != VERSION;
	x->names = tn_cursor_u64(&c);
	x->bytes = tn_cursor_u64(&c);
	x->gone_us = (int64_t)tn_cursor_u64(&c);
	x->type = get_text(&c);
	return !c.failed;
}

void
tn_objects_bucket_put(struct tn_buf *out, const struct bucket *b)
{
	tn_buf_char(out, VERSION);
	tn_buf_u64(out, b->objects);
	tn_buf_u64(out, b->bytes);
}

bool
tn_objects_bucket_get(struct tn_slice s, struct bucket *b)
{
	struct tn_cursor c = { s.p, s.p + s.n, false };

	c.failed = tn_cursor_u8(&c) != VERSION;
	b->objects = tn_cursor_u64(&c);
	b->bytes = tn_cursor_u64(&c);
	return !c.failed;
}

/* ---- as JSON --------------------------------------------------------- */

static void
put_string(struct tn_buf *out, const char *name, struct tn_slice s)
{
	tn_buf_printf(out, "\"%s\":", name);
	if (s.n == 0) {
		tn_buf_str(out, "null");
		return;
	}
	tn_buf_char(out, '"');
	tn_buf_json(out, s.p, s.n);
	tn_buf_char(out, '"');
}

static void
put_time(struct tn_buf *out, const char *name, bool has, int64_t us)
{
	tn_buf_printf(out, ",\"%s\":", name);
	if (has)
		tn_record_print_json_time(out, us);
	else
		tn_buf_str(out, "null");
}

static void
put_count(struct tn_buf *out, const char *name, uint32_t v)
{
	tn_buf_printf(out, ",\"%s\":", name);
	if (v > 0)
		tn_buf_printf(out, "%u", (unsigned)v);
	else
		tn_buf_str(out, "null");
}

void
tn_objects_put_info(struct tn_buf *out, const struct tn_objects_info *i)
{
	put_string(out, "bucket", i->bucket);
	tn_buf_char(out, ',');
	put_string(out, "key", i->key);
	tn_buf_printf(out, ",\"sha256\":\"%s\",\"bytes\":%llu,", i->sha256,
	    (unsigned long long)i->bytes);
	put_string(out, "content_type", i->type);
	/* What fits no integer column was a lie of the file. */
	put_count(out, "width", i->width <= INT32_MAX ? i->width : 0);
	put_count(out, "height", i->height <= INT32_MAX ? i->height : 0);
	put_time(out, "taken_at", i->has_taken, i->taken_us);
	tn_buf_char(out, ',');
	put_string(out, "taken_offset", tn_slice_of(i->taken_offset));
	put_time(out, "uploaded_at", true, i->uploaded_us);
	tn_buf_str(out, ",\"metadata\":");
	if (i->metadata.n > 0)
		tn_buf_add(out, i->metadata.p, i->metadata.n);
	else
		tn_buf_str(out, "{}");
}

void
tn_objects_info_of(struct tn_objects_info *out, struct tn_slice bucket,
    struct tn_slice key, const struct name *n)
{
	memset(out, 0, sizeof *out);
	out->bucket = bucket;
	out->key = key;
	tn_objects_hex(n->sha, out->sha256);
	out->bytes = n->bytes;
	out->type = n->type;
	out->metadata = n->metadata;
	out->width = n->image.width;
	out->height = n->image.height;
	out->has_taken = n->image.has_taken;
	out->taken_us = n->image.taken_us;
	memcpy(out->taken_offset, n->image.taken_offset,
	    sizeof out->taken_offset);
	out->uploaded_us = n->uploaded_us;
}

/* A delete is an event of its own time; the rest tells what was deleted. */
void
tn_objects_row(struct tn_buf *out, const struct change_row *r)
{
	struct tn_objects_info i;

	tn_objects_info_of(&i, r->bucket, r->key, r->name);
	i.uploaded_us = r->at_us;
	tn_buf_printf(out, "{\"id\":\"%s\",\"action\":\"%s\",", r->id,
	    r->action);
	tn_objects_put_info(out, &i);
	tn_buf_char(out, '}');
}

/* ---- retention ------------------------------------------------------- */

static struct tn_slice
trim(struct tn_slice s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static enum tn_status
add_rule(struct rules *r, struct tn_slice s, struct tn_diag *d)
{
	const uint8_t *eq = memchr(s.p, '=', s.n);
	struct tn_interval v = { 0 };
	struct tn_slice name, time;
	struct rule *x = &r->rules[r->count];

	tn_diag_hint(d, "write it like 'photos=30 days, *=400 days'");
	if (eq == NULL || r->count == RULES_MAX)
		return tn_diag_set(d, TN_EINVAL, "objects_retention",
		    "objects_retention wants bucket=time, at most %d of them",
		    RULES_MAX);
	name = trim((struct tn_slice){ s.p, (size_t)(eq - s.p) });
	time = trim((struct tn_slice){ eq + 1,
	    (size_t)(s.p + s.n - eq - 1) });
	if (!tn_slice_is(name, "*") && !is_bucket(name))
		return tn_diag_set(d, TN_EINVAL, "objects_retention",
		    "\"%.*s\" is no name of a bucket", (int)(name.n > 63 ?
		    63 : name.n), (const char *)name.p);
	if (!tn_record_parse_interval(time, &v) || v.months != 0 ||
	    v.days > 36500 || v.us > INT64_C(36500) * 86400000000)
		return tn_diag_set(d, TN_EINVAL, "objects_retention",
		    "\"%.*s\" is no time in days, hours or minutes",
		    (int)(time.n > 63 ? 63 : time.n), (const char *)time.p);
	x->keep_us = v.us + v.days * INT64_C(86400000000);
	if (x->keep_us <= 0)
		return tn_diag_set(d, TN_EINVAL, "objects_retention",
		    "a bucket's retention must be longer than nothing");
	memcpy(x->bucket, name.p, name.n);
	x->bucket[name.n] = '\0';
	r->count++;
	return TN_OK;
}

enum tn_status
tn_objects_rules_parse(struct rules *r, const char *text, struct tn_diag *d)
{
	struct tn_slice s = tn_slice_of(text != NULL ? text : "");
	enum tn_status st = TN_OK;

	memset(r, 0, sizeof *r);
	while (st == TN_OK && trim(s).n > 0) {
		const uint8_t *comma = memchr(s.p, ',', s.n);
		size_t n = comma != NULL ? (size_t)(comma - s.p) : s.n;
		st = add_rule(r, (struct tn_slice){ s.p, n }, d);
		n += comma != NULL;
		s.p += n;
		s.n -= n;
	}
	if (st == TN_OK && d != NULL)
		d->hint[0] = '\0';
	return st;
}

enum tn_status
tn_objects_retention_check(const char *text, struct tn_diag *d)
{
	struct rules r;

	return tn_objects_rules_parse(&r, text, d);
}

int64_t
tn_objects_rules_of(const struct rules *r, struct tn_slice bucket)
{
	int64_t others = 0;

	for (uint32_t i = 0; i < r->count; i++) {
		if (tn_slice_is(bucket, r->rules[i].bucket))
			return r->rules[i].keep_us;
		if (strcmp(r->rules[i].bucket, "*") == 0)
			others = r->rules[i].keep_us;
	}
	return others;
}
