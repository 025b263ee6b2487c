/* MQTT topics: names, filters, matching against an oracle, shares. */
#include "codec_help.h"

/* ---- topics ---------------------------------------------------------- */

/* Levels one by one, with recursion, as section 4.7 says it. */
static bool
levels_match(const char *f, const char *t)
{
	size_t fn = strcspn(f, "/"), tn = strcspn(t, "/");

	if (strcmp(f, "#") == 0)
		return true;
	if (!(fn == 1 && *f == '+') &&
	    (fn != tn || strncmp(f, t, fn) != 0))
		return false;
	if (t[tn] == '\0')
		return f[fn] == '\0' || strcmp(f + fn, "/#") == 0;
	return f[fn] == '/' && levels_match(f + fn + 1, t + tn + 1);
}

static bool
oracle(const char *f, const char *t)
{
	return !(*t == '$' && (*f == '#' || *f == '+')) && levels_match(f, t);
}

/* A level is all of it "+", "#" at the end, or free of both. */
static bool
oracle_ok(const char *f)
{
	size_t n = strcspn(f, "/");

	if (strcmp(f, "#") == 0)
		return true;
	if (!(n == 1 && *f == '+') && strcspn(f, "+#") < n)
		return false;
	return f[n] == '\0' || oracle_ok(f + n + 1);
}

/* Goal: match and the two checks agree with an oracle on short texts of the
 * letters that matter. */
static void
test_match_oracle(void **state)
{
	static const char letters[] = "ab//$+#+#";
	uint32_t matched = 0, refused = 0;

	(void)state;
	for (uint32_t i = 0; i < 500000; i++) {
		char f[16], t[16];
		uint32_t fn = 1 + help_rnd(9), tn = 1 + help_rnd(9);
		bool ok;

		for (uint32_t k = 0; k < fn; k++)
			f[k] = letters[help_rnd(9)];
		for (uint32_t k = 0; k < tn; k++)
			t[k] = letters[help_rnd(5)];
		f[fn] = t[tn] = '\0';
		ok = oracle_ok(f);
		if (tn_codec_mqtt_filter_ok(tn_slice_of(f)) != ok)
			fail_msg("filter_ok(%s)", f);
		assert_int_equal(tn_codec_mqtt_name_ok(tn_slice_of(f)),
		    strpbrk(f, "+#") == NULL);
		refused += !ok;
		if (!ok)
			continue;
		if (tn_codec_mqtt_match(tn_slice_of(f), tn_slice_of(t)) !=
		    oracle(f, t))
			fail_msg("match(%s, %s)", f, t);
		matched += oracle(f, t);
	}
	assert_true(matched > 1000 && refused > 1000);
}

/* Goal: the examples of section 4.7 come out as it says. */
static void
test_match_examples(void **state)
{
	static const struct {
		const char *filter, *topic;
		bool match;
	} cases[] = {
		{ "sport/tennis/player1/#", "sport/tennis/player1", true },
		{ "sport/tennis/player1/#", "sport/tennis/player1/x", true },
		{ "sport/tennis/player1/#", "sport/tennis/player1/x/y", true },
		{ "sport/tennis/player1/#", "sport/tennis/player12", false },
		{ "sport/#", "sport", true }, { "#", "sport/a", true },
		{ "sport/tennis/+", "sport/tennis/player1", true },
		{ "sport/tennis/+", "sport/tennis/player1/r", false },
		{ "sport/+", "sport", false }, { "sport/+", "sport/", true },
		{ "+/+", "/finance", true }, { "/+", "/finance", true },
		{ "+", "/finance", false }, { "#", "$SYS/x", false },
		{ "+/monitor/Clients", "$SYS/monitor/Clients", false },
		{ "$SYS/#", "$SYS/x", true }, { "$SYS/#", "$SYS", true },
		{ "$SYS/monitor/+", "$SYS/monitor/Clients", true },
		{ "a/$b/+", "a/$b/$c", true }, { "+/#", "a", true },
		{ "ACCOUNTS", "Accounts", false }, { "/a", "a", false },
		{ "", "a", false }, { "a", "", false }, { "#", "", false },
	};
	struct tn_slice longest = { calloc(1, 65536), 65535 };

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++)
		if (tn_codec_mqtt_match(tn_slice_of(cases[i].filter),
		    tn_slice_of(cases[i].topic)) != cases[i].match)
			fail_msg("%s %s", cases[i].filter, cases[i].topic);
	assert_false(tn_codec_mqtt_name_ok(tn_slice_of("")));
	assert_false(tn_codec_mqtt_filter_ok(tn_slice_of("")));
	memset((void *)longest.p, 'a', 65536);
	assert_true(tn_codec_mqtt_name_ok(longest));
	assert_true(tn_codec_mqtt_filter_ok(longest));
	longest.n++;
	assert_false(tn_codec_mqtt_name_ok(longest));
	assert_false(tn_codec_mqtt_filter_ok(longest));
	free((void *)longest.p);
}

/* Goal: shared subscriptions fall into their parts. */
static void
test_share(void **state)
{
	static const struct {
		const char *text, *name, *filter;
		bool malformed;
	} cases[] = {
		{ "$share/g/a/b", "g", "a/b", false },
		{ "$share/g/#", "g", "#", false },
		{ "$share/g//", "g", "/", false },
		{ "$share/g/$share/h/x", "g", "$share/h/x", false },
		{ "$share", NULL, NULL, false },
		{ "$shared/g/a", NULL, NULL, false },
		{ "a/$share/g/a", NULL, NULL, false },
		{ "", NULL, NULL, false },
		{ "$share/", NULL, NULL, true },
		{ "$share/g", NULL, NULL, true },
		{ "$share/g/", NULL, NULL, true },
		{ "$share//a", NULL, NULL, true },
		{ "$share/+/a", NULL, NULL, true },
		{ "$share/g#/a", NULL, NULL, true },
		{ "$share/g/a/#/b", NULL, NULL, true },
	};

	(void)state;
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_slice name, filter;
		bool malformed, shared = tn_codec_mqtt_share(
		    tn_slice_of(cases[i].text), &name, &filter, &malformed);

		assert_int_equal(shared, cases[i].name != NULL);
		assert_int_equal(malformed, cases[i].malformed);
		if (!shared)
			continue;
		assert_true(tn_slice_is(name, cases[i].name));
		assert_true(tn_slice_is(filter, cases[i].filter));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match_oracle),
		cmocka_unit_test(test_match_examples),
		cmocka_unit_test(test_share),
	};

	help_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
