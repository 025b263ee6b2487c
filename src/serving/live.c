/* Live subscribers. For every view with subscribers a timer asks the speed
 * layer which groups changed; their merged rows are computed once and encoded
 * once for each distinct set of filters.
 *
 *   open -> snapshot asked -> snapshot sent -> rows, cut, rows, ...
 *
 * A patch that is ready before a subscriber's snapshot is not sent: when the
 * snapshot turns out to be older than it, a second one is asked for. The same
 * when the speed layer does not know what changed, and for views with HAVING,
 * where a changed row may have to go. A snapshot that fails (overload) is
 * asked for again after a second. Rows carry whole values, not differences,
 * so a repeated row does no harm.
 *
 * When a definition changes its subscribers go over to the new one and begin
 * with a snapshot; when the view is dropped, or does not take their filters,
 * {"type":"gone"} is the last they hear.
 *
 * A view whose groups outgrew holistic_state_bytes is computed from rows anew
 * for each patch. After that took d, the view rests for 10 d, so that a feed
 * takes a tenth of a processor at most. */
#include "serving/serving_int.h"

#include <string.h>

#include "os/os.h"

#define RETRY_US 1000000
#define REST 10

struct tn_serving_live {
	struct tn_serving_live *next;
	struct tn_serving *s;
	int view;
	struct tn_serving_view_request q;
	struct tn_arena *arena;         /* Copies of the params. */
	void (*message)(void *arg, struct tn_slice json);
	void *arg;
	bool waiting;                   /* Its snapshot is not there yet. */
	uint64_t need;                  /* Least LSN that it must have. */
	uint64_t have;                  /* LSN of the last one sent. */
	int64_t asked_us;
	int64_t retry_us;               /* Ask (again) then; or 0. */
	bool closed;                    /* Freed when the snapshot is back. */
};
struct live_view {
	struct tn_serving_live *subscribers;
	bool asking;
	uint64_t lsn;                   /* Of the last patch. */
	int64_t rest_us;                /* Until then. */
	int64_t floor;                  /* Of its numbers, as was shown. */
};

static void tick(void *arg);
static void follow_changes(struct tn_serving *s);

void
tn_serving_live_start(struct tn_serving *s)
{
	s->live = tn_zalloc((tn_serving_view_slots(s->o.model) + 1) *
	    sizeof *s->live);
	s->live_timer = tn_net_timer_new(s->o.loop, tick, s);
}

static void
free_all(struct tn_serving_live **list)
{
	while (*list != NULL) {
		struct tn_serving_live *l = *list;
		*list = l->next;
		tn_arena_free(l->arena);
	}
}

void
tn_serving_live_stop(struct tn_serving *s)
{
	for (uint32_t v = 0; v < s->o.model->view_count; v++)
		free_all(&s->live[v].subscribers);
	free_all(&s->left);
	tn_net_timer_free(s->live_timer);
	tn_free(s->live);
}

/* ---- snapshots ------------------------------------------------------- */

static void ask_snapshot(struct tn_serving_live *l);

static void
rest(struct live_view *w, int64_t spent_us)
{
	int64_t now = tn_os_mono_us();

	if (spent_us <= 0)
		return;
	if (w->rest_us < now)
		w->rest_us = now;
	w->rest_us += spent_us * REST;
}

/* Now, or when the view has rested. */
static void
want_snapshot(struct tn_serving_live *l)
{
	const struct live_view *w = &l->s->live[l->view];

	if (w->rest_us > tn_os_mono_us())
		l->retry_us = w->rest_us;
	else
		ask_snapshot(l);
}

