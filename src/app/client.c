/* The client side of the command line: HTTP through libcurl (blocking; a
 * command does one thing), problems turned into words and exit codes. */
#include "app/app.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "os/os.h"

#define REPLY_BYTES_MAX (1u << 30)

struct sending {
	const struct tn_app_call *call;
	size_t sent;
};

static size_t
take_reply(char *p, size_t size, size_t n, void *arg)
{
	struct tn_app_reply *r = arg;

	tn_buf_add(&r->body, p, size * n);
	return r->body.failed ? 0 : size * n;
}

static size_t
give_body(char *p, size_t size, size_t n, void *arg)
{
	struct sending *s = arg;
	size_t room = size * n, left;

	if (s->call->read != NULL) {
		left = s->call->read(s->call->arg, p, room);
		return left == SIZE_MAX ? CURL_READFUNC_ABORT : left;
	}
	left = s->call->body.n - s->sent;
	if (left > room)
		left = room;
	memcpy(p, s->call->body.p + s->sent, left);
	s->sent += left;
	return left;
}

static int
look_cancelled(void *arg, curl_off_t a, curl_off_t b, curl_off_t c,
    curl_off_t d)
{
	const struct tn_app_call *call = arg;

	(void)a, (void)c;
	if (call->tick != NULL)
		call->tick(call->tick_arg, (uint64_t)b + (uint64_t)d);
	return call->cancel == NULL ? 0 :
	    __atomic_load_n(call->cancel, __ATOMIC_ACQUIRE);
}

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, const char *value)
{
	struct tn_buf b = { 0 };

	if (value == NULL)
		return list;
	tn_buf_printf(&b, "%s: %s", name, value);
	list = curl_slist_append(list, tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return list;
}

static struct curl_slist *
make_headers(const struct tn_app_call *c)
{
	struct curl_slist *h = NULL;
	char bearer[200];

	h = add_header(h, "Content-Type", c->type);
	h = add_header(h, "Accept", c->accept);
	h = add_header(h, "Content-Encoding", c->coding);
	/* No "Expect: 100-continue": it only costs a round trip. */
	h = curl_slist_append(h, "Expect:");
	if (c->token != NULL) {
		snprintf(bearer, sizeof bearer, "Bearer %s", c->token);
		h = add_header(h, "Authorization", bearer);
	}
	return h;
}

void
tn_app_http(const struct tn_app_call *c, struct tn_app_reply *r)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = make_headers(c);
	struct sending s = { c, 0 };
	bool has_body = c->read != NULL || c->body.n > 0 ||
	    strcmp(c->method, "POST") == 0;
	CURLcode rc;

	memset(r, 0, sizeof *r);
	r->body.max = REPLY_BYTES_MAX;
	tn_assert(curl != NULL);
	curl_easy_setopt(curl, CURLOPT_URL, c->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, r->error);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "tarn/" TN_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)c->limit_ms);
	if (c->cancel != NULL || c->tick != NULL) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION,
		    look_cancelled);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
	}
	if (has_body) {
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(curl, CURLOPT_READDATA, &s);
		if (c->read == NULL)
			curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
			    (curl_off_t)c->body.n);
	}
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &r->status);
	else if (r->error[0] == '\0')
		snprintf(r->error, sizeof r->error, "%s",
		    curl_easy_strerror(rc));
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
}

static void
print_member(const struct tn_json *o, const char *name, const char *before)
{
	const struct tn_json *v = tn_codec_json_get(o, name);

	if (v != NULL && v->kind == TN_JSON_STRING && v->text.n > 0)
		fprintf(stderr, "%s%.*s\n", before, (int)v->text.n,
		    v->text.p);
}

static int
exit_of(long status)
{
	switch (status) {
	case 401: case 403: case 429:
		return TN_EXIT_REFUSED;
	case 409:
		return TN_EXIT_CONFLICT;
	case 400: case 404: case 405: case 413: case 415: case 422:
		return TN_EXIT_FAILED;
	default:
		return status >= 500 ? TN_EXIT_UNREACHABLE : TN_EXIT_FAILED;
	}
}

int
tn_app_reply_exit(const struct tn_app_args *args,
    const struct tn_app_reply *r)
{
	struct tn_arena *a;
	struct tn_json *o = NULL;
	char *url;

	if (r->status >= 200 && r->status < 300)
		return TN_EXIT_OK;
	if (r->hung)
		return TN_EXIT_UNREACHABLE;      /* Said. */
	if (r->status == 0) {
		url = tn_app_url(args, "");
		fprintf(stderr, "tarn: no answer from %s: %s\n"
		    "  is tarn running there? start it with: tarn run, or "
		    "name it with --url or TARN_URL\n", url, r->error);
		tn_free(url);
		return TN_EXIT_UNREACHABLE;
	}
	a = tn_arena_new(4096);
	if (tn_codec_json_parse(a, (struct tn_slice){ r->body.p, r->body.n },
	    &o, NULL) == TN_OK) {
		print_member(o, "detail", "tarn: ");
		print_member(o, "hint", "  hint: ");
	} else {
		fprintf(stderr, "tarn: the server answered %ld\n", r->status);
	}
	if (r->status == 401)
		fprintf(stderr, "  hint: make a token with tarn token create "
		    "on the server's page, then set TARN_TOKEN\n");
	tn_arena_free(a);
	return exit_of(r->status);
}

char *
tn_app_url(const struct tn_app_args *a, const char *path)
{
	const char *base = a->url;
	struct tn_buf b = { 0 };
	char *s;

	if (base == NULL || base[0] == '\0')
		base = "http://127.0.0.1:8420";
	if (strstr(base, "://") == NULL)
		tn_buf_str(&b, "http://");
	tn_buf_str(&b, base);
	while (b.n > 0 && b.p[b.n - 1] == '/')
		b.n--;
	tn_buf_str(&b, path);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

char *
tn_app_url_token(const struct tn_app_args *a)
{
	const char *env = getenv("TARN_TOKEN");
	struct tn_buf b = { 0 };
	char *s = NULL;

	if (a->token_file == NULL)
		return env != NULL && env[0] != '\0' ? tn_strdup(env) : NULL;
	if (tn_os_read_file(a->token_file, &b, 4096) == TN_OK) {
		while (b.n > 0 && b.p[b.n - 1] <= ' ')
			b.n--;
		s = tn_strndup((const char *)b.p, b.n);
	}
	tn_buf_fini(&b);
	return s;
}

void
tn_app_escape(struct tn_buf *out, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

	for (; *s != '\0'; s++)
		if (strchr(plain, *s) != NULL)
			tn_buf_char(out, *s);
		else
			tn_buf_printf(out, "%%%02X", (uint8_t)*s);
}
