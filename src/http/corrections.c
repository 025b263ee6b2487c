/* GET /api/v1/views/{view}/corrections: published numbers that a batch run
 * changed.
 *
 *   {"corrections":[{"run":7,"at":"2026-03-01T08:00:30Z","key":{"office":
 *   "berlin","hour":"2026-03-01T06:00:00Z"},"column":"visits","old":4,
 *   "new":5},...]}
 *
 * from and to are on the row's time bucket, as those of the view itself; of a
 * view that has none, on when the run changed it.
 *
 * They change with a publication only, so the ETag is made of the catalog's
 * sequence and of what was asked: "<view>-corrections-<hash>". */
#include "http/http_int.h"

#define LIMIT 100
#define LIMIT_MAX 1000

enum { FROM, TO, COUNT };                /* Places in r->number. */

static void
put_correction(struct tn_buf *out, const struct tn_catalog_correction *x)
{
	tn_buf_printf(out, "{\"run\":%llu,\"at\":",
	    (unsigned long long)x->run);
	tn_http_put_time(out, x->at_us);
	tn_buf_str(out, ",\"key\":");
	tn_buf_str(out, x->key);
	tn_buf_str(out, ",\"column\":");
	tn_http_put_str(out, x->column);
	tn_buf_str(out, ",\"old\":");
	tn_buf_str(out, x->before);
	tn_buf_str(out, ",\"new\":");
	tn_buf_str(out, x->after);
	tn_buf_char(out, '}');
}

static void
corrections_work(struct request *r)
{
	struct tn_catalog_corrections_of q = {
		.view = r->h->o.model->views[r->view].id,
		.from_us = (int64_t)r->number[FROM],
		.to_us = (int64_t)r->number[TO],
		.limit = (uint32_t)r->number[COUNT],
	};
	struct tn_arena *a = tn_arena_new(8192);
	struct tn_catalog_correction *list;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_corrections(r->h->o.catalog, &q, a,
	    &list, &count);

	if (st != TN_OK) {
		tn_http_catalog_failed(r, st);
		tn_arena_free(a);
		return;
	}
	tn_buf_str(&r->out, "{\"corrections\":[");
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			tn_buf_char(&r->out, ',');
		put_correction(&r->out, &list[i]);
	}
	tn_buf_str(&r->out, "]}");
	tn_http_json(r, 200);
	if (r->text != NULL)
		tn_http_etag(r, r->text);
	tn_arena_free(a);
}

static bool
take_time(struct request *r, const char *name, int64_t standard,
    uint64_t *out)
{
	struct tn_slice s = tn_http_param(r, name);
	int64_t us = standard;

	if (s.p != NULL && !tn_serving_time(s, &us)) {
		tn_http_fail(r, 400, "bad_filter", "times are like "
		    "2026-03-01T08:00:00Z, 2026-03-01 or now-24h",
		    "\"%.*s\" is no value for \"%s\"",
		    (int)(s.n > 60 ? 60 : s.n), (const char *)s.p, name);
		return false;
	}
	*out = (uint64_t)us;
	return true;
}

/* The ETag is made before the catalog is asked: should a run publish in
 * between, the next question has another one and is answered in full. */
static bool
unchanged(struct request *r)
{
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    r->h->o.catalog);
	uint64_t hash = tn_http_question(r, now->sequence);

	tn_catalog_snapshot_put(now);
	if (hash == 0)
		return false;
	r->text = tn_arena_printf(tn_http_arena(r),
	    "\"%s-corrections-%016llx\"",
	    r->h->o.model->views[r->view].def->name,
	    (unsigned long long)hash);
	if (r->head.none_match.p == NULL ||
	    !tn_http_etag_matches(r->head.none_match, r->text))
		return false;
	tn_http_etag(r, r->text);
	tn_http_say(r, 304, NULL);
	return true;
}

void
tn_http_run_corrections(struct request *r)
{
	static const char *const known[] = { "from", "to", "limit", NULL };

	r->view = tn_http_view_of(r);
	if (r->view >= 0 && tn_http_only_params(r, known) &&
	    take_time(r, "from", INT64_MIN, &r->number[FROM]) &&
	    take_time(r, "to", INT64_MAX, &r->number[TO]) &&
	    tn_http_limit(r, LIMIT, LIMIT_MAX, &r->number[COUNT]) &&
	    !unchanged(r))
		tn_http_work(r, corrections_work);
	else
		tn_http_ready(r);
}
