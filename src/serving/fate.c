/* What became of single rows: the quarantine of a stream, and its newest rows
 * with their marks. Newest first: the log's tail backwards, then bronze files
 * from the newest, until there are enough. Of the quarantine, rows that a
 * changed definition took since are left out (taken.c). */
#include "serving/serving_int.h"

#include <string.h>

#define RAW_SHOWN 4096

struct found {
	struct request *r;
	struct tn_buf *rows;     /* Ring of limit encoded rows of one source. */
	uint32_t cap;
	uint64_t count;          /* Put so far; the last cap of them stay. */
	uint32_t given;          /* Rows in the answer. */
	size_t bytes;            /* Of the ring. */
	size_t read_bytes;       /* Of what is being read. */
	struct tn_serving_taken taken;
	struct tn_diag *d;
};

static enum tn_status
check_room(struct found *f)
{
	return tn_serving_request_room(f->r, f->bytes + f->read_bytes +
	    tn_serving_taken_bytes(&f->taken) + f->r->answer->body.cap,
	    f->d);
}

static enum tn_status
taken_room(void *arg, size_t bytes)
{
	struct found *f = arg;

	return tn_serving_request_room(f->r, f->bytes + f->read_bytes +
	    bytes + f->r->answer->body.cap, f->d);
}

static void
add_text(struct tn_buf *b, const char *name, const struct tn_column *c,
    uint32_t row)
{
	struct tn_slice s;

	tn_buf_printf(b, ",\"%s\":", name);
	if (!tn_column_valid(c, row)) {
		tn_buf_str(b, "null");
		return;
	}
	s = tn_governance_bronze_text(c, row);
	tn_buf_char(b, '"');
	tn_buf_json(b, s.p, s.n > RAW_SHOWN ? RAW_SHOWN : s.n);
	tn_buf_char(b, '"');
}

void
tn_serving_encode_fate(struct tn_buf *b, const struct tn_batch *k,
    uint32_t i)
{
	static const char *const fates[] = { "accepted", "quarantined",
	    "duplicate", "erased" };
	int status = ((const int32_t *)k->columns[TN_BRONZE_STATUS].values)[i];

	tn_buf_str(b, "\"lsn\":");
	tn_record_print_json(b, &k->columns[TN_BRONZE_LSN], i);
	tn_buf_str(b, ",\"offset\":");
	tn_record_print_json(b, &k->columns[TN_BRONZE_OFFSET], i);
	tn_buf_str(b, ",\"received_at\":");
	tn_record_print_json(b, &k->columns[TN_BRONZE_RECEIVED], i);
	tn_buf_printf(b, ",\"status\":\"%s\"",
	    fates[status >= 0 && status < 4 ? status : 1]);
	tn_buf_str(b, ",\"line\":");
	tn_record_print_json(b, &k->columns[TN_BRONZE_LINE], i);
	add_text(b, "source", &k->columns[TN_BRONZE_SOURCE], i);
	add_text(b, "code", &k->columns[TN_BRONZE_CODE], i);
	add_text(b, "column", &k->columns[TN_BRONZE_COLUMN], i);
	add_text(b, "reason", &k->columns[TN_BRONZE_REASON], i);
	add_text(b, "raw", &k->columns[TN_BRONZE_RAW], i);
}

static void
encode_row(struct tn_buf *b, const struct tn_batch *k, uint32_t i)
{
	tn_buf_clear(b);
	tn_buf_char(b, '{');
	tn_serving_encode_fate(b, k, i);
	tn_buf_char(b, '}');
}

static enum tn_status
keep_rows(void *arg, struct tn_batch *k)
{
	struct found *f = arg;
	const int32_t *status = k->columns[TN_BRONZE_STATUS].values;
	const int64_t *offset = k->columns[TN_BRONZE_OFFSET].values;

	for (uint32_t i = 0; i < k->rows; i++) {
		if (f->r->only_bad && status[i] != TN_MARK_QUARANTINED)
			continue;
		if ((uint64_t)offset[i] >= f->r->before)
			continue;
		if (f->r->only_bad &&
		    tn_serving_taken_has(&f->taken, (uint64_t)offset[i]))
			continue;
		struct tn_buf *row = &f->rows[f->count++ % f->cap];
		f->bytes -= row->cap;
		encode_row(row, k, i);
		f->bytes += row->cap;
		if (row->failed)
			return tn_buf_status(row);
	}
	return check_room(f);
}

static enum tn_status
note_block(struct found *f, const struct tn_log_block *b)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && b->lines != NULL && i < b->rows;
	    i++)
		st = tn_serving_taken_note(&f->taken, b->source, b->lines[i]);
	return st;
}

/* The ring's rows to the answer, newest first. */
static void
give(struct found *f)
{
	struct tn_buf *out = &f->r->answer->body;
	uint64_t n = f->count < f->cap ? f->count : f->cap;

	for (uint64_t i = 0; i < n && f->given < f->r->limit; i++) {
		const struct tn_buf *row =
		    &f->rows[(f->count - 1 - i) % f->cap];
		if (f->given++ > 0)
			tn_buf_char(out, ',');
		tn_buf_add(out, row->p, row->n);
	}
	f->count = 0;
}

static enum tn_status
from_tail(struct found *f, const struct tn_governance_stream *s,
    struct tn_diag *d)
{
	struct request *r = f->r;
	struct tn_arena *a = tn_arena_new(1 << 16);
	enum tn_status st = TN_OK;

