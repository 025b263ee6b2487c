/* copy: the whole catalog as a new file, for a backup. The connection's mutex
 * is held, so that no publication falls between the copy and the snapshot that
 * is said to be in it. SQLite takes an empty file as its target: so the copy
 * is as private as the catalog from its first byte.
 *
 * And the other way, into memory: an older catalog that is only looked at has
 * its schema brought up to date there. A copy of it is of the file as it is. */
#include "catalog/catalog_int.h"

#include "os/os.h"

enum tn_status
tn_catalog_copy(struct tn_catalog *c, const char *path,
    const struct tn_catalog_snapshot **out)
{
	struct tn_catalog from = { .db = c->looked_at != NULL ?
	    c->looked_at : c->db };
	enum tn_status st = tn_os_write_file(path, "", 0, 0600);

	*out = NULL;
	if (st != TN_OK)
		return st;
	sqlite3_mutex_enter(sqlite3_db_mutex(c->db));
	st = tn_catalog_run(&from, "VACUUM INTO ?", "s", path);
	if (st == TN_OK)
		*out = tn_catalog_snapshot(c);
	sqlite3_mutex_leave(sqlite3_db_mutex(c->db));
	return st;
}

enum tn_status
tn_catalog_apart(struct tn_catalog *c)
{
	sqlite3_backup *b = NULL;
	int rc;

	c->looked_at = c->db;
	c->db = NULL;
	rc = sqlite3_open_v2(":memory:", &c->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_FULLMUTEX, NULL);
	if (rc == SQLITE_OK)
		b = sqlite3_backup_init(c->db, "main", c->looked_at, "main");
	if (b != NULL) {
		(void)sqlite3_backup_step(b, -1);
		rc = sqlite3_backup_finish(b);
	} else if (rc == SQLITE_OK) {
		rc = sqlite3_errcode(c->db);
	}
	return tn_catalog_status(c, rc, "look at it apart");
}
