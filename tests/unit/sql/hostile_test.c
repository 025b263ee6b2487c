#include "test.h"

#include <pthread.h>

#include "fixture.h"

static struct tn_sql_pipeline *shared;

static enum tn_status
ask(const void *p, size_t n, struct tn_diag *d)
{
	struct tn_arena *a = tn_arena_new(64 * 1024);
	const struct tn_sql_select *s;
	enum tn_status st = tn_sql_query(shared, (struct tn_slice){ p, n },
	    a, &s, d);

	assert_true((st == TN_OK) == (s != NULL));
	assert_true(st == TN_OK || st == TN_EINVAL ||
	    st == TN_EUNSUPPORTED);
	if (st != TN_OK) {
		assert_true(d->code[0] != '\0');
		assert_true(d->message[0] != '\0');
		assert_true(d->line >= 1 && d->column >= 1);
	}
	tn_arena_free(a);
	return st;
}

static enum tn_status
ask_text(const char *s, struct tn_diag *d)
{
	return ask(s, strlen(s), d);
}

static enum tn_status
define(const void *p, size_t n, struct tn_diag *d)
{
	struct tn_sql_source src[2] = { { "t.sql", { p, n } },
		{ "base.sql", tn_slice_of(fixture_text) } };
	struct tn_sql_pipeline *out = NULL;
	enum tn_status st = tn_sql_load(&out, src, 2, d);

	assert_true((st == TN_OK) == (out != NULL));
	if (st != TN_OK)
		assert_true(d->code[0] != '\0' && d->line >= 1);
	tn_sql_pipeline_free(out);
	return st;
}

/* Goal: bytes that are not text are refused where they stand. */
static void
bad_bytes(void **state)
{
	struct tn_diag d;
	char name[80];

	(void)state;
	assert_int_equal(ask("SELECT a\nFROM \0 k", 17, &d), TN_EINVAL);
	assert_string_equal(d.code, "bad_text");
	assert_int_equal(d.line, 2);
	assert_int_equal(d.column, 6);
	assert_int_equal(ask_text("SELECT '\xc3\xbc\xff' FROM k", &d),
	    TN_EINVAL);
	assert_string_equal(d.code, "bad_text");
	assert_int_equal(d.column, 10);
	assert_int_equal(ask_text("SELECT '\xed\xa0\x80' FROM k", &d),
	    TN_EINVAL);
	assert_int_equal(ask_text("SELECT '\xf0\x9f\x98", &d), TN_EINVAL);
	assert_int_equal(ask_text("\xef\xbb\xbfSELECT a FROM k", &d), TN_OK);
	assert_int_equal(ask("", 0, &d), TN_EUNSUPPORTED);
	memset(name, 'x', 64);
	(void)snprintf(name + 64, 16, "\" FROM k");
	assert_int_equal(ask_text("SELECT a AS \"", &d), TN_EINVAL);
	assert_string_equal(d.code, "syntax");
}

/* Goal: a text of 64 KiB is read, one byte more is not; a name of 63 bytes
 * is taken, one of 64 is refused and not cut. */
static void
limits_hold(void **state)
{
	char *text = tn_alloc(TN_SQL_TEXT_MAX + 2);
	char name[200];
	struct tn_diag d;

	(void)state;
	memset(text, ' ', TN_SQL_TEXT_MAX + 2);
	memcpy(text, "SELECT a FROM k", 15);
	assert_int_equal(ask(text, TN_SQL_TEXT_MAX, &d), TN_OK);
	assert_int_equal(ask(text, TN_SQL_TEXT_MAX + 1, &d), TN_EINVAL);
	assert_string_equal(d.code, "text_too_long");
	(void)snprintf(name, sizeof name, "SELECT a AS \"%063d\" FROM k", 0);
	assert_int_equal(ask_text(name, &d), TN_OK);
	(void)snprintf(name, sizeof name, "SELECT a AS \"%064d\" FROM k", 0);
	assert_int_equal(ask_text(name, &d), TN_EINVAL);
	assert_string_equal(d.code, "name_too_long");
	assert_int_equal(d.column, 13);
	tn_free(text);
}

