/* The loop's side of the intake: bodies, their inboxes, and the answers.
 *
 * Steps of a body (flags, all on the loop):
 *
 *   open --feed--> inbox --dispatch--> busy (decoder has work) --back-->
 *   ... until ended and the final chunk came back --> done() --> freed
 *
 * Small plain bodies of one turn of the loop that go to the same stream the
 * same way are decoded and committed together: one job, one block.
 *
 * What can go wrong: a sender that goes away (abort) while work is under way:
 * the body stays until the work is back. Overload: feed says TN_EFULL and the
 * body waits in line; a timer looks again. */
#include "ingest/ingest_int.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"

#define RETRY_MS 5
#define JOBS_MAX 65536
#define SMALL_MAX 16         /* Small bodies that wait for the turn's end. */

static uint32_t
default_decoders(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores <= 2 ? 1 : cores > 5 ? 4 : (uint32_t)cores - 1;
}

static void
set_defaults(struct tn_ingest_opts *o)
{
	if (o->decoders == 0)
		o->decoders = default_decoders();
	if (o->decoders > TN_INGEST_DECODERS_MAX)
		o->decoders = TN_INGEST_DECODERS_MAX;
	if (o->chunk_bytes == 0)
		o->chunk_bytes = 1 << 20;
	if (o->row_bytes_max == 0)
		o->row_bytes_max = 1 << 20;
	if (o->pending_bytes_max == 0)
		o->pending_bytes_max = 64 << 20;
	if (o->errors_max == 0)
		o->errors_max = 100;
	if (o->zstd_level == 0)
		o->zstd_level = 1;
	if (o->idempotency_us == 0)
		o->idempotency_us = INT64_C(86400) * 1000000;
	if (o->backlog_max == 0)
		o->backlog_max = 256 << 20;
}

static void end_turn(void *arg);
static void retry_waiting(void *arg);

struct tn_ingest *
tn_ingest_new(const struct tn_ingest_opts *opts)
{
	struct tn_ingest *g = tn_zalloc(sizeof *g);
	const struct tn_serving_model *m = opts->model;
	char name[16];

	g->o = *opts;
	set_defaults(&g->o);
	g->small_end = &g->small;
	g->writer = tn_net_actor_new("writer", JOBS_MAX);
	g->decoder_count = g->o.decoders;
	for (uint32_t i = 0; i < g->decoder_count; i++) {
		snprintf(name, sizeof name, "decode%u", (unsigned)i % 100);
		g->decoder_state[i] = tn_ingest_decoder_new();
		g->decoders[i] = tn_net_actor_new(name, JOBS_MAX);
	}
	g->stats = tn_zalloc((m->stream_count + 1) * sizeof *g->stats);
	g->keys = tn_zalloc((m->stream_count + 1) * sizeof *g->keys);
	for (uint32_t i = 0; i < m->stream_count; i++)
		/* A later row of a reference table replaces the earlier. */
		if (m->streams[i].table->key_count > 0 &&
		    m->streams[i].table->kind == TN_SQL_STREAM)
			g->keys[i] = tn_ingest_keyset_new();
	g->ack = tn_histogram_get("tarn_ingest_ack_seconds", NULL,
	    "From the first byte of a body to its answer.");
	tn_net_loop_on_turn(g->o.loop, end_turn, g);
	g->retry = tn_net_timer_new(g->o.loop, retry_waiting, g);
	return g;
}

/* ---- bodies ---------------------------------------------------------- */

static void
link_body(struct tn_ingest *g, struct tn_ingest_body *b)
{
	b->next = g->bodies;
	if (g->bodies != NULL)
		g->bodies->prev = b;
	g->bodies = b;
}

static void
free_body(struct tn_ingest_body *b)
{
	struct tn_ingest *g = b->g;

	if (b->prev != NULL)
		b->prev->next = b->next;
	else
		g->bodies = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
	__atomic_sub_fetch(&g->pending, b->inbox.n + b->work.n + b->held,
	    __ATOMIC_RELAXED);
	tn_buf_fini(&b->inbox);
	tn_buf_fini(&b->work);
	tn_codec_splitter_free(b->splitter);
	tn_inflate_free(b->inflate);
	tn_codec_rows_fini(&b->rows);
	tn_codec_spec_fini(b->spec);
	tn_free(b->spec);
	if (b->before != NULL)
		tn_ingest_tally_fini(b->before);
	tn_free(b->before);
	tn_ingest_tally_fini(&b->tally);
	tn_free(b->source);
	tn_free(b);
}

struct mark {
	struct tn_net_job job;
	struct tn_net_latch *reached;
};

