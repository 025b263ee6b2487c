/* Doors for people and their programs: batch jobs, tokens, log-in, the first
 * password. Hashing a password takes 64 MiB and 0.1 s, so it runs on the
 * pool; passwords are wiped from our buffers afterwards. */
#include "http/http_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define NAME_MAX_BYTES 100
#define DAYS_MAX 3650

/* ---- batch jobs ------------------------------------------------------ */

static void
run_back(struct tn_net_job *job)
{
	tn_http_back((struct request *)job);
}

static void
put_report(struct request *r, const struct tn_batch_report *b)
{
	struct tn_buf *out = &r->out;

	if (r->route->run == tn_http_run_verify) {
		tn_buf_printf(out, "{\"equal\":%s,\"differences\":%llu,"
		    "\"rows\":%llu,\"text\":", b->differences == 0 &&
		    b->status == TN_OK ? "true" : "false",
		    (unsigned long long)b->differences,
		    (unsigned long long)b->rows);
		tn_http_put_slice(out, (struct tn_slice){ b->text.p,
		    b->text.n });
		tn_buf_char(out, '}');
		return;
	}
	if (b->run > 0)
		tn_buf_printf(out, "{\"run\":%llu", (unsigned long long)
		    b->run);
	else
		tn_buf_str(out, "{\"run\":null");
	tn_buf_printf(out, ",\"lsn\":%llu,\"rows\":%llu,\"files\":%u",
	    (unsigned long long)b->lsn, (unsigned long long)b->rows,
	    (unsigned)b->files);
	if (r->route->run == tn_http_run_recompute) {
		tn_buf_str(out, ",\"text\":");
		tn_http_put_slice(out, (struct tn_slice){ b->text.p,
		    b->text.n });
	}
	tn_buf_char(out, '}');
}

/* On the batch thread; the report is gone afterwards. */
static void
reported(void *arg, const struct tn_batch_report *b)
{
	struct request *r = arg;
	bool differs = r->route->run == tn_http_run_verify &&
	    b->status == TN_ECONFLICT;

	if (b->status != TN_OK && !differs) {
		tn_http_problem(r, tn_http_code_of(b->status, &b->diag),
		    &b->diag);
	} else {
		put_report(r, b);
		tn_http_json(r, 200);
	}
	r->job.run = run_back;
	tn_net_loop_post(r->h->o.loop, &r->job);
}

static void
post_request(struct request *r, struct tn_batch_request *q)
{
	enum tn_status st;

	q->reason = "request";
	q->view = r->text;
	q->done = reported;
	q->arg = r;
	tn_http_hold(r);
	st = tn_batch_post(r->h->o.batch, q);
	if (st == TN_OK)
		return;
	tn_http_fail(r, 503, "overloaded", "ask again when they are done",
	    "too many batch jobs wait already");
	tn_http_back(r);
}

static void
post_job(struct request *r, enum tn_batch_kind kind)
{
	struct tn_batch_request q = { .kind = kind };

	post_request(r, &q);
}

/* The view= parameter into r->text; false when it fails. */
static bool
take_view(struct request *r, bool needed)
{
	struct tn_slice v = tn_http_param(r, "view");
	int at;

	r->text = NULL;
	if (v.p == NULL && !needed)
		return true;
	if (v.p == NULL) {
		tn_http_fail(r, 400, "bad_parameter", NULL,
		    "say which view: ?view=NAME");
		return false;
	}
	at = tn_serving_view_find(r->h->o.model, v);
	if (at < 0) {
		tn_http_fail(r, 404, "unknown_view", "GET /api/v1/views "
		    "lists the views", "there is no view \"%.*s\"",
		    (int)(v.n > 63 ? 63 : v.n), (const char *)v.p);
		return false;
	}
	r->text = r->h->o.model->views[at].def->name;
	return true;
}

void
tn_http_run_cut(struct request *r)
{
	static const char *const none[] = { NULL };

	if (tn_http_only_params(r, none))
		post_job(r, TN_BATCH_CUT);
	else
		tn_http_ready(r);
}

