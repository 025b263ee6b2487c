/* codec_bench: bytes and events a second of splitting and decoding, on one
 * core, for events as the office pipeline sends them. Its own generator, so
 * that it needs no files; the seed is fixed. Times are the processor's, so
 * that other work on the machine disturbs less.
 *
 *   codec_bench [seconds for each line [name of one line]]
 *   gcc -O2 -march=x86-64-v2 -Isrc ... codec_bench.c, then the archives of
 *   codec, record and base, -lzstd -lz -lm */
#include "codec/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS 20000
#define CHUNK ((size_t)64 << 10)
#define BATCH ((size_t)1 << 20)

static const struct tn_field fields[] = {
	{ "event_id", { .id = TN_T_TEXT }, true },
	{ "ts", { .id = TN_T_TIMESTAMPTZ }, true },
	{ "employee_id", { .id = TN_T_TEXT }, true },
	{ "office", { .id = TN_T_TEXT }, true },
	{ "door", { .id = TN_T_TEXT }, true },
	{ "direction", { .id = TN_T_TEXT }, true },
	{ "temp_c", { .id = TN_T_FLOAT8 }, false },
};
static const struct tn_schema schema = { "badge", 7, fields };
static uint64_t state = 42;

static uint32_t
rnd(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % n;
}

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum shape { COMPACT, SPACED, GAPS, SHUFFLED, CSV, QUOTED };

static void
add_event(struct tn_buf *out, uint32_t i, enum shape shape)
{
	static const char *const offices[] = { "berlin", "muenchen", "wien",
	    "paris" };
	uint32_t s = i / 5 % 86400;
	char v[7][64];
	const char *sep = shape == SPACED ? ", " : ",";
	uint32_t from = shape == SHUFFLED ? rnd(7) : 0;

	snprintf(v[0], 64, "%08x-%04x-4%03x-a%03x-%08x%04x", rnd(1u << 31),
	    rnd(65536), rnd(4096), rnd(4096), rnd(1u << 31), rnd(65536));
	snprintf(v[1], 64, "2026-03-%02uT%02u:%02u:%02u.%03uZ",
	    1 + i / 5 / 86400 % 28, s / 3600, s / 60 % 60, s % 60,
	    rnd(1000));
	snprintf(v[2], 64, "E%05u", rnd(100000));
	snprintf(v[3], 64, "%s", offices[rnd(4)]);
	snprintf(v[4], 64, "D%u", 100 + rnd(900));
	snprintf(v[5], 64, "%s", rnd(2) != 0 ? "in" : "out");
	snprintf(v[6], 64, "%u.%u", 18 + rnd(9), rnd(10));
	for (uint32_t j = 0; j < 7; j++) {
		uint32_t k = (j + from) % 7;
		bool quote = shape < CSV ? k < 6 : shape == QUOTED;

		if (shape == GAPS && k > 1 && rnd(4) == 0)
			continue;
		if (shape < CSV)
			tn_buf_printf(out, "%s\"%s\":%s", j == 0 ? "{" : sep,
			    fields[k].name, shape == SPACED ? " " : "");
		else if (j > 0)
			tn_buf_str(out, ",");
		tn_buf_printf(out, quote ? "\"%s\"" : "%s", v[k]);
	}
	tn_buf_str(out, shape < CSV ? "}\n" : "\n");
}

struct run {
	double split_s, decode_s;
	uint64_t rows, bytes, errors;
};

static void
decode_batch(struct run *r, struct tn_codec_rows *rows,
    struct tn_codec_decoder *d, struct tn_builder *b)
{
	const struct tn_codec_error *errors;
	uint32_t count;
	double t = now();

	tn_codec_decode(d, rows, NULL, b, NULL, &errors, &count);
	r->rows += rows->count;
	r->errors += count;
	tn_record_batch_unref(tn_record_builder_take(b));
	tn_codec_rows_clear(rows);
	r->decode_s += now() - t;
}

