/* tree: a small JSON text as a tree in an arena: configurations, queries,
 * plans; not rows.
 *
 * The text is copied into the arena once (with room behind it for the
 * scanners), so strings without escapes and numbers are slices of that copy.
 * The parser walks down by recursion, at most TN_CODEC_DEPTH_MAX deep.
 * Members of open containers wait on one stack and are copied into the arena
 * when their container closes.
 *
 * Of equal keys the last one stays, at the place of the last.
 *
 * A text of many short members takes some sixty times its bytes: what grows
 * with it may fail (TN_ENOMEM). */
#include "codec/codec_int.h"

#include <stdlib.h>
#include <string.h>

/* A member of a container that is still open. */
struct member {
	struct tn_slice key;
	struct tn_json value;
};

struct parser {
	struct tn_arena *arena;
	struct tn_codec_scan scan;
	struct member *stack;
	uint32_t count, cap;
	struct tn_buf text;
	bool no_memory;
};

/* A key and where it stands, to find equal ones in a long object. */
struct place {
	struct tn_slice key;
	uint32_t at;
};

/* Objects up to this many keys are compared key by key. */
#define FEW_KEYS 8

static const uint8_t *parse_value(struct parser *r, const uint8_t *p,
    uint32_t depth, struct tn_json *out);

/* The parse ends; who called it asks for no_memory. */
static const uint8_t *
no_memory(struct parser *r, const uint8_t *p)
{
	r->no_memory = true;
	return tn_codec_scan_fail(&r->scan, "out of memory", p);
}

static bool
push(struct parser *r, const struct member *m)
{
	uint32_t cap = r->cap == 0 ? 64 : r->cap * 2;
	struct member *more;

	if (r->count == r->cap) {
		more = tn_try_realloc(r->stack, cap * sizeof *r->stack);
		if (more == NULL)
			return false;
		r->stack = more;
		r->cap = cap;
	}
	r->stack[r->count++] = *m;
	return true;
}

static const uint8_t *
parse_string(struct parser *r, const uint8_t *p, struct tn_slice *out)
{
	struct tn_codec_str str;
	uint8_t *copy;

	p = tn_codec_scan_string(&r->scan, p, &str);
	if (p == NULL)
		return NULL;
	*out = (struct tn_slice){ str.p, str.n };
	if (!str.escaped)
		return p;
	tn_buf_clear(&r->text);
	tn_codec_unescape(&r->text, str.p, str.n);
	if (r->text.failed)
		return no_memory(r, p);
	copy = tn_arena_try_alloc(r->arena, r->text.n + 1);
	if (copy == NULL)
		return no_memory(r, p);
	memcpy(copy, r->text.p, r->text.n);
	*out = (struct tn_slice){ copy, r->text.n };
	return p;
}

static int
by_key(const void *x, const void *y)
{
	const struct place *a = x, *b = y;
	size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
	int order = n == 0 ? 0 : memcmp(a->key.p, b->key.p, n);

	if (order == 0 && a->key.n != b->key.n)
		order = a->key.n < b->key.n ? -1 : 1;
	if (order == 0)
		order = a->at < b->at ? -1 : 1;
	return order;
}

/* Mark members whose key comes again: their key.p becomes NULL. Sets how many
 * there are; false when memory is out. */
static bool
mark_repeated_many(struct member *m, uint32_t n, uint32_t *count)
{
	struct place *places = tn_try_alloc(n * sizeof *places);
	uint32_t repeated = 0;

	if (places == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++)
		places[i] = (struct place){ m[i].key, i };
	qsort(places, n, sizeof *places, by_key);
	for (uint32_t i = 0; i + 1 < n; i++) {
		if (!tn_slice_eq(places[i].key, places[i + 1].key))
			continue;
		m[places[i].at].key.p = NULL;
		repeated++;
	}
	tn_free(places);
	*count = repeated;
	return true;
}

static bool
mark_repeated(struct member *m, uint32_t n, uint32_t *count)
{
	uint32_t repeated = 0, k;

	if (n > FEW_KEYS)
		return mark_repeated_many(m, n, count);
	for (uint32_t i = 0; i < n; i++) {
		k = i + 1;
		while (k < n && !tn_slice_eq(m[i].key, m[k].key))
			k++;
		if (k == n)
			continue;
		m[i].key.p = NULL;
		repeated++;
	}
	*count = repeated;
	return true;
}

/* Move the members from ${base} on off the stack into ${out}. False when
 * memory is out. */
static bool
close_container(struct parser *r, uint32_t base, struct tn_json *out)
{
	uint32_t n = r->count - base, repeated = 0, kept, k = 0;
	bool object = out->kind == TN_JSON_OBJECT;
	struct member *m;

	r->count = base;
	out->count = 0;
	if (n == 0)
		return true;
	m = r->stack + base;
	if (object && !mark_repeated(m, n, &repeated))
		return false;
	kept = n - repeated;
	out->items = tn_arena_try_alloc(r->arena, kept * sizeof *out->items);
	if (object)
		out->keys = tn_arena_try_alloc(r->arena,
		    kept * sizeof *out->keys);
	if (out->items == NULL || (object && out->keys == NULL))
		return false;
	out->count = kept;
	for (uint32_t i = 0; i < n; i++) {
		if (object && m[i].key.p == NULL)
			continue;
		out->items[k] = m[i].value;
		if (object)
			out->keys[k] = m[i].key;
		k++;
	}
	tn_assert(k == kept);
	return true;
}