static bool
take_time(struct request *r, const char *name, int64_t *us)
{
	struct tn_slice s = tn_http_param(r, name);

	if (s.p == NULL)
		return true;
	if (tn_serving_time(s, us)) {
		/* 0 says that there is none; buckets are wider than this. */
		if (*us == 0)
			*us = name[0] == 'f' ? 1 : -1;
		return true;
	}
	tn_http_fail(r, 400, "bad_parameter", "times are like "
	    "2026-03-01T08:00:00Z, 2026-03-01 or now-24h",
	    "\"%.*s\" is no value for \"%s\"", (int)(s.n > 60 ? 60 : s.n),
	    (const char *)s.p, name);
	return false;
}

static bool
take_bool(struct request *r, const char *name, bool *yes)
{
	struct tn_slice s = tn_http_param(r, name);

	*yes = s.p != NULL && (s.n == 0 || tn_slice_is(s, "true") ||
	    tn_slice_is(s, "1"));
	if (*yes || s.p == NULL || tn_slice_is(s, "false") ||
	    tn_slice_is(s, "0"))
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "%s is true or false", name);
	return false;
}

void
tn_http_run_recompute(struct request *r)
{
	static const char *const known[] = { "view", "from", "to", "dry_run",
	    NULL };
	struct tn_batch_request q = { .kind = TN_BATCH_RECOMPUTE };

	if (tn_http_only_params(r, known) && take_view(r, true) &&
	    take_bool(r, "dry_run", &q.dry_run) &&
	    take_time(r, "from", &q.from_us) && take_time(r, "to", &q.to_us))
		post_request(r, &q);
	else
		tn_http_ready(r);
}

/* sample=0.1 and seed=. */
static bool
take_sample(struct request *r, struct tn_batch_request *q)
{
	struct tn_slice sample = tn_http_param(r, "sample");
	struct tn_slice seed = tn_http_param(r, "seed");
	char text[24], *end = text;

	snprintf(text, sizeof text, "%.*s", (int)(sample.n > 20 ? 20 :
	    sample.n), sample.p == NULL ? "" : (const char *)sample.p);
	q->sample = strtod(text, &end);
	if (sample.p != NULL && (*end != '\0' || sample.n > 20 ||
	    !(q->sample > 0 && q->sample <= 1))) {
		tn_http_fail(r, 400, "bad_parameter", "a tenth of it: "
		    "sample=0.1", "sample is a number above 0, at most 1");
		return false;
	}
	if (seed.p == NULL || tn_parse_u64(seed, &q->seed))
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "seed is a whole number, as verify prints it");
	return false;
}

/* details=folded, or as take_bool. */
static bool
take_details(struct request *r, enum tn_batch_details *details)
{
	bool yes = false;

	if (tn_slice_is(tn_http_param(r, "details"), "folded")) {
		*details = TN_BATCH_FOLDED;
		return true;
	}
	if (!take_bool(r, "details", &yes))
		return false;
	*details = yes ? TN_BATCH_BUCKETS : TN_BATCH_SUMMARY;
	return true;
}

void
tn_http_run_verify(struct request *r)
{
	static const char *const known[] = { "view", "sample", "seed",
	    "details", NULL };
	struct tn_batch_request q = { .kind = TN_BATCH_VERIFY };

	if (tn_http_only_params(r, known) && take_view(r, false) &&
	    take_details(r, &q.details) && take_sample(r, &q))
		post_request(r, &q);
	else
		tn_http_ready(r);
}

/* ---- small JSON bodies ----------------------------------------------- */

/* The body as an object; NULL when it fails. Lives in the arena. */
static const struct tn_json *
take_object(struct request *r)
{
	struct tn_diag d = { .line = 0 };
	struct tn_json *o = NULL;
	enum tn_status st = tn_codec_json_parse(tn_http_arena(r),
	    (struct tn_slice){ r->body.p, r->body.n }, &o, &d);

	if (st != TN_OK) {
		tn_http_problem(r, 400, &d);
		return NULL;
	}
	if (o->kind != TN_JSON_OBJECT) {
		tn_http_fail(r, 400, "bad_request", NULL,
		    "the body must be a JSON object");
		return NULL;
	}
	return o;
}

/* A string member as C text in the arena; NULL when it fails. */
static const char *
take_string(struct request *r, const struct tn_json *o, const char *name)
{
	const struct tn_json *m = tn_codec_json_get(o, name);

	if (m != NULL && m->kind == TN_JSON_STRING && m->text.n > 0 &&
	    memchr(m->text.p, 0, m->text.n) == NULL)
		return tn_arena_strndup(tn_http_arena(r),
		    (const char *)m->text.p, m->text.n);
	tn_http_fail(r, 400, "bad_request", NULL,
	    "the object needs a member \"%s\", a string", name);
	return NULL;
}

