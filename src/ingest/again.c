/* Quarantined rows tried again, at the start, when their table's definition has
 * changed: those that pass now are committed once more, as new rows.
 *
 *   block of bronze or the log, the rows of it that are wanted
 *     -> gate as of the time they came: do they pass?
 *     -> gathered: rows of one spec, back to back
 *     -> gate as of now -> duplicates, log, sync, speed (the writer)
 *
 * Once: the new block says where each row comes from. Its source is
 * "quarantine N", its lines count from that offset: the row that was decided
 * then has offset N + line. tn_governance_again_of reads it back, also after a
 * crash, so nothing else is remembered. The row of then stays in bronze with
 * its reason; nobody's decision is changed.
 *
 * They are new events: received now, LSNs of now, a duplicate when the sender
 * has sent them well meanwhile. */
#include "ingest/ingest_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define ROWS_MAX 4096            /* Of a block. */
#define TRIES 4                  /* A rule with now() may change its mind. */

struct tn_ingest_again {
	struct tn_ingest *g;
	uint32_t stream;
	struct tn_buf text;              /* Of the spec. */
	struct tn_codec_spec spec;
	struct tn_governance_gate *gate;
	struct tn_codec_rows rows;       /* Passed, not yet committed. */
	uint64_t base;                   /* Line 0 of them. */
	struct tn_ingest_again_counts counts;
};

struct tn_ingest_again *
tn_ingest_again_new(struct tn_ingest *g, uint32_t stream)
{
	struct tn_ingest_again *x = tn_zalloc(sizeof *x);

	x->g = g;
	x->stream = stream;
	x->rows.raw.max = SIZE_MAX;
	return x;
}

static void
drop_gate(struct tn_ingest_again *x)
{
	tn_governance_gate_free(x->gate);
	if (x->gate != NULL)
		tn_codec_spec_fini(&x->spec);
	x->gate = NULL;
	tn_buf_clear(&x->text);
}

void
tn_ingest_again_free(struct tn_ingest_again *x)
{
	drop_gate(x);
	tn_codec_rows_fini(&x->rows);
	tn_buf_fini(&x->text);
	tn_free(x);
}

/* ---- the commit ------------------------------------------------------ */

struct commit {
	struct tn_net_job job;
	struct chunk *chunk;
	enum tn_status st;
	struct tn_net_latch *done;
};

static void
run_commit(struct tn_net_job *job)
{
	struct commit *c = (struct commit *)job;

	c->st = tn_ingest_commit(c->chunk->g, c->chunk);
	tn_net_latch_open(c->done);
}

static enum tn_status
commit(struct tn_ingest_again *x, struct chunk *chunk, struct tn_diag *d)
{
	struct commit c = { .job.run = run_commit, .chunk = chunk,
	    .st = TN_ECLOSED, .done = tn_net_latch_new() };

	if (tn_net_actor_post_internal(x->g->writer, &c.job))
		tn_net_latch_wait(c.done);
	tn_net_latch_free(c.done);
	tn_os_crash_point("again_committed");
	for (uint32_t i = 0; c.st == TN_OK &&
	    i < chunk->rows->batch->rows; i++)
		if (chunk->rows->marks[i] == TN_MARK_DUPLICATE)
			x->counts.duplicates++;
		else
			x->counts.accepted++;
	return c.st == TN_OK ? TN_OK : tn_diag_set(d, c.st, "not_taken",
	    "quarantined rows could not be taken: %s",
	    tn_status_text(c.st));
}

/* Those that passed only then are left out; true: there were some. */
static bool
leave_out(struct tn_codec_rows *rows, const struct tn_governance_rows *r)
{
	struct tn_codec_rows kept = { .raw.max = SIZE_MAX };

	if (r->bad == 0)
		return false;
	for (uint32_t i = 0; i < rows->count; i++)
		if (r->marks[i] == TN_MARK_ACCEPTED)
			tn_codec_rows_add(&kept, rows->raw.p + rows->start[i],
			    rows->length[i], rows->line[i]);
	tn_codec_rows_fini(rows);
	*rows = kept;
	return true;
}

/* NULL: memory is out, or none is left. */
static struct tn_governance_rows *
pass_now(struct tn_ingest_again *x)
{
	struct tn_governance_rows *r = NULL;

	for (int i = 0; i < TRIES && x->rows.count > 0; i++) {
		tn_governance_rows_unref(r);
		r = tn_governance_gate_pass(x->gate, &x->rows,
		    tn_os_wall_us(), NULL);
		if (r == NULL || !leave_out(&x->rows, r))
			return r;
	}
	tn_governance_rows_unref(r);
	tn_codec_rows_clear(&x->rows);
	return NULL;
}

