/* Counters and their OpenMetrics text; log lines. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static const char *
rendered(struct tn_buf *b)
{
	tn_buf_clear(b);
	tn_counter_render(b);
	return tn_buf_cstr(b);
}

static void
test_text(void **state)
{
	struct tn_buf b = { .max = 0 };
	struct tn_counter *c, *g;
	struct tn_histogram *h;

	(void)state;
	/* Goal: the text is what OpenMetrics 1.0 demands, families together
	 * though their labels were registered apart. */
	c = tn_counter_get(TN_COUNTER, "tarn_rows_total", "stream=\"a\"",
	    "Rows \"taken\".");
	g = tn_counter_get(TN_GAUGE, "tarn_depth", NULL, "Jobs.");
	assert_ptr_equal(c, tn_counter_get(TN_COUNTER, "tarn_rows",
	    "stream=\"a\"", NULL));
	tn_counter_add(tn_counter_get(TN_COUNTER, "tarn_rows_total",
	    "stream=\"b\"", "Rows."), 7);
	h = tn_histogram_get("tarn_ack_seconds", NULL, "Time to ack.");
	assert_ptr_equal(h, tn_histogram_get("tarn_ack_seconds", "", NULL));
	tn_counter_add(c, 5);
	tn_counter_set(g, -3);
	tn_counter_add(g, -1);
	assert_int_equal(tn_counter_read(g), -4);
	tn_histogram_add_us(h, 50);
	tn_histogram_add_us(h, 51);
	tn_histogram_add_us(h, 40000000);
	assert_string_equal(rendered(&b),
	    "# TYPE tarn_rows counter\n"
	    "# HELP tarn_rows Rows \\\"taken\\\".\n"
	    "tarn_rows_total{stream=\"a\"} 5\n"
	    "tarn_rows_total{stream=\"b\"} 7\n"
	    "# TYPE tarn_depth gauge\n"
	    "# HELP tarn_depth Jobs.\n"
	    "tarn_depth -4\n"
	    "# TYPE tarn_ack_seconds histogram\n"
	    "# HELP tarn_ack_seconds Time to ack.\n"
	    "tarn_ack_seconds_bucket{le=\"5e-05\"} 1\n"
	    "tarn_ack_seconds_bucket{le=\"0.0001\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.00025\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.0005\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.001\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.0025\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.005\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.01\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.025\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.05\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.1\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.25\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"0.5\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"1.0\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"2.5\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"5.0\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"10.0\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"30.0\"} 2\n"
	    "tarn_ack_seconds_bucket{le=\"+Inf\"} 3\n"
	    "tarn_ack_seconds_count 3\n"
	    "tarn_ack_seconds_sum 40.000101\n"
	    "# EOF\n");
	(void)tn_histogram_get("tarn_ack_seconds", "door=\"http\"", NULL);
	assert_non_null(strstr(rendered(&b),
	    "_bucket{door=\"http\",le=\"5e-05\"} 0\n"));
	tn_buf_fini(&b);
}

static void
test_labels(void **state)
{
	struct tn_buf labels = { .max = 0 };
	struct tn_buf b = { .max = 0 };

	(void)state;
	/* Goal: a label made of any text cannot break the format. */
	tn_counter_label(&labels, "stream", "a\"b\\c\nd,e=\"");
	tn_counter_label(&labels, "door", "");
	tn_counter_add(tn_counter_get(TN_COUNTER, "tarn_odd",
	    tn_buf_cstr(&labels), NULL), 1);
	assert_non_null(strstr(rendered(&b),
	    "tarn_odd_total{stream=\"a\\\"b\\\\c\\nd,e=\\\"\",door=\"\"} 1\n"));
	tn_buf_fini(&labels);
	tn_buf_fini(&b);
}

