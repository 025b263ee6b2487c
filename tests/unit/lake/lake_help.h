/* What the tests of the lake share: a folder of their own, random numbers,
 * and batches of (ts, n, s) whose rows tell where they came from. */
#ifndef TN_LAKE_HELP_H
#define TN_LAKE_HELP_H

#include <errno.h>

#include "folder.h"
#include "lake/lake.h"

#define DAY INT64_C(86400000000)

UNUSED static struct tn_lake *
open_lake(const char *dir)
{
	struct tn_lake *lake = NULL;
	struct tn_diag d = { .message = "" };

	assert_int_equal(tn_lake_open(&lake, dir, &d), TN_OK);
	return lake;
}

/* Plain files below a folder. */
UNUSED static uint32_t
count_files(const char *dir)
{
	char **names = NULL, path[600];
	size_t count = 0;
	uint32_t n = 0;

	assert_int_equal(tn_os_list(dir, &names, &count), TN_OK);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		n += tn_os_kind(path) == TN_OS_DIR ? count_files(path) : 1;
		tn_free(names[i]);
	}
	tn_free(names);
	return n;
}

/* ---- batches --------------------------------------------------------- */

static const struct tn_field three_fields[] = {
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
	{ "n", { .id = TN_T_INT8 }, false },
	{ "s", { .id = TN_T_TEXT }, false },
};
static const struct tn_schema three = { "three", 3, three_fields };

/* Rows of the given times; n counts from ${first}, s is n in words. */
UNUSED static struct tn_batch *
three_batch(const int64_t *ts, uint32_t count, int64_t first)
{
	struct tn_builder *b = tn_record_builder_new(&three, count);
	struct tn_batch *out;
	char text[32];

	for (uint32_t i = 0; i < count; i++) {
		int n = snprintf(text, sizeof text, "row %lld",
		    (long long)(first + i));
		tn_record_builder_i64(b, 0, ts[i]);
		tn_record_builder_i64(b, 1, first + i);
		tn_record_builder_text(b, 2, text, (size_t)n);
		tn_record_builder_row_end(b);
	}
	out = tn_record_builder_take(b);
	tn_record_builder_free(b);
	return out;
}

/* What a read gave, joined. */
struct seen {
	struct tn_batch *all;
	uint32_t calls;
	uint32_t stop_after;     /* 0: never. */
};

UNUSED static enum tn_status
see(void *arg, struct tn_batch *b)
{
	struct seen *s = arg;
	struct tn_batch *two[2] = { s->all, b }, *joined;

	joined = s->all == NULL ? tn_record_batch_concat(&b, 1) :
	    tn_record_batch_concat(two, 2);
	tn_record_batch_unref(s->all);
	s->all = joined;
	s->calls++;
	return s->calls == s->stop_after ? TN_END : TN_OK;
}

static inline int64_t
i64_at(const struct tn_batch *b, uint32_t col, uint32_t row)
{
	return ((const int64_t *)b->columns[col].values)[row];
}

#endif
