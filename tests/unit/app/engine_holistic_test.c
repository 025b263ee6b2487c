/* Exact aggregates over groups that are too large to be kept: with the least
 * holistic_state_bytes every layer still says what a model of the events says,
 * through cuts, late events, recomputes and restarts; and where one group does
 * not fit into query_memory, there is an error, not a number. */
#include "engine_fixture.h"

#include <math.h>

static const char tiny[] =
    "ALTER SYSTEM SET holistic_state_bytes = '4 KiB';"
    "ALTER SYSTEM SET query_memory = '1 MiB';"
    "ALTER SYSTEM SET young_files_max = '2';"
    "CREATE TABLE e (id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " g text NOT NULL, u text NOT NULL, x double precision)"
    " WITH (event_time = 'ts', max_future_skew = '40000 days');"
    "CREATE TABLE r (g text PRIMARY KEY, city text)"
    " WITH (kind = 'reference');"
    "CREATE MATERIALIZED VIEW hourly AS SELECT g,"
    " date_bin('1 hour', ts, 'epoch') AS h, count(*) AS n,"
    " count(DISTINCT u) AS users, percentile_cont(0.25) WITHIN GROUP"
    " (ORDER BY x) AS p FROM e GROUP BY g, h;"
    "CREATE MATERIALIZED VIEW total AS SELECT count(DISTINCT u) AS users,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS p, count(*) AS n"
    " FROM e;"
    "CREATE MATERIALIZED VIEW months AS SELECT r.city,"
    " date_trunc('month', e.ts, 'Europe/Berlin') AS m,"
    " count(DISTINCT e.u) FILTER (WHERE e.x > 3) AS users,"
    " count(DISTINCT e.x) AS xs FROM e LEFT JOIN r ON r.g = e.g"
    " GROUP BY r.city, m;"
    "CREATE MATERIALIZED VIEW busy AS SELECT g, ts::date AS d,"
    " count(DISTINCT id) AS ids FROM e GROUP BY g, d"
    " HAVING count(DISTINCT id) > 150;";

enum { VIEWS = 4, EVENTS_MAX = 20000, HOURS = 6, USERS = 700, XS = 800 };
/* Far enough apart that files of other days are left out. */
static const char *const days[HOURS] = { "2026-03-01", "2026-03-31",
    "2026-04-01", "2026-04-09", "2026-05-31", "2026-06-30" };

struct event {
	uint32_t g, hour, user, x;
};
struct model {
	struct event *e;
	uint32_t count, cut;     /* Of them in the lake. */
	uint64_t random;
	uint64_t recomputed[VIEWS];  /* Groups, of all engines so far. */
};

static uint32_t
below(struct model *m, uint32_t n)
{
	uint64_t z = m->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % n);
}

/* ---- the model ------------------------------------------------------- */

static double
x_of(uint32_t x)
{
	return x / 4.0 - 50;
}

static double
percentile(const uint32_t *times, uint32_t rows, double p)
{
	double at = p * (rows - 1);
	uint32_t lo = (uint32_t)floor(at), hi = (uint32_t)ceil(at);
	uint32_t seen = 0, i = 0;
	double low;

	for (; seen + times[i] <= lo; i++)
		seen += times[i];
	low = x_of(i);
	for (; seen + times[i] <= hi; i++)
		seen += times[i];
	return low + (at - floor(at)) * (x_of(i) - low);
}

/* "n,users,p" of the events [from, to) of a group and hour; -1: all. */
static bool
put_group(const struct model *m, uint32_t from, uint32_t to, int g, int hour,
    struct tn_buf *out)
{
	uint8_t *users = tn_zalloc(USERS);
	uint32_t *times = tn_zalloc(XS * sizeof *times);
	uint32_t n = 0, distinct = 0;

	for (uint32_t i = from; i < to; i++) {
		const struct event *e = &m->e[i];
		if ((g >= 0 && e->g != (uint32_t)g) ||
		    (hour >= 0 && e->hour != (uint32_t)hour))
			continue;
		n++;
		distinct += users[e->user] == 0;
		users[e->user] = 1;
		times[e->x]++;
	}
	if (g < 0) {
		tn_buf_printf(out, "%u,", distinct);
		if (n > 0)
			tn_buf_printf(out, "%.10g", percentile(times, n, 0.5));
		tn_buf_printf(out, ",%u\n", n);
	} else if (n > 0) {
		tn_buf_printf(out, "%c,%s %02d:00:00+00,%u,%u,%.10g\n",
		    'a' + g, days[hour], 20 + hour % 3, n, distinct,
		    percentile(times, n, 0.25));
	}
	tn_free(users);
	tn_free(times);
	return n > 0;
}

