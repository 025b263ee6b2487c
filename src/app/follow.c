/* What tarn apply shows while it waits: how far silver of changed tables is, a
 * line each time a tenth more is made, and how long the server was away when it
 * restarted itself. On standard error, so that the answer stands alone. */
#include "app/plan_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/codec.h"
#include "os/os.h"

#define EVERY_US 1000000
#define BACK_US INT64_C(600000000)       /* At most waited for. */
#define PARTS 10

static uint64_t
number(const struct tn_json *o, const char *name)
{
	const struct tn_json *v = tn_codec_json_get(o, name);
	uint64_t n = 0;

	return v != NULL && tn_parse_u64(v->text, &n) ? n : 0;
}

static bool
is_text(const struct tn_json *o, const char *name, const char *text)
{
	const struct tn_json *v = tn_codec_json_get(o, name);

	return v != NULL && tn_slice_is(v->text, text);
}

static void
show(struct tn_app_follow *f, const struct tn_json *run)
{
	const struct tn_json *object = tn_codec_json_get(run, "object");
	uint64_t id = number(run, "id"), rows = number(run, "rows_read");
	uint64_t total = number(run, "rows_total");
	uint64_t part = total > 0 ? rows * PARTS / total : 0;

	if (object == NULL || total == 0 || (f->run == id && part <= f->part))
		return;
	f->run = id;
	f->part = part;
	fprintf(stderr, "%.*s: %llu of %llu rows of bronze read (run %llu)\n",
	    (int)object->text.n, (const char *)object->text.p,
	    (unsigned long long)rows, (unsigned long long)total,
	    (unsigned long long)id);
}

/* Called by libcurl, some times a second. */
void
tn_app_follow_tick(void *arg)
{
	struct tn_app_follow *f = arg;
	struct tn_app_call c = { .method = "GET", .token = f->token };
	struct tn_app_reply r;
	struct tn_arena *a;
	struct tn_json *o = NULL;
	const struct tn_json *runs = NULL;
	char *url;

	if (tn_os_mono_us() < f->next_us)
		return;
	f->next_us = tn_os_mono_us() + EVERY_US;
	a = tn_arena_new(4096);
	url = tn_app_url(f->args, "/api/v1/runs?limit=20");
	c.url = url;
	tn_app_http(&c, &r);
	if (r.status == 200 && tn_codec_json_parse(a, (struct tn_slice){
	    r.body.p, r.body.n }, &o, NULL) == TN_OK)
		runs = tn_codec_json_get(o, "runs");
	for (uint32_t i = 0; runs != NULL && runs->kind == TN_JSON_ARRAY &&
	    i < runs->count; i++)
		if (is_text(&runs->items[i], "kind", "prepare") &&
		    tn_codec_json_get(&runs->items[i], "rows_total") != NULL)
			show(f, &runs->items[i]);
	tn_buf_fini(&r.body);
	tn_arena_free(a);
	tn_free(url);
}

/* A connection waits at the server's sockets, which stay open. */
int
tn_app_follow_back(struct tn_app_follow *f)
{
	const struct timespec rest = { .tv_nsec = 50000000 };
	struct tn_app_call c = { .method = "GET" };
	int64_t began = tn_os_mono_us();
	char *url = tn_app_url(f->args, "/readyz");
	long status = 0;

	c.url = url;
	while (status != 200 && tn_os_mono_us() - began < BACK_US) {
		struct tn_app_reply r;
		tn_app_http(&c, &r);
		status = r.status;
		tn_buf_fini(&r.body);
		if (status != 200)
			(void)nanosleep(&rest, NULL);
	}
	if (status == 200)
		fprintf(stderr, "restarted: it serves again after %lld ms\n",
		    (long long)(tn_os_mono_us() - began) / 1000);
	else
		fprintf(stderr, "tarn: the server has not come back; its log "
		    "lines say why\n");
	tn_free(url);
	return status == 200 ? TN_EXIT_OK : TN_EXIT_UNREACHABLE;
}
