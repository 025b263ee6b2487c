/* tarn load: files into a stream through the HTTP door, streamed, with a
 * progress bar when a person looks on. A Parquet file is read here and sent as
 * NDJSON, piece by piece, as the drop folder does it. */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/codec.h"
#include "inbox/inbox.h"
#include "os/os.h"

#define ERRORS_SHOWN 10
#define BAR_WIDTH 24

struct source {
	FILE *file;
	struct tn_inbox_source *parquet; /* Instead of file. */
	struct tn_buf piece;             /* Of it, sent up to here: */
	size_t piece_at;
	enum tn_status failed;
	struct tn_diag diag;
	const char *name;
	uint64_t bytes;          /* Of the whole file; 0 unknown. */
	uint64_t sent;
	int64_t begun_us;
	int64_t shown_us;
	bool bar;
};
struct total {
	int64_t accepted, quarantined, duplicates;
};

static void
draw_bar(struct source *s, bool last)
{
	int64_t now = tn_os_mono_us();
	double part = s->parquet != NULL ? tn_inbox_source_part(s->parquet) :
	    s->bytes > 0 ? (double)s->sent / (double)s->bytes : 0;
	double seconds = (double)(now - s->begun_us) / 1e6 + 1e-9;
	char bar[BAR_WIDTH + 1];

	if (!s->bar || (!last && now - s->shown_us < 100000))
		return;
	s->shown_us = now;
	for (int i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < (int)(part * BAR_WIDTH + 0.5) ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r%-28.28s [%s] %3.0f %%  %7.1f MB  %6.1f MB/s%s",
	    s->name, bar, part * 100, (double)s->sent / 1e6,
	    (double)s->sent / 1e6 / seconds, last ? "\n" : "");
	fflush(stderr);
}

static size_t
read_source(void *arg, void *p, size_t n)
{
	struct source *s = arg;
	size_t got = fread(p, 1, n, s->file);

	if (got == 0 && ferror(s->file))
		return SIZE_MAX;        /* Half a file is not a file. */
	s->sent += got;
	draw_bar(s, false);
	return got;
}

/* Rows of a Parquet file as NDJSON. */
static size_t
read_parquet(void *arg, void *p, size_t n)
{
	struct source *s = arg;
	size_t left;

	if (s->piece_at == s->piece.n) {
		tn_buf_clear(&s->piece);
		s->piece_at = 0;
		s->failed = tn_inbox_source_read(s->parquet, &s->piece,
		    &s->diag);
		if (s->failed == TN_END)
			s->failed = TN_OK;
		if (s->failed != TN_OK)
			return SIZE_MAX;
	}
	left = s->piece.n - s->piece_at;
	n = left < n ? left : n;
	memcpy(p, s->piece.p + s->piece_at, n);
	s->piece_at += n;
	s->sent += n;
	draw_bar(s, false);
	return n;
}

static bool
ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n >= m && strcmp(name + n - m, ending) == 0;
}

static const char *
coding_of(const char *name)
{
	return ends_with(name, ".gz") ? "gzip" :
	    ends_with(name, ".zst") ? "zstd" : NULL;
}

static const char *
type_of(const char *name)
{
	char base[512];

	snprintf(base, sizeof base, "%s", name);
	if (coding_of(base) != NULL)
		*strrchr(base, '.') = '\0';
	if (ends_with(base, ".csv") || ends_with(base, ".tsv"))
		return "text/csv";
	if (ends_with(base, ".ndjson") || ends_with(base, ".jsonl"))
		return "application/x-ndjson";
	if (ends_with(base, ".json"))
		return "application/json";
	return "application/octet-stream";
}

static char *
load_url(const struct tn_app_args *a)
{
	struct tn_buf path = { 0 };
	char *url, option[64];

	tn_buf_str(&path, "/api/v1/streams/");
	tn_app_escape(&path, a->words[0]);
	for (uint32_t i = 0; i < a->option_count; i++) {
		const char *eq = strchr(a->options[i], '=');
		snprintf(option, sizeof option, "%.*s",
		    (int)(eq - a->options[i]), a->options[i]);
		tn_buf_char(&path, i == 0 ? '?' : '&');
		tn_app_escape(&path, option);
		tn_buf_char(&path, '=');
		tn_app_escape(&path, eq + 1);
	}
	url = tn_app_url(a, tn_buf_cstr(&path));
	tn_buf_fini(&path);
	return url;
}

static void
show_errors(const char *file, const struct tn_json *o)
{
	const struct tn_json *list = tn_codec_json_get(o, "errors");

	for (uint32_t i = 0; list != NULL && i < list->count &&
	    i < ERRORS_SHOWN; i++) {
		const struct tn_json *e = &list->items[i];
		const struct tn_json *m = tn_codec_json_get(e, "message");
		const struct tn_json *c = tn_codec_json_get(e, "column");
		fprintf(stderr, "%s:%lld: %.*s%s%.*s\n", file,
		    (long long)tn_codec_json_i64(e, "line", 0),
		    c != NULL ? (int)c->text.n : 0,
		    c != NULL ? (const char *)c->text.p : "",
		    c != NULL && c->text.n > 0 ? ": " : "",
		    m != NULL ? (int)m->text.n : 0,
		    m != NULL ? (const char *)m->text.p : "");
	}
}