static void
expect_layer(struct fixture *f, enum tn_serving_layer layer)
{
	const struct model *m = f->arg;
	uint32_t from = layer == TN_LAYER_SPEED ? m->cut : 0;
	uint32_t to = layer == TN_LAYER_BATCH ? m->cut : m->count;
	struct tn_buf want = { 0 };

	tn_buf_str(&want, "g,h,n,users,p\n");
	for (int g = 0; g < 2; g++)
		for (int h = 0; h < HOURS; h++)
			(void)put_group(m, from, to, g, h, &want);
	expect_view(f, "hourly", layer, tn_buf_cstr(&want));
	tn_buf_fini(&want);
	tn_buf_str(&want, "users,p,n\n");
	(void)put_group(m, from, to, -1, -1, &want);
	expect_view(f, "total", layer, tn_buf_cstr(&want));
	tn_buf_fini(&want);
}

/* What ad-hoc SQL over all events says: no states, no limit. */
static void
expect_same(struct fixture *f, const char *name, const char *sql)
{
	char *text = view(f, name, TN_LAYER_MERGED);

	expect_sql(f, sql, text);
	tn_free(text);
}

static void
check(struct fixture *f)
{
	expect_layer(f, TN_LAYER_MERGED);
	expect_layer(f, TN_LAYER_BATCH);
	expect_layer(f, TN_LAYER_SPEED);
	expect_same(f, "months", "SELECT r.city, date_trunc('month', e.ts,"
	    " 'Europe/Berlin') AS m, count(DISTINCT e.u) FILTER (WHERE e.x >"
	    " 3) AS users, count(DISTINCT e.x) AS xs FROM e LEFT JOIN r ON"
	    " r.g = e.g GROUP BY r.city, m ORDER BY r.city, m");
	expect_same(f, "busy", "SELECT g, ts::date AS d, count(DISTINCT id)"
	    " AS ids FROM e GROUP BY g, d HAVING count(DISTINCT id) > 150"
	    " ORDER BY g, d");
}

/* What was published needs no rows to be read. */
static void
expect_published(struct fixture *f)
{
	for (uint32_t v = 0; v < f->a.model->view_count; v++) {
		uint64_t before = tn_serving_recomputed(f->a.serving, v);

		tn_free(view(f, f->a.model->views[v].def->name,
		    TN_LAYER_BATCH));
		assert_int_equal(tn_serving_recomputed(f->a.serving, v),
		    before);
	}
}

/* ---- acts ------------------------------------------------------------ */

static void
post_events(struct fixture *f)
{
	struct model *m = f->arg;
	uint32_t n = 1 + below(m, below(m, 3) == 0 ? 500 : 60);
	uint32_t hour = below(m, HOURS);
	struct tn_buf b = { 0 };
	struct call c;

	for (uint32_t i = 0; i < n; i++) {
		struct event e = { below(m, 4) == 0,
		    below(m, 3) > 0 ? hour : below(m, HOURS),
		    below(m, USERS), below(m, XS) };
		tn_buf_printf(&b, "{\"id\":\"i%u\",\"ts\":\"%sT%02u:"
		    "%02u:07Z\",\"g\":\"%c\",\"u\":\"u%s%u\",\"x\":%.10g}\n",
		    m->count, days[e.hour], 20 + e.hour % 3,
		    below(m, 60), (char)('a' + e.g),
		    e.user % 3 == 0 ? " whose name is long " : "", e.user,
		    x_of(e.x));
		/* Some come twice. */
		if (below(m, 20) == 0)
			tn_buf_printf(&b, "{\"id\":\"i%u\",\"ts\":"
			    "\"2026-03-01T00:00:00Z\",\"g\":\"z\","
			    "\"u\":\"z\"}\n", m->count);
		assert_true(m->count < EVENTS_MAX);
		m->e[m->count++] = e;
	}
	c = post(f, "e", tn_buf_cstr(&b), NULL);
	assert_int_equal(c.result.status, TN_OK);
	assert_int_equal(c.result.accepted, n);
	tn_buf_fini(&b);
}

static void
act(struct fixture *f)
{
	struct model *m = f->arg;
	struct tn_batch_report r;
	struct call c;

	switch (below(m, 8)) {
	case 0:
	case 1:
		r = batch(f, TN_BATCH_CUT);
		assert_int_equal(r.status, TN_OK);
		m->cut = m->count;
		expect_published(f);
		break;
	case 2:
		r = batch(f, TN_BATCH_RECOMPUTE);
		assert_int_equal(r.status, TN_OK);
		expect_published(f);
		break;
	case 3:
		c = post(f, "r", below(m, 2) ? "{\"g\":\"a\",\"city\":\"Ulm\"}"
		    : "{\"g\":\"a\",\"city\":\"Bern\"}", NULL);
		assert_int_equal(c.result.status, TN_OK);
		break;
	default:
		post_events(f);
	}
}

/* The counters end with their engine. */
static void
note_recomputed(struct fixture *f)
{
	struct model *m = f->arg;

	assert_int_equal(f->a.model->view_count, VIEWS);
	for (uint32_t v = 0; v < VIEWS; v++)
		m->recomputed[v] += tn_serving_recomputed(f->a.serving, v);
}

static void
some_acts(struct fixture *f)
{
	check(f);
	for (int i = 0; i < 12; i++) {
		act(f);
		check(f);
	}
	note_recomputed(f);
}

