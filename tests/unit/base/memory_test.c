/* wrap: malloc calloc realloc */
/* Small allocations, arenas, slices, status texts and diagnoses. */
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* True: every allocation fails. */
static bool no_memory;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

void *
__wrap_malloc(size_t n)
{
	return no_memory ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t m)
{
	return no_memory ? NULL : __real_calloc(n, m);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return no_memory ? NULL : __real_realloc(p, n);
}

static void
test_arena(void **state)
{
	struct tn_arena *a = tn_arena_new(1024);
	size_t empty = tn_arena_bytes(a);
	uint8_t *p[2000];

	(void)state;
	/* Goal: allocations of any size are aligned, apart from each other,
	 * and a reset gives all but the first block back. */
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < TN_COUNT(p); i++) {
			size_t n = i % 7 == 0 ? i * 13 : i % 50;

			p[i] = tn_arena_alloc(a, n);
			assert_int_equal((uintptr_t)p[i] % 16, 0);
			memset(p[i], (int)(i & 0xff), n);
		}
		for (size_t i = 0; i < TN_COUNT(p); i++) {
			size_t n = i % 7 == 0 ? i * 13 : i % 50;

			for (size_t k = 0; k < n; k++)
				assert_int_equal(p[i][k], i & 0xff);
		}
		assert_true(tn_arena_bytes(a) > empty);
		tn_arena_reset(a);
		assert_int_equal(tn_arena_bytes(a), empty);
	}
	tn_arena_free(a);
	tn_arena_free(NULL);
}

static void
test_arena_texts(void **state)
{
	struct tn_arena *a = tn_arena_new(0);
	char *long_text;

	(void)state;
	/* Goal: copies and formatted texts are exact and end in NUL. */
	assert_string_equal(tn_arena_strdup(a, "abc"), "abc");
	assert_string_equal(tn_arena_strndup(a, "abc", 2), "ab");
	assert_string_equal(tn_arena_strndup(a, "abc", 9), "abc");
	/* An empty slice has no address: a body of SQL without a byte. */
	assert_string_equal(tn_arena_strndup(a, NULL, 0), "");
	assert_string_equal(tn_arena_printf(a, "%d-%s", 7, "x"), "7-x");
	long_text = tn_arena_printf(a, "%5000d", 1);
	assert_int_equal(strlen(long_text), 5000);
	assert_int_equal(((uint8_t *)tn_arena_zalloc(a, 1000))[999], 0);
	assert_ptr_not_equal(tn_arena_alloc(a, 0), tn_arena_alloc(a, 0));
	tn_arena_free(a);
}

static void
test_small(void **state)
{
	char *s = tn_strndup("hello", 3), *empty = tn_strndup(NULL, 0);
	void *p = tn_alloc(0);

	(void)state;
	/* Goal: allocations of nothing are unique and can be freed. */
	assert_string_equal(empty, "");
	tn_free(empty);
	assert_non_null(p);
	p = tn_realloc(p, 0);
	assert_non_null(p);
	tn_free(p);
	tn_free(NULL);
	assert_string_equal(s, "hel");
	tn_free(s);
	s = tn_strdup("");
	assert_string_equal(s, "");
	tn_free(s);
	no_memory = true;
	p = tn_try_alloc(1);
	no_memory = false;
	assert_null(p);
}

/* Run ${act} in a child with standard error closed; its end. */
static int
end_of(void (*act)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)close(STDERR_FILENO);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
ask_malloc(void)
{
	no_memory = true;
	(void)tn_alloc(1);
}

static void
ask_calloc(void)
{
	no_memory = true;
	(void)tn_zalloc(1);
}

static void
ask_realloc(void)
{
	no_memory = true;
	(void)tn_realloc(NULL, 1);
}

static void
ask_arena(void)
{
	struct tn_arena *a = tn_arena_new(0);

	no_memory = true;
	(void)tn_arena_alloc(a, 100000);
}

static void
break_a_fact(void)
{
	tn_assert(1 + 1 == 3);
}

static void
test_ends(void **state)
{
	(void)state;
	/* Goal: a false fact and missing memory end the process by abort,
	 * also when nothing can be printed. */
	assert_int_equal(end_of(break_a_fact), SIGABRT);
	assert_int_equal(end_of(ask_malloc), SIGABRT);
	assert_int_equal(end_of(ask_calloc), SIGABRT);
	assert_int_equal(end_of(ask_realloc), SIGABRT);
	assert_int_equal(end_of(ask_arena), SIGABRT);
}

static void
test_slices(void **state)
{
	struct tn_slice none = { NULL, 0 };

	(void)state;
	/* Goal: slices compare by bytes; empty ones are equal. */
	assert_true(tn_slice_is(tn_slice_of("abc"), "abc"));
	assert_false(tn_slice_is(tn_slice_of("abc"), "abd"));
	assert_false(tn_slice_is(tn_slice_of("abc"), "ab"));
	assert_true(tn_slice_eq(none, tn_slice_of("")));
	assert_true(tn_slice_is(tn_slice_of(NULL), ""));
}

static void
test_diag(void **state)
{
	struct tn_diag d;
	char wide[600];

	(void)state;
	/* Goal: a diagnosis takes any text, cut between characters, and
	 * passes the status through. */
	memset(&d, 0, sizeof d);
	d.line = 3;
	assert_int_equal(tn_diag_set(&d, TN_EINVAL, "unknown_column",
	    "no column %s", "x"), TN_EINVAL);
	assert_string_equal(d.code, "unknown_column");
	assert_string_equal(d.message, "no column x");
	tn_diag_hint(&d, "did you mean %s?", "y");
	assert_string_equal(d.hint, "did you mean y?");
	assert_int_equal(d.line, 3);
	assert_int_equal(tn_diag_set(NULL, TN_EIO, "x", "y"), TN_EIO);
	tn_diag_hint(NULL, "x");
	for (size_t i = 0; i + 2 < sizeof wide; i += 2)
		memcpy(wide + i, "\xc3\xa4", 2);
	wide[sizeof wide - 2] = '\0';
	(void)tn_diag_set(&d, TN_EINVAL, "wide", "%s", wide);
	assert_int_equal(strlen(d.message), sizeof d.message - 2);
	assert_true(tn_utf8_valid(d.message, strlen(d.message)));
	(void)tn_diag_set(&d, TN_EINVAL, "wide", "x%s", wide);
	assert_int_equal(strlen(d.message), sizeof d.message - 1);
}

static void
test_status_texts(void **state)
{
	(void)state;
	/* Goal: every status has a name of its own, every number some name. */
	for (int i = 0; i <= TN_EUNREACHABLE; i++) {
		for (int k = 0; k < i; k++)
			assert_string_not_equal(
			    tn_status_text((enum tn_status)i),
			    tn_status_text((enum tn_status)k));
	}
	assert_non_null(tn_status_text((enum tn_status)999));
	assert_non_null(tn_status_text((enum tn_status)-1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena),
		cmocka_unit_test(test_arena_texts),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_diag),
		cmocka_unit_test(test_status_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
