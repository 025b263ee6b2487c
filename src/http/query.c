/* Rows out of serving: views, SQL, quarantine, the newest rows. serving calls
 * back on the loop; a client that went away in between costs one dropped
 * answer.
 *
 * ETag of a view: "<view>-<version>-<lsn>-<batch_lsn>-<hash>", the hash being
 * of what was asked for and of the catalog's sequence, because a recompute
 * changes rows but no LSN. No ETag when the question names the present time. */
#include "http/http_int.h"

#include <string.h>

#define EXPLAIN_LIMIT 20     /* tn_serving_explain's own. */
#define EXPLAIN_LIMIT_MAX 1000

static void
add_lsn(struct request *r, const char *name, uint64_t lsn)
{
	tn_http_extra(r, name, tn_arena_printf(tn_http_arena(r), "%llu",
	    (unsigned long long)lsn));
}

static const char *
type_of(enum tn_serving_format f)
{
	switch (f) {
	case TN_FORMAT_CSV:
		return "text/csv; charset=utf-8";
	case TN_FORMAT_NDJSON:
		return "application/x-ndjson";
	case TN_FORMAT_JSON:
		break;
	}
	return tn_http_type_json;
}

/* Common end: takes the answer. */
static bool
take_answer(struct request *r, struct tn_serving_answer *a)
{
	if (a->status != TN_OK) {
		tn_http_problem(r, tn_http_code_of(a->status, &a->diag),
		    &a->diag);
		tn_serving_answer_unref(a);
		return false;
	}
	r->answer = a;
	tn_http_say(r, 200, type_of(r->rows));
	add_lsn(r, "Tarn-LSN", a->lsn);
	add_lsn(r, "Tarn-Batch-LSN", a->batch_lsn);
	return true;
}

static void
answered(void *arg, struct tn_serving_answer *a)
{
	struct request *r = arg;

	(void)take_answer(r, a);
	tn_http_back(r);
}

/* ---- what is asked --------------------------------------------------- */

static bool
choose_rows(struct request *r, struct tn_slice format)
{
	if (tn_slice_is(format, "json"))
		r->rows = TN_FORMAT_JSON;
	else if (tn_slice_is(format, "csv"))
		r->rows = TN_FORMAT_CSV;
	else if (tn_slice_is(format, "ndjson"))
		r->rows = TN_FORMAT_NDJSON;
	else if (format.p != NULL) {
		tn_http_fail(r, 400, "bad_format", NULL,
		    "format is json, csv or ndjson");
		return false;
	} else if (!tn_http_accept(r->head.accept, &r->rows)) {
		tn_http_fail(r, 406, "not_acceptable", NULL, "rows come as "
		    "application/json, text/csv or application/x-ndjson");
		return false;
	}
	return true;
}

static bool
choose_layer(struct request *r, struct tn_slice s,
    enum tn_serving_layer *layer)
{
	*layer = TN_LAYER_MERGED;
	if (s.p == NULL || tn_slice_is(s, "merged"))
		return true;
	*layer = tn_slice_is(s, "batch") ? TN_LAYER_BATCH : TN_LAYER_SPEED;
	if (*layer == TN_LAYER_BATCH || tn_slice_is(s, "speed"))
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "layer is merged, batch or speed");
	return false;
}

static bool
choose_order(struct request *r, bool *newest_first)
{
	struct tn_slice s = tn_http_param(r, "order");

	*newest_first = tn_slice_is(s, "newest");
	if (s.p == NULL || *newest_first || tn_slice_is(s, "key"))
		return true;
	tn_http_fail(r, 400, "bad_parameter", NULL,
	    "order is newest or key");
	return false;
}

/* Parameters that are ours are taken away, filters stay, in order. A column of
 * such a name is filtered as column.NAME. */
static void
filters(const struct request *r, struct tn_serving_param *out,
    uint32_t *count)
{
	static const char *const ours[] = { "layer", "format", "limit",
	    "order", "as_of" };

	*count = 0;
	for (uint32_t i = 0; i < r->param_count; i++) {
		bool own = false;
		for (size_t k = 0; k < TN_COUNT(ours); k++)
			own = own || tn_slice_is(r->params[i].name, ours[k]);
		if (!own)
			out[(*count)++] = r->params[i];
	}
}

bool
tn_http_view_request(struct request *r, struct tn_serving_view_request *q,
    struct tn_serving_param *params)
{
	uint64_t limit;

	if (!choose_layer(r, tn_http_param(r, "layer"), &q->layer) ||
	    !choose_order(r, &q->newest_first) ||
	    !tn_http_limit(r, 0, UINT32_MAX, &limit))
		return false;
	q->limit = (uint32_t)limit;
	q->format = r->rows;
	q->as_of = tn_http_param(r, "as_of");
	filters(r, params, &q->param_count);
	q->params = params;
	return true;
}

/* ---- views ----------------------------------------------------------- */

static bool
names_now(const struct request *r)
{
	for (uint32_t i = 0; i < r->param_count; i++)
		if (r->params[i].value.n >= 3 &&
		    memcmp(r->params[i].value.p, "now", 3) == 0)
			return true;
	return false;
}

