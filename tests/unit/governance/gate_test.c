/* gate: what becomes of each kind of row at intake, and that reading blocks
 * again gives the same. */
#include "test.h"
#include "gov_help.h"
#include "lake/lake.h"

#include <unistd.h>

/* Memory is never out here. */
static struct tn_batch *
silver_of(const struct tn_governance_rows *r)
{
	struct tn_batch *b = NULL;

	assert_int_equal(tn_governance_silver_of(r, &b), TN_OK);
	return b;
}

static const char events[] =
    "CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz NOT NULL,"
    " office text NOT NULL DEFAULT 'berlin', seen timestamptz DEFAULT now(),"
    " n int CHECK (n < 100), d int,"
    " ratio int GENERATED ALWAYS AS (n / d) STORED,"
    " twice bigint GENERATED ALWAYS AS (n * 2) STORED,"
    " CONSTRAINT quot CHECK (100 / d > 1))"
    " WITH (event_time = 'ts', max_future_skew = '1 hour');";

#define TS "\"ts\":\"2026-03-01T00:00:00Z\""

static const struct {
	const char *row;
	const char *code;        /* NULL: accepted. */
	const char *column;
	const char *words;       /* In the message. */
} cases[] = {
	{ "{\"id\":\"a\"," TS ",\"office\":\"x\",\"n\":1,\"d\":2}", NULL,
	    NULL, NULL },
	{ "{\"id\":\"b\"," TS "}", NULL, NULL, NULL },
	{ "{\"id\":\"c\"," TS ",\"office\":null}", "not_null", "office",
	    "must not be null" },
	{ "{\"id\":", "json_syntax", "", "" },
	{ "{\"id\":\"d\"," TS ",\"n\":\"abc\"}", "not_a_number", "n",
	    "abc" },
	{ "{\"id\":\"e\"," TS ",\"n\":200}", "check", "n", "n < 100" },
	{ "{\"id\":\"f\"," TS ",\"n\":1,\"d\":0}", "generated", "ratio",
	    "division by zero" },
	{ "{\"id\":\"g\",\"ts\":\"2026-03-01T01:30:00.000001Z\"}", "future",
	    "ts", "max_future_skew" },
	{ "{\"id\":\"h\",\"ts\":\"2026-03-01T01:30:00Z\"}", NULL, NULL,
	    NULL },
	{ "{\"id\":\"i\"}", "not_null", "ts", "" },
	{ "{" TS "}", "not_null", "id", "" },
	{ "{\"id\":\"j\"," TS ",\"d\":0}", "check", "d",
	    "division by zero" },
	{ "{\"id\":\"k\"," TS ",\"d\":1000}", "check", "d", "quot" },
	{ "{\"id\":\"l\"," TS ",\"n\":null,\"d\":null}", NULL, NULL, NULL },
	{ "", "json_syntax", "", "" },
	/* Very old is fine. */
	{ "{\"id\":\"m\",\"ts\":\"0001-01-01T00:00:00Z\"}", NULL, NULL,
	    NULL },
};

/* Goal: each rule refuses its rows with code, column and words, the others
 * pass; defaults and generated columns are filled; keys are the hashes of the
 * primary key. */