/* head, then piece as often as fits into 64 KiB, then middle, then close as
 * often, then tail. */
static size_t
pile(char *text, const char *const parts[5], uint32_t most)
{
	size_t one = strlen(parts[1]) + strlen(parts[3]);
	size_t times = (TN_SQL_TEXT_MAX - 200) / one, n = 0;

	if (times > most)
		times = most;
	n += (size_t)sprintf(text + n, "%s", parts[0]);
	for (size_t i = 0; i < times; i++)
		n += (size_t)sprintf(text + n, "%s", parts[1]);
	n += (size_t)sprintf(text + n, "%s", parts[2]);
	for (size_t i = 0; i < times; i++)
		n += (size_t)sprintf(text + n, "%s", parts[3]);
	n += (size_t)sprintf(text + n, "%s", parts[4]);
	return n;
}

static const char *const piles[][5] = {
	{ "SELECT ", "(", "a", ")", " FROM k" },
	{ "SELECT a", "+a", "", "", " FROM k" },
	{ "SELECT 1", "+1", "", "", " FROM k" },
	{ "SELECT ", "- ", "a", "", " FROM k" },
	{ "SELECT ", "- ", "1", "", " FROM k" },
	{ "SELECT ", "-(", "1", ")", " FROM k" },
	{ "SELECT ", "NOT ", "f", "", " FROM k" },
	{ "SELECT f", " AND f", "", "", " FROM k" },
	{ "SELECT f", " AND (f OR f", "", ")", " FROM k" },
	{ "SELECT t", "||t", "", "", " FROM k" },
	{ "SELECT a", "::int", "", "", " FROM k" },
	{ "SELECT j", "->'a'", "", "", " FROM k" },
	{ "SELECT ", "abs(", "a", ")", " FROM k" },
	{ "SELECT ", "coalesce(", "a", ")", " FROM k" },
	{ "SELECT ", "CASE WHEN f THEN ", "a", " END", " FROM k" },
	{ "SELECT ", "(SELECT ", "1", ")", " FROM k" },
	{ "SELECT a FROM ", "(SELECT a FROM ", "k", ") s", "" },
	{ "SELECT a FROM k WHERE a IN (1", ",1", "", "", ")" },
	{ "SELECT a", ",a", "", "", " FROM k" },
	{ "SELECT concat(a", ",a", "", "", ") FROM k" },
	{ "SELECT a FROM k ORDER BY a", ",a", "", "", "" },
	{ "SELECT a FROM k GROUP BY a", ",a+1", "", "", "" },
	{ "SELECT count(*)", ",count(*)", "", "", " FROM k" },
	{ "SELECT a FROM k", " JOIN sizes ON true", "", "", "" },
	{ "SELECT a FROM k", " UNION SELECT a FROM k", "", "", "" },
	{ "SELECT a FROM k", ";SELECT 1", "", "", "" },
	{ "SELECT a /*", "/*", "", "*/", "*/ FROM k" },
	{ "SELECT '", "''", "", "", "' FROM k" },
	{ "SELECT $a$", "$b$", "", "", "$a$ FROM k" },
	{ "SELECT a", "[1]", "", "", " FROM k" },
	{ "SELECT a", ".a", "", "", " FROM k" },
	{ "SELECT ", "9", "", "", " FROM k" },
	{ "SELECT 0.", "9", "", "", " FROM k" },
	{ "SELECT a IS NULL", " IS NULL", "", "", " FROM k" },
	{ "SELECT t LIKE '", "%_", "", "", "' FROM k" },
	{ "SELECT '", "[", "", "]", "'::jsonb FROM k" },
	{ "CREATE TABLE x (a int", ", a int", "", "", ")" },
	{ "CREATE TABLE x (a int", " CHECK (a>1)", "", "", ")" },
	{ "", "CREATE TABLE x (a int);", "", "", "" },
	{ "CREATE TABLE x (a int) WITH (a=1", ",a=1", "", "", ")" },
	{ "", "(", "", ")", "" },
	{ "", "\"", "", "", "" },
	{ "", "'", "", "", "" },
	{ "", "/*", "", "", "" },
	{ "SELECT ", "+", "", "", "a" },
	{ "SELECT ", "+@", "", "", "a" },
	{ "", "WITH x AS (", "SELECT 1", ") SELECT 1", "" },
};

