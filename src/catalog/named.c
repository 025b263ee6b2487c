/* Files by their path, for the doors: those that some snapshot still names,
 * whether or not it is the newest. */
#include "catalog/catalog_int.h"

enum tn_status
tn_catalog_file_named(struct tn_catalog *c, const char *path,
    struct tn_catalog_file *out)
{
	struct tn_catalog_file *files = NULL;
	sqlite3_stmt *stmt = NULL;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT " TN_CATALOG_FILE_COLUMNS " FROM file WHERE path = ?",
	    "s", path);

	if (st == TN_OK)
		st = tn_catalog_read_files(c, stmt, &files, &count);
	tn_catalog_finish(c, stmt);
	if (st == TN_OK && count == 0)
		st = TN_ENOTFOUND;
	if (st == TN_OK)
		*out = files[0];
	tn_free(files);
	return st;
}
