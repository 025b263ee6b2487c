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
 * What can go wrong: a sender goes away (abort) during work: the body stays
 * until that is back. Overload: feed says TN_EFULL; a timer looks again.
 *
 * Bytes on their way are bounded by pending_bytes_max and by a part of what the
 * memory budget has left until it is full: the rest is for what becomes of
 * them (rows, keys, states, and the cut's copies of those). While memory is
 * full nothing is taken but the first bytes of a body that was let in. Who
 * then holds memory that only his next bytes could free (half a row) and sends
 * none, or waits too long, is turned away with TN_EFULL: what was taken stays
 * and is counted in his answer, the rest he sends again. */
#include "ingest/ingest_int.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"

#define RETRY_MS 5
#define JOBS_MAX 65536
#define SMALL_MAX 16         /* Small bodies that wait for the turn's end. */
#define ROOM_PART 16         /* Of the budget's room: what may be pending. */
#define ROOM_FOLDED 8        /* The same of rows that are not folded. */
#define QUIET_US 1000000     /* A sender that pauses, when memory is short. */
#define WAIT_US 5000000      /* Longest wait for memory to be freed. */

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

static void send_all_small(struct tn_ingest *g);
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
	g->group_bytes = g->o.pending_bytes_max / 2 < TN_INGEST_GROUP_BYTES ?
	    g->o.pending_bytes_max / 2 : TN_INGEST_GROUP_BYTES;
	g->writer_state = tn_ingest_decoder_new(true);
	g->workspace = tn_arena_new(TN_INGEST_WORKSPACE);
	g->taken = tn_alloc(TN_INGEST_GROUP_CHUNKS * sizeof *g->taken);
	g->writer = tn_net_actor_new("writer", JOBS_MAX);
	g->decoder_count = g->o.decoders;
	for (uint32_t i = 0; i < g->decoder_count; i++) {
		snprintf(name, sizeof name, "decode%u", (unsigned)i % 100);
		g->decoder_state[i] = tn_ingest_decoder_new(false);
		g->decoders[i] = tn_net_actor_new(name, JOBS_MAX);
		snprintf(name, sizeof name, "pack%u", (unsigned)i % 100);
		g->packers[i] = tn_net_actor_new(name, JOBS_MAX);
	}
	g->stats = tn_zalloc((m->stream_count + 1) * sizeof *g->stats);
	g->keys = tn_zalloc((m->stream_count + 1) * sizeof *g->keys);
	g->key_files = tn_zalloc((m->stream_count + 1) *
	    sizeof *g->key_files);
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
	tn_ingest_less(g, b->inbox.n + b->work.n + b->held);
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
	for (uint32_t i = 0; i < g->decoder_count; i++) {
		wait_for(g->decoders[i]);
		wait_for(g->packers[i]);
	}
	wait_for(g->writer);
}

