/* Publications and the snapshot in force; those of the past, and what may be
 * removed, are in snapshots.c.
 *
 * A snapshot is the list of visible files at one cut, shared by reference. The
 * first one is read; each publication makes the next one of the one before it,
 * which costs a copy of the list and no look at the database. A file dropped
 * at sequence s is seen by snapshots below s.
 *
 * What can go wrong: a publication fails; then nothing of it holds, neither
 * now nor after a crash (see tn_catalog_end). */
#include "catalog/catalog_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* False when memory is out. */
static bool
copy_text(sqlite3_stmt *stmt, int col, char *buf, size_t n)
{
	const unsigned char *s = sqlite3_column_text(stmt, col);

	if (s == NULL)
		return false;
	snprintf(buf, n, "%s", (const char *)s);
	return true;
}

static bool
read_file(sqlite3_stmt *stmt, struct tn_catalog_file *f)
{
	memset(f, 0, sizeof *f);
	f->id = (uint64_t)sqlite3_column_int64(stmt, 0);
	f->tier = (enum tn_catalog_tier)sqlite3_column_int(stmt, 1);
	f->object = (uint32_t)sqlite3_column_int64(stmt, 2);
	f->version = (uint32_t)sqlite3_column_int64(stmt, 3);
	f->rows = (uint64_t)sqlite3_column_int64(stmt, 6);
	f->bytes = (uint64_t)sqlite3_column_int64(stmt, 7);
	f->crc = (uint32_t)sqlite3_column_int64(stmt, 8);
	f->time_min = sqlite3_column_int64(stmt, 9);
	f->time_max = sqlite3_column_int64(stmt, 10);
	f->lsn_min = (uint64_t)sqlite3_column_int64(stmt, 11);
	f->lsn_max = (uint64_t)sqlite3_column_int64(stmt, 12);
	f->added = (uint64_t)sqlite3_column_int64(stmt, 13);
	return copy_text(stmt, 4, f->partition, sizeof f->partition) &&
	    copy_text(stmt, 5, f->path, sizeof f->path);
}

enum tn_status
tn_catalog_read_files(struct tn_catalog *c, sqlite3_stmt *stmt,
    struct tn_catalog_file **files, uint32_t *count)
{
	uint32_t cap = 0;
	enum tn_status st = TN_OK;

	*files = NULL;
	*count = 0;
	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		if (*count == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			*files = tn_realloc(*files, cap * sizeof **files);
		}
		if (!read_file(stmt, &(*files)[(*count)++]))
			st = TN_ENOMEM;
	}
	return st == TN_END ? TN_OK : st;
}