static void
rules(void **state)
{
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_codec_spec spec;
	struct tn_governance_gate *g;
	struct tn_governance_rows *r;
	struct made m;
	uint32_t bad = 0;

	(void)state;
	make_stream(&m, events, "ev", 4);
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	for (uint32_t i = 0; i < TN_COUNT(cases); i++)
		add_row(&raw, cases[i].row);
	g = tn_governance_gate_new(&m.stream, &spec);
	/* Twice: a gate has no memory that matters. */
	for (int pass = 0; pass < 2; pass++) {
		r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
		bad = 0;
		for (uint32_t i = 0; i < TN_COUNT(cases); i++) {
			const struct tn_log_reason *why = reason_of(r, i);
			if (cases[i].code == NULL) {
				if (why != NULL)
					print_error("%u: %s\n", i,
					    why->message);
				assert_null(why);
				assert_int_equal(r->marks[i],
				    TN_MARK_ACCEPTED);
				continue;
			}
			bad++;
			assert_non_null(why);
			assert_string_equal(why->code, cases[i].code);
			assert_string_equal(why->column, cases[i].column);
			if (strstr(why->message, cases[i].words) == NULL)
				print_error("%u: %s\n", i, why->message);
			assert_non_null(strstr(why->message,
			    cases[i].words));
			assert_int_equal(r->marks[i], TN_MARK_QUARANTINED);
		}
		assert_int_equal(r->bad, bad);
		assert_int_equal(r->reason_count, bad);
		for (uint32_t i = 1; i < r->reason_count; i++)
			assert_true(r->reasons[i - 1].row <
			    r->reasons[i].row);
		assert_string_equal(value(r->batch, "office", 0), "x");
		assert_string_equal(value(r->batch, "ratio", 0), "0");
		assert_string_equal(value(r->batch, "twice", 0), "2");
		assert_string_equal(value(r->batch, "office", 1), "berlin");
		assert_string_equal(value(r->batch, "seen", 1),
		    "2026-03-01 00:30:00+00");
		assert_string_equal(value(r->batch, "ratio", 1), "null");
		assert_string_equal(value(r->batch, "n", 13), "null");
		struct tn_hash128 keys[TN_COUNT(cases)];
		tn_record_hash_keys(r->batch, m.stream.table->key, 1, keys);
		assert_memory_equal(keys, r->keys, sizeof keys);
		tn_governance_rows_unref(r);
	}
	tn_governance_gate_free(g);
	tn_codec_rows_fini(&raw);
	tn_codec_spec_fini(&spec);
	drop_stream(&m);
}

/* Goal: no rows, and rows that are all bad, are fine. */
static void
extremes(void **state)
{
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_codec_spec spec;
	struct tn_governance_gate *g;
	struct tn_governance_rows *r;
	struct made m;

	(void)state;
	make_stream(&m, events, "ev", 4);
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	g = tn_governance_gate_new(&m.stream, &spec);
	r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
	assert_int_equal(r->batch->rows, 0);
	assert_null(silver_of(r));
	tn_governance_rows_unref(tn_governance_rows_ref(r));
	tn_governance_rows_unref(r);
	for (int i = 0; i < 5000; i++)
		add_row(&raw, "{");
	r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
	assert_int_equal(r->bad, 5000);
	assert_int_equal(r->reasons[4999].row, 4999);
	assert_null(silver_of(r));
	tn_governance_rows_unref(r);
	tn_governance_gate_free(g);
	tn_codec_rows_fini(&raw);
	tn_codec_spec_fini(&spec);
	drop_stream(&m);
}

/* Goal: a long CHECK with letters of many bytes gives a reason that is valid
 * UTF-8 and not longer than promised. */
static void
long_reasons(void **state)
{
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_buf sql = { 0 };
	struct tn_codec_spec spec;
	struct tn_governance_gate *g;
	struct tn_governance_rows *r;
	struct made m;

	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		tn_buf_clear(&sql);
		tn_buf_str(&sql, "CREATE TABLE ev (t text CHECK (t = '");
		for (int i = 0; i < shift; i++)
			tn_buf_char(&sql, 'x');
		for (int i = 0; i < 300; i++)
			tn_buf_str(&sql, "\xe2\x82\xac");
		tn_buf_str(&sql, "'));");
		make_stream(&m, tn_buf_cstr(&sql), "ev", 4);
		tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
		g = tn_governance_gate_new(&m.stream, &spec);
		tn_codec_rows_clear(&raw);
		add_row(&raw, "{\"t\":\"y\"}");
		r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
		assert_int_equal(r->reason_count, 1);
		size_t n = strlen(r->reasons[0].message);
		assert_in_range(n, 100, 400);
		assert_true(tn_utf8_valid(r->reasons[0].message, n));
		assert_null(strchr(r->reasons[0].message, '?'));
		assert_int_equal(r->reasons[0].message[n - 1], ')');
		tn_governance_rows_unref(r);
		tn_governance_gate_free(g);
		tn_codec_spec_fini(&spec);
		drop_stream(&m);
	}
	tn_codec_rows_fini(&raw);
	tn_buf_fini(&sql);
}

