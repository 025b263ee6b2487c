/* Opening the catalog, its schema, definitions and small values.
 *
 * One connection in serialized mode: SQLite's mutex orders the threads. WAL
 * with synchronous=FULL: a publication is on disk when COMMIT returns. The
 * schema carries a number (user_version); an older one is brought to ours when
 * it is opened, a newer one is refused with clear words and nothing is changed.
 * The file holds password and token hashes: its mode is 0600.
 *
 * What can go wrong: disk full or I/O errors roll the transaction back and
 * come out as TN_ENOSPC or TN_EIO; the old state stays in force. When the sync
 * of a commit fails its frames may stand complete in the WAL, and a crash
 * would bring them back to life: so the WAL is emptied at once, and if that
 * fails too, nothing more is committed (TN_ECLOSED) until the next start. */
#include "catalog/catalog_int.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"

#define FIELDS_MAX "1000"        /* Unknown fields kept, a stream. */

/* The step from each schema to the next. A new file takes all of them, an
 * older one those that it lacks, in one transaction: there is one way to make
 * a table. A step is never changed once a release has it. */
static const char *const schema_steps[] = {
    "CREATE TABLE object (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
    " name TEXT NOT NULL, version INTEGER NOT NULL, comment TEXT,"
    " UNIQUE (kind, name));"
    "CREATE TABLE definition (object INTEGER NOT NULL REFERENCES object(id),"
    " version INTEGER NOT NULL, text TEXT NOT NULL,"
    " PRIMARY KEY (object, version));"
    "CREATE TABLE file (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tier INTEGER NOT NULL, object INTEGER NOT NULL,"
    " version INTEGER NOT NULL, partition TEXT NOT NULL,"
    " path TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " time_min INTEGER NOT NULL, time_max INTEGER NOT NULL,"
    " lsn_min INTEGER NOT NULL, lsn_max INTEGER NOT NULL,"
    " added INTEGER NOT NULL, dropped INTEGER, dropped_us INTEGER);"
    "CREATE INDEX file_visible ON file (tier, object, partition, lsn_min)"
    " WHERE dropped IS NULL;"
    "CREATE TABLE cut (sequence INTEGER PRIMARY KEY, lsn INTEGER NOT NULL,"
    " published_us INTEGER NOT NULL);"
    "CREATE TABLE stream_offset (stream INTEGER PRIMARY KEY,"
    " next INTEGER NOT NULL);"
    "CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " kind TEXT NOT NULL, reason TEXT NOT NULL, object TEXT NOT NULL,"
    " state INTEGER NOT NULL, started_us INTEGER NOT NULL,"
    " ended_us INTEGER NOT NULL, lsn_from INTEGER NOT NULL,"
    " lsn_to INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " files INTEGER NOT NULL, detail TEXT NOT NULL);"
    "CREATE TABLE token (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL, scope TEXT NOT NULL, hash TEXT NOT NULL,"
    " created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
    " used_us INTEGER NOT NULL);"
    "CREATE TABLE value (key TEXT PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE unknown_field (stream INTEGER NOT NULL,"
    " field TEXT NOT NULL, seen_us INTEGER NOT NULL,"
    " PRIMARY KEY (stream, field));"
    "PRAGMA user_version = 1;",

    "ALTER TABLE run ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE correction (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " run INTEGER NOT NULL, view INTEGER NOT NULL, at_us INTEGER NOT NULL,"
    " time_us INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL,"
    " before TEXT NOT NULL, after TEXT NOT NULL);"
    "CREATE INDEX correction_view ON correction (view, id);"
    "CREATE INDEX correction_at ON correction (at_us);"
    "PRAGMA user_version = 2;",

    /* What was dropped before may be gone: only the newest can be read. */
    "ALTER TABLE cut ADD COLUMN cut_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cut ADD COLUMN run INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cut ADD COLUMN added INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cut ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cut ADD COLUMN files INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cut ADD COLUMN rows INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cut ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE cut SET cut_us = (SELECT min(c.published_us) FROM cut c"
    " WHERE c.lsn = cut.lsn);"
    "DELETE FROM cut WHERE sequence < (SELECT max(sequence) FROM cut);"
    "CREATE INDEX cut_lsn ON cut (lsn);"
    "CREATE INDEX cut_time ON cut (published_us);"
    "PRAGMA user_version = 3;",

    "CREATE INDEX file_dropped ON file (dropped) WHERE dropped IS NOT NULL;"
    "PRAGMA user_version = 4;",

    "CREATE TABLE cost (day INTEGER NOT NULL, object INTEGER NOT NULL,"
    " tier INTEGER NOT NULL, files INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, PRIMARY KEY (day, object, tier))"
    " WITHOUT ROWID;"
    "PRAGMA user_version = 5;",

    "ALTER TABLE cost ADD COLUMN cold INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 6;",

    "CREATE TABLE prepared (object INTEGER PRIMARY KEY,"
    " version INTEGER NOT NULL, lsn INTEGER NOT NULL, sum INTEGER NOT NULL);"
    "CREATE TABLE prepared_file (id INTEGER PRIMARY KEY,"
    " tier INTEGER NOT NULL, object INTEGER NOT NULL,"
    " version INTEGER NOT NULL, partition TEXT NOT NULL,"
    " path TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " time_min INTEGER NOT NULL, time_max INTEGER NOT NULL,"
    " lsn_min INTEGER NOT NULL, lsn_max INTEGER NOT NULL);"
    "CREATE INDEX prepared_of ON prepared_file (object, partition);"
    "PRAGMA user_version = 7;",

    "ALTER TABLE cost ADD COLUMN first_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cost ADD COLUMN first_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE cost ADD COLUMN first_cold INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 8;",

    "CREATE TABLE run_view (run INTEGER NOT NULL, view INTEGER NOT NULL,"
    " started_us INTEGER NOT NULL, write_us INTEGER NOT NULL,"
    " fold_us INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " groups INTEGER NOT NULL, files INTEGER NOT NULL,"
    " changed INTEGER NOT NULL, PRIMARY KEY (run, view)) WITHOUT ROWID;"
    "PRAGMA user_version = 9;",

    /* The log has a journal: one that does not know it would leave out what
     * was acknowledged last before a crash. */
    "PRAGMA user_version = 10;",
};
#define SCHEMA_VERSION ((int)TN_COUNT(schema_steps))

