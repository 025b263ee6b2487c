/* The writer: one thread that owns the log's write side and the dedupe
 * windows. It takes everything that is queued as one group:
 *
 *   join and decode what is small -> mark duplicates -> tally each body
 *   -> one append with one sync -> rows to the speed layer
 *   -> chunks back to the loop, which answers
 *
 * A group that fails to commit is taken back whole: its keys are forgotten,
 * its bodies' tallies are as before and get the error (when the log had no
 * room for the group, its chunks are tried one by one). What comes later of
 * such a body is dropped: rows behind a gap would make a retry with its
 * Idempotency-Key skip the gap. After a failed write or sync the log refuses
 * for good and so does the intake. */
#include "ingest/ingest_int.h"

#include <string.h>

#include "os/os.h"

#define FETCH_AHEAD 16           /* Rows, of keys. */

struct group {
	struct tn_ingest *g;
	struct chunk **chunks;
	uint32_t count;
	struct tn_log_block *blocks;     /* Of chunks with rows, in order. */
	uint32_t block_count;
	struct tn_log_note *notes;
	uint32_t note_count;
	struct tn_buf note_bytes;        /* Keys and values of the notes. */
	size_t *note_at;                 /* Begin of key, value; pairs. */
	int64_t *note_keep_us;
	uint64_t *next_offset;           /* One a stream, 0: not read yet. */
	struct tally **before;           /* Of each part, should we fail. */
	struct tn_arena *arena;
};

/* ---- duplicates ------------------------------------------------------ */

/* Marks what came before; the keys it added, for undo, at ${added}, which has
 * room for all. TN_ENOMEM: not all rows were looked at. */
static enum tn_status
mark_duplicates(struct keyset *k, struct tn_governance_rows *r,
    uint64_t lsn, struct tn_hash128 *added, uint64_t *added_count)
{
	uint32_t rows = r->batch->rows;
	uint64_t n = 0;
	enum tn_status st = TN_OK;
	bool fresh;

	for (uint32_t i = 0; i < rows && i < FETCH_AHEAD; i++)
		tn_ingest_keyset_fetch(k, r->keys[i]);
	for (uint32_t i = 0; i < rows && st == TN_OK; i++) {
		if (i + FETCH_AHEAD < rows)
			tn_ingest_keyset_fetch(k, r->keys[i + FETCH_AHEAD]);
		if (r->marks[i] != TN_MARK_ACCEPTED)
			continue;
		st = tn_ingest_keyset_add(k, r->keys[i], lsn, &fresh);
		if (st == TN_OK && fresh)
			added[n++] = r->keys[i];
		else if (st == TN_OK)
			r->marks[i] = TN_MARK_DUPLICATE;
	}
	*added_count = n;
	return st;
}

/* ---- tallies --------------------------------------------------------- */

static void
add_errors(struct tn_ingest *g, struct tally *t, const struct chunk *c,
    const struct part *p)
{
	const struct tn_governance_rows *r = c->rows;
	uint32_t i = 0;

	while (i < r->reason_count && r->reasons[i].row < p->first)
		i++;
	for (; i < r->reason_count && r->reasons[i].row < p->first + p->count
	    && t->error_count < g->o.errors_max; i++) {
		const struct tn_log_reason *why = &r->reasons[i];
		if (t->errors == NULL)
			t->errors = tn_alloc(g->o.errors_max *
			    sizeof *t->errors);
		if (t->texts == NULL)
			t->texts = tn_arena_new(1024);
		struct tn_ingest_error *e = &t->errors[t->error_count++];
		e->row = t->rows + why->row - p->first;
		e->line = c->lines[why->row];
		e->code = tn_arena_strdup(t->texts, why->code);
		e->column = tn_arena_strdup(t->texts, why->column);
		e->message = tn_arena_strdup(t->texts, why->message);
	}
}