static void
snapshot_ready(void *arg, struct tn_serving_answer *a)
{
	struct tn_serving_live *l = arg;
	struct live_view *w = &l->s->live[l->view];
	int64_t now = tn_os_mono_us();
	struct tn_buf b = { 0 };
	bool said = false;

	/* One from the cache took no time now. */
	rest(w, a->recompute_us < now - l->asked_us ? a->recompute_us :
	    now - l->asked_us);
	if (!l->closed && a->status == TN_OK) {
		/* {"view":...} becomes {"type":"snapshot","view":...}. */
		tn_buf_str(&b, "{\"type\":\"snapshot\",");
		tn_buf_add(&b, a->body.p + 1, a->body.n - 1);
		said = !b.failed;
	}
	if (said) {
		l->have = a->lsn;
		/* It may close us: still waiting, so it does not free us. */
		l->message(l->arg, (struct tn_slice){ b.p, b.n });
	}
	tn_buf_fini(&b);
	l->waiting = false;
	if (!said)
		l->retry_us = w->rest_us > now + RETRY_US ? w->rest_us :
		    now + RETRY_US;
	tn_serving_answer_unref(a);
	if (l->closed)
		tn_arena_free(l->arena);
	else if (l->retry_us == 0 && l->have < l->need)
		want_snapshot(l);
}

static void
ask_snapshot(struct tn_serving_live *l)
{
	l->waiting = true;
	l->retry_us = 0;
	l->asked_us = tn_os_mono_us();
	tn_serving_view_get(l->s, &l->q, snapshot_ready, l);
}

/* Deep, into ${a}. */
static const struct tn_serving_param *
copy_params(struct tn_arena *a, const struct tn_serving_view_request *r)
{
	struct tn_serving_param *p = tn_arena_alloc(a,
	    (r->param_count + 1ul) * sizeof *p);

	for (uint32_t i = 0; i < r->param_count; i++) {
		p[i].name.n = r->params[i].name.n;
		p[i].name.p = (const uint8_t *)tn_arena_strndup(a,
		    (const char *)r->params[i].name.p, r->params[i].name.n);
		p[i].value.n = r->params[i].value.n;
		p[i].value.p = (const uint8_t *)tn_arena_strndup(a,
		    (const char *)r->params[i].value.p,
		    r->params[i].value.n);
	}
	return p;
}

static void
copy_request(struct tn_serving_live *l,
    const struct tn_serving_view_request *r)
{
	l->q = *r;
	l->q.format = TN_FORMAT_JSON;
	l->q.layer = TN_LAYER_MERGED;
	l->q.view = tn_slice_of(
	    l->s->o.model->views[l->view].def->name);
	l->q.params = copy_params(l->arena, r);
}

/* Would the filters be taken? Checked before anything is kept. */
static enum tn_status
try_filters(struct tn_serving *s, int view,
    const struct tn_serving_view_request *q, struct tn_diag *d)
{
	struct request *r = tn_serving_request_new(s);
	enum tn_status st;

	r->view = view;
	st = tn_serving_bounds(r, q->params, q->param_count, d);
	tn_serving_request_free(r);
	return st;
}

struct tn_serving_live *
tn_serving_live_open(struct tn_serving *s,
    const struct tn_serving_view_request *q,
    void (*message)(void *arg, struct tn_slice json), void *arg,
    struct tn_diag *d)
{
	struct tn_arena *a;
	struct tn_serving_live *l;
	enum tn_status st;
	int view;

	tn_assert(tn_net_on_loop());
	/* Before the view is looked for: a change that comes in between is
	 * then one that the next tick sees, and takes this subscriber along. */
	follow_changes(s);
	view = tn_serving_view_find(s->o.model, q->view);
	if (view < 0)
		st = tn_diag_set(d, TN_ENOTFOUND, "unknown_view",
		    "there is no view \"%.*s\"",
		    (int)(q->view.n > 63 ? 63 : q->view.n), q->view.p);
	else if (q->as_of.p != NULL)
		st = tn_diag_set(d, TN_EINVAL, "bad_as_of",
		    "what was does not change: as_of is not for live");
	else if (s->live_count >= s->o.live_max)
		st = tn_diag_set(d, TN_EFULL, "too_many_subscribers",
		    "%u live subscriptions are open already",
		    (unsigned)s->live_count);
	else
		st = try_filters(s, view, q, d);
	if (st != TN_OK)
		return NULL;
	a = tn_arena_new(1024);
	l = tn_arena_zalloc(a, sizeof *l);
	l->arena = a;
	l->s = s;
	l->view = view;
	l->message = message;
	l->arg = arg;
	copy_request(l, q);
	if (s->live[view].subscribers == NULL)
		s->live[view].floor = tn_serving_gold_floor(s,
		    (uint32_t)view);
	l->next = s->live[view].subscribers;
	s->live[view].subscribers = l;
	if (s->live_count++ == 0) {
		s->live_sequence = __atomic_load_n(&s->sequence,
		    __ATOMIC_ACQUIRE);
		tn_net_timer_start(s->live_timer, s->o.live_ms,
		    s->o.live_ms);
	}
	ask_snapshot(l);
	return l;
}

