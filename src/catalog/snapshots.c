/* Snapshots of the past: the list of cuts, a snapshot of any of them, and how
 * they go.
 *
 *   publish -> cut row -> (snapshot_keep after the next one came, or CALL
 *   expire_snapshots) -> row deleted -> its dropped files are garbage
 *
 * A row of "cut" says that its snapshot can be read: the row goes first, in a
 * transaction of its own, files afterwards. A reader of the past puts its
 * sequence among the living before it looks for the row; so either the row is
 * gone and it gets nothing, or garbage sees the reader.
 *
 * What can go wrong: the cut has expired (TN_ENOTFOUND), the disk. */
#include "catalog/catalog_int.h"

#include <string.h>

#define TRIES 3

/* One number of the first row, 0 when there is none or it is null. */
static enum tn_status
read_number(struct tn_catalog *c, const char *sql, int64_t value,
    uint64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, sql, "i", value);

	*out = 0;
	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK)
		*out = (uint64_t)sqlite3_column_int64(stmt, 0);
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

enum tn_status
tn_catalog_cut_find(struct tn_catalog *c, enum tn_catalog_when when,
    int64_t value, uint64_t *sequence)
{
	static const char *const queries[] = {
		[TN_CATALOG_SEQUENCE] = "SELECT sequence FROM cut"
		    " WHERE sequence = ?",
		[TN_CATALOG_LSN_TO] = "SELECT sequence FROM cut WHERE lsn <="
		    " ? ORDER BY lsn DESC, sequence DESC LIMIT 1",
		[TN_CATALOG_LSN_FROM] = "SELECT sequence FROM cut WHERE lsn"
		    " >= ? ORDER BY lsn, sequence LIMIT 1",
		[TN_CATALOG_TIME] = "SELECT max(sequence) FROM cut"
		    " WHERE published_us <= ?",
	};
	enum tn_status st = read_number(c, queries[when], value, sequence);

	return st == TN_OK && *sequence == 0 ? TN_ENOTFOUND : st;
}

/* ---- a snapshot of the past ------------------------------------------ */

/* One that is complete and still held, with one more reference; or NULL. */
static struct tn_catalog_snapshot *
find_living(struct tn_catalog *c, uint64_t sequence)
{
	struct tn_catalog_snapshot *found = NULL;

	sqlite3_mutex_enter(c->lock);
	for (uint32_t i = 0; i < c->live_count && found == NULL; i++)
		if (c->live[i]->sequence == sequence && c->live[i]->complete)
			found = c->live[i];
	if (found != NULL)
		found->refs++;
	sqlite3_mutex_leave(c->lock);
	return found;
}

static enum tn_status
read_past(struct tn_catalog *c, struct tn_catalog_snapshot *s)
{
	struct tn_catalog_file *files = NULL;
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, "SELECT lsn,"
	    " published_us, cut_us FROM cut WHERE sequence = ?", "i",
	    (int64_t)s->sequence);

	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK) {
		s->lsn = (uint64_t)sqlite3_column_int64(stmt, 0);
		s->published_us = sqlite3_column_int64(stmt, 1);
		s->cut_us = sqlite3_column_int64(stmt, 2);
	}
	tn_catalog_finish(c, stmt);
	if (st != TN_OK)
		return st == TN_END ? TN_ENOTFOUND : st;
	st = tn_catalog_prepare(c, &stmt, "SELECT " TN_CATALOG_FILE_COLUMNS
	    " FROM file WHERE added <= ? AND (dropped IS NULL OR dropped > ?)"
	    " ORDER BY tier, object, partition, lsn_min, id", "ii",
	    (int64_t)s->sequence, (int64_t)s->sequence);
	if (st == TN_OK)
		st = tn_catalog_read_files(c, stmt, &files, &s->count);
	tn_catalog_finish(c, stmt);
	s->files = files;
	return st;
}

