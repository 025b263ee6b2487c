/* The hash chain of bronze: whatever is done to a file of raw bytes in the
 * middle, verify names it, also when the catalog's checksum is made to fit;
 * compaction and retention keep the chain whole. */
#include "test.h"

#include "clock_help.h"

#define BEGIN INT64_C(1772800000000000)  /* 2026-03-06 12:26:40 */

static const char sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts');"
    "CREATE MATERIALIZED VIEW hours AS SELECT date_trunc('hour', ts) AS h,"
    " count(*) AS n FROM ev GROUP BY h;";
static const char kept_sql[] =
    "CREATE TABLE ev (n int8 PRIMARY KEY, ts timestamptz NOT NULL)"
    " WITH (event_time = 'ts', retention = '2 days',"
    " bronze_retention = '3 days');"
    "CREATE MATERIALIZED VIEW hours AS SELECT date_trunc('hour', ts) AS h,"
    " count(*) AS n FROM ev GROUP BY h;";

static void
make(struct rig *g, const char *text)
{
	clock_begin(BEGIN);
	rig_make(g, text);
}

/* Ten rows of now, and a cut: a bronze file. */
static void
cut(struct rig *g)
{
	struct tn_buf text = { 0 };
	uint32_t in_day = (uint32_t)(wall % DAY / 1000000);

	for (uint32_t i = 0; i < 10; i++)
		tn_buf_printf(&text, "{\"n\":%u,\"ts\":\"2026-03-%02uT"
		    "%02u:%02u:%02uZ\"}\n", g->rows++, 6 + (unsigned)
		    (wall / DAY - BEGIN / DAY), in_day / 3600,
		    in_day / 60 % 60, in_day % 60);
	g->received_us = wall;
	append_text(g, 0, tn_buf_cstr(&text));
	tn_buf_fini(&text);
	assert_int_equal(run(g, TN_BATCH_CUT), TN_OK);
	pass(MINUTE);
}

/* What verify says; its text is the caller's. */
static enum tn_status
verify(struct rig *g, const struct tn_batch_request *more,
    struct tn_buf *text)
{
	struct tn_batch_request q = *more;
	struct tn_batch_report r;
	enum tn_status st;

	q.kind = TN_BATCH_VERIFY;
	q.reason = "request";
	memset(&r, 0, sizeof r);
	st = tn_batch_run(g->batch, &q, &r);
	tn_buf_fini(text);
	*text = r.text;
	return st;
}

static const struct tn_batch_request all = { .kind = TN_BATCH_VERIFY };

static void
assert_clean(struct rig *g)
{
	struct tn_buf text = { 0 };
	enum tn_status st = verify(g, &all, &text);

	if (st != TN_OK)
		print_message("%s", tn_buf_cstr(&text));
	assert_int_equal(st, TN_OK);
	assert_null(strstr(tn_buf_cstr(&text), "UNSEALED"));
	tn_buf_fini(&text);
}

/* It names the file, by one of the words. */
static void
assert_named(struct rig *g, const char *path, const char *words)
{
	struct tn_buf text = { 0 };
	enum tn_status st = verify(g, &all, &text);
	bool named = false;

	for (const char *p = tn_buf_cstr(&text); *p != '\0';
	    p += strcspn(p, "\n") + 1) {
		char *line = strndup(p, strcspn(p, "\n"));
		named = named || (strncmp(line, "DIFFERENT", 9) == 0 &&
		    strstr(line, path) != NULL && strstr(line, words) !=
		    NULL);
		free(line);
	}
	if (!named)
		print_message("not named: %s (%s)\n%s", path, words,
		    tn_buf_cstr(&text));
	assert_int_equal(st, TN_ECONFLICT);
	assert_true(named);
	tn_buf_fini(&text);
}

/* The bronze file number ${i} in order of LSN. */
static struct tn_catalog_file
bronze(struct rig *g, uint32_t i, uint32_t *count)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    g->catalog);
	uint32_t first, n = tn_catalog_snapshot_find(s, TN_TIER_BRONZE,
	    g->model->streams[0].id, &first);
	struct tn_catalog_file f = { .id = 0 };

	if (count != NULL)
		*count = n;
	for (uint32_t k = first; k < first + n; k++) {
		uint32_t before = 0;
		for (uint32_t j = first; j < first + n; j++)
			before += s->files[j].lsn_min < s->files[k].lsn_min;
		if (before == i)
			f = s->files[k];
	}
	tn_catalog_snapshot_put(s);
	return f;
}