/* Goal: a date as event time, even the last one, is compared with the future
 * limit without overflow. */
static void
late_dates(void **state)
{
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_codec_spec spec;
	struct tn_governance_gate *g;
	struct tn_governance_rows *r;
	struct made m;

	(void)state;
	make_stream(&m, "CREATE TABLE ev (d date) WITH (event_time = 'd');",
	    "ev", 4);
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	g = tn_governance_gate_new(&m.stream, &spec);
	add_row(&raw, "{\"d\":\"5874897-12-31\"}");
	add_row(&raw, "{\"d\":\"2026-03-01\"}");
	add_row(&raw, "{\"d\":\"2026-03-02\"}");
	r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
	assert_string_equal(reason_of(r, 0)->code, "future");
	assert_null(reason_of(r, 1));
	assert_string_equal(reason_of(r, 2)->code, "future");
	assert_null(r->keys);
	tn_governance_rows_unref(r);
	tn_governance_gate_free(g);
	tn_codec_rows_fini(&raw);
	tn_codec_spec_fini(&spec);
	drop_stream(&m);
}

/* ---- again ----------------------------------------------------------- */

static void
random_row(struct tn_buf *b, bool csv)
{
	static const char *const texts[] = { "a", "", "\xc3\xa4", "null",
	    "x y", "7" };
	static const char *const times[] = { "2026-03-01T00:00:00Z",
	    "2026-02-28 23:59:59.5", "1772325000", "2031-01-01", "no" };
	const char *id = texts[random_below(6)], *ts = times[random_below(5)];
	int n = (int)random_below(120), d = (int)random_below(5);

	tn_buf_clear(b);
	if (csv) {
		tn_buf_printf(b, "%s,%s,%s,%d,%d", id, ts,
		    texts[random_below(6)], n, d);
		return;
	}
	tn_buf_printf(b, "{\"id\":\"%s%d\",\"ts\":\"%s\"", id, n, ts);
	if (random_below(2) == 0)
		tn_buf_printf(b, ",\"office\":\"%s\"", texts[random_below(6)]);
	if (random_below(2) == 0)
		tn_buf_printf(b, ",\"n\":%d", n);
	if (random_below(2) == 0)
		tn_buf_printf(b, ",\"d\":%d", d);
	tn_buf_str(b, random_below(20) == 0 ? "," : "}");
}

/* Silver of ${x} has just the accepted rows, with where they stand. */
static void
check_silver(const struct tn_governance_rows *x)
{
	struct tn_batch *silver = silver_of(x);
	uint32_t k = 0;
	char want[24];

	for (uint32_t i = 0; i < x->batch->rows; i++) {
		if (x->marks[i] != TN_MARK_ACCEPTED)
			continue;
		snprintf(want, sizeof want, "%u", 1000 + i);
		assert_string_equal(value(silver, TN_SQL_OFFSET_NAME, k),
		    want);
		assert_string_equal(value(silver, TN_SQL_LSN_NAME, k), "7");
		assert_string_equal(value(silver, TN_SQL_RECEIVED_NAME, k),
		    "2026-03-01 00:30:00+00");
		assert_string_equal(value(silver, "id", k),
		    value(x->batch, "id", i));
		k++;
	}
	if (k == 0)
		assert_null(silver);
	else
		assert_int_equal(silver->rows, k);
	tn_record_batch_unref(silver);
}