enum tn_status
tn_catalog_status(struct tn_catalog *c, int rc, const char *doing)
{
	enum tn_status st = TN_EIO;
	const char *file = c->db != NULL ?
	    sqlite3_db_filename(c->db, "main") : NULL;

	switch (rc & 0xff) {
	case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE:
		return TN_OK;
	case SQLITE_FULL: st = TN_ENOSPC; break;
	case SQLITE_IOERR:       /* Of catalog.db-shm, the first that grows. */
		st = sqlite3_extended_errcode(c->db) == SQLITE_IOERR_SHMSIZE &&
		    sqlite3_system_errno(c->db) == ENOSPC ? TN_ENOSPC : TN_EIO;
		break;
	case SQLITE_NOMEM: st = TN_ENOMEM; break;
	case SQLITE_CORRUPT: case SQLITE_NOTADB: st = TN_ECORRUPT; break;
	case SQLITE_BUSY: case SQLITE_LOCKED: st = TN_ECONFLICT; break;
	case SQLITE_CONSTRAINT: st = TN_EEXIST; break;
	default: break;
	}
	tn_say(TN_ERROR, "catalog", "%s: %s failed: %s",
	    file != NULL ? file : "catalog", doing, sqlite3_errmsg(c->db));
	return st;
}

static enum tn_status
bind_all(struct tn_catalog *c, sqlite3_stmt *stmt, const char *types,
    va_list ap)
{
	int rc = SQLITE_OK;

	for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
		if (types[i] == 'i') {
			rc = sqlite3_bind_int64(stmt, i + 1,
			    va_arg(ap, int64_t));
			continue;
		}
		tn_assert(types[i] == 's');
		rc = sqlite3_bind_text(stmt, i + 1, va_arg(ap, const char *),
		    -1, SQLITE_TRANSIENT);
	}
	return tn_catalog_status(c, rc, "bind");
}

static enum tn_status
prepare_va(struct tn_catalog *c, sqlite3_stmt **stmt, const char *sql,
    const char *types, va_list ap)
{
	enum tn_status st;

	sqlite3_mutex_enter(sqlite3_db_mutex(c->db));
	st = tn_catalog_status(c,
	    sqlite3_prepare_v2(c->db, sql, -1, stmt, NULL), sql);
	if (st == TN_OK)
		st = bind_all(c, *stmt, types, ap);
	if (st != TN_OK) {
		sqlite3_finalize(*stmt);
		*stmt = NULL;
		sqlite3_mutex_leave(sqlite3_db_mutex(c->db));
	}
	return st;
}