/* Add a part to its body, with the LSN and offset it is going to have. */
static void
tally_part(struct tn_ingest *g, const struct chunk *c,
    const struct part *p, uint64_t lsn, uint64_t offset)
{
	struct tally *t = &p->body->tally;
	uint64_t by_mark[3] = { 0 };

	if (p->count == 0)
		return;
	add_errors(g, t, c, p);
	for (uint32_t i = 0; i < p->count; i++)
		by_mark[c->rows->marks[p->first + i]]++;
	t->accepted += by_mark[TN_MARK_ACCEPTED];
	t->quarantined += by_mark[TN_MARK_QUARANTINED];
	t->duplicates += by_mark[TN_MARK_DUPLICATE];
	if (!t->has_offset)
		t->first_offset = offset + p->first;
	t->has_offset = true;
	t->last_offset = offset + p->first + p->count - 1;
	t->lsn = lsn;
	t->rows += p->count;
}

/* What a keyed body's earlier commits came to, read by the decoder. */
static void
take_before(struct tn_ingest_body *b)
{
	if (b->before == NULL)
		return;
	if (b->mismatch)
		tn_ingest_tally_fini(b->before);
	else
		b->tally = *b->before;
	tn_free(b->before);
	b->before = NULL;
	b->replayed = b->replay && !b->mismatch;
}

static void
add_note(struct group *x, const struct part *p)
{
	struct tn_ingest_body *b = p->body;
	size_t *at = &x->note_at[2 * x->note_count];
	bool done = p->final && b->broken == TN_OK;

	if (b->key_bytes == 0 || b->replay || b->mismatch ||
	    (p->count == 0 && !done))
		return;
	b->tally.rows = p->rows_seen;
	b->tally.chain = p->chain;
	at[0] = x->note_bytes.n;
	tn_ingest_note_key(b, &x->note_bytes);
	at[1] = x->note_bytes.n;
	tn_ingest_note_write(&b->tally, done, &x->note_bytes);
	x->note_keep_us[x->note_count++] = b->keep_us;
}

static uint32_t
memos_of(const struct message_batch *b)
{
	uint32_t n = 0;

	for (; b != NULL; b = b->joined)
		n += b->memo_count;
	return n;
}

/* What the sessions of a message batch remember, already as bytes. */
static void
add_memos(struct group *x, const struct message_batch *b)
{
	for (uint32_t i = 0; i < b->memo_count; i++) {
		size_t *at = &x->note_at[2 * x->note_count];
		size_t from = b->note_at[2 * i];
		/* Longer than keys: these are forgotten first. */
		x->note_keep_us[x->note_count++] = x->g->o.idempotency_us +
		    x->g->o.idempotency_min_us;
		at[0] = x->note_bytes.n;
		at[1] = at[0] + b->note_at[2 * i + 1] - from;
		tn_buf_add(&x->note_bytes, b->note_bytes.p + from,
		    b->note_at[2 * i + 2] - from);
	}
}

/* ---- the group ------------------------------------------------------- */

static void
fill_block(struct group *x, struct chunk *c, uint64_t offset)
{
	struct tn_governance_rows *r = c->rows;
	const struct tn_governance_stream *s = r->stream;
	bool all = true;

	for (uint32_t i = 0; all && i < r->batch->rows; i++)
		all = r->marks[i] == TN_MARK_ACCEPTED;
	x->blocks[x->block_count++] = (struct tn_log_block){
		.stream = s->id,
		.version = s->version,
		.offset = offset,
		.rows = r->batch->rows,
		.received_us = r->received_us,
		.spec = { c->spec.p, c->spec.n },
		.source = tn_slice_of(c->source),
		.marks = all ? NULL : r->marks,
		.reasons = r->reasons,
		.reason_count = r->reason_count,
		/* Memory was out when they were to be packed: append does. */
		.raw = { c->packed.n > 0 ? NULL : c->raw.p, c->raw_bytes },
		.lengths = c->lengths,
		.lines = c->lines,
		.packed = { c->packed.p, c->packed.n },
	};
}

/* A body that failed takes nothing more. Only bodies of one chunk share it
 * with others. */
static bool
is_refused(struct chunk *c)
{
	return tn_ingest_messages_late(c) || (c->part_count == 1 &&
	    c->parts[0].body->status != TN_OK);
}

