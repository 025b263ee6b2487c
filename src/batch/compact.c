/* Compaction of young files, so that a commit a minute does not leave a file
 * a minute: when a partition holds more than young_files_max young files in a
 * row, they become one. Silver files are merged in event time order, bronze
 * files are joined in LSN order. Neighbours only, so that the list of files
 * stays one of ages, and no more than fit into memory.
 *
 * A failure leaves everything as it was; the next cut tries again. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

/* A merge holds its rows decoded, some 150 bytes of an event, and sorts a
 * copy: a million and a half need half a gigabyte. The slices of a large cut
 * (250,000 rows) are files of a good size as they are. */
#define YOUNG_ROWS 200000
#define YOUNG_BYTES (UINT64_C(64) << 20)     /* Packed, on disk. */
#define MERGED_ROWS_MAX 1500000
#define MERGED_BYTES_MAX (UINT64_C(128) << 20)
#define ROW_BYTES 333                        /* Of the two, decoded. */
#define MERGE_PARTS 8                        /* Of the memory budget. */

struct merge {
	struct tn_batch_jobs *b;
	const struct tn_governance_stream *s;
	enum tn_catalog_tier tier;
	const struct tn_catalog_file **files;
	uint32_t count;
	struct change change;
	struct tn_diag d;
	/* While reading. */
	struct tn_lake_writer *writer;   /* Bronze. */
	struct tn_batch **batches;       /* Silver. */
	uint32_t batch_count, batch_cap;
	struct tn_budget_share held;
};

static enum tn_status
keep_batch(void *arg, struct tn_batch *b)
{
	struct merge *m = arg;

	m->change.rows += b->rows;
	if (m->tier == TN_TIER_BRONZE)
		return tn_lake_add(m->writer, b);
	if (m->batch_count == m->batch_cap) {
		m->batch_cap = m->batch_cap == 0 ? 16 : m->batch_cap * 2;
		m->batches = tn_realloc(m->batches,
		    m->batch_cap * sizeof *m->batches);
	}
	/* Borrowed from the reader: copy. */
	m->batches[m->batch_count] = tn_record_batch_concat(&b, 1);
	if (m->batches[m->batch_count] == NULL)
		return TN_ENOMEM;
	m->batch_count++;
	return TN_OK;
}

static enum tn_status
read_all(struct merge *m)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < m->count; i++) {
		struct tn_lake_read r = { .path = m->files[i]->path,
		    .schema = m->tier == TN_TIER_BRONZE ?
		    &tn_governance_bronze : m->s->silver,
		    .each = keep_batch, .arg = m };
		st = tn_lake_read(m->b->o.lake, &r, &m->d);
	}
	return st;
}

static enum tn_status
merge_bronze(struct merge *m, struct tn_lake_files *out)
{
	struct tn_parquet_write_opts po = { .zstd_level = m->b->o.zstd_level,
	    .group_bytes = tn_batch_group_bytes() };
	struct tn_lake_write w = { .tier = "bronze",
	    .table = m->s->table->name, .partition = "",
	    .label = m->change.label, .time_column = TN_BRONZE_RECEIVED,
	    .parquet = &po, .version = m->s->version,
	    .lsn = m->files[m->count - 1]->lsn_max };
	enum tn_status st;

	out->files = tn_zalloc(sizeof *out->files);
	out->cap = 1;
	st = tn_lake_create(m->b->o.lake, &w, &tn_governance_bronze,
	    &m->writer);
	if (st == TN_OK)
		st = read_all(m);
	if (st == TN_OK) {
		st = tn_lake_finish(m->writer, &out->files[0]);
		m->writer = NULL;
		out->count = st == TN_OK;
	}
	tn_lake_abandon(m->writer);
	return st;
}