/* Split and decode the whole body once. */
static void
pass(struct run *r, struct tn_codec_spec *spec, const struct tn_buf *body,
    struct tn_codec_decoder *d, struct tn_builder *b)
{
	struct tn_codec_splitter *s = tn_codec_splitter_new(spec, 1 << 20);
	struct tn_codec_rows rows = { 0 };
	struct tn_slice in = { body->p, 0 };
	size_t at = 0;
	double t;

	while (at < body->n || in.n > 0) {
		if (in.n == 0) {
			in.n = body->n - at < CHUNK ? body->n - at : CHUNK;
			at += in.n;
		}
		t = now();
		if (tn_codec_splitter_feed(s, &in, &rows, BATCH) != TN_OK)
			abort();
		r->split_s += now() - t;
		if (rows.raw.n >= BATCH)
			decode_batch(r, &rows, d, b);
	}
	if (tn_codec_splitter_end(s, &rows) != TN_OK)
		abort();
	decode_batch(r, &rows, d, b);
	tn_codec_splitter_free(s);
	tn_codec_rows_fini(&rows);
	r->bytes += body->n;
}

static void
run(const char *name, enum tn_codec_format format, enum shape shape,
    double seconds)
{
	struct tn_buf body = { 0 };
	struct tn_codec_spec spec;
	struct tn_codec_decoder *d;
	struct tn_builder *b;
	struct run r = { 0 };
	double start = now();

	if (format == TN_CODEC_CSV)
		tn_buf_str(&body, "event_id,ts,employee_id,office,door,"
		    "direction,temp_c\n");
	if (format == TN_CODEC_JSON)
		tn_buf_str(&body, "[");
	for (uint32_t i = 0; i < EVENTS; i++) {
		if (format == TN_CODEC_JSON && i > 0)
			tn_buf_str(&body, ",");
		add_event(&body, i, shape);
	}
	if (format == TN_CODEC_JSON)
		tn_buf_str(&body, "]");
	tn_codec_spec_init(&spec, format);
	d = tn_codec_decoder_new(&schema, &spec);
	b = tn_record_builder_new(&schema, 8192);
	while (now() - start < seconds)
		pass(&r, &spec, &body, d, b);
	printf("%-16s split %6.0f MB/s  decode %6.0f MB/s %6.2f M/s  both "
	    "%6.0f MB/s %6.2f M/s  %.0f B/event%s\n", name,
	    (double)r.bytes / r.split_s / 1e6,
	    (double)r.bytes / r.decode_s / 1e6,
	    (double)r.rows / r.decode_s / 1e6,
	    (double)r.bytes / (r.split_s + r.decode_s) / 1e6,
	    (double)r.rows / (r.split_s + r.decode_s) / 1e6,
	    (double)r.bytes / (double)r.rows,
	    r.errors > 0 ? "  ERRORS" : "");
	tn_codec_decoder_free(d);
	tn_record_builder_free(b);
	tn_codec_spec_fini(&spec);
	tn_buf_fini(&body);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum tn_codec_format format;
		enum shape shape;
	} runs[] = {
		{ "ndjson", TN_CODEC_NDJSON, COMPACT },
		{ "ndjson spaced", TN_CODEC_NDJSON, SPACED },
		{ "ndjson gaps", TN_CODEC_NDJSON, GAPS },
		{ "ndjson shuffled", TN_CODEC_NDJSON, SHUFFLED },
		{ "json array", TN_CODEC_JSON, COMPACT },
		{ "csv", TN_CODEC_CSV, CSV },
		{ "csv quoted", TN_CODEC_CSV, QUOTED },
	};
	double seconds = argc > 1 ? atof(argv[1]) : 1;

	for (size_t i = 0; i < TN_COUNT(runs); i++)
		if (argc < 3 || strcmp(argv[2], runs[i].name) == 0)
			run(runs[i].name, runs[i].format, runs[i].shape,
			    seconds);
	return 0;
}
