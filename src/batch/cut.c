/* A cut: everything in the log up to one LSN becomes bronze, silver, gold and
 * key files, published together.
 *
 *   seal speed at L -> for each block (base, L]: bronze row, silver row,
 *   fold -> write silver by day, key files, gold -> publish -> trim the log
 *
 * While a file is being loaded a cut for rows goes along with it: blocks that
 * speed has folded are taken before the seal, as they come, and the seal follows
 * at the end of the load (or after follow_rows, FOLLOW_US, or when somebody
 * wants batch for something else). Then little is left to do.
 *
 * Blocks are read one at a time, their rows decoded unless intake's are still
 * there (tn_governance_recent); decoded rows are held for at most slice_rows,
 * and at most a part of the memory budget (a smaller one when memory is tight),
 * before they are written, so memory is bounded however long the tail is. What
 * it holds comes out of the room that is kept free for it: speed keeps some for
 * the states, batch.c for the rest.
 * A failure at any point removes the files of this cut, joins speed's
 * generations again and leaves the old cut in force. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "os/os.h"

#define DAY_US INT64_C(86400000000)
#define JOINED_KEYS_MAX 8000000      /* In memory at once, 16 bytes each. */
#define SLICE_PARTS 32               /* Of the budget; held twice at the end. */
#define KEY_PARTS 16
/* No log packs with less: where the lake wants no more, the log's frames of
 * raw rows become bronze's pages as they are. */
#define FRAME_LEVEL 1
#define FOLLOW_US INT64_C(10000000)
#define FOLLOW_NS 2000000        /* Between two looks for more. */

/* What one stream has gathered. */
struct part {
	struct tn_lake_writer *bronze;   /* Of one day received. */
	struct tn_governance_digest *sum;    /* Of its bytes. */
	char bronze_day[24];
	uint64_t bronze_from, bronze_last;   /* LSNs. */
	uint32_t bronze_files;
	struct tn_batch **silver;
	uint32_t silver_count, silver_cap;
	uint64_t silver_rows;
	size_t silver_bytes;
	uint32_t silver_files;
	struct tn_hash128 *keys;
	uint64_t key_count, key_cap;
	int64_t received_min, received_max;
	uint64_t next_offset;
	uint64_t rows;
};
struct cut {
	struct tn_batch_jobs *b;
	const struct tn_catalog_snapshot *base;
	uint64_t lsn;                    /* L; before the seal what is folded. */
	uint64_t taken;                  /* Up to here. */
	struct tn_serving_refs refs;     /* As of lsn. */
	struct tn_governance_reader *reader;
	struct part *parts;              /* One a stream. */
	struct tn_exec_fold **deltas;    /* One a view. */
	struct tn_batch_spent *spent;    /* Likewise. */
	struct change change;
	struct tn_parquet_write_opts parquet;
	struct tn_budget_share held;
	bool sealed;
	struct tn_diag *d;
};

static void
init_cut(struct cut *c, struct tn_batch_jobs *b, struct tn_diag *d)
{
	const struct tn_serving_model *m = b->o.model;

	memset(c, 0, sizeof *c);
	c->b = b;
	c->d = d;
	c->parts = tn_zalloc((m->stream_count + 1) * sizeof *c->parts);
	c->deltas = tn_zalloc((tn_serving_view_slots(m) + 1) *
	    sizeof *c->deltas);
	c->spent = tn_zalloc((tn_serving_view_slots(m) + 1) *
	    sizeof *c->spent);
	for (uint32_t i = 0; i < m->view_count; i++)
		if (tn_serving_view_live(m, i))
			c->deltas[i] = tn_exec_fold_new(m->views[i].program);
	c->reader = tn_governance_reader_new(m->streams, m->stream_count);
	c->parquet.zstd_level = b->o.zstd_level;
	c->parquet.group_bytes = tn_batch_group_bytes();
	c->held.class = TN_BUDGET_CUT;
}