/* Also right when a cut comes between: then the next question has another
 * hash, and is answered in full. */
uint64_t
tn_http_question(struct request *r, uint64_t sequence)
{
	uint64_t hash = tn_hash64(&sequence, sizeof sequence,
	    (uint64_t)r->rows);

	if (names_now(r))
		return 0;
	for (uint32_t i = 0; i < r->param_count; i++) {
		hash = tn_hash64(r->params[i].name.p, r->params[i].name.n,
		    hash + 1);
		hash = tn_hash64(r->params[i].value.p,
		    r->params[i].value.n, hash + 2);
	}
	return hash;
}

static const char *
etag_of(struct request *r, uint64_t lsn, uint64_t batch_lsn)
{
	const struct tn_serving_view *v = &r->h->o.model->views[r->view];

	return tn_arena_printf(tn_http_arena(r),
	    "\"%s-%u-%llu-%llu-%016llx\"", v->def->name,
	    (unsigned)v->version, (unsigned long long)lsn,
	    (unsigned long long)batch_lsn,
	    (unsigned long long)r->question);
}

void
tn_http_etag(struct request *r, const char *etag)
{
	r->cacheable = true;
	tn_http_extra(r, "Cache-Control", "no-cache");
	tn_http_extra(r, "ETag", etag);
	tn_http_extra(r, "Vary", "Accept");
}

/* Of the past: no matter what was cut where. */
static const char *
past_etag(struct request *r, uint64_t lsn)
{
	return etag_of(r, lsn, 0);
}

static void
view_answered(void *arg, struct tn_serving_answer *a)
{
	struct request *r = arg;

	if (take_answer(r, a) && r->question != 0)
		tn_http_etag(r, r->number[0] != 0 ? past_etag(r, a->lsn) :
		    etag_of(r, a->lsn, a->batch_lsn));
	tn_http_back(r);
}

/* Nothing new since the client's copy? */
static bool
unchanged(struct request *r)
{
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    r->h->o.catalog);
	struct tn_slice as_of = tn_http_param(r, "as_of");
	const char *etag;
	uint64_t lsn = 0;

	r->number[0] = as_of.p != NULL;
	r->question = tn_http_question(r, now->sequence);
	/* What a time means can change while blocks of it are on their way. */
	if (as_of.p != NULL && !tn_parse_u64(as_of, &lsn))
		r->question = 0;
	if (r->question == 0 || r->head.none_match.p == NULL) {
		tn_catalog_snapshot_put(now);
		return false;
	}
	etag = as_of.p != NULL ? past_etag(r, lsn) :
	    etag_of(r, tn_serving_lsn(r->h->o.serving), now->lsn);
	tn_catalog_snapshot_put(now);
	if (!tn_http_etag_matches(r->head.none_match, etag))
		return false;
	tn_http_etag(r, etag);
	tn_http_say(r, 304, NULL);
	return true;
}

int
tn_http_view_of(struct request *r)
{
	int view = tn_serving_view_find(r->h->o.model, r->var);

	if (view < 0)
		tn_http_fail(r, 404, "unknown_view", "GET /api/v1/views "
		    "lists the views", "there is no view \"%.*s\"",
		    (int)(r->var.n > 63 ? 63 : r->var.n),
		    (const char *)r->var.p);
	return view;
}

void
tn_http_run_view(struct request *r)
{
	struct tn_serving_view_request q = { .view = r->var,
	    .left = &r->left };
	struct tn_serving_param params[TN_HTTP_PARAMS_MAX];

	r->view = tn_http_view_of(r);
	if (r->view >= 0 && choose_rows(r, tn_http_param(r, "format")) &&
	    tn_http_view_request(r, &q, params) && !unchanged(r)) {
		tn_http_hold(r);
		tn_serving_view_get(r->h->o.serving, &q, view_answered, r);
		return;
	}
	tn_http_ready(r);
}

/* ---- why this number ------------------------------------------------- */

static void
explained(void *arg, struct tn_serving_answer *a)
{
	struct request *r = arg;

	(void)take_answer(r, a);
	tn_http_back(r);
}

/* Nothing that is asked for is passed over. */
static bool
explains_all(struct request *r)
{
	static const char *const names[] = { "layer", "format", "order" };

	for (size_t i = 0; i < TN_COUNT(names); i++)
		if (tn_http_param(r, names[i]).p != NULL) {
			tn_http_fail(r, 400, "bad_parameter", "leave it out: "
			    "explain shows every layer, as JSON",
			    "explain takes no \"%s\"", names[i]);
			return false;
		}
	return true;
}

void
tn_http_run_explain(struct request *r)
{
	struct tn_serving_view_request q = { .view = r->var,
	    .left = &r->left };
	struct tn_serving_param params[TN_HTTP_PARAMS_MAX];
	uint64_t limit;

	r->view = tn_http_view_of(r);
	if (r->view >= 0 && explains_all(r) &&
	    choose_rows(r, tn_slice_of("json")) &&
	    tn_http_limit(r, EXPLAIN_LIMIT, EXPLAIN_LIMIT_MAX, &limit) &&
	    tn_http_view_request(r, &q, params)) {
		tn_http_hold(r);
		tn_serving_explain(r->h->o.serving, &q, explained, r);
		return;
	}
	tn_http_ready(r);
}

