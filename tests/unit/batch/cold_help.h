/* A rig with a cold folder, and a clock that the test owns. */
#ifndef TN_BATCH_COLD_HELP_H
#define TN_BATCH_COLD_HELP_H

#include "batch/compact_int.h"
#include "clock_help.h"

static char cold[100];

/* ${at}: what the clock says, as 2026-03-09T13:00:00Z. */
static void
cold_make(struct rig *g, const char *sql, const char *at)
{
	struct tn_diag d = { .line = 0 };
	char mark[100];
	struct tn_lake_cold_opts o = { cold, mark, NULL, 0 };
	int64_t us = 0;

	assert_true(tn_serving_time(tn_slice_of(at), &us));
	clock_begin(us);
	rig_make(g, sql);
	(void)snprintf(cold, sizeof cold, "%s/disk", g->dir);
	(void)snprintf(mark, sizeof mark, "%s/cold", g->dir);
	assert_int_equal(tn_os_mkdirs(cold), TN_OK);
	assert_int_equal(tn_lake_cold_open(g->lake, &o, &d), TN_OK);
}

/* Runs of that kind that failed; NULL: of any. */
static uint32_t
failed_runs(struct rig *g, const char *kind)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_run *runs;
	uint32_t count, n = 0;

	assert_int_equal(tn_catalog_runs(g->catalog, 0, 1000, a, &runs,
	    &count), TN_OK);
	for (uint32_t i = 0; i < count; i++)
		n += (kind == NULL || strcmp(runs[i].kind, kind) == 0) &&
		    runs[i].state == TN_RUN_FAILED;
	tn_arena_free(a);
	return n;
}

#endif
