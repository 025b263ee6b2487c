/* catalog: definitions, publications, runs, tokens, values, versions of the
 * schema. */
#include "test.h"
#include "catalog_help.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* ---- definitions ----------------------------------------------------- */

/* Goal: a name and kind keep their number for ever; the version grows when,
 * and only when, the definition changes; all of it survives a restart. */
static void
define(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_catalog_object o, p;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_name *names;
	uint32_t count;

	assert_int_equal(tn_catalog_define(c, TN_CATALOG_STREAM, "badge",
	    "v1", NULL, &o), TN_OK);
	assert_int_equal(o.version, 1);
	assert_true(o.changed);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_STREAM, "badge",
	    "v1", "a comment", &p), TN_OK);
	assert_int_equal(p.id, o.id);
	assert_int_equal(p.version, 1);
	assert_false(p.changed);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "badge", "v1",
	    NULL, &p), TN_OK);
	assert_int_not_equal(p.id, o.id);
	tn_catalog_close(c);
	c = open_catalog(*state);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_STREAM, "badge",
	    "v2 'quoted' \xc3\xa4", NULL, &p), TN_OK);
	assert_int_equal(p.id, o.id);
	assert_int_equal(p.version, 2);
	assert_true(p.changed);
	/* Back to the first text is the first version, of a table. */
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_STREAM, "badge",
	    "v1", NULL, &p), TN_OK);
	assert_int_equal(p.version, 1);
	assert_true(p.changed);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_STREAM, "badge",
	    "v3", NULL, &p), TN_OK);
	assert_int_equal(p.version, 3);
	/* Of a view it is another one. */
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "badge", "v2",
	    NULL, &p), TN_OK);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "badge", "v1",
	    NULL, &p), TN_OK);
	assert_int_equal(p.version, 3);
	assert_int_equal(tn_catalog_names(c, a, &names, &count), TN_OK);
	assert_int_equal(count, 2);
	assert_string_equal(names[0].name, "badge");
	assert_int_equal(names[0].kind, TN_CATALOG_STREAM);
	assert_int_equal(names[1].kind, TN_CATALOG_VIEW);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* ---- files ----------------------------------------------------------- */

static void
same_file(const struct tn_catalog_file *a, const struct tn_catalog_file *b)
{
	assert_memory_equal(a, b, sizeof *a);
}

/* Goal: every number of a file comes back, sorted as promised, and find gives
 * just the run of a tier and object. */
static void
publish_and_find(void **state)
{
	enum { N = 40 };
	struct tn_catalog *c = open_catalog(*state);
	struct tn_catalog_file add[N];
	struct tn_catalog_publication p = { .lsn = 9, .now_us = 1234,
	    .add = add, .add_count = N };
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(c);

	assert_int_equal(s->count, 0);
	assert_int_equal(s->lsn, 0);
	tn_catalog_snapshot_put(s);
	for (uint32_t i = 0; i < N; i++)
		add[i] = make_file(i);
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	for (int again = 0; again < 2; again++) {
		s = tn_catalog_snapshot(c);
		assert_int_equal(s->count, N);
		assert_int_equal(s->lsn, 9);
		assert_int_equal(s->published_us, 1234);
		for (uint32_t i = 0; i < N; i++) {
			const struct tn_catalog_file *f = &s->files[i];
			same_file(f, &add[f->version]);
			uint32_t first, n = tn_catalog_snapshot_find(s,
			    f->tier, f->object, &first), want = 0;
			assert_true(i >= first && i < first + n);
			for (uint32_t k = 0; k < N; k++)
				want += add[k].tier == f->tier &&
				    add[k].object == f->object;
			assert_int_equal(n, want);
		}
		uint32_t first;
		assert_int_equal(tn_catalog_snapshot_find(s, TN_TIER_GOLD,
		    99, &first), 0);
		tn_catalog_snapshot_put(s);
		tn_catalog_close(c);
		c = open_catalog(*state);
	}
	tn_catalog_close(c);
}

/* Goal: the text of each version of a definition can be read, the newest by
 * itself; a name of another kind is unknown. */