/* Goal: texts as deep or as long as they can be end with an answer, at every
 * depth about where limits lie. */
static void
piles_end(void **state)
{
	static const uint32_t depths[] = { 1, 100, 165, 170, 250, 260, 1000,
		UINT32_MAX };
	char *text = tn_alloc(TN_SQL_TEXT_MAX + 1);
	struct tn_diag d;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(piles); i++) {
		for (size_t k = 0; k < TN_COUNT(depths); k++) {
			size_t n = pile(text, piles[i], depths[k]);

			assert_true(n <= TN_SQL_TEXT_MAX);
			if (piles[i][0][0] == 'S')
				(void)ask(text, n, &d);
			else
				(void)define(text, n, &d);
		}
	}
	tn_free(text);
}

/* Goal: what is too deep is told so, and 100 operators in a row, 5000
 * conditions and 5000 values are not too deep. */
static void
depth_is_told(void **state)
{
	char *text = tn_alloc(TN_SQL_TEXT_MAX + 1);
	struct tn_diag d;
	size_t n;

	(void)state;
	n = pile(text, piles[1], 100);
	assert_int_equal(ask(text, n, &d), TN_OK);
	n = pile(text, piles[1], UINT32_MAX);
	assert_int_equal(ask(text, n, &d), TN_EINVAL);
	assert_string_equal(d.code, "too_deep");
	n = pile(text, piles[0], UINT32_MAX);
	assert_int_equal(ask(text, n, &d), TN_EINVAL);
	assert_string_equal(d.code, "too_deep");
	n = pile(text, piles[7], 5000);
	assert_int_equal(ask(text, n, &d), TN_OK);
	n = pile(text, piles[17], 5000);
	assert_int_equal(ask(text, n, &d), TN_OK);
	tn_free(text);
}

static const char *const seeds[] = {
	"SELECT office AS o, date_bin('15 minutes', ts, 'epoch') AS slot, "
	"sum(n) FILTER (WHERE n > -5), percentile_cont(0.5) WITHIN GROUP "
	"(ORDER BY temp DESC) FROM badge b LEFT JOIN people p ON p.person = "
	"b.person AND p.team <> 'x' WHERE ts BETWEEN '2026-03-01' AND now() "
	"- interval '1 day' GROUP BY 1, slot HAVING count(*) > 3 ORDER BY 2 "
	"DESC NULLS LAST LIMIT 10 OFFSET 2",
	"SELECT DISTINCT CASE WHEN n IN (1, 2, NULL) THEN coalesce(doc->>"
	"'a', E'b\\n', $q$c$q$) ELSE substring(person from 2 for 3) END, "
	"extract(hour from ts AT TIME ZONE 'Europe/Berlin'), round(amount * "
	"1.5e-3, 2), n::text || '%', ts + make_interval(days => n) FROM badge "
	"WHERE person ~* '^a' AND NOT office LIKE 'x!%' ESCAPE '!'",
	"CREATE TABLE t (id uuid PRIMARY KEY, ts timestamptz NOT NULL, a "
	"numeric(10,2) DEFAULT -1.5 CHECK (a BETWEEN -40 AND 60), \"B c\" "
	"varchar(5), d date GENERATED ALWAYS AS (ts::date) STORED, CHECK "
	"(a > 1 OR \"B c\" IS NULL)) WITH (event_time = 'ts', dedupe_window "
	"= '7 days', retention = '400 days', max_future_skew = 0);",
	"ALTER SYSTEM SET a.b = -5; COMMENT ON COLUMN badge.person IS 'x'; "
	"CREATE MATERIALIZED VIEW v WITH (overview = line, y = 'n, m', "
	"position = 10) AS SELECT office, count(*) AS n, last(temp, ts) AS "
	"m FROM badge JOIN people USING (person) GROUP BY office",
};