static bool
take_out(struct tn_serving_live **at, const struct tn_serving_live *l)
{
	while (*at != NULL && *at != l)
		at = &(*at)->next;
	if (*at == NULL)
		return false;
	*at = l->next;
	return true;
}

void
tn_serving_live_close(struct tn_serving_live *l)
{
	struct tn_serving *s;

	if (l == NULL)
		return;
	s = l->s;
	if (!take_out(&s->live[l->view].subscribers, l))
		(void)take_out(&s->left, l);
	if (--s->live_count == 0)
		tn_net_timer_stop(s->live_timer);
	if (l->waiting)
		l->closed = true;
	else
		tn_arena_free(l->arena);
}

/* ---- patches --------------------------------------------------------- */

/* What the subscribers of one set of filters are told. Its text is made on the
 * pool: it may be of a hundred thousand rows. */
struct patch {
	struct patch *next;
	const struct tn_serving_param *params;
	uint32_t param_count;
	struct tn_exec_bound *bounds;
	uint32_t bound_count;
	struct tn_buf text;             /* Empty: no row of theirs changed. */
};

/* Rows alone do not tell what changed. */
static bool
by_snapshot(const struct request *r)
{
	return r->ask.lost ||
	    r->s->o.model->views[r->view].def->select->having != NULL;
}

static bool
same_params(const struct patch *p, const struct tn_serving_view_request *q)
{
	if (p->param_count != q->param_count)
		return false;
	for (uint32_t i = 0; i < q->param_count; i++)
		if (!tn_slice_eq(p->params[i].name, q->params[i].name) ||
		    !tn_slice_eq(p->params[i].value, q->params[i].value))
			return false;
	return true;
}

static struct patch *
patch_of(const struct request *r, const struct tn_serving_view_request *q)
{
	struct patch *p = r->patches;

	while (p != NULL && !same_params(p, q))
		p = p->next;
	return p;
}

/* On the loop: the filters of those who listen now. Who comes later has a
 * snapshot to wait for. */
static void
note_filters(struct request *r, const struct tn_serving_live *l)
{
	struct tn_diag d = { .line = 0 };
	struct patch *p;
	enum tn_status st;

	for (; l != NULL; l = l->next) {
		if (patch_of(r, &l->q) != NULL)
			continue;
		p = tn_arena_zalloc(r->arena, sizeof *p);
		p->params = copy_params(r->arena, &l->q);
		p->param_count = l->q.param_count;
		r->bound_count = 0;
		st = tn_serving_bounds(r, p->params, p->param_count, &d);
		tn_assert(st == TN_OK);     /* Checked when it was opened. */
		p->bound_count = r->bound_count;
		p->bounds = tn_arena_alloc(r->arena,
		    (p->bound_count + 1ul) * sizeof *p->bounds);
		memcpy(p->bounds, r->bounds,
		    p->bound_count * sizeof *p->bounds);
		p->next = r->patches;
		r->patches = p;
	}
	r->bound_count = 0;
}

static void
encode_patch(struct request *r, struct patch *p)
{
	static const char head[] = "{\"type\":\"rows\"";
	struct tn_buf *out = &p->text;
	struct tn_exec_fold *part;
	struct tn_batch *b;
	bool first = true;

	memcpy(r->bounds, p->bounds, p->bound_count * sizeof *p->bounds);
	r->bound_count = p->bound_count;
	r->kept = NULL;
	tn_serving_keep(r, r->ask.base);
	part = tn_exec_fold_clone(r->ask.fold, r->bounds, r->bound_count);
	if (tn_exec_fold_groups(part) > 0) {
		b = tn_exec_fold_finish(part, NULL);
		tn_buf_str(out, head);
		tn_serving_encode_begin(out,
		    r->s->o.model->views[r->view].def->name, b->schema);
		/* {"type":"rows"{"view" becomes {"type":"rows","view". */
		if (out->n >= sizeof head)
			out->p[sizeof head - 1] = ',';
		tn_codec_json_rows(out, b, &first);
		tn_buf_printf(out, "],\"lsn\":%llu,\"batch_lsn\":%llu}",
		    (unsigned long long)r->answer->lsn,
		    (unsigned long long)r->answer->batch_lsn);
		tn_record_batch_unref(b);
	}
	tn_exec_fold_free(part);
}

