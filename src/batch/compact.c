/* Compaction: so that a commit a minute does not leave a file a minute.
 *
 *   plan    per partition (day of event time, day received for bronze) the
 *           files that tiers.c picks; several small merges make one round
 *   merge   sorted files are read side by side, a few pages of each in memory,
 *           and written as one; at compact_file_bytes a next one begins
 *   publish the new files in, the old ones out, as one snapshot of the same
 *           rows
 *
 * All of it in steps of some milliseconds. Those that read, merge, pack and
 * write have a thread of low priority (turns.c); those that begin and end a
 * round, or give a file its name, are the batch thread's, between cuts and other
 * jobs. Whoever steps has the round alone. A round reads the files
 * of the snapshot it began with and holds it, so they stay; what cuts add
 * meanwhile is left for the next round. When it is done the files must still
 * be the ones in force, else it was in vain.
 *
 * Steps are held back to compact_rate, to a quarter of it while the log grows
 * faster than compact_busy_rate, and stop while memory presses. Should a
 * partition nevertheless have OVERDUE times as many young files as it may, the
 * cut that finds it so merges them before it lets the next one come: their
 * number is bounded.
 *
 * Room on the disk is looked at before a merge begins (look.c) and during it:
 * when others have taken all but the reserve, it is given up, its files go, and
 * nothing is tried again for file_retry.
 *
 * A failure leaves everything as it was; a later round tries again, not
 * before CALM_US. Files that cannot be read wait for hours, and the others go
 * on without them, the first time at once (skip.c). A crash leaves files that no
 * catalog row names. */
#include "batch/compact_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define STOPPING "the program is stopping"
#define OVERDUE 4
#define CALM_US INT64_C(10000000)    /* After a failure. */
#define COLD_GROUPS 4                /* Packed harder: in smaller steps. */
#define PIECES_BYTES ((size_t)96 << 20)
#define MERGE_PARTS 16               /* Of the memory budget, for pieces. */
#define PIECE_ROWS 20000             /* A page. */
#define PIECE_ROWS_MIN 256
#define ROW_BYTES 150                /* Decoded, beside what is packed. */
#define HOLDS 3                      /* Pieces, joined, sorted. */

/* ---- a round --------------------------------------------------------- */

static void
close_merge(struct tn_batch_compaction *x)
{
	tn_lake_merge_close(x->in);
	tn_lake_abandon(x->out);
	tn_batch_chain_free(x->chain);
	tn_free(x->paths);
	x->piece = NULL;
	x->chain = NULL;
	x->in = NULL;
	x->out = NULL;
	x->paths = NULL;
	tn_budget_set(&x->held, 0);
}

static void
end_round(struct tn_batch_compaction *x)
{
	close_merge(x);
	tn_batch_change_fini(&x->change);
	tn_catalog_snapshot_put(x->base);
	x->base = NULL;
	x->count = 0;
	memset(&x->d, 0, sizeof x->d);
}

/* What reading the merge's files came to. */
static enum tn_status
read_as(struct tn_batch_compaction *x, enum tn_status st)
{
	x->damaged = st == TN_ECORRUPT || st == TN_EIO ||
	    st == TN_ENOTFOUND || st == TN_EUNSUPPORTED;
	return st;
}

/* Files of the round that are written, but for publications that have seen to
 * them themselves, go. */
