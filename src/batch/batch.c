/* The batch actor: one thread, jobs in order of posting, each with a report.
 * Also the publication that every job ends in: files written and synced,
 * folders synced, one catalog transaction, then speed takes the new base. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define JOBS_MAX 64
#define LINE_MAX_JOBS 32      /* Of them, behind a recompute. */
#define CALM_US 10000000      /* After a cut that failed. */
#define REST_US 10000000      /* At most, between cuts beside a job. */
#define EARLY 1u              /* A cut was asked for: for rows or memory. */
#define TIMED 2u              /* Its time had come. */
#define TEN_MINUTES_US INT64_C(600000000)
#define GOLD_PARTS 4          /* Of the budget: most that is kept for gold. */
#define KEPT_PARTS 16         /* What the allocator may keep. */
#define ROOM_PARTS 8          /* Two slices, two row groups. */
#define ROOM_BYTES ((size_t)256 << 20)
#define GROUP_PARTS 32
#define GROUP_BYTES ((size_t)64 << 20)

struct job {
	struct tn_net_job job;
	struct tn_batch_jobs *b;
	struct tn_batch_request r;
	char *reason;
	char *view;
	bool timed;
	struct tn_batch_report report;
	struct tn_batch_recompute *recompute;    /* Under way, ... */
	struct tn_batch_preparing *prepare;      /* ... one of the two. */
	struct job *next;                        /* In line. */
};

/* For rows and row groups of a cut. */
static void
keep_room(struct tn_batch_jobs *b)
{
	size_t room = tn_batch_part(ROOM_PARTS);

	if (tn_budget_max() != 0)
		tn_budget_set(&b->standing, room < ROOM_BYTES ? room :
		    ROOM_BYTES);
}

static void
set_defaults(struct tn_batch_opts *o)
{
	if (o->young_files_max == 0)
		o->young_files_max = 8;
	if (o->compact_file_bytes == 0)
		o->compact_file_bytes = UINT64_C(128) << 20;
	if (o->compact_rate == 0)
		o->compact_rate = UINT64_C(32) << 20;
	if (o->busy_rate == 0)
		o->busy_rate = UINT64_C(4) << 20;
	if (o->prepare_rate == 0)
		o->prepare_rate = UINT64_C(32) << 20;
	if (o->prepare_rest == 0)
		o->prepare_rest = 200000;
	if (o->slice_rows == 0)
		o->slice_rows = 1000000;
	if (o->zstd_level == 0)
		o->zstd_level = 1;
	if (o->cold_after_us == 0)
		o->cold_after_us = INT64_C(30) * 86400 * 1000000;
	if (o->cold_zstd_level == 0)
		o->cold_zstd_level = 9;
	if (o->cold_retry_us == 0)
		o->cold_retry_us = TEN_MINUTES_US;
	if (o->file_retry_us == 0)
		o->file_retry_us = TEN_MINUTES_US;
	if (o->file_retry_max_us == 0)
		o->file_retry_max_us = 36 * TEN_MINUTES_US;
	if (o->garbage_us == 0)
		o->garbage_us = TEN_MINUTES_US;
	if (o->retention_wait_us == 0)
		o->retention_wait_us = TEN_MINUTES_US;
	if (o->corrections_max == 0)
		o->corrections_max = 200;
	if (o->corrections_keep_us == 0)
		o->corrections_keep_us = INT64_C(30) * 86400 * 1000000;
}

struct tn_batch_jobs *
tn_batch_new(const struct tn_batch_opts *o)
{
	struct tn_batch_jobs *b = tn_zalloc(sizeof *b);

	b->o = *o;
	set_defaults(&b->o);
	b->seconds = tn_histogram_get("tarn_batch_seconds", NULL,
	    "How long a cut takes.");
	b->last_success = tn_counter_get(TN_GAUGE,
	    "tarn_batch_last_success_timestamp_seconds", NULL,
	    "When the last cut was published.");
	b->left = tn_counter_get(TN_GAUGE, "tarn_batch_files_left", NULL,
	    "Old files that could not be removed at the last try.");
	b->skipped = tn_counter_get(TN_GAUGE, "tarn_batch_files_skipped",
	    NULL, "Damaged files that compaction and moves leave alone.");
	b->waits = tn_counter_get(TN_GAUGE, "tarn_batch_compact_wait_bytes",
	    NULL, "Of the largest merge that waits for room on the disk; 0: "
	    "none does.");
	b->said_unknown = tn_zalloc(tn_serving_view_slots(o->model) + 1);
	b->gold.class = TN_BUDGET_CUT_RESERVE;
	b->standing.class = TN_BUDGET_CUT_RESERVE;
	keep_room(b);
	tn_batch_floors_load(b);
	tn_batch_hold_load(b);
	b->lock = tn_net_lock_new();
	tn_batch_compaction_new(b);
	b->actor = tn_net_actor_new("batch", JOBS_MAX * 2);
	return b;
}