/* Goal: every beginning of a good text ends with an answer. */
static void
prefixes_end(void **state)
{
	struct tn_diag d;

	(void)state;
	for (size_t i = 0; i < TN_COUNT(seeds); i++) {
		for (size_t n = 0; n <= strlen(seeds[i]); n++) {
			if (i < 2)
				(void)ask(seeds[i], n, &d);
			else
				(void)define(seeds[i], n, &d);
		}
		assert_int_equal(i < 2 ? ask_text(seeds[i], &d) :
		    define(seeds[i], strlen(seeds[i]), &d), TN_OK);
	}
}

static uint64_t
next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Words that mutations put in. */
static const char *const words[] = { "(", ")", ",", "'", "\"", "NULL", "*",
	"-", "::", "[", "]", "SELECT", "FROM", "k", "badge", "j", "a", "t",
	"1", "-1", "0.5", "'x'", "AS", "AND", "OR", "NOT", "IN", "IS", "CASE",
	"END", "GROUP BY", "ORDER BY", "count(*)", "sum(a)", "now()", ".",
	"interval '1 day'", "day", "tz", "m", "numeric(5,2)", "||", "->", "=",
	"JOIN", "ON", "USING", "DISTINCT", "LIMIT", "text", "WITH", "$$", ";",
	"LIKE", "~", "FILTER (WHERE f)", "\xc3\xbc", "--", "/*", "*/" };

static size_t
mutate(char *text, size_t n, uint64_t *x)
{
	const char *w = words[next_random(x) % TN_COUNT(words)];
	size_t at = n == 0 ? 0 : next_random(x) % n;
	size_t cut = next_random(x) % 12, len = strlen(w);

	if (cut > n - at)
		cut = n - at;
	if (next_random(x) % 3 == 0)
		len = 0;
	memmove(text + at + len, text + at + cut, n - at - cut);
	memcpy(text + at, w, len);
	return n - cut + len;
}

/* Goal: texts changed at random end with an answer, and bind only to plans
 * without open types. */
static void
mutations_end(void **state)
{
	const char *env = getenv("TARN_SEED");
	uint64_t x = env != NULL ? strtoull(env, NULL, 10) + 1 : 88172645463;
	char text[4096];
	struct tn_diag d;

	(void)state;
	print_message("TARN_SEED=%s\n", env != NULL ? env : "(default)");
	for (uint32_t i = 0; i < 4000; i++) {
		const char *seed = seeds[next_random(&x) % TN_COUNT(seeds)];
		size_t n = strlen(seed);
		uint64_t times = 1 + next_random(&x) % 4;

		memcpy(text, seed, n);
		for (uint64_t k = 0; k < times; k++)
			n = mutate(text, n, &x);
		if (i % 2 == 0)
			(void)ask(text, n, &d);
		else
			(void)define(text, n, &d);
	}
}

static void *
ask_often(void *arg)
{
	struct tn_diag d;

	(void)arg;
	for (uint32_t i = 0; i < 60; i++)
		(void)ask_text(seeds[i % TN_COUNT(seeds)], &d);
	return NULL;
}

/* Goal: many threads may ask over one pipeline at once. */
static void
threads_share(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    ask_often, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Goal: parsing takes no thread keys, however often (libpg_query takes one
 * for each thread it meets; a process has 1024). */
static void
keys_are_left(void **state)
{
	struct tn_diag d;
	pthread_key_t key;

	(void)state;
	for (uint32_t i = 0; i < 1100; i++)
		assert_int_equal(ask_text("SELECT a FROM k", &d), TN_OK);
	assert_int_equal(pthread_key_create(&key, NULL), 0);
	(void)pthread_key_delete(key);
}

static int
begin(void **state)
{
	(void)state;
	shared = load_fixture();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	tn_sql_pipeline_free(shared);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_bytes),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(piles_end),
		cmocka_unit_test(depth_is_told),
		cmocka_unit_test(prefixes_end),
		cmocka_unit_test(mutations_end),
		cmocka_unit_test(threads_share),
		cmocka_unit_test(keys_are_left),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