/* ---- tokens ---------------------------------------------------------- */

static void
tokens_work(struct request *r)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_token *t = NULL;
	struct tn_buf *out = &r->out;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_tokens(r->h->o.catalog, a, &t,
	    &count);

	if (st != TN_OK) {
		tn_http_catalog_failed(r, st);
		tn_arena_free(a);
		return;
	}
	tn_buf_str(out, "{\"tokens\":[");
	for (uint32_t i = 0; i < count; i++) {
		tn_buf_printf(out, "%s{\"id\":%llu,\"name\":",
		    i > 0 ? "," : "", (unsigned long long)t[i].id);
		tn_http_put_str(out, t[i].name);
		tn_buf_str(out, ",\"scope\":");
		tn_http_put_str(out, t[i].scope);
		tn_buf_str(out, ",\"created_at\":");
		tn_http_put_time(out, t[i].created_us);
		tn_buf_str(out, ",\"expires_at\":");
		tn_http_put_time(out, t[i].expires_us);
		tn_buf_str(out, ",\"used_at\":");
		tn_http_put_time(out, t[i].used_us);
		tn_buf_char(out, '}');
	}
	tn_buf_str(out, "]}");
	tn_http_json(r, 200);
	tn_arena_free(a);
}

void
tn_http_run_tokens(struct request *r)
{
	tn_http_work(r, tokens_work);
}

/* text: name; number[0]: scope; number[1]: days or 0. */
static void
token_new_work(struct request *r)
{
	char token[64];
	uint64_t id = 0;
	int64_t expires = r->number[1] == 0 ? 0 : tn_os_wall_us() +
	    (int64_t)r->number[1] * 86400 * 1000000;
	enum tn_status st = tn_governance_token_create(r->h->o.access,
	    r->text, (enum tn_governance_scope)r->number[0], expires, token,
	    &id);

	if (st != TN_OK) {
		tn_http_catalog_failed(r, st);
		return;
	}
	tn_buf_printf(&r->out, "{\"id\":%llu,\"token\":\"%s\"}",
	    (unsigned long long)id, token);
	explicit_bzero(token, sizeof token);
	tn_http_json(r, 200);
}

static bool
take_days(struct request *r, const struct tn_json *o)
{
	const struct tn_json *m = tn_codec_json_get(o, "days");

	r->number[1] = 0;
	if (m == NULL || m->kind == TN_JSON_NULL)
		return true;
	if (m->kind == TN_JSON_NUMBER &&
	    tn_parse_u64(m->text, &r->number[1]) && r->number[1] > 0 &&
	    r->number[1] <= DAYS_MAX)
		return true;
	tn_http_fail(r, 400, "bad_request", NULL,
	    "days is a whole number from 1 to %d", DAYS_MAX);
	return false;
}

static bool
take_scope(struct request *r, const struct tn_json *o)
{
	static const char *const names[] = { "", "ingest", "read", "admin" };
	const char *scope = take_string(r, o, "scope");

	if (scope == NULL)
		return false;
	for (uint32_t i = TN_SCOPE_INGEST; i <= TN_SCOPE_ADMIN; i++)
		if (strcmp(scope, names[i]) == 0)
			r->number[0] = i;
	if (r->number[0] != 0)
		return true;
	tn_http_fail(r, 400, "bad_request", NULL,
	    "scope is admin, ingest or read");
	return false;
}

void
tn_http_run_token_new(struct request *r)
{
	const struct tn_json *o = take_object(r);

	if (o != NULL)
		r->text = take_string(r, o, "name");
	if (o == NULL || r->text == NULL || !take_scope(r, o) ||
	    !take_days(r, o)) {
		tn_http_ready(r);
	} else if (strlen(r->text) > NAME_MAX_BYTES) {
		tn_http_fail(r, 400, "bad_request", NULL,
		    "a name has at most %d bytes", NAME_MAX_BYTES);
		tn_http_ready(r);
	} else {
		tn_http_work(r, token_new_work);
	}
}

static void
token_gone_work(struct request *r)
{
	enum tn_status st = tn_governance_token_revoke(r->h->o.access,
	    r->number[0]);

	if (st == TN_OK)
		tn_http_say(r, 204, NULL);
	else if (st == TN_ENOTFOUND)
		tn_http_fail(r, 404, "unknown_token", NULL,
		    "there is no token %llu",
		    (unsigned long long)r->number[0]);
	else
		tn_http_catalog_failed(r, st);
}