void
tn_batch_stop(struct tn_batch_jobs *b)
{
	if (b == NULL)
		return;
	__atomic_store_n(&b->stopping, 1, __ATOMIC_SEQ_CST);
	tn_batch_give_up(b, true);
	tn_batch_unpark(b);
	tn_batch_preparing_wake(b);
}

void
tn_batch_free(struct tn_batch_jobs *b)
{
	if (b == NULL)
		return;
	tn_batch_stop(b);
	tn_batch_turns_end(b);
	tn_net_actor_free(b->actor);
	tn_net_lock_free(b->lock);
	tn_batch_tables_free(b);
	tn_batch_compaction_free(b);
	tn_budget_set(&b->gold, 0);
	tn_budget_set(&b->standing, 0);
	tn_free(b->said_unknown);
	tn_free(b->floors);
	tn_free(b);
}

enum tn_status
tn_batch_stopping(const struct tn_batch_jobs *b, struct tn_diag *d)
{
	uint64_t run = __atomic_load_n(&b->cancel, __ATOMIC_RELAXED);

	if (b->stepping && run != 0 && run == __atomic_load_n(&b->work.run,
	    __ATOMIC_RELAXED))
		return tn_diag_set(d, TN_ECLOSED, "canceled",
		    "run %llu was canceled", (unsigned long long)run);
	if (__atomic_load_n(&b->stopping, __ATOMIC_RELAXED) == 0)
		return TN_OK;
	tn_diag_hint(d, "ask again when it runs");
	return tn_diag_set(d, TN_ECLOSED, "stopping",
	    "the program is stopping");
}

/* A cut that failed is not tried again with every block that comes. */
static void
calm_down(struct tn_batch_jobs *b, const struct tn_batch_report *r)
{
	__atomic_store_n(&b->calm_us, r->status == TN_OK ? 0 :
	    tn_os_mono_us() + CALM_US, __ATOMIC_RELAXED);
}

/* ---- memory ---------------------------------------------------------- */

size_t
tn_batch_part(uint32_t parts)
{
	uint64_t max = tn_budget_max();

	return max == 0 ? SIZE_MAX : (size_t)(max / parts);
}

size_t
tn_batch_group_bytes(void)
{
	size_t part = tn_batch_part(GROUP_PARTS);

	return part < GROUP_BYTES ? part : GROUP_BYTES;
}

/* What the last cut took is kept free for the next one. */
void
tn_batch_gold_took(struct tn_batch_jobs *b, size_t bytes)
{
	if (bytes > b->gold_next)
		b->gold_next = bytes;
}

/* After a cut. One that failed leaves what the next will need. */
static void
keep_gold_free(struct tn_batch_jobs *b, bool good)
{
	size_t most = tn_batch_part(GOLD_PARTS), keep = b->gold_next;

	if (!good && keep < b->gold.bytes)
		keep = b->gold.bytes;
	tn_budget_set(&b->gold, keep < most ? keep : most);
	b->gold_next = 0;
}

/* Pages that the allocator keeps unused go back when they are many. */
static void
trim_memory(void)
{
	uint64_t max = tn_budget_max();

	if (max != 0 && tn_os_anonymous_bytes() > tn_budget_total() -
	    tn_budget_used(TN_BUDGET_CUT_RESERVE) + max / KEPT_PARTS)
		tn_os_memory_trim();
}

/* ---- jobs ------------------------------------------------------------ */

static void
take_cut(struct tn_batch_jobs *b, const char *reason, bool retire,
    struct tn_batch_report *r)
{
	/* Others wait for one that was let in. */
	b->follows = retire;
	tn_batch_cut(b, reason, r);
	keep_gold_free(b, r->status == TN_OK);
	calm_down(b, r);
	if (r->status == TN_OK) {
		if (retire)
			tn_batch_retire(b);
		tn_batch_cost(b);
		tn_batch_compact(b);
	}
	if (!b->erasing)
		tn_batch_erase_settle(b);
	tn_batch_collect_old(b);
	trim_memory();
}

