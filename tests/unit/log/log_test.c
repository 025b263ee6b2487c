/* What the log promises while nothing fails: blocks come back as they went
 * in, over rolls, trims and reopenings, and agree with a model. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/log.h"
#include "os/os.h"
#include "log_help.h"

/* ---- tests ----------------------------------------------------------- */

/* Goal: every field of a block survives packing, appending and reopening. */
static void
test_round_trip(void **state)
{
	struct tn_log *log = open_log(*state, 0, 0);
	struct tn_arena *a = tn_arena_new(4096);
	static const uint8_t marks[] = { 0, 0, 1, 1, 2, 0 };
	static const uint32_t lengths[] = { 3, 0, 5, 1, 1, 200 };
	static const uint32_t lines[] = { 9, 4, 4, 70000, 1, UINT32_MAX };
	static const struct tn_log_reason reasons[] = {
		{ 2, "bad_type", "temp_c", "not a number" },
		{ 3, "check", "", "x" },
	};
	uint8_t raw[210];
	struct tn_log_block in[2];
	struct tn_log_block out;
	struct tn_diag d;

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(i * 7);
	memset(in, 0, sizeof in);
	in[0] = (struct tn_log_block){ .stream = 7, .version = 3, .rows = 6,
		.received_us = -5, .spec = tn_slice_of("json"),
		.source = tn_slice_of("http 10.0.0.7"), .marks = marks,
		.reasons = reasons, .reason_count = 2, .raw = { raw, 210 },
		.lengths = lengths, .lines = lines };
	in[1] = (struct tn_log_block){ .stream = 7, .rows = 0 };
	assert_int_equal(tn_log_append(log, in, 2, NULL, 0), TN_OK);
	assert_int_equal(in[0].lsn, 1);
	assert_int_equal(in[1].offset, 6);
	tn_log_close(log);
	log = open_log(*state, 0, 0);
	assert_int_equal(tn_log_last(log), 2);
	assert_int_equal(tn_log_next_offset(log, 7), 6);
	assert_int_equal(tn_log_next_offset(log, 8), 0);
	assert_int_equal(tn_log_read(log, 1, a, &out, &d), TN_OK);
	assert_int_equal(out.stream, 7);
	assert_int_equal(out.version, 3);
	assert_int_equal(out.rows, 6);
	assert_int_equal(out.received_us, -5);
	assert_true(tn_slice_is(out.spec, "json"));
	assert_true(tn_slice_is(out.source, "http 10.0.0.7"));
	assert_memory_equal(out.marks, marks, 6);
	assert_memory_equal(out.lengths, lengths, sizeof lengths);
	assert_memory_equal(out.lines, lines, sizeof lines);
	assert_int_equal(out.raw.n, 210);
	assert_memory_equal(out.raw.p, raw, 210);
	assert_int_equal(out.reason_count, 2);
	assert_int_equal(out.reasons[1].row, 3);
	assert_string_equal(out.reasons[0].code, "bad_type");
	assert_string_equal(out.reasons[0].column, "temp_c");
	assert_string_equal(out.reasons[0].message, "not a number");
	assert_string_equal(out.reasons[1].column, "");
	assert_int_equal(tn_log_read(log, 2, a, &out, &d), TN_OK);
	assert_int_equal(out.rows, 0);
	assert_null(out.marks);
	assert_int_equal(tn_log_read(log, 3, a, &out, &d), TN_ENOTFOUND);
	assert_int_equal(tn_log_read(log, 0, a, &out, &d), TN_ENOTFOUND);
	tn_log_close(log);
	tn_arena_free(a);
}

/* Goal: segments roll, all blocks stay readable, trimming removes whole
 * segments and never the newest, and reopening sees the same. */