static void *
count_many(void *arg)
{
	for (int i = 0; i < 50000; i++) {
		char labels[32];

		(void)snprintf(labels, sizeof labels, "n=\"%d\"", i % 100);
		if (i % 100 == 0)
			tn_counter_add(tn_counter_get(TN_COUNTER,
			    "tarn_shared_total", labels, "Shared."), 1);
		tn_counter_add(arg, 1);
		if (i % 5000 == 0) {
			struct tn_buf b = { .max = 0 };

			tn_counter_render(&b);
			tn_buf_fini(&b);
		}
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct tn_counter *c = tn_counter_get(TN_COUNTER, "tarn_all", NULL,
	    "All.");
	pthread_t threads[4];

	(void)state;
	/* Goal: no addition is lost while others register and render. */
	for (size_t i = 0; i < TN_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many,
		    c), 0);
	for (size_t i = 0; i < TN_COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(tn_counter_read(c), 200000);
	assert_int_equal(tn_counter_read(tn_counter_get(TN_COUNTER,
	    "tarn_shared", "n=\"0\"", NULL)), 2000);
}

static void
test_too_many(void **state)
{
	struct tn_buf b = { .max = 0 };
	struct tn_counter *last = NULL;

	(void)state;
	/* Goal: labels without end cost bounded memory; old ones stay. */
	for (int i = 0; i < 30000; i++) {
		char labels[32];

		(void)snprintf(labels, sizeof labels, "n=\"%d\"", i);
		last = tn_counter_get(TN_GAUGE, "tarn_flood", labels, NULL);
		tn_counter_set(last, 1);
	}
	assert_non_null(last);
	assert_null(strstr(rendered(&b), "tarn_flood{n=\"29999\"}"));
	assert_non_null(strstr(rendered(&b), "tarn_flood{n=\"1\"} 1\n"));
	tn_counter_add(tn_counter_get(TN_COUNTER, "tarn_rows_total",
	    "stream=\"a\"", NULL), 1);
	assert_non_null(strstr(rendered(&b),
	    "tarn_rows_total{stream=\"a\"} 6\n"));
	tn_buf_fini(&b);
}

/* ---- log lines ------------------------------------------------------- */

/* What ${say} writes to standard error. */
static char *
said(void (*say)(void), char *text, size_t bytes)
{
	int kept = dup(STDERR_FILENO);
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	say();
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	(void)close(kept);
	(void)close(ends[1]);
	n = read(ends[0], text, bytes - 1);
	(void)close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
say_odd(void)
{
	tn_say(TN_DEBUG, "test", "not shown");
	tn_say(TN_WARN, "test", "a \"b\"\n\x1b[31m \xc2\x9b %d \xff", 5);
}

static void
say_long(void)
{
	char wide[9000];

	memset(wide, 1, sizeof wide);
	wide[sizeof wide - 1] = '\0';
	tn_say(TN_ERROR, wide, "%s", wide);
}

static void
test_say(void **state)
{
	char text[20000];

	(void)state;
	/* Goal: one line whatever is said, in text and in JSON. */
	tn_say_setup(TN_INFO, 0);
	(void)said(say_odd, text, sizeof text);
	assert_string_equal(text + 24, " warn  test: a \"b\"??[31m ? 5 ?\n");
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[23], 'Z');
	tn_say_setup(TN_INFO, 1);
	(void)said(say_odd, text, sizeof text);
	assert_memory_equal(text, "{\"time\":\"", 9);
	assert_string_equal(text + 33, "\",\"level\":\"warn\",\"component\":"
	    "\"test\",\"message\":\"a \\\"b\\\"\\n\\u001b[31m \xc2\x9b 5 "
	    "\xef\xbf\xbd\"}\n");
	(void)said(say_long, text, sizeof text);
	assert_string_equal(text + strlen(text) - 9, "\\u0001\"}\n");
	assert_true(strlen(text) > 12000);
	tn_say_setup(TN_INFO, -1);
	(void)said(say_odd, text, sizeof text);
	assert_int_equal(text[0], '{');
	tn_say_setup(TN_ERROR, 0);
	assert_string_equal(said(say_odd, text, sizeof text), "");
	tn_say_setup(TN_INFO, -1);
}

static void *
say_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		tn_say(TN_INFO, arg, "line %d", i);
	return NULL;
}

static void
say_from_threads(void)
{
	static char names[4][2] = { "a", "b", "c", "d" };
	pthread_t threads[4];

	for (size_t i = 0; i < 4; i++)
		(void)pthread_create(&threads[i], NULL, say_many, names[i]);
	for (size_t i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
}

static void
test_say_threads(void **state)
{
	size_t bytes = 100000;
	char *text = tn_alloc(bytes);
	size_t lines = 0;

	(void)state;
	/* Goal: lines of several threads never run into each other. */
	tn_say_setup(TN_INFO, 0);
	(void)said(say_from_threads, text, bytes);
	for (char *line = text; *line != '\0'; lines++) {
		char *end = strchr(line, '\n');

		assert_non_null(end);
		assert_memory_equal(line + 23, "Z info  ", 8);
		assert_in_range(end - line, 40, 42);
		line = end + 1;
	}
	assert_int_equal(lines, 800);
	tn_free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_say),
		cmocka_unit_test(test_say_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
