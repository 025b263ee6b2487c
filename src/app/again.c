/* At the start: quarantined rows of streams whose definition changed are tried
 * again (src/ingest/again.c).
 *
 *   per table   is its version another one than was tried last ("tried:ID")?
 *     which rows were taken before? (source of rows in bronze and the log)
 *     every quarantined row of bronze, then of the log, that is not among
 *     them, in the order in which they came -> ingest; then "tried:ID" =
 *     version
 *
 * Files of bronze follow one another by their LSNs. Only where a clock leapt,
 * and days were merged, do they overlap: those are read side by side.
 *
 * A kill on the way leaves what was committed; the next start goes on with the
 * rest. Not tried: rows that were too far in the future, which is a matter of
 * when they came, not of a rule. What fails is said and tried at the next
 * start: the events that are in work do not wait for it. */
#include "app/run_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_ROWS 4096              /* Of each file, side by side. */
#define PIECES_BYTES ((size_t)32 << 20)  /* Of all of them, about. */

struct again {
	struct app *a;
	const struct tn_governance_stream *s;
	const struct tn_catalog_snapshot *base;
	uint64_t last;                   /* Of the log, as it was. */
	struct tn_ingest_again *ingest;
	struct tn_arena *arena;
	uint64_t *taken;                 /* Offsets, in order once all are. */
	size_t count, cap;
	struct tn_diag *d;
};

/* ---- what was taken before ------------------------------------------- */

static void
note_taken(struct again *x, struct tn_slice source, int64_t line)
{
	uint64_t offset;

	if (!tn_governance_again_of(source, line, &offset))
		return;
	if (x->count == x->cap) {
		x->cap = x->cap == 0 ? 1024 : x->cap * 2;
		x->taken = tn_realloc(x->taken, x->cap * sizeof *x->taken);
	}
	x->taken[x->count++] = offset;
}

static enum tn_status
look_taken(void *arg, struct tn_batch *b)
{
	const struct tn_column *line = &b->columns[TN_BRONZE_LINE];

	for (uint32_t i = 0; i < b->rows; i++)
		if (tn_column_valid(line, i))
			note_taken(arg, tn_governance_bronze_text(
			    &b->columns[TN_BRONZE_SOURCE], i),
			    ((const int64_t *)line->values)[i]);
	return TN_OK;
}

static int
by_offset(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool
was_taken(const struct again *x, uint64_t offset)
{
	return x->count > 0 && bsearch(&offset, x->taken, x->count,
	    sizeof offset, by_offset) != NULL;
}

/* ---- rows ------------------------------------------------------------ */

/* ${code}: why row i of the block is in quarantine. */
static bool
is_wanted(const struct again *x, const struct tn_log_block *b, uint32_t i,
    struct tn_slice code)
{
	return b->marks != NULL && b->marks[i] == TN_MARK_QUARANTINED &&
	    !tn_slice_is(code, "future") && !was_taken(x, b->offset + i);
}

static enum tn_status
try_batch(struct again *x, const struct tn_batch *b)
{
	uint32_t at = 0, first;
	enum tn_status st = TN_OK;

	while (st == TN_OK && at < b->rows) {
		struct tn_log_block block;
		uint8_t *want;
		first = at;
		st = tn_governance_block_of(b, first, x->s->id, x->arena,
		    &block, &at);
		if (st != TN_OK)
			break;
		want = tn_arena_alloc(x->arena, block.rows + 1ul);
		for (uint32_t i = 0; i < block.rows; i++)
			want[i] = is_wanted(x, &block, i,
			    tn_governance_bronze_text(
			    &b->columns[TN_BRONZE_CODE], first + i));
		st = tn_ingest_again_block(x->ingest, &block, want, x->d);
		tn_arena_reset(x->arena);
	}
	tn_speed_flush(x->a->speed);     /* No backlog. */
	return st;
}

static enum tn_status
try_rows(void *arg, struct tn_batch *b)
{
	return try_batch(arg, b);
}

/* Source and line of every row. */
static enum tn_status
look_bronze(struct again *x)
{
	const uint8_t used[TN_BRONZE_RAW + 1] = { [TN_BRONZE_SOURCE] = 1,
	    [TN_BRONZE_LINE] = 1 };
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_BRONZE,
	    x->s->id, &first);
	enum tn_status st = TN_OK;

	for (uint32_t i = first; st == TN_OK && i < first + n; i++) {
		struct tn_lake_read r = { .path = x->base->files[i].path,
		    .schema = &tn_governance_bronze, .used = used,
		    .keep_dictionary = true, .each = look_taken, .arg = x };
		st = tn_lake_read(x->a->lake, &r, x->d);
	}
	return st;
}