/* States; rows (written from a sorted copy), keys, row groups that are open. */
static void
count_parts(struct cut *c)
{
	size_t n = 0;

	for (uint32_t i = 0; i < c->b->o.model->view_count; i++)
		if (c->deltas[i] != NULL)
			n += tn_exec_fold_bytes(c->deltas[i]);

	for (uint32_t i = 0; i < c->b->o.model->stream_count; i++) {
		const struct part *p = &c->parts[i];
		n += 2 * p->silver_bytes + p->key_cap * sizeof *p->keys +
		    tn_lake_writer_bytes(p->bronze);
	}
	tn_budget_set(&c->held, n);
}

static void
drop_silver(struct part *p)
{
	for (uint32_t i = 0; i < p->silver_count; i++)
		tn_record_batch_unref(p->silver[i]);
	p->silver_count = 0;
	p->silver_rows = 0;
	p->silver_bytes = 0;
}

static void
fini_cut(struct cut *c)
{
	const struct tn_serving_model *m = c->b->o.model;

	tn_budget_set(&c->held, 0);

	for (uint32_t i = 0; i < m->stream_count; i++) {
		struct part *p = &c->parts[i];
		tn_lake_abandon(p->bronze);
		tn_governance_digest_free(p->sum);
		drop_silver(p);
		tn_free(p->silver);
		tn_free(p->keys);
	}
	for (uint32_t i = 0; i < m->view_count; i++)
		tn_exec_fold_free(c->deltas[i]);
	tn_free(c->parts);
	tn_free(c->deltas);
	tn_free(c->spent);
	tn_governance_reader_free(c->reader);
	tn_serving_refs_fini(&c->refs);
	tn_catalog_snapshot_put(c->base);
	tn_batch_change_fini(&c->change);
}

/* ---- rows ------------------------------------------------------------ */

/* The block's reasons and those of rows that do not fit their redefined table
 * any more, in order of rows: bronze says what silver does. Rows that intake
 * decoded fit, and their reasons are the block's. */
static struct tn_log_block
with_marks(const struct tn_log_block *block,
    const struct tn_governance_rows *r)
{
	struct tn_log_block b = *block;
	uint32_t n = block->reason_count + r->reason_count, i = 0, k = 0;
	struct tn_log_reason *all;

	if (r->said == NULL)
		return b;
	all = tn_arena_alloc(r->arena, (n + 1) * sizeof *all);
	while (i + k < n)
		if (k == r->reason_count || (i < block->reason_count &&
		    block->reasons[i].row < r->reasons[k].row)) {
			all[i + k] = block->reasons[i];
			i++;
		} else {
			all[i + k] = r->reasons[k];
			k++;
		}
	b.marks = r->marks;
	b.reasons = all;
	b.reason_count = n;
	return b;
}

static void
day_text(int64_t us, char out[static 24])
{
	int32_t y;
	uint32_t m, d;

	tn_record_civil(us / DAY_US, &y, &m, &d);
	snprintf(out, 24, "%04d-%02u-%02u", (int)y % 1000000, m % 100,
	    d % 100);
}

/* The bronze file under way ends, with rows up to ${last}. */
static enum tn_status
end_bronze(struct cut *c, struct part *p,
    const struct tn_governance_stream *s, uint64_t last)
{
	struct tn_lake_file f;
	enum tn_status st = tn_batch_chain_finish(&c->change, s->id,
	    p->bronze, p->sum, &f);

	p->bronze = NULL;
	p->sum = NULL;
	if (st != TN_OK)
		return st;
	tn_batch_change_add(&c->change, TN_TIER_BRONZE, s->id, s->version,
	    &f, p->bronze_from, last);
	p->bronze_from = last + 1;
	tn_os_crash_point("cut_bronze");
	return TN_OK;
}

/* A file for the day the block was received. Blocks come in order of LSN, so
 * the files of a day do; the clock may step back, and then comes one more. */