void
tn_ingest_stop(struct tn_ingest *g)
{
	if (g->stopping)
		return;
	g->stopping = true;
	/* What it decodes itself it reports to a decoder. */
	wait_for(g->writer);
	for (uint32_t i = 0; i < g->decoder_count; i++) {
		tn_net_actor_free(g->decoders[i]);
		tn_net_actor_free(g->packers[i]);
	}
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
	tn_ingest_decoder_free(g->writer_state);
	tn_arena_free(g->workspace);
	tn_free(g->taken);
	while (g->bodies != NULL)
		free_body(g->bodies);
	for (uint32_t i = 0; i < g->o.model->stream_count; i++) {
		tn_ingest_keyset_free(g->keys[i]);
		tn_ingest_key_files_fini(&g->key_files[i]);
	}
	tn_net_timer_free(g->retry);
	tn_free(g->keys);
	tn_free(g->key_files);
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

void
tn_ingest_more(struct tn_ingest *g, size_t n)
{
	__atomic_add_fetch(&g->pending, n, __ATOMIC_RELAXED);
	tn_budget_force(TN_BUDGET_INGEST, n);
}

void
tn_ingest_less(struct tn_ingest *g, size_t n)
{
	__atomic_sub_fetch(&g->pending, n, __ATOMIC_RELAXED);
	tn_budget_give(TN_BUDGET_INGEST, n);
}

static bool
memory_full(void)
{
	return tn_budget_level() == TN_BUDGET_FULL;
}

/* More than the budget wants on its way? */
static bool
memory_short(const struct tn_ingest *g)
{
	size_t room = tn_budget_room();

	return memory_full() || __atomic_load_n(&g->pending,
	    __ATOMIC_RELAXED) > room / ROOM_PART ||
	    tn_budget_used(TN_BUDGET_BACKLOG) > room / ROOM_FOLDED;
}

static bool
too_much_pending(const struct tn_ingest *g)
{
	return __atomic_load_n(&g->pending, __ATOMIC_RELAXED) >
	    g->o.pending_bytes_max || memory_short(g);
}

static bool
overloaded(const struct tn_ingest *g)
{
	return too_much_pending(g) || (g->o.backlog != NULL &&
	    g->o.backlog(g->o.arg) > g->o.backlog_max);
}

static void dispatch(struct tn_ingest_body *b);
static void settle(struct tn_ingest_body *b);

/* Nothing of the body is under way, and more of it may come. */
static bool
is_idle(const struct tn_ingest_body *b)
{
	return !b->busy && !b->aborted && !b->closed && !b->final_seen &&
	    b->chunks_out == 0;
}

/* Of an idle body: its sender gets the answer now. */
static void
turn_away(struct tn_ingest_body *b)
{
	b->waiting = false;
	b->closed = true;
	b->final_seen = true;
	if (memory_short(b->g)) {
		b->broken = tn_budget_refuse(&b->diag);
	} else {
		b->broken = tn_diag_set(&b->diag, TN_EFULL, "overloaded",
		    "more events are on their way than can be taken now");
		tn_diag_hint(&b->diag, "send again after a second");
	}
	settle(b);
}

/* Bodies whose senders pause may hold all the bytes there are between them,
 * each too few for a chunk: let them commit the rows they have. When that was
 * not enough, the one with the largest half row is turned away. */
static void
relieve(struct tn_ingest *g)
{
	struct tn_ingest_body *largest = NULL;
	int64_t quiet = tn_os_mono_us() - QUIET_US;

	for (struct tn_ingest_body *b = g->bodies; b != NULL &&
	    too_much_pending(g) && !g->stopping; b = b->next) {
		if (!is_idle(b))
			continue;
		/* Rows that are complete; half a row cannot be handed over. */
		if (b->inbox.n + b->work.n > 0 || b->rows.count > 0) {
			b->hurry = true;
			dispatch(b);
		} else if (b->held > 0 && b->moved_us < quiet &&
		    (largest == NULL || b->held > largest->held)) {
			largest = b;
		}
	}
	if (largest != NULL && too_much_pending(g) && !g->stopping)
		turn_away(largest);
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
	if (!g->stopping && memory_short(g)) {
		relieve(g);
		return tn_budget_refuse(d);
	}
	if (g->stopping || overloaded(g)) {
		relieve(g);
		tn_diag_hint(d, "send again after a second");
		return tn_diag_set(d, TN_EFULL, "overloaded",
		    "more events are on their way than can be taken now");
	}
	return tn_codec_spec_fits(r->spec,
	    g->o.model->streams[at].table->schema, d);
}

/* A text of bronze, whatever the door took it from. */
static char *
source_text(const char *source)
{
	struct tn_buf b = { 0 };
	char *text;

	if (tn_utf8_valid(source, strlen(source)))
		return tn_strdup(source);
	tn_buf_shown(&b, source, strlen(source));
	text = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return text;
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
	b->source = source_text(r->source);
	b->key_bytes = r->idempotency_key.n;
	if (b->key_bytes > 0)
		memcpy(b->key, r->idempotency_key.p, b->key_bytes);
	b->keep_us = r->keep_us > 0 ? r->keep_us : g->o.idempotency_us;
	b->done = r->done;
	b->resume = r->resume;
	b->arg = r->arg;
	b->decoder = g->next_decoder++ % g->decoder_count;
	b->inbox.max = SIZE_MAX;
	b->work.max = SIZE_MAX;
	b->moved_us = tn_os_mono_us();
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
	b->cut_short = b->starved;
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
	if (b->ended || b->work.n > 0 || b->hurry || b->starved ||
	    b->inbox.n >= TN_INGEST_INBOX)
		dispatch(b);
}

static bool
must_wait(const struct tn_ingest_body *b)
{
	return b->inbox.n >= TN_INGEST_INBOX_MAX ||
	    (b->inbox.n > 0 && overloaded(b->g)) ||
	    (b->fed && memory_full());
}

/* More lies in the inbox than ${held}. When memory is out, what lay in it is
 * gone, too: the decoder is told to end the body where it is. */
static void
note_inbox(struct tn_ingest_body *b, size_t held)
{
	b->fed = true;
	b->moved_us = tn_os_mono_us();
	b->starved = b->inbox.failed;
	if (b->starved) {
		tn_buf_clear(&b->inbox);
		tn_ingest_less(b->g, held);
	} else {
		tn_ingest_more(b->g, b->inbox.n - held);
	}
}

/* An empty inbox changes places with ${whole}. */
static void
put_inbox(struct tn_ingest_body *b, struct tn_slice bytes,
    struct tn_buf *whole)
{
	size_t held = b->inbox.n;
	struct tn_buf t = b->inbox;

	if (whole != NULL && held == 0 && !t.failed) {
		b->inbox = *whole;
		*whole = t;
	} else {
		tn_buf_add(&b->inbox, bytes.p, bytes.n);
	}
	note_inbox(b, held);
}

static enum tn_status
feed(struct tn_ingest_body *b, struct tn_slice bytes, struct tn_buf *whole)
{
	tn_assert(tn_net_on_loop() && !b->ended);
	if (b->closed || b->final_seen || b->starved)
		return TN_OK;           /* It broke: the rest is of no use. */
	if (must_wait(b)) {
		b->waiting = true;
		tn_net_timer_start(b->g->retry, RETRY_MS, 0);
		go_on(b);
		return TN_EFULL;
	}
	put_inbox(b, bytes, whole);
	go_on(b);
	return TN_OK;
}

enum tn_status
tn_ingest_feed(struct tn_ingest_body *b, struct tn_slice bytes)
{
	return feed(b, bytes, NULL);
}

enum tn_status
tn_ingest_feed_whole(struct tn_ingest_body *b, struct tn_buf *bytes)
{
	enum tn_status st = feed(b, (struct tn_slice){ bytes->p, bytes->n },
	    bytes);

	if (st == TN_OK)
		tn_buf_clear(bytes);
	return st;
}

static bool
travels_small(const struct tn_ingest_body *b)
{
	return !b->dispatched && !b->starved && b->coding == TN_CODING_IDENTITY &&
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
		send_all_small(b->g);
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

/* Take the first body of the list and all that go its way. */
static struct small_group *
gather(struct tn_ingest *g)
{
	struct small_group *s = tn_zalloc(sizeof *s);
	struct tn_ingest_body **end = &s->bodies, **at = &g->small;

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
	s->end = end;
	return s;
}

bool
tn_ingest_small_same(const struct small_group *a, const struct small_group *b)
{
	return a->bytes + b->bytes <= TN_INGEST_SMALL &&
	    same_way(a->lead, b->lead);
}

/* Few bytes straight to the writer: another thread would not begin before it
 * is done. Bodies need no order. */
static void
send_small(struct small_group *s)
{
	struct tn_ingest *g = s->g;
	bool direct = s->bytes < TN_INGEST_DIRECT;

	s->job.run = direct ? tn_ingest_write_small : tn_ingest_run_small;
	if (!tn_net_actor_post_internal(direct ? g->writer :
	    g->decoders[s->lead->decoder], &s->job))
		tn_assert(!"the loop stops before the decoders");
}

static void
send_all_small(struct tn_ingest *g)
{
	while (g->small != NULL && !g->stopping)
		send_small(gather(g));
	g->small_end = &g->small;
	g->small_count = 0;
}

static void
end_turn(void *arg)
{
	send_all_small(arg);
	tn_ingest_messages_turn(arg);
}

enum tn_status
tn_ingest_room(struct tn_ingest *g)
{
	if (tn_log_failure(g->o.log) != NULL)
		return TN_ECLOSED;
	if (g->stopping || overloaded(g)) {
		relieve(g);
		return TN_EFULL;
	}
	return TN_OK;
}

bool
tn_ingest_no_space(const struct tn_ingest *g)
{
	return __atomic_load_n(&g->no_space, __ATOMIC_RELAXED);
}

/* ---- the way back ---------------------------------------------------- */

static void
wake(struct tn_ingest_body *b)
{
	if (!b->waiting || must_wait(b))
		return;
	b->waiting = false;
	b->resume(b->arg);
}

static void
retry_waiting(void *arg)
{
	struct tn_ingest *g = arg;
	struct tn_ingest_body *b = g->bodies, *next;
	int64_t late = tn_os_mono_us() - WAIT_US;
	bool more = false;

	for (; b != NULL; b = next) {
		next = b->next;
		more = more || b->waiting;
		if (b->waiting && b->moved_us < late && is_idle(b) &&
		    memory_short(g))
			turn_away(b);
		else
			wake(b);
	}
	if (more && too_much_pending(g))
		relieve(g);
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

/* When nothing of the body is under way any more: answer or drop it. Until
 * then the place of what is back is free for more of it. */
static void
settle(struct tn_ingest_body *b)
{
	if (b->busy)
		return;
	if (b->chunks_out > 0) {
		go_on(b);
		wake(b);
		return;
	}
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

	tn_ingest_less(g, c->raw_bytes);
	tn_budget_give(TN_BUDGET_INGEST, c->decoded_bytes);
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
	if (c->messages != NULL)
		tn_ingest_messages_done(c);
	tn_ingest_chunk_free(c);
}
