/* Decoding: bytes of a body to rows, rows to typed batches, raw rows packed
 * for the log. What costs cycles happens on the decoder threads, so that the
 * writer only decides duplicates and commits; a few bytes it decodes itself
 * (write.c), because handing them over takes longer.
 *
 *   work --inflate--> plain --split--> rows --gate--> chunk --> writer
 *
 * A body that breaks (bad gzip, a row beyond the limit) still ends through
 * the writer: its last chunk carries the failure, and what came before it is
 * committed and counted in the answer. So does one for which memory is out:
 * the rows that could not be held are dropped together, never some of them,
 * and its sender is told to send again. */
#include "ingest/ingest_int.h"

#include <string.h>

#include "os/os.h"

#define GATES_MAX 128
#define STEP_BYTES_MIN 4096      /* Split at once; a row has two at least. */

struct kept {
	uint32_t stream;
	struct tn_buf text;
	struct tn_codec_spec spec;
	struct tn_governance_gate *gate;
	uint32_t unknown_seen;
	uint64_t used;
};
struct decoder {
	struct kept gates[GATES_MAX];
	uint32_t count;
	uint64_t clock;
	struct tn_buf plain;
	struct tn_codec_rows rows;   /* Of small groups. */
	bool writes;                 /* The writer's own. */
};

struct decoder *
tn_ingest_decoder_new(bool writes)
{
	struct decoder *d = tn_zalloc(sizeof *d);

	d->writes = writes;
	return d;
}

static void
drop_kept(struct kept *k)
{
	tn_governance_gate_free(k->gate);
	tn_codec_spec_fini(&k->spec);
	tn_buf_fini(&k->text);
	memset(k, 0, sizeof *k);
}

void
tn_ingest_decoder_free(struct decoder *d)
{
	if (d == NULL)
		return;
	for (uint32_t i = 0; i < d->count; i++)
		drop_kept(&d->gates[i]);
	tn_codec_rows_fini(&d->rows);
	tn_buf_fini(&d->plain);
	tn_free(d);
}

/* ---- gates ----------------------------------------------------------- */

static struct kept *
slot_for(struct decoder *d)
{
	uint32_t oldest = 0;

	if (d->count < GATES_MAX)
		return &d->gates[d->count++];
	for (uint32_t i = 1; i < d->count; i++)
		if (d->gates[i].used < d->gates[oldest].used)
			oldest = i;
	drop_kept(&d->gates[oldest]);
	return &d->gates[oldest];
}

static struct kept *
gate_for(struct decoder *d, struct tn_ingest *g, uint32_t stream,
    const struct tn_buf *text)
{
	struct tn_slice want = { text->p, text->n };
	enum tn_status st;
	struct kept *k;

	for (uint32_t i = 0; i < d->count; i++) {
		k = &d->gates[i];
		if (k->stream == stream && tn_slice_eq(want,
		    (struct tn_slice){ k->text.p, k->text.n })) {
			k->used = ++d->clock;
			return k;
		}
	}
	k = slot_for(d);
	k->stream = stream;
	k->used = ++d->clock;
	/* Without its text it is never found again, which does no harm. */
	tn_buf_add(&k->text, text->p, text->n);
	st = tn_codec_spec_parse(&k->spec, want);
	tn_assert(st == TN_OK);   /* We wrote that text. */
	k->gate = tn_governance_gate_new(&g->o.model->streams[stream],
	    &k->spec);
	return k;
}

/* Tell once a stream and field that nothing takes it. */
static void
report_field(struct tn_ingest *g, uint32_t stream, const char *name)
{
	const struct tn_governance_stream *s = &g->o.model->streams[stream];
	bool fresh = false;
	enum tn_status st = tn_catalog_unknown_field(g->o.catalog, s->id,
	    name, tn_os_wall_us(), &fresh);

	if (st == TN_OK && fresh)
		tn_say(TN_WARN, "ingest", "stream %s: field \"%s\" has no "
		    "column; it is kept in bronze only", s->table->name, name);
}

struct report {
	struct tn_net_job job;
	struct tn_ingest *g;
	uint32_t stream;
	char *name;
};

static void
run_report(struct tn_net_job *job)
{
	struct report *r = (struct report *)job;

	report_field(r->g, r->stream, r->name);
	tn_free(r->name);
	tn_free(r);
}