static enum tn_status
merge_silver(struct merge *m, struct tn_lake_files *out)
{
	uint32_t sorted = (uint32_t)tn_batch_time_column(m->s);
	struct tn_parquet_write_opts po = { .zstd_level = m->b->o.zstd_level,
	    .group_bytes = tn_batch_group_bytes(),
	    .sorted_by = &sorted, .sorted_count = 1 };
	struct tn_lake_write w = { .tier = "silver",
	    .table = m->s->table->name, .label = m->change.label,
	    .time_column = (int)sorted, .parquet = &po,
	    .version = m->s->version,
	    .lsn = m->files[m->count - 1]->lsn_max };
	enum tn_status st = read_all(m);

	if (st == TN_OK && m->batch_count > 0)
		st = tn_lake_put_days(m->b->o.lake, &w, m->batches,
		    m->batch_count, out);
	for (uint32_t i = 0; i < m->batch_count; i++)
		tn_record_batch_unref(m->batches[i]);
	tn_free(m->batches);
	return st;
}

/* Files that hold other rows than the catalog says are not to be replaced. */
static enum tn_status
check_rows(struct merge *m)
{
	uint64_t rows = 0;

	for (uint32_t i = 0; i < m->count; i++)
		rows += m->files[i]->rows;
	if (rows == m->change.rows)
		return TN_OK;
	return tn_diag_set(&m->d, TN_ECORRUPT, "rows", "files of %s hold "
	    "%llu rows, not the %llu of the catalog: tarn verify names them",
	    m->s->table->name, (unsigned long long)m->change.rows,
	    (unsigned long long)rows);
}

static enum tn_status
publish_merge(struct merge *m, const struct tn_lake_files *out,
    uint64_t lsn)
{
	uint64_t lo = m->files[0]->lsn_min, hi = 0;
	char detail[200];

	for (uint32_t i = 0; i < m->count; i++) {
		if (m->files[i]->lsn_min < lo)
			lo = m->files[i]->lsn_min;
		if (m->files[i]->lsn_max > hi)
			hi = m->files[i]->lsn_max;
		tn_batch_change_drop(&m->change, m->files[i]->id);
	}
	for (uint32_t i = 0; i < out->count; i++)
		tn_batch_change_add(&m->change, m->tier, m->s->id,
		    m->s->version, &out->files[i], lo, hi);
	snprintf(detail, sizeof detail, "%u files of %s%s%s became %u",
	    (unsigned)m->count, m->s->table->name,
	    m->files[0]->partition[0] != '\0' ? " " : "",
	    m->files[0]->partition, (unsigned)out->count);
	return tn_batch_change_publish(&m->change, lsn, NULL, 0, detail);
}

/* ${out} is NULL when publishing has seen to the files itself. */
static void
give_up(struct merge *m, const struct tn_lake_files *out, enum tn_status st)
{
	struct tn_batch_jobs *b = m->b;

	if (m->d.message[0] == '\0')
		tn_diag_set(&m->d, st, "compact_failed", "%s",
		    tn_status_text(st));
	tn_say(TN_WARN, "batch", "compaction of %s failed: %s",
	    m->s->table->name, m->d.message);
	for (uint32_t i = 0; out != NULL && i < out->count; i++)
		if (tn_lake_remove(b->o.lake, out->files[i].path) != TN_OK)
			tn_say(TN_WARN, "batch", "%s is left over",
			    out->files[i].path);
	if (m->change.run != 0 && tn_catalog_run_end(b->o.catalog,
	    m->change.run, TN_RUN_FAILED, tn_os_wall_us(), 0, 0,
	    m->d.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)m->change.run);
}

/* Silver is held whole, bronze a row group at a time. */
static bool
take_memory(struct merge *m)
{
	uint64_t rows = 0;

	m->held.class = TN_BUDGET_CUTS;
	for (uint32_t i = 0; i < m->count; i++)
		rows += m->files[i]->rows;
	if (tn_budget_level() != TN_BUDGET_CALM)
		return false;
	return tn_budget_try(&m->held, m->tier == TN_TIER_BRONZE ?
	    2 * tn_batch_group_bytes() : (size_t)rows * ROW_BYTES);
}