void
tn_catalog_finish(struct tn_catalog *c, sqlite3_stmt *stmt)
{
	if (stmt == NULL)
		return;
	sqlite3_finalize(stmt);
	sqlite3_mutex_leave(sqlite3_db_mutex(c->db));
}

enum tn_status
tn_catalog_prepare(struct tn_catalog *c, sqlite3_stmt **stmt,
    const char *sql, const char *types, ...)
{
	va_list ap;
	enum tn_status st;

	va_start(ap, types);
	st = prepare_va(c, stmt, sql, types, ap);
	va_end(ap);
	return st;
}

enum tn_status
tn_catalog_step(struct tn_catalog *c, sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_DONE)
		return TN_END;
	return tn_catalog_status(c, rc, sqlite3_sql(stmt));
}

/* ---- transactions ---------------------------------------------------- */

static void
roll_back(struct tn_catalog *c)
{
	if (sqlite3_get_autocommit(c->db))
		return;          /* SQLite did it by itself. */
	sqlite3_step(c->rollback);
	sqlite3_reset(c->rollback);
}

enum tn_status
tn_catalog_begin(struct tn_catalog *c)
{
	enum tn_status st = TN_ECLOSED;

	sqlite3_mutex_enter(sqlite3_db_mutex(c->db));
	roll_back(c);            /* One that failed to end. */
	if (!c->doubt)
		st = tn_catalog_run(c, "BEGIN IMMEDIATE", "");
	if (st != TN_OK)
		sqlite3_mutex_leave(sqlite3_db_mutex(c->db));
	return st;
}

static enum tn_status
mend_commit(struct tn_catalog *c, enum tn_status st)
{
	int rc = sqlite3_wal_checkpoint_v2(c->db, NULL,
	    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	/* On a full disk the last frame was not written. */
	if (rc == SQLITE_OK || st == TN_ENOSPC)
		return st;
	c->doubt = true;
	tn_say(TN_ERROR, "catalog", "a commit failed and the WAL could not be "
	    "emptied (%s): nothing more is published until the next start",
	    sqlite3_errmsg(c->db));
	return TN_ECLOSED;
}

enum tn_status
tn_catalog_end(struct tn_catalog *c, enum tn_status st)
{
	bool commit = st == TN_OK;

	if (commit) {
		tn_os_crash_point("catalog_before_commit");
		st = tn_catalog_run(c, "COMMIT", "");
		tn_os_crash_point("catalog_committed");
	}
	if (st != TN_OK)
		roll_back(c);
	if (commit && st != TN_OK)
		st = mend_commit(c, st);
	sqlite3_mutex_leave(sqlite3_db_mutex(c->db));
	return st;
}

enum tn_status
tn_catalog_run(struct tn_catalog *c, const char *sql, const char *types,
    ...)
{
	sqlite3_stmt *stmt = NULL;
	va_list ap;
	enum tn_status st;

	va_start(ap, types);
	st = prepare_va(c, &stmt, sql, types, ap);
	va_end(ap);
	while (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

const char *
tn_catalog_text(sqlite3_stmt *stmt, int col, struct tn_arena *a)
{
	const char *s = (const char *)sqlite3_column_text(stmt, col);

	if (s == NULL)    /* No column that is read here may be NULL. */
		tn_alloc_fail((size_t)sqlite3_column_bytes(stmt, col));
	return tn_arena_strdup(a, s);
}

static enum tn_status
read_int(struct tn_catalog *c, const char *sql, int64_t *v)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, sql, "");

	*v = 0;
	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK)
		*v = sqlite3_column_int64(stmt, 0);
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

void *
tn_catalog_list_end(struct tn_buf *all, struct tn_arena *a,
    enum tn_status *st)
{
	void *list = tn_arena_alloc(a, all->n + 1);

	if (*st == TN_END)
		*st = tn_buf_status(all);
	if (all->n > 0)
		memcpy(list, all->p, all->n);
	tn_buf_fini(all);
	return list;
}

static enum tn_status
make_schema(struct tn_catalog *c, int64_t version)
{
	enum tn_status st = tn_catalog_begin(c);

	if (st != TN_OK)
		return st;
	for (int64_t i = version; st == TN_OK && i < SCHEMA_VERSION; i++)
		st = tn_catalog_status(c, sqlite3_exec(c->db,
		    schema_steps[i], NULL, NULL, NULL), "make the schema");
	st = tn_catalog_end(c, st);
	if (st == TN_OK && version > 0 && c->looked_at == NULL)
		tn_say(TN_INFO, "catalog", "brought up to date, from schema "
		    "%d to %d: an earlier Tarn refuses this folder from now on",
		    (int)version, SCHEMA_VERSION);
	return st;
}

/* Ours, of a version that we know, or empty. */
static enum tn_status
check_version(struct tn_catalog *c, const char *path, int64_t *version,
    struct tn_diag *d)
{
	int64_t tables = 0;
	enum tn_status st = read_int(c, "PRAGMA user_version", version);

	if (st == TN_OK && *version > SCHEMA_VERSION) {
		tn_diag_hint(d, "start the newer tarn that made this folder, "
		    "or name another folder with --data");
		return tn_diag_set(d, TN_EUNSUPPORTED, "newer_catalog",
		    "%s was written by a newer Tarn (schema %d, this one "
		    "knows %d)", path, (int)*version, SCHEMA_VERSION);
	}
	if (st == TN_OK && *version <= 0)
		st = read_int(c, "SELECT count(*) FROM sqlite_schema",
		    &tables);
	if (st == TN_OK && (tables > 0 || *version < 0))
		return tn_diag_set(d, TN_EUNSUPPORTED, "not_a_catalog",
		    "%s is a database of another program", path);
	return st;
}

/* Looks before it changes anything. */
static enum tn_status
set_up(struct tn_catalog *c, const char *path, bool look, struct tn_diag *d)
{
	int64_t version = 0;
	enum tn_status st = check_version(c, path, &version, d);

	if (st == TN_OK && look && version < SCHEMA_VERSION)
		st = tn_catalog_apart(c);
	if (st == TN_OK)
		st = tn_catalog_status(c, sqlite3_exec(c->db,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		    "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
		    "PRAGMA secure_delete = ON;",
		    NULL, NULL, NULL), "open");
	if (st == TN_OK)
		st = tn_catalog_status(c, sqlite3_prepare_v2(c->db,
		    "ROLLBACK", -1, &c->rollback, NULL), "open");
	if (st == TN_OK && version < SCHEMA_VERSION)
		st = make_schema(c, version);
	return st;
}

static enum tn_status
connect(struct tn_catalog *c, const char *path)
{
	enum tn_status st = TN_OK;
	int rc;

	/* SQLite takes an empty file as new, and keeps its mode. */
	if (tn_os_kind(path) == TN_OS_NONE)
		st = tn_os_write_file(path, "", 0, 0600);
	if (st != TN_OK)
		return st;
	c->lock = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
	if (c->lock == NULL)
		return TN_ENOMEM;
	rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_FULLMUTEX, NULL);
	st = tn_catalog_status(c, rc, "open");
	if (st == TN_OK)
		sqlite3_busy_timeout(c->db, 5000);
	return st;
}