/* The catalog syncs, and the writer waits for nothing but the log. */
static void
report_elsewhere(struct tn_ingest *g, uint32_t stream, const char *name)
{
	struct report *r = tn_zalloc(sizeof *r);

	r->job.run = run_report;
	r->g = g;
	r->stream = stream;
	r->name = tn_strdup(name);
	if (!tn_net_actor_post_internal(g->decoders[0], &r->job))
		tn_assert(!"the decoders stop after what the writer decodes");
}

static void
report_unknown(const struct decoder *d, struct tn_ingest *g, struct kept *k)
{
	const char *const *names = tn_governance_gate_unknown(k->gate);

	while (names[k->unknown_seen] != NULL) {
		const char *name = names[k->unknown_seen++];
		if (d->writes)
			report_elsewhere(g, k->stream, name);
		else
			report_field(g, k->stream, name);
	}
}

/* ---- chunks ---------------------------------------------------------- */

/* Lengths and lines are the chunk's own. */
static enum tn_status
keep_places(struct chunk *c, const struct tn_codec_rows *rows)
{
	c->lengths = tn_arena_try_alloc(c->rows->arena,
	    (rows->count + 1) * 4);
	c->lines = tn_arena_try_alloc(c->rows->arena, (rows->count + 1) * 4);
	if (c->lengths == NULL || c->lines == NULL)
		return TN_ENOMEM;
	if (rows->count > 0) {
		memcpy(c->lengths, rows->length, rows->count * 4);
		memcpy(c->lines, rows->line, rows->count * 4);
	}
	return TN_OK;
}

static enum tn_status
pack(struct chunk *c, struct tn_slice raw, struct tn_zstd_rows *known)
{
	struct tn_log_block block = {
		.rows = c->rows->batch->rows,
		.raw = raw,
		.lengths = c->lengths,
		.lines = c->lines,
	};
	enum tn_status st = tn_log_pack(&block, c->g->o.zstd_level, known,
	    &c->packed);

	tn_assert(st == TN_OK || st == TN_ENOMEM);
	return st;
}

enum tn_status
tn_ingest_pack(struct chunk *c, const struct tn_codec_rows *rows)
{
	enum tn_status st = keep_places(c, rows);

	if (st == TN_OK)
		st = pack(c, (struct tn_slice){ rows->raw.p, rows->raw.n },
		    NULL);
	c->raw_bytes = st == TN_OK ? rows->raw.n : 0;
	return st;
}

static struct chunk *
new_chunk(struct tn_ingest *g, uint32_t stream, uint32_t parts)
{
	struct chunk *c = tn_zalloc(sizeof *c);

	c->job.run = tn_ingest_write;
	c->g = g;
	c->stream = stream;
	c->parts = tn_zalloc(parts * sizeof *c->parts);
	c->part_count = parts;
	return c;
}

/* Rows through the gate into the chunk. Empty rows make no block. TN_ENOMEM:
 * the chunk has no rows; TN_ELIMIT: no log holds how they are decoded. */
static enum tn_status
gate_rows(struct decoder *d, struct chunk *c,
    const struct tn_codec_spec *spec, const char *source,
    const struct tn_codec_rows *rows)
{
	struct kept *k;

	if (rows->count == 0)
		return TN_OK;
	tn_codec_spec_text(spec, &c->spec);
	if (c->spec.failed)
		return TN_ENOMEM;
	if (c->spec.n > TN_LOG_SPEC_MAX)
		return TN_ELIMIT;
	k = gate_for(d, c->g, c->stream, &c->spec);
	c->rows = tn_governance_gate_pass(k->gate, rows, tn_os_wall_us(),
	    NULL);
	report_unknown(d, c->g, k);
	c->source = tn_strdup(source);
	return c->rows != NULL ? TN_OK : TN_ENOMEM;
}

static enum tn_status
drop_failed(struct chunk *c, enum tn_status st)
{
	if (st != TN_OK) {
		tn_governance_rows_unref(c->rows);
		c->rows = NULL;
	}
	return st;
}

/* The same, and packed. */
static enum tn_status
pass_gate(struct decoder *d, struct chunk *c,
    const struct tn_codec_spec *spec, const char *source,
    const struct tn_codec_rows *rows)
{
	enum tn_status st = gate_rows(d, c, spec, source, rows);

	if (st == TN_OK && c->rows != NULL)
		st = tn_ingest_pack(c, rows);
	return drop_failed(c, st);
}