static void
test_roll_and_trim(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	uint64_t first;
	uint32_t n;

	for (uint32_t i = 0; i < 100; i++)
		append_one(log, i % 3, i, 50000);
	assert_true(tn_log_segments(log) > 4);
	assert_int_equal(tn_log_first(log), 1);
	for (uint64_t lsn = 1; lsn <= 100; lsn++)
		check_one(log, lsn, (uint32_t)lsn - 1, 50000);
	n = tn_log_segments(log);
	assert_int_equal(tn_log_trim(log, 0), TN_OK);
	assert_int_equal(tn_log_segments(log), n);
	assert_int_equal(tn_log_trim(log, 50), TN_OK);
	first = tn_log_first(log);
	assert_true(first > 1 && first <= 51);
	assert_true(tn_log_segments(log) < n);
	tn_log_close(log);
	log = open_log(*state, 1 << 20, 0);
	assert_int_equal(tn_log_first(log), first);
	for (uint64_t lsn = first; lsn <= 100; lsn++)
		check_one(log, lsn, (uint32_t)lsn - 1, 50000);
	assert_int_equal(tn_log_trim(log, 1000), TN_OK);
	assert_int_equal(tn_log_segments(log), 1);
	assert_int_equal(tn_log_last(log), 100);
	append_one(log, 1, 100, 10);
	assert_int_equal(tn_log_last(log), 101);
	assert_int_equal(tn_log_next_offset(log, 0), 34);
	tn_log_close(log);
}

/* Goal: a raised log gives out nothing at or below, now and after reopening,
 * also when it has blocks; the gap reads as not found. */
static void
test_raise(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	struct tn_arena *a = tn_arena_new(4096);
	static const uint32_t streams[] = { 5, 1 };
	static const uint64_t next[] = { 70, 0 };
	struct tn_log_block out;

	assert_int_equal(tn_log_raise(log, 500, streams, next, 2), TN_OK);
	assert_int_equal(tn_log_last(log), 500);
	assert_int_equal(tn_log_first(log), 501);
	tn_log_close(log);
	log = open_log(*state, 1 << 20, 0);
	assert_int_equal(tn_log_last(log), 500);
	assert_int_equal(tn_log_next_offset(log, 5), 70);
	assert_int_equal(tn_log_read(log, 500, a, &out, NULL), TN_ENOTFOUND);
	append_one(log, 5, 1, 10);
	assert_int_equal(tn_log_last(log), 501);
	assert_int_equal(tn_log_next_offset(log, 5), 71);
	tn_log_close(log);
	log = open_log(*state, 1 << 20, 0);
	assert_int_equal(tn_log_raise(log, 400, streams, next, 2), TN_OK);
	assert_int_equal(tn_log_last(log), 501);
	assert_int_equal(tn_log_raise(log, 600, streams, next, 2), TN_OK);
	assert_int_equal(tn_log_last(log), 600);
	tn_log_close(log);
	log = open_log(*state, 1 << 20, 0);
	append_one(log, 5, 2, 10);
	assert_int_equal(tn_log_last(log), 601);
	check_one(log, 501, 1, 10);
	check_one(log, 601, 2, 10);
	assert_int_equal(tn_log_read(log, 550, a, &out, NULL), TN_ENOTFOUND);
	tn_log_close(log);
	log = open_log(*state, 1 << 20, 0);
	check_one(log, 601, 2, 10);
	tn_log_close(log);
	tn_arena_free(a);
}

static int64_t test_now;

static int64_t
test_wall_us(void)
{
	return test_now;
}

/* Goal: notes live until they expire, over rolls and reopenings; too many
 * live ones are refused and none is forgotten; expired ones make room. */
static void
test_notes(void **state)
{
	struct tn_os_table os = tn_os_real;
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_slice value;
	struct tn_log *log;

	os.wall_us = test_wall_us;
	tn_os_use(&os);
	test_now = 1000;
	log = open_log(*state, 1 << 20, 100);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(put_note(log, i, "first", 2000 + i), TN_OK);
	assert_int_equal(put_note(log, 100, "x", 5000), TN_EFULL);
	/* The same key again is no new one. */
	assert_int_equal(put_note(log, 3, "second", 9000), TN_OK);
	assert_true(has_note(log, 3, "second", 1000));
	assert_true(has_note(log, 0, "first", 1999));
	assert_false(has_note(log, 0, "first", 2000));
	assert_false(has_note(log, 100, "x", 1000));
	for (uint32_t i = 0; i < 60; i++)
		append_one(log, 1, i, 50000);
	assert_true(tn_log_segments(log) > 2);
	assert_int_equal(tn_log_trim(log, 1000), TN_OK);
	for (uint32_t i = 0; i < 100; i++)
		assert_true(has_note(log, i, i == 3 ? "second" : "first", 1500));
	test_now = 2049;        /* 0..49 are over, but for 3. */
	assert_int_equal(put_note(log, 200, "new", 5000), TN_OK);
	tn_log_close(log);
	log = open_log(*state, 1 << 20, 100);
	assert_true(has_note(log, 200, "new", 3000));
	assert_true(has_note(log, 3, "second", 3000));
	for (uint32_t i = 50; i < 100; i++)
		assert_true(has_note(log, i, "first", 2049));
	for (uint32_t i = 0; i < 48; i++)
		assert_int_equal(put_note(log, 300 + i, "more", 6000), TN_OK);
	assert_int_equal(tn_log_note_get(log, tn_slice_of(""), 0, a, &value),
	    TN_ENOTFOUND);
	tn_log_close(log);
	tn_os_use(NULL);
	tn_arena_free(a);
}