static enum tn_status
load_past(struct tn_catalog *c, uint64_t sequence,
    const struct tn_catalog_snapshot **out)
{
	struct tn_catalog_snapshot *s = tn_zalloc(sizeof *s);
	enum tn_status st;

	s->sequence = sequence;
	s->refs = 1;
	s->owner = c;
	sqlite3_mutex_enter(c->lock);
	tn_catalog_live_add(c, s);
	sqlite3_mutex_leave(c->lock);
	/* In one transaction: no expiry between the row and the files. */
	st = tn_catalog_begin(c);
	if (st == TN_OK)
		st = tn_catalog_end(c, read_past(c, s));
	if (st != TN_OK) {
		tn_catalog_snapshot_put(s);
		return st;
	}
	sqlite3_mutex_enter(c->lock);
	s->complete = true;
	sqlite3_mutex_leave(c->lock);
	*out = s;
	return TN_OK;
}

enum tn_status
tn_catalog_snapshot_at(struct tn_catalog *c, enum tn_catalog_when when,
    int64_t value, const struct tn_catalog_snapshot **out)
{
	uint64_t sequence = 0;
	enum tn_status st = TN_ENOTFOUND;

	*out = NULL;
	/* What expires between finding and reading is looked for again. */
	for (int i = 0; i < TRIES && st == TN_ENOTFOUND; i++) {
		st = tn_catalog_cut_find(c, when, value, &sequence);
		if (st != TN_OK)
			return st;
		*out = find_living(c, sequence);
		if (*out != NULL)
			return TN_OK;
		st = load_past(c, sequence, out);
	}
	return st;
}

/* ---- the list -------------------------------------------------------- */

enum tn_status
tn_catalog_cuts_followed(struct tn_catalog *c, int64_t after_us,
    uint32_t most, int64_t *us, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT published_us FROM cut"
	    " WHERE sequence > (SELECT min(sequence) FROM cut)"
	    " AND published_us > ? ORDER BY sequence LIMIT ?", "ii", after_us,
	    (int64_t)most);

	*count = 0;
	while (st == TN_OK && *count < most) {
		st = tn_catalog_step(c, stmt);
		if (st == TN_OK)
			us[(*count)++] = sqlite3_column_int64(stmt, 0);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

enum tn_status
tn_catalog_cuts(struct tn_catalog *c, uint64_t before, uint32_t limit,
    struct tn_arena *a, struct tn_catalog_cut **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	struct tn_catalog_cut x;
	struct tn_buf all = { 0 };
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT sequence, lsn, published_us, run, added, dropped,"
	    " cut.files, cut.rows, bytes, coalesce(kind, ''),"
	    " coalesce(reason, ''), coalesce(object, '')"
	    " FROM cut LEFT JOIN run ON run.id = cut.run"
	    " WHERE sequence < ? ORDER BY sequence DESC LIMIT ?", "ii",
	    before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before,
	    (int64_t)limit);

	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		memset(&x, 0, sizeof x);
		x.sequence = (uint64_t)sqlite3_column_int64(stmt, 0);
		x.lsn = (uint64_t)sqlite3_column_int64(stmt, 1);
		x.published_us = sqlite3_column_int64(stmt, 2);
		x.run = (uint64_t)sqlite3_column_int64(stmt, 3);
		x.added = (uint32_t)sqlite3_column_int64(stmt, 4);
		x.dropped = (uint32_t)sqlite3_column_int64(stmt, 5);
		x.files = (uint32_t)sqlite3_column_int64(stmt, 6);
		x.rows = (uint64_t)sqlite3_column_int64(stmt, 7);
		x.bytes = (uint64_t)sqlite3_column_int64(stmt, 8);
		x.kind = tn_catalog_text(stmt, 9, a);
		x.reason = tn_catalog_text(stmt, 10, a);
		x.object = tn_catalog_text(stmt, 11, a);
		tn_buf_add(&all, &x, sizeof x);
	}
	tn_catalog_finish(c, stmt);
	*count = (uint32_t)(all.n / sizeof x);
	*out = tn_catalog_list_end(&all, a, &st);
	return st;
}