static void
count_chunk(struct chunk *c)
{
	c->decoded_bytes = c->packed.cap + c->raw.cap;
	if (c->rows != NULL)
		c->decoded_bytes += tn_arena_bytes(c->rows->arena) +
		    tn_record_batch_bytes(c->rows->batch);
	tn_ingest_more(c->g, c->raw_bytes);
	tn_budget_force(TN_BUDGET_INGEST, c->decoded_bytes);
}

static void
send(struct chunk *c)
{
	/* Chunks are bounded by bodies times TN_INGEST_CHUNKS_MAX. */
	if (!tn_net_actor_post_internal(c->g->writer, &c->job))
		tn_assert(!"the writer stops after the decoders");
}

/* ---- one body -------------------------------------------------------- */

static void
break_body(struct tn_ingest_body *b, enum tn_status st, const char *code,
    const char *message, const char *hint)
{
	if (b->broken != TN_OK)
		return;
	b->broken = tn_diag_set(&b->diag, st, code, "%s", message);
	tn_diag_hint(&b->diag, "%s", hint);
}

static void
break_no_memory(struct tn_ingest_body *b)
{
	break_body(b, TN_ENOMEM, "memory_full",
	    "memory is out: the rows from here on were not taken",
	    "send again later");
}

static void
refuse_key(struct tn_ingest_body *b)
{
	b->mismatch = true;
	break_body(b, TN_EINVAL, "idempotency_mismatch",
	    "this Idempotency-Key was used with another body",
	    "use a fresh key for every new body");
}

/* The first ${drop} rows away. Rows lie back to back. */
static void
drop_rows(struct tn_codec_rows *r, uint32_t drop)
{
	size_t cut = drop < r->count ? r->start[drop] : r->raw.n;

	memmove(r->raw.p, r->raw.p + cut, r->raw.n - cut);
	r->raw.n -= cut;
	for (uint32_t i = drop; i < r->count; i++) {
		r->start[i - drop] = r->start[i] - (uint32_t)cut;
		r->length[i - drop] = r->length[i];
		r->line[i - drop] = r->line[i];
	}
	r->count -= drop;
}

/* Rows a note says are committed already: compare, then leave them out. */
static void
skip_rows(struct tn_ingest_body *b)
{
	uint32_t drop = 0;
	struct tn_codec_rows *r = &b->rows;

	if (b->key_bytes == 0)
		return;
	for (uint32_t i = 0; i < r->count; i++) {
		b->chain = tn_ingest_chain(b->chain, r->raw.p + r->start[i],
		    r->length[i]);
		b->rows_seen++;
		drop += b->rows_seen <= b->skip;
		if (b->rows_seen == b->skip && (b->chain.lo !=
		    b->skip_chain.lo || b->chain.hi != b->skip_chain.hi))
			refuse_key(b);
	}
	if (b->split_done && b->rows_seen < b->skip)
		refuse_key(b);
	if (b->replay && b->rows_seen > b->skip)
		refuse_key(b);
	if (drop > 0)
		drop_rows(r, drop);
	if (b->mismatch)
		b->split_done = true;
}

static void
read_note(struct tn_ingest_body *b)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_buf key = { 0 };
	struct tn_slice value;
	struct tally t;
	bool done = false;
	enum tn_status st;

	b->note_read = true;
	tn_ingest_note_key(b, &key);
	st = tn_buf_status(&key);
	if (st == TN_OK)
		st = tn_log_note_get(b->g->o.log, (struct tn_slice){ key.p,
		    key.n }, tn_os_wall_us(), a, &value);
	if (st == TN_OK)
		st = tn_ingest_note_read(value, &t, &done);
	if (st == TN_OK) {
		b->before = tn_alloc(sizeof *b->before);
		*b->before = t;
		b->skip = t.rows;
		b->skip_chain = t.chain;
		b->replay = done;
	} else if (st == TN_ENOMEM) {
		break_no_memory(b);
	} else if (st != TN_ENOTFOUND) {
		break_body(b, st, "idempotency_note", "what was remembered "
		    "under this Idempotency-Key cannot be read",
		    "send again with a fresh key after checking the stream");
	}
	tn_buf_fini(&key);
	tn_arena_free(a);
}

/* Memory was out while rows were put together: which of them are whole is not
 * known, so all that were not handed over go. */
static void
lose_rows(struct tn_ingest_body *b)
{
	tn_codec_rows_clear(&b->rows);
	break_no_memory(b);
}

/* Is it known how the rows are decoded? A header says so. */
static bool
knows_spec(const struct tn_codec_spec *s)
{
	return s->format != TN_CODEC_CSV || s->no_header ||
	    s->column_count > 0;
}