static enum tn_status
begin_bronze(struct cut *c, struct part *p,
    const struct tn_governance_stream *s, const char *day)
{
	char label[64], partition[40];
	struct tn_parquet_write_opts po = c->parquet;
	struct tn_lake_write w = { .tier = "bronze", .table = s->table->name,
	    .partition = partition, .label = label,
	    .time_column = TN_BRONZE_RECEIVED, .parquet = &po,
	    .version = s->version, .lsn = c->lsn };

	p->sum = tn_governance_digest_new();
	po.each = tn_batch_chain_add;
	po.arg = p->sum;
	if (p->bronze_files == 0)
		p->bronze_from = c->base->lsn + 1;
	snprintf(p->bronze_day, sizeof p->bronze_day, "%s", day);
	snprintf(partition, sizeof partition, "date=%s", day);
	snprintf(label, sizeof label, "%s-%u", c->change.label,
	    (unsigned)p->bronze_files++);
	return tn_lake_create(c->b->o.lake, &w, &tn_governance_bronze,
	    &p->bronze);
}

static enum tn_status
put_bronze(struct part *p, const struct tn_log_block *said)
{
	struct tn_batch *b = tn_governance_bronze_of(said);
	enum tn_status st = TN_ENOMEM;

	if (b != NULL)
		st = said->frame.n > 0 ? tn_lake_add_framed(p->bronze, b,
		    TN_BRONZE_RAW, said->frame) : tn_lake_add(p->bronze, b);
	tn_record_batch_unref(b);
	return st;
}

/* The frame is not what a page may be: its rows are needed after all. */
static enum tn_status
put_unpacked(struct part *p, struct tn_log_block *said)
{
	struct tn_buf raw = { .max = said->raw.n };
	enum tn_status st = tn_zstd_decompress(&raw, said->frame,
	    said->raw.n);

	if (st == TN_OK && raw.n != said->raw.n)
		st = TN_ECORRUPT;
	said->raw.p = raw.p;
	if (st == TN_OK)
		st = put_bronze(p, said);
	tn_buf_fini(&raw);
	return st;
}

static enum tn_status
add_bronze(struct cut *c, struct part *p,
    const struct tn_governance_stream *s, const struct tn_log_block *block,
    const struct tn_governance_rows *r)
{
	struct tn_log_block said = with_marks(block, r);
	char day[24];
	enum tn_status st = TN_OK;

	day_text(block->received_us, day);
	if (p->bronze != NULL && strcmp(day, p->bronze_day) != 0)
		st = end_bronze(c, p, s, p->bronze_last);
	if (st == TN_OK && p->bronze == NULL)
		st = begin_bronze(c, p, s, day);
	if (st != TN_OK)
		return st;
	p->bronze_last = block->lsn;
	st = put_bronze(p, &said);
	return st == TN_EUNSUPPORTED ? put_unpacked(p, &said) : st;
}

/* Room for so many keys in all. */
static enum tn_status
hold_keys(struct part *p, uint64_t need)
{
	struct tn_hash128 *keys;

	if (need <= p->key_cap)
		return TN_OK;
	keys = tn_try_realloc(p->keys, need * sizeof *keys);
	if (keys == NULL)
		return TN_ENOMEM;
	p->keys = keys;
	p->key_cap = need;
	return TN_OK;
}

static enum tn_status
add_keys(struct part *p, const struct tn_governance_rows *r)
{
	uint64_t need = p->key_count + r->batch->rows;
	enum tn_status st = need <= p->key_cap ? TN_OK :
	    hold_keys(p, need * 2);

	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; i < r->batch->rows; i++)
		if (tn_governance_holds_key(r, i))
			p->keys[p->key_count++] = r->keys[i];
	if (p->received_min == 0 || r->received_us < p->received_min)
		p->received_min = r->received_us;
	if (r->received_us > p->received_max)
		p->received_max = r->received_us;
	return TN_OK;
}

static enum tn_status
write_silver(struct cut *c, uint32_t stream)
{
	const struct tn_governance_stream *s = &c->b->o.model->streams[stream];
	struct part *p = &c->parts[stream];
	struct tn_lake_files files = { 0 };
	uint32_t sorted[TN_BATCH_SORT_MAX];
	struct tn_parquet_write_opts po = c->parquet;
	char label[64];
	struct tn_lake_write w = { .tier = "silver", .table = s->table->name,
	    .label = label, .time_column = tn_batch_time_column(s),
	    .parquet = &po,
	    .version = s->version, .lsn = c->lsn };
	enum tn_status st;

	if (p->silver_count == 0)
		return TN_OK;
	po.sorted_by = sorted;
	po.sorted_count = tn_batch_sort_columns(s, sorted);
	snprintf(label, sizeof label, "%s-%u", c->change.label,
	    (unsigned)p->silver_files++);
	st = tn_lake_put_days(c->b->o.lake, &w, p->silver, p->silver_count,
	    &files);
	for (uint32_t i = 0; i < files.count; i++)
		tn_batch_change_add(&c->change, TN_TIER_SILVER, s->id,
		    s->version, &files.files[i], c->base->lsn + 1, c->lsn);
	tn_lake_files_fini(&files);
	drop_silver(p);
	tn_os_crash_point("cut_silver");
	return st;
}

