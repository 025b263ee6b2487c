/* Cost: what each table had in each tier at the end of each day, so that
 * growth can be seen and told ahead. One row a day, table and tier; the day's
 * row is written anew until the day is over, but keeps what its first note said
 * and when: growth is told from there, so it needs no whole days. A table of ten objects takes
 * about a megabyte in ten years. */
#include "catalog/catalog_int.h"

#include <string.h>

#define DAYS_KEPT 3660

/* The first note of the day stays, unless it was made by an older program or
 * by a clock that was ahead. */
#define KEEP(column) column " = CASE WHEN first_us = 0 OR first_us >" \
	" excluded.first_us THEN excluded." column " ELSE " column " END"

enum tn_status
tn_catalog_cost_note(struct tn_catalog *c, const struct tn_catalog_cost *list,
    uint32_t count)
{
	enum tn_status st = tn_catalog_begin(c);
	int64_t newest = INT64_MIN;

	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		const struct tn_catalog_cost *x = &list[i];
		newest = x->day > newest ? x->day : newest;
		st = tn_catalog_run(c, "INSERT INTO cost (day, object, tier,"
		    " files, rows, bytes, cold, first_us, first_bytes,"
		    " first_cold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		    " ON CONFLICT (day, object, tier) DO UPDATE SET"
		    " files = excluded.files, rows = excluded.rows,"
		    " bytes = excluded.bytes, cold = excluded.cold, "
		    KEEP("first_us") ", " KEEP("first_bytes") ", "
		    KEEP("first_cold"), "iiiiiiiiii", (int64_t)x->day, (int64_t)x->object,
		    (int64_t)x->tier, (int64_t)x->files, (int64_t)x->rows,
		    (int64_t)x->bytes, (int64_t)x->cold, x->first_us,
		    (int64_t)x->bytes, (int64_t)x->cold);
	}
	if (st == TN_OK && count > 0)
		st = tn_catalog_run(c, "DELETE FROM cost WHERE day < ?", "i",
		    newest - DAYS_KEPT);
	return tn_catalog_end(c, st);
}

enum tn_status
tn_catalog_costs(struct tn_catalog *c, int32_t from, struct tn_arena *a,
    struct tn_catalog_cost **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	struct tn_catalog_cost x;
	struct tn_buf all = { 0 };
	enum tn_status st = tn_catalog_prepare(c, &stmt, "SELECT day, object,"
	    " tier, files, rows, bytes, cold, first_us, first_bytes,"
	    " first_cold FROM cost WHERE day >= ? ORDER BY day, tier, object", "i", (int64_t)from);

	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		memset(&x, 0, sizeof x);
		x.day = (int32_t)sqlite3_column_int64(stmt, 0);
		x.object = (uint32_t)sqlite3_column_int64(stmt, 1);
		x.tier = (enum tn_catalog_tier)sqlite3_column_int(stmt, 2);
		x.files = (uint32_t)sqlite3_column_int64(stmt, 3);
		x.rows = (uint64_t)sqlite3_column_int64(stmt, 4);
		x.bytes = (uint64_t)sqlite3_column_int64(stmt, 5);
		x.cold = (uint64_t)sqlite3_column_int64(stmt, 6);
		x.first_us = sqlite3_column_int64(stmt, 7);
		x.first_bytes = (uint64_t)sqlite3_column_int64(stmt, 8);
		x.first_cold = (uint64_t)sqlite3_column_int64(stmt, 9);
		tn_buf_add(&all, &x, sizeof x);
	}
	tn_catalog_finish(c, stmt);
	*count = (uint32_t)(all.n / sizeof x);
	*out = tn_catalog_list_end(&all, a, &st);
	return st;
}