static void
run_mark(struct tn_net_job *job)
{
	tn_net_latch_open(((struct mark *)job)->reached);
}

static void
wait_for(struct tn_net_actor *a)
{
	struct mark m = { { NULL, run_mark }, tn_net_latch_new() };

	if (tn_net_actor_post_internal(a, &m.job))
		tn_net_latch_wait(m.reached);
	tn_net_latch_free(m.reached);
}

void
tn_ingest_flush(struct tn_ingest *g)
{
	tn_assert(!g->stopping);        /* Waiting asserts: no running loop. */
	for (uint32_t i = 0; i < g->decoder_count; i++)
		wait_for(g->decoders[i]);
	wait_for(g->writer);
}

void
tn_ingest_stop(struct tn_ingest *g)
{
	if (g->stopping)
		return;
	g->stopping = true;
	for (uint32_t i = 0; i < g->decoder_count; i++)
		tn_net_actor_free(g->decoders[i]);
	tn_net_actor_free(g->writer);
	g->writer = NULL;
}

void
tn_ingest_free(struct tn_ingest *g)
{
	if (g == NULL)
		return;
	tn_ingest_stop(g);
	for (uint32_t i = 0; i < g->decoder_count; i++)
		tn_ingest_decoder_free(g->decoder_state[i]);
	while (g->bodies != NULL)
		free_body(g->bodies);
	for (uint32_t i = 0; i < g->o.model->stream_count; i++)
		tn_ingest_keyset_free(g->keys[i]);
	tn_net_timer_free(g->retry);
	tn_free(g->keys);
	tn_free(g->stats);
	tn_free(g);
}

static bool
key_in_flight(const struct tn_ingest *g, uint32_t stream, struct tn_slice k)
{
	if (k.n == 0)
		return false;
	for (const struct tn_ingest_body *b = g->bodies; b != NULL;
	    b = b->next)
		if (b->stream == stream && b->key_bytes == k.n &&
		    memcmp(b->key, k.p, k.n) == 0)
			return true;
	return false;
}

static bool
too_much_pending(const struct tn_ingest *g)
{
	return __atomic_load_n(&g->pending, __ATOMIC_RELAXED) >
	    g->o.pending_bytes_max;
}

static bool
overloaded(const struct tn_ingest *g)
{
	return too_much_pending(g) || (g->o.backlog != NULL &&
	    g->o.backlog(g->o.arg) > g->o.backlog_max);
}

static void dispatch(struct tn_ingest_body *b);

/* Bodies whose senders pause may hold all the bytes there are between them,
 * each too few for a chunk: let them commit the rows they have. */
static void
relieve(struct tn_ingest *g)
{
	for (struct tn_ingest_body *b = g->bodies; b != NULL &&
	    too_much_pending(g) && !g->stopping; b = b->next)
		if (!b->busy && !b->aborted && !b->closed &&
		    !b->final_seen && b->chunks_out == 0 &&
		    b->inbox.n + b->work.n + b->held > 0) {
			b->hurry = true;
			dispatch(b);
		}
}

static enum tn_status
may_begin(struct tn_ingest *g, const struct tn_ingest_request *r, int at,
    struct tn_diag *d)
{
	const char *why = tn_log_failure(g->o.log);

	if (at < 0) {
		tn_diag_hint(d, "GET /api/v1/streams lists them; CREATE TABLE "
		    "in the configuration makes one");
		return tn_diag_set(d, TN_ENOTFOUND, "unknown_stream",
		    "there is no stream \"%.*s\"", (int)(r->stream.n > 63 ?
		    63 : r->stream.n), r->stream.p);
	}
	if (why != NULL) {
		tn_diag_hint(d, "mend the disk, then restart tarn");
		return tn_diag_set(d, TN_ECLOSED, "log_failed",
		    "no events are taken: %s", why);
	}
	if (r->idempotency_key.n > TN_INGEST_KEY_MAX)
		return tn_diag_set(d, TN_EINVAL, "idempotency_key",
		    "the Idempotency-Key is longer than %d bytes",
		    TN_INGEST_KEY_MAX);
	if (key_in_flight(g, (uint32_t)at, r->idempotency_key)) {
		tn_diag_hint(d, "wait for the answer of the first one");
		return tn_diag_set(d, TN_ECONFLICT, "idempotency_in_flight",
		    "a body with this Idempotency-Key is being taken now");
	}
	if (g->stopping || overloaded(g)) {
		relieve(g);
		tn_diag_hint(d, "send again after a second");
		return tn_diag_set(d, TN_EFULL, "overloaded",
		    "more events are on their way than can be taken now");
	}
	return TN_OK;
}

