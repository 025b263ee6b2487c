/* The manifest of a backup: it comes back as it was written, and any damage
 * to it is seen. */
#include "test.h"

#include "backup/backup_int.h"

static void
fill(struct manifest *m, struct tn_buf *out)
{
	tn_backup_manifest_init(m);
	m->at_us = 1763750000000000;
	m->lsn = 4711;
	m->state = "state-0011223344556677";
	tn_backup_manifest_add(m, "lake/silver/b/date=2026-03-01/a.parquet",
	    UINT64_C(5) << 32, 0xdeadbeef);
	tn_backup_manifest_add(m, "state-0011223344556677/catalog.db", 4096,
	    1);
	tn_backup_manifest_add(m, "lake/bronze/a b/ü.parquet", 0, 0);
	tn_backup_manifest_sort(m);
	tn_backup_manifest_text(m, out);
}

static enum tn_status
parse(const void *p, size_t n, struct manifest *m)
{
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	tn_backup_manifest_init(m);
	st = tn_backup_manifest_parse(m, (struct tn_slice){ p, n }, &d);
	assert_true(st == TN_OK || d.message[0] != '\0');
	return st;
}

/* Goal: all that was written is read again, and found by its path. */
static void
comes_back(void **state)
{
	struct manifest m, back;
	struct tn_buf text = { 0 };
	const struct entry *e;

	(void)state;
	fill(&m, &text);
	assert_int_equal(parse(text.p, text.n, &back), TN_OK);
	assert_int_equal(back.at_us, m.at_us);
	assert_int_equal(back.lsn, 4711);
	assert_string_equal(back.state, m.state);
	assert_int_equal(back.count, 3);
	e = tn_backup_manifest_find(&back,
	    "lake/silver/b/date=2026-03-01/a.parquet");
	assert_non_null(e);
	assert_true(e->bytes == UINT64_C(5) << 32 && e->crc == 0xdeadbeef);
	assert_non_null(tn_backup_manifest_find(&back,
	    "lake/bronze/a b/ü.parquet"));
	assert_null(tn_backup_manifest_find(&back, "lake"));
	tn_backup_manifest_fini(&m);
	tn_backup_manifest_fini(&back);
	tn_buf_fini(&text);
}

/* Goal: cut at any byte, or with any bit turned, it is refused. */
static void
damage_is_seen(void **state)
{
	struct manifest m, back;
	struct tn_buf text = { 0 };

	(void)state;
	fill(&m, &text);
	for (size_t n = 0; n < text.n; n++) {
		assert_int_not_equal(parse(text.p, n, &back), TN_OK);
		tn_backup_manifest_fini(&back);
	}
	for (size_t i = 0; i < 8 * text.n; i++) {
		text.p[i / 8] ^= (uint8_t)(1 << i % 8);
		if (parse(text.p, text.n, &back) == TN_OK)
			fail_msg("bit %zu", i);
		tn_backup_manifest_fini(&back);
		text.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	tn_backup_manifest_fini(&m);
	tn_buf_fini(&text);
}

/* Goal: no path leads out of the folder, whoever made the manifest. */
static void
paths_stay_inside(void **state)
{
	static const char *const bad[] = { "/etc/passwd", "../x", "a/../b",
	    "a/..", "./a", "a//b", "a/" };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(bad); i++) {
		struct manifest m, back;
		struct tn_buf text = { 0 };

		tn_backup_manifest_init(&m);
		m.state = "state-1";
		tn_backup_manifest_add(&m, bad[i], 1, 1);
		tn_backup_manifest_text(&m, &text);
		if (parse(text.p, text.n, &back) == TN_OK)
			fail_msg("%s was taken", bad[i]);
		tn_backup_manifest_fini(&back);
		tn_backup_manifest_fini(&m);
		tn_buf_fini(&text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(damage_is_seen),
		cmocka_unit_test(paths_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