static int64_t test_mono;

static int64_t
test_mono_us(void)
{
	return test_mono;
}

static enum tn_status
put_notes(struct tn_log *log, uint32_t first, uint32_t count,
    int64_t expires_us)
{
	struct tn_log_note *notes = tn_alloc(count * sizeof *notes);
	struct tn_arena *a = tn_arena_new(4096);
	enum tn_status st;

	for (uint32_t i = 0; i < count; i++)
		notes[i] = (struct tn_log_note){
			.key = tn_slice_of(tn_arena_printf(a, "key %u",
			    first + i)),
			.value = tn_slice_of("x"), .expires_us = expires_us };
	st = tn_log_append(log, NULL, 0, notes, count);
	tn_arena_free(a);
	tn_free(notes);
	return st;
}

static int64_t
counted(const char *name, const char *labels)
{
	return tn_counter_read(tn_counter_get(TN_COUNTER, name, labels, ""));
}

static int64_t
forgotten(void)
{
	return counted("tarn_log_notes_forgotten_total", "");
}

/* Goal: where there are too many, those that would end first are forgotten, so
 * many that there is room again, and only with the time left that may be; else
 * they are refused, and nothing is forgotten for that. */
static void
test_notes_early(void **state)
{
	struct tn_os_table os = tn_os_real;
	struct tn_log_opts o = { .dir = *state, .segment_bytes = 1 << 20,
	    .notes_max = 100, .notes_early_us = 1000 };
	int64_t had = forgotten(), journaled;
	struct tn_log *log;

	os.wall_us = test_wall_us;
	tn_os_use(&os);
	test_now = 1000;
	log = open_log_with(&o);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(put_note(log, i, "first", 1990 + i), TN_OK);
	/* 97 are left, so three more go as ever. */
	assert_int_equal(put_note(log, 100, "x", 5000), TN_OK);
	assert_int_equal(forgotten() - had, 4);
	journaled = counted("tarn_log_commits_total", "to=\"journal\"");
	for (uint32_t i = 101; i < 104; i++)
		assert_int_equal(put_note(log, i, "x", 5000), TN_OK);
	assert_int_equal(forgotten() - had, 4);
	assert_int_equal(counted("tarn_log_commits_total",
	    "to=\"journal\"") - journaled, 3);
	for (uint32_t i = 104; i < 111; i++)
		assert_int_equal(put_note(log, i, "x", 5000), TN_OK);
	/* No more have 1000 us or less left. */
	assert_int_equal(put_note(log, 111, "x", 5000), TN_EFULL);
	assert_int_equal(forgotten() - had, 11);
	tn_log_close(log);
	log = open_log_with(&o);
	for (uint32_t i = 0; i < 111; i++)
		assert_int_equal(has_note(log, i, i < 100 ? "first" : "x",
		    1500), i >= 11);
	/* Two may go, and that is not enough for three. */
	test_now = 1002;
	assert_int_equal(put_notes(log, 111, 3, 5000), TN_EFULL);
	assert_true(has_note(log, 11, "first", 1500));
	assert_true(has_note(log, 12, "first", 1500));
	assert_int_equal(put_note(log, 111, "x", 5000), TN_OK);
	assert_false(has_note(log, 12, "first", 1500));
	assert_true(has_note(log, 13, "first", 1500));
	assert_int_equal(forgotten() - had, 13);
	tn_log_close(log);
	tn_os_use(NULL);
}