/* ${block} from the log, and from bronze, reads as ${r}. */
static void
check_again(struct tn_governance_reader *reader,
    const struct tn_governance_rows *r, const struct tn_log_block *block)
{
	struct tn_batch *bronze = tn_governance_bronze_of(block);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_governance_rows *x;
	struct tn_log_block back;
	uint32_t next = 0;

	assert_int_equal(tn_governance_reader_block(reader, block, &x),
	    TN_OK);
	assert_int_equal(x->lsn, 7);
	assert_int_equal(x->offset, 1000);
	assert_int_equal(x->reason_count, 0);
	same_rows(r, x);
	check_silver(x);
	tn_governance_rows_unref(x);
	assert_int_equal(bronze->rows, block->rows);
	assert_int_equal(tn_governance_block_of(bronze, 0, 4, a, &back,
	    &next), block->rows == 0 ? TN_END : TN_OK);
	if (block->rows > 0) {
		assert_int_equal(next, block->rows);
		assert_int_equal(back.raw.n, block->raw.n);
		assert_memory_equal(back.raw.p, block->raw.p, back.raw.n);
		assert_memory_equal(back.lines, block->lines, next * 4);
		assert_int_equal(tn_governance_reader_block(reader, &back,
		    &x), TN_OK);
		same_rows(r, x);
		tn_governance_rows_unref(x);
	}
	tn_record_batch_unref(bronze);
	tn_arena_free(a);
}

static void
take_and_check(struct tn_governance_reader *reader,
    struct tn_governance_gate *g, const struct tn_codec_spec *spec)
{
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_buf text = { 0 }, row = { 0 };
	struct tn_governance_rows *r;
	struct tn_log_block block;
	uint32_t n = random_below(60);

	for (uint32_t i = 0; i < n; i++) {
		random_row(&row, spec->format == TN_CODEC_CSV);
		add_row(&raw, tn_buf_cstr(&row));
	}
	r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
	for (uint32_t i = 0; i < n; i++)
		if (r->marks[i] == TN_MARK_ACCEPTED && random_below(5) == 0)
			r->marks[i] = TN_MARK_DUPLICATE;
	tn_codec_spec_text(spec, &text);
	block = block_from(r, &raw, (struct tn_slice){ text.p, text.n });
	check_again(reader, r, &block);
	tn_governance_rows_unref(r);
	tn_buf_fini(&text);
	tn_buf_fini(&row);
	tn_codec_rows_fini(&raw);
}

/* Goal: rows read again with their marks, from the log's block and from
 * bronze, in any order of blocks, are those of the intake; silver has just the
 * accepted ones with where they stand. */
static void
again(void **state)
{
	struct tn_codec_spec specs[2];
	struct tn_governance_gate *g[2];
	struct tn_governance_reader *reader;
	struct made m;

	(void)state;
	random_start();
	make_stream(&m, events, "ev", 4);
	tn_codec_spec_init(&specs[0], TN_CODEC_NDJSON);
	tn_codec_spec_init(&specs[1], TN_CODEC_CSV);
	assert_int_equal(tn_codec_spec_set(&specs[1], tn_slice_of("columns"),
	    tn_slice_of("id,ts,office,n,d"), NULL), TN_OK);
	for (int i = 0; i < 2; i++)
		g[i] = tn_governance_gate_new(&m.stream, &specs[i]);
	reader = tn_governance_reader_new(&m.stream, 1);
	for (int round = 0; round < 200; round++) {
		int kind = (int)random_below(2);
		take_and_check(reader, g[kind], &specs[kind]);
	}
	tn_governance_reader_free(reader);
	for (int i = 0; i < 2; i++) {
		tn_governance_gate_free(g[i]);
		tn_codec_spec_fini(&specs[i]);
	}
	drop_stream(&m);
}

/* What a cut finds so goes to bronze as bad, and comes back as taken: the next
 * definition decides. Its key stays taken, if it can still be read. */
