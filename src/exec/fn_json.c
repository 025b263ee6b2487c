/* Operators of jsonb: -> ->> ? and the functions of arrays and types. A value
 * is its canonical text (one blank after colon and comma, no others), so that
 * a part of it is a slice and costs a scan, no tree. The scanner is safe on
 * any bytes: on text that is not JSON it finds nothing or stops early. */
#include "exec/expr_int.h"

#include <string.h>

/* ---- scanning -------------------------------------------------------- */

static const uint8_t *
skip_blank(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == ',' || *p == ':' ||
	    (*p >= '\t' && *p <= '\r')))
		p++;
	return p;
}

/* Past the closing quote; p is at the opening one. */
static const uint8_t *
skip_string(const uint8_t *p, const uint8_t *end)
{
	for (p++; p < end && *p != '"'; p++)
		p += *p == '\\' && p + 1 < end;
	return p < end ? p + 1 : end;
}

static bool
ends_scalar(uint8_t ch)
{
	return memchr(",:]}[{\" \t\r\n", ch, 11) != NULL;
}

/* Past a value of any kind. Depth is a count, not a recursion. */
static const uint8_t *
skip_value(const uint8_t *p, const uint8_t *end)
{
	uint32_t depth = 0;

	while (p < end) {
		bool closes = *p == '}' || *p == ']';

		if (*p == '"') {
			p = skip_string(p, end);
		} else if (*p == '{' || *p == '[') {
			depth++;
			p++;
		} else if (!ends_scalar(*p)) {
			while (p < end && !ends_scalar(*p))
				p++;
		} else if (depth == 0) {
			return p;
		} else {
			depth -= closes;
			p++;
			if (!closes)
				continue;
		}
		if (depth == 0)
			return p;
	}
	return end;
}

/* Steps through the items of an array or the members of an object. */
struct walk {
	const uint8_t *p, *end;
	bool object;
	struct tn_slice key;      /* With its quotes. */
	struct tn_slice value;
};

static bool
walk_start(struct walk *w, struct tn_slice s)
{
	if (s.n < 2 || (s.p[0] != '{' && s.p[0] != '['))
		return false;
	*w = (struct walk){ .p = s.p + 1, .end = s.p + s.n - 1,
	    .object = s.p[0] == '{' };
	return true;
}

static bool
walk_next(struct walk *w)
{
	const uint8_t *p = skip_blank(w->p, w->end);
	const uint8_t *after;

	if (p == w->end)
		return false;
	if (w->object) {
		if (*p != '"')
			return false;
		after = skip_string(p, w->end);
		w->key = (struct tn_slice){ p, (size_t)(after - p) };
		p = skip_blank(after, w->end);
	}
	after = skip_value(p, w->end);
	w->value = (struct tn_slice){ p, (size_t)(after - p) };
	w->p = after;
	return after > p;
}

/* ---- strings --------------------------------------------------------- */

static uint32_t
hex4(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t ch = p[i] | 0x20;

		v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' :
		    ch - 'a' + 10);
		v &= 0xffff;
	}
	return v;
}

/* One escape at p (a backslash); writes to *o, returns the bytes taken. */
static size_t
unescape(const uint8_t *p, const uint8_t *end, uint8_t **o)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at;
	uint32_t cp;

	if (end - p < 2)
		return 1;
	if (p[1] != 'u' || end - p < 6) {
		at = p[1] == 0 ? NULL : strchr(from, p[1]);
		*(*o)++ = at == NULL ? p[1] : (uint8_t)to[at - from];
		return 2;
	}
	cp = hex4(p + 2);
	if (cp >= 0xd800 && cp < 0xdc00 && end - p >= 12 && p[6] == '\\' &&
	    p[7] == 'u') {
		cp = 0x10000 + ((cp - 0xd800) << 10) +
		    ((hex4(p + 8) - 0xdc00) & 0x3ff);
		*o += tn_exec_utf8_put(*o, cp);
		return 12;
	}
	*o += tn_exec_utf8_put(*o, cp);
	return 6;
}

