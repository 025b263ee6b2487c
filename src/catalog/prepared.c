/* Silver of definitions to come: files that are made while another definition
 * serves, noted here as they are written, in no snapshot. The next start takes
 * them over in its publication when it comes with that definition, and forgets
 * them when it comes with another.
 *
 *   foresee    the version that the definition will have
 *   note       files, and the LSN up to which all rows are in them
 *   (publish)  .adopted: the files become those of the snapshot
 *   forget     none of them: the caller removes the files
 *
 * An object has at most one such version. The seal knows nothing of it, so each
 * note carries a sum of its own; what can go wrong: the sum does not fit
 * (TN_ECORRUPT), then nobody takes it over, and the rows are read anew. */
#include "catalog/catalog_int.h"

#include <string.h>

static uint64_t
sum_of(const struct tn_catalog_prepared *p,
    const struct tn_catalog_file *files, uint32_t count)
{
	const uint64_t head[] = { p->object, p->version, p->lsn, count };
	uint64_t sum = tn_crc32c(0, (const uint8_t *)head, sizeof head);

	for (uint32_t i = 0; i < count; i++) {
		struct tn_catalog_file f = files[i];
		f.id = 0;
		sum += tn_catalog_file_sum(&f);
	}
	return sum;
}

static enum tn_status
read_all(struct tn_catalog *c, uint32_t object,
    struct tn_catalog_file **files, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT " TN_CATALOG_FILE_COLUMNS " FROM (SELECT *, 0 AS added"
	    " FROM prepared_file WHERE object = ?) ORDER BY partition, lsn_min, id", "i",
	    (int64_t)object);

	*files = NULL;
	*count = 0;
	if (st == TN_OK)
		st = tn_catalog_read_files(c, stmt, files, count);
	tn_catalog_finish(c, stmt);
	return st;
}

static enum tn_status
add_files(struct tn_catalog *c, const struct tn_catalog_file *files,
    uint32_t count)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		const struct tn_catalog_file *f = &files[i];
		st = tn_catalog_run(c, "INSERT INTO prepared_file (tier,"
		    " object, version, partition, path, rows, bytes, crc,"
		    " time_min, time_max, lsn_min, lsn_max)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "iiissiiiiiii", (int64_t)f->tier, (int64_t)f->object,
		    (int64_t)f->version, f->partition, f->path,
		    (int64_t)f->rows, (int64_t)f->bytes, (int64_t)f->crc,
		    f->time_min, f->time_max, (int64_t)f->lsn_min,
		    (int64_t)f->lsn_max);
	}
	return st;
}

static enum tn_status
note_sum(struct tn_catalog *c, const struct tn_catalog_prepared *p)
{
	struct tn_catalog_file *all;
	uint32_t count;
	enum tn_status st = read_all(c, p->object, &all, &count);

	if (st == TN_OK)
		st = tn_catalog_run(c, "INSERT INTO prepared (object, version,"
		    " lsn, sum) VALUES (?, ?, ?, ?) ON CONFLICT (object)"
		    " DO UPDATE SET version = excluded.version,"
		    " lsn = excluded.lsn, sum = excluded.sum", "iiii",
		    (int64_t)p->object, (int64_t)p->version, (int64_t)p->lsn,
		    (int64_t)sum_of(p, all, count));
	tn_free(all);
	return st;
}

enum tn_status
tn_catalog_prepared_note(struct tn_catalog *c,
    const struct tn_catalog_prepared *p, const struct tn_catalog_file *files,
    uint32_t count)
{
	enum tn_status st = tn_catalog_begin(c);

	for (uint32_t i = 0; i < count; i++)
		tn_assert(files[i].object == p->object &&
		    files[i].version == p->version);
	if (st != TN_OK)
		return st;
	st = add_files(c, files, count);
	if (st == TN_OK)
		st = note_sum(c, p);
	return tn_catalog_end(c, st);
}

enum tn_status
tn_catalog_prepared(struct tn_catalog *c, struct tn_arena *a,
    struct tn_catalog_prepared **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	struct tn_catalog_prepared x;
	struct tn_buf all = { 0 };
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT object, version, lsn, (SELECT count(*) FROM prepared_file"
	    " f WHERE f.object = p.object), (SELECT coalesce(sum(rows), 0)"
	    " FROM prepared_file f WHERE f.object = p.object)"
	    " FROM prepared p ORDER BY object", "");

	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		memset(&x, 0, sizeof x);
		x.object = (uint32_t)sqlite3_column_int64(stmt, 0);
		x.version = (uint32_t)sqlite3_column_int64(stmt, 1);
		x.lsn = (uint64_t)sqlite3_column_int64(stmt, 2);
		x.files = (uint32_t)sqlite3_column_int64(stmt, 3);
		x.rows = (uint64_t)sqlite3_column_int64(stmt, 4);
		tn_buf_add(&all, &x, sizeof x);
	}
	tn_catalog_finish(c, stmt);
	*count = (uint32_t)(all.n / sizeof x);
	*out = tn_catalog_list_end(&all, a, &st);
	return st;
}

static enum tn_status
check_sum(struct tn_catalog *c, const struct tn_catalog_prepared *p,
    const struct tn_catalog_file *files, uint32_t count)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT sum FROM prepared WHERE object = ? AND version = ?"
	    " AND lsn = ?", "iii", (int64_t)p->object, (int64_t)p->version,
	    (int64_t)p->lsn);

	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK && (uint64_t)sqlite3_column_int64(stmt, 0) !=
	    sum_of(p, files, count))
		st = TN_ECORRUPT;
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_ECORRUPT : st;
}

enum tn_status
tn_catalog_prepared_files(struct tn_catalog *c,
    const struct tn_catalog_prepared *p, struct tn_arena *a,
    struct tn_catalog_file **out, uint32_t *count)
{
	struct tn_catalog_file *all;
	enum tn_status st = read_all(c, p->object, &all, count);

	*out = tn_arena_alloc(a, (*count + 1ul) * sizeof **out);
	if (*count > 0)
		memcpy(*out, all, *count * sizeof **out);
	tn_free(all);
	for (uint32_t i = 0; i < *count; i++)
		(*out)[i].id = 0;
	return st == TN_OK ? check_sum(c, p, *out, *count) : st;
}

enum tn_status
tn_catalog_prepared_end(struct tn_catalog *c, uint32_t object)
{
	enum tn_status st = tn_catalog_run(c, "DELETE FROM prepared_file"
	    " WHERE object = ?", "i", (int64_t)object);

	return st == TN_OK ? tn_catalog_run(c, "DELETE FROM prepared"
	    " WHERE object = ?", "i", (int64_t)object) : st;
}

enum tn_status
tn_catalog_prepared_forget(struct tn_catalog *c, uint32_t object)
{
	enum tn_status st = tn_catalog_begin(c);

	return st == TN_OK ? tn_catalog_end(c, tn_catalog_prepared_end(c,
	    object)) : st;
}