static size_t
slice_bytes(void)
{
	size_t n = tn_batch_part(SLICE_PARTS);

	return tn_budget_level() >= TN_BUDGET_TIGHT ? n / 4 : n;
}

static enum tn_status
add_silver(struct cut *c, uint32_t stream,
    const struct tn_governance_rows *r)
{
	struct part *p = &c->parts[stream];
	struct tn_batch *b = NULL;
	enum tn_status st = tn_governance_silver_of(r, &b);

	if (b == NULL)
		return st;
	if (p->silver_count == p->silver_cap) {
		p->silver_cap = p->silver_cap == 0 ? 64 : p->silver_cap * 2;
		p->silver = tn_realloc(p->silver,
		    p->silver_cap * sizeof *p->silver);
	}
	p->silver[p->silver_count++] = b;
	p->silver_rows += b->rows;
	p->silver_bytes += tn_record_batch_bytes(b);
	return p->silver_rows >= c->b->o.slice_rows ||
	    p->silver_bytes >= slice_bytes() ? write_silver(c, stream) :
	    TN_OK;
}

static void
fold_rows(struct cut *c, uint32_t stream, const struct tn_governance_rows *r)
{
	const struct tn_serving_model *m = c->b->o.model;
	struct tn_exec_refs refs = tn_serving_refs_view(&c->refs);
	struct tn_exec_rows rows = { .batch = r->batch, .skip = r->marks,
	    .lsn = r->lsn, .offset = r->offset,
	    .received_us = r->received_us };

	for (uint32_t v = 0; v < m->view_count; v++)
		if (m->views[v].stream == stream && c->deltas[v] != NULL)
			tn_batch_fold_rows(c->deltas[v], &rows, &refs,
			    &c->spent[v]);
}

/* Takes the reference of ${r}; NULL: the rows are decoded here. */
static enum tn_status
take_block(struct cut *c, const struct tn_log_block *block,
    struct tn_governance_rows *r)
{
	const struct tn_serving_model *m = c->b->o.model;
	int stream = tn_serving_stream_by_id(m, block->stream);
	struct part *p;
	enum tn_status st = TN_OK;

	tn_assert(stream >= 0);         /* Replay would have refused. */
	p = &c->parts[stream];
	tn_assert(r == NULL || (r->stream->id == block->stream &&
	    r->offset == block->offset && r->batch->rows == block->rows));
	if (r == NULL)
		st = tn_governance_reader_block(c->reader, block, &r);
	if (st == TN_OK)
		st = add_bronze(c, p, &m->streams[stream], block, r);
	if (st == TN_OK && r->keys != NULL)
		st = add_keys(p, r);
	if (st == TN_OK) {
		fold_rows(c, (uint32_t)stream, r);
		st = add_silver(c, (uint32_t)stream, r);
		p->next_offset = block->offset + block->rows;
		p->rows += block->rows;
		c->change.rows += block->rows;
	}
	count_parts(c);
	tn_governance_rows_unref(r);
	return st;
}

/* Of rows that intake has decoded only what bronze needs. */
static enum tn_status
read_block(struct cut *c, uint64_t lsn, bool decoded, struct tn_arena *a,
    struct tn_log_block *block)
{
	struct tn_log *log = c->b->o.log;

	if (c->parquet.zstd_level != FRAME_LEVEL)
		return tn_log_read(log, lsn, a, block, c->d);
	return decoded ? tn_log_read_packed(log, lsn, a, block, c->d) :
	    tn_log_read_framed(log, lsn, a, block, c->d);
}