static enum tn_status
read_cut(struct tn_catalog *c, struct tn_catalog_snapshot *s)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT sequence, lsn, published_us, cut_us FROM cut"
	    " ORDER BY sequence DESC LIMIT 1", "");

	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK) {
		s->sequence = (uint64_t)sqlite3_column_int64(stmt, 0);
		s->lsn = (uint64_t)sqlite3_column_int64(stmt, 1);
		s->published_us = sqlite3_column_int64(stmt, 2);
		s->cut_us = sqlite3_column_int64(stmt, 3);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

/* A snapshot of what the connection sees, an open transaction included. */
static enum tn_status
read_snapshot(struct tn_catalog *c, struct tn_catalog_snapshot **out)
{
	struct tn_catalog_snapshot *s = tn_zalloc(sizeof *s);
	struct tn_catalog_file *files = NULL;
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = read_cut(c, s);

	if (st == TN_OK)
		st = tn_catalog_prepare(c, &stmt,
		    "SELECT " TN_CATALOG_FILE_COLUMNS " FROM file"
		    " WHERE dropped IS NULL"
		    " ORDER BY tier, object, partition, lsn_min, id", "");
	if (st == TN_OK)
		st = tn_catalog_read_files(c, stmt, &files, &s->count);
	tn_catalog_finish(c, stmt);
	s->files = files;
	for (uint32_t i = 0; st == TN_OK && i < s->count; i++)
		s->sum += tn_catalog_file_sum(&files[i]);
	s->refs = 1;             /* The catalog's own. */
	s->complete = true;
	s->owner = c;
	if (st != TN_OK) {
		tn_free(files);
		tn_free(s);
		return st;
	}
	*out = s;
	return TN_OK;
}

void
tn_catalog_live_add(struct tn_catalog *c, struct tn_catalog_snapshot *s)
{
	if (c->live_count == c->live_cap) {
		c->live_cap = c->live_cap == 0 ? 16 : c->live_cap * 2;
		c->live = tn_realloc(c->live, c->live_cap * sizeof *c->live);
	}
	c->live[c->live_count++] = s;
}

static void
make_current(struct tn_catalog *c, struct tn_catalog_snapshot *s)
{
	struct tn_catalog_snapshot *old;

	sqlite3_mutex_enter(c->lock);
	tn_catalog_live_add(c, s);
	old = c->now;
	c->now = s;
	sqlite3_mutex_leave(c->lock);
	tn_catalog_snapshot_put(old);
}

enum tn_status
tn_catalog_load_snapshot(struct tn_catalog *c)
{
	struct tn_catalog_snapshot *s = NULL;
	enum tn_status st = read_snapshot(c, &s);

	if (st == TN_OK)
		make_current(c, s);
	return st;
}

uint32_t
tn_catalog_free_snapshots(struct tn_catalog *c)
{
	uint32_t held;

	tn_catalog_snapshot_put(c->now);
	c->now = NULL;
	sqlite3_mutex_enter(c->lock);
	held = c->live_count;
	sqlite3_mutex_leave(c->lock);
	return held;
}

const struct tn_catalog_snapshot *
tn_catalog_snapshot(struct tn_catalog *c)
{
	struct tn_catalog_snapshot *s;

	sqlite3_mutex_enter(c->lock);
	s = c->now;
	tn_assert(s != NULL && s->refs > 0);
	s->refs++;
	sqlite3_mutex_leave(c->lock);
	return s;
}

const struct tn_catalog_snapshot *
tn_catalog_snapshot_again(const struct tn_catalog_snapshot *snapshot)
{
	struct tn_catalog_snapshot *s = (struct tn_catalog_snapshot *)snapshot;

	sqlite3_mutex_enter(s->owner->lock);
	tn_assert(s->refs > 0);
	s->refs++;
	sqlite3_mutex_leave(s->owner->lock);
	return s;
}

void
tn_catalog_snapshot_put(const struct tn_catalog_snapshot *snapshot)
{
	struct tn_catalog_snapshot *s = (struct tn_catalog_snapshot *)snapshot;
	struct tn_catalog *c;
	bool last;

	if (s == NULL)
		return;
	c = s->owner;
	sqlite3_mutex_enter(c->lock);
	tn_assert(s->refs > 0);
	last = --s->refs == 0;
	for (uint32_t i = 0; last && i < c->live_count; i++)
		if (c->live[i] == s) {
			c->live[i] = c->live[--c->live_count];
			break;
		}
	sqlite3_mutex_leave(c->lock);
	if (!last)
		return;
	tn_free((void *)s->files);
	tn_free(s);
}

/* The first file of that tier and object, or where it would be. */
static uint32_t
find_first(const struct tn_catalog_snapshot *s, enum tn_catalog_tier tier,
    uint64_t object)
{
	uint32_t lo = 0, hi = s->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct tn_catalog_file *f = &s->files[mid];
		if (f->tier < tier || (f->tier == tier && f->object < object))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t
tn_catalog_snapshot_find(const struct tn_catalog_snapshot *s,
    enum tn_catalog_tier tier, uint32_t object, uint32_t *first)
{
	*first = find_first(s, tier, object);
	return find_first(s, tier, (uint64_t)object + 1) - *first;
}

/* ---- publication ----------------------------------------------------- */

static enum tn_status
add_files(struct tn_catalog *c, const struct tn_catalog_publication *p,
    uint64_t sequence)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < p->add_count; i++) {
		struct tn_catalog_file *f = &p->add[i];
		st = tn_catalog_run(c, "INSERT INTO file (tier, object,"
		    " version, partition, path, rows, bytes, crc, time_min,"
		    " time_max, lsn_min, lsn_max, added)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "iiissiiiiiiii", (int64_t)f->tier, (int64_t)f->object,
		    (int64_t)f->version, f->partition, f->path,
		    (int64_t)f->rows, (int64_t)f->bytes, (int64_t)f->crc,
		    f->time_min, f->time_max, (int64_t)f->lsn_min,
		    (int64_t)f->lsn_max, (int64_t)sequence);
		f->id = (uint64_t)sqlite3_last_insert_rowid(c->db);
		f->added = sequence;
	}
	return st;
}