static enum tn_status
open_as(struct tn_catalog **cat, const char *path, bool look,
    struct tn_diag *d)
{
	struct tn_catalog *c = tn_zalloc(sizeof *c);
	enum tn_status st = connect(c, path);
	bool said = false;

	*cat = NULL;
	if (st == TN_OK) {
		st = set_up(c, path, look, d);
		said = st == TN_EUNSUPPORTED;
	}
	if (st == TN_OK)
		st = tn_catalog_load_snapshot(c);
	if (st == TN_OK) {
		st = tn_catalog_check(c, path, d);
		said = st == TN_ECORRUPT;
	}
	if (st != TN_OK) {
		tn_catalog_close(c);
		if (!said)
			tn_diag_set(d, st, "catalog",
			    "cannot open the catalog %s: %s", path,
			    tn_status_text(st));
		return st;
	}
	*cat = c;
	return TN_OK;
}

enum tn_status
tn_catalog_open(struct tn_catalog **cat, const char *path,
    struct tn_diag *d)
{
	return open_as(cat, path, false, d);
}

enum tn_status
tn_catalog_look(struct tn_catalog **cat, const char *path,
    struct tn_diag *d)
{
	return open_as(cat, path, true, d);
}

void
tn_catalog_close(struct tn_catalog *c)
{
	uint32_t held;
	int rc;

	if (c == NULL)
		return;
	held = tn_catalog_free_snapshots(c);
	sqlite3_finalize(c->rollback);
	rc = sqlite3_close(c->db);
	tn_assert(rc == SQLITE_OK);
	rc = sqlite3_close(c->looked_at);
	tn_assert(rc == SQLITE_OK);
	if (held > 0) {
		/* Who holds one will come back to the lock: leave it. */
		tn_say(TN_WARN, "catalog", "%u snapshots still held at close",
		    (unsigned)held);
		return;
	}
	sqlite3_mutex_free(c->lock);
	tn_free(c->live);
	tn_free(c);
}

