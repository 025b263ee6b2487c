/* Messages of a broker: patterns, the raw rows they become, and what columns
 * get from topic and payload. */
#include "codec_help.h"

/* ---- patterns -------------------------------------------------------- */

static const struct pattern_case {
	const char *pattern;
	const char *filter;      /* NULL: refused. */
	const char *topic;
	const char *values;      /* Parted by |; NULL: does not match. */
} patterns[] = {
	{ "office/{office}/door/{door}", "office/+/door/+",
	    "office/berlin/door/3", "berlin|3" },
	{ "office/{office}/door/{door}", "office/+/door/+",
	    "office/berlin/door", NULL },
	{ "office/{office}/door/{door}", "office/+/door/+",
	    "office//door/", "|" },
	{ " a/b \n", "a/b", "a/b", "" },
	{ "a/b", "a/b", "a/c", NULL },
	{ "shelly-{d}/status/switch:{n}x", "+/status/+",
	    "shelly-k/status/switch:0x", "k|0" },
	{ "shelly-{d}/status/switch:{n}x", "+/status/+",
	    "shelly-k/status/switch:0", NULL },
	{ "aa{d}aa", "+", "aaa", NULL },
	{ "aa{d}aa", "+", "aaaa", "" },
	{ "+/{r}/#", "+/+/#", "x/y", "y" },
	{ "+/{r}/#", "+/+/#", "x/y/z/w", "y" },
	{ "m/{m}/total -> total", "m/+/total", "m/7/total", "7" },
	{ "$SYS/{x}", "$SYS/+", "$SYS/up", "up" },
	{ "{x}/up", "+/up", "$SYS/up", NULL },
	{ "", NULL, NULL, NULL },
	{ "a/{", NULL, NULL, NULL },
	{ "a/}x{", NULL, NULL, NULL },
	{ "a/{}", NULL, NULL, NULL },
	{ "a/{x}{y}", NULL, NULL, NULL },
	{ "a/{x y}", NULL, NULL, NULL },
	{ "a/{x}+", NULL, NULL, NULL },
	{ "a/#/b", NULL, NULL, NULL },
	{ "a/b+", NULL, NULL, NULL },
	{ "a ->", NULL, NULL, NULL },
	{ "a -> b c", NULL, NULL, NULL },
	{ "{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/"
	    "{q}", NULL, NULL, NULL },
};

static void
join(struct tn_buf *out, const struct tn_slice *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			tn_buf_char(out, '|');
		tn_buf_add(out, values[i].p, values[i].n);
	}
}

/* Goal: each pattern gives its filter, or is refused with a hint; each topic
 * gives its captures, or does not match. */
static void
test_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < TN_COUNT(patterns); i++) {
		const struct pattern_case *c = &patterns[i];
		struct tn_slice values[TN_CODEC_CAPTURES_MAX];
		struct tn_codec_topic t;
		struct tn_diag d = { .line = 0 };
		struct tn_buf got = { 0 };
		enum tn_status st = tn_codec_topic_parse(&t,
		    tn_slice_of(c->pattern), &d);

		if (st != TN_OK) {
			assert_null(c->filter);
			assert_true(d.message[0] != '\0');
			continue;
		}
		assert_string_equal(t.filter, c->filter);
		if (tn_codec_topic_match(&t, tn_slice_of(c->topic), values)) {
			join(&got, values, t.capture_count);
			assert_non_null(c->values);
			assert_string_equal(tn_buf_cstr(&got), c->values);
		} else {
			assert_null(c->values);
		}
		tn_buf_fini(&got);
		tn_codec_topic_fini(&t);
	}
}

/* ---- overlap --------------------------------------------------------- */

static const struct {
	const char *a, *b;
	bool overlap;
} pairs[] = {
	{ "views/{office}", "views/{o}", true },
	{ "views/{office}", "office/{o}", false },
	{ "views/{office}", "{kind}/berlin", true },
	{ "views/{office}", "views/{o}/#", true },
	{ "views/{office}", "views/{o}/+", false },
	{ "views/{a}/{b}", "views/#", true },
	{ "views/{a}/{b}", "+/+/+ -> n", true },
	{ "views/{a}", "#", true },
	{ "views", "views/#", true },
	{ "shelly-{d}/up", "{x}-3/up", true },
	{ "shelly-{d}/up", "shelf-{d}/up", false },
	{ "{d}-in", "{d}-out", false },
	{ "aa{d}aa", "aaa", false },
	{ "aa{d}aa", "aaaa", true },
	{ "$SYS/{x}", "#", false },
	{ "$SYS/{x}", "{a}/{b}", false },
	{ "$SYS/{x}", "$SYS/{y}", true },
	{ "$SYS-{x}", "$SYS-1", true },
	{ "{x}/", "{y}", false },
};