void
tn_batch_take_cut(struct tn_batch_jobs *b, const char *reason,
    struct tn_batch_report *r)
{
	take_cut(b, reason, false, r);
}

uint64_t
tn_batch_erasures(const struct tn_batch_jobs *b)
{
	return __atomic_load_n(&b->erasures, __ATOMIC_ACQUIRE);
}

static void
do_job(struct tn_batch_jobs *b, struct job *j)
{
	struct tn_batch_report *r = &j->report;

	switch (j->r.kind) {
	case TN_BATCH_CUT:
		take_cut(b, j->reason, true, r);
		break;
	case TN_BATCH_RECOMPUTE:
		if (!j->r.dry_run)
			__atomic_store_n(&b->doing, j,
			    __ATOMIC_RELAXED);
		j->recompute = tn_batch_recompute_new(b, &j->r, j->reason,
		    j->view, r);
		break;
	case TN_BATCH_VERIFY:
		tn_batch_verify(b, &j->r, j->view, r);
		break;
	case TN_BATCH_ROLLBACK:
		tn_batch_rollback(b, &j->r, j->view, r);
		break;
	case TN_BATCH_TABLES:
		r->status = tn_batch_tables_open(b);
		break;
	case TN_BATCH_EXPIRE:
		tn_batch_expire(b, &j->r, r);
		break;
	case TN_BATCH_COMPACT:
		tn_batch_compact_now(b, r);
		break;
	case TN_BATCH_APPLY:
		tn_batch_apply(b, &j->r, r);
		break;
	case TN_BATCH_ERASE:
		tn_batch_erase(b, &j->r, r);
		break;
	case TN_BATCH_PREPARE:
		__atomic_store_n(&b->doing, j, __ATOMIC_RELAXED);
		j->prepare = tn_batch_preparing_new(b, &j->r, j->reason, r);
		break;
	}
}

/* The job behind it finds less to do; what comes after a cut comes after this
 * one, too, but that no row is removed: the one under way knows what there was,
 * and holds its files. Each time that was due is one cut; for rows and memory,
 * which may be asked for with every block, they come no closer than CALM_US.
 * After one the job under way has as long as the cut took, or where cuts take
 * cut_interval one would come before each piece of a file, and no job end; not
 * much longer, as what comes meanwhile makes the next cut longer. */
void
tn_batch_let_cut(struct tn_batch_jobs *b)
{
	struct tn_batch_report r = { .status = TN_OK };
	uint32_t asked = __atomic_load_n(&b->cut_asked, __ATOMIC_RELAXED);
	int64_t from = asked != 0 ? tn_os_mono_us() : 0, to;

	if (asked == 0 || from < b->rest_us ||
	    (asked == EARLY && from < b->let_us))
		return;
	__atomic_store_n(&b->cut_asked, 0, __ATOMIC_RELAXED);
	take_cut(b, asked == EARLY ? "rows" : "timer", false, &r);
	tn_buf_fini(&r.text);
	to = tn_os_mono_us();
	b->let_us = to + CALM_US;
	b->rest_us = to + (to - from < REST_US ? to - from : REST_US);
}

static bool
is_long(const struct job *j)
{
	return (j->r.kind == TN_BATCH_RECOMPUTE && !j->r.dry_run) ||
	    j->r.kind == TN_BATCH_APPLY || j->r.kind == TN_BATCH_ERASE ||
	    j->r.kind == TN_BATCH_PREPARE;
}

/* One recompute after the other; each looks for itself whether it is its turn.
 * One that costs nothing goes ahead. */