static enum tn_status
take_log(struct cut *c)
{
	struct tn_arena *a = tn_arena_new(1 << 20);
	enum tn_status st = TN_OK;

	for (uint64_t lsn = c->taken + 1; st == TN_OK && lsn <= c->lsn;
	    lsn++) {
		struct tn_governance_rows *kept = tn_governance_recent_take(
		    c->b->o.recent, lsn);
		struct tn_log_block block;
		st = read_block(c, lsn, kept != NULL, a, &block);
		if (st == TN_OK)
			st = take_block(c, &block, kept);
		else
			tn_governance_rows_unref(kept);
		tn_arena_reset(a);
	}
	c->taken = c->lsn;
	tn_arena_free(a);
	return st;
}

/* ---- key files ------------------------------------------------------- */

static uint64_t
joined_keys_max(void)
{
	uint64_t n = tn_batch_part(KEY_PARTS) / sizeof(struct tn_hash128);

	return n < JOINED_KEYS_MAX ? n : JOINED_KEYS_MAX;
}

/* Files of a partition joined into the keys about to be written. */
static enum tn_status
join_keys(struct cut *c, struct part *p, const struct tn_catalog_file *f)
{
	struct tn_lake_keys *k = NULL;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_lake_keys_open(c->b->o.lake, f->path, &k, &d);
	uint64_t n;

	if (st != TN_OK) {
		/* It stays a file of its own: no reason to have no cut. */
		tn_say(TN_WARN, "batch", "%s", d.message);
		return TN_OK;
	}
	n = tn_lake_keys_count(k);
	if (hold_keys(p, p->key_count + n) != TN_OK) {
		tn_lake_keys_close(k);
		return TN_OK;            /* It stays a file of its own, too. */
	}
	for (uint64_t i = 0; i < n; i++)
		p->keys[p->key_count++] = tn_lake_keys_at(k, i);
	tn_lake_keys_close(k);
	if (f->time_min < p->received_min)
		p->received_min = f->time_min;
	if (f->time_max > p->received_max)
		p->received_max = f->time_max;
	tn_batch_change_drop(&c->change, f->id);
	return TN_OK;
}

static bool
is_small_of(const struct tn_catalog_file *f, const char *day)
{
	return strcmp(f->partition, day) == 0 && f->rows < joined_keys_max() / 2;
}

/* Drops what has left the window, by a clock that did not leap; joins a day's
 * small files when there are many, so that a lookup asks few filters. */
static enum tn_status
tend_keys(struct cut *c, const struct tn_governance_stream *s,
    struct part *p, const char *today)
{
	uint32_t first, n = tn_catalog_snapshot_find(c->base, TN_TIER_KEYS,
	    s->id, &first), same = 0;
	int64_t oldest = tn_batch_keys_held(c->b) ? INT64_MIN :
	    tn_os_wall_us() - s->table->dedupe_window_us;
	enum tn_status st = TN_OK;

	for (uint32_t i = first; i < first + n; i++)
		same += is_small_of(&c->base->files[i], today);
	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		const struct tn_catalog_file *f = &c->base->files[i];
		if (f->time_max < oldest)
			tn_batch_change_drop(&c->change, f->id);
		else if (same >= c->b->o.young_files_max &&
		    is_small_of(f, today) &&
		    p->key_count + f->rows <= joined_keys_max())
			st = join_keys(c, p, f);
	}
	return st;
}

static enum tn_status
write_keys(struct cut *c, uint32_t stream)
{
	const struct tn_governance_stream *s = &c->b->o.model->streams[stream];
	struct part *p = &c->parts[stream];
	struct tn_lake_file f;
	char today[24];
	enum tn_status st;

	if (p->key_count == 0)
		return TN_OK;
	day_text(p->received_max, today);
	st = tend_keys(c, s, p, today);
	count_parts(c);
	tn_budget_set(&c->held, c->held.bytes +
	    tn_lake_keys_sort_bytes(p->key_count));
	if (st == TN_OK)
		st = tn_lake_keys_put(c->b->o.lake, s->table->name,
		    c->change.label, p->keys, p->key_count, &f);
	if (st != TN_OK)
		return st;
	memcpy(f.partition, today, sizeof f.partition);
	f.time_min = p->received_min;
	f.time_max = p->received_max;
	tn_batch_change_add(&c->change, TN_TIER_KEYS, s->id, s->version, &f,
	    c->base->lsn + 1, c->lsn);
	tn_os_crash_point("cut_keys");
	return TN_OK;
}