static bool
overlap_of(const char *a, const char *b)
{
	struct tn_codec_topic x, y;
	bool is;

	assert_int_equal(tn_codec_topic_parse(&x, tn_slice_of(a), NULL),
	    TN_OK);
	assert_int_equal(tn_codec_topic_parse(&y, tn_slice_of(b), NULL),
	    TN_OK);
	is = tn_codec_topic_overlap(&x, &y);
	tn_codec_topic_fini(&x);
	tn_codec_topic_fini(&y);
	return is;
}

/* Goal: literals must be equal, captures and wildcards take anything, # the
 * rest; whichever of the two is asked. */
static void
test_overlap(void **state)
{
	(void)state;
	for (size_t i = 0; i < TN_COUNT(pairs); i++) {
		if (overlap_of(pairs[i].a, pairs[i].b) != pairs[i].overlap ||
		    overlap_of(pairs[i].b, pairs[i].a) != pairs[i].overlap)
			fail_msg("%s and %s", pairs[i].a, pairs[i].b);
	}
}

/* One to three levels with at most two letters in all, or one that takes
 * anything. */
static void
pattern_new(struct tn_buf *out)
{
	static const char *const ways[] = { "a", "b", "$", "", "+", "{x}",
	    "a{x}", "{x}b", "$a", "ab" };
	uint32_t levels = 1 + help_rnd(3), letters = 0;

	for (uint32_t i = 0; i < levels; i++) {
		const char *way = ways[help_rnd(TN_COUNT(ways))];
		size_t at = strcspn(way, "{"), own = strcspn(way, "ab$");

		/* The last is all letters, or one before or behind {x}. */
		letters += way[own] == '\0' ? 0 : way[at] != '\0' ? 1 :
		    (uint32_t)strlen(way);
		if (i > 0)
			tn_buf_char(out, '/');
		tn_buf_str(out, letters > 2 ? "+" : way);
	}
	if (help_rnd(4) == 0)
		tn_buf_str(out, "/#");
}

#define TOPIC_BYTES 6        /* All letters of two patterns, and two '/'. */

/* The ${n}th text of those letters; false: it is no topic. */
static bool
nth_topic(uint32_t n, char out[TOPIC_BYTES + 1])
{
	static const char letters[] = "ab$/";
	uint32_t i = 0;

	for (; n > 0; n = (n - 1) / 4)
		out[i++] = letters[(n - 1) % 4];
	out[i] = '\0';
	return i > 0;
}

static bool
meet(const struct tn_codec_topic *x, const struct tn_codec_topic *y)
{
	struct tn_slice values[TN_CODEC_CAPTURES_MAX];
	char topic[TOPIC_BYTES + 1];

	for (uint32_t n = 1; n <= 5460; n++)
		if (nth_topic(n, topic) && tn_codec_topic_match(x,
		    tn_slice_of(topic), values) && tn_codec_topic_match(y,
		    tn_slice_of(topic), values))
			return true;
	return false;
}

/* Goal: two patterns overlap exactly when one of all short topics is taken by
 * both. Not asked of "/#", which takes the empty topic that no client sends. */
static void
test_overlap_oracle(void **state)
{
	uint32_t yes = 0, no = 0;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		struct tn_codec_topic x = { 0 }, y = { 0 };
		struct tn_buf a = { 0 }, b = { 0 };

		pattern_new(&a);
		pattern_new(&b);
		if (strcmp(tn_buf_cstr(&a), "/#") != 0 &&
		    strcmp(tn_buf_cstr(&b), "/#") != 0 &&
		    tn_codec_topic_parse(&x, tn_slice_of(tn_buf_cstr(&a)),
		    NULL) == TN_OK && tn_codec_topic_parse(&y,
		    tn_slice_of(tn_buf_cstr(&b)), NULL) == TN_OK) {
			bool met = meet(&x, &y);

			if (tn_codec_topic_overlap(&x, &y) != met)
				fail_msg("\"%s\" and \"%s\" %s",
				    tn_buf_cstr(&a), tn_buf_cstr(&b),
				    met ? "overlap" : "do not overlap");
			yes += met;
			no += !met;
		}
		tn_codec_topic_fini(&x);
		tn_codec_topic_fini(&y);
		tn_buf_fini(&a);
		tn_buf_fini(&b);
	}
	assert_true(yes > 300 && no > 300);
}