enum tn_status
tn_ingest_begin(struct tn_ingest *g, struct tn_ingest_request *r,
    struct tn_ingest_body **body, struct tn_diag *d)
{
	int at = tn_serving_stream_find(g->o.model, r->stream);
	struct tn_ingest_body *b;
	enum tn_status st;

	tn_assert(tn_net_on_loop());
	*body = NULL;
	st = may_begin(g, r, at, d);
	if (st != TN_OK) {
		tn_codec_spec_fini(r->spec);
		tn_free(r->spec);
		r->spec = NULL;
		return st;
	}
	b = tn_zalloc(sizeof *b);
	b->g = g;
	b->stream = (uint32_t)at;
	b->spec = r->spec;
	b->coding = r->coding;
	b->source = tn_strdup(r->source);
	b->key_bytes = r->idempotency_key.n;
	if (b->key_bytes > 0)
		memcpy(b->key, r->idempotency_key.p, b->key_bytes);
	b->done = r->done;
	b->resume = r->resume;
	b->arg = r->arg;
	b->decoder = g->next_decoder++ % g->decoder_count;
	b->inbox.max = SIZE_MAX;
	b->work.max = SIZE_MAX;
	link_body(g, b);
	r->spec = NULL;
	*body = b;
	return TN_OK;
}

/* ---- feeding --------------------------------------------------------- */

static void
run_decode(struct tn_net_job *job)
{
	tn_ingest_decode_body((struct tn_ingest_body *)job);
}

static void
dispatch(struct tn_ingest_body *b)
{
	struct tn_buf t;

	tn_assert(!b->busy);
	/* What the decoder left comes first and alone: a body never holds
	 * more than an inbox in each of the two. */
	if (b->work.n == 0) {
		t = b->work;
		b->work = b->inbox;
		b->inbox = t;
	}
	b->last = b->ended && b->inbox.n == 0;
	b->busy = true;
	b->dispatched = true;
	b->job.run = run_decode;
	if (!tn_net_actor_post_internal(b->g->decoders[b->decoder], &b->job))
		b->busy = false;
}

/* Is there something for the decoder, and may it run? */
static void
go_on(struct tn_ingest_body *b)
{
	if (b->busy || b->final_seen || b->closed || b->aborted ||
	    b->g->stopping || b->chunks_out >= TN_INGEST_CHUNKS_MAX)
		return;
	/* A body that must wait with nothing under way would wait for ever
	 * if all the others did the same. */
	b->hurry = b->waiting && b->inbox.n > 0 && b->chunks_out == 0 &&
	    too_much_pending(b->g);
	if (b->ended || b->work.n > 0 || b->hurry ||
	    b->inbox.n >= TN_INGEST_INBOX)
		dispatch(b);
}

enum tn_status
tn_ingest_feed(struct tn_ingest_body *b, struct tn_slice bytes)
{
	tn_assert(tn_net_on_loop() && !b->ended);
	if (b->closed || b->final_seen)
		return TN_OK;           /* It broke: the rest is of no use. */
	if (b->inbox.n >= TN_INGEST_INBOX_MAX ||
	    (b->inbox.n > 0 && overloaded(b->g))) {
		b->waiting = true;
		tn_net_timer_start(b->g->retry, RETRY_MS, 0);
		go_on(b);
		return TN_EFULL;
	}
	tn_buf_add(&b->inbox, bytes.p, bytes.n);
	__atomic_add_fetch(&b->g->pending, bytes.n, __ATOMIC_RELAXED);
	go_on(b);
	return TN_OK;
}

static bool
travels_small(const struct tn_ingest_body *b)
{
	return !b->dispatched && b->coding == TN_CODING_IDENTITY &&
	    b->key_bytes == 0 && b->inbox.n <= TN_INGEST_SMALL &&
	    b->spec->format != TN_CODEC_CSV && b->spec->rename_count == 0 &&
	    b->spec->constant_count == 0 && b->spec->time_format == NULL &&
	    b->spec->time_zone == NULL;
}

void
tn_ingest_end(struct tn_ingest_body *b)
{
	tn_assert(tn_net_on_loop() && !b->ended);
	b->ended = true;
	if (!travels_small(b)) {
		go_on(b);
		return;
	}
	b->busy = true;
	b->next_small = NULL;
	*b->g->small_end = b;
	b->g->small_end = &b->next_small;
	b->g->small_count++;
	/* Many at once: the decoder begins while the loop reads the rest. */
	if (b->g->small_count >= SMALL_MAX)
		end_turn(b->g);
}