static bool
stands_in_line(struct job *j)
{
	struct tn_batch_jobs *b = j->b;
	struct job **at = &b->line;
	uint32_t ahead = 0;

	/* A recompute under way knows the old definition, and rows that are to
	 * be erased; what is prepared begins anew after an erasure. */
	if (!is_long(j) || b->doing == NULL || (j->r.kind == TN_BATCH_ERASE &&
	    b->doing->prepare != NULL))
		return false;
	/* Who waits for it would wait for a person. */
	if (j->r.kind == TN_BATCH_ERASE && __atomic_load_n(&b->work.paused,
	    __ATOMIC_RELAXED) != 0) {
		tn_diag_hint(&j->report.diag, "CALL resume(run) or "
		    "cancel(run), then ask again");
		j->report.status = tn_diag_set(&j->report.diag, TN_ECONFLICT,
		    "recompute_paused", "a recompute that reads the rows is "
		    "paused");
		return false;
	}
	for (; *at != NULL; ahead++)
		at = &(*at)->next;
	/* One that is paused must not keep cuts from being taken. */
	if (ahead >= LINE_MAX_JOBS) {
		tn_diag_hint(&j->report.diag, "CALL resume(run) or "
		    "cancel(run): GET /api/v1/runs says which is under way");
		j->report.status = tn_diag_set(&j->report.diag, TN_EFULL,
		    "overloaded", "%u others wait for a recompute already",
		    (unsigned)ahead);
		return false;
	}
	*at = j;
	return true;
}

static void
next_in_line(struct tn_batch_jobs *b)
{
	struct job *j = b->line, *next;

	__atomic_store_n(&b->doing, NULL, __ATOMIC_RELAXED);
	b->line = NULL;
	for (; j != NULL; j = next) {
		next = j->next;
		j->next = NULL;
		if (!tn_net_actor_post_internal(b->actor, &j->job))
			j->job.run(&j->job);     /* It says that we stop. */
	}
}

static void
end_job(struct job *j)
{
	if (j->b->doing == j)
		next_in_line(j->b);
	if (j->recompute != NULL)
		tn_batch_recompute_free(j->recompute);
	if (j->prepare != NULL)
		tn_batch_preparing_free(j->prepare);
	if (j->r.done != NULL)
		j->r.done(j->r.arg, &j->report);
	tn_buf_fini(&j->report.text);
	tn_free(j->reason);
	tn_free(j->view);
	tn_free(j);
}

/* Steps of a long job stand in line like others. */
static void
run_step(struct tn_net_job *job)
{
	struct job *j = (struct job *)job;
	bool more, rest = false;

	j->b->stepping = !j->r.dry_run;
	more = j->prepare != NULL ?
	    tn_batch_preparing_step(j->prepare, &rest) :
	    tn_batch_recompute_step(j->recompute);
	j->b->stepping = false;
	if (!more)
		end_job(j);
	else if (rest && tn_batch_preparing_rests(j->b, job))
		return;
	else if ((j->r.dry_run || !tn_batch_park(j->b, job)) &&
	    !tn_net_actor_post_internal(j->b->actor, job))
		end_job(j);
}

static void
run_job(struct tn_net_job *job)
{
	struct job *j = (struct job *)job;
	struct tn_batch_report *r = &j->report;

	if (stands_in_line(j))
		return;
	__atomic_sub_fetch(&j->b->waiting, 1, __ATOMIC_RELAXED);
	if (j->timed) {
		__atomic_store_n(&j->b->cut_waiting, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&j->b->cut_asked, 0, __ATOMIC_RELAXED);
	}
	if (r->status == TN_OK)
		r->status = tn_batch_stopping(j->b, &r->diag);
	tn_batch_tune_take(j->b);
	if (r->status == TN_OK)
		do_job(j->b, j);
	if (j->recompute == NULL && j->prepare == NULL) {
		end_job(j);
		return;
	}
	job->run = run_step;
	run_step(job);
}

/* Asked for before its time, maybe with every block. */
static bool
is_early(const struct tn_batch_request *r)
{
	return strcmp(r->reason, "rows") == 0 ||
	    strcmp(r->reason, "memory") == 0;
}

static bool
is_timed(const struct tn_batch_request *r)
{
	return r->kind == TN_BATCH_CUT && (strcmp(r->reason, "timer") == 0 ||
	    is_early(r));
}

