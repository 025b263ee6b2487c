/* Runs (what the batch layer did, when and why, and of which view) and access
 * tokens: plain tables with nothing to derive. */
#include "catalog/catalog_int.h"

#include <string.h>

#define RUNS_KEPT 10000
#define TOKENS_MAX 10000

/* An INSERT or DELETE with RETURNING id; TN_ENOTFOUND when it did nothing. */
static enum tn_status
returned_id(struct tn_catalog *c, sqlite3_stmt *stmt, uint64_t *id)
{
	enum tn_status st = TN_OK;

	*id = 0;
	while (st == TN_OK) {
		st = tn_catalog_step(c, stmt);
		if (st == TN_OK)
			*id = (uint64_t)sqlite3_column_int64(stmt, 0);
	}
	if (st != TN_END)
		return st;
	return *id != 0 ? TN_OK : TN_ENOTFOUND;
}

enum tn_status
tn_catalog_run_begin(struct tn_catalog *c, const struct tn_catalog_run *run,
    uint64_t *id)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_begin(c);

	*id = 0;
	if (st != TN_OK)
		return st;
	st = tn_catalog_prepare(c, &stmt,
	    "INSERT INTO run (kind, reason, object, state, started_us,"
	    " ended_us, lsn_from, lsn_to, rows, files, detail)"
	    " VALUES (?, ?, ?, 0, ?, 0, ?, ?, 0, 0, '') RETURNING id",
	    "sssiii", run->kind, run->reason, run->object, run->started_us,
	    (int64_t)run->lsn_from, (int64_t)run->lsn_to);
	if (st == TN_OK)
		st = returned_id(c, stmt, id);
	tn_catalog_finish(c, stmt);
	if (st == TN_OK)
		st = tn_catalog_run(c, "DELETE FROM run WHERE id <= ?", "i",
		    (int64_t)*id - RUNS_KEPT);
	if (st == TN_OK)
		st = tn_catalog_run(c, "DELETE FROM run_view WHERE run <= ?",
		    "i", (int64_t)*id - RUNS_KEPT);
	return tn_catalog_end(c, st);
}

enum tn_status
tn_catalog_run_end(struct tn_catalog *c, uint64_t id,
    enum tn_catalog_run_state state, int64_t now_us, uint64_t rows,
    uint32_t files, const char *detail)
{
	return tn_catalog_run(c, "UPDATE run SET state = ?, ended_us = ?,"
	    " rows = ?, files = ?, detail = ? WHERE id = ?", "iiiisi",
	    (int64_t)state, now_us, (int64_t)rows, (int64_t)files,
	    detail != NULL ? detail : "", (int64_t)id);
}

enum tn_status
tn_catalog_runs_mend(struct tn_catalog *c, int64_t now_us)
{
	return tn_catalog_run(c, "UPDATE run SET state = 2, ended_us = ?,"
	    " detail = CASE kind WHEN 'backup' THEN 'the program ended while"
	    " this ran, or this folder was restored from what it made' ELSE"
	    " 'the program ended while this ran; nothing of it was published'"
	    " END WHERE state = 0", "i", now_us);
}

static void
read_run(sqlite3_stmt *stmt, struct tn_arena *a, struct tn_catalog_run *r)
{
	r->id = (uint64_t)sqlite3_column_int64(stmt, 0);
	r->kind = tn_catalog_text(stmt, 1, a);
	r->reason = tn_catalog_text(stmt, 2, a);
	r->object = tn_catalog_text(stmt, 3, a);
	r->state = (enum tn_catalog_run_state)sqlite3_column_int(stmt, 4);
	r->started_us = sqlite3_column_int64(stmt, 5);
	r->ended_us = sqlite3_column_int64(stmt, 6);
	r->lsn_from = (uint64_t)sqlite3_column_int64(stmt, 7);
	r->lsn_to = (uint64_t)sqlite3_column_int64(stmt, 8);
	r->rows = (uint64_t)sqlite3_column_int64(stmt, 9);
	r->files = (uint32_t)sqlite3_column_int64(stmt, 10);
	r->detail = tn_catalog_text(stmt, 11, a);
	r->changed = (uint64_t)sqlite3_column_int64(stmt, 12);
}

enum tn_status
tn_catalog_runs(struct tn_catalog *c, uint64_t before, uint32_t limit,
    struct tn_arena *a, struct tn_catalog_run **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st;

	if (limit > RUNS_KEPT)
		limit = RUNS_KEPT;
	*count = 0;
	*out = tn_arena_zalloc(a, (limit + 1) * sizeof **out);
	st = tn_catalog_prepare(c, &stmt, "SELECT id, kind, reason, object,"
	    " state, started_us, ended_us, lsn_from, lsn_to, rows, files,"
	    " detail, changed FROM run WHERE id < ? ORDER BY id DESC LIMIT ?", "ii",
	    before == 0 ? INT64_MAX : (int64_t)before, (int64_t)limit);
	while (st == TN_OK && *count < limit) {
		st = tn_catalog_step(c, stmt);
		if (st == TN_OK)
			read_run(stmt, a, &(*out)[(*count)++]);
	}
	tn_catalog_finish(c, stmt);
	return st == TN_END ? TN_OK : st;
}

/* ---- of views -------------------------------------------------------- */

