#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch_help.h"

/* A load that brings a block whenever the cut looks for more. */
struct load {
	struct rig *g;
	struct tn_governance_reader *reader;
	uint32_t blocks, at;
	uint32_t rows_a_block;
	uint32_t marks;
	uint64_t ahead;              /* Of the log: what mark says too much. */
	struct tn_net_latch *done;
	struct tn_batch_report report;
};

static struct load *the_load;

/* As intake would have decoded it. */
static void
remember(struct load *l, uint64_t lsn)
{
	struct tn_arena *a = tn_arena_new(1 << 16);
	struct tn_governance_rows *r;
	struct tn_log_block b;
	struct tn_diag d = { .line = 0 };

	assert_int_equal(tn_log_read(l->g->log, lsn, a, &b, &d), TN_OK);
	assert_int_equal(tn_governance_reader_block(l->reader, &b, &r), TN_OK);
	r->said = NULL;
	tn_governance_recent_put(l->g->batch->o.recent, r);
	tn_governance_rows_unref(r);
	tn_arena_free(a);
}

/* Rows of three days, long enough for a frame of their own; every 50th is
 * bad, and one in 70 is marked as a duplicate by nobody: they are all new. */
static void
bring_block(struct load *l)
{
	struct tn_buf text = { 0 };

	for (uint32_t i = 0; i < l->rows_a_block; i++) {
		uint32_t n = l->at * l->rows_a_block + i;
		tn_buf_printf(&text, "{\"n\":%s%u,\"ts\":\"2026-03-%02uT00:"
		    "%02u:00Z\",\"more\":\"abcdefghijklmnopqrstuvwxyz-%u\"}\n",
		    n % 50 == 7 ? "\"x" : "", n, n % 3 + 1, n % 60, n * 7919);
	}
	append_text(l->g, 0, tn_buf_cstr(&text));
	l->at++;
	/* Some are there decoded, some are not. */
	if (l->at % 3 != 0)
		remember(l, tn_log_last(l->g->log));
	tn_buf_fini(&text);
}

static bool
loading(void *arg)
{
	struct load *l = the_load;

	(void)arg;
	if (l->at == l->blocks)
		return false;
	bring_block(l);
	return true;
}

static void
mark(void *speed, uint64_t *lsn, struct tn_serving_refs *refs)
{
	struct rig *g = speed;

	seal(speed, lsn, refs);
	g->seals--;
	the_load->marks++;
	*lsn += the_load->ahead;
}

static void
ended(void *arg, const struct tn_batch_report *r)
{
	struct load *l = arg;

	l->report = *r;
	memset(&l->report.text, 0, sizeof l->report.text);
	tn_net_latch_open(l->done);
}

static void
cut_for_rows(struct load *l)
{
	struct tn_batch_request q = { .kind = TN_BATCH_CUT, .reason = "rows",
	    .done = ended, .arg = l };

	l->done = tn_net_latch_new();
	assert_int_equal(tn_batch_post(l->g->batch, &q), TN_OK);
	tn_net_latch_wait(l->done);
	tn_net_latch_free(l->done);
}

static void
begin(struct load *l, struct rig *g)
{
	struct tn_batch_opts *o = &g->batch->o;

	l->g = g;
	l->reader = tn_governance_reader_new(g->model->streams,
	    g->model->stream_count);
	the_load = l;
	o->recent = tn_governance_recent_new(1 << 20);
	o->loading = loading;
	o->speed.mark = mark;
	o->follow_rows = 1000000;
	o->slice_rows = 4000;
}

static void
end(struct load *l)
{
	tn_governance_recent_free(l->g->batch->o.recent);
	l->g->batch->o.recent = NULL;
	tn_governance_reader_free(l->reader);
	rig_drop(l->g);
}

static uint64_t
rows_of(struct rig *g, enum tn_catalog_tier tier)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(g->catalog);
	uint64_t n = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		if (s->files[i].tier != tier)
			continue;
		n += s->files[i].rows;
		assert_int_equal(s->files[i].lsn_min, 1);
		assert_int_equal(s->files[i].lsn_max, s->lsn);
	}
	tn_catalog_snapshot_put(s);
	return n;
}

/* Goal: a cut along with a load takes what comes until the load ends, then
 * seals once and publishes all of it once; rows that intake decoded and rows
 * of the log make the same tables, as verify finds from the raw bytes. */
static void
goes_along(void **state)
{
	struct load l = { .blocks = 9, .rows_a_block = 2500 };
	struct rig g;

	(void)state;
	rig_make(&g, days_sql);
	begin(&l, &g);
	cut_for_rows(&l);
	assert_int_equal(l.report.status, TN_OK);
	assert_int_equal(l.report.rows, 9 * 2500);
	assert_int_equal(l.report.lsn, 9);
	assert_int_equal(g.seals, 1);
	assert_int_equal(g.told, 1);
	assert_true(l.marks >= 9);
	assert_int_equal(rows_of(&g, TN_TIER_BRONZE), 9 * 2500);
	assert_int_equal(rows_of(&g, TN_TIER_SILVER), 9 * 2500 - 9 * 50);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	assert_null(tn_governance_recent_take(g.batch->o.recent, 9));
	end(&l);
}

/* Goal: at follow_rows it seals, though the load goes on; the rest is the next
 * cut's, and no row is in both. */
static void
ends_at_its_rows(void **state)
{
	struct load l = { .blocks = 6, .rows_a_block = 2500 };
	struct rig g;

	(void)state;
	rig_make(&g, days_sql);
	begin(&l, &g);
	g.batch->o.follow_rows = 5000;
	cut_for_rows(&l);
	assert_int_equal(l.report.status, TN_OK);
	assert_int_equal(l.report.rows, 7500);      /* One came at the look. */
	while (l.at < l.blocks)
		bring_block(&l);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(g.told, 2);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	end(&l);
}

/* Goal: one that fails before the seal leaves nothing: no seal, no file, and the
 * next one takes all rows. */
static void
fails_before_the_seal(void **state)
{
	struct load l = { .blocks = 4, .rows_a_block = 2500, .ahead = 1 };
	struct rig g;
	char **names;
	size_t count;
	char path[100];

	(void)state;
	rig_make(&g, days_sql);
	begin(&l, &g);
	cut_for_rows(&l);
	assert_int_equal(l.report.status, TN_ENOTFOUND);
	assert_int_equal(g.seals, 0);
	assert_int_equal(g.unseals, 0);
	(void)snprintf(path, sizeof path, "%s/lake/bronze/ev/date=2026-03-06",
	    g.dir);
	assert_int_equal(tn_os_list(path, &names, &count), TN_OK);
	assert_int_equal(count, 0);
	tn_free(names);
	l.ahead = 0;
	while (l.at < l.blocks)
		bring_block(&l);
	assert_int_equal(run(&g, TN_BATCH_CUT), TN_OK);
	assert_int_equal(rows_of(&g, TN_TIER_BRONZE), 4 * 2500);
	assert_int_equal(run(&g, TN_BATCH_VERIFY), TN_OK);
	end(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_along),
		cmocka_unit_test(ends_at_its_rows),
		cmocka_unit_test(fails_before_the_seal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
