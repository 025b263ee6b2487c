/* The small commands: check, sql, cut, recompute, verify, token, health. Each
 * asks a running tarn over HTTP, except check. */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/codec.h"
#include "os/os.h"

int
tn_app_check(const struct tn_app_args *a)
{
	struct tn_sql_pipeline *p = NULL;
	struct tn_app_settings set;
	struct tn_diag d = { .line = 0 };
	struct tn_buf b = { 0 };
	enum tn_status st;

	if (a->word_count != 1) {
		fprintf(stderr, "tarn: check needs one folder\n"
		    "  hint: tarn check config/office\n");
		return TN_EXIT_USAGE;
	}
	st = tn_app_load_dir(a->words[0], &p, &d);
	tn_app_settings_init(&set);
	if (st == TN_OK)
		st = tn_app_settings_apply(&set, p, &d);
	if (st != TN_OK) {
		tn_app_print_diag(&d);
		tn_sql_pipeline_free(p);
		return TN_EXIT_FAILED;
	}
	tn_sql_explain(p, &b);
	if (!a->quiet)
		fputs(tn_buf_cstr(&b), stdout);
	printf("good: %u tables, %u views, %u settings\n",
	    (unsigned)p->table_count, (unsigned)p->view_count,
	    (unsigned)p->setting_count);
	tn_buf_fini(&b);
	tn_sql_pipeline_free(p);
	return TN_EXIT_OK;
}

/* POST or GET and print the body as it is. */
static int
ask(const struct tn_app_args *a, struct tn_app_call *c, const char *path,
    struct tn_app_reply *r)
{
	char *url = tn_app_url(a, path), *token = tn_app_url_token(a);
	int rc;

	c->url = url;
	c->token = token;
	tn_app_ask(a, c, r);
	rc = tn_app_reply_exit(a, r);
	tn_free(url);
	tn_free(token);
	return rc;
}

void
tn_app_print_diag(const struct tn_diag *d)
{
	if (d->file[0] != '\0' && d->line > 0)
		fprintf(stderr, "%s:%u:%u: ", d->file, (unsigned)d->line,
		    (unsigned)d->column);
	else if (d->file[0] != '\0')
		fprintf(stderr, "%s: ", d->file);
	else
		fprintf(stderr, "tarn: ");
	fprintf(stderr, "%s\n", d->message);
	if (d->hint[0] != '\0')
		fprintf(stderr, "  hint: %s\n", d->hint);
}

/* ---- sql ------------------------------------------------------------- */

static void
cell_text(const struct tn_json *v, struct tn_buf *out)
{
	tn_buf_clear(out);
	switch (v->kind) {
	case TN_JSON_NULL:
		break;
	case TN_JSON_TRUE:
		tn_buf_str(out, "true");
		break;
	case TN_JSON_FALSE:
		tn_buf_str(out, "false");
		break;
	case TN_JSON_ARRAY:
	case TN_JSON_OBJECT:
		tn_buf_str(out, "...");
		break;
	default:
		tn_buf_add(out, v->text.p, v->text.n);
		break;
	}
}

/* Columns on a terminal: characters, not bytes. */
static int
width_of(struct tn_slice s)
{
	int n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n;
}

static void
print_cell(struct tn_slice s, int width, bool right, bool last)
{
	int pad = width - width_of(s);

	if (right)
		printf("%*s", pad > 0 ? pad : 0, "");
	fwrite(s.p, 1, s.n, stdout);
	if (!right && !last)
		printf("%*s", pad > 0 ? pad : 0, "");
	fputs(last ? "\n" : " | ", stdout);
}

static int
column_width(const struct tn_json *name, const struct tn_json *rows,
    uint32_t c, struct tn_buf *b)
{
	int width = width_of(name->text);

	for (uint32_t i = 0; i < rows->count; i++) {
		if (c >= rows->items[i].count)
			continue;
		cell_text(&rows->items[i].items[c], b);
		int w = width_of((struct tn_slice){ b->p, b->n });
		width = w > width ? w : width;
	}
	return width;
}