static int
take_answer(const struct tn_app_args *a, const char *name,
    const struct tn_app_reply *r, struct total *t)
{
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_json *o = NULL;
	int rc = tn_app_reply_exit(a, r);

	if (rc == TN_EXIT_OK && tn_codec_json_parse(arena,
	    (struct tn_slice){ r->body.p, r->body.n }, &o, NULL) == TN_OK) {
		t->accepted += tn_codec_json_i64(o, "accepted", 0);
		t->quarantined += tn_codec_json_i64(o, "quarantined", 0);
		t->duplicates += tn_codec_json_i64(o, "duplicates", 0);
		if (!a->quiet)
			show_errors(name, o);
	}
	tn_arena_free(arena);
	return rc;
}

static bool
is_parquet(const char *name)
{
	char magic[4] = "";
	FILE *f = strcmp(name, "-") == 0 ? NULL : fopen(name, "rb");
	bool yes = f != NULL && fread(magic, 1, 4, f) == 4 &&
	    memcmp(magic, "PAR1", 4) == 0;

	if (f != NULL)
		fclose(f);
	return yes || ends_with(name, ".parquet") ||
	    ends_with(name, ".parquet.gz") || ends_with(name, ".parquet.zst");
}

/* Only what a file with names and types can have. */
static enum tn_status
make_spec(const struct tn_app_args *a, const struct tn_inbox_format *f,
    struct tn_codec_spec **spec, struct tn_diag *d)
{
	struct tn_inbox_options o = { .count = 0 };
	char names[TN_COUNT(a->options)][64];

	for (uint32_t i = 0; i < a->option_count; i++) {
		const char *eq = strchr(a->options[i], '=');
		snprintf(names[i], sizeof names[i], "%.*s",
		    (int)(eq - a->options[i]), a->options[i]);
		o.items[o.count++] = (struct tn_inbox_option){ names[i],
		    tn_slice_of(eq + 1) };
	}
	return tn_inbox_spec(f, &o, spec, d);
}

/* The stream's columns as the server tells them: their names, and which are
 * jsonb. False: it does not tell, or has no such stream. */
static bool
ask_columns(const struct tn_app_args *a, const char *token,
    struct tn_arena *arena, struct tn_schema *out)
{
	char *url = tn_app_url(a, "/api/v1/streams");
	struct tn_app_call call = { .method = "GET", .url = url,
	    .token = token };
	struct tn_app_reply r = { .status = 0 };
	const struct tn_json *list, *columns = NULL;
	struct tn_json *o = NULL;
	struct tn_field *fields;

	tn_app_ask(a, &call, &r);
	if (r.status == 200)
		(void)!tn_codec_json_parse(arena, (struct tn_slice){ r.body.p,
		    r.body.n }, &o, NULL);
	list = tn_codec_json_get(o, "streams");
	for (uint32_t i = 0; list != NULL && i < list->count; i++) {
		const struct tn_json *name = tn_codec_json_get(
		    &list->items[i], "name");
		if (name != NULL && tn_slice_is(name->text, a->words[0]))
			columns = tn_codec_json_get(&list->items[i],
			    "columns");
	}
	out->count = columns != NULL ? columns->count : 0;
	out->fields = fields = tn_arena_zalloc(arena, (out->count + 1) *
	    sizeof *fields);
	for (uint32_t i = 0; i < out->count; i++) {
		const struct tn_json *name = tn_codec_json_get(
		    &columns->items[i], "name");
		const struct tn_json *type = tn_codec_json_get(
		    &columns->items[i], "type");
		fields[i].name = name == NULL ? "" : tn_arena_strndup(arena,
		    (const char *)name->text.p, name->text.n);
		fields[i].type = tn_record_type(type != NULL && tn_slice_is(
		    type->text, "jsonb") ? TN_T_JSONB : TN_T_TEXT);
	}
	tn_buf_fini(&r.body);
	tn_free(url);
	return out->count > 0;
}

/* What of the file fills which column: as COPY does it. */
static enum tn_status
fit_columns(const struct tn_app_args *a, const char *token, struct source *s)
{
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_codec_spec *spec = NULL;
	struct tn_schema schema = { .count = 0 };
	enum tn_status st = make_spec(a, tn_inbox_source_format(s->parquet),
	    &spec, &s->diag);

	if (st == TN_OK && ask_columns(a, token, arena, &schema))
		st = tn_inbox_source_for(s->parquet, spec, a->words[0],
		    &schema, &s->diag);
	else if (st == TN_OK && tn_inbox_source_has_json(s->parquet))
		fprintf(stderr, "tarn: %s: its JSON is sent as texts, as the "
		    "server does not say which columns are jsonb\n", s->name);
	if (spec != NULL)
		tn_codec_spec_fini(spec);
	tn_free(spec);
	tn_arena_free(arena);
	return st;
}