/* ---- the whole ------------------------------------------------------- */

static enum tn_status
finish_stream(struct cut *c, uint32_t stream)
{
	const struct tn_governance_stream *s = &c->b->o.model->streams[stream];
	struct part *p = &c->parts[stream];
	enum tn_status st;

	if (p->bronze == NULL)
		return TN_OK;
	st = end_bronze(c, p, s, c->lsn);
	if (st == TN_OK)
		st = write_silver(c, stream);
	if (st == TN_OK && s->table->kind == TN_SQL_STREAM)
		st = write_keys(c, stream);
	tn_free(p->keys);
	p->keys = NULL;
	p->key_count = p->key_cap = 0;
	return st;
}

static enum tn_status
write_all(struct cut *c)
{
	const struct tn_serving_model *m = c->b->o.model;
	enum tn_status st = take_log(c);

	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++)
		st = finish_stream(c, i);
	for (uint32_t v = 0; st == TN_OK && v < m->view_count; v++) {
		struct tn_exec_fold *delta = c->deltas[v];
		if (delta == NULL)
			continue;        /* Its definition is gone. */
		c->deltas[v] = NULL;
		c->change.spent = c->spent[v];
		count_parts(c);
		st = tn_batch_gold(&c->change, &m->views[v], delta, c->base,
		    c->lsn, c->d);
	}
	return st;
}

static enum tn_status
publish(struct cut *c)
{
	const struct tn_serving_model *m = c->b->o.model;
	struct tn_catalog_offset *o = tn_zalloc((m->stream_count + 1) *
	    sizeof *o);
	char detail[200];
	uint32_t n = 0, streams = 0;
	enum tn_status st;

	for (uint32_t i = 0; i < m->stream_count; i++)
		if (c->parts[i].rows > 0) {
			o[n++] = (struct tn_catalog_offset){
			    m->streams[i].id, c->parts[i].next_offset };
			streams++;
		}
	snprintf(detail, sizeof detail,
	    "%llu rows of %u streams into %u files",
	    (unsigned long long)c->change.rows, (unsigned)streams,
	    (unsigned)c->change.add_count);
	st = tn_batch_change_publish(&c->change, c->lsn, o, n, detail);
	tn_free(o);
	return st;
}

static void
report_failure(struct cut *c, struct tn_batch_report *r, enum tn_status st)
{
	enum tn_status ended;

	r->status = st;
	if (r->diag.message[0] == '\0')
		tn_diag_set(&r->diag, st, "cut_failed", "the cut failed: %s",
		    tn_status_text(st));
	tn_say(TN_ERROR, "batch", "cut at %llu failed: %s",
	    (unsigned long long)c->lsn, r->diag.message);
	if (r->run == 0)
		return;                 /* It could not even be noted. */
	ended = tn_catalog_run_end(c->b->o.catalog, r->run, TN_RUN_FAILED,
	    tn_os_wall_us(), 0, 0, r->diag.message);
	if (ended != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open in the catalog",
		    (unsigned long long)r->run);
}

/* ---- along with a load ----------------------------------------------- */

bool
tn_batch_may_follow(const struct tn_batch_jobs *b)
{
	return b->o.follow_rows > 0 &&
	    __atomic_load_n(&b->doing, __ATOMIC_RELAXED) == NULL &&
	    tn_budget_level() == TN_BUDGET_CALM;
}

/* Another cut that was asked for meanwhile is this one. */
static bool
is_wanted(const struct tn_batch_jobs *b)
{
	return __atomic_load_n(&b->stopping, __ATOMIC_RELAXED) != 0 ||
	    __atomic_load_n(&b->waiting, __ATOMIC_RELAXED) >
	    __atomic_load_n(&b->cut_waiting, __ATOMIC_RELAXED);
}