/* Goal: much work that was in vain is not done again for each that comes. */
static void
test_notes_early_pause(void **state)
{
	struct tn_os_table os = tn_os_real;
	struct tn_log_opts o = { .dir = *state, .segment_bytes = 64 << 20,
	    .notes_max = 2000, .notes_early_us = 1000 };
	struct tn_log *log;

	os.wall_us = test_wall_us;
	os.mono_us = test_mono_us;
	tn_os_use(&os);
	test_now = 1000;
	log = open_log_with(&o);
	assert_int_equal(put_notes(log, 0, 1100, 2000), TN_OK);
	for (uint32_t i = 0; i < 9; i++)
		assert_int_equal(put_notes(log, 2000 + i * 100, 100, 9000),
		    TN_OK);
	assert_int_equal(put_notes(log, 3000, 1300, 9000), TN_EFULL);
	assert_int_equal(put_note(log, 5000, "x", 9000), TN_EFULL);
	assert_true(has_note(log, 0, "x", 1500));
	test_mono += 1000000;
	assert_int_equal(put_note(log, 5000, "x", 9000), TN_OK);
	assert_false(has_note(log, 0, "x", 1500));
	tn_log_close(log);
	tn_os_use(NULL);
}

/* Goal: the same for their bytes, over segments. */
static void
test_notes_early_bytes(void **state)
{
	struct tn_log *log = open_log_with(&(struct tn_log_opts){
	    .dir = *state, .segment_bytes = 1 << 20,
	    .notes_early_us = INT64_C(3600000000) });
	char text[1501];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (uint32_t i = 0; i < 400; i++)
		assert_int_equal(put_note(log, i, text, tn_os_wall_us() +
		    INT64_C(3500000000) + i), TN_OK);
	for (uint32_t i = 395; i < 400; i++)
		assert_true(has_note(log, i, text, tn_os_wall_us()));
	assert_false(has_note(log, 300, text, tn_os_wall_us()));
	tn_log_close(log);
}

/* Goal: what is over a limit is refused and changes nothing. */
static void
test_limits(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	size_t n = 400 << 10;
	uint8_t *raw = tn_alloc(n);
	uint32_t length = (uint32_t)n;
	struct tn_log_block b[8] = { { .stream = 1, .rows = 1,
		.raw = { raw, n }, .lengths = &length } };
	struct tn_log_note note = { { raw, 401 }, { raw, 1 }, INT64_MAX };

	fill_random(raw, n);
	assert_int_equal(tn_log_append(log, b, 1, NULL, 0), TN_ELIMIT);
	b[0].raw.n = 200 << 10;
	length = 200 << 10;
	assert_int_equal(tn_log_append(log, b, 1, &note, 1), TN_ELIMIT);
	for (int i = 1; i < 8; i++)
		b[i] = b[0];
	assert_int_equal(tn_log_append(log, b, 8, NULL, 0), TN_ELIMIT);
	assert_int_equal(tn_log_last(log), 0);
	assert_int_equal(tn_log_next_offset(log, 1), 0);
	assert_int_equal(tn_log_segments(log), 1);
	assert_int_equal(tn_log_append(log, b, 1, NULL, 0), TN_OK);
	assert_int_equal(tn_log_last(log), 1);
	assert_null(tn_log_failure(log));
	tn_log_close(log);
	tn_free(raw);
}

/* Goal: a second log on the folder is refused; closing the first frees it. */
static void
test_lock(void **state)
{
	struct tn_log_opts o = { .dir = *state };
	struct tn_log *log = open_log(*state, 0, 0);
	struct tn_log *second;
	struct tn_diag d;

	assert_int_equal(tn_log_open(&second, &o, &d), TN_ECONFLICT);
	assert_null(second);
	assert_string_equal(d.code, "log_locked");
	tn_log_close(log);
	log = open_log(*state, 0, 0);
	tn_log_close(log);
}

/* Goal: a flipped bit in a block is found, names the block, and spares the
 * others; a damaged newest block stops the start. */
