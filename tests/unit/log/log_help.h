/* What the tests of the log share: a folder of their own for each test, rows
 * made from a number, appending and checking them. */
#ifndef TN_LOG_HELP_H
#define TN_LOG_HELP_H

#include "folder.h"
#include "log/log.h"

/* A path in the folder; free it. */
UNUSED static char *
below(const char *dir, const char *name)
{
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "%s/%s", dir, name);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

/* ---- randomness ------------------------------------------------------ */

UNUSED static void
fill_seeded(uint8_t *p, size_t n, uint64_t seed)
{
	uint64_t s = seed * 7919 + 17;

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)step_random(&s);
}

UNUSED static void
fill_random(uint8_t *p, size_t n)
{
	fill_seeded(p, n, random_below(1 << 30));
}

/* ---- blocks ---------------------------------------------------------- */

UNUSED static struct tn_log *
open_log_with(const struct tn_log_opts *o)
{
	struct tn_diag d = { .message = "" };
	struct tn_log *log;
	enum tn_status st = tn_log_open(&log, o, &d);

	if (st != TN_OK)
		print_message("open: %s\n", d.message);
	assert_int_equal(st, TN_OK);
	return log;
}

UNUSED static struct tn_log *
open_log(const char *dir, uint64_t segment_bytes, uint32_t notes_max)
{
	return open_log_with(&(struct tn_log_opts){ .dir = dir,
	    .segment_bytes = segment_bytes, .notes_max = notes_max });
}

/* One block of one row, made of ${seed}. */
UNUSED static enum tn_status
try_append(struct tn_log *log, uint32_t stream, uint32_t seed,
    uint32_t bytes, uint64_t *lsn)
{
	uint8_t *raw = tn_alloc(bytes);
	struct tn_log_block b = { .stream = stream, .rows = 1,
		.received_us = seed, .spec = tn_slice_of("csv"),
		.source = tn_slice_of("test"), .raw = { raw, bytes },
		.lengths = &bytes };
	enum tn_status st;

	fill_seeded(raw, bytes, seed);
	st = tn_log_append(log, &b, 1, NULL, 0);
	*lsn = b.lsn;
	tn_free(raw);
	return st;
}

UNUSED static uint64_t
append_one(struct tn_log *log, uint32_t stream, uint32_t seed,
    uint32_t bytes)
{
	uint64_t lsn = 0;

	assert_int_equal(try_append(log, stream, seed, bytes, &lsn), TN_OK);
	return lsn;
}

/* TN_ECONFLICT: there, but other rows. */
UNUSED static enum tn_status
read_one(struct tn_log *log, uint64_t lsn, uint32_t seed, uint32_t bytes)
{
	struct tn_arena *a = tn_arena_new(1024);
	uint8_t *raw = tn_alloc(bytes);
	struct tn_log_block b;
	enum tn_status st = tn_log_read(log, lsn, a, &b, NULL);

	fill_seeded(raw, bytes, seed);
	if (st == TN_OK && (b.lsn != lsn || b.rows != 1 || b.raw.n != bytes ||
	    b.lengths[0] != bytes || memcmp(raw, b.raw.p, bytes) != 0))
		st = TN_ECONFLICT;
	tn_free(raw);
	tn_arena_free(a);
	return st;
}

UNUSED static void
check_one(struct tn_log *log, uint64_t lsn, uint32_t seed, uint32_t bytes)
{
	assert_int_equal(read_one(log, lsn, seed, bytes), TN_OK);
}

/* Flip a bit in the middle of the row in a file. */
UNUSED static void
flip_row(const char *path, uint32_t seed, uint32_t bytes)
{
	struct tn_buf file = { 0 };
	uint8_t *row = tn_alloc(bytes);
	uint8_t *at;

	fill_seeded(row, bytes, seed);
	assert_int_equal(tn_os_read_file(path, &file, 1 << 30), TN_OK);
	at = memmem(file.p, file.n, row, 64);
	assert_non_null(at);
	at[100] ^= 4;
	assert_int_equal(tn_os_write_file(path, file.p, file.n, 0640), TN_OK);
	tn_buf_fini(&file);
	tn_free(row);
}

/* ---- notes ----------------------------------------------------------- */

UNUSED static enum tn_status
put_note(struct tn_log *log, uint32_t key, const char *value,
    int64_t expires_us)
{
	char text[40];
	struct tn_log_note note = { .value = tn_slice_of(value),
		.expires_us = expires_us };

	(void)snprintf(text, sizeof text, "key %u", key);
	note.key = tn_slice_of(text);
	return tn_log_append(log, NULL, 0, &note, 1);
}

UNUSED static bool
has_note(struct tn_log *log, uint32_t key, const char *value, int64_t now_us)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_slice got = { NULL, 0 };
	enum tn_status st;
	char text[40];
	bool same;

	(void)snprintf(text, sizeof text, "key %u", key);
	st = tn_log_note_get(log, tn_slice_of(text), now_us, a, &got);
	same = st == TN_OK && tn_slice_is(got, value);
	tn_arena_free(a);
	return same;
}

#endif