void
tn_http_run_token_gone(struct request *r)
{
	if (tn_parse_u64(r->var, &r->number[0])) {
		tn_http_work(r, token_gone_work);
		return;
	}
	tn_http_fail(r, 404, "unknown_token", NULL,
	    "a token's id is a number");
	tn_http_ready(r);
}

/* ---- log-in ---------------------------------------------------------- */

static void
set_cookie(struct request *r, const char *session, bool end)
{
	tn_http_extra(r, "Set-Cookie", tn_arena_printf(tn_http_arena(r),
	    "tarn_session=%s; HttpOnly; SameSite=Strict; Path=/%s", session,
	    end ? "; Max-Age=0" : ""));
}

/* text: password; text2: the client's address. */
static void
login_work(struct request *r)
{
	char session[65];
	uint32_t wait_s = 0;
	enum tn_status st = tn_governance_login(r->h->o.access,
	    tn_slice_of(r->text), r->text2, session, &wait_s);

	if (st == TN_OK) {
		tn_http_say(r, 204, NULL);
		set_cookie(r, session, false);
	} else if (st == TN_EFULL) {
		tn_http_fail(r, 429, "too_many_guesses", "wait, then try "
		    "again", "too many wrong passwords; wait %u s",
		    (unsigned)wait_s);
		tn_http_extra(r, "Retry-After", tn_arena_printf(
		    tn_http_arena(r), "%u", (unsigned)wait_s));
	} else {
		tn_http_fail(r, 403, "wrong_password", NULL,
		    "this is not the password");
	}
	explicit_bzero(session, sizeof session);
}

static void
wiped_login(struct request *r)
{
	login_work(r);
	explicit_bzero((char *)(uintptr_t)r->text, strlen(r->text));
}

/* Password and address where the work finds them. */
static bool
take_password(struct request *r, const struct tn_json *o)
{
	r->text = take_string(r, o, "password");
	r->text2 = tn_arena_printf(tn_http_arena(r), "%s",
	    r->conn->address);
	explicit_bzero(r->body.p, r->body.n);
	return r->text != NULL;
}

void
tn_http_run_login(struct request *r)
{
	const struct tn_json *o = take_object(r);

	if (o == NULL || !take_password(r, o)) {
		tn_http_ready(r);
	} else if (!tn_governance_has_password(r->h->o.access)) {
		tn_http_fail(r, 409, "no_password", "open the one-time link "
		    "that tarn printed at its start, or set "
		    "TARN_ADMIN_PASSWORD_FILE", "no password is set yet");
		tn_http_ready(r);
	} else {
		tn_http_work(r, wiped_login);
	}
}

void
tn_http_run_logout(struct request *r)
{
	struct tn_slice session = tn_http_session(r);

	if (session.n > 0)
		tn_governance_logout(r->h->o.access, session);
	tn_http_say(r, 204, NULL);
	set_cookie(r, "", true);
	tn_http_ready(r);
}

/* As login, with the code behind the password in the arena. */
static void
setup_work(struct request *r)
{
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_governance_setup(r->h->o.access,
	    tn_slice_of(r->code_text), tn_slice_of(r->text), &d);

	if (st == TN_OK)
		login_work(r);
	else
		tn_http_problem(r, tn_http_code_of(st, &d), &d);
	explicit_bzero((char *)(uintptr_t)r->text, strlen(r->text));
}

void
tn_http_run_setup(struct request *r)
{
	const struct tn_json *o = take_object(r);

	if (o != NULL)
		r->code_text = take_string(r, o, "code");
	if (o != NULL && r->code_text != NULL && take_password(r, o))
		tn_http_work(r, setup_work);
	else
		tn_http_ready(r);
}

void
tn_http_run_session(struct request *r)
{
	static const char *const names[] = { "none", "ingest", "read",
	    "admin" };

	tn_buf_printf(&r->out, "{\"scope\":\"%s\",\"setup\":%s,"
	    "\"loopback\":%s}", names[tn_http_scope(r)],
	    tn_governance_has_password(r->h->o.access) ? "false" : "true",
	    r->h->loopback ? "true" : "false");
	tn_http_json(r, 200);
	tn_http_ready(r);
}