void
tn_batch_compaction_fails(struct tn_batch_jobs *b, enum tn_status st)
{
	struct tn_batch_compaction *x = b->compaction;
	bool lasting = x->damaged && st != TN_EIO;
	bool known = x->damaged && !tn_batch_skip(b, &x->merges[x->at],
	    lasting, x->d.message);

	close_merge(x);
	if (x->d.message[0] == '\0')
		tn_diag_set(&x->d, st, "compact_failed", "%s",
		    st != TN_ECLOSED ? tn_status_text(st) :
		    x->turn.why != NULL ? x->turn.why : STOPPING);
	if (st != TN_ECLOSED && !known)
		tn_say(TN_WARN, "batch", "compaction of %s failed: %s",
		    x->merges[x->at < x->count ? x->at : 0].s->table->name,
		    x->d.message);
	tn_batch_change_undo(&x->change);
	if (x->change.run != 0 && tn_catalog_run_end(b->o.catalog,
	    x->change.run, TN_RUN_FAILED, tn_os_wall_us(), 0, 0,
	    x->d.message) != TN_OK)
		tn_say(TN_WARN, "batch", "run %llu stays open",
		    (unsigned long long)x->change.run);
	if (lasting && !known)
		x->calm_us = 0;          /* Others go on at once. */
	else if (x->count > 0 && x->merges[0].cold)
		x->cold_calm_us = tn_os_mono_us() + b->o.cold_retry_us;
	else
		x->calm_us = tn_os_mono_us() + (st == TN_ENOSPC ?
		    b->o.file_retry_us : CALM_US);
	x->looked = 0;
	x->damaged = false;
	end_round(x);
}

/* A round is begun when there is something to do. */
static bool
begin_round(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	const struct tn_catalog_snapshot *base = tn_catalog_snapshot(
	    b->o.catalog);
	uint64_t run = 0;
	enum tn_status st;

	if (x->asked || base->sequence != x->looked ||
	    tn_os_wall_us() >= x->due_us)
		tn_batch_look(b, base);
	else
		x->count = 0;
	if (x->count == 0) {
		x->asked = false;
		tn_catalog_snapshot_put(base);
		return false;
	}
	x->base = base;
	x->files = 0;
	st = tn_batch_run_begin(b, x->merges[0].cold ? "move" : "compact",
	    x->merges[0].cold ? "cold_after" : x->asked ? "request" :
	    "young files", x->count == 1 ?
	    x->merges[0].s->table->name : "", 0, base->lsn, &run);
	tn_batch_change_begin(&x->change, b, base->lsn, run);
	x->change.same_rows = true;
	x->change.cold = x->merges[0].cold;
	if (st != TN_OK)
		tn_batch_compaction_fails(b, st);
	return st == TN_OK;
}

/* Rows of each file held at once, and the memory for them. */
static bool
take_memory(struct tn_batch_jobs *b, const struct merge *m, bool must,
    struct tn_lake_piece *piece)
{
	struct tn_batch_compaction *x = b->compaction;
	size_t most = tn_batch_part(MERGE_PARTS), row = 0, need, all;
	uint64_t rows;

	for (uint32_t i = 0; i < m->count; i++)
		if (m->files[i].rows > 0 && m->files[i].bytes /
		    m->files[i].rows > row)
			row = m->files[i].bytes / m->files[i].rows;
	/* A tiny file is mostly its footer. */
	row = (m->bytes < (1 << 20) ? 0 : row * UNPACKED) + ROW_BYTES;
	most = most < PIECES_BYTES ? most : PIECES_BYTES;
	tn_assert(m->count > 0);
	rows = most / (row * HOLDS * m->count);
	rows = rows > PIECE_ROWS ? PIECE_ROWS : rows < PIECE_ROWS_MIN ?
	    PIECE_ROWS_MIN : rows;
	need = rows * row * HOLDS * m->count + 2 * tn_batch_group_bytes();
	all = m->bytes * UNPACKED * 2 + (1 << 20);
	x->held.class = TN_BUDGET_CUTS;
	piece->rows = (uint32_t)rows;
	piece->bytes = most / HOLDS / m->count;
	if (tn_budget_try(&x->held, need < all ? need : all))
		return true;
	/* Overdue: inside a cut, whose reserve nobody else takes now; without
	 * one, with as little as it can do with. Small pieces are slow, since
	 * each unpacks its page anew. */
	if (tn_budget_used(TN_BUDGET_CUT_RESERVE) < (need < all ? need : all))
		piece->rows = PIECE_ROWS_MIN;
	return must;
}