static int
load_parquet(const struct tn_app_args *a, const char *name, const char *url,
    const char *token, struct total *t)
{
	static const struct tn_inbox_options none = { .count = 0 };
	const char *tmp = getenv("TMPDIR");
	struct source s = { .name = name, .begun_us = tn_os_mono_us(),
	    .bar = isatty(2) == 1 && !a->quiet };
	struct tn_app_call call = { .method = "POST", .url = url,
	    .type = "application/x-ndjson", .token = token,
	    .read = read_parquet, .arg = &s };
	const struct tn_inbox_work work = { .folder = tmp != NULL ? tmp :
	    "/tmp" };
	struct tn_app_reply reply = { .status = 0 };
	int rc = TN_EXIT_FAILED;

	s.failed = tn_inbox_source_open(&s.parquet, name, name, &none, &work,
	    &s.diag);
	if (s.failed == TN_OK)
		s.failed = fit_columns(a, token, &s);
	if (s.failed == TN_OK) {
		tn_app_ask(a, &call, &reply);
		draw_bar(&s, true);
	}
	if (s.failed == TN_OK) {
		rc = take_answer(a, name, &reply, t);
	} else {
		fprintf(stderr, "tarn: %s: %s\n", name, s.diag.message);
		if (s.diag.hint[0] != '\0')
			fprintf(stderr, "  hint: %s\n", s.diag.hint);
	}
	tn_buf_fini(&reply.body);
	tn_buf_fini(&s.piece);
	tn_inbox_source_close(s.parquet);
	return rc;
}

static int
load_file(const struct tn_app_args *a, const char *name, const char *url,
    const char *token, struct total *t)
{
	struct source s = { .name = name, .begun_us = tn_os_mono_us(),
	    .bar = isatty(2) == 1 && !a->quiet };
	struct tn_app_call call = { .method = "POST", .url = url,
	    .type = type_of(name), .coding = coding_of(name),
	    .token = token, .read = read_source, .arg = &s };
	struct tn_app_reply reply;
	struct stat info;
	int rc;

	s.file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
	if (s.file == NULL) {
		fprintf(stderr, "tarn: cannot open %s\n", name);
		return TN_EXIT_USAGE;
	}
	if (fstat(fileno(s.file), &info) == 0 && S_ISREG(info.st_mode))
		s.bytes = (uint64_t)info.st_size;
	tn_app_ask(a, &call, &reply);
	draw_bar(&s, true);
	if (ferror(s.file)) {
		fprintf(stderr, "tarn: cannot read %s\n  hint: what was read "
		    "before may have been taken; load it again, duplicates "
		    "are told by the primary key\n", name);
		rc = TN_EXIT_FAILED;
	} else {
		rc = take_answer(a, name, &reply, t);
	}
	tn_buf_fini(&reply.body);
	if (s.file != stdin)
		fclose(s.file);
	return rc;
}

int
tn_app_load(const struct tn_app_args *args)
{
	struct tn_app_args a = *args;
	struct total t = { 0 };
	char *url, *token;
	uint32_t files = 0;
	int rc = TN_EXIT_OK;

	/* Words with "=" that are no file are load options. */
	for (uint32_t i = 1; i < args->word_count; i++) {
		if (strchr(args->words[i], '=') != NULL &&
		    tn_os_kind(args->words[i]) == TN_OS_NONE &&
		    a.option_count < TN_COUNT(a.options))
			a.options[a.option_count++] = args->words[i];
		else
			a.words[++files] = args->words[i];
	}
	if (files == 0) {
		fprintf(stderr, "tarn: load needs a stream and a file\n"
		    "  hint: tarn load badge events.ndjson.gz; "
		    "tarn help load\n");
		return TN_EXIT_USAGE;
	}
	url = load_url(&a);
	token = tn_app_url_token(&a);
	for (uint32_t i = 1; i <= files && rc == TN_EXIT_OK; i++)
		rc = is_parquet(a.words[i]) ?
		    load_parquet(&a, a.words[i], url, token, &t) :
		    load_file(&a, a.words[i], url, token, &t);
	if (!a.quiet)
		fprintf(stderr, "%lld accepted, %lld quarantined, "
		    "%lld duplicates\n", (long long)t.accepted,
		    (long long)t.quarantined, (long long)t.duplicates);
	tn_free(url);
	tn_free(token);
	return rc == TN_EXIT_OK && t.quarantined > 0 ? TN_EXIT_PARTIAL : rc;
}