static uint64_t
merged_rows_max(void)
{
	uint64_t n = tn_batch_part(MERGE_PARTS) / ROW_BYTES;

	return n < MERGED_ROWS_MAX ? n : MERGED_ROWS_MAX;
}

static void
merge_files(struct tn_batch_jobs *b, const struct tn_governance_stream *s,
    const struct tn_catalog_file **files, uint32_t count, uint64_t lsn)
{
	struct merge m = { .b = b, .s = s, .tier = files[0]->tier,
	    .files = files, .count = count };
	struct tn_lake_files out = { 0 };
	uint64_t run = 0;
	enum tn_status st;

	/* It can wait for a later cut. */
	if (!take_memory(&m))
		return;
	st = tn_batch_run_begin(b, "compact", "young files", s->table->name,
	    files[0]->lsn_min, lsn, &run);
	tn_batch_change_begin(&m.change, b, lsn, run);
	tn_os_crash_point("compact_begun");
	if (st == TN_OK)
		st = m.tier == TN_TIER_BRONZE ? merge_bronze(&m, &out) :
		    merge_silver(&m, &out);
	tn_os_crash_point("compact_written");
	if (st == TN_OK)
		st = check_rows(&m);
	if (st != TN_OK) {
		give_up(&m, &out, st);
	} else {
		st = publish_merge(&m, &out, lsn);
		if (st != TN_OK)
			give_up(&m, NULL, st);
	}
	tn_lake_files_fini(&out);
	tn_batch_change_fini(&m.change);
	tn_budget_set(&m.held, 0);
}

static bool
is_young(const struct tn_catalog_file *f)
{
	return f->rows < YOUNG_ROWS && f->bytes < YOUNG_BYTES;
}

/* Files of one partition in LSN order: runs of young ones are merged when
 * they are too many. */
static void
tend_partition(struct tn_batch_jobs *b, const struct tn_governance_stream *s,
    const struct tn_catalog_file *files, uint32_t count, uint64_t lsn)
{
	const struct tn_catalog_file **young = tn_alloc((count + 1) *
	    sizeof *young);
	uint32_t n = 0;
	uint64_t rows = 0, bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!is_young(&files[i]) ||
		    rows + files[i].rows > merged_rows_max() ||
		    bytes + files[i].bytes > MERGED_BYTES_MAX) {
			if (n > b->o.young_files_max)
				merge_files(b, s, young, n, lsn);
			n = 0;
			rows = bytes = 0;
		}
		if (!is_young(&files[i]))
			continue;
		young[n++] = &files[i];
		rows += files[i].rows;
		bytes += files[i].bytes;
	}
	if (n > b->o.young_files_max)
		merge_files(b, s, young, n, lsn);
	tn_free(young);
}

static void
tend_tier(struct tn_batch_jobs *b, const struct tn_catalog_snapshot *base,
    const struct tn_governance_stream *s, enum tn_catalog_tier tier)
{
	uint32_t first, n = tn_catalog_snapshot_find(base, tier, s->id,
	    &first);

	for (uint32_t i = first, end; i < first + n; i = end) {
		end = i + 1;
		while (end < first + n && strcmp(base->files[end].partition,
		    base->files[i].partition) == 0)
			end++;
		tend_partition(b, s, &base->files[i], end - i, base->lsn);
	}
}

void
tn_batch_compact(struct tn_batch_jobs *b)
{
	/* Files of one snapshot; what one merge drops no other one reads. */
	const struct tn_catalog_snapshot *base = tn_catalog_snapshot(
	    b->o.catalog);

	for (uint32_t i = 0; i < b->o.model->stream_count; i++) {
		tend_tier(b, base, &b->o.model->streams[i], TN_TIER_BRONZE);
		tend_tier(b, base, &b->o.model->streams[i], TN_TIER_SILVER);
	}
	tn_catalog_snapshot_put(base);
}
