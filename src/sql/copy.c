/* COPY: rows to a file, a file into a stream.
 *
 *   COPY (SELECT ...) TO '/path/x.parquet' WITH (FORMAT parquet)
 *   COPY badge TO 'badge.ndjson'
 *   COPY badge FROM '/path/x.csv' (FORMAT csv, DELIMITER ';')
 *   COPY badge (ts, office) FROM 'x.csv' (HEADER false)
 *
 * Here a text becomes a plan, a path and options; app reads and writes the
 * file. The options of FROM are those of tarn load, checked when it begins;
 * TO has FORMAT and HEADER. The format is said or shown by the path's ending.
 * STDIN, STDOUT, PROGRAM and WHERE are refused. */
#include "sql/sql_int.h"

#include <string.h>

static const char *const format_names[] = { "", "csv", "json", "ndjson",
    "parquet" };

bool
tn_sql_is_copy(struct tn_slice text)
{
	return tn_sql_text_begins(text, "copy");
}

/* ---- options ----------------------------------------------------------- */

static bool
read_option(struct tn_sql_bind *b, const struct tn_json *node,
    struct tn_sql_opt *o)
{
	const struct tn_json *body = tn_sql_body(node, "DefElem");
	const struct tn_json *arg = tn_codec_json_get(body, "arg"), *inner;

	/* HEADER alone is HEADER true. */
	if (arg != NULL && !tn_slice_is(tn_sql_kind(arg, &inner), "Boolean"))
		return tn_sql_opt_read(b, node, o);
	o->name = tn_sql_str(body, "defname");
	o->at = tn_sql_at(node, b->here);
	o->value = tn_slice_of(arg == NULL || tn_sql_bool(inner, "boolval") ?
	    "true" : "false");
	return true;
}

static bool
set_format(struct tn_sql_bind *b, struct tn_sql_copy *out,
    const struct tn_sql_opt *o)
{
	for (int i = TN_SQL_COPY_CSV; i <= TN_SQL_COPY_PARQUET; i++)
		if (o->value.n == strlen(format_names[i]) &&
		    strncasecmp((const char *)o->value.p, format_names[i],
		    o->value.n) == 0) {
			out->format = (enum tn_sql_copy_format)i;
			return true;
		}
	(void)tn_sql_fail(b, o->at, "unsupported",
	    "FORMAT is csv, json, ndjson or parquet.",
	    "there is no format \"%.*s\"", (int)o->value.n,
	    (const char *)o->value.p);
	return false;
}

static bool
is_true(struct tn_slice v)
{
	return tn_slice_is(v, "true") || tn_slice_is(v, "on") ||
	    tn_slice_is(v, "1");
}

static bool
take_option(struct tn_sql_bind *b, struct tn_sql_copy *out,
    const struct tn_json *node)
{
	struct tn_sql_opt o = { .at = b->here };
	bool header;

	if (!read_option(b, node, &o))
		return false;
	if (tn_slice_is(o.name, "format") && !set_format(b, out, &o))
		return false;
	header = tn_slice_is(o.name, "header");
	if (header) {
		o.value = tn_slice_of(is_true(o.value) ? "true" : "false");
		out->no_header = !is_true(o.value);
	}
	if (!out->from && !header && !tn_slice_is(o.name, "format")) {
		(void)tn_sql_fail(b, o.at, "unsupported",
		    "COPY ... TO takes FORMAT and HEADER.",
		    "option \"%.*s\" is not supported", (int)o.name.n,
		    (const char *)o.name.p);
		return false;
	}
	if (out->option_count == TN_SQL_COPY_OPTIONS) {
		(void)tn_sql_fail(b, o.at, "too_many_options", NULL,
		    "more than %d options", TN_SQL_COPY_OPTIONS);
		return false;
	}
	out->options[out->option_count++] = (struct tn_sql_option){
	    tn_arena_strndup(b->a, (const char *)o.name.p, o.name.n),
	    tn_arena_strndup(b->a, (const char *)o.value.p, o.value.n) };
	return true;
}

/* ---- what to copy ------------------------------------------------------- */

static struct tn_sql_copy *
not_done(struct tn_sql_bind *b, const char *what, const char *hint)
{
	return tn_sql_fail(b, b->here, "unsupported", hint,
	    "COPY %s is not supported", what);
}

/* (a, b) behind the table: columns= of the load, or those of the SELECT. */
static const char *
column_list(struct tn_sql_bind *b, const struct tn_json *body)
{
	const struct tn_json *names;
	uint32_t n = tn_sql_list(body, "attlist", &names);
	struct tn_buf out = { 0 };
	const char *s = NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct tn_slice v = tn_sql_string(&names[i]);
		if (i > 0)
			tn_buf_char(&out, ',');
		tn_buf_char(&out, '"');
		for (size_t k = 0; k < v.n; k++) {
			if (v.p[k] == '"')
				tn_buf_char(&out, '"');
			tn_buf_char(&out, (char)v.p[k]);
		}
		tn_buf_char(&out, '"');
	}
	if (n > 0)
		s = tn_arena_strndup(b->a, (const char *)out.p, out.n);
	tn_buf_fini(&out);
	return s;
}

