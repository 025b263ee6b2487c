/* copy: the whole catalog as a new file, for a backup. The connection's mutex
 * is held, so that no publication falls between the copy and the snapshot that
 * is said to be in it. SQLite takes an empty file as its target: so the copy
 * is as private as the catalog from its first byte. */
#include "catalog/catalog_int.h"

#include "os/os.h"

enum tn_status
tn_catalog_copy(struct tn_catalog *c, const char *path,
    const struct tn_catalog_snapshot **out)
{
	enum tn_status st = tn_os_write_file(path, "", 0, 0600);

	*out = NULL;
	if (st != TN_OK)
		return st;
	sqlite3_mutex_enter(sqlite3_db_mutex(c->db));
	st = tn_catalog_run(c, "VACUUM INTO ?", "s", path);
	if (st == TN_OK)
		*out = tn_catalog_snapshot(c);
	sqlite3_mutex_leave(sqlite3_db_mutex(c->db));
	return st;
}