static void
definitions_text(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_name name = { .kind = TN_CATALOG_VIEW, .name = "v" };
	struct tn_catalog_object o;
	const char *text;

	assert_int_equal(tn_catalog_defined(c, &name, 0, a, &o, &text),
	    TN_ENOTFOUND);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "v", "one",
	    NULL, &o), TN_OK);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "v", "two",
	    NULL, &o), TN_OK);
	assert_int_equal(tn_catalog_defined(c, &name, 0, a, &o, &text), TN_OK);
	assert_int_equal(o.version, 2);
	assert_string_equal(text, "two");
	assert_int_equal(tn_catalog_defined(c, &name, 1, a, &o, &text), TN_OK);
	assert_int_equal(o.version, 1);
	assert_string_equal(text, "one");
	assert_int_equal(tn_catalog_defined(c, &name, 3, a, &o, &text),
	    TN_ENOTFOUND);
	name.kind = TN_CATALOG_STREAM;
	assert_int_equal(tn_catalog_defined(c, &name, 0, a, &o, &text),
	    TN_ENOTFOUND);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* Goal: a publication with one bad part (a path that is taken) changes
 * nothing at all: files, drops, offsets, cut, run. */
static void
all_or_nothing(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_run run = { .kind = "cut", .reason = "timer",
	    .object = "" };
	struct tn_catalog_file add[2] = { make_file(2), make_file(1) };
	struct tn_catalog_offset *o, offset = { 7, 99 };
	const struct tn_catalog_snapshot *s;
	struct tn_catalog_run *runs;
	uint64_t id, run_id;
	uint32_t count;

	assert_int_equal(publish_one(c, 1, 0, &id), TN_OK);
	assert_int_equal(tn_catalog_run_begin(c, &run, &run_id), TN_OK);
	struct tn_catalog_publication p = { .lsn = 5, .add = add,
	    .add_count = 2, .drop = &id, .drop_count = 1, .offsets = &offset,
	    .offset_count = 1, .run = run_id };
	assert_int_equal(tn_catalog_publish(c, &p), TN_EEXIST);
	s = tn_catalog_snapshot(c);
	assert_int_equal(s->count, 1);
	assert_int_equal(s->lsn, 1);
	assert_int_equal(s->sequence, 1);
	tn_catalog_snapshot_put(s);
	assert_int_equal(tn_catalog_offsets(c, a, &o, &count), TN_OK);
	assert_int_equal(count, 1);
	assert_int_equal(o[0].next, 1);
	assert_int_equal(tn_catalog_runs(c, 0, 10, a, &runs, &count), TN_OK);
	assert_int_equal(runs[0].state, TN_RUN_RUNNING);
	/* The same without the bad part works. */
	p.add_count = 1;
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	s = tn_catalog_snapshot(c);
	assert_int_equal(s->count, 1);
	assert_string_equal(s->files[0].path, add[0].path);
	tn_catalog_snapshot_put(s);
	assert_int_equal(tn_catalog_runs(c, 0, 10, a, &runs, &count), TN_OK);
	assert_int_equal(runs[0].state, TN_RUN_DONE);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* ---- forgetting ------------------------------------------------------ */

/* Goal: a visible file cannot be forgotten. */
static void
forget_only_dropped(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	const struct tn_catalog_snapshot *s;
	uint64_t id;

	assert_int_equal(publish_one(c, 1, 0, &id), TN_OK);
	assert_int_equal(tn_catalog_forget(c, &id, 1), TN_OK);
	tn_catalog_close(c);
	c = open_catalog(*state);
	s = tn_catalog_snapshot(c);
	assert_int_equal(s->count, 1);
	/* A second reference keeps it after the first is put back. */
	assert_ptr_equal(tn_catalog_snapshot_again(s), s);
	tn_catalog_snapshot_put(s);
	assert_int_equal(s->files[0].id, id);
	tn_catalog_snapshot_put(s);
	tn_catalog_snapshot_put(NULL);
	tn_catalog_close(c);
}

/* ---- runs, tokens, values -------------------------------------------- */

/* Goal: runs are listed newest first, page by page; those a crash left
 * running become failed, once; only the last 10,000 are kept. */
static void
runs(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run r = { .kind = "cut", .reason = "rows",
	    .object = "v", .started_us = 5, .lsn_from = 1, .lsn_to = 2 };
	struct tn_catalog_run *list;
	struct tn_catalog_offset o = { 0, 0 };
	uint64_t id = 0, first = 0;
	uint32_t count;

	(void)o;
	for (int i = 0; i < 7; i++) {
		assert_int_equal(tn_catalog_run_begin(c, &r, &id), TN_OK);
		if (i == 0)
			first = id;
	}
	assert_int_equal(tn_catalog_run_end(c, id, TN_RUN_FAILED, 9, 3, 4,
	    "it's broken"), TN_OK);
	assert_int_equal(tn_catalog_runs(c, 0, 3, a, &list, &count), TN_OK);
	assert_int_equal(count, 3);
	assert_int_equal(list[0].id, id);
	assert_int_equal(list[0].state, TN_RUN_FAILED);
	assert_string_equal(list[0].detail, "it's broken");
	assert_int_equal(list[0].rows, 3);
	assert_int_equal(list[0].files, 4);
	assert_int_equal(list[1].state, TN_RUN_RUNNING);
	assert_int_equal(list[1].lsn_to, 2);
	assert_int_equal(tn_catalog_runs(c, list[2].id, 100, a, &list,
	    &count), TN_OK);
	assert_int_equal(count, 4);
	assert_int_equal(list[3].id, first);
	assert_int_equal(tn_catalog_runs(c, 0, 0, a, &list, &count), TN_OK);
	assert_int_equal(count, 0);
	assert_int_equal(tn_catalog_runs_mend(c, 77), TN_OK);
	assert_int_equal(tn_catalog_runs_mend(c, 78), TN_OK);
	assert_int_equal(tn_catalog_runs(c, 0, UINT32_MAX, a, &list, &count),
	    TN_OK);
	assert_int_equal(count, 7);
	for (uint32_t i = 1; i < count; i++) {
		assert_int_equal(list[i].state, TN_RUN_FAILED);
		assert_int_equal(list[i].ended_us, 77);
	}
	assert_int_equal(list[0].ended_us, 9);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* Goal: tokens are kept as given until they are removed; small values can be
 * set, changed and taken away; fields are reported once, at most 1000. */
static void
tokens_and_values(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_token t = { .name = "x';--", .scope = "read",
	    .hash = "00ff", .created_us = 1, .expires_us = 2 }, *list;
	struct tn_catalog_field *fields;
	const char *value;
	uint64_t one, two;
	uint32_t count;
	char name[32];
	bool fresh;

	assert_int_equal(tn_catalog_token_add(c, &t, &one), TN_OK);
	assert_int_equal(tn_catalog_token_add(c, &t, &two), TN_OK);
	assert_int_equal(tn_catalog_token_used(c, two, 33), TN_OK);
	assert_int_equal(tn_catalog_token_remove(c, one), TN_OK);
	assert_int_equal(tn_catalog_token_remove(c, one), TN_ENOTFOUND);
	assert_int_equal(tn_catalog_tokens(c, a, &list, &count), TN_OK);
	assert_int_equal(count, 1);
	assert_int_equal(list[0].id, two);
	assert_string_equal(list[0].name, "x';--");
	assert_int_equal(list[0].used_us, 33);

	assert_int_equal(tn_catalog_get(c, "k", a, &value), TN_ENOTFOUND);
	assert_int_equal(tn_catalog_set(c, "k", "1"), TN_OK);
	assert_int_equal(tn_catalog_set(c, "k", ""), TN_OK);
	assert_int_equal(tn_catalog_get(c, "k", a, &value), TN_OK);
	assert_string_equal(value, "");
	assert_int_equal(tn_catalog_set(c, "k", NULL), TN_OK);
	assert_int_equal(tn_catalog_get(c, "k", a, &value), TN_ENOTFOUND);

	assert_int_equal(tn_catalog_set(c, "begin", "BEGIN"), TN_OK);
	for (uint32_t i = 0; i < 1003; i++) {
		snprintf(name, sizeof name, "f%u", i);
		assert_int_equal(tn_catalog_unknown_field(c, 3, name, 1,
		    &fresh), TN_OK);
		assert_int_equal(fresh, i < 1000);
	}
	assert_int_equal(tn_catalog_unknown_field(c, 3, "f0", 1, &fresh),
	    TN_OK);
	assert_false(fresh);
	assert_int_equal(tn_catalog_unknown_field(c, 4, "f0", 1, &fresh),
	    TN_OK);
	assert_true(fresh);
	assert_int_equal(tn_catalog_unknown_fields(c, a, &fields, &count),
	    TN_OK);
	assert_int_equal(count, 1001);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* ---- corrections ----------------------------------------------------- */

static uint32_t
corrections(struct tn_catalog *c, struct tn_arena *a,
    struct tn_catalog_correction **out, int64_t from, int64_t to,
    uint32_t limit)
{
	struct tn_catalog_corrections_of q = { .view = 3, .from_us = from,
	    .to_us = to, .limit = limit };
	uint32_t count = 0;

	assert_int_equal(tn_catalog_corrections(c, &q, a, out, &count),
	    TN_OK);
	return count;
}

/* Publish ${n} corrections of view 3 and one of view 4 at ${now_us}. */
static void
publish_corrections(struct tn_catalog *c, uint32_t n, int64_t now_us,
    int64_t keep_us)
{
	struct tn_catalog_run run = { .kind = "cut", .reason = "timer",
	    .object = "" };
	struct tn_catalog_correction *x = tn_zalloc((n + 1) * sizeof *x);
	struct tn_catalog_publication p = { .now_us = now_us,
	    .corrections = x, .correction_count = n + 1,
	    .corrections_keep_us = keep_us, .run_changed = n };

	for (uint32_t i = 0; i <= n; i++)
		x[i] = (struct tn_catalog_correction){ .view = i < n ? 3 : 4,
		    .time_us = i == 0 ? INT64_MIN : (int64_t)i,
		    .key = "{\"k\":1}", .column = "n", .before = "1",
		    .after = "null" };
	assert_int_equal(tn_catalog_run_begin(c, &run, &p.run), TN_OK);
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	tn_free(x);
}

/* Goal: corrections come back with their run, of their view and time only,
 * newest first, up to the limit; old ones go when the publication says so; the
 * run tells how many rows changed. */
static void
corrections_kept(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_correction *x;
	struct tn_catalog_run *runs;
	uint32_t count;

	publish_corrections(c, 3, 1000, 50);
	assert_int_equal(corrections(c, a, &x, INT64_MIN, INT64_MAX, 9), 3);
	assert_int_equal(x[0].run, 1);
	assert_int_equal(x[0].at_us, 1000);
	assert_int_equal(x[0].time_us, 2);
	assert_int_equal(x[2].time_us, 1000);    /* No bucket. */
	assert_string_equal(x[0].key, "{\"k\":1}");
	assert_string_equal(x[0].column, "n");
	assert_string_equal(x[0].before, "1");
	assert_string_equal(x[0].after, "null");
	assert_int_equal(corrections(c, a, &x, 1, 2, 9), 1);
	assert_int_equal(x[0].time_us, 1);
	assert_int_equal(corrections(c, a, &x, 1, INT64_MAX, 2), 2);
	assert_int_equal(corrections(c, a, &x, 3, 3, 9), 0);
	assert_int_equal(tn_catalog_runs(c, 0, 9, a, &runs, &count), TN_OK);
	assert_int_equal(runs[0].changed, 3);
	publish_corrections(c, 1, 1050, 50);
	assert_int_equal(corrections(c, a, &x, INT64_MIN, INT64_MAX, 9), 4);
	assert_int_equal(x[0].run, 2);
	publish_corrections(c, 1, 1051, 50);
	assert_int_equal(corrections(c, a, &x, INT64_MIN, INT64_MAX, 9), 2);
	assert_int_equal(x[1].run, 2);
	publish_corrections(c, 99999, 1052, 1000000);
	assert_int_equal(corrections(c, a, &x, INT64_MIN, INT64_MAX,
	    UINT32_MAX), 99999);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* Goal: the time of a cut is that of its first publication, not that of a
 * compaction or recompute after it, also after a restart. */
static void
time_of_cut(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_catalog_publication p = { .lsn = 5, .now_us = 100 };
	const struct tn_catalog_snapshot *s;

	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	p.now_us = 200;
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	for (int again = 0; again < 2; again++) {
		s = tn_catalog_snapshot(c);
		assert_int_equal(s->published_us, 200);
		assert_int_equal(s->cut_us, 100);
		tn_catalog_snapshot_put(s);
		tn_catalog_close(c);
		c = open_catalog(*state);
	}
	p.lsn = 6;
	p.now_us = 300;
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	s = tn_catalog_snapshot(c);
	assert_int_equal(s->cut_us, 300);
	tn_catalog_snapshot_put(s);
	tn_catalog_close(c);
}

/* ---- other files ----------------------------------------------------- */

static void
bytes_of(const char *dir, struct tn_buf *b)
{
	tn_buf_clear(b);
	assert_int_equal(tn_os_read_file(db_path(dir), b, 1 << 24), TN_OK);
}

static void
refused(const char *dir, enum tn_status want, const char *code)
{
	struct tn_buf before = { 0 }, after = { 0 };
	struct tn_diag d = { .message = "of before" };
	struct tn_catalog *c;

	bytes_of(dir, &before);
	assert_int_equal(tn_catalog_open(&c, db_path(dir), &d), want);
	assert_null(c);
	assert_string_equal(d.code, code);
	bytes_of(dir, &after);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.p, after.p, before.n);
	tn_buf_fini(&before);
	tn_buf_fini(&after);
}

/* Goal: a newer schema, another program's database and plain rubbish are
 * refused with words and left as they were. */
static void
foreign_files(void **state)
{
	run_sql(*state, "CREATE TABLE theirs (x); PRAGMA user_version = 99;");
	refused(*state, TN_EUNSUPPORTED, "newer_catalog");
	run_sql(*state, "PRAGMA user_version = 0;");
	refused(*state, TN_EUNSUPPORTED, "not_a_catalog");
	assert_int_equal(tn_os_write_file(db_path(*state), "rubbish, "
	    "but long enough to be looked at ........................"
	    "..................................................", 100, 0600),
	    TN_OK);
	refused(*state, TN_ECORRUPT, "catalog");
}

static int64_t
version_of(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int64_t v;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1,
	    &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	v = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return v;
}

/* Goal: who only looks at a catalog of before leaves every byte of it to the
 * Tarn that made it, and so does a copy; who opens it brings it up to date. */
static void
looked_at(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_catalog_run r = { .kind = "cut", .reason = "", .object = "" };
	const struct tn_catalog_snapshot *s;
	struct tn_buf before = { 0 }, after = { 0 };
	struct tn_diag d = { .message = "" };
	struct tn_arena *a = tn_arena_new(1000);
	const char *text = NULL;
	char copy[320];
	uint64_t id;

	snprintf(copy, sizeof copy, "%s/copy.db", (const char *)*state);
	assert_int_equal(tn_catalog_set(c, "k", "v"), TN_OK);
	tn_catalog_close(c);
	run_sql(*state, "DROP TABLE run_view; PRAGMA user_version = 8;");
	bytes_of(*state, &before);
	assert_int_equal(tn_catalog_look(&c, db_path(*state), &d), TN_OK);
	assert_int_equal(tn_catalog_get(c, "k", a, &text), TN_OK);
	assert_string_equal(text, "v");
	assert_int_equal(tn_catalog_run_begin(c, &r, &id), TN_OK);
	assert_int_equal(tn_catalog_copy(c, copy, &s), TN_OK);
	tn_catalog_snapshot_put(s);
	tn_catalog_close(c);
	bytes_of(*state, &after);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.p, after.p, before.n);
	assert_int_equal(version_of(copy), 8);
	tn_catalog_close(open_catalog(*state));
	assert_true(version_of(db_path(*state)) > 8);
	tn_buf_fini(&before);
	tn_buf_fini(&after);
	tn_arena_free(a);
}

/* Goal: the database is not readable for other users, and neither is its
 * WAL. */
static void
mode_of_file(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	char path[320];
	struct stat info;

	assert_int_equal(tn_catalog_set(c, "k", "v"), TN_OK);
	assert_int_equal(stat(db_path(*state), &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	snprintf(path, sizeof path, "%s-wal", db_path(*state));
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	tn_catalog_close(c);
}

/* ---- damage ---------------------------------------------------------- */

/* Change the database behind the catalog's back. */
static void
tamper(const char *dir, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(db_path(dir), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Goal: what answers depend on can not change unseen: a changed path, number,
 * name or cut is refused at the next open with the file's name, and once it
 * is put back the catalog opens. */
static void
sealed(void **state)
{
	static const char *const changes[][2] = {
		{ "UPDATE file SET path = path || 'x'",
		  "UPDATE file SET path = substr(path, 1, length(path) - 1)" },
		{ "UPDATE file SET crc = crc + 1", "UPDATE file SET crc = crc - 1" },
		{ "UPDATE cut SET lsn = lsn + 1", "UPDATE cut SET lsn = lsn - 1" },
		{ "UPDATE stream_offset SET next = next + 8",
		  "UPDATE stream_offset SET next = next - 8" },
		{ "UPDATE object SET name = 'bodge'",
		  "UPDATE object SET name = 'badge'" },
		{ "UPDATE definition SET text = 'V1'",
		  "UPDATE definition SET text = 'v1'" },
	};
	struct tn_catalog_file f = { .tier = TN_TIER_SILVER, .object = 1,
	    .version = 1, .path = "silver/badge/1.parquet", .rows = 5 };
	struct tn_catalog_offset o = { 1, 77 };
	struct tn_catalog_publication p = { .lsn = 9, .now_us = 1, .add = &f,
	    .add_count = 1, .offsets = &o, .offset_count = 1 };
	struct tn_catalog *c = open_catalog(*state);
	struct tn_catalog_object x;

	assert_int_equal(tn_catalog_define(c, TN_CATALOG_STREAM, "badge",
	    "v1", NULL, &x), TN_OK);
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	tn_catalog_close(c);
	for (size_t i = 0; i < TN_COUNT(changes); i++) {
		struct tn_diag d = { .message = "" };

		tamper(*state, changes[i][0]);
		assert_int_equal(tn_catalog_open(&c, db_path(*state), &d),
		    TN_ECORRUPT);
		assert_string_equal(d.code, "catalog_damaged");
		assert_non_null(strstr(d.message, db_path(*state)));
		tamper(*state, changes[i][1]);
		tn_catalog_close(open_catalog(*state));
	}
	/* A catalog of before the seal opens, and gets one. */
	tamper(*state, "DELETE FROM value WHERE key = 'seal_sum'");
	c = open_catalog(*state);
	p.lsn = 10;
	p.add_count = 0;
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	tn_catalog_close(c);
	tamper(*state, "UPDATE file SET rows = 6");
	assert_int_equal(tn_catalog_open(&c, db_path(*state), NULL),
	    TN_ECORRUPT);
}

/* Goal: a copy opens as the catalog it was made of, at the snapshot that was
 * said, only its owner may read it, and the original goes on. */
static void
copied(void **state)
{
	struct tn_catalog *c = open_catalog(*state), *d = NULL;
	const struct tn_catalog_snapshot *s, *t;
	struct tn_diag diag = { .message = "" };
	struct stat info;
	char path[300];
	uint64_t id;

	for (uint32_t n = 1; n < 30; n++)
		assert_int_equal(publish_one(c, n, 0, &id), TN_OK);
	snprintf(path, sizeof path, "%s/copy.db", (const char *)*state);
	assert_int_equal(tn_catalog_copy(c, path, &s), TN_OK);
	assert_int_equal(publish_one(c, 30, id, &id), TN_OK);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(tn_catalog_open(&d, path, &diag), TN_OK);
	t = tn_catalog_snapshot(d);
	assert_int_equal(t->sequence, s->sequence);
	assert_int_equal(t->lsn, 29);
	assert_int_equal(t->count, s->count);
	for (uint32_t i = 0; i < t->count; i++)
		assert_string_equal(t->files[i].path, s->files[i].path);
	tn_catalog_snapshot_put(t);
	tn_catalog_snapshot_put(s);
	tn_catalog_close(d);
	tn_catalog_close(c);
}

/* Goal: what a run made of views is there when its publication is, by run and
 * view, with the view's name; not known stays not known; all or nothing; and it
 * goes with the run. */
static void
runs_of_views(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run r = { .kind = "cut", .reason = "rows",
	    .object = "", .started_us = 5 };
	struct tn_catalog_object v, w;
	struct tn_catalog_run_view *list, made[2];
	struct tn_catalog_publication p = { .lsn = 1, .now_us = 9,
	    .run_views = made, .run_view_count = 2 };
	uint64_t id = 0;
	uint32_t count;

	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "visits", "d",
	    NULL, &v), TN_OK);
	assert_int_equal(tn_catalog_define(c, TN_CATALOG_VIEW, "hours", "d",
	    NULL, &w), TN_OK);
	made[0] = (struct tn_catalog_run_view){ .view = w.id,
	    .started_us = 6, .write_us = 7, .fold_us = -1, .rows = -1,
	    .groups = 4, .files = 2, .changed = 3 };
	made[1] = made[0];
	made[1].view = v.id;
	made[1].rows = INT64_C(1) << 40;
	made[1].fold_us = 11;
	assert_int_equal(tn_catalog_run_begin(c, &r, &id), TN_OK);
	p.run = id;
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	assert_int_equal(tn_catalog_run_views(c, id, id, a, &list, &count),
	    TN_OK);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].name, "visits");
	assert_true(list[0].rows == INT64_C(1) << 40);
	assert_int_equal(list[0].fold_us, 11);
	assert_string_equal(list[1].name, "hours");
	assert_true(list[1].rows == -1 && list[1].fold_us == -1);
	assert_int_equal(list[1].run, id);
	assert_int_equal(list[1].started_us, 6);
	assert_int_equal(list[1].write_us, 7);
	assert_int_equal(list[1].groups, 4);
	assert_int_equal(list[1].files, 2);
	assert_int_equal(list[1].changed, 3);
	assert_int_equal(tn_catalog_run_views(c, id + 1, UINT32_MAX, a, &list,
	    &count), TN_OK);
	assert_int_equal(count, 0);
	/* One view twice is refused, and with it all. */
	made[1].view = w.id;
	assert_int_equal(tn_catalog_run_begin(c, &r, &p.run), TN_OK);
	p.lsn = 2;
	assert_int_not_equal(tn_catalog_publish(c, &p), TN_OK);
	assert_int_equal(tn_catalog_run_views(c, p.run, p.run, a, &list,
	    &count), TN_OK);
	assert_int_equal(count, 0);
	tn_catalog_close(c);
	/* The 10,000th run after it: it is gone, as the run is. */
	run_sql(*state, "UPDATE sqlite_sequence SET seq = 10000"
	    " WHERE name = 'run'");
	c = open_catalog(*state);
	assert_int_equal(tn_catalog_run_begin(c, &r, &id), TN_OK);
	assert_int_equal(tn_catalog_run_views(c, 0, UINT32_MAX, a, &list,
	    &count), TN_OK);
	assert_int_equal(count, 0);
	tn_arena_free(a);
	tn_catalog_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(copied),
		FOLDER_TEST(sealed),
		FOLDER_TEST(define),
		FOLDER_TEST(publish_and_find),
		FOLDER_TEST(definitions_text),
		FOLDER_TEST(all_or_nothing),
		FOLDER_TEST(forget_only_dropped),
		FOLDER_TEST(runs),
		FOLDER_TEST(runs_of_views),
		FOLDER_TEST(tokens_and_values),
		FOLDER_TEST(corrections_kept),
		FOLDER_TEST(time_of_cut),
		FOLDER_TEST(foreign_files),
		FOLDER_TEST(looked_at),
		FOLDER_TEST(mode_of_file),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
