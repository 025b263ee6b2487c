/* Damage that SQLite would not see. A page of SQLite has no checksum: a turned
 * bit in a path makes the file it names an orphan, which the sweep of the next
 * start would remove; one in a number or in a name gives wrong answers.
 *
 *   at open     integrity_check (structure, and each index against its table),
 *               then the seal
 *   the seal    CRC-32C of what answers depend on: the cut, visible files, row
 *               offsets, objects; written by the transactions that change
 *               them, as the small value "seal_sum". Files take part with the
 *               sum of their checksums, so that a publication pays for what it
 *               adds and drops, not for all there are
 *
 * Fields are folded one by one, so that the seal does not change with the
 * layout of a struct. A catalog of before has none; it gets one with its next
 * publication. Not covered: runs, tokens, corrections and texts of old
 * definitions; a turned bit there is a wrong word in a list, or a token that
 * is refused. What can go wrong: TN_ECORRUPT, nothing was changed. */
#include "catalog/catalog_int.h"

#include <stdio.h>
#include <string.h>

#define SEAL_KEY "seal_sum"

static void
fold_u64(uint32_t *crc, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> 8 * i);
	*crc = tn_crc32c(*crc, b, sizeof b);
}

static void
fold_text(uint32_t *crc, const char *s)
{
	fold_u64(crc, strlen(s));
	*crc = tn_crc32c(*crc, s, strlen(s));
}

uint64_t
tn_catalog_file_sum(const struct tn_catalog_file *f)
{
	uint32_t sum = 0, *crc = &sum;

	fold_u64(crc, f->id);
	fold_u64(crc, (uint64_t)f->tier);
	fold_u64(crc, f->object);
	fold_u64(crc, f->version);
	fold_text(crc, f->partition);
	fold_text(crc, f->path);
	fold_u64(crc, f->rows);
	fold_u64(crc, f->bytes);
	fold_u64(crc, f->crc);
	fold_u64(crc, (uint64_t)f->time_min);
	fold_u64(crc, (uint64_t)f->time_max);
	fold_u64(crc, f->lsn_min);
	fold_u64(crc, f->lsn_max);
	return sum;
}

/* Every column of every row, as text. */
static enum tn_status
fold_rows(struct tn_catalog *c, const char *sql, uint32_t *crc)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, sql, "");

	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		for (int i = 0; st == TN_OK && i < sqlite3_column_count(stmt);
		    i++) {
			const char *s = (const char *)
			    sqlite3_column_text(stmt, i);
			fold_text(crc, s != NULL ? s : "");
		}
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

static enum tn_status
fold_all(struct tn_catalog *c, const struct tn_catalog_snapshot *s,
    char text[16])
{
	uint32_t crc = 0;
	enum tn_status st;

	fold_u64(&crc, s->sequence);
	fold_u64(&crc, s->lsn);
	fold_u64(&crc, s->count);
	fold_u64(&crc, s->sum);
	st = fold_rows(c, "SELECT stream, next FROM stream_offset"
	    " ORDER BY stream", &crc);
	if (st == TN_OK)
		st = fold_rows(c, "SELECT o.id, o.kind, o.name, o.version,"
		    " d.text FROM object o LEFT JOIN definition d"
		    " ON d.object = o.id AND d.version = o.version"
		    " ORDER BY o.id", &crc);
	snprintf(text, 16, "%08x", (unsigned)crc);
	return st;
}

enum tn_status
tn_catalog_seal(struct tn_catalog *c, const struct tn_catalog_snapshot *s)
{
	char text[16];
	enum tn_status st = fold_all(c, s, text);

	return st == TN_OK ? tn_catalog_set(c, SEAL_KEY, text) : st;
}

/* The first word of integrity_check, if it is not "ok". */
static enum tn_status
check_structure(struct tn_catalog *c, struct tn_arena *a, const char **why)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "PRAGMA integrity_check(1)", "");

	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK) {
		*why = tn_catalog_text(stmt, 0, a);
		if (strcmp(*why, "ok") != 0)
			st = TN_ECORRUPT;
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_ECORRUPT : st;
}

static enum tn_status
check_seal(struct tn_catalog *c, struct tn_arena *a, const char **why)
{
	const char *want = NULL;
	char text[16];
	enum tn_status st = tn_catalog_get(c, SEAL_KEY, a, &want);

	if (st == TN_ENOTFOUND)
		return TN_OK;
	if (st == TN_OK)
		st = fold_all(c, c->now, text);
	if (st == TN_OK && strcmp(text, want) != 0) {
		*why = "what it says is not what was written";
		st = TN_ECORRUPT;
	}
	return st;
}

enum tn_status
tn_catalog_check(struct tn_catalog *c, const char *path, struct tn_diag *d)
{
	struct tn_arena *a = tn_arena_new(4096);
	const char *why = "SQLite can not read it";
	enum tn_status st = check_structure(c, a, &why);

	if (st == TN_OK)
		st = check_seal(c, a, &why);
	if (st == TN_ECORRUPT)
		(void)tn_diag_set(d, st, "catalog_damaged",
		    "the catalog %s is damaged: %s", path, why);
	tn_arena_free(a);
	return st;
}