/* One member: its key, when in an object, and its value. */
static const uint8_t *
parse_member(struct parser *r, const uint8_t *p, bool object,
    uint32_t depth)
{
	const uint8_t *end = r->scan.end;
	struct member m = { 0 };

	p = tn_codec_scan_blank(p, end);
	if (object) {
		if (p >= end || *p != '"')
			return tn_codec_scan_fail(&r->scan,
			    "expected a key in quotes", p);
		p = parse_string(r, p, &m.key);
		if (p == NULL)
			return NULL;
		p = tn_codec_scan_blank(p, end);
		if (p >= end || *p != ':')
			return tn_codec_scan_fail(&r->scan,
			    "expected a colon", p);
		p = tn_codec_scan_blank(p + 1, end);
	}
	p = parse_value(r, p, depth, &m.value);
	if (p == NULL)
		return NULL;
	if (!push(r, &m))
		return no_memory(r, p);
	return tn_codec_scan_blank(p, end);
}

static const uint8_t *
parse_container(struct parser *r, const uint8_t *p, uint32_t depth,
    struct tn_json *out)
{
	bool object = *p == '{';
	uint8_t closing = object ? '}' : ']';
	const uint8_t *end = r->scan.end;
	uint32_t base = r->count;

	if (depth == TN_CODEC_DEPTH_MAX)
		return tn_codec_scan_fail(&r->scan,
		    "nested deeper than 512", p);
	out->kind = object ? TN_JSON_OBJECT : TN_JSON_ARRAY;
	p = tn_codec_scan_blank(p + 1, end);
	if (p < end && *p == closing) {
		out->count = 0;
		return p + 1;
	}
	for (;; p++) {
		p = parse_member(r, p, object, depth + 1);
		if (p == NULL)
			return NULL;
		if (p < end && *p == closing)
			break;
		if (p >= end || *p != ',')
			return tn_codec_scan_fail(&r->scan, object ?
			    "expected a comma or }" :
			    "expected a comma or ]", p);
	}
	if (!close_container(r, base, out))
		return no_memory(r, p);
	return p + 1;
}

static const uint8_t *
parse_value(struct parser *r, const uint8_t *p, uint32_t depth,
    struct tn_json *out)
{
	struct tn_codec_num num;

	if (p >= r->scan.end)
		return tn_codec_scan_fail(&r->scan, "unexpected end", p);
	switch (*p) {
	case '{':
	case '[':
		return parse_container(r, p, depth, out);
	case '"':
		out->kind = TN_JSON_STRING;
		return parse_string(r, p, &out->text);
	case 'n':
		out->kind = TN_JSON_NULL;
		return tn_codec_scan_word(&r->scan, p, "null");
	case 't':
		out->kind = TN_JSON_TRUE;
		return tn_codec_scan_word(&r->scan, p, "true");
	case 'f':
		out->kind = TN_JSON_FALSE;
		return tn_codec_scan_word(&r->scan, p, "false");
	case '-':
	case '0' ... '9':
		out->kind = TN_JSON_NUMBER;
		p = tn_codec_scan_number(&r->scan, p, &num);
		if (p != NULL)
			out->text = (struct tn_slice){ num.p, num.n };
		return p;
	default:
		return tn_codec_scan_fail(&r->scan, "expected a value", p);
	}
}

enum tn_status
tn_codec_json_parse(struct tn_arena *a, struct tn_slice text,
    struct tn_json **out, struct tn_diag *d)
{
	struct parser r = { .arena = a };
	struct tn_json *root = tn_arena_zalloc(a, sizeof *root);
	uint8_t *copy = tn_arena_try_alloc(a, text.n + TN_CODEC_PAD);
	const uint8_t *p;

	*out = NULL;
	if (copy == NULL)
		return tn_diag_set(d, TN_ENOMEM, "out_of_memory",
		    "no memory for a text of %zu bytes", text.n);
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	memset(copy + text.n, 0, TN_CODEC_PAD);
	r.scan.begin = copy;
	r.scan.end = copy + text.n;
	p = tn_codec_scan_blank(copy, r.scan.end);
	p = parse_value(&r, p, 0, root);
	if (p != NULL)
		p = tn_codec_scan_blank(p, r.scan.end);
	if (p != NULL && p < r.scan.end)
		p = tn_codec_scan_fail(&r.scan, "text after the value", p);
	tn_free(r.stack);
	tn_buf_fini(&r.text);
	if (r.no_memory)
		return tn_diag_set(d, TN_ENOMEM, "out_of_memory",
		    "no memory for a text of %zu bytes", text.n);
	if (p == NULL) {
		if (d != NULL)
			d->column = (uint32_t)(r.scan.where - copy) + 1;
		return tn_diag_set(d, TN_EINVAL, r.scan.code,
		    "%s at byte %zu", r.scan.what,
		    (size_t)(r.scan.where - copy) + 1);
	}
	*out = root;
	return TN_OK;
}

const struct tn_json *
tn_codec_json_get(const struct tn_json *o, const char *key)
{
	if (o == NULL || o->kind != TN_JSON_OBJECT)
		return NULL;
	for (uint32_t i = 0; i < o->count; i++) {
		if (tn_slice_is(o->keys[i], key))
			return &o->items[i];
	}
	return NULL;
}

int64_t
tn_codec_json_i64(const struct tn_json *o, const char *key,
    int64_t otherwise)
{
	const struct tn_json *v = tn_codec_json_get(o, key);
	int64_t n;

	if (v == NULL || v->kind != TN_JSON_NUMBER ||
	    !tn_parse_i64(v->text, &n))
		return otherwise;
	return n;
}