/* ---- definitions ----------------------------------------------------- */

static enum tn_status
find_object(struct tn_catalog *c, enum tn_catalog_kind kind,
    const char *name, const char *definition, struct tn_catalog_object *out,
    bool *same)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT o.id, o.version, d.text = ?3 FROM object o"
	    " JOIN definition d ON d.object = o.id AND d.version = o.version"
	    " WHERE o.kind = ?1 AND o.name = ?2", "iss", (int64_t)kind, name,
	    definition);

	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK) {
		out->id = (uint32_t)sqlite3_column_int64(stmt, 0);
		out->version = (uint32_t)sqlite3_column_int64(stmt, 1);
		*same = sqlite3_column_int(stmt, 2) != 0;
	}
	tn_catalog_finish(c, stmt);
	return st;
}

/* A table that goes back to what it was is that version again: files of it
 * that are still in force are right as they are. *out is 0 if it never was. Of
 * a view it would not do: states of then lack what came since. */
static enum tn_status
find_version(struct tn_catalog *c, enum tn_catalog_kind kind, uint32_t id,
    const char *definition, uint32_t *out)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st;

	*out = 0;
	if (kind == TN_CATALOG_VIEW)
		return TN_OK;
	st = tn_catalog_prepare(c, &stmt, "SELECT version FROM definition"
	    " WHERE object = ? AND text = ? ORDER BY version DESC LIMIT 1",
	    "is", (int64_t)id, definition);
	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK)
		*out = (uint32_t)sqlite3_column_int64(stmt, 0);
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

static enum tn_status
add_version(struct tn_catalog *c, uint32_t id, const char *definition,
    uint32_t *out)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, "SELECT"
	    " coalesce(max(version), 0) + 1 FROM definition WHERE object = ?",
	    "i", (int64_t)id);

	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK)
		*out = (uint32_t)sqlite3_column_int64(stmt, 0);
	tn_catalog_finish(c, stmt);
	if (st == TN_OK)
		st = tn_catalog_run(c, "INSERT INTO definition VALUES"
		    " (?, ?, ?)", "iis", (int64_t)id, (int64_t)*out,
		    definition);
	return st;
}

static enum tn_status
write_object(struct tn_catalog *c, enum tn_catalog_kind kind,
    const char *name, const char *definition,
    struct tn_catalog_object *out)
{
	enum tn_status st;

	if (out->id == 0) {
		st = tn_catalog_run(c, "INSERT INTO object"
		    " (kind, name, version) VALUES (?, ?, 0)", "is",
		    (int64_t)kind, name);
		if (st != TN_OK)
			return st;
		out->id = (uint32_t)sqlite3_last_insert_rowid(c->db);
	}
	out->changed = true;
	st = find_version(c, kind, out->id, definition, &out->version);
	if (st == TN_OK && out->version == 0)
		st = add_version(c, out->id, definition, &out->version);
	if (st == TN_OK)
		st = tn_catalog_run(c, "UPDATE object SET version = ?"
		    " WHERE id = ?", "ii", (int64_t)out->version,
		    (int64_t)out->id);
	return st;
}

enum tn_status
tn_catalog_define(struct tn_catalog *c, enum tn_catalog_kind kind,
    const char *name, const char *definition, const char *comment,
    struct tn_catalog_object *out)
{
	bool same = false;
	enum tn_status st = tn_catalog_begin(c);

	memset(out, 0, sizeof *out);
	if (st != TN_OK)
		return st;
	st = find_object(c, kind, name, definition, out, &same);
	if (st == TN_END || (st == TN_OK && !same))
		st = write_object(c, kind, name, definition, out);
	if (st == TN_OK)
		st = tn_catalog_run(c, "UPDATE object SET comment = ?"
		    " WHERE id = ? AND comment IS NOT ?1", "si", comment,
		    (int64_t)out->id);
	if (st == TN_OK && out->changed)
		st = tn_catalog_seal(c, c->now);
	return tn_catalog_end(c, st);
}