static enum tn_status
flush(struct tn_ingest_again *x, struct tn_diag *d)
{
	struct chunk *c;
	char source[64];
	enum tn_status st = TN_OK;

	if (x->rows.count == 0)
		return TN_OK;
	c = tn_zalloc(sizeof *c);
	c->g = x->g;
	c->stream = x->stream;
	c->rows = pass_now(x);
	if (c->rows != NULL) {
		snprintf(source, sizeof source, TN_GOVERNANCE_AGAIN "%llu",
		    (unsigned long long)x->base);
		c->source = tn_strdup(source);
		tn_buf_add(&c->spec, x->text.p, x->text.n);
		st = tn_ingest_pack(c, &x->rows);
		if (st == TN_OK)
			st = commit(x, c, d);
	} else if (x->rows.count > 0) {
		st = TN_ENOMEM;
	}
	tn_ingest_chunk_free(c);
	tn_codec_rows_clear(&x->rows);
	return st;
}

/* ---- rows ------------------------------------------------------------ */

static enum tn_status
take_spec(struct tn_ingest_again *x, struct tn_slice text, struct tn_diag *d)
{
	enum tn_status st;

	if (x->gate != NULL && tn_slice_eq(text, (struct tn_slice){
	    x->text.p, x->text.n }))
		return TN_OK;
	st = flush(x, d);
	if (st != TN_OK)
		return st;
	drop_gate(x);
	st = tn_codec_spec_parse(&x->spec, text);
	if (st != TN_OK)
		return tn_diag_set(d, TN_ECORRUPT, "bad_spec", "how rows of "
		    "bronze are to be decoded cannot be read");
	tn_buf_add(&x->text, text.p, text.n);
	x->gate = tn_governance_gate_new(&x->g->o.model->streams[x->stream],
	    &x->spec);
	return TN_OK;
}

/* The wanted rows of a block; line: the row's number in it. */
static void
pick(const struct tn_log_block *b, const uint8_t *want,
    struct tn_codec_rows *out)
{
	size_t at = 0;

	for (uint32_t i = 0; i < b->rows; i++) {
		if (want[i] != 0)
			tn_codec_rows_add(out, b->raw.p + at, b->lengths[i],
			    i);
		at += b->lengths[i];
	}
}

static enum tn_status
gather(struct tn_ingest_again *x, const struct tn_codec_rows *some,
    const struct tn_governance_rows *r, uint64_t offset, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < some->count; i++) {
		uint64_t from = offset + some->line[i];
		if (r->marks[i] != TN_MARK_ACCEPTED)
			continue;
		if (x->rows.count >= ROWS_MAX || x->rows.raw.n >=
		    x->g->o.chunk_bytes || (x->rows.count > 0 &&
		    (from < x->base || from - x->base > INT32_MAX)))
			st = flush(x, d);
		if (st != TN_OK)
			break;
		if (x->rows.count == 0)
			x->base = from;
		tn_codec_rows_add(&x->rows, some->raw.p + some->start[i],
		    some->length[i], (uint32_t)(from - x->base));
	}
	return st == TN_OK && x->rows.raw.failed ? TN_ENOMEM : st;
}

enum tn_status
tn_ingest_again_block(struct tn_ingest_again *x,
    const struct tn_log_block *b, const uint8_t *want, struct tn_diag *d)
{
	struct tn_codec_rows some = { .raw.max = SIZE_MAX };
	struct tn_governance_rows *r = NULL;
	enum tn_status st = TN_OK;

	pick(b, want, &some);
	x->counts.tried += some.count;
	if (some.count > 0)
		st = some.raw.failed ? TN_ENOMEM : take_spec(x, b->spec, d);
	if (st == TN_OK && some.count > 0) {
		r = tn_governance_gate_pass(x->gate, &some, b->received_us,
		    NULL);
		st = r == NULL ? TN_ENOMEM : gather(x, &some, r, b->offset,
		    d);
	}
	tn_governance_rows_unref(r);
	tn_codec_rows_fini(&some);
	return st;
}

enum tn_status
tn_ingest_again_end(struct tn_ingest_again *x,
    struct tn_ingest_again_counts *out, struct tn_diag *d)
{
	enum tn_status st = flush(x, d);

	*out = x->counts;
	return st;
}
