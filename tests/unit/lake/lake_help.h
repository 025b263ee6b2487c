/* What the tests of the lake share: a folder of their own, random numbers,
 * and batches of (ts, n, s) whose rows tell where they came from. */
#ifndef TN_LAKE_HELP_H
#define TN_LAKE_HELP_H

#include <errno.h>
#include <unistd.h>

#include "lake/lake.h"
#include "os/os.h"

#define UNUSED __attribute__((unused))
#define DAY INT64_C(86400000000)

static uint64_t random_state = 1;

UNUSED static uint64_t
random_u64(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

UNUSED static uint32_t
random_below(uint32_t n)
{
	return (uint32_t)(random_u64() % n);
}

UNUSED static void
random_start(void)
{
	const char *text = getenv("TARN_SEED");

	if (text != NULL)
		random_state = strtoull(text, NULL, 10);
	print_message("TARN_SEED=%llu\n", (unsigned long long)random_state);
}

/* ---- folders --------------------------------------------------------- */

UNUSED static int
folder_new(void **state)
{
	char *dir = tn_strdup("/tmp/tarn-lake-XXXXXX");

	*state = mkdtemp(dir);
	return *state == NULL;
}

UNUSED static int
folder_free(void **state)
{
	char command[200];
	int rc;

	tn_os_use(NULL);
	snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
	rc = system(command);
	tn_free(*state);
	return rc;
}

#define FOLDER_TEST(f) \
	cmocka_unit_test_setup_teardown(f, folder_new, folder_free)

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