static void
refuse(struct chunk *c)
{
	c->failed = true;
	c->job.run = tn_ingest_chunk_done;
	tn_net_loop_post(c->g->o.loop, &c->job);
}

/* As they were before the group. Errors told meanwhile stay allocated. */
static void
restore_tallies(struct group *x)
{
	for (uint32_t i = x->count; i-- > 0; )
		for (uint32_t k = x->chunks[i]->part_count; k-- > 0; ) {
			struct tally *t = &x->chunks[i]->parts[k].body->tally;
			struct tally was = x->before[i][k];
			was.errors = t->errors;
			was.texts = t->texts;
			*t = was;
		}
}

/* Keys that a failed commit takes back. */
struct added {
	struct tn_hash128 *keys;
	uint64_t count;
};

static enum tn_status
take_keys(struct group *x, struct chunk *c, uint64_t lsn, struct added *added)
{
	struct keyset *k = x->g->keys[c->stream];

	if (k == NULL)
		return TN_OK;
	added->keys = tn_try_alloc((c->rows->batch->rows + 1) *
	    sizeof *added->keys);
	return added->keys == NULL ? TN_ENOMEM : mark_duplicates(k, c->rows,
	    lsn, added->keys, &added->count);
}

/* TN_ENOMEM: only its keys are to be taken back. */
static enum tn_status
prepare_chunk(struct group *x, uint32_t at, struct added *added)
{
	struct chunk *c = x->chunks[at];
	struct tn_ingest *g = x->g;
	uint64_t lsn = tn_log_last(g->o.log) + 1 + x->block_count;
	uint64_t offset = 0;
	enum tn_status st = TN_OK;

	if (c->rows != NULL)
		st = take_keys(x, c, lsn, added);
	if (st != TN_OK)
		return st;
	x->before[at] = tn_arena_alloc(x->arena, (c->part_count + 1) *
	    sizeof **x->before);
	if (c->rows != NULL) {
		uint64_t *next = &x->next_offset[c->stream];
		if (*next == UINT64_MAX)
			*next = tn_log_next_offset(g->o.log,
			    g->o.model->streams[c->stream].id);
		offset = *next;
		*next += c->rows->batch->rows;
		fill_block(x, c, offset);
	}
	for (uint32_t i = 0; i < c->part_count; i++) {
		take_before(c->parts[i].body);
		x->before[at][i] = c->parts[i].body->tally;
		tally_part(g, c, &c->parts[i], lsn, offset);
		add_note(x, &c->parts[i]);
	}
	for (struct message_batch *b = c->messages; b != NULL; b = b->joined)
		add_memos(x, b);
	return TN_OK;
}

static void
point_notes(struct group *x, int64_t now_us)
{
	for (uint32_t i = 0; i < x->note_count; i++) {
		size_t key = x->note_at[2 * i], value = x->note_at[2 * i + 1];
		size_t end = i + 1 < x->note_count ?
		    x->note_at[2 * i + 2] : x->note_bytes.n;
		x->notes[i] = (struct tn_log_note){
			.key = { x->note_bytes.p + key, value - key },
			.value = { x->note_bytes.p + value, end - value },
			.expires_us = now_us + x->note_keep_us[i],
		};
	}
}

struct reason {
	const char *code, *message, *hint;
};

static struct reason
reason_of(struct tn_ingest *g, enum tn_status st)
{
	const char *why = tn_log_failure(g->o.log);

	switch (st) {
	case TN_ENOSPC:
		return (struct reason){ "disk_full",
		    "the disk is full up to its reserve: nothing of this part "
		    "was taken",
		    "free space on the data disk and send again; see "
		    "disk_reserve" };
	case TN_EFULL:
		return (struct reason){ "idempotency_full",
		    "too many Idempotency-Keys came within "
		    "idempotency_window_min",
		    "send without one, or raise idempotency_keys_max (and "
		    "log_segment_bytes, of which an eighth holds them) with "
		    "ALTER SYSTEM SET" };
	case TN_ELIMIT:
		return (struct reason){ "segment_too_small",
		    "this part is too large for a segment of the log",
		    "raise log_segment_bytes with ALTER SYSTEM SET" };
	case TN_ENOMEM:
		return (struct reason){ "memory_full",
		    "memory is out: nothing of this part was taken",
		    "send again later" };
	default:
		return (struct reason){ "log_failed", why != NULL ? why :
		    "the log cannot take this",
		    "look at the log lines of tarn, mend the disk and "
		    "restart; events that were answered are safe" };
	}
}