static void
decided_anew(const struct tn_log_block *block,
    const struct tn_governance_rows *x)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_log_block said = *block, back;
	struct tn_batch *bronze;
	uint32_t next;

	said.marks = x->marks;
	said.reasons = x->reasons;
	said.reason_count = x->reason_count;
	bronze = tn_governance_bronze_of(&said);
	assert_int_equal(tn_governance_block_of(bronze, 0, 4, a, &back,
	    &next), TN_OK);
	for (uint32_t i = 0; i < back.rows; i++) {
		uint32_t key = x->stream->table->key_count == 0 ? 0 :
		    x->stream->table->key[0];
		assert_int_equal(((const int32_t *)bronze->columns[
		    TN_BRONZE_STATUS].values)[i], x->marks[i]);
		assert_int_equal(back.marks[i], TN_MARK_ACCEPTED);
		if (x->stream->table->key_count > 0)
			assert_int_equal(tn_governance_holds_key(x, i),
			    x->marks[i] == TN_MARK_ACCEPTED ||
			    tn_column_valid(&x->batch->columns[key], i));
	}
	tn_record_batch_unref(bronze);
	tn_arena_free(a);
}

/* Goal: rows taken under an older definition that do not fit today's become
 * quarantined when read again, so that no later room meets a null that its
 * schema forbids: silver can be written by day. */