static void
test_flipped(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_log_opts o = { .dir = *state, .segment_bytes = 1 << 20 };
	struct tn_log_block out;
	struct tn_diag d;
	char path[300];

	for (uint32_t i = 0; i < 5; i++)
		append_one(log, 1, i, 20000);
	tn_log_close(log);
	(void)snprintf(path, sizeof path, "%s/0000000001.mdb", (char *)*state);
	/* Raw rows are random: what is looked for is there once. */
	flip_row(path, 2, 20000);
	log = open_log(*state, 1 << 20, 0);
	assert_int_equal(tn_log_read(log, 3, a, &out, &d), TN_ECORRUPT);
	assert_non_null(strstr(d.message, "block 3"));
	check_one(log, 2, 1, 20000);
	check_one(log, 4, 3, 20000);
	tn_log_close(log);
	flip_row(path, 4, 20000);
	assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
	assert_null(log);
	flip_row(path, 4, 20000);
	log = open_log(*state, 1 << 20, 0);
	tn_log_close(log);
	tn_arena_free(a);
}

static uint32_t
u32_at(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static void
set_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* Goal: a stored block whose lengths are beyond what is ever written is damage,
 * also with a good checksum: who reads it counts on the limits. */
static void
test_long_texts(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	struct tn_arena *a = tn_arena_new(4096);
	uint8_t *texts = tn_alloc(TN_LOG_SPEC_MAX + TN_LOG_SOURCE_MAX);
	struct tn_log_block b = { .stream = 1, .rows = 1,
		.spec = { texts, TN_LOG_SPEC_MAX },
		.source = { texts, TN_LOG_SOURCE_MAX },
		.lengths = &(uint32_t){ 0 } }, out;
	struct tn_buf file = { 0 };
	struct tn_diag d;
	uint8_t *head;
	char path[300];

	memset(texts, 'x', TN_LOG_SPEC_MAX + TN_LOG_SOURCE_MAX);
	assert_int_equal(tn_log_append(log, &b, 1, NULL, 0), TN_OK);
	append_one(log, 1, 2, 100);
	assert_int_equal(tn_log_read(log, 1, a, &out, &d), TN_OK);
	assert_int_equal(out.spec.n, TN_LOG_SPEC_MAX);
	tn_log_close(log);
	(void)snprintf(path, sizeof path, "%s/0000000001.mdb", (char *)*state);
	assert_int_equal(tn_os_read_file(path, &file, 1 << 30), TN_OK);
	head = memmem(file.p, file.n, "TNB1", 4);
	assert_non_null(head);
	assert_int_equal(u32_at(head + 44), TN_LOG_SPEC_MAX);
	set_u32(head + 44, TN_LOG_SPEC_MAX + 1);
	set_u32(head + 48, TN_LOG_SOURCE_MAX - 1);
	set_u32(head + 4, tn_crc32c(0, head + 8, 64 + TN_LOG_SPEC_MAX +
	    TN_LOG_SOURCE_MAX + u32_at(head + 64)));
	assert_int_equal(tn_os_write_file(path, file.p, file.n, 0640), TN_OK);
	log = open_log(*state, 1 << 20, 0);
	assert_int_equal(tn_log_read(log, 1, a, &out, &d), TN_ECORRUPT);
	assert_non_null(strstr(d.message, "0000000001.mdb"));
	check_one(log, 2, 2, 100);
	tn_log_close(log);
	tn_buf_fini(&file);
	tn_free(texts);
	tn_arena_free(a);
}

/* Goal: when LMDB itself meets damage in a commit, the words say in which
 * file, without the folders above the log's. */
static void
test_damaged_tree(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	const char *last = strrchr(*state, '/') + 1;
	struct tn_buf file = { 0 };
	uint64_t lsn;
	uint8_t *at;
	char path[300], words[300];

	assert_int_equal(put_note(log, 7, "first", INT64_MAX), TN_OK);
	append_one(log, 1, 1, 100);
	tn_log_close(log);
	(void)snprintf(path, sizeof path, "%s/0000000001.mdb", (char *)*state);
	assert_int_equal(tn_os_read_file(path, &file, 1 << 30), TN_OK);
	/* Pages of notes and of their times are none of a tree any more. */
	at = file.p;
	while ((at = memmem(at, file.n - (size_t)(at - file.p), "key 7", 5)) !=
	    NULL) {
		set_u32(file.p + ((size_t)(at - file.p) & ~(size_t)4095) + 8,
		    4u << 16);
		at++;
	}
	assert_int_equal(tn_os_write_file(path, file.p, file.n, 0640), TN_OK);
	log = open_log_with(&(struct tn_log_opts){ .dir = *state,
	    .segment_bytes = 1 << 20, .journal_bytes = TN_LOG_NO_JOURNAL });
	assert_int_equal(put_note(log, 8, "more", INT64_MAX),
	    TN_EIO);
	(void)snprintf(words, sizeof words, " %s/0000000001.mdb: ", last);
	assert_non_null(tn_log_failure(log));
	assert_non_null(strstr(tn_log_failure(log), words));
	assert_int_equal(try_append(log, 1, 2, 100, &lsn), TN_ECLOSED);
	check_one(log, 1, 1, 100);
	tn_log_close(log);
	tn_buf_fini(&file);
}

/* Goal: a missing or cut segment stops the start; leftovers do not. */
static void
test_folder(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	struct tn_log_opts o = { .dir = *state, .segment_bytes = 1 << 20 };
	struct tn_diag d;
	char path[300], kept[300];

	for (uint32_t i = 0; i < 60; i++)
		append_one(log, 1, i, 50000);
	assert_true(tn_log_segments(log) >= 4);
	tn_log_close(log);
	(void)snprintf(path, sizeof path, "%s/0000000009.mdb.new",
	    (char *)*state);
	assert_int_equal(tn_os_write_file(path, "x", 1, 0640), TN_OK);
	log = open_log(*state, 1 << 20, 0);
	assert_int_equal(tn_os_kind(path), TN_OS_NONE);
	tn_log_close(log);
	(void)snprintf(path, sizeof path, "%s/0000000002.mdb", (char *)*state);
	(void)snprintf(kept, sizeof kept, "%s/kept", (char *)*state);
	assert_int_equal(tn_os_rename(path, kept), TN_OK);
	assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
	assert_non_null(strstr(d.message, "0000000002"));
	assert_int_equal(tn_os_write_file(path, "", 0, 0640), TN_OK);
	assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
	assert_int_equal(tn_os_rename(kept, path), TN_OK);
	log = open_log(*state, 1 << 20, 0);
	check_one(log, 30, 29, 50000);
	tn_log_close(log);
}

struct model {
	uint32_t stream, seed, bytes;
	uint64_t offset;
};

static void
model_append(struct tn_log *log, struct model *m, uint32_t *count)
{
	struct tn_log_block b[20];
	struct tn_buf packed[20] = { { 0 } };
	uint32_t lengths[20];
	uint8_t *raws[20];
	uint32_t n = 1 + random_below(20);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bytes = random_below(8) == 0 ? random_below(60000)
		    : random_below(400);

		m[*count + i] = (struct model){ random_below(4), *count + i,
			bytes, 0 };
		raws[i] = tn_alloc(bytes);
		fill_seeded(raws[i], bytes, *count + i);
		lengths[i] = bytes;
		b[i] = (struct tn_log_block){ .stream = m[*count + i].stream,
			.rows = 1, .raw = { raws[i], bytes },
			.lengths = &lengths[i] };
		if (random_below(2) == 0) {
			assert_int_equal(tn_log_pack(&b[i], 1, NULL, &packed[i]), TN_OK);
			b[i].packed = (struct tn_slice){ packed[i].p, packed[i].n };
		}
	}
	/* Twenty large ones are more than a commit may hold. */
	if (tn_log_append(log, b, n, NULL, 0) == TN_OK) {
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(b[i].lsn, *count + i + 1);
			m[*count + i].offset = b[i].offset;
		}
		*count += n;
	}
	for (uint32_t i = 0; i < n; i++) {
		tn_free(raws[i]);
		tn_buf_fini(&packed[i]);
	}
}