static void
fail_messages(struct message_batch *b, enum tn_status st, const char *why)
{
	if (b == NULL)
		return;
	b->status = st;
	b->why = why;
	b->route->failed = b->epoch;
	b->route->failed_status = st;
	b->route->failed_why = why;
}

static void
fail_bodies(struct tn_ingest *g, struct chunk **chunks, uint32_t count,
    enum tn_status st)
{
	struct reason why = reason_of(g, st);

	/* Which failure ended the log is the same to a sender: 503. */
	if (tn_log_failure(g->o.log) != NULL)
		st = TN_ECLOSED;
	for (uint32_t i = 0; i < count; i++) {
		fail_messages(chunks[i]->messages, st, why.message);
		for (uint32_t k = 0; k < chunks[i]->part_count; k++) {
			struct tn_ingest_body *b = chunks[i]->parts[k].body;
			chunks[i]->failed = true;
			if (b->status != TN_OK)
				continue;
			b->status = tn_diag_set(&b->why, st, why.code, "%s",
			    why.message);
			tn_diag_hint(&b->why, "%s", why.hint);
		}
	}
}

static void
add_stats(struct tn_ingest *g, const struct chunk *c, int64_t now_us)
{
	struct stream_stats *s = &g->stats[c->stream];
	uint64_t by_mark[3] = { 0 };
	int64_t second = now_us / 1000000;

	for (uint32_t i = 0; i < c->rows->batch->rows; i++)
		by_mark[c->rows->marks[i]]++;
	__atomic_add_fetch(&s->accepted, by_mark[0], __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->quarantined, by_mark[1], __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->duplicates, by_mark[2], __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->bytes, c->raw_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&s->last_us, now_us, __ATOMIC_RELAXED);
	if (__atomic_load_n(&s->second_of[second % 16], __ATOMIC_RELAXED) !=
	    second) {
		__atomic_store_n(&s->second[second % 16], 0,
		    __ATOMIC_RELAXED);
		__atomic_store_n(&s->second_of[second % 16], second,
		    __ATOMIC_RELAXED);
	}
	__atomic_add_fetch(&s->second[second % 16], c->rows->batch->rows,
	    __ATOMIC_RELAXED);
}

static void
publish_rows(struct group *x)
{
	int64_t now_us = tn_os_wall_us();
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->count; i++) {
		struct chunk *c = x->chunks[i];
		if (c->rows == NULL)
			continue;
		const struct tn_log_block *b = &x->blocks[n++];
		c->rows->lsn = b->lsn;
		c->rows->offset = b->offset;
		add_stats(x->g, c, now_us);
		if (x->g->o.committed != NULL)
			x->g->o.committed(x->g->o.arg, c->rows);
	}
	tn_assert(n == x->block_count);
}

static void
init_group(struct group *x, struct tn_ingest *g, struct chunk **chunks,
    uint32_t count)
{
	uint32_t parts = 0, streams = g->o.model->stream_count;

	memset(x, 0, sizeof *x);
	for (uint32_t i = 0; i < count; i++)
		parts += chunks[i]->part_count +
		    memos_of(chunks[i]->messages);
	x->g = g;
	x->chunks = chunks;
	x->count = count;
	x->arena = g->workspace;
	x->blocks = tn_arena_alloc(x->arena, count * sizeof *x->blocks);
	x->notes = tn_arena_alloc(x->arena, parts * sizeof *x->notes + 1);
	x->note_at = tn_arena_alloc(x->arena, (parts + 1) * 2 *
	    sizeof *x->note_at);
	x->note_keep_us = tn_arena_alloc(x->arena, (parts + 1) *
	    sizeof *x->note_keep_us);
	x->next_offset = tn_arena_alloc(x->arena, (streams + 1) *
	    sizeof *x->next_offset);
	memset(x->next_offset, 0xff, (streams + 1) * sizeof *x->next_offset);
	x->before = tn_arena_zalloc(x->arena, count * sizeof *x->before);
}

