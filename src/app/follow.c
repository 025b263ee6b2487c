/* Waiting for a server. What tarn apply shows meanwhile: how far silver of changed
 * tables is, a line each time a tenth more is made, and how long the server was
 * away when it restarted itself. On standard error, so that the answer stands alone.
 *
 * An apply, a verify, a load may take hours, so no answer has a limit. But a server that
 * works on it moves bytes of it, or answers others: when neither has been for --wait (60 s)
 * it hangs, and waiting ends. What was asked for may still be done. The question, each
 * second, is one that its loop answers by itself: threads of queries may be taken for
 * minutes by those who asked for much. */
#include "app/plan_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/codec.h"
#include "os/os.h"

#define EVERY_US 1000000
#define WAIT_S 60
#define WAIT_MAX_S 86400
#define LOOK_MS 5000                     /* One question; then another. */
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

bool
tn_app_follow_wait(const struct tn_app_args *a, int64_t *us)
{
	const char *word = a->wait;
	uint64_t s = WAIT_S;

	if (word != NULL && (!tn_parse_u64(tn_slice_of(word), &s) || s == 0 ||
	    s > WAIT_MAX_S)) {
		fprintf(stderr, "tarn: --wait is a number of seconds, 1 to "
		    "%d\n", WAIT_MAX_S);
		return false;
	}
	*us = (int64_t)s * 1000000;
	return true;
}

static uint32_t
look_ms(const struct tn_app_follow *f)
{
	return f->wait_us < LOOK_MS * 1000 ? (uint32_t)(f->wait_us / 1000) :
	    LOOK_MS;
}

/* Is it to be waited for on? Also a refusal is a word. */
static void
hear(struct tn_app_follow *f, const struct tn_app_reply *r)
{
	char *url;

	if (r->status != 0)
		f->heard_us = tn_os_mono_us();
	if (f->silent != 0 || tn_os_mono_us() - f->heard_us < f->wait_us)
		return;
	f->silent = 1;
	url = tn_app_url(f->args, "");
	fprintf(stderr, "tarn: no word from %s for %lld s, it hangs\n"
	    "  hint: it may still do it%s; --wait SECONDS waits longer\n", url,
	    (long long)f->wait_us / 1000000, f->applies ? ": tarn plan says "
	    "what is left when it answers again" : "");
	tn_free(url);
}

/* How far silver of changed tables is. A look that comes late says nothing. */
static void
show_runs(struct tn_app_follow *f)
{
	struct tn_app_call c = { .method = "GET", .token = f->token,
	    .limit_ms = look_ms(f) };
	struct tn_arena *a = tn_arena_new(4096);
	char *url = tn_app_url(f->args, "/api/v1/runs?limit=20");
	const struct tn_json *runs = NULL;
	struct tn_json *o = NULL;
	struct tn_app_reply r;

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

/* Called by libcurl, some times a second; ${moved}: bytes of the call. */
static void
tick(void *arg, uint64_t moved)
{
	struct tn_app_follow *f = arg;
	struct tn_app_call c = { .method = "GET", .token = f->token,
	    .limit_ms = look_ms(f) };
	struct tn_app_reply r;
	int64_t now_us = tn_os_mono_us();
	char *url;

	/* Long not called: who gave the bytes to send kept us waiting. */
	if (moved != f->moved || now_us - f->ticked_us > 5 * EVERY_US)
		f->heard_us = now_us;
	f->moved = moved;
	f->ticked_us = now_us;
	if (f->silent != 0 || now_us < f->next_us)
		return;
	url = tn_app_url(f->args, "/livez");
	c.url = url;
	tn_app_http(&c, &r);
	hear(f, &r);
	if (f->applies && r.status != 0)
		show_runs(f);
	f->ticked_us = tn_os_mono_us();
	f->next_us = f->ticked_us + EVERY_US;
	tn_buf_fini(&r.body);
	tn_free(url);
}

bool
tn_app_follow_ask(struct tn_app_follow *f, struct tn_app_call *c,
    struct tn_app_reply *r)
{
	f->heard_us = tn_os_mono_us();
	/* What is answered soon needs no look. */
	f->next_us = f->heard_us + EVERY_US;
	f->ticked_us = f->heard_us;
	c->tick = tick;
	c->tick_arg = f;
	c->cancel = &f->silent;
	tn_app_http(c, r);
	r->hung = f->silent != 0;
	return r->hung;
}

void
tn_app_ask(const struct tn_app_args *a, struct tn_app_call *c,
    struct tn_app_reply *r)
{
	struct tn_app_follow f = { .args = a, .token = c->token,
	    .wait_us = INT64_C(1000000) * WAIT_S };

	(void)tn_app_follow_wait(a, &f.wait_us);         /* main looked. */
	(void)tn_app_follow_ask(&f, c, r);
}

/* A connection waits at the server's sockets, which stay open. */
int
tn_app_follow_back(struct tn_app_follow *f)
{
	const struct timespec rest = { .tv_nsec = 50000000 };
	struct tn_app_call c = { .method = "GET", .limit_ms = look_ms(f) };
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
