/* A request's way over three threads, and the serving object itself.
 *
 *   loop        make the request, look in the cache
 *   speed       ask: base snapshot, frozen references, a clone of the tail
 *   pool        work: merge, finish, encode
 *   loop        finished: keep in the cache, done()
 *
 * What can go wrong: the pool is full, more than IN_FLIGHT_MAX requests each
 * hold a clone of states, or the memory budget grants no more (TN_EFULL, the
 * door says 503); the program stops (TN_ECLOSED). */
#include "serving/serving_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define IN_FLIGHT_MAX 512
#define GROUP_ROWS 122880    /* Of a row group, at most. */
#define LEFT "left"          /* Nobody waits for the answer: none sees it. */

static void
set_defaults(struct tn_serving_opts *o)
{
	if (o->cache_bytes == 0)
		o->cache_bytes = 16 << 20;
	if (o->gold_bytes == 0)
		o->gold_bytes = 128 << 20;
	if (o->query_bytes == 0)
		o->query_bytes = 256 << 20;
	if (o->rows_max == 0)
		o->rows_max = 100000;
	if (o->live_ms == 0)
		o->live_ms = 100;
	if (o->live_max == 0)
		o->live_max = 256;
}

struct tn_serving *
tn_serving_new(const struct tn_serving_opts *o)
{
	struct tn_serving *s = tn_zalloc(sizeof *s);

	s->o = *o;
	set_defaults(&s->o);
	s->lock = tn_net_lock_new();
	tn_serving_published(s);
	s->cache_hits = tn_counter_get(TN_COUNTER,
	    "tarn_result_cache_hits_total", NULL,
	    "Answers taken from the result cache.");
	s->cache_misses = tn_counter_get(TN_COUNTER,
	    "tarn_result_cache_misses_total", NULL,
	    "Answers that had to be computed.");
	s->seconds = tn_histogram_get("tarn_query_seconds", NULL,
	    "From a request for rows to its answer.");
	s->floors = tn_alloc((o->model->stream_count + 1) *
	    sizeof *s->floors);
	for (uint32_t i = 0; i < o->model->stream_count; i++)
		s->floors[i] = INT64_MIN;
	s->retired = tn_zalloc((o->model->stream_count + 1) *
	    sizeof *s->retired);
	tn_serving_kept_new(s);
	s->recomputed = tn_zalloc((tn_serving_view_slots(o->model) + 1) *
	    sizeof *s->recomputed);
	tn_serving_live_start(s);
	return s;
}

void
tn_serving_free(struct tn_serving *s)
{
	if (s == NULL)
		return;
	tn_serving_live_stop(s);
	tn_serving_cache_free(s);
	tn_serving_gold_free(s);
	tn_net_lock_free(s->lock);
	tn_free(s->recomputed);
	tn_free(s->floors);
	tn_free(s->retired);
	tn_free(s->kept);
	tn_free(s);
}

void
tn_serving_advance(struct tn_serving *s, uint64_t lsn)
{
	__atomic_store_n(&s->lsn, lsn, __ATOMIC_RELEASE);
}

void
tn_serving_published(struct tn_serving *s)
{
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    s->o.catalog);

	__atomic_store_n(&s->sequence, now->sequence, __ATOMIC_RELEASE);
	tn_catalog_snapshot_put(now);
}

uint64_t
tn_serving_lsn(const struct tn_serving *s)
{
	return __atomic_load_n(&s->lsn, __ATOMIC_ACQUIRE);
}

/* ---- requests -------------------------------------------------------- */

struct request *
tn_serving_request_new(struct tn_serving *s)
{
	struct tn_arena *a = tn_arena_new(8192);
	struct request *r = tn_arena_zalloc(a, sizeof *r);

	r->arena = a;
	r->s = s;
	r->begun_us = tn_os_mono_us();
	r->view = -1;
	r->stream = -1;
	r->ask.view = -1;
	r->held.class = TN_BUDGET_QUERIES;
	r->ask.held.class = TN_BUDGET_QUERIES;
	r->answer = tn_serving_answer_new();
	s->in_flight++;
	r->finished = tn_serving_finish_plain;
	return r;
}

void
tn_serving_ask_fini(struct tn_serving_ask *a)
{
	tn_exec_fold_free(a->fold);
	a->fold = NULL;
	tn_exec_fold_free(a->touched);
	a->touched = NULL;
	tn_serving_refs_fini(&a->refs);
	tn_catalog_snapshot_put(a->base);
	a->base = NULL;
	tn_budget_set(&a->held, 0);
}

void
tn_serving_request_free(struct request *r)
{
	tn_serving_ask_fini(&r->ask);
	tn_serving_past_end(r);
	tn_serving_answer_unref(r->answer);
	r->s->in_flight--;
	tn_budget_set(&r->held, 0);
	tn_arena_free(r->arena);
}

struct tn_serving_answer *
tn_serving_answer_new(void)
{
	struct tn_serving_answer *a = tn_zalloc(sizeof *a);

	a->refs = 1;
	a->held.class = TN_BUDGET_QUERIES;
	return a;
}

