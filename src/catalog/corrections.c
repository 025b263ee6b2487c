/* Corrections: published numbers that a batch run changed. They are written
 * in the transaction that publishes the new numbers, so they are there exactly
 * when those are; old ones go at the same time.
 *
 * Bounded twice: by age (the publication says) and by count, so that years of
 * late data do not fill the catalog. */
#include "catalog/catalog_int.h"

#define CORRECTIONS_KEPT 100000

static enum tn_status
drop_old(struct tn_catalog *c, const struct tn_catalog_publication *p)
{
	enum tn_status st = TN_OK;

	if (p->corrections_keep_us > 0)
		st = tn_catalog_run(c, "DELETE FROM correction"
		    " WHERE at_us < ?", "i",
		    p->now_us - p->corrections_keep_us);
	if (st == TN_OK && p->correction_count > 0)
		st = tn_catalog_run(c, "DELETE FROM correction WHERE id <="
		    " (SELECT max(id) FROM correction) - ?", "i",
		    (int64_t)CORRECTIONS_KEPT);
	return st;
}

enum tn_status
tn_catalog_correct(struct tn_catalog *c,
    const struct tn_catalog_publication *p)
{
	enum tn_status st = TN_OK;

	if (p->run != 0 && p->run_changed > 0)
		st = tn_catalog_run(c, "UPDATE run SET changed = ?"
		    " WHERE id = ?", "ii", (int64_t)p->run_changed,
		    (int64_t)p->run);
	for (uint32_t i = 0; st == TN_OK && i < p->correction_count; i++) {
		const struct tn_catalog_correction *x = &p->corrections[i];
		st = tn_catalog_run(c, "INSERT INTO correction (run, view,"
		    " at_us, time_us, key, name, before, after)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "iiiissss",
		    (int64_t)p->run, (int64_t)x->view, p->now_us,
		    x->time_us != INT64_MIN ? x->time_us : p->now_us,
		    x->key, x->column, x->before, x->after);
	}
	return st == TN_OK ? drop_old(c, p) : st;
}

/* Pages are overwritten (secure_delete); what the journal has of before goes
 * with the checkpoint. */
enum tn_status
tn_catalog_corrections_forget(struct tn_catalog *c, const uint32_t *views,
    uint32_t count)
{
	enum tn_status st = tn_catalog_begin(c);

	if (st != TN_OK)
		return st;
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		st = tn_catalog_run(c, "DELETE FROM correction"
		    " WHERE view = ?", "i", (int64_t)views[i]);
	st = tn_catalog_end(c, st);
	return st != TN_OK ? st : tn_catalog_status(c,
	    sqlite3_wal_checkpoint_v2(c->db, NULL,
	    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), "checkpoint");
}

enum tn_status
tn_catalog_corrections(struct tn_catalog *c,
    const struct tn_catalog_corrections_of *q, struct tn_arena *a,
    struct tn_catalog_correction **out, uint32_t *count)
{
	uint32_t limit = q->limit < CORRECTIONS_KEPT ? q->limit :
	    CORRECTIONS_KEPT;
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, "SELECT run, at_us,"
	    " view, time_us, key, name, before, after FROM correction"
	    " WHERE view = ? AND time_us >= ? AND time_us < ?"
	    " ORDER BY id DESC LIMIT ?", "iiii", (int64_t)q->view,
	    q->from_us, q->to_us, (int64_t)limit);

	*count = 0;
	*out = tn_arena_zalloc(a, (limit + 1) * sizeof **out);
	while (st == TN_OK && *count < limit) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		(*out)[(*count)++] = (struct tn_catalog_correction){
			.run = (uint64_t)sqlite3_column_int64(stmt, 0),
			.at_us = sqlite3_column_int64(stmt, 1),
			.view = (uint32_t)sqlite3_column_int64(stmt, 2),
			.time_us = sqlite3_column_int64(stmt, 3),
			.key = tn_catalog_text(stmt, 4, a),
			.column = tn_catalog_text(stmt, 5, a),
			.before = tn_catalog_text(stmt, 6, a),
			.after = tn_catalog_text(stmt, 7, a),
		};
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}