enum tn_status
tn_batch_post(struct tn_batch_jobs *b, const struct tn_batch_request *r)
{
	struct job *j;
	bool timed = is_timed(r);

	if (timed && is_early(r) && tn_os_mono_us() <
	    __atomic_load_n(&b->calm_us, __ATOMIC_RELAXED))
		return TN_OK;
	if (timed)
		__atomic_fetch_or(&b->cut_asked, is_early(r) ? EARLY : TIMED,
		    __ATOMIC_RELAXED);
	if (timed && __atomic_exchange_n(&b->cut_waiting, 1,
	    __ATOMIC_RELAXED) != 0)
		return TN_OK;           /* One waits already: it will do. */
	if (__atomic_add_fetch(&b->waiting, 1, __ATOMIC_RELAXED) > JOBS_MAX) {
		__atomic_sub_fetch(&b->waiting, 1, __ATOMIC_RELAXED);
		if (timed)
			__atomic_store_n(&b->cut_waiting, 0,
			    __ATOMIC_RELAXED);
		return TN_EFULL;
	}
	j = tn_zalloc(sizeof *j);
	j->job.run = run_job;
	j->b = b;
	j->r = *r;
	j->reason = tn_strdup(r->reason != NULL ? r->reason : "request");
	j->view = r->view != NULL ? tn_strdup(r->view) : NULL;
	j->timed = timed;
	if (tn_net_actor_post_internal(b->actor, &j->job))
		return TN_OK;
	tn_free(j->reason);
	tn_free(j->view);
	tn_free(j);
	return TN_ECLOSED;
}

struct waiter {
	struct tn_net_latch *latch;
	struct tn_batch_report *out;
};

static void
report_back(void *arg, const struct tn_batch_report *r)
{
	struct waiter *w = arg;

	*w->out = *r;
	memset(&w->out->text, 0, sizeof w->out->text);
	tn_buf_add(&w->out->text, r->text.p, r->text.n);
	tn_net_latch_open(w->latch);
}

enum tn_status
tn_batch_run(struct tn_batch_jobs *b, const struct tn_batch_request *r,
    struct tn_batch_report *out)
{
	struct waiter w = { tn_net_latch_new(), out };
	struct tn_batch_request q = *r;
	enum tn_status st;

	tn_assert(!is_timed(r));
	q.done = report_back;
	q.arg = &w;
	st = tn_batch_post(b, &q);
	if (st == TN_OK)
		tn_net_latch_wait(w.latch);
	tn_net_latch_free(w.latch);
	return st == TN_OK ? out->status : st;
}

int
tn_batch_time_column(const struct tn_governance_stream *s)
{
	return s->table->event_time >= 0 ? s->table->event_time :
	    (int)s->silver->count - 1;
}

uint32_t
tn_batch_sort_columns(const struct tn_governance_stream *s,
    uint32_t out[static TN_BATCH_SORT_MAX])
{
	uint32_t n = s->table->sort_count, time;

	time = (uint32_t)tn_batch_time_column(s);
	for (uint32_t i = 0; i < n; i++) {
		out[i] = s->table->sort_by[i];
		if (out[i] == time)
			return i + 1;    /* What follows hardly matters. */
	}
	out[n] = time;
	return n + 1;
}

enum tn_status
tn_batch_run_begin(struct tn_batch_jobs *b, const char *kind,
    const char *reason, const char *object, uint64_t lsn_from,
    uint64_t lsn_to, uint64_t *run)
{
	struct tn_catalog_run r = { .kind = kind, .reason = reason,
	    .object = object, .started_us = tn_os_wall_us(),
	    .lsn_from = lsn_from, .lsn_to = lsn_to };

	return tn_catalog_run_begin(b->o.catalog, &r, run);
}

/* ---- changes --------------------------------------------------------- */

void
tn_batch_change_begin(struct change *c, struct tn_batch_jobs *b,
    uint64_t lsn, uint64_t run)
{
	memset(c, 0, sizeof *c);
	c->b = b;
	c->run = run;
	c->spent = (struct tn_batch_spent){ UINT64_MAX, -1 };
	/* The run's number makes a name unique, also after a failure. */
	snprintf(c->label, sizeof c->label, "%012llu-%llu",
	    (unsigned long long)lsn, (unsigned long long)run);
}

void
tn_batch_change_add(struct change *c, enum tn_catalog_tier tier,
    uint32_t object, uint32_t version, const struct tn_lake_file *f,
    uint64_t lsn_min, uint64_t lsn_max)
{
	struct tn_catalog_file *x;

	if (c->add_count == c->add_cap) {
		c->add_cap = c->add_cap == 0 ? 16 : c->add_cap * 2;
		c->add = tn_realloc(c->add, c->add_cap * sizeof *c->add);
	}
	x = &c->add[c->add_count++];
	memset(x, 0, sizeof *x);
	x->tier = tier;
	x->object = object;
	x->version = version;
	memcpy(x->partition, f->partition, sizeof x->partition);
	memcpy(x->path, f->path, sizeof x->path);
	x->rows = f->rows;
	x->bytes = f->bytes;
	x->crc = f->crc;
	x->time_min = f->time_min;
	x->time_max = f->time_max;
	x->lsn_min = lsn_min;
	x->lsn_max = lsn_max;
}

