/* Files of bronze and silver without the rows that are erased.
 *
 *   find    the file is read in pieces; the condition is true for a row: a bit
 *   write   where there is one, read again, in the same order, into a new file:
 *           silver without the row; bronze with a row in its place that has
 *           its LSN, offset and time received, the status "erased", and
 *           nothing of what was sent (raw bytes, source, spec, reasons)
 *
 * So offsets stay dense, and bronze = silver + quarantined + duplicates + erased.
 * Rows of bronze are decoded by the definition in force, also quarantined ones
 * and duplicates: what a CHECK refused has its values; what cannot be read at
 * all has none, and only a condition like WHERE true (or IS NULL) finds it. A row
 * of silver is what its bronze row decodes to, so both lose the same ones.
 * Duplicates have the bytes of their event mostly, and are found as it is; but
 * where the condition looks at more than those bytes (LSN, offset, time
 * received, defaults) the keys of the events that go are gathered first, and a
 * duplicate goes with its event.
 *
 * A new bronze file says which stretch of the chain it holds, as one that
 * compaction made. What can go wrong: a file cannot be read or written. */
#include "batch/erase_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define PIECE_ROWS 20000             /* A page. */
#define PIECE_BYTES ((size_t)32 << 20)
#define PIECE_PARTS 32               /* Of the memory budget. */
#define HOLDS 4                      /* Read, decoded, taken, silver's shape. */
#define NO_SPEC "format=json"

/* ---- memory ---------------------------------------------------------- */

static enum tn_status
hold(struct erase *e)
{
	return tn_budget_try(&e->held, HOLDS * e->piece.bytes +
	    2 * tn_batch_group_bytes() + e->key_cap * sizeof *e->keys) ?
	    TN_OK : tn_budget_refuse(&e->r->diag);
}

enum tn_status
tn_batch_erase_rows_begin(struct erase *e)
{
	size_t part = tn_batch_part(PIECE_PARTS);

	e->piece.rows = PIECE_ROWS;
	e->piece.bytes = part < PIECE_BYTES ? part : PIECE_BYTES;
	e->held.class = TN_BUDGET_CUTS;
	e->arena = tn_arena_new(1 << 16);
	e->reader = tn_governance_reader_new(e->b->o.model->streams,
	    e->b->o.model->stream_count);
	return hold(e);
}

void
tn_batch_erase_rows_end(struct erase *e)
{
	tn_budget_set(&e->held, 0);
	tn_governance_reader_free(e->reader);
	tn_arena_free(e->arena);
	tn_free(e->keys);
	tn_free(e->bits);
}

/* ---- reading --------------------------------------------------------- */

static bool
is_raw(const struct tn_catalog_file *f)
{
	return f->tier == TN_TIER_BRONZE;
}

/* All pieces of the file under way, in order; cuts that wait come between. */
static enum tn_status
each_piece(struct erase *e, enum tn_status (*each)(struct erase *e,
    const struct tn_batch *b))
{
	const char *path = e->f->path;
	struct tn_lake_merge_opts o = { .paths = &path, .count = 1,
	    .schema = is_raw(e->f) ? &tn_governance_bronze : e->s->silver,
	    .piece = e->piece };
	struct tn_lake_merge *m = NULL;
	const struct tn_batch *b = NULL;
	enum tn_status st = tn_lake_merge_open(e->b->o.lake, &o, &m,
	    &e->r->diag);

	e->at = 0;
	while (st == TN_OK) {
		tn_batch_let_cut(e->b);
		st = tn_lake_merge_next(m, &b, &e->r->diag);
		if (st == TN_OK)
			st = tn_batch_stopping(e->b, &e->r->diag);
		if (st == TN_OK && e->at + b->rows > e->f->rows)
			st = TN_ECORRUPT;
		if (st == TN_OK)
			st = each(e, b);
		if (st == TN_OK)
			e->at += b->rows;
		tn_arena_reset(e->arena);
	}
	tn_lake_merge_close(m);
	if (st == TN_END && e->at == e->f->rows)
		return TN_OK;
	if (st == TN_END)
		st = TN_ECORRUPT;
	if (st == TN_ECORRUPT && e->r->diag.message[0] == '\0')
		(void)tn_diag_set(&e->r->diag, st, "rows", "%s does not hold "
		    "the rows of the catalog: tarn verify names it",
		    e->f->path);
	return st;
}

static bool
has_bit(const struct erase *e, uint64_t row)
{
	return (e->bits[row >> 3] >> (row & 7) & 1) != 0;
}