/* A text that memory has no room for is left out: see missed(). */
static void
encode_patches(struct request *r)
{
	size_t bytes = r->held.bytes;

	for (struct patch *p = r->patches; p != NULL; p = p->next) {
		encode_patch(r, p);
		bytes += p->text.cap;
		if (!p->text.failed && !tn_budget_try(&r->held, bytes))
			p->text.failed = true;
		if (!p->text.failed)
			continue;
		bytes -= p->text.cap;
		tn_buf_fini(&p->text);
		p->text.failed = true;
	}
}

/* On the pool: changed groups with their whole merged states, and the texts. */
static void
work_patch(struct request *r)
{
	const struct tn_serving_view *v = &r->s->o.model->views[r->view];
	struct tn_serving_answer *a = r->answer;

	a->lsn = r->ask.last;
	a->batch_lsn = r->ask.base->lsn;
	if (tn_exec_fold_groups(r->ask.touched) > 0 && !by_snapshot(r)) {
		a->status = tn_serving_merge_keys(r->s, v, r->ask.base,
		    r->ask.touched, r->ask.fold, &a->diag);
		if (a->status == TN_OK)
			a->status = tn_serving_settle_request(r,
			    r->ask.fold, &a->diag);
		if (a->status == TN_OK)
			encode_patches(r);
	}
	tn_serving_request_end(r);
}

/* A patch that could not be put into words, or not for them: a snapshot brings
 * it later. */
static void
missed(struct tn_serving_live *l, uint64_t lsn)
{
	l->need = lsn;
	if (l->retry_us == 0)
		l->retry_us = tn_os_mono_us() + RETRY_US;
}

/* Who came while it was made, with filters of their own, has a snapshot. */
static void
send_patch(struct request *r, struct tn_serving_live *l)
{
	const struct patch *p = patch_of(r, &l->q);

	if (p == NULL) {
		l->need = r->answer->lsn;
		if (l->retry_us == 0 && l->have < l->need)
			want_snapshot(l);
	} else if (p->text.failed) {
		missed(l, r->answer->lsn);
	} else if (p->text.n > 0) {
		l->message(l->arg, (struct tn_slice){ p->text.p, p->text.n });
	}
}

static void
patch_ready(struct request *r)
{
	struct live_view *v = &r->s->live[r->view];
	struct tn_serving_answer *a = r->answer;
	bool good = a->status == TN_OK && !by_snapshot(r);
	bool any = a->status != TN_OK || r->ask.lost ||
	    tn_exec_fold_groups(r->ask.touched) > 0;
	struct tn_serving_live *next;

	v->asking = false;
	v->lsn = a->lsn;
	rest(v, a->recompute_us);
	for (struct tn_serving_live *l = v->subscribers; any && l != NULL;
	    l = next) {
		next = l->next;         /* message() may close it. */
		/* A failure: what had changed is known no more. */
		if (!good || l->waiting)
			l->need = a->status == TN_OK ? a->lsn :
			    tn_serving_lsn(r->s);
		if (good && !l->waiting)
			send_patch(r, l);
		else if (!l->waiting && l->retry_us == 0 && l->have < l->need)
			want_snapshot(l);
	}
	for (struct patch *p = r->patches; p != NULL; p = p->next)
		tn_buf_fini(&p->text);
	tn_serving_request_free(r);
}

static void
ask_patch(struct tn_serving *s, uint32_t view)
{
	struct request *r = tn_serving_request_new(s);

	s->live[view].asking = true;
	r->view = (int)view;
	r->ask.view = (int)view;
	r->ask.want_fold = true;
	r->ask.changed_only = true;
	r->work = work_patch;
	r->finished = patch_ready;
	note_filters(r, s->live[view].subscribers);
	tn_serving_request_ask(r);
}