static enum tn_status
open_output(struct tn_batch_jobs *b, const struct merge *m)
{
	struct tn_batch_compaction *x = b->compaction;
	bool raw = m->files[0].tier == TN_TIER_BRONZE;
	struct tn_lake_write w = { .tier = raw ? "bronze" : "silver",
	    .table = m->s->table->name, .partition = x->partition,
	    .label = x->label, .parquet = &x->parquet, .cold = m->cold,
	    .time_column = raw ? TN_BRONZE_RECEIVED :
	    tn_batch_time_column(m->s), .version = m->s->version,
	    .lsn = m->files[m->count - 1].lsn_max };

	snprintf(x->label, sizeof x->label, "%s-%u", x->change.label,
	    (unsigned)x->files++);
	x->written = 0;
	return tn_lake_create(b->o.lake, &w, raw ? &tn_governance_bronze :
	    m->s->silver, &x->out);
}

static enum tn_status
begin_merge(struct tn_batch_jobs *b, const struct tn_lake_piece *piece)
{
	struct tn_batch_compaction *x = b->compaction;
	const struct merge *m = &x->merges[x->at];
	bool raw = m->files[0].tier == TN_TIER_BRONZE;
	size_t group = tn_batch_group_bytes();
	struct tn_lake_merge_opts o = { .count = m->count, .piece = *piece,
	    .schema = raw ? &tn_governance_bronze : m->s->silver,
	    .sort = x->sort, .left = &x->turn.given_up };

	if (raw)
		x->chain = tn_batch_chain_new(b, m->s->id,
		    &x->turn.given_up);
	x->chained = 0;
	x->rows = 0;
	x->lsn_from = m->files[0].lsn_min;
	x->lsn_last = 0;
	x->paths = tn_alloc(m->count * sizeof *x->paths);
	for (uint32_t i = 0; i < m->count; i++)
		x->paths[i] = m->files[i].path;
	x->sort_count = raw ? 0 : tn_batch_sort_columns(m->s, x->sort);
	o.paths = x->paths;
	o.sort_count = x->sort_count;
	/* A file is known to be full when a row group is closed. */
	if (group > b->o.compact_file_bytes)
		group = (size_t)b->o.compact_file_bytes;
	if (m->cold)
		group /= COLD_GROUPS;
	x->parquet = (struct tn_parquet_write_opts){ .zstd_level = m->cold ?
	    b->o.cold_zstd_level : b->o.zstd_level, .group_bytes = group,
	    .sorted_by = x->sort, .sorted_count = x->sort_count,
	    .left = &x->turn.given_up };
	snprintf(x->partition, sizeof x->partition, "%s%s",
	    m->files[0].partition[0] != '\0' ? "date=" : "",
	    m->files[0].partition);
	if (m->cold)
		tn_os_crash_point("move_begun");
	else
		tn_os_crash_point("compact_begun");
	return read_as(x, tn_lake_merge_open(b->o.lake, &o, &x->in, &x->d));
}

/* The file under way is full, or the last one. Bronze files say which part of
 * the LSNs they have. */
static enum tn_status
finish_output(struct tn_batch_jobs *b, const struct merge *m, bool last)
{
	struct tn_batch_compaction *x = b->compaction;
	bool raw = m->files[0].tier == TN_TIER_BRONZE;
	uint64_t lo = m->files[0].lsn_min, hi = 0;
	struct tn_lake_file f;
	struct tn_lake_writer *out = x->out;
	enum tn_status st;

	for (uint32_t i = 0; i < m->count; i++) {
		lo = m->files[i].lsn_min < lo ? m->files[i].lsn_min : lo;
		hi = m->files[i].lsn_max > hi ? m->files[i].lsn_max : hi;
	}
	if (raw && x->lsn_from > lo)
		lo = x->lsn_from;
	if (raw && !last)
		hi = x->lsn_last;
	x->lsn_from = hi + 1;
	x->out = NULL;
	st = raw ? tn_batch_chain_merged(x->chain, &x->change, out, hi, &f) :
	    tn_lake_finish(out, &f);
	if (st != TN_OK)
		return st;
	tn_batch_change_add(&x->change, m->files[0].tier, m->s->id,
	    m->s->version, &f, lo, hi);
	if (m->cold)
		tn_os_crash_point("move_written");
	else
		tn_os_crash_point("compact_written");
	return TN_OK;
}