/* ---- rows ------------------------------------------------------------ */

static const struct tn_field fields[] = {
	{ .name = "office", .type = { .id = TN_T_TEXT } },
	{ .name = "door", .type = { .id = TN_T_INT4 } },
	{ .name = "temp", .type = { .id = TN_T_FLOAT8 } },
	{ .name = "body", .type = { .id = TN_T_JSONB } },
};
static const struct tn_schema schema = { "m", 4, fields };

static const struct row_case {
	const char *pattern;
	const char *topic;
	const char *payload;
	const char *want;        /* Rows by ;, columns by |, !code if bad */
} rows_of[] = {
	{ "o/{office}/d/{door}", "o/b/d/3", "{\"temp\":1.5}", "b|3|1.5|NULL" },
	/* The topic wins over a field of the same name. */
	{ "o/{office}/d/{door}", "o/b/d/3",
	    "{\"office\":\"x\",\"temp\":2,\"door\":\"no\"}", "b|3|2|NULL" },
	{ "o/{office}/d/{door}", "o/b/d/x", "{}", "!not_a_number" },
	{ "o/{office}/d/{door}", "o//d/", "{}", "|NULL|NULL|NULL" },
	{ "o/{office}/#", "o/b/x", " [ {\"temp\":1} , {\"door\":2}, 7 ] ",
	    "b|NULL|1|NULL;b|2|NULL|NULL;!not_an_object" },
	{ "o/{office}/#", "o/b/x", "[]", "" },
	{ "o/{office}/#", "o/b/x", "[{\"temp\":1},", "b|NULL|1|NULL;"
	    "!json_syntax" },
	{ "o/{office}/#", "o/b", "21.5", "!not_an_object" },
	{ "o/{office}/#", "o/b", "", "!json_syntax" },
	{ "o/{office}/t -> temp", "o/b/t", " 21.5 ", "b|NULL|21.5|NULL" },
	{ "o/{office}/t -> temp", "o/b/t", "n/a", "!not_a_number" },
	{ "o/{office}/t -> temp", "o/b/t", "", "b|NULL|NULL|NULL" },
	{ "o/+/t -> office", "o/b/t", "ON", "ON|NULL|NULL|NULL" },
	{ "o/+/t -> body", "o/b/t", "[1, {\"a\":2}]",
	    "NULL|NULL|NULL|[1, {\"a\": 2}]" },
	{ "o/+/t -> office", "o/b/t", "\xff", "!bad_utf8" },
	{ "o/{gone}/t", "o/b/t", "{\"temp\":3}", "NULL|NULL|3|NULL" },
};

static void
print_rows(struct tn_buf *out, const struct tn_batch *b,
    const struct tn_codec_error *errors, uint32_t error_count)
{
	uint32_t e = 0;

	for (uint32_t i = 0; i < b->rows; i++) {
		if (i > 0)
			tn_buf_char(out, ';');
		if (e < error_count && errors[e].row == i) {
			tn_buf_printf(out, "!%s", errors[e++].code);
			continue;
		}
		for (uint32_t c = 0; c < schema.count; c++) {
			if (c > 0)
				tn_buf_char(out, '|');
			if (tn_column_valid(&b->columns[c], i))
				tn_record_print(out, &b->columns[c], i);
			else
				tn_buf_str(out, "NULL");
		}
	}
}