/* ---- which rows ------------------------------------------------------ */

/* 1 where the condition is true; in the arena. NULL: memory is out. */
static const uint8_t *
ask(struct erase *e, const struct tn_batch *b)
{
	bool no_memory = false;
	struct tn_exec_env env = { .batch = b, .arena = e->arena,
	    .now_us = e->q->now_us, .no_memory = &no_memory };
	uint8_t *out = tn_arena_zalloc(e->arena, b->rows + 1ul);

	if (!is_raw(e->f))
		env.error_rows = tn_arena_zalloc(e->arena, b->rows + 1ul);
	tn_exec_filter(e->q->where, &env, out);
	if (!is_raw(e->f) && env.errors > 0) {
		if (e->failed == 0)
			snprintf(e->why, sizeof e->why, "%s", env.message);
		for (uint32_t i = 0; i < b->rows; i++)
			e->failed += env.error_rows[i] != 0 && out[i] == 0;
	}
	return no_memory ? NULL : out;
}

static int
order_keys(const void *pa, const void *pb)
{
	return memcmp(pa, pb, sizeof(struct tn_hash128));
}

static bool
goes_with(const struct erase *e, const struct tn_governance_rows *g,
    uint32_t i)
{
	return e->key_count > 0 && g->keys != NULL && bsearch(&g->keys[i],
	    e->keys, e->key_count, sizeof *e->keys, order_keys) != NULL;
}

static enum tn_status
note_key(struct erase *e, const struct tn_governance_rows *g, uint32_t i)
{
	struct tn_hash128 *keys;
	enum tn_status st = TN_OK;

	if (g->keys == NULL)
		return TN_OK;
	if (e->key_count == e->key_cap) {
		size_t cap = e->key_cap == 0 ? 1024 : e->key_cap * 2;
		if (cap * sizeof *keys > tn_batch_part(PIECE_PARTS)) {
			tn_diag_hint(&e->r->diag, "erase them in parts, or by "
			    "what the rows say (columns without a default)");
			return tn_diag_set(&e->r->diag, TN_ELIMIT,
			    "too_many_rows", "duplicates of more than %zu rows "
			    "cannot be looked for at once", e->key_count);
		}
		keys = tn_try_realloc(e->keys, cap * sizeof *keys);
		if (keys == NULL)
			return TN_ENOMEM;
		e->keys = keys;
		e->key_cap = cap;
		st = hold(e);
	}
	e->keys[e->key_count++] = g->keys[i];
	return st;
}

/* Rows ${at} ... of a piece of bronze, as they are in silver's shape. */
static enum tn_status
judge(struct erase *e, const struct tn_governance_rows *g,
    const int32_t *status, uint64_t at)
{
	struct tn_batch *rows = NULL;
	const uint8_t *hit;
	enum tn_status st = tn_governance_silver_of(g, &rows);

	if (st != TN_OK || rows == NULL)
		return st;
	hit = ask(e, rows);
	st = hit == NULL ? TN_ENOMEM : TN_OK;
	for (uint32_t i = 0; st == TN_OK && i < rows->rows; i++) {
		bool with = status[i] == TN_MARK_DUPLICATE && goes_with(e, g,
		    i);
		if (status[i] == TN_MARK_ERASED || (hit[i] == 0 && !with))
			continue;
		if (e->collecting) {
			if (status[i] == TN_MARK_ACCEPTED)
				st = note_key(e, g, i);
			continue;
		}
		e->bits[(at + i) >> 3] |= (uint8_t)(1u << ((at + i) & 7));
		e->hits++;
		e->by_mark[status[i]]++;
	}
	tn_record_batch_unref(rows);
	return st;
}

/* One block: every row but erased ones is decoded, whatever became of it. */
static enum tn_status
find_in_block(struct erase *e, struct tn_log_block *k, const int32_t *status,
    uint64_t at)
{
	uint8_t *marks = tn_arena_zalloc(e->arena, k->rows + 1ul);
	struct tn_governance_rows *g = NULL;
	enum tn_status st;

	if (k->lsn > e->lsn)
		return TN_OK;
	for (uint32_t i = 0; i < k->rows; i++)
		if (status[i] == TN_MARK_ERASED)
			marks[i] = TN_MARK_ERASED;
	k->marks = marks;
	st = tn_governance_reader_block(e->reader, k, &g);
	if (st != TN_OK)
		return st;
	memset(g->marks, TN_MARK_ACCEPTED, k->rows);
	st = judge(e, g, status, at);
	tn_governance_rows_unref(g);
	return st;
}