/* Files that hold other rows than the catalog says are not to be replaced. */
static enum tn_status
check_rows(struct tn_batch_compaction *x, const struct merge *m)
{
	uint64_t rows = 0;

	for (uint32_t i = 0; i < m->count; i++)
		rows += m->files[i].rows;
	if (rows == x->rows)
		return TN_OK;
	return read_as(x, tn_diag_set(&x->d, TN_ECORRUPT, "rows", "files of "
	    "%s hold %llu rows, not the %llu of the catalog: tarn verify names "
	    "them", m->s->table->name, (unsigned long long)x->rows,
	    (unsigned long long)rows));
}

static enum tn_status
end_merge(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	const struct merge *m = &x->merges[x->at];
	enum tn_status st = x->out != NULL ? finish_output(b, m, true) :
	    TN_OK;

	if (st == TN_OK)
		st = check_rows(x, m);
	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; i < m->count; i++)
		tn_batch_change_drop(&x->change, m->files[i].id);
	x->change.rows += x->rows;
	close_merge(x);
	x->at++;
	return TN_OK;
}

/* ---- rows ------------------------------------------------------------ */

static uint64_t
lsn_at(const struct tn_batch *b, uint32_t row)
{
	return (uint64_t)((const int64_t *)
	    b->columns[TN_BRONZE_LSN].values)[row];
}

static enum tn_status
write_rows(struct tn_batch_compaction *x, uint32_t from, uint32_t count)
{
	x->written += count;
	return count == 0 ? TN_OK :
	    tn_lake_add_rows(x->out, x->piece, from, count);
}

/* The piece into the file under way. A full one is finished, and what is left
 * of the piece waits for the next; but the rows of one block stay in one bronze
 * file. */
static enum tn_status
add_piece(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	const struct merge *m = &x->merges[x->at];
	const struct tn_batch *rows = x->piece;
	bool raw = m->files[0].tier == TN_TIER_BRONZE;
	uint32_t from = x->piece_at;
	enum tn_status st;

	if (x->written > 0 && tn_lake_writer_size(x->out) >=
	    b->o.compact_file_bytes) {
		while (raw && from < rows->rows &&
		    lsn_at(rows, from) == x->lsn_last)
			from++;
		st = write_rows(x, x->piece_at, from - x->piece_at);
		x->piece_at = from;
		if (from == rows->rows)
			x->piece = NULL;
		else if (st == TN_OK)
			st = finish_output(b, m, false);
		return st;
	}
	st = write_rows(x, from, rows->rows - from);
	if (raw && rows->rows > 0)
		x->lsn_last = lsn_at(rows, rows->rows - 1);
	x->piece = NULL;
	return st;
}

/* The next piece of the files, which is borrowed until the one behind it. */
static enum tn_status
next_piece(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	const struct merge *m = &x->merges[x->at];
	uint64_t all = 0;
	enum tn_status st;

	if (!m->cold && tn_batch_room(b) == 0)
		return tn_diag_set(&x->d, TN_ENOSPC, "no_space", "others "
		    "have taken the disk's room: what was merged so far goes");
	st = read_as(x, tn_lake_merge_next(x->in, &x->piece, &x->d));
	if (st != TN_OK) {
		x->piece = NULL;
		return st == TN_END ? end_merge(b) : st;
	}
	x->piece_at = 0;
	x->rows += x->piece->rows;
	for (uint32_t i = 0; i < m->count; i++)
		all += m->files[i].rows;
	x->left -= (int64_t)(m->bytes * x->piece->rows / (all > 0 ? all : 1));
	return TN_OK;
}