static enum tn_status
drop_files(struct tn_catalog *c, const struct tn_catalog_publication *p,
    uint64_t sequence)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < p->drop_count; i++)
		st = tn_catalog_run(c, "UPDATE file SET dropped = ?,"
		    " dropped_us = ? WHERE id = ? AND dropped IS NULL",
		    "iii", (int64_t)sequence, p->now_us,
		    (int64_t)p->drop[i]);
	return st;
}

static enum tn_status
publish_in_transaction(struct tn_catalog *c,
    struct tn_catalog_publication *p, uint64_t sequence)
{
	const struct tn_catalog_snapshot *now = c->now;
	bool same = now->sequence > 0 && now->lsn == p->lsn;
	enum tn_status st = tn_catalog_run(c,
	    "INSERT INTO cut (sequence, lsn, published_us, cut_us)"
	    " VALUES (?, ?, ?, ?)", "iiii", (int64_t)sequence,
	    (int64_t)p->lsn, p->now_us, same ? now->cut_us : p->now_us);

	if (st == TN_OK)
		st = add_files(c, p, sequence);
	if (st == TN_OK)
		st = drop_files(c, p, sequence);
	if (st == TN_OK && p->adopted != 0)
		st = tn_catalog_prepared_end(c, p->adopted);
	for (uint32_t i = 0; st == TN_OK && i < p->offset_count; i++)
		st = tn_catalog_run(c, "INSERT INTO stream_offset"
		    " VALUES (?, ?) ON CONFLICT (stream)"
		    " DO UPDATE SET next = excluded.next", "ii",
		    (int64_t)p->offsets[i].stream,
		    (int64_t)p->offsets[i].next);
	for (uint32_t i = 0; st == TN_OK && i < p->value_count; i++)
		st = tn_catalog_set(c, p->values[i].key, p->values[i].value);
	if (st == TN_OK && p->run != 0 && p->run_to)
		st = tn_catalog_run(c, "UPDATE run SET lsn_to = ? WHERE id = ?",
		    "ii", (int64_t)p->lsn, (int64_t)p->run);
	if (st == TN_OK && p->run != 0)
		st = tn_catalog_run_end(c, p->run, TN_RUN_DONE, p->now_us,
		    p->run_rows, p->run_files, p->run_detail);
	if (st == TN_OK)
		st = tn_catalog_correct(c, p);
	if (st == TN_OK && p->run != 0)
		st = tn_catalog_run_views_note(c, p);
	return st;
}