/* Pages without a quarantined row are passed over. */
static enum tn_status
try_file(struct again *x, const struct tn_catalog_file *f)
{
	static const int32_t mark = TN_MARK_QUARANTINED;
	struct tn_column one = { .type = tn_record_type(TN_T_INT4),
	    .rows = 1, .values = &mark };
	struct tn_parquet_bound bound = { TN_BRONZE_STATUS, &one, &one };
	struct tn_lake_read r = { .path = f->path,
	    .schema = &tn_governance_bronze, .bounds = &bound,
	    .bound_count = 1, .keep_dictionary = true, .each = try_rows,
	    .arg = x };

	return tn_lake_read(x->a->lake, &r, x->d);
}

/* Files that overlap: by the offset of the rows. */
static enum tn_status
try_side_by_side(struct again *x, const struct tn_catalog_file *const *files,
    uint32_t n)
{
	const char **paths = tn_alloc(n * sizeof *paths);
	struct tn_lake_merge_opts o = { .paths = paths, .count = n,
	    .schema = &tn_governance_bronze,
	    .sort = &(uint32_t){ TN_BRONZE_OFFSET }, .sort_count = 1,
	    .piece = { .rows = PIECE_ROWS, .bytes = PIECES_BYTES / n } };
	struct tn_lake_merge *m = NULL;
	const struct tn_batch *b;
	enum tn_status st;

	for (uint32_t i = 0; i < n; i++)
		paths[i] = files[i]->path;
	st = tn_lake_merge_open(x->a->lake, &o, &m, x->d);
	while (st == TN_OK) {
		st = tn_lake_merge_next(m, &b, x->d);
		if (st == TN_OK)
			st = try_batch(x, b);
	}
	tn_lake_merge_close(m);
	tn_free(paths);
	return st == TN_END ? TN_OK : st;
}

static int
by_lsn(const void *a, const void *b)
{
	const struct tn_catalog_file *x =
	    *(const struct tn_catalog_file *const *)a;
	const struct tn_catalog_file *y =
	    *(const struct tn_catalog_file *const *)b;

	return x->lsn_min < y->lsn_min ? -1 : x->lsn_min > y->lsn_min;
}

static enum tn_status
try_bronze(struct again *x)
{
	uint32_t first, n = tn_catalog_snapshot_find(x->base, TN_TIER_BRONZE,
	    x->s->id, &first), next;
	const struct tn_catalog_file **files = tn_alloc((n + 1ul) *
	    sizeof(struct tn_catalog_file *));
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; i < n; i++)
		files[i] = &x->base->files[first + i];
	if (n > 0)
		qsort(files, n, sizeof(struct tn_catalog_file *), by_lsn);
	for (uint32_t i = 0; st == TN_OK && i < n; i = next) {
		uint64_t last = files[i]->lsn_max;
		for (next = i + 1; next < n && files[next]->lsn_min <= last;
		    next++)
			if (files[next]->lsn_max > last)
				last = files[next]->lsn_max;
		st = next == i + 1 ? try_file(x, files[i]) :
		    try_side_by_side(x, files + i, next - i);
	}
	tn_free(files);
	return st;
}

static void
look_block(struct again *x, const struct tn_log_block *b)
{
	for (uint32_t i = 0; b->lines != NULL && i < b->rows; i++)
		note_taken(x, b->source, b->lines[i]);
}