enum tn_status
tn_catalog_foresee(struct tn_catalog *c, enum tn_catalog_kind kind,
    const char *name, const char *definition, struct tn_catalog_object *out)
{
	bool same = false;
	enum tn_status st = tn_catalog_begin(c);

	memset(out, 0, sizeof *out);
	if (st != TN_OK)
		return st;
	st = find_object(c, kind, name, definition, out, &same);
	if (st == TN_END)
		st = TN_ENOTFOUND;
	if (st == TN_OK && !same) {
		out->changed = true;
		st = find_version(c, kind, out->id, definition,
		    &out->version);
	}
	if (st == TN_OK && out->version == 0)
		st = add_version(c, out->id, definition, &out->version);
	return tn_catalog_end(c, st);
}

enum tn_status
tn_catalog_defined(struct tn_catalog *c, const struct tn_catalog_name *name,
    uint32_t version, struct tn_arena *a, struct tn_catalog_object *out,
    const char **text)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT o.id, d.version, d.text FROM object o"
	    " JOIN definition d ON d.object = o.id"
	    " WHERE o.kind = ?1 AND o.name = ?2"
	    " AND d.version = CASE ?3 WHEN 0 THEN o.version ELSE ?3 END",
	    "isi", (int64_t)name->kind, name->name, (int64_t)version);

	memset(out, 0, sizeof *out);
	*text = NULL;
	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK) {
		out->id = (uint32_t)sqlite3_column_int64(stmt, 0);
		out->version = (uint32_t)sqlite3_column_int64(stmt, 1);
		*text = tn_catalog_text(stmt, 2, a);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_ENOTFOUND : st;
}

enum tn_status
tn_catalog_names(struct tn_catalog *c, struct tn_arena *a,
    struct tn_catalog_name **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	int64_t n = 0;
	enum tn_status st = read_int(c, "SELECT count(*) FROM object", &n);

	*count = 0;
	*out = tn_arena_alloc(a, ((size_t)n + 1) * sizeof **out);
	if (st == TN_OK)
		st = tn_catalog_prepare(c, &stmt,
		    "SELECT id, kind, name FROM object ORDER BY id", "");
	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK || *count == n)
			break;
		struct tn_catalog_name *x = &(*out)[(*count)++];
		x->id = (uint32_t)sqlite3_column_int64(stmt, 0);
		x->kind = (enum tn_catalog_kind)sqlite3_column_int(stmt, 1);
		x->name = tn_catalog_text(stmt, 2, a);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

/* ---- small values ---------------------------------------------------- */

enum tn_status
tn_catalog_get(struct tn_catalog *c, const char *key, struct tn_arena *a,
    const char **value)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT text FROM value WHERE key = ?", "s", key);

	*value = NULL;
	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	if (st == TN_OK)
		*value = tn_catalog_text(stmt, 0, a);
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_ENOTFOUND : st;
}

enum tn_status
tn_catalog_set(struct tn_catalog *c, const char *key, const char *value)
{
	if (value == NULL)
		return tn_catalog_run(c, "DELETE FROM value WHERE key = ?",
		    "s", key);
	return tn_catalog_run(c, "INSERT INTO value VALUES (?, ?)"
	    " ON CONFLICT (key) DO UPDATE SET text = excluded.text", "ss",
	    key, value);
}

enum tn_status
tn_catalog_unknown_field(struct tn_catalog *c, uint32_t stream,
    const char *field, int64_t now_us, bool *fresh)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "INSERT INTO unknown_field SELECT ?1, ?2, ?3"
	    " WHERE (SELECT count(*) FROM unknown_field WHERE stream = ?1)"
	    " < " FIELDS_MAX
	    " ON CONFLICT DO NOTHING RETURNING 1", "isi", (int64_t)stream,
	    field, now_us);

	*fresh = false;
	if (st == TN_OK)
		st = tn_catalog_step(c, stmt);
	while (st == TN_OK) {
		*fresh = true;
		st = tn_catalog_step(c, stmt);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

enum tn_status
tn_catalog_unknown_fields(struct tn_catalog *c, struct tn_arena *a,
    struct tn_catalog_field **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	int64_t n = 0;
	enum tn_status st = read_int(c,
	    "SELECT count(*) FROM unknown_field", &n);

	*count = 0;
	*out = tn_arena_alloc(a, ((size_t)n + 1) * sizeof **out);
	if (st == TN_OK)
		st = tn_catalog_prepare(c, &stmt, "SELECT stream, field,"
		    " seen_us FROM unknown_field ORDER BY 1, 2", "");
	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK || *count == n)
			break;
		struct tn_catalog_field *x = &(*out)[(*count)++];
		x->stream = (uint32_t)sqlite3_column_int64(stmt, 0);
		x->field = tn_catalog_text(stmt, 1, a);
		x->seen_us = sqlite3_column_int64(stmt, 2);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}
