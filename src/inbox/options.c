/* options: how a dropped file is to be read, written as JSON by a person:
 *
 *   {"format":"csv","delimiter":";","header":false,"null":"n/a",
 *    "columns":["ts","room"],"time_format":"%d.%m.%Y %H:%M",
 *    "time_zone":"+01:00","rename":{"room":"Raum"},
 *    "constant":{"office":"berlin"}}
 *
 * Each member becomes what the query parameter of that name would be; rename
 * and constant are objects whose members become one each ("to:from",
 * "column:text"). */
#include "inbox/inbox_int.h"

#include <string.h>

static enum tn_status
bad(struct tn_diag *d, struct tn_slice name, const char *why)
{
	tn_diag_hint(d, "load options are format, delimiter, header, null, "
	    "columns, time_format, time_zone, rename and constant");
	return tn_diag_set(d, TN_EINVAL, "bad_load_option",
	    "option \"%.*s\" %s", (int)(name.n > 60 ? 60 : name.n),
	    (const char *)name.p, why);
}

static struct tn_slice
kept(struct tn_arena *a, struct tn_buf *b)
{
	uint8_t *p = tn_arena_alloc(a, b->n + 1);
	struct tn_slice s = { p, b->n };

	/* A text of JSON may have a NUL in it. */
	if (b->n > 0)
		memcpy(p, b->p, b->n);
	p[b->n] = '\0';
	tn_buf_fini(b);
	return s;
}

static enum tn_status
add(struct tn_inbox_options *out, struct tn_slice name,
    struct tn_slice value, struct tn_arena *a, struct tn_diag *d)
{
	if (out->count == TN_INBOX_OPTIONS_MAX)
		return bad(d, name, "is one too many");
	out->items[out->count++] = (struct tn_inbox_option){
	    tn_arena_strndup(a, (const char *)name.p, name.n), value };
	return TN_OK;
}

/* "true", a number or a string as the text it is. */
static bool
scalar(const struct tn_json *v, struct tn_slice *out)
{
	switch (v->kind) {
	case TN_JSON_TRUE:
		*out = tn_slice_of("true");
		return true;
	case TN_JSON_FALSE:
		*out = tn_slice_of("false");
		return true;
	case TN_JSON_NUMBER:
	case TN_JSON_STRING:
		*out = v->text;
		return true;
	default:
		return false;
	}
}

/* {"to":"from"} as "to:from", one option each. */
static enum tn_status
add_pairs(struct tn_inbox_options *out, struct tn_slice name,
    const struct tn_json *v, struct tn_arena *a, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < v->count; i++) {
		struct tn_buf b = { 0 };
		struct tn_slice text;
		if (!scalar(&v->items[i], &text))
			return bad(d, name, "has a member that is no text");
		tn_buf_add(&b, v->keys[i].p, v->keys[i].n);
		tn_buf_char(&b, ':');
		tn_buf_add(&b, text.p, text.n);
		st = add(out, name, kept(a, &b), a, d);
	}
	return st;
}

/* ["a","b"] as a CSV line. */
static enum tn_status
add_list(struct tn_inbox_options *out, struct tn_slice name,
    const struct tn_json *v, struct tn_arena *a, struct tn_diag *d)
{
	struct tn_buf b = { 0 };
	struct tn_slice text;

	for (uint32_t i = 0; i < v->count; i++) {
		if (!scalar(&v->items[i], &text)) {
			tn_buf_fini(&b);
			return bad(d, name, "has an element that is no text");
		}
		if (i > 0)
			tn_buf_char(&b, ',');
		tn_codec_csv_field(&b, text);
	}
	return add(out, name, kept(a, &b), a, d);
}

enum tn_status
tn_inbox_options_parse(struct tn_inbox_options *out, struct tn_slice json,
    struct tn_arena *a, struct tn_diag *d)
{
	struct tn_json *o = NULL;
	struct tn_slice text;
	enum tn_status st = tn_codec_json_parse(a, json, &o, d);

	if (st != TN_OK)
		return st;
	if (o->kind != TN_JSON_OBJECT)
		return tn_diag_set(d, TN_EINVAL, "bad_load_option",
		    "the options are not a JSON object");
	for (uint32_t i = 0; st == TN_OK && i < o->count; i++) {
		const struct tn_json *v = &o->items[i];
		bool pairs = tn_slice_is(o->keys[i], "rename") ||
		    tn_slice_is(o->keys[i], "constant");
		if (pairs && v->kind == TN_JSON_OBJECT)
			st = add_pairs(out, o->keys[i], v, a, d);
		else if (tn_slice_is(o->keys[i], "columns") &&
		    v->kind == TN_JSON_ARRAY)
			st = add_list(out, o->keys[i], v, a, d);
		else if (scalar(v, &text))
			st = add(out, o->keys[i], text, a, d);
		else
			st = bad(d, o->keys[i], "has no value that it takes");
	}
	return st;
}

/* ---- to a spec -------------------------------------------------------- */

/* What only texts have; a Parquet file has names, nulls and times itself. */
static bool
is_of_csv(const char *name)
{
	static const char *const csv[] = { "delimiter", "header", "null",
	    "columns" };

	for (size_t i = 0; i < TN_COUNT(csv); i++)
		if (strcmp(name, csv[i]) == 0)
			return true;
	return false;
}

static enum tn_status
set_one(const struct tn_inbox_format *f, const struct tn_inbox_option *o,
    struct tn_codec_spec *spec, struct tn_diag *d)
{
	struct tn_slice name = tn_slice_of(o->name);
	enum tn_status st;

	if (strcmp(o->name, "format") == 0)
		return TN_OK;
	if (is_of_csv(o->name) && f->kind != TN_INBOX_CSV)
		return bad(d, name, "is for CSV files only");
	if (strcmp(o->name, "time_format") == 0 &&
	    f->kind == TN_INBOX_PARQUET)
		return bad(d, name, "is for texts, a Parquet file has times");
	st = tn_codec_spec_set(spec, name, o->value, d);
	return st == TN_ENOTFOUND ? bad(d, name, "is not known") : st;
}

enum tn_status
tn_inbox_spec(const struct tn_inbox_format *f,
    const struct tn_inbox_options *o, struct tn_codec_spec **out,
    struct tn_diag *d)
{
	struct tn_codec_spec *s = tn_zalloc(sizeof *s);
	enum tn_status st = TN_OK;

	tn_codec_spec_init(s, f->kind == TN_INBOX_CSV ? TN_CODEC_CSV :
	    f->kind == TN_INBOX_JSON ? TN_CODEC_JSON : TN_CODEC_NDJSON);
	if (f->tab)
		s->delimiter = '\t';
	for (uint32_t i = 0; st == TN_OK && i < o->count; i++)
		st = set_one(f, &o->items[i], s, d);
	if (st == TN_OK) {
		*out = s;
		return TN_OK;
	}
	tn_codec_spec_fini(s);
	tn_free(s);
	return st;
}