static enum tn_status
try_block(struct again *x, const struct tn_log_block *b)
{
	uint8_t *want = tn_zalloc(b->rows + 1ul);
	enum tn_status st;

	for (uint32_t i = 0; i < b->reason_count; i++) {
		uint32_t row = b->reasons[i].row;
		want[row] = is_wanted(x, b, row, tn_slice_of(
		    b->reasons[i].code));
	}
	st = tn_ingest_again_block(x->ingest, b, want, x->d);
	tn_free(want);
	return st;
}

/* The log after the cut, as it was at the beginning. */
static enum tn_status
read_log(struct again *x, bool look)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	enum tn_status st = TN_OK;

	for (uint64_t lsn = x->base->lsn + 1; st == TN_OK && lsn <= x->last;
	    lsn++) {
		struct tn_log_block b;
		st = tn_log_read(x->a->log, lsn, a, &b, x->d);
		if (st == TN_OK && b.stream == x->s->id && look)
			look_block(x, &b);
		else if (st == TN_OK && b.stream == x->s->id)
			st = try_block(x, &b);
		tn_arena_reset(a);
	}
	tn_arena_free(a);
	return st;
}

/* ---- a table --------------------------------------------------------- */

static enum tn_status
try_stream(struct again *x)
{
	struct tn_ingest_again_counts n = { 0 };
	enum tn_status st = look_bronze(x);

	if (st == TN_OK)
		st = read_log(x, true);
	if (x->count > 0)
		qsort(x->taken, x->count, sizeof *x->taken, by_offset);
	if (st == TN_OK)
		st = try_bronze(x);
	if (st == TN_OK)
		st = read_log(x, false);
	if (st == TN_OK)
		st = tn_ingest_again_end(x->ingest, &n, x->d);
	if (n.tried > 0)
		tn_say(TN_INFO, "app", "the definition of %s changed: %llu "
		    "quarantined rows were tried again, %llu are taken, %llu "
		    "are duplicates", x->s->table->name,
		    (unsigned long long)n.tried,
		    (unsigned long long)n.accepted,
		    (unsigned long long)n.duplicates);
	return st;
}

/* What was tried last; 0: nothing was noted. */
static uint32_t
tried(struct app *a, const char *key)
{
	struct tn_arena *arena = tn_arena_new(256);
	const char *text = NULL;
	uint32_t version = 0;

	if (tn_catalog_get(a->catalog, key, arena, &text) == TN_OK)
		version = (uint32_t)strtoul(text, NULL, 10);
	tn_arena_free(arena);
	return version;
}

static enum tn_status
try_table(struct app *a, uint32_t stream, struct tn_diag *d)
{
	struct again x = { .a = a, .s = &a->model->streams[stream], .d = d };
	enum tn_status st;

	x.arena = tn_arena_new(1 << 16);
	x.base = tn_catalog_snapshot(a->catalog);
	x.last = tn_log_last(a->log);
	x.ingest = tn_ingest_again_new(a->ingest, stream);
	st = try_stream(&x);
	tn_ingest_again_free(x.ingest);
	tn_catalog_snapshot_put(x.base);
	tn_free(x.taken);
	tn_arena_free(x.arena);
	return st;
}

void
tn_app_try_again(struct app *a)
{
	const struct tn_serving_model *m = a->model;

	for (uint32_t i = 0; i < m->stream_count; i++) {
		const struct tn_governance_stream *s = &m->streams[i];
		struct tn_diag d = { .line = 0 };
		char key[40], version[16];
		uint32_t last;
		enum tn_status st = TN_OK;
		snprintf(key, sizeof key, "tried:%u", (unsigned)s->id);
		snprintf(version, sizeof version, "%u", (unsigned)s->version);
		last = tried(a, key);
		if (last == s->version)
			continue;
		/* A new table has none. A reference table keeps no keys: a row
		 * of then would replace a later one of its key. */
		if ((last != 0 || s->version > 1) &&
		    s->table->kind == TN_SQL_STREAM)
			st = try_table(a, i, &d);
		if (st == TN_OK)
			st = tn_catalog_set(a->catalog, key, version);
		if (st != TN_OK)
			tn_say(TN_WARN, "app", "quarantined rows of %s wait "
			    "for the next start: %s", s->table->name,
			    d.message[0] != '\0' ? d.message :
			    tn_status_text(st));
	}
}
