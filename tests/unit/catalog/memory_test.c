/* wrap: realloc */
/* catalog: what it says when memory is out for a list. */
#include "test.h"
#include "catalog_help.h"

static int fail_at;              /* The so-manyth larger one; 0: none. */

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *
__wrap_realloc(void *p, size_t n)
{
	/* Smaller ones end the process. */
	if (n > 4096 && fail_at > 0 && --fail_at == 0)
		return NULL;
	return __real_realloc(p, n);
}

/* Goal: a list of offsets that memory was out for is none: a stream that is
 * missing in it would be given its offsets twice. */
static void
lost_rows(void **state)
{
	enum { STREAMS = 3000 };
	struct tn_catalog *c = open_catalog(*state);
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_offset *offsets = tn_alloc(STREAMS *
	    sizeof *offsets), *o;
	struct tn_catalog_publication p = { .lsn = 1, .offsets = offsets,
	    .offset_count = STREAMS };
	uint32_t count, failed = 0;

	for (uint32_t i = 0; i < STREAMS; i++)
		offsets[i] = (struct tn_catalog_offset){ i + 1, i * 7ul };
	assert_int_equal(tn_catalog_publish(c, &p), TN_OK);
	for (int i = 1; i < 100; i++) {
		enum tn_status st;
		fail_at = i;
		st = tn_catalog_offsets(c, a, &o, &count);
		if (fail_at > 0) {
			fail_at = 0;
			assert_int_equal(st, TN_OK);
			assert_int_equal(count, STREAMS);
			assert_int_equal(o[STREAMS - 1].next,
			    (STREAMS - 1) * 7);
			break;
		}
		assert_int_equal(st, TN_ENOMEM);
		failed++;
	}
	assert_true(failed > 0);
	tn_free(offsets);
	tn_arena_free(a);
	tn_catalog_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(lost_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