static void
last_acts(struct fixture *f)
{
	struct model *m = f->arg;
	struct tn_batch_report r;

	for (int i = 0; i < 3; i++)
		post_events(f);
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
	m->cut = m->count;
	check(f);
	note_recomputed(f);
}

/* Goal: events, cuts, recomputes, restarts and late events in random order;
 * every layer says what the model says, and verify finds no difference. */
static void
test_layers(void **state)
{
	const char *seed = getenv("TARN_SEED");
	struct model m = { .random = seed != NULL ?
	    strtoull(seed, NULL, 10) : 1 };

	(void)state;
	m.e = tn_alloc(EVENTS_MAX * sizeof *m.e);
	for (int i = 0; i < 3; i++) {
		struct fixture f;
		print_message("TARN_SEED=%llu\n",
		    (unsigned long long)m.random);
		m.count = m.cut = 0;
		make_dir(&f);
		f.pipeline = tiny;
		f.arg = &m;
		for (int k = 0; k < 3; k++)
			run_script(&f, some_acts);
		run_script(&f, last_acts);
		remove_dir(&f);
	}
	/* Otherwise nothing was tested. */
	for (uint32_t v = 0; v < VIEWS; v++)
		assert_true(m.recomputed[v] > 0);
	tn_free(m.e);
}

/* ---- too large ------------------------------------------------------- */

static void
expect_limit(struct fixture *f, const char *name, enum tn_serving_layer layer)
{
	struct call c = { .f = f, .view = name, .layer = layer };

	tn_speed_flush(f->a.speed);
	c.job.run = run_get;
	c.latch = tn_net_latch_new();
	tn_net_loop_post(f->a.loop, &c.job);
	tn_net_latch_wait(c.latch);
	tn_net_latch_free(c.latch);
	assert_int_equal(c.answer->status, TN_ELIMIT);
	assert_string_equal(c.answer->diag.code, "group_too_large");
	assert_non_null(strstr(c.answer->diag.hint, "query_memory"));
	tn_serving_answer_unref(c.answer);
}

static const char wide[] =
    "ALTER SYSTEM SET holistic_state_bytes = '4 KiB';"
    "ALTER SYSTEM SET query_memory = '1 MiB';"
    "CREATE TABLE e (x double precision, u text);"
    "CREATE MATERIALIZED VIEW p AS SELECT count(*) AS n,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS p FROM e;"
    "CREATE MATERIALIZED VIEW d AS SELECT count(DISTINCT u) AS users FROM e;";

static void
too_wide(struct fixture *f)
{
	struct tn_batch_report r;
	struct tn_buf b = { 0 };

	for (uint32_t i = 0; i < 80000; i++)
		tn_buf_printf(&b, "{\"x\":%u,\"u\":\"user number %u\"}\n", i,
		    i);
	assert_int_equal(post(f, "e", tn_buf_cstr(&b), NULL).result.status,
	    TN_OK);
	tn_buf_fini(&b);
	expect_limit(f, "p", TN_LAYER_MERGED);
	expect_limit(f, "p", TN_LAYER_SPEED);
	/* A set is counted in parts. */
	expect_view(f, "d", TN_LAYER_MERGED, "users\n80000\n");
	r = batch(f, TN_BATCH_CUT);
	assert_int_equal(r.status, TN_OK);
	expect_limit(f, "p", TN_LAYER_MERGED);
	expect_limit(f, "p", TN_LAYER_BATCH);
	expect_view(f, "p", TN_LAYER_SPEED, "n,p\n0,\n");
	expect_view(f, "d", TN_LAYER_BATCH, "users\n80000\n");
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_ELIMIT);
	assert_string_equal(r.diag.code, "group_too_large");
	assert_int_equal(r.differences, 0);
}

static void
with_more_memory(struct fixture *f)
{
	struct tn_batch_report r;

	expect_view(f, "p", TN_LAYER_BATCH, "n,p\n80000,39999.5\n");
	r = batch(f, TN_BATCH_VERIFY);
	assert_int_equal(r.status, TN_OK);
	r = batch(f, TN_BATCH_RECOMPUTE);
	assert_int_equal(r.status, TN_OK);
	expect_view(f, "p", TN_LAYER_MERGED, "n,p\n80000,39999.5\n");
}

/* Goal: a percentile that does not fit into query_memory is refused in words
 * in every layer and fails no cut; with more memory it is there again. */
static void
test_too_large(void **state)
{
	struct tn_buf b = { 0 };
	struct fixture f;

	(void)state;
	make_dir(&f);
	f.pipeline = wide;
	run_script(&f, too_wide);
	tn_buf_printf(&b, "%s ALTER SYSTEM SET query_memory = '64 MiB';",
	    strchr(strchr(wide, ';') + 1, ';') + 1);
	f.pipeline = tn_buf_cstr(&b);
	run_script(&f, with_more_memory);
	tn_buf_fini(&b);
	remove_dir(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_too_large),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