/* COPY relation TO is COPY (SELECT * FROM relation) TO. */
static bool
select_relation(struct tn_sql_bind *b, struct tn_slice name,
    const struct tn_json *body, struct tn_sql_copy *out)
{
	const char *columns = column_list(b, body);
	const char *text = tn_arena_printf(b->a, "SELECT %s FROM \"%.*s\"",
	    columns != NULL ? columns : "*", (int)name.n,
	    (const char *)name.p);

	if (memchr(name.p, '"', name.n) != NULL)
		return not_done(b, "of a name with quotes",
		    "Write COPY (SELECT * FROM ...) TO.") != NULL;
	b->st = tn_sql_query(b->pipe, tn_slice_of(text), b->a, &out->select,
	    b->d);
	b->d->line = b->d->column = 0;
	return b->st == TN_OK;
}

static bool
take_target(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_copy *out)
{
	const struct tn_json *query = tn_sql_body(tn_codec_json_get(body,
	    "query"), "SelectStmt");
	struct tn_slice name = tn_sql_str(tn_codec_json_get(body, "relation"),
	    "relname");
	const struct tn_sql_table *t;
	const char *columns;

	if (query != NULL) {
		out->select = tn_sql_select_bind(b, query, b->here);
		return out->select != NULL;
	}
	if (name.n == 0)
		return not_done(b, "of this statement",
		    "Write COPY (SELECT ...) TO.") != NULL;
	if (!out->from)
		return select_relation(b, name, body, out);
	t = tn_sql_table(b->pipe, name);
	if (t == NULL) {
		(void)tn_sql_fail(b, b->here, "unknown_table",
		    "COPY ... FROM goes into a stream or reference table.",
		    "there is no stream \"%.*s\"", (int)name.n,
		    (const char *)name.p);
		return false;
	}
	out->table = t->name;
	columns = column_list(b, body);
	if (columns != NULL)
		out->options[out->option_count++] = (struct tn_sql_option){
		    "columns", columns };
	return true;
}

static bool
ends_with(const char *s, size_t n, const char *ending)
{
	size_t m = strlen(ending);

	return n >= m && strncasecmp(s + n - m, ending, m) == 0;
}

/* Of TO, where nobody said; FROM looks into the file. */
static bool
find_format(struct tn_sql_bind *b, struct tn_sql_copy *out)
{
	size_t n = strlen(out->path);

	if (ends_with(out->path, n, ".gz") || ends_with(out->path, n, ".zst"))
		return not_done(b, "TO a compressed file",
		    "Leave .gz or .zst out; Parquet is compressed.") != NULL;
	if (out->format != TN_SQL_COPY_ANY)
		return true;
	if (ends_with(out->path, n, ".parquet"))
		out->format = TN_SQL_COPY_PARQUET;
	else if (ends_with(out->path, n, ".csv"))
		out->format = TN_SQL_COPY_CSV;
	else if (ends_with(out->path, n, ".ndjson") ||
	    ends_with(out->path, n, ".jsonl"))
		out->format = TN_SQL_COPY_NDJSON;
	else
		return not_done(b, "TO a file of unknown format",
		    "Write WITH (FORMAT parquet), csv or ndjson.") != NULL;
	return true;
}

static bool
bind_copy(struct tn_sql_bind *b, const struct tn_json *body,
    struct tn_sql_copy *out)
{
	struct tn_slice path = tn_sql_str(body, "filename");
	const struct tn_json *options;
	uint32_t n = tn_sql_list(body, "options", &options);

	out->from = tn_sql_bool(body, "is_from");
	if (tn_sql_bool(body, "is_program"))
		return not_done(b, "with PROGRAM", "Name a file.") != NULL;
	if (path.n == 0)
		return not_done(b, out->from ? "FROM STDIN" : "TO STDOUT",
		    "Name a file; POST /api/v1/streams/STREAM takes a body, "
		    "tarn sql --format csv gives one.") != NULL;
	if (tn_codec_json_get(body, "whereClause") != NULL)
		return not_done(b, "with WHERE",
		    "A CHECK of the stream sorts rows out.") != NULL;
	out->path = tn_arena_strndup(b->a, (const char *)path.p, path.n);
	for (uint32_t i = 0; i < n; i++)
		if (!take_option(b, out, &options[i]))
			return false;
	if (!out->from && out->format == TN_SQL_COPY_JSON)
		return not_done(b, "TO json", "Write FORMAT ndjson.") != NULL;
	if (!out->from && !find_format(b, out))
		return false;
	return take_target(b, body, out);
}

enum tn_status
tn_sql_copy_parse(const struct tn_sql_pipeline *p, struct tn_slice text,
    struct tn_arena *a, const struct tn_sql_copy **out, struct tn_diag *d)
{
	struct tn_sql_copy *copy = tn_arena_zalloc(a, sizeof *copy);
	struct tn_sql_bind *b = tn_arena_zalloc(a, sizeof *b);
	const struct tn_json *body;

	*out = NULL;
	*b = (struct tn_sql_bind){ .a = a, .d = d, .pipe = p,
	    .mode = TN_SQL_IN_QUERY };
	body = tn_sql_statement(b, text, "CopyStmt", "COPY");
	if (body != NULL && bind_copy(b, body, copy))
		*out = copy;
	return b->st;
}