struct tn_slice
tn_exec_json_text(struct tn_arena *a, struct tn_slice v)
{
	const uint8_t *p, *end;
	uint8_t *start, *o;

	if (v.n < 2 || v.p[0] != '"')
		return v;
	v.p++;
	v.n -= 2;
	if (v.n == 0 || memchr(v.p, '\\', v.n) == NULL)
		return v;
	start = o = tn_arena_alloc(a, v.n + 4);
	for (p = v.p, end = v.p + v.n; p < end;) {
		if (*p == '\\')
			p += unescape(p, end, &o);
		else
			*o++ = *p++;
	}
	return (struct tn_slice){ start, (size_t)(o - start) };
}

/* Is the JSON string (with quotes) this text? */
static bool
string_is(struct tn_arena *a, struct tn_slice quoted, struct tn_slice text)
{
	return quoted.n >= 2 && quoted.p[0] == '"' &&
	    tn_slice_eq(tn_exec_json_text(a, quoted), text);
}

/* ---- operators ------------------------------------------------------- */

static bool
member(struct tn_arena *a, struct tn_slice s, struct tn_slice key,
    struct tn_slice *v)
{
	struct walk w;

	if (!walk_start(&w, s) || !w.object)
		return false;
	while (walk_next(&w)) {
		if (string_is(a, w.key, key)) {
			*v = w.value;
			return true;
		}
	}
	return false;
}

static int64_t
length(struct tn_slice s)
{
	struct walk w;
	int64_t n = 0;

	if (!walk_start(&w, s) || w.object)
		return -1;
	while (walk_next(&w))
		n++;
	return n;
}

/* A scalar counts as an array of itself, as PostgreSQL stores it. */
static bool
element(struct tn_slice s, int64_t at, struct tn_slice *v)
{
	struct walk w;

	if (s.n > 0 && s.p[0] != '{' && s.p[0] != '[') {
		*v = s;
		return at == 0 || at == -1;
	}
	if (at < 0)
		at += length(s);
	if (at < 0 || !walk_start(&w, s) || w.object)
		return false;
	while (walk_next(&w)) {
		if (at-- == 0) {
			*v = w.value;
			return true;
		}
	}
	return false;
}

static void
row_get(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	bool text = c->fn == TN_FN_JSON_GET_TEXT ||
	    c->fn == TN_FN_JSON_AT_TEXT;
	struct tn_slice v = { NULL, 0 };
	bool found;

	if (c->fn == TN_FN_JSON_GET || c->fn == TN_FN_JSON_GET_TEXT)
		found = member(c->ev->a, s, tn_arg_text(c, 1, row), &v);
	else
		found = element(s, tn_arg_i32(c, 1, row), &v);
	if (!found || (text && tn_slice_is(v, "null"))) {
		tn_exec_drop(c, row);
		return;
	}
	if (text)
		v = tn_exec_json_text(c->ev->a, v);
	tn_exec_put(c, v.p, v.n);
}

static void
row_has(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice key = tn_arg_text(c, 1, row);
	struct tn_arena *a = c->ev->a;
	bool hit = false;
	struct walk w;

	if (!walk_start(&w, s))
		hit = string_is(a, s, key);
	else
		while (!hit && walk_next(&w))
			hit = string_is(a, w.object ? w.key : w.value, key);
	((uint8_t *)c->values)[row] = hit;
}

static void
row_length(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	int64_t n = length(s);

	if (n < 0)
		tn_exec_fail(c, row, "cannot get array length of a %s",
		    s.n > 0 && s.p[0] == '{' ? "non-array" : "scalar");
	else
		((int32_t *)c->values)[row] = (int32_t)n;
}

static void
row_typeof(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	const char *kind = "number";

	switch (s.n > 0 ? s.p[0] : 0) {
	case '{': kind = "object"; break;
	case '[': kind = "array"; break;
	case '"': kind = "string"; break;
	case 't':
	case 'f': kind = "boolean"; break;
	case 'n': kind = "null"; break;
	default: break;
	}
	tn_exec_put(c, kind, strlen(kind));
}

void
tn_exec_k_json(struct tn_call *c, struct tn_vec *out)
{
	tn_row_fn fn = c->fn == TN_FN_JSON_HAS ? row_has :
	    c->fn == TN_FN_JSON_LENGTH ? row_length :
	    c->fn == TN_FN_JSON_TYPEOF ? row_typeof : row_get;

	tn_exec_each(c, out, fn);
}