static void
print_table(const struct tn_json *o)
{
	const struct tn_json *names = tn_codec_json_get(o, "columns");
	const struct tn_json *rows = tn_codec_json_get(o, "rows");
	struct tn_buf b = { 0 };
	int *width;

	if (names == NULL || rows == NULL)
		return;
	width = tn_zalloc((names->count + 1) * sizeof *width);
	for (uint32_t c = 0; c < names->count; c++) {
		width[c] = column_width(&names->items[c], rows, c, &b);
		print_cell(names->items[c].text, width[c], false,
		    c + 1 == names->count);
	}
	for (uint32_t c = 0; c < names->count; c++) {
		for (int k = 0; k < width[c]; k++)
			putchar('-');
		fputs(c + 1 == names->count ? "\n" : "-+-", stdout);
	}
	for (uint32_t i = 0; i < rows->count; i++)
		for (uint32_t c = 0; c < names->count &&
		    c < rows->items[i].count; c++) {
			const struct tn_json *v = &rows->items[i].items[c];
			cell_text(v, &b);
			print_cell((struct tn_slice){ b.p, b.n }, width[c],
			    v->kind == TN_JSON_NUMBER,
			    c + 1 == names->count);
		}
	printf("(%u row%s)\n", (unsigned)rows->count,
	    rows->count == 1 ? "" : "s");
	tn_buf_fini(&b);
	tn_free(width);
}

/* To a file that is whole or not there. */
static int
write_output(const char *path, const struct tn_buf *body)
{
	struct tn_buf full = { 0 };
	enum tn_status st;

	if (strchr(path, '/') == NULL)
		tn_buf_str(&full, "./");
	tn_buf_str(&full, path);
	st = tn_os_write_file(tn_buf_cstr(&full), body->p, body->n, 0640);
	tn_buf_fini(&full);
	if (st == TN_OK)
		return TN_EXIT_OK;
	fprintf(stderr, "tarn: cannot write %s: %s\n", path,
	    tn_status_text(st));
	return TN_EXIT_FAILED;
}

/* -o json is --format json; other words are files. */
static bool
is_format(const char *word)
{
	static const char *const names[] = { "table", "csv", "json",
	    "ndjson", "parquet" };

	for (size_t i = 0; word != NULL && i < TN_COUNT(names); i++)
		if (strcmp(word, names[i]) == 0)
			return true;
	return false;
}

static const char *
choose_format(const struct tn_app_args *a)
{
	if (a->json)
		return "json";
	if (is_format(a->output))
		return a->output;
	if (a->format != NULL)
		return a->format;
	return isatty(1) == 1 && a->output == NULL ? "table" : "csv";
}

int
tn_app_sql(const struct tn_app_args *a)
{
	const char *format = choose_format(a);
	const char *output = is_format(a->output) ? NULL : a->output;
	struct tn_app_call c = { .method = "POST", .type = "application/sql",
	    .accept = strcmp(format, "csv") == 0 ? "text/csv" :
	    strcmp(format, "ndjson") == 0 ? "application/x-ndjson" :
	    "application/json" };
	struct tn_arena *arena;
	struct tn_app_reply r;
	struct tn_json *o = NULL;
	int rc;

	if (a->word_count != 1) {
		fprintf(stderr, "tarn: sql needs one text in quotes\n"
		    "  hint: tarn sql 'SELECT count(*) FROM badge'\n");
		return TN_EXIT_USAGE;
	}
	if (strcmp(format, "parquet") == 0 || !is_format(format)) {
		fprintf(stderr, "tarn: sql prints table, csv, json or ndjson\n"
		    "  hint: %s\n", is_format(format) ?
		    "COPY (SELECT ...) TO 'x.parquet' writes Parquet on the "
		    "server" : "--format csv; into a file: -o FILE");
		return TN_EXIT_USAGE;
	}
	c.body = tn_slice_of(a->words[0]);
	rc = ask(a, &c, "/api/v1/sql", &r);
	arena = tn_arena_new(65536);
	if (rc == TN_EXIT_OK && output != NULL)
		rc = write_output(output, &r.body);
	else if (rc == TN_EXIT_OK && strcmp(format, "table") == 0 &&
	    tn_codec_json_parse(arena, (struct tn_slice){ r.body.p,
	    r.body.n }, &o, NULL) == TN_OK)
		print_table(o);
	else if (rc == TN_EXIT_OK)
		fwrite(r.body.p, 1, r.body.n, stdout);
	if (rc == TN_EXIT_OK && strcmp(format, "json") == 0 &&
	    output == NULL)
		putchar('\n');
	tn_arena_free(arena);
	tn_buf_fini(&r.body);
	return rc;
}

/* ---- batch ----------------------------------------------------------- */

static void
print_text(const struct tn_json *o)
{
	const struct tn_json *t = tn_codec_json_get(o, "text");

	if (t != NULL && t->kind == TN_JSON_STRING)
		fwrite(t->text.p, 1, t->text.n, stdout);
}

/* What verify says of time buckets, where the words say nothing of it: all, for
 * another program; runs of equal ones as one, for a person. A program that reads
 * JSON asks for what it wants. */