static enum tn_status
find_in_bronze(struct erase *e, const struct tn_batch *b)
{
	const int32_t *status = b->columns[TN_BRONZE_STATUS].values;
	uint32_t at = 0, next = 0;
	enum tn_status st = TN_OK;

	while (st == TN_OK && at < b->rows) {
		struct tn_log_block block;
		st = tn_governance_block_of(b, at, e->s->id, e->arena, &block,
		    &next);
		if (st == TN_OK)
			st = find_in_block(e, &block, status + at, e->at + at);
		at = next;
	}
	return st;
}

static int64_t
time_of(const struct tn_column *c, uint32_t row)
{
	int64_t t;

	if (c->type.id != TN_T_DATE)
		return ((const int64_t *)c->values)[row];
	t = ((const int32_t *)c->values)[row];
	return __builtin_mul_overflow(t, INT64_C(86400000000), &t) ?
	    INT64_MAX : t;
}

static enum tn_status
find_in_silver(struct erase *e, const struct tn_batch *b)
{
	const struct tn_column *time = &b->columns[tn_batch_time_column(e->s)];
	const int64_t *lsn = b->columns[b->schema->count -
	    TN_SQL_HIDDEN].values;
	const uint8_t *hit = ask(e, b);

	if (hit == NULL)
		return TN_ENOMEM;
	for (uint32_t i = 0; i < b->rows; i++) {
		uint64_t row = e->at + i;
		int64_t us;
		if (hit[i] == 0 || (uint64_t)lsn[i] > e->lsn)
			continue;
		us = time_of(time, i);
		e->bits[row >> 3] |= (uint8_t)(1u << (row & 7));
		e->hits++;
		e->from_us = us < e->from_us ? us : e->from_us;
		e->to_us = us > e->to_us ? us : e->to_us;
	}
	return TN_OK;
}

/* ---- bronze rows without what was sent -------------------------------- */

/* Source and line of a refused row that was tried again are of our making and
 * stay: by them it is not tried once more. */
static void
put_erased(struct tn_builder *out, const struct tn_batch *b, uint32_t row)
{
	static const uint32_t kept[] = { TN_BRONZE_LSN, TN_BRONZE_OFFSET,
	    TN_BRONZE_RECEIVED, TN_BRONZE_SOURCE, TN_BRONZE_LINE };
	uint64_t offset;
	bool again = tn_governance_again_of(tn_governance_bronze_text(
	    &b->columns[TN_BRONZE_SOURCE], row), 0, &offset);

	for (size_t k = 0; k < (again ? TN_COUNT(kept) : 3); k++)
		tn_record_builder_copy(out, kept[k], &b->columns[kept[k]],
		    row);
	if (!again)
		tn_record_builder_text(out, TN_BRONZE_SOURCE, "", 0);
	tn_record_builder_text(out, TN_BRONZE_SPEC, NO_SPEC,
	    strlen(NO_SPEC));
	tn_record_builder_i64(out, TN_BRONZE_STATUS, TN_MARK_ERASED);
	tn_record_builder_text(out, TN_BRONZE_RAW, "", 0);
}

static struct tn_batch *
blank(struct erase *e, const struct tn_batch *b)
{
	struct tn_builder *out = tn_record_builder_new(&tn_governance_bronze,
	    b->rows);
	struct tn_batch *made;

	for (uint32_t i = 0; i < b->rows; i++) {
		if (has_bit(e, e->at + i))
			put_erased(out, b, i);
		else
			for (uint32_t c = 0; c < b->schema->count; c++)
				tn_record_builder_copy(out, c, &b->columns[c],
				    i);
		tn_record_builder_row_end(out);
	}
	made = tn_record_builder_take(out);
	tn_record_builder_free(out);
	return made;
}

static struct tn_batch *
without(struct erase *e, const struct tn_batch *b)
{
	uint32_t *rows = tn_arena_alloc(e->arena, (b->rows + 1ul) *
	    sizeof *rows), n = 0;

	for (uint32_t i = 0; i < b->rows; i++)
		if (!has_bit(e, e->at + i))
			rows[n++] = i;
	return tn_record_batch_take(b, rows, n);
}

/* ---- writing --------------------------------------------------------- */