void
tn_ingest_abort(struct tn_ingest_body *b)
{
	tn_assert(tn_net_on_loop());
	b->aborted = true;
	b->waiting = false;
	if (b->busy || b->chunks_out > 0)
		return;                 /* Freed when its work is back. */
	free_body(b);
}

/* ---- small bodies ---------------------------------------------------- */

static bool
same_way(const struct tn_ingest_body *a, const struct tn_ingest_body *b)
{
	return a->stream == b->stream && a->spec->format == b->spec->format &&
	    strcmp(a->source, b->source) == 0;
}

static void
run_small(struct tn_net_job *job)
{
	tn_ingest_decode_small((struct small_group *)job);
}

/* Take the first body of the list and all that go its way. */
static struct small_group *
gather(struct tn_ingest *g)
{
	struct small_group *s = tn_zalloc(sizeof *s);
	struct tn_ingest_body **end = &s->bodies, **at = &g->small;

	s->job.run = run_small;
	s->g = g;
	s->lead = g->small;
	while (*at != NULL) {
		struct tn_ingest_body *b = *at;
		if (s->bytes > g->o.chunk_bytes || !same_way(s->lead, b)) {
			at = &b->next_small;
			continue;
		}
		*at = b->next_small;
		b->next_small = NULL;
		*end = b;
		end = &b->next_small;
		s->count++;
		s->bytes += b->inbox.n;
	}
	return s;
}

static void
end_turn(void *arg)
{
	struct tn_ingest *g = arg;

	while (g->small != NULL && !g->stopping) {
		struct small_group *s = gather(g);
		struct tn_net_actor *a = g->decoders[s->lead->decoder];
		if (!tn_net_actor_post_internal(a, &s->job))
			tn_assert(!"the loop stops before the decoders");
	}
	g->small_end = &g->small;
	g->small_count = 0;
}

/* ---- the way back ---------------------------------------------------- */

static void
wake(struct tn_ingest_body *b)
{
	if (!b->waiting || b->inbox.n >= TN_INGEST_INBOX_MAX ||
	    (b->inbox.n > 0 && overloaded(b->g)))
		return;
	b->waiting = false;
	b->resume(b->arg);
}

static void
retry_waiting(void *arg)
{
	struct tn_ingest *g = arg;
	struct tn_ingest_body *b = g->bodies, *next;
	bool more = false;

	for (; b != NULL; b = next) {
		next = b->next;
		more = more || b->waiting;
		wake(b);
	}
	if (more)
		tn_net_timer_start(g->retry, RETRY_MS, 0);
}

static void
answer(struct tn_ingest_body *b)
{
	const struct tally *t = &b->tally;
	struct tn_ingest_result r = {
		.status = b->status != TN_OK ? b->status : b->broken,
		.diag = b->status != TN_OK ? b->why : b->diag,
		.accepted = t->accepted,
		.quarantined = t->quarantined,
		.duplicates = t->duplicates,
		.has_offset = t->has_offset,
		.first_offset = t->first_offset,
		.last_offset = t->last_offset,
		.lsn = t->lsn,
		.replayed = b->replayed,
		.errors = t->errors,
		.error_count = t->error_count,
	};

	b->done(b->arg, &r);
}

/* When nothing of the body is under way any more: answer or drop it. */
static void
settle(struct tn_ingest_body *b)
{
	if (b->busy || b->chunks_out > 0)
		return;
	if (b->aborted) {
		free_body(b);
		return;
	}
	if (b->final_seen && (b->ended || b->broken != TN_OK ||
	    b->status != TN_OK)) {
		answer(b);
		free_body(b);
		return;
	}
	go_on(b);
	wake(b);
}

void
tn_ingest_body_back(struct tn_net_job *job)
{
	struct tn_ingest_body *b = (struct tn_ingest_body *)job;

	b->busy = false;
	b->closed = b->split_done;
	b->chunks_out += b->sent;
	go_on(b);
	if (!b->busy)
		settle(b);
	else
		wake(b);
}

void
tn_ingest_chunk_done(struct tn_net_job *job)
{
	struct chunk *c = (struct chunk *)job;
	struct tn_ingest *g = c->g;

	__atomic_sub_fetch(&g->pending, c->raw_bytes, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < c->part_count; i++) {
		struct tn_ingest_body *b = c->parts[i].body;
		bool small = b->busy && !b->dispatched;
		if (small)
			b->busy = false;
		else
			b->chunks_out--;
		if (c->parts[i].final || c->failed)
			b->final_seen = true;
		settle(b);
	}
	tn_ingest_chunk_free(c);
}

