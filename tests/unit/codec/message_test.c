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
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