static const char *
choose_details(const struct tn_app_args *a)
{
	if (strcmp(a->command, "verify") != 0 || a->json)
		return NULL;
	for (uint32_t i = 0; i < a->word_count + a->option_count; i++)
		if (strncmp(i < a->word_count ? a->words[i] :
		    a->options[i - a->word_count], "details=", 8) == 0)
			return NULL;
	return isatty(1) == 1 ? "folded" : "true";
}

int
tn_app_batch(const struct tn_app_args *a)
{
	struct tn_app_call c = { .method = "POST" };
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_buf path = { 0 };
	struct tn_app_reply r;
	struct tn_json *o = NULL;
	const struct tn_json *equal;
	const char *details = choose_details(a);
	bool cut = strcmp(a->command, "cut") == 0;
	int rc;

	tn_buf_printf(&path, "/api/v1/%s", cut ? "batch/run" : a->command);
	for (uint32_t i = 0; !cut && i < a->word_count + a->option_count;
	    i++) {
		const char *word = i < a->word_count ? a->words[i] :
		    a->options[i - a->word_count];
		size_t name = strcspn(word, "=");
		bool view = i == 0 && word[name] == '\0';
		tn_buf_printf(&path, "%c%.*s=", i == 0 ? '?' : '&',
		    view ? 4 : (int)name, view ? "view" : word);
		if (view)
			tn_app_escape(&path, word);
		else if (word[name] == '=')
			tn_app_escape(&path, word + name + 1);
	}
	if (details != NULL)
		tn_buf_printf(&path, "%cdetails=%s", a->word_count +
		    a->option_count == 0 ? '?' : '&', details);
	rc = ask(a, &c, tn_buf_cstr(&path), &r);
	if (rc == TN_EXIT_OK && tn_codec_json_parse(arena,
	    (struct tn_slice){ r.body.p, r.body.n }, &o, NULL) == TN_OK) {
		print_text(o);
		if (a->json || cut)
			printf("%.*s\n", (int)r.body.n, r.body.p);
		equal = tn_codec_json_get(o, "equal");
		if (equal != NULL && equal->kind == TN_JSON_FALSE)
			rc = TN_EXIT_FAILED;
	}
	tn_arena_free(arena);
	tn_buf_fini(&path);
	tn_buf_fini(&r.body);
	return rc;
}

/* ---- tokens ---------------------------------------------------------- */

static int
token_usage(void)
{
	fprintf(stderr, "tarn: token create NAME [admin|ingest|read] | list | "
	    "revoke ID\n");
	return TN_EXIT_USAGE;
}

int
tn_app_token(const struct tn_app_args *a)
{
	const char *verb = a->word_count > 0 ? a->words[0] : "";
	struct tn_app_call c = { .method = "GET" };
	struct tn_buf path = { 0 }, body = { 0 };
	struct tn_app_reply r;
	int rc;

	tn_buf_str(&path, "/api/v1/tokens");
	if (strcmp(verb, "create") == 0 && a->word_count >= 2) {
		c.method = "POST";
		c.type = "application/json";
		tn_buf_str(&body, "{\"name\":\"");
		tn_buf_json(&body, a->words[1], strlen(a->words[1]));
		tn_buf_printf(&body, "\",\"scope\":\"%.20s\"}",
		    a->word_count > 2 ? a->words[2] : "ingest");
		c.body = (struct tn_slice){ body.p, body.n };
	} else if (strcmp(verb, "revoke") == 0 && a->word_count == 2) {
		c.method = "DELETE";
		tn_buf_char(&path, '/');
		tn_app_escape(&path, a->words[1]);
	} else if (strcmp(verb, "list") != 0) {
		return token_usage();
	}
	rc = ask(a, &c, tn_buf_cstr(&path), &r);
	if (rc == TN_EXIT_OK && r.body.n > 0)
		printf("%.*s\n", (int)r.body.n, r.body.p);
	tn_buf_fini(&path);
	tn_buf_fini(&body);
	tn_buf_fini(&r.body);
	return rc;
}

int
tn_app_health(const struct tn_app_args *a)
{
	struct tn_app_args here = *a;
	struct tn_app_call c = { .method = "GET" };
	struct tn_app_reply r;
	const char *listen = a->http, *port;
	char url[64];
	int rc;

	/* In a container TARN_HTTP says where to look. */
	if (here.url == NULL && listen != NULL) {
		port = strrchr(listen, ':');
		snprintf(url, sizeof url, "http://127.0.0.1:%s",
		    port != NULL ? port + 1 : "8420");
		here.url = url;
	}
	rc = ask(&here, &c, "/readyz", &r);
	if (!a->quiet && rc == TN_EXIT_OK)
		puts("ready");
	tn_buf_fini(&r.body);
	return rc;
}