static enum tn_status
create(struct erase *e)
{
	const struct tn_catalog_file *f = e->f;
	bool cold = tn_lake_is_cold(e->b->o.lake, f->path);
	struct tn_lake_write w = { .tier = is_raw(f) ? "bronze" : "silver",
	    .table = e->s->table->name, .partition = e->partition,
	    .label = e->label, .parquet = &e->parquet, .cold = cold,
	    .time_column = is_raw(f) ? TN_BRONZE_RECEIVED :
	    tn_batch_time_column(e->s), .version = e->s->version,
	    .lsn = f->lsn_max };

	e->parquet = (struct tn_parquet_write_opts){ .zstd_level = cold ?
	    e->b->o.cold_zstd_level : e->b->o.zstd_level,
	    .group_bytes = tn_batch_group_bytes(), .sorted_by = e->sort,
	    .sorted_count = is_raw(f) ? 0 : tn_batch_sort_columns(e->s,
	    e->sort) };
	snprintf(e->label, sizeof e->label, "%s-%u", e->change.label,
	    (unsigned)e->files++);
	snprintf(e->partition, sizeof e->partition, "%s%s",
	    f->partition[0] != '\0' ? "date=" : "", f->partition);
	e->change.cold = e->change.cold || cold;
	return tn_lake_create(e->b->o.lake, &w, is_raw(f) ?
	    &tn_governance_bronze : e->s->silver, &e->out);
}

static enum tn_status
write_piece(struct erase *e, const struct tn_batch *b)
{
	struct tn_batch *made = NULL;
	uint32_t n = 0;
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < b->rows; i++)
		n += has_bit(e, e->at + i);
	if (n == b->rows && !is_raw(e->f))
		return TN_OK;
	if (e->out == NULL)
		st = create(e);
	if (st == TN_OK && n > 0) {
		made = is_raw(e->f) ? blank(e, b) : without(e, b);
		st = made == NULL ? TN_ENOMEM : TN_OK;
	}
	if (st == TN_OK)
		st = tn_lake_add(e->out, made != NULL ? made : b);
	tn_record_batch_unref(made);
	return st;
}

static enum tn_status
finish(struct erase *e)
{
	const struct tn_catalog_file *f = e->f;
	struct tn_lake_writer *out = e->out;
	struct tn_batch_chain *chain = NULL;
	struct tn_lake_file made;
	enum tn_status st = TN_OK;

	if (is_raw(f)) {
		chain = tn_batch_chain_new(e->b, e->s->id, NULL);
		st = tn_batch_chain_take(chain, f, &e->r->diag);
	}
	if (st == TN_OK) {
		e->out = NULL;
		st = is_raw(f) ? tn_batch_chain_merged(chain, &e->change, out,
		    f->lsn_max, &made) : tn_lake_finish(out, &made);
	}
	tn_batch_chain_free(chain);
	if (st == TN_OK)
		tn_batch_change_add(&e->change, f->tier, e->s->id,
		    e->s->version, &made, f->lsn_min, f->lsn_max);
	return st;
}

/* ---- one file -------------------------------------------------------- */

enum tn_status
tn_batch_erase_keys(struct erase *e)
{
	uint32_t first, n = tn_catalog_snapshot_find(e->base, TN_TIER_BRONZE,
	    e->s->id, &first);
	enum tn_status st = TN_OK;

	e->collecting = true;
	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		e->f = &e->base->files[i];
		if (e->f->lsn_min <= e->lsn)
			st = each_piece(e, find_in_bronze);
	}
	e->collecting = false;
	if (e->key_count > 0)
		qsort(e->keys, e->key_count, sizeof *e->keys, order_keys);
	return st;
}

enum tn_status
tn_batch_erase_file(struct erase *e, const struct tn_catalog_file *f)
{
	enum tn_status st;

	if (f->lsn_min > e->lsn)
		return TN_OK;
	e->f = f;
	e->hits = 0;
	tn_free(e->bits);
	e->bits = tn_zalloc(f->rows / 8 + 1);
	st = each_piece(e, is_raw(f) ? find_in_bronze : find_in_silver);
	if (st != TN_OK || e->hits == 0)
		return st;
	st = each_piece(e, write_piece);
	if (st == TN_OK && e->out != NULL)
		st = finish(e);
	tn_lake_abandon(e->out);
	e->out = NULL;
	if (st != TN_OK)
		return st;
	tn_batch_change_drop(&e->change, f->id);
	if (is_raw(f))
		tn_os_crash_point("erase_bronze");
	else
		tn_os_crash_point("erase_silver");
	e->rows += is_raw(f) ? 0 : e->hits;
	return TN_OK;
}