/* Goal: random appends, trims and reopenings agree with a plain list. */
static void
test_model(void **state)
{
	struct tn_log *log = open_log(*state, 1 << 20, 0);
	struct model *m = tn_zalloc(8000 * sizeof *m);
	uint64_t next[4] = { 0 };
	uint32_t count = 0;

	for (int step = 0; step < 300; step++) {
		uint32_t what = random_below(20);

		if (what == 0) {
			tn_log_close(log);
			log = open_log(*state, 1 << 20, 0);
		} else if (what == 1) {
			assert_int_equal(tn_log_trim(log, random_below(count + 1)),
			    TN_OK);
		} else {
			model_append(log, m, &count);
		}
		assert_int_equal(tn_log_last(log), count);
	}
	assert_true(count > 1000);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(m[i].offset, next[m[i].stream]);
		next[m[i].stream]++;
		if (i + 1 >= tn_log_first(log))
			check_one(log, i + 1, m[i].seed, m[i].bytes);
	}
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(tn_log_next_offset(log, i), next[i]);
	tn_log_close(log);
	tn_free(m);
}

/* Goal: large blocks keep their raw rows as one frame, which is told and gives
 * the same bytes to those who ask for it; what does not get smaller, or is
 * small, has none. Lengths and lines come back in every case. */