/* Most rows of a chunk. Bronze has how and where in each of its rows: behind a
 * long header (CSV) come fewer of them, else a small body would make much of
 * it. */
static uint32_t
rows_max(struct tn_ingest_body *b)
{
	struct tn_buf text = { 0 };
	size_t each;

	if (b->rows_max == 0 && knows_spec(b->spec)) {
		tn_codec_spec_text(b->spec, &text);
		each = text.n + strlen(b->source) + 1;
		each = TN_INGEST_SAME_BYTES / each + 1;
		b->rows_max = each < TN_INGEST_ROWS_MAX ? (uint32_t)each :
		    TN_INGEST_ROWS_MAX;
		tn_buf_fini(&text);
	}
	return b->rows_max != 0 ? b->rows_max : TN_INGEST_ROWS_MAX;
}

/* How many bytes to split at once, so that not many more rows come of them. */
static size_t
step_bytes(struct tn_ingest_body *b)
{
	uint32_t most = rows_max(b);
	size_t n = most > b->rows.count ? 2ul * (most - b->rows.count) : 0;

	if (b->rows_max == 0 || n < STEP_BYTES_MIN)
		return STEP_BYTES_MIN;
	return n < TN_INGEST_PLAIN ? n : TN_INGEST_PLAIN;
}

/* One step of inflate and split. False when there is nothing to do now. */
static bool
split_step(struct decoder *d, struct tn_ingest_body *b)
{
	struct tn_slice in = { b->work.p + b->work_at,
	    b->work.n - b->work_at };
	size_t before = in.n, most = step_bytes(b);
	enum tn_status st = TN_OK;

	if (b->inflate == NULL) {
		if (in.n == 0)
			return false;
		before = in.n = in.n < most ? in.n : most;
		st = tn_codec_splitter_feed(b->splitter, &in, &b->rows,
		    b->g->o.chunk_bytes);
		b->work_at += before - in.n;
	} else {
		if (d->plain.n == 0) {
			enum tn_status z = tn_inflate_step(b->inflate, &in,
			    &d->plain, most);
			b->work_at += before - in.n;
			if (z == TN_ENOMEM) {
				break_no_memory(b);
				return false;
			}
			if (z != TN_OK && z != TN_END) {
				break_body(b, TN_EINVAL, "bad_encoding",
				    "the compressed body is damaged",
				    "check Content-Encoding (gzip or zstd)");
				return false;
			}
			if (d->plain.n == 0)
				return before != in.n;
		}
		struct tn_slice plain = { d->plain.p, d->plain.n };
		/* All of it: the next body on this thread needs the room. */
		st = tn_codec_splitter_feed(b->splitter, &plain, &b->rows,
		    SIZE_MAX);
		tn_buf_clear(&d->plain);
	}
	if (st == TN_ELIMIT)
		break_body(b, TN_ELIMIT, "row_too_large",
		    "a row is larger than row_bytes_max",
		    "send smaller events, or raise row_bytes_max with ALTER "
		    "SYSTEM SET; the rows before it were taken");
	if (st == TN_ENOMEM)
		lose_rows(b);
	return st == TN_OK;
}

/* Rows enough for a chunk? Their number counts too: a bad row of one byte
 * costs a reason of a hundred. */
static bool
is_full(struct tn_ingest_body *b)
{
	return b->rows.raw.n >= b->g->o.chunk_bytes ||
	    b->rows.count >= rows_max(b);
}

static void
end_split(struct tn_ingest_body *b)
{
	enum tn_status st = tn_codec_splitter_end(b->splitter, &b->rows);

	if (st == TN_ELIMIT)
		break_body(b, TN_ELIMIT, "row_too_large",
		    "the last row is larger than row_bytes_max",
		    "send smaller events, or raise row_bytes_max");
	if (st == TN_ENOMEM)
		lose_rows(b);
	b->split_done = true;
}

static void
split_work(struct decoder *d, struct tn_ingest_body *b)
{
	bool dry = false;        /* Nothing is held back by inflate either. */

	tn_buf_clear(&d->plain);
	while (b->broken == TN_OK && !dry && !is_full(b))
		dry = !split_step(d, b);
	if (b->work_at == b->work.n) {
		tn_ingest_less(b->g, b->work.n);
		tn_buf_clear(&b->work);
		b->work_at = 0;
	}
	if (b->broken == TN_OK && b->last && b->work.n == 0 && dry) {
		if (b->inflate != NULL && !tn_inflate_done(b->inflate))
			break_body(b, TN_EINVAL, "bad_encoding",
			    "the compressed body ends too early",
			    "send the whole body");
		end_split(b);
	}
	if (b->broken != TN_OK)
		b->split_done = true;
}