bool
tn_batch_is_merging(const struct tn_batch_compaction *x)
{
	return x->base != NULL && x->at < x->count &&
	    (x->piece == NULL || x->out != NULL);
}

enum tn_status
tn_batch_merge_step(struct tn_batch_jobs *b, bool must)
{
	struct tn_batch_compaction *x = b->compaction;
	struct tn_lake_piece piece = { .rows = 0 };

	tn_assert(tn_batch_is_merging(x));
	if (x->in == NULL) {
		if (!take_memory(b, &x->merges[x->at], must, &piece))
			return tn_budget_refuse(&x->d);
		return begin_merge(b, &piece);
	}
	if (x->chain != NULL && x->chained < x->merges[x->at].count)
		return read_as(x, tn_batch_chain_take(x->chain,
		    &x->merges[x->at].files[x->chained++], &x->d));
	return x->piece == NULL ? next_piece(b) : add_piece(b);
}

/* ---- publishing ------------------------------------------------------ */

/* Recompute, retention or a rollback may have dropped a file meanwhile. */
static bool
is_in_force(const struct tn_catalog_snapshot *now, const struct merge *m)
{
	uint32_t first, seen = 0, n = tn_catalog_snapshot_find(now,
	    m->files[0].tier, m->files[0].object, &first);

	for (uint32_t i = first; i < first + n; i++)
		for (uint32_t k = 0; k < m->count; k++)
			seen += now->files[i].id == m->files[k].id;
	return seen == m->count;
}

static enum tn_status
publish_round(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    b->o.catalog);
	const struct merge *m = &x->merges[0];
	uint64_t lsn = now->lsn;
	bool good = true;
	char detail[200];
	enum tn_status st;

	for (uint32_t i = 0; good && now->sequence != x->base->sequence &&
	    i < x->count; i++)
		good = is_in_force(now, &x->merges[i]);
	tn_catalog_snapshot_put(now);
	if (!good)
		return tn_diag_set(&x->d, TN_ECLOSED, "overtaken",
		    "its files were dropped meanwhile");
	snprintf(detail, sizeof detail, "%u files of %s%s%.23s%s became %u%s",
	    (unsigned)x->change.drop_count, m->s->table->name,
	    m->files[0].partition[0] != '\0' ? " " : "",
	    m->files[0].partition, x->count == 1 ? "" :
	    " and of other partitions", (unsigned)x->change.add_count,
	    m->cold ? " in the cold folder" : "");
	st = tn_batch_change_publish(&x->change, lsn, NULL, 0, detail);
	if (m->cold)
		tn_os_crash_point("move_published");
	else
		tn_os_crash_point("compact_published");
	return st;
}

/* ---- steps ----------------------------------------------------------- */

/* One small step. *more is false when there is nothing to do, or nothing that
 * can be done now. */
static enum tn_status
step(struct tn_batch_jobs *b, bool must, bool *more)
{
	struct tn_batch_compaction *x = b->compaction;
	enum tn_status st;

	*more = x->base != NULL || ((must || tn_budget_level() ==
	    TN_BUDGET_CALM) && begin_round(b));
	if (!*more)
		return TN_OK;
	if (x->at == x->count) {
		st = publish_round(b);
		if (st == TN_OK)
			end_round(x);
		return st;
	}
	if (!tn_batch_is_merging(x))
		return open_output(b, &x->merges[x->at]);
	st = tn_batch_merge_step(b, must);
	x->pace.allowance += x->left;    /* Less than nothing. */
	x->left = 0;
	return st;
}

bool
tn_batch_compact_step(struct tn_batch_jobs *b, bool must)
{
	bool more = false;
	enum tn_status st;

	tn_assert(!tn_batch_is_lent(b->compaction));
	if (tn_os_mono_us() < b->compaction->calm_us && !must)
		return false;
	st = step(b, must, &more);
	if (st == TN_OK)
		return more;
	tn_batch_compaction_fails(b, st);
	return false;
}

static bool
is_stopping(const struct tn_batch_jobs *b)
{
	return __atomic_load_n(&b->stopping, __ATOMIC_RELAXED) != 0;
}

