/* Doors of definitions: POST /api/v1/plan and /api/v1/apply. The app does
 * the work (tn_http_definitions); here a body of texts is read, and the answer
 * goes back. */
#include "http/http_int.h"

#include <string.h>

#define FILES_MAX 256

static void
answered(void *arg, enum tn_status st, const struct tn_diag *d,
    struct tn_slice json)
{
	struct request *r = arg;

	if (st != TN_OK) {
		tn_http_problem(r, tn_http_code_of(st, d), d);
	} else {
		tn_buf_add(&r->out, json.p, json.n);
		tn_http_json(r, 200);
	}
	tn_http_back(r);
}

static bool
bad_body(struct request *r)
{
	tn_http_fail(r, 400, "bad_request", "leave the body out: then the "
	    "server's own folder is read", "the body is {\"files\":[{"
	    "\"name\":\"x.sql\",\"text\":\"...\"}]}, at most %d files",
	    FILES_MAX);
	return false;
}

/* Texts stay in the request's arena. */
static bool
take_files(struct request *r, struct tn_http_texts *q)
{
	struct tn_json *o = NULL;
	const struct tn_json *list;
	struct tn_http_text *files;

	if (r->body.n == 0)
		return true;
	if (tn_codec_json_parse(tn_http_arena(r), (struct tn_slice){
	    r->body.p, r->body.n }, &o, NULL) != TN_OK)
		return bad_body(r);
	list = tn_codec_json_get(o, "files");
	if (list == NULL || list->kind != TN_JSON_ARRAY || list->count == 0 ||
	    list->count > FILES_MAX)
		return bad_body(r);
	files = tn_arena_zalloc(tn_http_arena(r), list->count *
	    sizeof *files);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct tn_json *name = tn_codec_json_get(
		    &list->items[i], "name");
		const struct tn_json *text = tn_codec_json_get(
		    &list->items[i], "text");
		if (name == NULL || name->kind != TN_JSON_STRING ||
		    memchr(name->text.p, 0, name->text.n) != NULL ||
		    text == NULL || text->kind != TN_JSON_STRING)
			return bad_body(r);
		files[i].name = tn_arena_strndup(tn_http_arena(r),
		    (const char *)name->text.p, name->text.n);
		files[i].text = text->text;
	}
	q->files = files;
	q->count = list->count;
	return true;
}

static void
run(struct request *r, bool apply)
{
	static const char *const none[] = { NULL };
	const struct tn_http_definitions *d = &r->h->o.definitions;
	struct tn_http_texts q = { .apply = apply };
	bool good = tn_http_only_params(r, none) && take_files(r, &q);

	if (good && apply && q.count > 0) {
		tn_http_fail(r, 400, "bad_request", "put the files there, "
		    "then ask again", "apply takes no text: it reads the "
		    "server's configuration folder, as the next start does");
		good = false;
	}
	if (good && d->run == NULL) {
		tn_http_fail(r, 501, "unsupported", NULL,
		    "there are no definitions here");
		good = false;
	}
	if (!good) {
		tn_http_ready(r);
		return;
	}
	tn_http_hold(r);
	d->run(d->arg, &q, answered, r);
}

void
tn_http_run_plan(struct request *r)
{
	run(r, false);
}

void
tn_http_run_apply(struct request *r)
{
	run(r, true);
}