/* Packing takes about as long as all that is done before: while a large body
 * is decoded here, its rows are packed beside. */
static void
run_pack(struct tn_net_job *job)
{
	struct chunk *c = (struct chunk *)job;
	enum tn_status st = TN_OK;

	if (c->rows != NULL)
		st = pack(c, (struct tn_slice){ c->raw.p, c->raw.n },
		    &c->parts[0].body->known);
	if (st == TN_OK)
		tn_buf_fini(&c->raw);
	else                     /* The log will try, and then refuse. */
		tn_buf_fini(&c->packed);
	c->job.run = tn_ingest_write;
	send(c);
}

/* The bytes of the rows go with the chunk; the next rows get others. */
static enum tn_status
lend_rows(struct chunk *c, struct tn_codec_rows *rows)
{
	enum tn_status st = keep_places(c, rows);

	if (st != TN_OK)
		return st;
	c->raw = rows->raw;
	c->raw_bytes = c->raw.n;
	rows->raw = (struct tn_buf){ .max = c->raw.max };
	(void)tn_buf_reserve(&rows->raw, c->raw.cap);
	return TN_OK;
}

static enum tn_status
take_rows(struct decoder *d, struct tn_ingest_body *b, struct chunk *c)
{
	enum tn_status st;

	if (!b->large)
		return pass_gate(d, c, b->spec, b->source, &b->rows);
	st = gate_rows(d, c, b->spec, b->source, &b->rows);
	if (st == TN_OK && c->rows != NULL)
		st = lend_rows(c, &b->rows);
	return drop_failed(c, st);
}

static void
hand_over(struct decoder *d, struct tn_ingest_body *b)
{
	struct chunk *c = new_chunk(b->g, b->stream, 1);
	enum tn_status st = TN_OK;

	tn_ingest_header_try(b);
	/* From then on all of its chunks, so that they stay in order. */
	b->large |= !b->split_done;
	if (!b->mismatch && !b->replay)
		st = take_rows(d, b, c);
	if (st == TN_ELIMIT)
		break_body(b, st, "header_too_large", "the names of the header "
		    "and the options have more than 65536 bytes",
		    "send shorter names, or name the columns that count");
	else if (st != TN_OK)
		break_no_memory(b);
	b->split_done |= st != TN_OK;
	c->parts[0] = (struct part){ .body = b,
	    .count = c->rows != NULL ? c->rows->batch->rows : 0,
	    .final = b->split_done, .rows_seen = b->rows_seen,
	    .chain = b->chain };
	tn_codec_rows_clear(&b->rows);
	b->sent++;
	count_chunk(c);
	if (!b->large) {
		send(c);
		return;
	}
	c->job.run = run_pack;
	if (!tn_net_actor_post_internal(b->g->packers[b->decoder], &c->job))
		tn_assert(!"a packer stops after its decoder");
}

/* Rows that wait for more of their chunk are bytes on their way, too; so are
 * the row that is not finished and what the inflater keeps. */
static void
count_rows(struct tn_ingest_body *b)
{
	size_t now = b->rows.raw.n + tn_codec_splitter_bytes(b->splitter);

	if (b->inflate != NULL)
		now += tn_inflate_bytes(b->inflate);
	tn_ingest_more(b->g, now);
	tn_ingest_less(b->g, b->held);
	b->held = now;
}

void
tn_ingest_decode_body(struct tn_ingest_body *b)
{
	struct tn_ingest *g = b->g;
	struct decoder *d = g->decoder_state[b->decoder];

	b->sent = 0;
	if (b->splitter == NULL)
		b->splitter = tn_codec_splitter_new(b->spec,
		    g->o.row_bytes_max);
	if (b->inflate == NULL && b->coding != TN_CODING_IDENTITY)
		b->inflate = tn_inflate_new(b->coding);
	if (b->key_bytes > 0 && !b->note_read)
		read_note(b);
	if (b->cut_short)
		break_no_memory(b);
	split_work(d, b);
	if (is_full(b) || b->split_done || b->hurry) {
		skip_rows(b);
		if (b->rows.count > 0 || b->split_done)
			hand_over(d, b);
	}
	count_rows(b);
	b->job.run = tn_ingest_body_back;
	tn_net_loop_post(g->o.loop, &b->job);
}