static void
test_frames(void **state)
{
	struct tn_log *log = open_log(*state, 8 << 20, 0);
	struct tn_arena *a = tn_arena_new(1 << 20);
	uint32_t rows = 3000, lengths[3000], lines[3000];
	uint8_t *raw = tn_alloc(rows * 200ul);

	for (int kind = 0; kind < 4; kind++) {
		struct tn_log_block b = { .stream = 1, .rows = kind == 2 ? 20 :
		    rows, .lengths = lengths, .lines = kind == 3 ? NULL :
		    lines }, got;
		struct tn_diag d;
		struct tn_buf plain = { 0 };
		size_t n = 0;

		if (kind == 1)
			fill_seeded(raw, rows * 200, 9);
		for (uint32_t i = 0; i < b.rows; i++) {
			lengths[i] = 100 + random_below(100);
			lines[i] = random_below(UINT32_MAX);
			for (uint32_t k = 0; kind != 1 && k < lengths[i]; k++)
				raw[n + k] = (uint8_t)('a' + (i + k * k) % 9);
			n += lengths[i];
		}
		b.raw = (struct tn_slice){ raw, n };
		assert_int_equal(tn_log_append(log, &b, 1, NULL, 0), TN_OK);
		tn_arena_reset(a);
		assert_int_equal(tn_log_read(log, b.lsn, a, &got, &d), TN_OK);
		assert_int_equal(got.frame.n, 0);
		assert_int_equal(tn_log_read_framed(log, b.lsn, a, &got, &d),
		    TN_OK);
		assert_int_equal(got.rows, b.rows);
		assert_memory_equal(got.lengths, lengths, b.rows * 4);
		if (b.lines != NULL)
			assert_memory_equal(got.lines, lines, b.rows * 4);
		else
			assert_null(got.lines);
		assert_int_equal(got.raw.n, n);
		assert_memory_equal(got.raw.p, raw, n);
		assert_int_equal(got.frame.n > 0, kind == 0 || kind == 3);
		if (got.frame.n > 0) {
			struct tn_log_block bare;
			assert_int_equal(tn_log_read_packed(log, b.lsn, a,
			    &bare, &d), TN_OK);
			assert_null(bare.raw.p);
			assert_int_equal(bare.raw.n, n);
			assert_memory_equal(bare.lengths, lengths, b.rows * 4);
			assert_true(tn_slice_eq(bare.frame, got.frame));
			assert_int_equal(tn_zstd_decompress(&plain, got.frame,
			    n), TN_OK);
			assert_int_equal(plain.n, n);
			assert_memory_equal(plain.p, raw, n);
		}
		/* Who has no frame is read whole. */
		if (got.frame.n == 0) {
			assert_int_equal(tn_log_read_packed(log, b.lsn, a,
			    &got, &d), TN_OK);
			assert_memory_equal(got.raw.p, raw, n);
		}
		tn_buf_fini(&plain);
	}
	tn_free(raw);
	tn_arena_free(a);
	tn_log_close(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(test_round_trip),
		FOLDER_TEST(test_frames),
		FOLDER_TEST(test_roll_and_trim),
		FOLDER_TEST(test_raise),
		FOLDER_TEST(test_notes),
		FOLDER_TEST(test_notes_early),
		FOLDER_TEST(test_notes_early_pause),
		FOLDER_TEST(test_notes_early_bytes),
		FOLDER_TEST(test_limits),
		FOLDER_TEST(test_lock),
		FOLDER_TEST(test_flipped),
		FOLDER_TEST(test_long_texts),
		FOLDER_TEST(test_damaged_tree),
		FOLDER_TEST(test_folder),
		FOLDER_TEST(test_model),
	};

	random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