void
tn_batch_change_drop(struct change *c, uint64_t file)
{
	if (c->drop_count == c->drop_cap) {
		c->drop_cap = c->drop_cap == 0 ? 16 : c->drop_cap * 2;
		c->drop = tn_realloc(c->drop, c->drop_cap * sizeof *c->drop);
	}
	c->drop[c->drop_count++] = file;
}

void
tn_batch_change_undo(struct change *c)
{
	for (uint32_t i = c->adopted_count; i < c->add_count; i++) {
		enum tn_status st = tn_lake_remove(c->b->o.lake,
		    c->add[i].path);
		if (st != TN_OK)
			tn_say(TN_WARN, "batch", "%s could not be removed; "
			    "the next start does it", c->add[i].path);
	}
	c->add_count = 0;
}

void
tn_batch_change_fini(struct change *c)
{
	tn_free(c->add);
	tn_free(c->drop);
	tn_free(c->corrections);
	tn_free(c->views);
	tn_free(c->chained);
	tn_arena_free(c->texts);
	memset(c, 0, sizeof *c);
}

/* The chain's values, and those of the change itself. */
static void
add_values(const struct change *c, struct tn_arena *a,
    const struct tn_catalog_value *chain, struct tn_catalog_publication *p)
{
	struct tn_catalog_value *all;

	p->values = chain;
	if (c->value_count == 0)
		return;
	all = tn_arena_alloc(a, (p->value_count + c->value_count) *
	    sizeof *all);
	if (p->value_count > 0)
		memcpy(all, chain, p->value_count * sizeof *all);
	memcpy(all + p->value_count, c->values, c->value_count * sizeof *all);
	p->values = all;
	p->value_count += c->value_count;
}

/* The speed layer takes the new base, and new definitions. */
static void
tell_speed(const struct change *c)
{
	const struct tn_batch_speed *s = &c->b->o.speed;

	if (c->swap != NULL)
		s->swap(s->speed, c->swap);
	else
		s->published(s->speed);
}

enum tn_status
tn_batch_change_publish(struct change *c, uint64_t lsn,
    const struct tn_catalog_offset *offsets, uint32_t count,
    const char *detail)
{
	struct tn_catalog_publication p = {
		.lsn = lsn,
		.now_us = tn_os_wall_us(),
		.add = c->add,
		.add_count = c->add_count,
		.drop = c->drop,
		.drop_count = c->drop_count,
		.offsets = offsets,
		.offset_count = count,
		.run = c->run,
		.run_to = c->run_to,
		.run_detail = detail,
		.run_rows = c->rows,
		.run_files = c->add_count,
		.run_changed = c->changed,
		.adopted = c->adopted,
		.corrections = c->corrections,
		.correction_count = c->correction_count,
		.run_views = c->views,
		.run_view_count = c->view_count,
		.corrections_keep_us = tn_batch_expiry(c->b) == INT64_MIN ?
		    0 : c->b->o.corrections_keep_us,
	};
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_value *values = NULL;
	enum tn_status st = tn_lake_sync(c->b->o.lake, c->cold);

	tn_os_crash_point("publish_before");
	if (st == TN_OK)
		st = tn_batch_chain_values(c, a, &values, &p.value_count);
	add_values(c, a, values, &p);
	if (st == TN_OK)
		st = tn_catalog_publish(c->b->o.catalog, &p);
	tn_arena_free(a);
	if (st == TN_ECLOSED) {
		/* Whether the commit holds is known at the next start: should
		 * the catalog name the files then, they must be there. */
		c->add_count = 0;
		return st;
	}
	if (st != TN_OK) {
		tn_batch_change_undo(c);
		return st;
	}
	tn_os_crash_point("publish_after");
	tell_speed(c);
	tn_batch_tables_follow(c->b, c->same_rows);
	tn_os_crash_point("table_after");
	return TN_OK;
}