int
tn_catalog_file_order(const void *pa, const void *pb)
{
	const struct tn_catalog_file *a = pa, *b = pb;
	int c;

	if (a->tier != b->tier)
		return a->tier < b->tier ? -1 : 1;
	if (a->object != b->object)
		return a->object < b->object ? -1 : 1;
	c = strcmp(a->partition, b->partition);
	if (c != 0)
		return c;
	if (a->lsn_min != b->lsn_min)
		return a->lsn_min < b->lsn_min ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int
order_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The files of ${now} but for the dropped ones, merged with the added ones;
 * the sum goes along. Both lists are sorted. */
static void
merge_files(struct tn_catalog_snapshot *next,
    const struct tn_catalog_snapshot *now,
    const struct tn_catalog_publication *p,
    const struct tn_catalog_file *added, const uint64_t *dropped)
{
	struct tn_catalog_file *out = (struct tn_catalog_file *)next->files;
	uint32_t n = 0, k = 0;

	next->sum = now->sum;
	for (uint32_t i = 0; i < now->count; i++) {
		const struct tn_catalog_file *f = &now->files[i];
		if (p->drop_count > 0 && bsearch(&f->id, dropped,
		    p->drop_count, sizeof *dropped, order_ids) != NULL) {
			next->sum -= tn_catalog_file_sum(f);
			continue;
		}
		while (k < p->add_count && tn_catalog_file_order(&added[k], f) < 0)
			out[n++] = added[k++];
		out[n++] = *f;
	}
	while (k < p->add_count)
		out[n++] = added[k++];
	for (uint32_t i = 0; i < p->add_count; i++)
		next->sum += tn_catalog_file_sum(&added[i]);
	next->count = n;
}

/* The snapshot in force after ${p}, made of the one before it: a publication
 * does not read the catalog's files anew. */
static struct tn_catalog_snapshot *
next_snapshot(struct tn_catalog *c, const struct tn_catalog_publication *p,
    uint64_t sequence)
{
	const struct tn_catalog_snapshot *now = c->now;
	struct tn_catalog_snapshot *next = tn_zalloc(sizeof *next);
	uint64_t *dropped = tn_alloc((p->drop_count + 1ul) * sizeof *dropped);
	struct tn_catalog_file *added = tn_alloc((p->add_count + 1ul) *
	    sizeof *added);

	*next = (struct tn_catalog_snapshot){ .sequence = sequence,
	    .lsn = p->lsn, .published_us = p->now_us, .refs = 1, .owner = c,
	    .complete = true,
	    .cut_us = p->lsn == now->lsn && now->sequence > 0 ? now->cut_us :
	    p->now_us };
	next->files = tn_alloc(((size_t)now->count + p->add_count + 1) *
	    sizeof *next->files);
	if (p->drop_count > 0)
		memcpy(dropped, p->drop, p->drop_count * sizeof *dropped);
	qsort(dropped, p->drop_count, sizeof *dropped, order_ids);
	if (p->add_count > 0)
		memcpy(added, p->add, p->add_count * sizeof *added);
	qsort(added, p->add_count, sizeof *added, tn_catalog_file_order);
	merge_files(next, now, p, added, dropped);
	tn_free(added);
	tn_free(dropped);
	return next;
}

/* The snapshot is made before the commit: after it nothing may fail. */
enum tn_status
tn_catalog_publish(struct tn_catalog *c, struct tn_catalog_publication *p)
{
	struct tn_catalog_snapshot *next = NULL;
	uint64_t sequence;
	enum tn_status st;

	st = tn_catalog_begin(c);
	if (st != TN_OK)
		return st;
	tn_assert(p->lsn >= c->now->lsn);  /* Only publish changes "now". */
	sequence = c->now->sequence + 1;
	st = publish_in_transaction(c, p, sequence);
	if (st == TN_OK) {
		next = next_snapshot(c, p, sequence);
		st = tn_catalog_cut_note(c, p, next);
		if (st == TN_OK)
			st = tn_catalog_seal(c, next);
	}
	st = tn_catalog_end(c, st);
	if (st == TN_OK) {
		make_current(c, next);
	} else if (next != NULL) {
		tn_free((void *)next->files);
		tn_free(next);
	}
	return st;
}

enum tn_status
tn_catalog_offsets(struct tn_catalog *c, struct tn_arena *a,
    struct tn_catalog_offset **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	struct tn_catalog_offset x;
	struct tn_buf all = { 0 };
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT stream, next FROM stream_offset ORDER BY stream", "");

	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		memset(&x, 0, sizeof x);
		x.stream = (uint32_t)sqlite3_column_int64(stmt, 0);
		x.next = (uint64_t)sqlite3_column_int64(stmt, 1);
		tn_buf_add(&all, &x, sizeof x);
	}
	tn_catalog_finish(c, stmt);
	*count = (uint32_t)(all.n / sizeof x);
	*out = tn_catalog_list_end(&all, a, &st);
	return st;
}

enum tn_status
tn_catalog_paths(struct tn_catalog *c, struct tn_arena *a,
    const char ***paths, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	uint32_t cap = 64;
	const char **list = tn_alloc(cap * sizeof *list);
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT path FROM file UNION SELECT path FROM prepared_file"
	    " ORDER BY path", "");

	*count = 0;
	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		if (*count == cap) {
			cap *= 2;
			list = tn_realloc(list, cap * sizeof *list);
		}
		list[(*count)++] = tn_catalog_text(stmt, 0, a);
	}
	tn_catalog_finish(c, stmt);
	*paths = tn_arena_alloc(a, (*count + 1) * sizeof **paths);
	memcpy(*paths, list, *count * sizeof **paths);
	tn_free(list);
	return st == TN_END ? TN_OK : st;
}