static void
shell(const char *fmt, ...)
{
	char command[1000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* The catalog says what the file is now, as one would make it say who can write
 * both: its row is taken out, and put in again. */
static void
fit_catalog(struct rig *g, const struct tn_catalog_file *f, bool gone)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_file now = *f, *files = NULL;
	uint32_t count = 0;
	struct tn_catalog_publication out = { .lsn = tn_log_last(g->log),
	    .now_us = wall, .drop = &f->id, .drop_count = 1 };
	struct tn_catalog_publication in = { .lsn = tn_log_last(g->log),
	    .now_us = wall, .add = &now, .add_count = 1 };

	assert_int_equal(tn_catalog_publish(g->catalog, &out), TN_OK);
	if (!gone) {
		assert_int_equal(tn_catalog_garbage(g->catalog,
		    &(struct tn_catalog_old){ wall + DAY, 0, NULL }, a, &files,
		    &count), TN_OK);
		assert_int_equal(tn_catalog_forget(g->catalog, &f->id, 1),
		    TN_OK);
		assert_int_equal(tn_lake_check(g->lake, f->path, &now.crc,
		    &now.bytes), TN_OK);
		assert_int_equal(tn_catalog_publish(g->catalog, &in), TN_OK);
	}
	tn_arena_free(a);
}

/* One byte in the middle of its first page is another. */
static void
alter(struct rig *g, const struct tn_catalog_file *f)
{
	shell("printf '\\377' | dd of=%s/lake/%s bs=1 seek=60 conv=notrunc "
	    "status=none", g->dir, f->path);
}

/* Goal: a chain of cuts is clean; a byte of a file in the middle, a file that
 * is gone with its row, two that were swapped, and one from another
 * installation are named though the catalog's row fits. */
static void
cuts_are_chained(void **state)
{
	struct rig g, other;
	struct tn_catalog_file a, b, x;
	uint32_t count;

	(void)state;
	for (uint32_t what = 0; what < 5; what++) {
		make(&other, sql);
		cut(&other);
		cut(&other);
		x = bronze(&other, 1, NULL);
		shell("cp %s/lake/%s %s.foreign", other.dir, x.path,
		    other.dir);
		drop(&other);
		make(&g, sql);
		cut(&g);
		cut(&g);
		assert_clean(&g);
		rig_close(&g);           /* The chain outlives the program. */
		rig_open(&g);
		pass(DAY);
		cut(&g);
		pass(DAY);
		cut(&g);
		assert_clean(&g);
		a = bronze(&g, 1, NULL);
		b = bronze(&g, 2, NULL);
		switch (what) {
		case 0:
			alter(&g, &a);
			assert_named(&g, a.path, "checksum");
			fit_catalog(&g, &a, false);
			assert_named(&g, a.path, "altered or swapped");
			break;
		case 1:
			shell("rm %s/lake/%s", g.dir, a.path);
			assert_named(&g, a.path, "file");
			fit_catalog(&g, &a, true);
			assert_named(&g, b.path, "missing");
			break;
		case 2:
			shell("cd %s/lake && mv %s x && mv %s %s && mv x %s",
			    g.dir, a.path, b.path, a.path, b.path);
			fit_catalog(&g, &a, false);
			fit_catalog(&g, &b, false);
			assert_named(&g, a.path, "altered or swapped");
			break;
		case 3:
			shell("cp %s.foreign %s/lake/%s", other.dir, g.dir,
			    a.path);
			fit_catalog(&g, &a, false);
			assert_named(&g, a.path, "altered or swapped");
			break;
		default:                 /* The newest: named by no file. */
			(void)bronze(&g, 0, &count);
			b = bronze(&g, count - 1, NULL);
			alter(&g, &b);
			fit_catalog(&g, &b, false);
			assert_named(&g, b.path, "altered");
			break;
		}
		shell("rm %s.foreign", other.dir);
		drop(&g);
	}
}

/* Goal: after many cuts and merges, also of merged files, the chain is whole;
 * a merged file that is altered with its row is named by a later file's seal;
 * a first file that is gone is missed. */
static void
merges_keep_the_chain(void **state)
{
	struct rig g;
	struct tn_catalog_file f = { .id = 0 };
	struct tn_batch_links l;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_diag d = { .line = 0 };
	uint32_t count = 0;

	(void)state;
	for (uint32_t what = 0; what < 2; what++) {
		make(&g, sql);
		for (uint32_t i = 0; i < 40; i++) {
			cut(&g);
			if (i % 7 == 0)
				assert_clean(&g);
			if (i % 13 == 12)
				pass(DAY);
		}
		(void)bronze(&g, 0, &count);
		assert_in_range(count, 4, 12);   /* They were merged. */
		f = bronze(&g, 0, NULL);
		assert_int_equal(tn_batch_chain_read(g.lake, &f, a, &l, &d),
		    TN_OK);
		assert_true(l.merged);
		assert_int_equal(l.count, 1);    /* One stretch. */
		assert_string_equal(l.all[0].prev, "");
		if (what == 0) {
			alter(&g, &f);
			fit_catalog(&g, &f, false);
			assert_named(&g, f.path, "altered");
		} else {
			shell("rm %s/lake/%s", g.dir, f.path);
			fit_catalog(&g, &f, true);
			f = bronze(&g, 0, NULL);
			assert_named(&g, f.path, "files are missing");
		}
		drop(&g);
	}
	tn_arena_free(a);
}

/* Goal: compaction hides nothing: of files of which one was altered before they
 * were merged it makes one that says where the chain breaks. */
static void
merges_hide_nothing(void **state)
{
	struct rig g;
	struct tn_catalog_file a, f;
	uint32_t count;

	(void)state;
	make(&g, sql);
	cut(&g);
	cut(&g);
	f = bronze(&g, 1, &count);
	assert_int_equal(count, 2);
	/* As many rows, but those of the first file. */
	a = bronze(&g, 0, NULL);
	shell("cp %s/lake/%s %s/lake/%s", g.dir, a.path, g.dir, f.path);
	fit_catalog(&g, &f, false);
	for (uint32_t i = 0; i < 6; i++)
		cut(&g);
	f = bronze(&g, 0, &count);
	assert_true(count < 8);
	assert_named(&g, f.path, "did not follow one another");
	drop(&g);
}

/* Goal: where the clock stepped back over midnight the files of a day are not
 * neighbours; merged, they are still one chain. */
static void
the_clock_steps_back(void **state)
{
	struct rig g;

	(void)state;
	make(&g, sql);
	for (uint32_t i = 0; i < 24; i++) {
		cut(&g);
		wall += i % 2 == 0 ? DAY : -DAY;
	}
	assert_clean(&g);
	drop(&g);
}

/* Goal: retention takes files from the front, the chain goes on; a file gone
 * without it is still missed. */
static void
retention_shortens_it(void **state)
{
	struct rig g;
	struct tn_catalog_file first, f;

	(void)state;
	make(&g, kept_sql);
	for (uint32_t i = 0; i < 30; i++) {
		cut(&g);
		if (i == 2)
			first = bronze(&g, 0, NULL);
		pass(DAY / 3);
		assert_clean(&g);
	}
	f = bronze(&g, 0, NULL);
	assert_true(f.lsn_min > first.lsn_max);
	pass(30 * DAY);                  /* Every file goes. */
	cut(&g);
	cut(&g);
	assert_clean(&g);
	cut(&g);
	assert_clean(&g);
	drop(&g);
	make(&g, kept_sql);
	for (uint32_t i = 0; i < 14; i++) {
		cut(&g);
		pass(DAY / 2);
	}
	assert_clean(&g);
	f = bronze(&g, 0, NULL);
	assert_true(f.lsn_min > 1);      /* Some are gone. */
	shell("rm %s/lake/%s", g.dir, f.path);
	fit_catalog(&g, &f, true);
	f = bronze(&g, 0, NULL);
	assert_named(&g, f.path, "files are missing");
	drop(&g);
}

static uint32_t
lines_with(const struct tn_buf *text, const char *word)
{
	uint32_t n = 0;

	for (const char *p = tn_buf_cstr((struct tn_buf *)text);
	    (p = strstr(p, word)) != NULL; p++)
		n++;
	return n;
}

/* Goal: a sample reads fewer files and compares fewer buckets, the same ones
 * with the same seed; samples of all seeds together find a lost day; details
 * name every bucket. */
static void
a_share_is_compared(void **state)
{
	struct rig g;
	struct tn_batch_request q = { .details = TN_BATCH_BUCKETS };
	struct tn_buf text = { 0 }, again = { 0 };
	const struct tn_catalog_snapshot *s;
	struct tn_catalog_file gold = { .id = 0 };
	uint32_t first, found = 0, clean = 0;

	(void)state;
	make(&g, sql);
	for (uint32_t i = 0; i < 20; i++) {
		cut(&g);
		pass(DAY);
	}
	assert_int_equal(verify(&g, &q, &text), TN_OK);
	assert_int_equal(lines_with(&text, "view hours: 2026-03-"), 20);
	q.sample = 0.1;
	q.seed = 7;
	assert_int_equal(verify(&g, &q, &text), TN_OK);
	assert_non_null(strstr(tn_buf_cstr(&text), "seed=7\n"));
	assert_in_range(lines_with(&text, "view hours: 2026-03-"), 1, 15);
	assert_null(strstr(tn_buf_cstr(&text), "20 of 20 bronze"));
	assert_int_equal(verify(&g, &q, &again), TN_OK);
	assert_string_equal(tn_buf_cstr(&text), tn_buf_cstr(&again));
	q.sample = 0.3;
	/* A day of gold is lost. */
	s = tn_catalog_snapshot(g.catalog);
	(void)tn_catalog_snapshot_find(s, TN_TIER_GOLD, g.model->views[0].id,
	    &first);
	gold = s->files[first + 4];
	tn_catalog_snapshot_put(s);
	fit_catalog(&g, &gold, true);
	for (q.seed = 1; q.seed < 30; q.seed++) {
		enum tn_status st = verify(&g, &q, &text);
		found += st == TN_ECONFLICT;
		clean += st == TN_OK;
		if (st == TN_ECONFLICT)
			assert_non_null(strstr(tn_buf_cstr(&text),
			    gold.partition));
	}
	assert_true(found > 2 && clean > 2);
	tn_buf_fini(&text);
	tn_buf_fini(&again);
	drop(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_are_chained),
		cmocka_unit_test(merges_keep_the_chain),
		cmocka_unit_test(merges_hide_nothing),
		cmocka_unit_test(the_clock_steps_back),
		cmocka_unit_test(retention_shortens_it),
		cmocka_unit_test(a_share_is_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
