/* tarn load: files into a stream through the HTTP door, streamed, with a
 * progress bar when a person looks on. */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/codec.h"
#include "os/os.h"

#define ERRORS_SHOWN 10
#define BAR_WIDTH 24

struct source {
	FILE *file;
	const char *name;
	uint64_t bytes;          /* Of the whole file; 0 unknown. */
	uint64_t sent;
	int64_t begun_us;
	int64_t shown_us;
	bool bar;
};
struct total {
	uint64_t accepted, quarantined, duplicates;
};

static void
draw_bar(struct source *s, bool last)
{
	int64_t now = tn_os_mono_us();
	double part = s->bytes > 0 ? (double)s->sent / (double)s->bytes : 0;
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

static uint64_t
number(const struct tn_json *o, const char *name)
{
	const struct tn_json *v = tn_codec_json_get(o, name);
	uint64_t n = 0;

	if (v == NULL || v->kind != TN_JSON_NUMBER ||
	    !tn_parse_u64(v->text, &n))
		return 0;
	return n;
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
		fprintf(stderr, "%s:%llu: %.*s%s%.*s\n", file,
		    (unsigned long long)number(e, "line"),
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
		t->accepted += number(o, "accepted");
		t->quarantined += number(o, "quarantined");
		t->duplicates += number(o, "duplicates");
		if (!a->quiet)
			show_errors(name, o);
	}
	tn_arena_free(arena);
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
	tn_app_http(&call, &reply);
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
		rc = load_file(&a, a.words[i], url, token, &t);
	if (!a.quiet)
		fprintf(stderr, "%llu accepted, %llu quarantined, "
		    "%llu duplicates\n", (unsigned long long)t.accepted,
		    (unsigned long long)t.quarantined,
		    (unsigned long long)t.duplicates);
	tn_free(url);
	tn_free(token);
	return rc == TN_EXIT_OK && t.quarantined > 0 ? TN_EXIT_PARTIAL : rc;
}