	for (uint64_t lsn = r->ask.last; st == TN_OK &&
	    lsn > r->ask.base->lsn && f->given < r->limit; lsn--) {
		struct tn_log_block block;
		st = tn_log_read(r->s->o.log, lsn, a, &block, d);
		if (st == TN_OK && block.stream == s->id) {
			/* The block, and its rows. */
			f->read_bytes = tn_arena_bytes(a) + 2 * block.raw.n;
			st = r->only_bad ? note_block(f, &block) : TN_OK;
			if (st == TN_OK)
				st = check_room(f);
			struct tn_batch *b = st != TN_OK ? NULL :
			    tn_governance_bronze_of(&block);
			if (st == TN_OK)
				st = b == NULL ? TN_ENOMEM : keep_rows(f, b);
			tn_record_batch_unref(b);
			give(f);
		}
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return st;
}

static enum tn_status
from_bronze(struct found *f, const struct tn_governance_stream *s,
    struct tn_diag *d)
{
	struct request *r = f->r;
	const int32_t bad = TN_MARK_QUARANTINED;
	struct tn_column want = { .type = tn_record_type(TN_T_INT4),
	    .rows = 1, .values = &bad };
	struct tn_parquet_bound bound = { TN_BRONZE_STATUS, &want, &want };
	uint32_t first, all = tn_catalog_snapshot_find(r->ask.base,
	    TN_TIER_BRONZE, s->id, &first), n = all;
	const struct tn_catalog_file *files = r->ask.base->files + first;
	enum tn_status st = TN_OK;

	while (st == TN_OK && n-- > 0 && f->given < r->limit) {
		struct tn_lake_read read = {
			.path = files[n].path,
			.schema = &tn_governance_bronze,
			.bounds = &bound, .bound_count = r->only_bad,
			.each = keep_rows, .arg = f,
		};
		f->read_bytes = 0;
		if (r->only_bad)
			st = tn_serving_taken_look(&f->taken, r->s->o.lake,
			    files, all, n, d);
		f->read_bytes = tn_serving_read_bytes(&files[n]);
		if (st == TN_OK)
			st = check_room(f);
		if (st == TN_OK)
			st = tn_lake_read(r->s->o.lake, &read, d);
		give(f);
	}
	return st;
}

static void
work_fate(struct request *r)
{
	struct tn_serving_answer *a = r->answer;
	const struct tn_governance_stream *s =
	    &r->s->o.model->streams[r->stream];
	struct found f = { .r = r, .cap = r->limit, .d = &a->diag,
	    .taken.room = taken_room };
	enum tn_status st;

	f.taken.arg = &f;
	f.rows = tn_zalloc(f.cap * sizeof *f.rows);
	a->lsn = r->ask.last;
	a->batch_lsn = r->ask.base->lsn;
	tn_buf_printf(&a->body, "{\"stream\":\"%s\",\"rows\":[",
	    s->table->name);
	st = from_tail(&f, s, &a->diag);
	if (st == TN_OK)
		st = from_bronze(&f, s, &a->diag);
	for (uint32_t i = 0; i < f.cap; i++)
		tn_buf_fini(&f.rows[i]);
	tn_free(f.rows);
	tn_serving_taken_fini(&f.taken);
	if (st == TN_ENOTFOUND && ++r->tries < 5) {
		/* The log was trimmed behind us: there is a newer base. */
		tn_buf_clear(&a->body);
		memset(&a->diag, 0, sizeof a->diag);
		tn_serving_ask_fini(&r->ask);
		tn_serving_request_ask(r);
		return;
	}
	tn_buf_printf(&a->body, "],\"lsn\":%llu,\"batch_lsn\":%llu}",
	    (unsigned long long)a->lsn, (unsigned long long)a->batch_lsn);
	a->rows = f.given;
	if (st == TN_OK)
		st = tn_buf_status(&a->body);
	if (st != TN_OK)
		a->status = a->diag.message[0] != '\0' ? st : tn_diag_set(
		    &a->diag, st, "read_failed", "rows could not be read: %s",
		    tn_status_text(st));
	tn_serving_request_end(r);
}

static void
get_fates(struct tn_serving *s, struct tn_slice stream, uint32_t limit,
    uint64_t before, bool only_bad,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	struct request *r = tn_serving_request_new(s);

	r->done = done;
	r->arg = arg;
	r->limit = limit == 0 ? 100 : limit >
	    TN_SERVING_FATES_MAX ? TN_SERVING_FATES_MAX : limit;
	r->before = before == 0 ? UINT64_MAX : before;
	r->only_bad = only_bad;
	r->stream = tn_serving_stream_find(s->o.model, stream);
	r->work = work_fate;
	if (r->stream < 0)
		tn_serving_request_fail(r, TN_ENOTFOUND, "unknown_stream",
		    "there is no such stream",
		    "GET /api/v1/streams lists the streams");
	else if (!tn_serving_request_refused(r))
		tn_serving_request_ask(r);
}

void
tn_serving_quarantine(struct tn_serving *s, struct tn_slice stream,
    uint32_t limit, uint64_t before_offset,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	get_fates(s, stream, limit, before_offset, true, done, arg);
}

void
tn_serving_recent(struct tn_serving *s, struct tn_slice stream,
    uint32_t limit,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg)
{
	get_fates(s, stream, limit, 0, false, done, arg);
}