void
tn_serving_answer_unref(struct tn_serving_answer *a)
{
	if (a == NULL)
		return;
	if (__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	tn_budget_set(&a->held, 0);
	tn_buf_fini(&a->body);
	tn_free(a);
}

static void
run_finished(struct tn_net_job *job)
{
	struct request *r = REQUEST_OF(job);

	r->finished(r);
}

/* The text of an answer lives until its reader has it: it counts, too. */
static void
count_answer(struct tn_serving_answer *a)
{
	if (a->status == TN_OK && !tn_budget_try(&a->held, a->body.cap)) {
		tn_buf_fini(&a->body);
		a->status = tn_budget_refuse(&a->diag);
	}
}

enum tn_status
tn_serving_request_room(struct request *r, size_t bytes, struct tn_diag *d)
{
	return tn_budget_try(&r->held, bytes) ? TN_OK : tn_budget_refuse(d);
}

enum tn_status
tn_serving_merge_failed(const struct tn_diag *d)
{
	return strcmp(d->code, "memory_full") == 0 ? TN_EFULL :
	    strcmp(d->code, LEFT) == 0 ? TN_ECLOSED : TN_EIO;
}

/* Four times its packed size, of at most a row group. */
size_t
tn_serving_read_bytes(const struct tn_catalog_file *f)
{
	double part = f->rows > GROUP_ROWS ?
	    (double)GROUP_ROWS / (double)f->rows : 1;

	return (size_t)((double)f->bytes * part * 4);
}

/* ---- an asker that has gone ------------------------------------------ */

enum tn_status
tn_serving_awaited(const _Atomic bool *left)
{
	return left != NULL && *left ? TN_ECLOSED : TN_OK;
}

static enum tn_status
say_left(struct tn_diag *d)
{
	return tn_diag_set(d, TN_ECLOSED, LEFT,
	    "nobody waits for the answer any more");
}

enum tn_status
tn_serving_request_awaited(const struct request *r, struct tn_diag *d)
{
	return tn_serving_awaited(r->left) == TN_OK ? TN_OK : say_left(d);
}

/* ---- its end --------------------------------------------------------- */

void
tn_serving_request_end(struct request *r)
{
	struct tn_serving_answer *a = r->answer;

	if (a->status == TN_ECLOSED && a->diag.message[0] == '\0')
		a->status = say_left(&a->diag);
	count_answer(a);
	r->job.run = run_finished;
	tn_net_loop_post(r->s->o.loop, &r->job);
}

void
tn_serving_request_fail(struct request *r, enum tn_status st,
    const char *code, const char *message, const char *hint)
{
	r->answer->status = tn_diag_set(&r->answer->diag, st, code, "%s",
	    message);
	tn_diag_hint(&r->answer->diag, "%s", hint);
	tn_serving_request_end(r);
}

void
tn_serving_no_memory(struct tn_serving_answer *a)
{
	a->status = tn_diag_set(&a->diag, TN_ENOMEM, "memory_full",
	    "memory is out for the rows of the answer");
	tn_diag_hint(&a->diag, "ask again later, or for fewer rows");
}

static void
run_work(struct tn_net_job *job)
{
	struct request *r = REQUEST_OF(job);

	if (tn_serving_awaited(r->left) == TN_OK) {
		r->work(r);
		return;
	}
	r->answer->status = TN_ECLOSED;
	tn_serving_request_end(r);
}

void
tn_serving_request_pool(struct request *r)
{
	r->job.run = run_work;
	if (tn_net_pool_post(r->s->o.pool, &r->job) != TN_OK)
		tn_serving_request_fail(r, TN_EFULL, "overloaded",
		    "too many queries wait already", "ask again in a second");
}

bool
tn_serving_request_refused(struct request *r)
{
	if (r->s->in_flight <= IN_FLIGHT_MAX)
		return false;
	tn_serving_request_fail(r, TN_EFULL, "overloaded",
	    "too many queries wait already", "ask again in a second");
	return true;
}

static void
refuse(struct request *r)
{
	r->answer->status = tn_budget_refuse(&r->answer->diag);
	tn_serving_request_end(r);
}

static void
asked(struct tn_serving_ask *ask)
{
	struct request *r = (struct request *)ask;

	if (ask->base == NULL)
		tn_serving_request_fail(r, TN_ECLOSED, "stopping",
		    "the program is stopping", "ask again when it runs");
	else if (ask->refused)
		refuse(r);
	else if (ask->gone)
		tn_serving_request_fail(r, TN_EFULL, "view_changed",
		    "the definition of the view has just changed",
		    "ask again");
	else
		tn_serving_request_pool(r);
}

void
tn_serving_request_ask(struct request *r)
{
	r->ask.done = asked;
	r->s->o.speed.ask(r->s->o.speed.speed, &r->ask);
}

/* The usual end: keep it, hand it over. */
void
tn_serving_finish_plain(struct request *r)
{
	struct tn_serving_answer *a = r->answer;

	tn_assert(tn_net_on_loop());
	if (a->status == TN_OK && r->key != NULL && r->ask.base != NULL)
		tn_serving_cache_put(r->s, r->key, a, r->ask.base->sequence,
		    r->past.kind != PAST_NOT);
	tn_histogram_add_us(r->s->seconds,
	    (uint64_t)(tn_os_mono_us() - r->begun_us));
	r->answer = NULL;
	r->done(r->arg, a);
	tn_serving_request_free(r);
}