/* The commit failed: keys are forgotten, what was a duplicate may be none. */
static void
take_back(struct chunk *c, const struct added *added)
{
	if (c->rows == NULL)
		return;
	if (added->count > 0)
		tn_ingest_keyset_undo(c->g->keys[c->stream], added->keys,
		    added->count);
	for (uint32_t i = 0; i < c->rows->batch->rows; i++)
		if (c->rows->marks[i] == TN_MARK_DUPLICATE)
			c->rows->marks[i] = TN_MARK_ACCEPTED;
}

static enum tn_status
append(struct group *x)
{
	size_t bytes = 0;
	enum tn_status st;

	/* The log holds the pages it writes until they are synced. */
	for (uint32_t i = 0; i < x->count; i++)
		bytes += x->chunks[i]->packed.n;
	tn_budget_force(TN_BUDGET_INGEST, bytes);
	st = tn_log_append(x->g->o.log, x->blocks, x->block_count, x->notes,
	    x->note_count);
	tn_budget_give(TN_BUDGET_INGEST, bytes);
	return st;
}

/* One append with one sync, all or nothing. */
static enum tn_status
try_commit(struct tn_ingest *g, struct chunk **chunks, uint32_t count)
{
	struct group x;
	struct added *added;
	enum tn_status st = TN_OK;
	uint32_t ready = 0;

	init_group(&x, g, chunks, count);
	added = tn_arena_zalloc(x.arena, count * sizeof *added);
	while (st == TN_OK && ready < count) {
		st = prepare_chunk(&x, ready, &added[ready]);
		ready += st == TN_OK;
	}
	x.count = ready;
	/* Rows without their note would be taken again by a retry. */
	if (st == TN_OK)
		st = tn_buf_status(&x.note_bytes);
	if (st == TN_OK)
		point_notes(&x, tn_os_wall_us());
	if (st == TN_OK && (x.block_count > 0 || x.note_count > 0))
		st = append(&x);
	if (st == TN_OK)
		publish_rows(&x);
	else
		restore_tallies(&x);
	for (uint32_t i = count; i-- > 0; ) {
		if (st != TN_OK)
			take_back(chunks[i], &added[i]);
		tn_free(added[i].keys);
	}
	tn_buf_fini(&x.note_bytes);
	tn_arena_reset(x.arena);
	return st;
}

static void
commit_group(struct tn_ingest *g, struct chunk **chunks, uint32_t count)
{
	enum tn_status st = try_commit(g, chunks, count);

	__atomic_store_n(&g->no_space, st == TN_ENOSPC, __ATOMIC_RELAXED);
	/* Too much of something: one chunk may be to blame, and the others
	 * are to be taken. */
	if (count > 1 && (st == TN_ELIMIT || st == TN_EFULL ||
	    st == TN_ENOMEM)) {
		for (uint32_t i = 0; i < count; i++)
			if (is_refused(chunks[i]))
				refuse(chunks[i]);
			else
				commit_group(g, &chunks[i], 1);
		return;
	}
	if (st != TN_OK)
		fail_bodies(g, chunks, count, st);
	for (uint32_t i = 0; i < count; i++) {
		chunks[i]->job.run = tn_ingest_chunk_done;
		tn_net_loop_post(g->o.loop, &chunks[i]->job);
	}
	tn_log_rest(g->o.log);
}

void
tn_ingest_chunk_free(struct chunk *c)
{
	tn_governance_rows_unref(c->rows);
	tn_buf_fini(&c->raw);
	tn_buf_fini(&c->packed);
	tn_buf_fini(&c->spec);
	tn_free(c->source);
	tn_free(c->parts);
	tn_free(c);
}