/* ---- SQL ------------------------------------------------------------- */

/* {"sql":"...","format":"csv","layer":"batch"} */
static bool
sql_of_json(struct request *r, struct tn_serving_sql_request *q,
    struct tn_slice *format, struct tn_slice *layer)
{
	struct tn_diag d = { .line = 0 };
	struct tn_json *o;
	const struct tn_json *m;
	enum tn_status st = tn_codec_json_parse(tn_http_arena(r),
	    (struct tn_slice){ r->body.p, r->body.n }, &o, &d);

	if (st != TN_OK) {
		tn_http_problem(r, tn_http_code_of(st, &d), &d);
		return false;
	}
	m = tn_codec_json_get(o, "sql");
	if (m == NULL || m->kind != TN_JSON_STRING) {
		tn_http_fail(r, 400, "bad_request", NULL,
		    "the object needs a member \"sql\", a string");
		return false;
	}
	q->text = m->text;
	m = tn_codec_json_get(o, "format");
	if (m != NULL && m->kind == TN_JSON_STRING)
		*format = m->text;
	m = tn_codec_json_get(o, "layer");
	if (m != NULL && m->kind == TN_JSON_STRING)
		*layer = m->text;
	return true;
}

static bool
sql_request(struct request *r, struct tn_serving_sql_request *q)
{
	struct tn_slice format = tn_http_param(r, "format");
	struct tn_slice layer = tn_http_param(r, "layer");
	char media[64];

	q->text = (struct tn_slice){ r->body.p, r->body.n };
	if (!tn_http_media(r->head.type, media)) {
		tn_http_fail(r, 415, "unsupported_media_type", NULL,
		    "send SQL in UTF-8");
		return false;
	}
	if (strcmp(media, "application/json") == 0 &&
	    !sql_of_json(r, q, &format, &layer))
		return false;
	if (q->text.n > r->h->o.sql_bytes_max) {
		tn_http_fail(r, 413, "sql_too_long", NULL, "a query may have "
		    "%zu bytes", r->h->o.sql_bytes_max);
		return false;
	}
	if (!tn_utf8_valid(q->text.p, q->text.n) ||
	    (q->text.n > 0 && memchr(q->text.p, 0, q->text.n) != NULL)) {
		tn_http_fail(r, 400, "bad_text", NULL,
		    "the query is not UTF-8 text, or has a NUL");
		return false;
	}
	if (!choose_rows(r, format) || !choose_layer(r, layer, &q->layer))
		return false;
	q->format = r->rows;
	return true;
}

void
tn_http_run_sql(struct request *r)
{
	struct tn_serving_sql_request q = { .text = { NULL, 0 } };

	bool good = sql_request(r, &q);
	bool call = good && r->h->o.calls.run != NULL &&
	    (tn_sql_is_call(q.text) || tn_sql_is_copy(q.text) ||
	    tn_sql_is_delete(q.text) || tn_sql_is_alter(q.text));

	if (!good || (call && !tn_http_may_admin(r))) {
		tn_http_ready(r);
		return;
	}
	tn_http_hold(r);
	if (call)
		r->h->o.calls.run(r->h->o.calls.arg, &q, answered, r);
	else {
		q.left = &r->left;
		tn_serving_sql(r->h->o.serving, &q, answered, r);
	}
}

/* ---- rows of streams ------------------------------------------------- */

static bool
know_stream(struct request *r)
{
	if (tn_serving_stream_find(r->h->o.model, r->var) >= 0)
		return true;
	tn_http_fail(r, 404, "unknown_stream", "GET /api/v1/streams lists "
	    "them", "there is no stream \"%.*s\"", (int)(r->var.n > 63 ? 63 :
	    r->var.n), (const char *)r->var.p);
	return false;
}

void
tn_http_run_quarantine(struct request *r)
{
	static const char *const known[] = { "limit", "before", NULL };
	uint64_t limit, before;

	if (!know_stream(r) || !tn_http_only_params(r, known) ||
	    !tn_http_limit(r, 100, TN_SERVING_FATES_MAX, &limit) ||
	    !tn_http_number(r, "before", 0, UINT64_MAX, &before)) {
		tn_http_ready(r);
		return;
	}
	r->rows = TN_FORMAT_JSON;
	tn_http_hold(r);
	tn_serving_quarantine(r->h->o.serving, r->var, (uint32_t)limit,
	    before, answered, r);
}

void
tn_http_run_recent(struct request *r)
{
	static const char *const known[] = { "limit", NULL };
	uint64_t limit;

	if (!know_stream(r) || !tn_http_only_params(r, known) ||
	    !tn_http_limit(r, 100, TN_SERVING_FATES_MAX, &limit)) {
		tn_http_ready(r);
		return;
	}
	r->rows = TN_FORMAT_JSON;
	tn_http_hold(r);
	tn_serving_recent(r->h->o.serving, r->var, (uint32_t)limit, answered,
	    r);
}