/* ---- from the other rooms -------------------------------------------- */

void
tn_ingest_recall(struct tn_ingest *g, const struct tn_governance_rows *r)
{
	const struct tn_serving_model *m = g->o.model;
	struct keyset *k = NULL;

	for (uint32_t i = 0; i < m->stream_count; i++)
		if (&m->streams[i] == r->stream)
			k = g->keys[i];
	if (k == NULL)
		return;
	for (uint32_t i = 0; i < r->batch->rows; i++)
		if (r->marks[i] == TN_MARK_ACCEPTED)
			tn_ingest_keyset_add(k, r->keys[i], r->lsn);
}

struct files_job {
	struct tn_net_job job;
	struct tn_ingest *g;
	uint32_t stream;
	struct tn_lake_keys **files;
	uint32_t count;
	uint64_t lsn;
};

static void
run_files(struct tn_net_job *job)
{
	struct files_job *f = (struct files_job *)job;

	tn_ingest_keyset_files(f->g->keys[f->stream], f->files, f->count,
	    f->lsn);
	tn_free(f);
}

static void
drop_files_job(struct files_job *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		tn_lake_keys_close(f->files[i]);
	tn_free(f->files);
	tn_free(f);
}

static enum tn_status
swap_files(struct tn_ingest *g, uint32_t stream,
    const struct tn_catalog_snapshot *s, struct tn_diag *d)
{
	const struct tn_governance_stream *gs = &g->o.model->streams[stream];
	struct files_job *f = tn_zalloc(sizeof *f);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_KEYS, gs->id,
	    &first);
	enum tn_status st = TN_OK;

	f->job.run = run_files;
	f->g = g;
	f->stream = stream;
	f->lsn = s->lsn;
	f->files = tn_zalloc((n + 1) * sizeof *f->files);
	for (uint32_t i = 0; st == TN_OK && i < n; i++) {
		st = tn_lake_keys_open(g->o.lake, s->files[first + i].path,
		    &f->files[f->count], d);
		f->count += st == TN_OK;
	}
	if (st != TN_OK) {
		/* Without it duplicates could not be told: keep the old. */
		drop_files_job(f);
		return st;
	}
	if (!tn_net_actor_post_internal(g->writer, &f->job))
		tn_assert(!"batch stops before the writer");
	return TN_OK;
}

enum tn_status
tn_ingest_published(struct tn_ingest *g,
    const struct tn_catalog_snapshot *s, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < g->o.model->stream_count; i++) {
		enum tn_status one = TN_OK;
		if (g->keys[i] != NULL)
			one = swap_files(g, i, s, d);
		if (one != TN_OK)
			st = one;
	}
	return st;
}

struct trim_job {
	struct tn_net_job job;
	struct tn_ingest *g;
	uint64_t lsn;
};

static void
run_trim(struct tn_net_job *job)
{
	struct trim_job *t = (struct trim_job *)job;
	enum tn_status st;

	tn_os_crash_point("trim_before");
	st = tn_log_trim(t->g->o.log, t->lsn);

	if (st != TN_OK)
		tn_say(TN_WARN, "ingest", "log segments up to %llu could not "
		    "be removed: %s", (unsigned long long)t->lsn,
		    tn_status_text(st));
	tn_free(t);
}

void
tn_ingest_trim(struct tn_ingest *g, uint64_t lsn)
{
	struct trim_job *t = tn_zalloc(sizeof *t);

	t->job.run = run_trim;
	t->g = g;
	t->lsn = lsn;
	if (!tn_net_actor_post_internal(g->writer, &t->job))
		tn_assert(!"batch stops before the writer");
}

void
tn_ingest_stats(const struct tn_ingest *g, uint32_t stream,
    struct tn_ingest_stats *out)
{
	const struct stream_stats *s = &g->stats[stream];
	int64_t now = tn_os_wall_us() / 1000000;
	uint64_t rows = 0;

	out->accepted = __atomic_load_n(&s->accepted, __ATOMIC_RELAXED);
	out->quarantined = __atomic_load_n(&s->quarantined, __ATOMIC_RELAXED);
	out->duplicates = __atomic_load_n(&s->duplicates, __ATOMIC_RELAXED);
	out->bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
	out->last_us = __atomic_load_n(&s->last_us, __ATOMIC_RELAXED);
	for (int64_t i = now - 10; i < now; i++)
		if (__atomic_load_n(&s->second_of[i % 16], __ATOMIC_RELAXED)
		    == i)
			rows += __atomic_load_n(&s->second[i % 16],
			    __ATOMIC_RELAXED);
	out->rate = (double)rows / 10;
}