enum tn_status
tn_ingest_commit(struct tn_ingest *g, struct chunk *c)
{
	return try_commit(g, &c, 1);
}

/* ---- the queue ------------------------------------------------------- */

/* Jobs of one commit, in order. What was not decoded on the way (it was little)
 * is decoded just before; what came of one route or for one stream meanwhile
 * is one block then. */
struct intake {
	struct tn_ingest *g;
	struct tn_net_job **jobs;
	uint32_t count;
	size_t bytes;
	struct small_group *small;   /* Others may still join it. */
};

static bool
takes(const struct tn_net_job *job)
{
	return job->run == tn_ingest_write ||
	    job->run == tn_ingest_write_messages ||
	    job->run == tn_ingest_write_small;
}

static bool
small_joins(struct intake *x, struct small_group *s)
{
	struct small_group *to = x->small;

	x->small = s;
	if (to == NULL || !tn_ingest_small_same(to, s))
		return false;
	*to->end = s->bodies;
	to->end = s->end;
	to->count += s->count;
	to->bytes += s->bytes;
	tn_free(s);
	x->small = to;
	return true;
}

static void
take_job(struct intake *x, struct tn_net_job *job)
{
	bool joined = false;

	if (job->run == tn_ingest_write) {
		x->bytes += ((struct chunk *)job)->packed.n + 1024;
	} else if (job->run == tn_ingest_write_messages) {
		x->bytes += ((struct message_batch *)job)->bytes.n;
		__atomic_add_fetch(&((struct message_batch *)job)->route->begun,
		    1, __ATOMIC_RELAXED);
		joined = tn_ingest_messages_join((struct message_batch *)job);
	} else {
		x->bytes += ((struct small_group *)job)->bytes;
		joined = small_joins(x, (struct small_group *)job);
	}
	if (!joined)
		x->jobs[x->count++] = job;
}

static struct chunk *
to_chunk(struct tn_ingest *g, struct tn_net_job *job)
{
	struct message_batch *b = (struct message_batch *)job;

	if (job->run == tn_ingest_write)
		return (struct chunk *)job;
	if (job->run == tn_ingest_write_small)
		return tn_ingest_decode_small(g->writer_state,
		    (struct small_group *)job);
	b->route->waits = NULL;
	return tn_ingest_decode_messages(g->writer_state, b);
}

static void
commit_intake(struct intake *x)
{
	struct chunk **chunks = tn_alloc((x->count + 1) * sizeof *chunks);
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->count; i++) {
		struct chunk *c = to_chunk(x->g, x->jobs[i]);
		/* What became of the group before it counts, too. */
		if (is_refused(c))
			refuse(c);
		else
			chunks[n++] = c;
	}
	if (n > 0)
		commit_group(x->g, chunks, n);
	tn_free(chunks);
	x->count = 0;
	x->bytes = 0;
	x->small = NULL;
}

/* The first job of the queue came here by its run(); the rest of the queue is
 * taken too. Jobs of other kinds among them (key files, trim) run in their
 * place between two groups. */
static void
write_queue(struct tn_ingest *g, struct tn_net_job *job)
{
	struct tn_net_job *rest = tn_net_actor_take(g->writer);
	struct intake x = { .g = g, .jobs = g->taken };

	while (job != NULL) {
		bool ours = takes(job);
		job->next = NULL;
		if (ours)
			take_job(&x, job);
		if (!ours || x.count == TN_INGEST_GROUP_CHUNKS ||
		    x.bytes >= g->group_bytes || rest == NULL)
			commit_intake(&x);
		if (!ours)
			job->run(job);
		job = rest;
		rest = rest == NULL ? NULL : rest->next;
	}
	tn_assert(x.count == 0);
}

void
tn_ingest_write(struct tn_net_job *job)
{
	write_queue(((struct chunk *)job)->g, job);
}

void
tn_ingest_write_messages(struct tn_net_job *job)
{
	write_queue(((struct message_batch *)job)->route->g, job);
}

void
tn_ingest_write_small(struct tn_net_job *job)
{
	write_queue(((struct small_group *)job)->g, job);
}