static void
changed_definition(void **state)
{
	static const char *const later[] = {
		"CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz,"
		" fresh text NOT NULL) WITH (event_time = 'ts');",
		"CREATE TABLE ev (id int PRIMARY KEY, ts timestamptz)"
		" WITH (event_time = 'ts');",
		"CREATE TABLE ev (id text PRIMARY KEY, at timestamptz)"
		" WITH (event_time = 'at');",
		"CREATE TABLE ev (id text PRIMARY KEY, ts timestamptz, d int,"
		" g int NOT NULL GENERATED ALWAYS AS (10 / d) STORED)"
		" WITH (event_time = 'ts');",
	};
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_parquet_write_opts po = { .zstd_level = 0 };
	char dir[] = "/tmp/tarn-gov-XXXXXX", command[64];
	struct tn_lake *lake = NULL;
	struct tn_codec_spec spec;
	struct tn_governance_gate *g;
	struct tn_governance_rows *r, *x;
	struct tn_log_block block;
	struct made m, now;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(tn_lake_open(&lake, dir, NULL), TN_OK);
	make_stream(&m, events, "ev", 4);
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	g = tn_governance_gate_new(&m.stream, &spec);
	add_row(&raw, "{\"id\":\"1\"," TS ",\"d\":2}");
	add_row(&raw, "{\"id\":\"x\"," TS ",\"fresh\":\"f\",\"d\":5}");
	add_row(&raw, "{\"id\":\"3\"," TS ",\"at\":\"2026-03-01\"}");
	r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
	assert_int_equal(r->bad, 0);
	block = block_from(r, &raw, tn_slice_of("format=ndjson"));
	for (uint32_t i = 0; i < TN_COUNT(later); i++) {
		struct tn_lake_files files = { 0 };
		char label[16];
		struct tn_lake_write w = { .tier = "silver", .table = "ev",
		    .label = label, .parquet = &po };
		struct tn_governance_reader *reader;
		struct tn_batch *b;
		snprintf(label, sizeof label, "l%u", i);
		make_stream(&now, later[i], "ev", 4);
		reader = tn_governance_reader_new(&now.stream, 1);
		assert_int_equal(tn_governance_reader_block(reader, &block,
		    &x), TN_OK);
		assert_in_range(x->bad, 1, 2);
		assert_int_equal(x->reason_count, x->bad);
		for (uint32_t k = 0; k < x->reason_count; k++)
			assert_string_equal(x->reasons[k].code,
			    "definition_changed");
		decided_anew(&block, x);
		b = silver_of(x);
		assert_int_equal(b->rows, 3 - x->bad);
		w.time_column = now.stream.table->event_time;
		assert_int_equal(tn_lake_put_days(lake, &w, &b, 1, &files),
		    TN_OK);
		tn_lake_files_fini(&files);
		tn_record_batch_unref(b);
		tn_governance_rows_unref(x);
		tn_governance_reader_free(reader);
		drop_stream(&now);
	}
	tn_governance_rows_unref(r);
	tn_governance_gate_free(g);
	tn_codec_rows_fini(&raw);
	tn_codec_spec_fini(&spec);
	drop_stream(&m);
	tn_lake_close(lake);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

/* Goal: blocks of unknown streams, with a bad spec or with lengths that do not
 * add up are refused; a reader outlives more specs than it keeps. */
static void
bad_blocks(void **state)
{
	struct tn_codec_rows raw = { .count = 0 };
	struct tn_codec_spec spec;
	struct tn_governance_gate *g;
	struct tn_governance_rows *r, *x;
	struct tn_governance_reader *reader;
	struct tn_log_block block;
	struct made m;
	uint32_t lengths[1];
	char text[64];

	(void)state;
	make_stream(&m, events, "ev", 4);
	tn_codec_spec_init(&spec, TN_CODEC_NDJSON);
	g = tn_governance_gate_new(&m.stream, &spec);
	add_row(&raw, "{\"id\":\"1\"," TS ",\"z\":\"q\"}");
	r = tn_governance_gate_pass(g, &raw, RECEIVED, NULL);
	assert_string_equal(tn_governance_gate_unknown(g)[0], "z");
	assert_null(tn_governance_gate_unknown(g)[1]);
	block = block_from(r, &raw, tn_slice_of("format=ndjson"));
	reader = tn_governance_reader_new(&m.stream, 1);
	block.stream = 5;
	assert_int_equal(tn_governance_reader_block(reader, &block, &x),
	    TN_ENOTFOUND);
	block.stream = 4;
	for (int i = 0; i < 100; i++) {
		block.spec = tn_slice_of("format=nonsense");
		assert_int_equal(tn_governance_reader_block(reader, &block,
		    &x), TN_ECORRUPT);
		assert_null(x);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof text,
		    "format=ndjson&constant=office:o%d", i % 150);
		block.spec = tn_slice_of(text);
		assert_int_equal(tn_governance_reader_block(reader, &block,
		    &x), TN_OK);
		assert_string_equal(value(x->batch, "office", 0),
		    strrchr(text, ':') + 1);
		tn_governance_rows_unref(x);
	}
	block.marks = NULL;
	assert_int_equal(tn_governance_reader_block(reader, &block, &x),
	    TN_OK);
	assert_int_equal(x->bad, 0);
	tn_governance_rows_unref(x);
	for (int i = -1; i < 2; i += 2) {
		lengths[0] = raw.length[0] + (uint32_t)i;
		block.lengths = lengths;
		assert_int_equal(tn_governance_reader_block(reader, &block,
		    &x), TN_ECORRUPT);
	}
	tn_governance_reader_free(reader);
	tn_governance_rows_unref(r);
	tn_governance_gate_free(g);
	tn_codec_rows_fini(&raw);
	tn_codec_spec_fini(&spec);
	drop_stream(&m);
}

/* ---- bronze ---------------------------------------------------------- */

/* Goal: bronze keeps every text of a block as it was, and many blocks in one
 * batch come back one by one, also when a batch begins inside one. */
