/* GET of a view: the request checked on the loop, merged on the pool. */
#include "serving/serving_int.h"

#include <stdio.h>
#include <string.h>

static enum tn_status
merge(struct request *r, struct tn_exec_fold **out)
{
	struct tn_diag *d = &r->answer->diag;
	enum tn_status st = TN_OK;

	if (r->past.kind != PAST_NOT) {
		st = tn_serving_past_begin(r, d);
		if (st == TN_OK)
			st = tn_serving_past_fold(r, d);
		if (st != TN_OK)
			return st;
	}
	*out = tn_serving_merge(r, d);
	st = *out == NULL ? tn_serving_merge_failed(d) :
	    tn_serving_settle_request(r, *out, d);
	return st == TN_OK ? tn_serving_awaited(r->left) : st;
}

static void
work_view(struct request *r)
{
	struct tn_serving_answer *a = r->answer;
	struct tn_exec_fold *merged = NULL;

	a->batch_lsn = r->ask.base->lsn;
	a->lsn = r->layer == TN_LAYER_BATCH ? r->ask.base->lsn : r->ask.last;
	a->status = merge(r, &merged);
	if (tn_serving_ask_again(r, a->status)) {
		tn_exec_fold_free(merged);
		return;
	}
	if (a->status == TN_OK)
		tn_serving_encode_view(r, merged);
	tn_exec_fold_free(merged);
	tn_serving_request_end(r);
}

static char *
cache_key(struct request *r, const struct tn_serving_view_request *q)
{
	struct tn_buf b = { 0 };
	char *key;

	tn_buf_printf(&b, "v%d %d %d %u %d", r->view, (int)q->layer,
	    (int)q->format, (unsigned)r->limit, (int)q->newest_first);
	tn_buf_printf(&b, " @%lld", r->past.kind == PAST_LSN ?
	    (long long)r->past.value : -1ll);
	tn_buf_printf(&b, " >%lld", (long long)tn_serving_gold_floor(r->s,
	    (uint32_t)r->view));
	for (uint32_t i = 0; i < q->param_count; i++) {
		/* A relative time is another one at every instant. */
		if (q->params[i].value.n >= 3 &&
		    memcmp(q->params[i].value.p, "now", 3) == 0) {
			tn_buf_fini(&b);
			return NULL;
		}
		tn_buf_printf(&b, " %zu:", q->params[i].name.n);
		tn_buf_add(&b, q->params[i].name.p, q->params[i].name.n);
		tn_buf_printf(&b, "%zu:", q->params[i].value.n);
		tn_buf_add(&b, q->params[i].value.p, q->params[i].value.n);
	}
	key = tn_arena_strndup(r->arena, tn_buf_cstr(&b), b.n);
	/* A NUL in a value would make two requests look the same. */
	if (strlen(key) != b.n)
		key = NULL;
	tn_buf_fini(&b);
	return key;
}

/* The same answer again, later in this turn. */
struct hit {
	struct tn_net_job job;
	struct tn_serving_answer *answer;
	void (*done)(void *arg, struct tn_serving_answer *a);
	void *arg;
};

static void
run_hit(struct tn_net_job *job)
{
	struct hit *h = (struct hit *)job;

	h->done(h->arg, h->answer);
	tn_free(h);
}

static bool
answer_from_cache(struct request *r)
{
	struct tn_serving_answer *a;
	struct hit *h;

	if (r->key == NULL)
		return false;
	a = tn_serving_cache_get(r->s, r->key);
	if (a == NULL)
		return false;
	h = tn_zalloc(sizeof *h);
	h->job.run = run_hit;
	h->answer = a;
	h->done = r->done;
	h->arg = r->arg;
	tn_net_loop_post(r->s->o.loop, &h->job);
	tn_serving_request_free(r);
	return true;
}

static enum tn_status
parse_as_of(struct request *r, const struct tn_serving_view_request *q,
    struct tn_diag *d)
{
	if (q->layer == TN_LAYER_MERGED)
		return tn_serving_past_parse(r, q->as_of) ? TN_OK : TN_EINVAL;
	tn_diag_hint(d, "leave layer out");
	return tn_diag_set(d, TN_EINVAL, "bad_as_of",
	    "the layers were not kept apart: as_of is of both");
}

void
tn_serving_view_get(struct tn_serving *s,
    const struct tn_serving_view_request *q,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	struct request *r = tn_serving_request_new(s);
	struct tn_diag *d = &r->answer->diag;

	tn_assert(tn_net_on_loop());
	r->done = done;
	r->arg = arg;
	r->layer = q->layer;
	r->format = q->format;
	r->limit = q->limit == 0 || q->limit > s->o.rows_max ?
	    s->o.rows_max : q->limit;
	r->newest_first = q->newest_first;
	r->left = q->left;
	r->view = tn_serving_view_find(s->o.model, q->view);
	if (r->view < 0) {
		tn_serving_request_fail(r, TN_ENOTFOUND, "unknown_view",
		    "there is no such view",
		    "GET /api/v1/views lists the views");
		return;
	}
	r->answer->status = tn_serving_bounds(r, q->params, q->param_count,
	    d);
	if (r->answer->status == TN_OK && q->as_of.p != NULL)
		r->answer->status = parse_as_of(r, q, d);
	if (r->answer->status != TN_OK) {
		tn_serving_request_end(r);
		return;
	}
	/* A block received by that time may still be on its way. */
	if (r->past.kind != PAST_TIME)
		r->key = cache_key(r, q);
	if (answer_from_cache(r) || tn_serving_request_refused(r))
		return;
	r->work = work_view;
	r->ask.view = r->view;
	r->ask.want_fold = q->layer != TN_LAYER_BATCH &&
	    r->past.kind == PAST_NOT;
	r->ask.bounds = r->bounds;
	r->ask.bound_count = r->bound_count;
	tn_serving_request_ask(r);
}