static void
tell_cut(struct tn_serving *s)
{
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    s->o.catalog);
	struct tn_serving_live *next;

	for (uint32_t v = 0; v < s->o.model->view_count; v++)
		for (struct tn_serving_live *l = s->live[v].subscribers;
		    l != NULL; l = next) {
			struct tn_buf b = { 0 };
			next = l->next;
			tn_buf_printf(&b, "{\"type\":\"cut\",\"view\":\"%s\","
			    "\"batch_lsn\":%llu}",
			    s->o.model->views[v].def->name,
			    (unsigned long long)now->lsn);
			l->message(l->arg, (struct tn_slice){ b.p, b.n });
			tn_buf_fini(&b);
		}
	tn_catalog_snapshot_put(now);
}

/* Its view has another definition, or none: from now on it listens to that
 * one, beginning with a snapshot; or is told that it is gone. */
static void
move_subscriber(struct tn_serving_live *l)
{
	struct tn_serving *s = l->s;
	struct tn_diag d = { .line = 0 };
	struct tn_buf b = { 0 };
	int view = tn_serving_view_find(s->o.model, l->q.view);

	if (view >= 0 && try_filters(s, view, &l->q, &d) == TN_OK) {
		l->view = view;
		l->retry_us = 1;         /* With the next tick. */
		l->next = s->live[view].subscribers;
		s->live[view].subscribers = l;
		return;
	}
	l->next = s->left;
	s->left = l;
	l->retry_us = 0;
	tn_buf_printf(&b, "{\"type\":\"gone\",\"view\":\"%.*s\"}",
	    (int)l->q.view.n, (const char *)l->q.view.p);
	l->message(l->arg, (struct tn_slice){ b.p, b.n });
	tn_buf_fini(&b);
}

static void
follow_changes(struct tn_serving *s)
{
	const struct tn_serving_model *m = s->o.model;
	uint64_t changes = __atomic_load_n(&m->changes, __ATOMIC_ACQUIRE);

	if (changes == s->live_changes)
		return;
	s->live_changes = changes;
	for (uint32_t v = 0; v < m->view_count; v++) {
		while (!tn_serving_view_live(m, v) &&
		    s->live[v].subscribers != NULL) {
			struct tn_serving_live *l = s->live[v].subscribers;
			s->live[v].subscribers = l->next;
			move_subscriber(l);
		}
	}
}

void
tn_serving_live_renew(struct tn_serving *s)
{
	__atomic_add_fetch(&s->renewed, 1, __ATOMIC_RELEASE);
}

/* Retention took numbers, or rows were erased: rows that are gone only a
 * snapshot tells. */
static void
follow_floor(const struct tn_serving *s, uint32_t view, bool renewed)
{
	struct live_view *w = &s->live[view];
	int64_t floor = tn_serving_gold_floor(s, view);

	if (floor == w->floor && !renewed)
		return;
	w->floor = floor;
	for (struct tn_serving_live *l = w->subscribers; l != NULL;
	    l = l->next)
		l->retry_us = 1;         /* With this tick. */
}

static void
retry_snapshots(struct live_view *w)
{
	struct tn_serving_live *l = w->subscribers;

	for (; l != NULL; l = l->next)
		if (!l->waiting && l->retry_us != 0 &&
		    l->retry_us <= tn_os_mono_us())
			ask_snapshot(l);
}

static void
tick(void *arg)
{
	struct tn_serving *s = arg;
	uint64_t lsn = tn_serving_lsn(s);
	uint32_t renewed = __atomic_load_n(&s->renewed, __ATOMIC_ACQUIRE);
	uint64_t now = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE);
	bool others = renewed != s->live_renewed;

	s->live_renewed = renewed;
	follow_changes(s);
	for (uint32_t v = 0; v < s->o.model->view_count; v++) {
		struct live_view *w = &s->live[v];
		if (w->subscribers != NULL && !w->asking && w->lsn != lsn &&
		    w->rest_us <= tn_os_mono_us())
			ask_patch(s, v);
		if (w->subscribers != NULL)
			follow_floor(s, v, others);
		retry_snapshots(w);
	}
	if (now != s->live_sequence) {
		s->live_sequence = now;
		tell_cut(s);
	}
}