static void
bronze_runs(void **state)
{
	static const char raw[] = "abc\0def";
	static const uint32_t lengths[] = { 3, 0, 4 };
	static const uint8_t marks[] = { 0, 1, 2 };
	static const struct tn_log_reason why[] = {
		{ 1, "check", "n", "fails" } };
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_batch *parts[3], *all;
	struct tn_log_block b = { .stream = 9, .rows = 3,
	    .received_us = RECEIVED, .spec = tn_slice_of("format=csv"),
	    .source = tn_slice_of("mqtt x"), .marks = marks, .reasons = why,
	    .reason_count = 1, .raw = { (const uint8_t *)raw, 7 },
	    .lengths = lengths }, out;
	uint32_t next = 0;

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		b.lsn = 20 + i;
		b.offset = 100 + 3 * i;
		parts[i] = tn_governance_bronze_of(&b);
	}
	all = tn_record_batch_concat(parts, 3);
	assert_string_equal(value(all, "code", 1), "check");
	assert_string_equal(value(all, "column", 4), "n");
	assert_string_equal(value(all, "reason", 7), "fails");
	assert_string_equal(value(all, "code", 0), "null");
	assert_string_equal(value(all, "status", 2), "2");
	assert_string_equal(value(all, "line", 2), "null");
	assert_string_equal(value(all, "source", 8), "mqtt x");
	for (uint32_t first = 0; first < 9; first = next) {
		uint32_t cut = first == 0 ? 1 : 0;   /* Begin inside. */
		assert_int_equal(tn_governance_block_of(all, first + cut, 9,
		    a, &out, &next), TN_OK);
		assert_int_equal(next, first + 3);
		assert_int_equal(out.rows, 3 - cut);
		assert_int_equal(out.lsn, 20 + first / 3);
		assert_int_equal(out.offset, 100 + first + cut);
		assert_int_equal(out.received_us, RECEIVED);
		assert_memory_equal(out.marks, marks + cut, 3 - cut);
		assert_memory_equal(out.lengths, lengths + cut,
		    (3 - cut) * 4);
		assert_int_equal(out.raw.n, cut ? 4 : 7);
		assert_memory_equal(out.raw.p, raw + (cut ? 3 : 0),
		    out.raw.n);
		assert_null(out.lines);
		assert_true(tn_slice_is(out.spec, "format=csv"));
	}
	assert_int_equal(tn_governance_block_of(all, 9, 9, a, &out, &next),
	    TN_END);
	/* A status that is none. */
	((int32_t *)(uintptr_t)all->columns[TN_BRONZE_STATUS].values)[4] =
	    256;
	assert_int_equal(tn_governance_block_of(all, 3, 9, a, &out, &next),
	    TN_ECORRUPT);
	for (int i = 0; i < 3; i++)
		tn_record_batch_unref(parts[i]);
	tn_record_batch_unref(all);
	tn_arena_free(a);
}

/* Goal: bronze rows whose columns are all dictionaries, as a file of repeated
 * rows is read, are the same block. */
static void
bronze_dictionaries(void **state)
{
	static const uint32_t at[] = { 0, 3, 3, 7 }, codes[] = { 2, 0, 1, 2 },
	    lengths[] = { 4, 3, 0, 4 };
	static const uint8_t marks[4] = { 0 };
	struct tn_column dict = { .type = tn_record_type(TN_T_BYTES),
	    .rows = 3, .offsets = at, .bytes = (const uint8_t *)"abcdefg" };
	struct tn_log_block b = { .lsn = 3, .offset = 70, .rows = 4,
	    .received_us = RECEIVED, .spec = tn_slice_of("format=csv"),
	    .source = tn_slice_of(""), .marks = marks,
	    .raw = tn_slice_of("defgabcdefg"), .lengths = lengths }, out;
	struct tn_batch *bronze = tn_governance_bronze_of(&b);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_column *raw = &bronze->columns[TN_BRONZE_RAW];
	uint32_t next;

	(void)state;
	raw->offsets = NULL;
	raw->bytes = NULL;
	raw->values = codes;
	raw->dict = &dict;
	assert_int_equal(tn_governance_block_of(bronze, 0, 9, a, &out, &next),
	    TN_OK);
	assert_int_equal(next, 4);
	assert_true(tn_slice_eq(out.raw, b.raw));
	assert_memory_equal(out.lengths, lengths, sizeof lengths);
	assert_int_equal(tn_governance_block_of(bronze, 1, 9, a, &out, &next),
	    TN_OK);
	assert_true(tn_slice_is(out.raw, "abcdefg"));
	tn_record_batch_unref(bronze);
	tn_arena_free(a);
}