static void
check_case(const struct row_case *c)
{
	struct tn_codec_spec spec, again;
	struct tn_codec_rows rows = { .count = 0 };
	struct tn_codec_message m = { tn_slice_of("client"),
	    tn_slice_of(c->topic), tn_slice_of(c->payload), false };
	struct tn_buf text = { 0 }, got = { 0 };
	const struct tn_codec_error *errors;
	struct tn_codec_decoder *d;
	struct tn_builder *b = tn_record_builder_new(&schema, 16);
	struct tn_batch *batch;
	uint32_t error_count;

	tn_codec_spec_init(&spec, TN_CODEC_JSON);
	assert_int_equal(tn_codec_spec_message(&spec,
	    tn_slice_of(c->pattern), NULL), TN_OK);
	m.whole = spec.topic->value != NULL;
	assert_int_equal(tn_codec_message_rows(&rows, &m), TN_OK);
	/* As it comes back from a block years later. */
	tn_codec_spec_text(&spec, &text);
	assert_int_equal(tn_codec_spec_parse(&again, help_slice(&text)),
	    TN_OK);
	d = tn_codec_decoder_new(&schema, &again);
	tn_codec_decode(d, &rows, NULL, b, NULL, &errors, &error_count);
	batch = tn_record_builder_take(b);
	print_rows(&got, batch, errors, error_count);
	assert_string_equal(tn_buf_cstr(&got), c->want);
	tn_record_batch_unref(batch);
	tn_record_builder_free(b);
	tn_codec_decoder_free(d);
	tn_codec_spec_fini(&spec);
	tn_codec_spec_fini(&again);
	tn_codec_rows_fini(&rows);
	tn_buf_fini(&text);
	tn_buf_fini(&got);
}

/* Goal: every payload becomes the rows it should, by a spec that went through
 * its text form. */
static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < TN_COUNT(rows_of); i++)
		check_case(&rows_of[i]);
}

/* Goal: a raw row tells client, topic and payload, and bytes that are no
 * message are a bad row, never a crash. */
static void
test_parts(void **state)
{
	static const char bad[] = "no zero";
	static const char one[] = "one\0zero";
	struct tn_codec_message m = { tn_slice_of("c"), tn_slice_of("t/u"),
	    { (const uint8_t *)"a\0b", 3 }, true }, got;
	struct tn_codec_rows rows = { .count = 0 };
	struct tn_codec_spec spec;

	(void)state;
	assert_int_equal(tn_codec_message_rows(&rows, &m), TN_OK);
	assert_int_equal(rows.count, 1);
	assert_true(tn_codec_message_parts((struct tn_slice){ rows.raw.p,
	    rows.length[0] }, &got));
	assert_true(tn_slice_eq(got.client, m.client));
	assert_true(tn_slice_eq(got.topic, m.topic));
	assert_true(tn_slice_eq(got.payload, m.payload));
	assert_false(tn_codec_message_parts((struct tn_slice){
	    (const uint8_t *)bad, sizeof bad - 1 }, &got));
	assert_false(tn_codec_message_parts((struct tn_slice){
	    (const uint8_t *)one, sizeof one - 1 }, &got));
	assert_false(tn_codec_message_parts((struct tn_slice){
	    (const uint8_t *)one, 0 }, &got));
	tn_codec_rows_fini(&rows);
	/* Only what was stored names the format. */
	tn_codec_spec_init(&spec, TN_CODEC_JSON);
	assert_int_equal(tn_codec_spec_set(&spec, tn_slice_of("format"),
	    tn_slice_of("message"), NULL), TN_EINVAL);
	assert_int_equal(tn_codec_spec_set(&spec, tn_slice_of("topic"),
	    tn_slice_of("a/b"), NULL), TN_ENOTFOUND);
	tn_codec_spec_fini(&spec);
	assert_int_equal(tn_codec_spec_parse(&spec,
	    tn_slice_of("format=message")), TN_EINVAL);
	assert_int_equal(tn_codec_spec_parse(&spec,
	    tn_slice_of("format=message&topic=a/%7B")), TN_EINVAL);
	/* Nothing stands beside the topic, or its text would not be itself. */
	assert_int_equal(tn_codec_spec_parse(&spec,
	    tn_slice_of("format=csv&header=false&topic=a")), TN_EINVAL);
	assert_int_equal(tn_codec_spec_parse(&spec,
	    tn_slice_of("format=message&topic=a&null=x")), TN_EINVAL);
	assert_int_equal(tn_codec_spec_parse(&spec, (struct tn_slice){
	    (const uint8_t *)"format=message&topic=a\0b", 24 }), TN_EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_overlap_oracle),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_parts),
	};

	help_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