/* What the list says of a new one, while its transaction is open. */
enum tn_status
tn_catalog_cut_note(struct tn_catalog *c,
    const struct tn_catalog_publication *p,
    const struct tn_catalog_snapshot *s)
{
	uint64_t rows = 0, bytes = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		bytes += s->files[i].bytes;
		if (s->files[i].tier == TN_TIER_SILVER)
			rows += s->files[i].rows;
	}
	return tn_catalog_run(c, "UPDATE cut SET run = ?, added = ?,"
	    " dropped = ?, files = ?, rows = ?, bytes = ?"
	    " WHERE sequence = ?", "iiiiiii", (int64_t)p->run,
	    (int64_t)p->add_count, (int64_t)p->drop_count, (int64_t)s->count,
	    (int64_t)rows, (int64_t)bytes, (int64_t)s->sequence);
}

/* ---- how they go ----------------------------------------------------- */

enum tn_status
tn_catalog_expire(struct tn_catalog *c, int64_t before_us, uint64_t lsn,
    uint32_t *expired)
{
	uint64_t floor = 0, from_lsn = 0, old = 0;
	/* The one in force at that time stays, with all after it. */
	enum tn_status st = read_number(c, "SELECT max(sequence) FROM cut"
	    " WHERE published_us < ?", before_us, &floor);

	if (st == TN_OK && lsn > 0)
		st = read_number(c, "SELECT coalesce(min(sequence), (SELECT"
		    " max(sequence) FROM cut)) FROM cut WHERE lsn >= ?",
		    lsn > INT64_MAX ? INT64_MAX : (int64_t)lsn, &from_lsn);
	if (from_lsn > floor)
		floor = from_lsn;
	if (st == TN_OK)
		st = read_number(c, "SELECT count(*) FROM cut"
		    " WHERE sequence < ?", (int64_t)floor, &old);
	if (st == TN_OK && old > 0)
		st = tn_catalog_run(c, "DELETE FROM cut WHERE sequence < ?",
		    "i", (int64_t)floor);
	if (expired != NULL)
		*expired = st == TN_OK ? (uint32_t)old : 0;
	return st;
}

static uint64_t
oldest_living(struct tn_catalog *c)
{
	uint64_t oldest;

	sqlite3_mutex_enter(c->lock);
	oldest = c->now->sequence;
	for (uint32_t i = 0; i < c->live_count; i++)
		if (c->live[i]->sequence < oldest)
			oldest = c->live[i]->sequence;
	sqlite3_mutex_leave(c->lock);
	return oldest;
}

enum tn_status
tn_catalog_garbage(struct tn_catalog *c, const struct tn_catalog_old *old,
    struct tn_arena *a, struct tn_catalog_file **out, uint32_t *count)
{
	struct tn_catalog_file *files = NULL;
	sqlite3_stmt *stmt = NULL;
	uint64_t first = 0, living;
	enum tn_status st = tn_catalog_expire(c, old->before_us, 0,
	    old->expired);

	*count = 0;
	/* The rows that are gone now: who looks for one from here on finds
	 * none, and who found one is among the living. */
	if (st == TN_OK)
		st = read_number(c, "SELECT min(sequence) FROM cut"
		    " WHERE sequence > ?", 0, &first);
	living = oldest_living(c);
	if (living < first)
		first = living;
	if (st == TN_OK)
		st = tn_catalog_prepare(c, &stmt, "SELECT "
		    TN_CATALOG_FILE_COLUMNS " FROM file WHERE dropped <= ?"
		    " ORDER BY dropped, id LIMIT ? OFFSET ?", "iii",
		    (int64_t)first, (int64_t)TN_CATALOG_GARBAGE,
		    (int64_t)old->skip);
	if (st == TN_OK)
		st = tn_catalog_read_files(c, stmt, &files, count);
	tn_catalog_finish(c, stmt);
	*out = tn_arena_alloc(a, (*count + 1) * sizeof **out);
	if (*count > 0)
		memcpy(*out, files, *count * sizeof **out);
	tn_free(files);
	return st;
}

enum tn_status
tn_catalog_forget(struct tn_catalog *c, const uint64_t *ids, uint32_t count)
{
	enum tn_status st = tn_catalog_begin(c);

	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		st = tn_catalog_run(c, "DELETE FROM file WHERE id = ?"
		    " AND dropped IS NOT NULL", "i", (int64_t)ids[i]);
	return tn_catalog_end(c, st);
}