/* Goal: a long header and very many short rows are bronze rows in little memory,
 * and a block again. */
static void
long_spec(void **state)
{
	enum { ROWS = 200000 };
	uint32_t *lengths = tn_alloc(ROWS * sizeof *lengths), next;
	uint8_t *raw = tn_alloc(ROWS), *names = tn_alloc(TN_LOG_SPEC_MAX);
	struct tn_log_block b = { .lsn = 3, .stream = 9, .offset = 70,
	    .rows = ROWS, .received_us = RECEIVED,
	    .spec = { names, TN_LOG_SPEC_MAX },
	    .source = tn_slice_of("http 10.0.0.1"), .raw = { raw, ROWS },
	    .lengths = lengths }, out;
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_batch *bronze;

	(void)state;
	memset(names, 'n', TN_LOG_SPEC_MAX);
	memset(raw, '1', ROWS);
	for (uint32_t i = 0; i < ROWS; i++)
		lengths[i] = 1;
	bronze = tn_governance_bronze_of(&b);
	assert_non_null(bronze);
	assert_true(tn_record_batch_bytes(bronze) < ROWS * 80ul);
	for (uint32_t i = 0; i < ROWS; i += 999) {
		assert_true(tn_slice_eq(tn_governance_bronze_text(
		    &bronze->columns[TN_BRONZE_SPEC], i), b.spec));
		assert_true(tn_slice_is(tn_governance_bronze_text(
		    &bronze->columns[TN_BRONZE_SOURCE], i),
		    "http 10.0.0.1"));
	}
	assert_int_equal(tn_governance_block_of(bronze, 0, 9, a, &out, &next),
	    TN_OK);
	assert_int_equal(next, ROWS);
	assert_int_equal(out.rows, ROWS);
	assert_true(tn_slice_eq(out.spec, b.spec));
	assert_true(tn_slice_eq(out.source, b.source));
	tn_record_batch_unref(bronze);
	tn_arena_free(a);
	tn_free(names);
	tn_free(raw);
	tn_free(lengths);
}

/* Goal: whatever bytes a block of the log calls its source, bronze has texts
 * that a reader takes back, and the rows are whole. */
static void
bad_source(void **state)
{
	static const uint32_t lengths[] = { 1, 2 };
	struct tn_log_block b = { .lsn = 3, .stream = 9, .offset = 70,
	    .rows = 2, .received_us = RECEIVED,
	    .spec = tn_slice_of("format=\xe9"),
	    .source = tn_slice_of("inbox \xff\\.csv"),
	    .raw = tn_slice_of("abb"), .lengths = lengths }, out;
	struct tn_batch *bronze = tn_governance_bronze_of(&b);
	struct tn_arena *a = tn_arena_new(4096);
	uint32_t next;

	(void)state;
	assert_non_null(bronze);
	assert_int_equal(tn_governance_block_of(bronze, 0, 9, a, &out, &next),
	    TN_OK);
	assert_int_equal(next, 2);
	assert_true(tn_slice_is(out.source, "inbox \\xff\\\\.csv"));
	assert_true(tn_slice_is(out.spec, "format=\\xe9"));
	assert_true(tn_slice_eq(out.raw, b.raw));
	tn_record_batch_unref(bronze);
	tn_arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(extremes),
		cmocka_unit_test(long_reasons),
		cmocka_unit_test(late_dates),
		cmocka_unit_test(again),
		cmocka_unit_test(changed_definition),
		cmocka_unit_test(bad_blocks),
		cmocka_unit_test(bronze_runs),
		cmocka_unit_test(bronze_dictionaries),
		cmocka_unit_test(bad_source),
		cmocka_unit_test(long_spec),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