static bool
is_overdue(struct tn_batch_jobs *b)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_batch_tiers t = tn_batch_tiers_of(b);
	uint32_t most = 0;

	for (uint32_t i = 0, end; i < s->count && s->files[i].tier <=
	    TN_TIER_SILVER; i = end) {
		uint32_t young;
		end = tn_batch_partition_end(s, i);
		young = tn_batch_young(&t, &s->files[i], end - i);
		most = young > most ? young : most;
	}
	tn_catalog_snapshot_put(s);
	return most > OVERDUE * b->o.young_files_max;
}

void
tn_batch_compact(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;
	bool more = true;

	if (b->erasing)
		return;
	if (__atomic_load_n(&b->ticking, __ATOMIC_RELAXED) == 0) {
		x->calm_us = 0;
		while (!is_stopping(b) && tn_batch_compact_step(b, false))
			continue;
		return;
	}
	/* A round that is under way, then others. The cut is published, the next
	 * one is to wait: at the cut's priority. */
	while (more && is_overdue(b)) {
		tn_batch_take_back(b);
		do
			more = !is_stopping(b) &&
			    tn_batch_compact_step(b, true);
		while (more && x->base != NULL);
	}
}

/* A person does not want to wait until a day is quiet: the ticks do the work,
 * what it comes to is told at once. */
void
tn_batch_compact_now(struct tn_batch_jobs *b, struct tn_batch_report *r)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_batch_tiers t = tn_batch_tiers_of(b);
	uint64_t bytes = 0, room = tn_batch_room(b);
	uint32_t files = 0, days = 0;

	for (uint32_t i = 0, end; i < s->count && s->files[i].tier <=
	    TN_TIER_SILVER; i = end) {
		uint32_t young;
		end = tn_batch_partition_end(s, i);
		young = tn_batch_young(&t, &s->files[i], end - i);
		files += young > 1 ? young : 0;
		days += young > 1;
		for (uint32_t k = i; young > 1 && k < end; k++)
			bytes += s->files[k].bytes < t.full_bytes ?
			    s->files[k].bytes : 0;
	}
	r->lsn = s->lsn;
	r->files = files;
	tn_catalog_snapshot_put(s);
	if (files == 0) {
		tn_buf_str(&r->text, "nothing to do: no partition has two "
		    "young files\n");
		return;
	}
	tn_buf_printf(&r->text, "%u young files of %u partitions are merged, "
	    "a step at a time\n", (unsigned)files, (unsigned)days);
	if (room < bytes)
		tn_buf_printf(&r->text, "they have %.1f MiB, the disk %.1f MiB "
		    "beside what stays free: what does not fit waits\n",
		    (double)bytes / (1 << 20), (double)room / (1 << 20));
	b->compaction->asked = true;
	b->compaction->calm_us = 0;
	tn_batch_skip_none(b->compaction);
	tn_batch_compact(b);
}

void
tn_batch_compaction_new(struct tn_batch_jobs *b)
{
	b->compaction = tn_zalloc(sizeof *b->compaction);
	b->compaction->due_us = INT64_MAX;
	tn_batch_turns_new(b);
}

void
tn_batch_compaction_stop(struct tn_batch_jobs *b, const char *why)
{
	struct tn_batch_compaction *x = b->compaction;

	x->turn.why = why;
	tn_batch_give_up(b, true);
	tn_batch_take_back(b);
	if (x->base != NULL)
		tn_batch_compaction_fails(b, TN_ECLOSED);
	tn_batch_give_up(b, false);
	x->turn.why = NULL;
}

void
tn_batch_compaction_free(struct tn_batch_jobs *b)
{
	struct tn_batch_compaction *x = b->compaction;

	if (x == NULL)
		return;
	tn_batch_compaction_stop(b, STOPPING);
	tn_batch_skip_none(x);
	tn_free(x->still);
	tn_free(x);
	b->compaction = NULL;
}