/* ---- small bodies together ------------------------------------------- */

static uint32_t
split_small(struct decoder *d, struct tn_ingest_body *b, bool *lost)
{
	struct tn_codec_splitter *s = tn_codec_splitter_new(b->spec,
	    b->g->o.row_bytes_max);
	struct tn_slice in = { b->inbox.p, b->inbox.n };
	uint32_t before = d->rows.count;
	enum tn_status st = TN_OK;

	while (st == TN_OK && in.n > 0)
		st = tn_codec_splitter_feed(s, &in, &d->rows, SIZE_MAX);
	if (st == TN_OK)
		st = tn_codec_splitter_end(s, &d->rows);
	/* It took the rows of those before it along: see decode_small. */
	*lost |= st == TN_ENOMEM;
	if (st == TN_ELIMIT)
		break_body(b, TN_ELIMIT, "row_too_large",
		    "a row is larger than row_bytes_max",
		    "send smaller events, or raise row_bytes_max");
	tn_codec_splitter_free(s);
	b->split_done = true;
	return d->rows.count - before;
}

struct chunk *
tn_ingest_decode_small(struct decoder *d, struct small_group *s)
{
	struct tn_ingest *g = s->g;
	struct chunk *c = new_chunk(g, s->lead->stream, s->count);
	struct tn_ingest_body *b = s->bodies;
	bool lost = false;

	tn_codec_rows_clear(&d->rows);
	for (uint32_t i = 0; i < s->count; i++, b = b->next_small) {
		uint32_t first = d->rows.count;
		c->parts[i] = (struct part){ .body = b, .first = first,
		    .count = split_small(d, b, &lost), .final = true };
		tn_ingest_less(g, b->inbox.n);
		tn_buf_clear(&b->inbox);
	}
	if (!lost)
		lost = pass_gate(d, c, s->lead->spec, s->lead->source,
		    &d->rows) != TN_OK;
	for (uint32_t i = 0; i < s->count && lost; i++) {
		c->parts[i].first = 0;
		c->parts[i].count = 0;
		break_no_memory(c->parts[i].body);
	}
	count_chunk(c);
	tn_free(s);
	return c;
}

void
tn_ingest_run_small(struct tn_net_job *job)
{
	struct small_group *s = (struct small_group *)job;

	send(tn_ingest_decode_small(s->g->decoder_state[s->lead->decoder],
	    s));
}

/* ---- messages of a broker -------------------------------------------- */

/* Rows of all messages, and which are whose. */
static enum tn_status
split_messages(struct decoder *d, struct message_batch *b)
{
	const uint8_t *at = b->bytes.p;
	enum tn_status st = tn_buf_status(&b->bytes);

	for (uint32_t i = 0; st == TN_OK && i < b->count; i++) {
		struct given *x = &b->messages[i];
		struct tn_codec_message m = {
			.client = { at, x->client_n },
			.topic = { at + x->client_n, x->topic_n },
			.payload = { at + x->client_n + x->topic_n,
			    x->payload_n },
			.whole = b->route->spec.topic->value != NULL };
		at += x->client_n + x->topic_n + x->payload_n;
		x->first = d->rows.count;
		st = tn_codec_message_rows(&d->rows, &m);
		x->count = d->rows.count - x->first;
	}
	return st;
}

struct chunk *
tn_ingest_decode_messages(struct decoder *d, struct message_batch *b)
{
	const struct tn_ingest_route *r = b->route;
	struct chunk *c = new_chunk(r->g, r->stream, 0);

	c->messages = b;
	tn_codec_rows_clear(&d->rows);
	for (struct message_batch *x = b; x != NULL; x = x->joined) {
		if (b->status == TN_OK)
			b->status = split_messages(d, x);
		tn_ingest_less(r->g, x->bytes.n);
	}
	if (b->status == TN_OK)
		b->status = pass_gate(d, c, &r->spec, "mqtt", &d->rows);
	if (b->status != TN_OK)
		b->why = "memory is out";
	count_chunk(c);
	return c;
}

void
tn_ingest_run_messages(struct tn_net_job *job)
{
	struct message_batch *b = (struct message_batch *)job;
	const struct tn_ingest_route *r = b->route;

	send(tn_ingest_decode_messages(r->g->decoder_state[r->decoder], b));
}