enum tn_status
tn_catalog_run_views_note(struct tn_catalog *c,
    const struct tn_catalog_publication *p)
{
	enum tn_status st = TN_OK;

	for (uint32_t i = 0; st == TN_OK && i < p->run_view_count; i++) {
		const struct tn_catalog_run_view *x = &p->run_views[i];
		st = tn_catalog_run(c, "INSERT INTO run_view (run, view,"
		    " started_us, write_us, fold_us, rows, groups, files,"
		    " changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    "iiiiiiiii", (int64_t)p->run, (int64_t)x->view,
		    x->started_us, x->write_us, x->fold_us, x->rows,
		    (int64_t)x->groups, (int64_t)x->files,
		    (int64_t)x->changed);
	}
	return st;
}

static void
read_run_view(sqlite3_stmt *stmt, struct tn_arena *a,
    struct tn_catalog_run_view *x)
{
	*x = (struct tn_catalog_run_view){
		.run = (uint64_t)sqlite3_column_int64(stmt, 0),
		.view = (uint32_t)sqlite3_column_int64(stmt, 1),
		.name = tn_catalog_text(stmt, 2, a),
		.started_us = sqlite3_column_int64(stmt, 3),
		.write_us = sqlite3_column_int64(stmt, 4),
		.fold_us = sqlite3_column_int64(stmt, 5),
		.rows = sqlite3_column_int64(stmt, 6),
		.groups = (uint32_t)sqlite3_column_int64(stmt, 7),
		.files = (uint32_t)sqlite3_column_int64(stmt, 8),
		.changed = (uint64_t)sqlite3_column_int64(stmt, 9),
	};
}

enum tn_status
tn_catalog_run_views(struct tn_catalog *c, uint64_t from, uint64_t to,
    struct tn_arena *a, struct tn_catalog_run_view **out, uint32_t *count)
{
	struct tn_buf all = { 0 };
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt, "SELECT run, view,"
	    " name, started_us, write_us, fold_us, rows, groups, files,"
	    " changed FROM run_view JOIN object ON object.id = view"
	    " WHERE run BETWEEN ? AND ? ORDER BY run DESC, view", "ii",
	    (int64_t)from, (int64_t)to);

	while (st == TN_OK) {
		struct tn_catalog_run_view x;
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		read_run_view(stmt, a, &x);
		tn_buf_add(&all, &x, sizeof x);
	}
	tn_catalog_finish(c, stmt);
	*count = (uint32_t)(all.n / sizeof **out);
	*out = tn_catalog_list_end(&all, a, &st);
	return st == TN_END ? TN_OK : st;
}

/* ---- tokens ---------------------------------------------------------- */

enum tn_status
tn_catalog_token_add(struct tn_catalog *c, const struct tn_catalog_token *t,
    uint64_t *id)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "INSERT INTO token (name, scope, hash, created_us, expires_us,"
	    " used_us) SELECT ?, ?, ?, ?, ?, 0"
	    " WHERE (SELECT count(*) FROM token) < ? RETURNING id", "sssiii",
	    t->name, t->scope, t->hash, t->created_us, t->expires_us,
	    (int64_t)TOKENS_MAX);

	*id = 0;
	if (st == TN_OK)
		st = returned_id(c, stmt, id);
	tn_catalog_finish(c, stmt);
	return st == TN_ENOTFOUND ? TN_ELIMIT : st;
}

enum tn_status
tn_catalog_token_remove(struct tn_catalog *c, uint64_t id)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "DELETE FROM token WHERE id = ? RETURNING id", "i", (int64_t)id);
	uint64_t gone;

	if (st == TN_OK)
		st = returned_id(c, stmt, &gone);
	tn_catalog_finish(c, stmt);
	return st;
}

enum tn_status
tn_catalog_token_used(struct tn_catalog *c, uint64_t id, int64_t now_us)
{
	return tn_catalog_run(c, "UPDATE token SET used_us = ? WHERE id = ?",
	    "ii", now_us, (int64_t)id);
}

enum tn_status
tn_catalog_tokens(struct tn_catalog *c, struct tn_arena *a,
    struct tn_catalog_token **out, uint32_t *count)
{
	sqlite3_stmt *stmt = NULL;
	enum tn_status st = tn_catalog_prepare(c, &stmt,
	    "SELECT id, name, scope, hash, created_us, expires_us, used_us"
	    " FROM token ORDER BY id", "");
	uint32_t cap = 16;
	struct tn_catalog_token *list = tn_alloc(cap * sizeof *list);

	*count = 0;
	while (st == TN_OK && *count < TOKENS_MAX) {
		st = tn_catalog_step(c, stmt);
		if (st != TN_OK)
			break;
		if (*count == cap) {
			cap *= 2;
			list = tn_realloc(list, cap * sizeof *list);
		}
		list[(*count)++] = (struct tn_catalog_token){
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.name = tn_catalog_text(stmt, 1, a),
			.scope = tn_catalog_text(stmt, 2, a),
			.hash = tn_catalog_text(stmt, 3, a),
			.created_us = sqlite3_column_int64(stmt, 4),
			.expires_us = sqlite3_column_int64(stmt, 5),
			.used_us = sqlite3_column_int64(stmt, 6),
		};
	}
	tn_catalog_finish(c, stmt);
	*out = tn_arena_alloc(a, (*count + 1) * sizeof **out);
	memcpy(*out, list, *count * sizeof **out);
	tn_free(list);
	return st == TN_END ? TN_OK : st;
}
