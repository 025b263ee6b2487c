/* Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header): what a
 * keyed body came to, remembered in the log beside its rows, in the same
 * commit. A body of several commits leaves an unfinished note after each; a
 * retry compares its first rows with the note's chain of hashes and goes on
 * behind them, so no row is taken twice, whatever broke in between.
 *
 * Value: version, done, counts, offsets, lsn, rows, chain, errors; integers
 * as in base (varint, u64), texts with their length in front. */
#include "ingest/ingest_int.h"

#include <string.h>

#define NOTE_VERSION 1
#define NOTE_BYTES_MAX 60000
/* The writer adds errors behind those of a note, up to the setting errors_max,
 * which is at most this. */
#define ERRORS_ROOM 10000

void
tn_ingest_key_name(const struct tn_ingest *g, uint32_t stream,
    struct tn_slice key, struct tn_buf *out)
{
	tn_buf_printf(out, "i:%u:", (unsigned)g->o.model->streams[stream].id);
	tn_buf_add(out, key.p, key.n);
}

void
tn_ingest_note_key(const struct tn_ingest_body *b, struct tn_buf *out)
{
	tn_ingest_key_name(b->g, b->stream, (struct tn_slice){
	    (const uint8_t *)b->key, b->key_bytes }, out);
}

struct tn_hash128
tn_ingest_chain(struct tn_hash128 so_far, const void *p, size_t n)
{
	struct tn_hash128 h = tn_hash128(p, n, so_far.lo);

	h.hi ^= so_far.hi * UINT64_C(0x9e3779b97f4a7c15) + 1;
	return h;
}

static void
put_text(struct tn_buf *out, const char *s)
{
	size_t n = strlen(s);

	tn_buf_varint(out, n);
	tn_buf_add(out, s, n);
}

void
tn_ingest_note_write(const struct tally *t, bool done, struct tn_buf *out)
{
	tn_buf_char(out, NOTE_VERSION);
	tn_buf_char(out, done);
	tn_buf_char(out, t->has_offset);
	tn_buf_varint(out, t->accepted);
	tn_buf_varint(out, t->quarantined);
	tn_buf_varint(out, t->duplicates);
	tn_buf_varint(out, t->first_offset);
	tn_buf_varint(out, t->last_offset);
	tn_buf_varint(out, t->lsn);
	tn_buf_varint(out, t->rows);
	tn_buf_u64(out, t->chain.lo);
	tn_buf_u64(out, t->chain.hi);
	for (uint32_t i = 0; i < t->error_count; i++) {
		const struct tn_ingest_error *e = &t->errors[i];
		if (out->n + strlen(e->message) + strlen(e->column) + 128 >
		    NOTE_BYTES_MAX)
			break;
		tn_buf_char(out, 1);
		tn_buf_varint(out, e->row);
		tn_buf_varint(out, e->line);
		put_text(out, e->code);
		put_text(out, e->column);
		put_text(out, e->message);
	}
	tn_buf_char(out, 0);
}

static const char *
get_text(struct tn_cursor *c, struct tn_arena *a)
{
	struct tn_slice s = tn_cursor_bytes(c, tn_cursor_varint(c));

	return tn_arena_strndup(a, s.n > 0 ? (const char *)s.p : "", s.n);
}

static void
read_errors(struct tn_cursor *c, struct tally *t)
{
	/* Memory that is not touched costs nothing. */
	t->errors = tn_alloc(ERRORS_ROOM * sizeof *t->errors);
	while (!c->failed && t->error_count < ERRORS_ROOM &&
	    tn_cursor_u8(c) == 1) {
		struct tn_ingest_error *e = &t->errors[t->error_count++];
		e->row = tn_cursor_varint(c);
		e->line = tn_cursor_varint(c);
		e->code = get_text(c, t->texts);
		e->column = get_text(c, t->texts);
		e->message = get_text(c, t->texts);
	}
}

enum tn_status
tn_ingest_note_read(struct tn_slice value, struct tally *t, bool *done)
{
	struct tn_cursor c = { value.p, value.p + value.n, false };

	memset(t, 0, sizeof *t);
	if (tn_cursor_u8(&c) != NOTE_VERSION)
		return TN_ECORRUPT;
	*done = tn_cursor_u8(&c) != 0;
	t->has_offset = tn_cursor_u8(&c) != 0;
	t->accepted = tn_cursor_varint(&c);
	t->quarantined = tn_cursor_varint(&c);
	t->duplicates = tn_cursor_varint(&c);
	t->first_offset = tn_cursor_varint(&c);
	t->last_offset = tn_cursor_varint(&c);
	t->lsn = tn_cursor_varint(&c);
	t->rows = tn_cursor_varint(&c);
	t->chain.lo = tn_cursor_u64(&c);
	t->chain.hi = tn_cursor_u64(&c);
	t->texts = tn_arena_new(1024);
	read_errors(&c, t);
	if (c.failed) {
		tn_ingest_tally_fini(t);
		return TN_ECORRUPT;
	}
	return TN_OK;
}

void
tn_ingest_tally_fini(struct tally *t)
{
	tn_free(t->errors);
	if (t->texts != NULL)
		tn_arena_free(t->texts);
	memset(t, 0, sizeof *t);
}