static bool
may_follow(const struct cut *c, int64_t begun)
{
	const struct tn_batch_jobs *b = c->b;

	return b->o.loading != NULL && b->o.loading(b->o.arg) &&
	    c->change.rows < b->o.follow_rows &&
	    tn_os_mono_us() - begun < FOLLOW_US &&
	    tn_batch_may_follow(b) && !is_wanted(b);
}

static enum tn_status
begin_run(struct cut *c, const char *reason, struct tn_batch_report *r)
{
	enum tn_status st = tn_batch_run_begin(c->b, "cut", reason, "",
	    c->base->lsn, c->lsn, &r->run);

	tn_batch_change_begin(&c->change, c->b, c->lsn, r->run);
	c->change.silver = c->base;
	return st;
}

/* What is folded is taken, again and again. Nothing is sealed. */
static enum tn_status
follow_load(struct cut *c, const char *reason, struct tn_batch_report *r)
{
	const struct tn_batch_speed *s = &c->b->o.speed;
	const struct timespec pause = { 0, FOLLOW_NS };
	int64_t begun = tn_os_mono_us();
	enum tn_status st = TN_OK;

	if (!c->b->follows || strcmp(reason, "rows") != 0 || s->mark == NULL)
		return TN_OK;
	while (st == TN_OK && may_follow(c, begun)) {
		tn_serving_refs_fini(&c->refs);
		s->mark(s->speed, &c->lsn, &c->refs);
		if (c->lsn == c->taken)
			(void)nanosleep(&pause, NULL);
		else if (r->run == 0)
			st = begin_run(c, reason, r);
		if (st == TN_OK)
			st = take_log(c);
	}
	tn_serving_refs_fini(&c->refs);
	return st;
}

/* Files of before the seal tell the range of the whole cut, as others do. */
static void
widen_files(struct cut *c)
{
	for (uint32_t i = 0; i < c->change.add_count; i++)
		if (c->change.add[i].tier == TN_TIER_SILVER)
			c->change.add[i].lsn_max = c->lsn;
}

static enum tn_status
seal_and_write(struct cut *c, const char *reason, struct tn_batch_report *r)
{
	struct tn_batch_jobs *b = c->b;
	enum tn_status st = TN_OK;

	b->o.speed.seal(b->o.speed.speed, &c->lsn, &c->refs);
	c->sealed = true;
	tn_os_crash_point("cut_sealed");
	r->lsn = c->lsn;
	if (c->lsn == c->base->lsn)
		return TN_END;
	if (r->run == 0)
		st = begin_run(c, reason, r);
	else
		c->change.run_to = true;
	c->change.refs = tn_serving_refs_view(&c->refs);
	widen_files(c);
	if (st == TN_OK)
		st = write_all(c);
	tn_os_crash_point("cut_written");
	return st;
}

static void
report_cut(struct cut *c, int64_t begun, struct tn_batch_report *r)
{
	struct tn_batch_jobs *b = c->b;

	r->rows = c->change.rows;
	r->files = c->change.add_count;
	tn_histogram_add_us(b->seconds, (uint64_t)(tn_os_mono_us() - begun));
	tn_counter_set(b->last_success, tn_os_wall_us() / 1000000);
	if (b->o.published != NULL)
		b->o.published(b->o.arg, c->lsn);
	tn_os_crash_point("cut_published");
}

void
tn_batch_cut(struct tn_batch_jobs *b, const char *reason,
    struct tn_batch_report *r)
{
	struct cut c;
	int64_t begun = tn_os_mono_us();
	enum tn_status st;

	init_cut(&c, b, &r->diag);
	c.base = tn_catalog_snapshot(b->o.catalog);
	c.lsn = c.taken = c.base->lsn;
	st = follow_load(&c, reason, r);
	if (st == TN_OK)
		st = seal_and_write(&c, reason, r);
	if (st == TN_OK)
		st = publish(&c);
	else
		tn_batch_change_undo(&c.change);
	if (st == TN_OK) {
		report_cut(&c, begun, r);
	} else {
		if (c.sealed)
			b->o.speed.unseal(b->o.speed.speed);
		if (st != TN_END)
			report_failure(&c, r, st);
	}
	fini_cut(&c);
}
