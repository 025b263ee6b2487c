/* wrap: mdb_put mdb_txn_commit */
/* The journal: what is acknowledged by one write is read, copied, replayed
 * after a crash at any step, and never believed when it is damaged.
 *
 * Crashes are made in another process (this program again, with a folder as an
 * argument), which tn_os_crash_point kills at a named step; and by a copy of
 * the folder while the log is open, which is what a killed process leaves. */
#include "test.h"

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log_help.h"

#define FAR (INT64_MAX / 2)
enum { SEGMENT = 1 << 20, PAGE = 4096, KEPT = 300, NOTES = 50 };

static struct tn_log *
open_small(const char *dir, uint64_t journal_bytes)
{
	return open_log_with(&(struct tn_log_opts){ .dir = dir,
	    .segment_bytes = SEGMENT, .journal_bytes = journal_bytes });
}

/* The files of ${from}, as a killed process would leave them. */
static char *
crashed_copy(const char *from, const char *name)
{
	char *to = below(from, name);
	char **names;
	size_t count;

	assert_int_equal(tn_os_mkdirs(to), TN_OK);
	assert_int_equal(tn_os_list(from, &names, &count), TN_OK);
	for (size_t i = 0; i < count; i++) {
		char *a = below(from, names[i]), *b = below(to, names[i]);
		struct tn_buf file = { 0 };

		if (tn_os_kind(a) == TN_OS_FILE) {
			assert_int_equal(tn_os_read_file(a, &file, 1 << 30),
			    TN_OK);
			assert_int_equal(tn_os_write_file(b, file.p, file.n,
			    0640), TN_OK);
		}
		tn_buf_fini(&file);
		tn_free(a);
		tn_free(b);
		tn_free(names[i]);
	}
	tn_free(names);
	return to;
}

static void
change(const char *dir, uint64_t at, uint8_t bit)
{
	char *path = below(dir, "journal");
	struct tn_buf file = { 0 };

	assert_int_equal(tn_os_read_file(path, &file, 1 << 30), TN_OK);
	assert_true(at < file.n);
	file.p[at] ^= bit;
	assert_int_equal(tn_os_write_file(path, file.p, file.n, 0640), TN_OK);
	tn_buf_fini(&file);
	tn_free(path);
}

static uint64_t
size_of(const char *dir, const char *name)
{
	char *path = below(dir, name);
	struct tn_buf file = { 0 };
	uint64_t n = 0;

	if (tn_os_read_file(path, &file, 1 << 30) == TN_OK)
		n = file.n;
	tn_buf_fini(&file);
	tn_free(path);
	return n;
}

static void
check_all(struct tn_log *log, uint32_t n)
{
	assert_int_equal(tn_log_last(log), n);
	for (uint32_t i = 1; i <= n; i++)
		check_one(log, i, i, 100 + i);
}

/* ---- as if there were none -------------------------------------------- */

/* Goal: rows, notes and offsets that only the journal has are read as those
 * in LMDB are; a clean end leaves no journal. */
static void
reads(void **state)
{
	struct tn_log *log = open_log(*state, 16 << 20, 0);
	struct tn_counter *one = tn_counter_get(TN_COUNTER,
	    "tarn_log_commits_total", "to=\"journal\"", "");
	struct tn_counter *two = tn_counter_get(TN_COUNTER,
	    "tarn_log_commits_total", "to=\"segment\"", "");
	int64_t had = tn_counter_read(one), others = tn_counter_read(two);

	for (uint32_t i = 1; i <= 10; i++) {
		assert_int_equal(append_one(log, i % 3, i, 100 + i), i);
		assert_int_equal(put_note(log, i, "answer", FAR + i), TN_OK);
		check_all(log, i);
		assert_true(has_note(log, i, "answer", 0));
	}
	assert_int_equal(tn_counter_read(one) - had, 20);
	assert_int_equal(tn_counter_read(two), others);
	assert_false(has_note(log, 7, "answer", FAR + 7));
	assert_int_equal(put_note(log, 7, "later", FAR + 50), TN_OK);
	assert_true(has_note(log, 7, "later", 0));
	assert_int_equal(tn_log_next_offset(log, 1), 4);
	assert_int_equal(tn_log_checkpoint(log), TN_OK);
	assert_int_equal(tn_counter_read(two) - others, 1);
	check_all(log, 10);
	assert_true(has_note(log, 7, "later", 0));
	assert_true(has_note(log, 10, "answer", 0));
	assert_int_equal(append_one(log, 1, 11, 111), 11);
	assert_int_equal(size_of(*state, "journal"), 1 << 20);
	tn_log_close(log);
	assert_int_equal(size_of(*state, "journal"), 0);
	log = open_log(*state, 16 << 20, 0);
	check_all(log, 11);
	assert_int_equal(tn_log_next_offset(log, 1), 5);
	tn_log_close(log);
}

static void
goes_to(struct tn_log *log, const char *place, uint32_t seed, uint32_t bytes)
{
	struct tn_counter *c = tn_counter_get(TN_COUNTER,
	    "tarn_log_commits_total", place, "");
	int64_t had = tn_counter_read(c);

	assert_int_equal(append_one(log, 1, seed, bytes), seed);
	assert_int_equal(tn_counter_read(c) - had, 1);
}

/* Goal: what has more to write than to wait for is written once, to LMDB;
 * however large the journal is, and sooner with a small one. */
static void
larger_ones(void **state)
{
	const char *journal = "to=\"journal\"";
	const char *segment = "to=\"segment\"";
	struct tn_log *log = open_log(*state, 16 << 20, 0);

	goes_to(log, journal, 1, 65000);
	goes_to(log, segment, 2, 66000);
	goes_to(log, journal, 3, 100);
	tn_log_close(log);
	log = open_small(*state, 32 << 10);
	goes_to(log, journal, 4, 6800);
	goes_to(log, segment, 5, 7200);
	check_one(log, 1, 1, 65000);
	check_one(log, 2, 2, 66000);
	check_one(log, 5, 5, 7200);
	tn_log_close(log);
}

/* Goal: without a journal each commit goes to LMDB. */
static void
none(void **state)
{
	struct tn_log *log = open_small(*state, TN_LOG_NO_JOURNAL);

	for (uint32_t i = 1; i <= 5; i++)
		append_one(log, 1, i, 100 + i);
	assert_int_equal(size_of(*state, "journal"), 0);
	check_all(log, 5);
	tn_log_close(log);
}

/* Goal: a copy taken beside an open log has what only the journal had. */
static void
copied(void **state)
{
	char *from = below(*state, "from"), *to = below(*state, "to");
	struct tn_diag d = { .line = 0 };
	struct tn_log *log;

	assert_int_equal(tn_os_mkdirs(from), TN_OK);
	assert_int_equal(tn_os_mkdirs(to), TN_OK);
	log = open_small(from, 0);
	for (uint32_t i = 1; i <= 30; i++)
		append_one(log, 1, i, 100 + i);
	tn_log_hold(log, true);
	assert_int_equal(tn_log_copy(log, to, &d), TN_OK);
	tn_log_hold(log, false);
	tn_log_close(log);
	assert_int_equal(size_of(to, "journal"), 0);
	log = open_small(to, 0);
	check_all(log, 30);
	tn_log_close(log);
	tn_free(from);
	tn_free(to);
}

/* ---- what a crash leaves ----------------------------------------------- */

/* Goal: a start has what was acknowledged, twice the same, also with another
 * journal or none from now on. */
static void
replayed(void **state)
{
	static const uint64_t then[] = { 0, 16 << 10, 64 << 10,
		TN_LOG_NO_JOURNAL };
	struct tn_log *log = open_small(*state, 0);
	char *copies[TN_COUNT(then)];

	for (uint32_t i = 1; i <= 20; i++) {
		append_one(log, 1, i, 100 + i);
		assert_int_equal(put_note(log, i, "answer", FAR), TN_OK);
		if (i == 7)
			assert_int_equal(tn_log_checkpoint(log), TN_OK);
	}
	for (size_t i = 0; i < TN_COUNT(then); i++) {
		char name[20];

		(void)snprintf(name, sizeof name, "copy%zu", i);
		copies[i] = crashed_copy(*state, name);
	}
	tn_log_close(log);
	for (size_t i = 0; i < TN_COUNT(then); i++) {
		for (uint32_t again = 0; again < 2; again++) {
			log = open_small(copies[i], then[i]);
			check_all(log, 20 + again);
			for (uint32_t k = 1; k <= 20; k++)
				assert_true(has_note(log, k, "answer", 0));
			assert_int_equal(tn_log_next_offset(log, 1),
			    20 + again);
			append_one(log, 1, 21 + again, 121 + again);
			check_all(log, 21 + again);
			tn_log_close(log);
		}
		tn_free(copies[i]);
	}
}

/* Goal: a record that was being written is as if it never was, whatever of it
 * came to the disk; those before it are there. */
static void
torn(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	char *copy;

	for (uint32_t i = 1; i <= 6; i++)
		append_one(log, 1, i, 100 + i);
	copy = crashed_copy(*state, "copy");
	tn_log_close(log);
	change(copy, 6 * PAGE + random_below(200), 1);
	log = open_small(copy, 0);
	check_all(log, 5);
	assert_int_equal(tn_log_next_offset(log, 1), 5);
	append_one(log, 1, 6, 106);
	check_all(log, 6);
	tn_log_close(log);
	tn_free(copy);
}

/* Goal: damage before a record that is whole is no crash: the start says which
 * file and what to do, and changes nothing. */
static void
damaged(void **state)
{
	struct tn_log_opts o = { .segment_bytes = SEGMENT };
	struct tn_log *log = open_small(*state, 0);
	struct tn_diag d = { .line = 0 };
	char *copy, *path;

	for (uint32_t i = 1; i <= 6; i++)
		append_one(log, 1, i, 100 + i);
	copy = crashed_copy(*state, "copy");
	tn_log_close(log);
	o.dir = copy;
	path = below(copy, "journal");
	for (uint32_t i = 0; i < 20; i++) {
		uint64_t at = (1 + random_below(5)) * PAGE +
		    random_below(200);
		uint8_t bit = (uint8_t)(1 << random_below(8));

		change(copy, at, bit);
		assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
		assert_non_null(strstr(d.message, "journal"));
		assert_non_null(strstr(d.hint, "journal"));
		change(copy, at, bit);
	}
	change(copy, random_below(16), 1);
	assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
	assert_non_null(strstr(d.message, "head"));
	for (uint32_t i = 0; i < 3; i++) {
		static const off_t cut[] = { 8292, 8192, 0 };

		assert_int_equal(truncate(path, cut[i]), 0);
		assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
		assert_non_null(strstr(d.message, "cut"));
	}
	assert_int_equal(tn_os_unlink(path), TN_OK);
	log = open_small(copy, 0);
	assert_int_equal(tn_log_last(log), 0);
	tn_log_close(log);
	tn_free(path);
	tn_free(copy);
}

/* A body with what could be a record where a record could begin. */
static void
append_forged(struct tn_log *log, uint64_t at, uint64_t salt)
{
	static const uint8_t magic[4] = { 'T', 'N', 'J', '1' };
	uint32_t bytes = 9000, n = 40, crc;
	uint8_t *raw = tn_alloc(bytes), *p = raw + PAGE - at % PAGE;
	struct tn_log_block b = { .stream = 1, .rows = 1, .received_us = 1,
		.spec = tn_slice_of("csv"), .source = tn_slice_of("test"),
		.raw = { raw, bytes }, .lengths = &bytes };

	fill_seeded(raw, bytes, 1);
	memset(p, 0, n);
	memcpy(p, magic, sizeof magic);
	memcpy(p + 8, &salt, sizeof salt);
	p[16 + 6] = 1;                            /* Sequence. */
	p[24] = (uint8_t)n;
	crc = tn_crc32c(0, p + 8, n - 8);
	memcpy(p + 4, &crc, sizeof crc);
	assert_int_equal(tn_log_append(log, &b, 1, NULL, 0), TN_OK);
	tn_free(raw);
}

/* Where in the file the row made of ${seed} lies. */
static uint64_t
place_of(const char *dir, uint32_t seed, uint32_t bytes)
{
	char *path = below(dir, "journal");
	struct tn_buf file = { 0 };
	uint8_t *raw = tn_alloc(bytes), *at;
	uint64_t place = 0;

	fill_seeded(raw, bytes, seed);
	assert_int_equal(tn_os_read_file(path, &file, 1 << 30), TN_OK);
	at = memmem(file.p, file.n, raw, bytes < 64 ? bytes : 64);
	if (at != NULL)
		place = (uint64_t)(at - file.p);
	tn_buf_fini(&file);
	tn_free(raw);
	tn_free(path);
	return place;
}

/* Goal: bytes of a sender are no record, though they look like one; with the
 * file's salt, which nobody knows, they would be. */
static void
forged(void **state)
{
	for (int known = 0; known < 2; known++) {
		char *dir = below(*state, known ? "known" : "unknown"), *copy;
		struct tn_log_opts o = { .segment_bytes = SEGMENT };
		uint64_t salt = 77, at;
		struct tn_buf file = { 0 };
		struct tn_log *log;
		char *path = below(dir, "journal");

		assert_int_equal(tn_os_mkdirs(dir), TN_OK);
		log = open_small(dir, 0);
		append_one(log, 1, 1, 9000);
		at = place_of(dir, 1, 9000);
		assert_true(at > 0);
		assert_int_equal(tn_log_checkpoint(log), TN_OK);
		assert_int_equal(tn_os_read_file(path, &file, 1 << 30), TN_OK);
		if (known)
			memcpy(&salt, file.p + 8, sizeof salt);
		append_forged(log, at, salt);
		assert_int_equal(tn_log_checkpoint(log), TN_OK);
		append_one(log, 1, 3, 103);
		copy = crashed_copy(dir, "copy");
		tn_log_close(log);
		o.dir = copy;
		assert_int_equal(tn_log_open(&log, &o, NULL),
		    known ? TN_ECORRUPT : TN_OK);
		if (!known) {
			assert_int_equal(tn_log_last(log), 3);
			check_one(log, 3, 3, 103);
			tn_log_close(log);
		}
		tn_buf_fini(&file);
		tn_free(path);
		tn_free(copy);
		tn_free(dir);
	}
}

/* Goal: what was before a segment that is begun leaves no byte in the
 * journal: an erasure trims it then. */
static void
erased(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	uint64_t last;

	for (uint32_t i = 1; i <= 5; i++)
		append_one(log, 1, i, 500);
	assert_int_equal(tn_log_checkpoint(log), TN_OK);
	append_one(log, 1, 6, 500);
	for (uint32_t i = 2; i <= 6; i++)
		assert_true(place_of(*state, i, 500) > 0);
	assert_int_equal(tn_log_begin_segment(log, &last), TN_OK);
	assert_int_equal(last, 6);
	for (uint32_t i = 1; i <= 6; i++)
		assert_int_equal(place_of(*state, i, 500), 0);
	assert_int_equal(tn_log_trim(log, last), TN_OK);
	append_one(log, 1, 7, 500);
	assert_true(place_of(*state, 7, 500) > 0);
	tn_log_close(log);
}

/* Goal: a journal of another time is not believed: its records do not follow
 * what LMDB has. */
static void
another(void **state)
{
	char *a = below(*state, "a"), *b = below(*state, "b"), *old;
	char *from, *to;
	struct tn_log_opts o = { .dir = b, .segment_bytes = SEGMENT };
	struct tn_buf file = { 0 };
	struct tn_log *log;
	struct tn_diag d = { .line = 0 };

	assert_int_equal(tn_os_mkdirs(a), TN_OK);
	assert_int_equal(tn_os_mkdirs(b), TN_OK);
	log = open_small(a, 0);
	for (uint32_t i = 1; i <= 3; i++)
		append_one(log, 1, i, 100 + i);
	assert_int_equal(tn_log_checkpoint(log), TN_OK);
	append_one(log, 1, 4, 104);
	old = crashed_copy(a, "old");
	tn_log_close(log);
	tn_log_close(open_small(b, 0));
	from = below(old, "journal");
	to = below(b, "journal");
	assert_int_equal(tn_os_read_file(from, &file, 1 << 30), TN_OK);
	assert_int_equal(tn_os_write_file(to, file.p, file.n, 0640), TN_OK);
	assert_int_equal(tn_log_open(&log, &o, &d), TN_ECORRUPT);
	assert_int_equal(tn_os_unlink(to), TN_OK);
	log = open_small(b, 0);
	assert_int_equal(tn_log_last(log), 0);
	tn_log_close(log);
	tn_buf_fini(&file);
	tn_free(from);
	tn_free(to);
	tn_free(old);
	tn_free(a);
	tn_free(b);
}

/* ---- failures ----------------------------------------------------------- */

static struct {
	int error;           /* Of writes to the journal; 0: none. */
	uint32_t failed;
	uint32_t puts;       /* That many calls on MDB_MAP_FULL, once. */
	int commit;          /* What LMDB's commits give; 0: as they are. */
} fault;

int __real_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v,
    unsigned int flags);
int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v,
    unsigned int flags);
int
__wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v,
    unsigned int flags)
{
	if (fault.puts > 0 && --fault.puts == 0)
		return MDB_MAP_FULL;
	return __real_mdb_put(txn, dbi, k, v, flags);
}

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int
__wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (fault.commit == 0)
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return fault.commit;
}

static struct tn_os_table table;

static int64_t
broken_pwrite(int fd, const void *p, size_t n, uint64_t at)
{
	/* LMDB's lock file is filled by 20 KiB. */
	if (fault.error == 0 || n == 20 << 10)
		return tn_os_real.pwrite(fd, p, n, at);
	fault.failed++;
	/* Its beginning was written, or all of it without being synced. */
	(void)tn_os_real.pwrite(fd, p, fault.error == ENOSPC ? n : n / 40, at);
	return -fault.error;
}

static void
break_writes(int error)
{
	table = tn_os_real;
	table.pwrite = broken_pwrite;
	fault.error = error;
	fault.failed = 0;
	tn_os_use(&table);
}

/* Goal: a failed write is final and names the file; what was acknowledged
 * before stays readable and is there after a start. */
static void
write_fails(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	uint64_t lsn;

	for (uint32_t i = 1; i <= 4; i++)
		append_one(log, 1, i, 100 + i);
	assert_int_equal(put_note(log, 4, "answer", FAR), TN_OK);
	break_writes(EIO);
	assert_int_equal(try_append(log, 1, 5, 105, &lsn), TN_EIO);
	tn_os_use(NULL);
	assert_int_equal(fault.failed, 1);
	assert_non_null(strstr(tn_log_failure(log), "/journal"));
	assert_int_equal(try_append(log, 1, 5, 105, &lsn), TN_ECLOSED);
	assert_int_equal(tn_log_checkpoint(log), TN_ECLOSED);
	check_all(log, 4);
	assert_true(has_note(log, 4, "answer", 0));
	tn_log_close(log);
	log = open_small(*state, 0);
	check_all(log, 4);
	assert_true(has_note(log, 4, "answer", 0));
	tn_log_close(log);
}

/* Goal: a file system that has no space for bytes that were there already
 * costs the journal, and nothing else; a start has it again. */
static void
write_lacks_space(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	char *copy;

	for (uint32_t i = 1; i <= 4; i++)
		append_one(log, 1, i, 100 + i);
	break_writes(ENOSPC);
	append_one(log, 1, 5, 105);
	tn_os_use(NULL);
	assert_int_equal(fault.failed, 1);
	append_one(log, 1, 6, 106);
	check_all(log, 6);
	copy = crashed_copy(*state, "copy");
	tn_log_close(log);
	log = open_small(copy, 0);
	check_all(log, 6);
	append_one(log, 1, 7, 107);
	assert_int_equal(tn_log_next_offset(log, 1), 7);
	tn_log_close(log);
	tn_free(copy);
}

/* Goal: without space for a new journal at a start, or for zeros in the old
 * one, the log goes on, and no byte of a row stays in a file. */
static void
erased_without_space(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	uint64_t last;
	char *copy;

	append_one(log, 1, 1, 500);
	copy = crashed_copy(*state, "copy");
	assert_true(place_of(copy, 1, 500) > 0);
	break_writes(ENOSPC);
	assert_int_equal(tn_log_begin_segment(log, &last), TN_OK);
	tn_os_use(NULL);
	assert_int_equal(size_of(*state, "journal"), 0);
	assert_int_equal(append_one(log, 1, 2, 500), 2);
	assert_int_equal(size_of(*state, "journal"), 0);
	tn_log_close(log);
	break_writes(ENOSPC);
	log = open_small(copy, 0);
	tn_os_use(NULL);
	assert_true(fault.failed > 0);
	assert_int_equal(size_of(copy, "journal"), 0);
	check_one(log, 1, 1, 500);
	append_one(log, 1, 2, 500);
	tn_log_close(log);
	tn_free(copy);
}

/* Goal: where LMDB has no space for them either, they are refused, and taken
 * once there is; the record that may be on the disk is void then. */
static void
nothing_has_space(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	uint64_t lsn;
	char *copy;

	for (uint32_t i = 1; i <= 4; i++)
		append_one(log, 1, i, 100 + i);
	break_writes(ENOSPC);
	fault.commit = ENOSPC;
	assert_int_equal(try_append(log, 1, 9, 500, &lsn), TN_ENOSPC);
	assert_int_equal(try_append(log, 1, 9, 500, &lsn), TN_ENOSPC);
	fault.commit = 0;
	tn_os_use(NULL);
	assert_int_equal(fault.failed, 1);
	assert_null(tn_log_failure(log));
	check_all(log, 4);
	append_one(log, 1, 5, 105);
	check_all(log, 5);
	copy = crashed_copy(*state, "copy");
	tn_log_close(log);
	log = open_small(copy, 0);
	check_all(log, 5);
	assert_int_equal(tn_log_next_offset(log, 1), 5);
	tn_log_close(log);
	tn_free(copy);
}

/* Goal: a commit of LMDB that fails for space keeps what the journal holds, and
 * the next one has it. */
static void
checkpoint_lacks_space(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	uint64_t lsn;

	for (uint32_t i = 1; i <= 4; i++)
		append_one(log, 1, i, 100 + i);
	fault.commit = ENOSPC;
	assert_int_equal(tn_log_checkpoint(log), TN_ENOSPC);
	assert_int_equal(try_append(log, 1, 5, 60000, &lsn), TN_ENOSPC);
	append_one(log, 1, 5, 105);
	fault.commit = 0;
	check_all(log, 5);
	assert_int_equal(append_one(log, 2, 6, 60000), 6);
	check_one(log, 6, 6, 60000);
	assert_int_equal(tn_log_next_offset(log, 1), 5);
	tn_log_close(log);
	log = open_small(*state, 0);
	assert_int_equal(tn_log_last(log), 6);
	assert_int_equal(tn_log_next_offset(log, 1), 5);
	tn_log_close(log);
}

/* Goal: should the bound of pages be wrong, a larger group goes to the next
 * segment with its offset, and what the journal held to this one; at a start
 * all of it goes to the next. */
static void
map_is_full(void **state)
{
	struct tn_log *log = open_small(*state, 0);
	char *copy;

	append_one(log, 1, 1, 101);
	assert_int_equal(tn_log_checkpoint(log), TN_OK);
	append_one(log, 2, 2, 102);
	copy = crashed_copy(*state, "copy");
	fault.puts = 3;
	assert_int_equal(append_one(log, 1, 3, 60000), 3);
	assert_int_equal(tn_log_segments(log), 2);
	assert_int_equal(tn_log_next_offset(log, 1), 2);
	tn_log_close(log);
	log = open_small(*state, 0);
	check_one(log, 2, 2, 102);
	check_one(log, 3, 3, 60000);
	assert_int_equal(tn_log_next_offset(log, 1), 2);
	assert_int_equal(tn_log_next_offset(log, 2), 1);
	tn_log_close(log);
	fault.puts = 1;
	log = open_small(copy, 0);
	assert_int_equal(fault.puts, 0);
	assert_int_equal(tn_log_segments(log), 2);
	check_all(log, 2);
	assert_int_equal(tn_log_next_offset(log, 2), 1);
	tn_log_close(log);
	tn_free(copy);
}

/* Goal: too many notes are refused before they are acknowledged. */
static void
notes_are_counted(void **state)
{
	struct tn_log *log = open_log(*state, SEGMENT, 50);
	uint32_t taken = 0;

	while (taken < 100 &&
	    put_note(log, taken, "answer", INT64_MAX) == TN_OK)
		taken++;
	assert_int_equal(taken, 50);
	for (uint32_t i = 0; i < taken; i++)
		assert_true(has_note(log, i, "answer", 0));
	assert_int_equal(tn_log_checkpoint(log), TN_OK);
	append_one(log, 1, 1, 101);
	assert_null(tn_log_failure(log));
	tn_log_close(log);
}

/* Goal: however full the segment is, a crash's records find room. */
static void
room_is_found(void **state)
{
	for (uint32_t n = 0; n < 12; n++) {
		char name[20];
		char *dir, *copy;
		struct tn_log *log;
		uint64_t last;

		(void)snprintf(name, sizeof name, "d%u", n);
		dir = below(*state, name);
		assert_int_equal(tn_os_mkdirs(dir), TN_OK);
		log = open_small(dir, 0);
		for (uint32_t i = 0; i < n; i++)
			append_one(log, 1, (uint32_t)tn_log_last(log) + 1,
			    60000);
		while (tn_log_last(log) < n + 60)
			append_one(log, 2, (uint32_t)tn_log_last(log) + 1,
			    1 + random_below(4000));
		last = tn_log_last(log);
		copy = crashed_copy(dir, "copy");
		tn_log_close(log);
		log = open_small(copy, 0);
		assert_int_equal(tn_log_last(log), last);
		assert_int_equal(tn_log_next_offset(log, 2), 60);
		tn_log_close(log);
		tn_free(dir);
		tn_free(copy);
	}
}

/* ---- kills at every step ------------------------------------------------ */

/* What a row is, from its LSN alone: also one that was not acknowledged. */
static uint32_t
bytes_of(uint64_t lsn)
{
	uint64_t x = lsn * UINT64_C(0x9e3779b97f4a7c15);

	switch ((x >> 40) % 10) {
	case 0: return 60000;
	case 1: case 2: return 3000 + (uint32_t)(x >> 50) % 3000;
	default: return 100 + (uint32_t)(x >> 50) % 1400;
	}
}

static enum tn_status
append_known(struct tn_log *log, uint32_t n)
{
	struct tn_log_block b[3];
	struct tn_log_note notes[3];
	uint32_t bytes[3];
	char keys[3][24], values[3][24];
	uint64_t lsn = tn_log_last(log) + 1;
	enum tn_status st;

	for (uint32_t i = 0; i < n; i++) {
		bytes[i] = bytes_of(lsn + i);
		uint8_t *raw = tn_alloc(bytes[i]);
		fill_seeded(raw, bytes[i], lsn + i);
		b[i] = (struct tn_log_block){ .stream = (lsn + i) % 3,
			.rows = 1, .raw = { raw, bytes[i] },
			.lengths = &bytes[i] };
		(void)snprintf(keys[i], sizeof keys[i], "key %u",
		    (uint32_t)((lsn + i) % NOTES));
		(void)snprintf(values[i], sizeof values[i], "%llu",
		    (unsigned long long)(lsn + i));
		notes[i] = (struct tn_log_note){ tn_slice_of(keys[i]),
			tn_slice_of(values[i]), INT64_MAX };
	}
	st = tn_log_append(log, b, n, notes, n);
	for (uint32_t i = 0; i < n; i++)
		tn_free((void *)(uintptr_t)b[i].raw.p);
	return st;
}

/* A process that is killed while it begins a segment for what the journal of
 * ${dir} holds: the newest one said that it is full. */
static int
recover(const char *dir)
{
	tn_say_setup(TN_ERROR + 1, 0);
	fault.puts = 1;
	(void)open_small(dir, 0);
	return 1;
}

/* Goal: killed between a segment that is begun at a start and the records that
 * it is for: they are still the journal's. */
static void
killed_beginning(void **state)
{
	static const char *const points[] = { "log_segment_filled",
		"log_segment_named", "log_segment_begun", "log_before_commit",
		"log_committed" };
	struct tn_log *log = open_small(*state, 0);
	char *copies[TN_COUNT(points)];

	append_one(log, 1, 1, 101);
	assert_int_equal(tn_log_checkpoint(log), TN_OK);
	append_one(log, 2, 2, 102);
	append_one(log, 1, 3, 103);
	for (size_t i = 0; i < TN_COUNT(points); i++)
		copies[i] = crashed_copy(*state, points[i]);
	tn_log_close(log);
	for (size_t i = 0; i < TN_COUNT(points); i++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			(void)setenv("TARN_CRASH", points[i], 1);
			(void)execl("/proc/self/exe", "journal_test",
			    copies[i], (char *)NULL);
			_exit(127);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL);
		log = open_small(copies[i], 0);
		check_all(log, 3);
		assert_int_equal(tn_log_next_offset(log, 1), 2);
		assert_int_equal(tn_log_next_offset(log, 2), 1);
		tn_log_close(log);
		tn_free(copies[i]);
	}
}

/* The process that is killed. Each acknowledged LSN goes to standard output. */
static int
work(const char *dir, uint64_t seed, uint64_t journal)
{
	struct tn_log *log;
	uint64_t s = seed;

	tn_say_setup(TN_ERROR + 1, 0);
	log = open_log_with(&(struct tn_log_opts){ .dir = dir,
	    .segment_bytes = SEGMENT, .journal_bytes = journal });
	for (uint32_t i = 0; i < 60; i++) {
		uint64_t last;

		if (append_known(log, 1 + step_random(&s) % 3) != TN_OK)
			return 1;
		last = tn_log_last(log);
		if (write(1, &last, sizeof last) != sizeof last)
			return 1;
		if (step_random(&s) % 20 == 0)
			(void)!tn_log_begin_segment(log, &last);
		if (step_random(&s) % 4 == 0)
			tn_log_rest(log);
		if (last > KEPT && step_random(&s) % 10 == 0)
			(void)!tn_log_trim(log, last - KEPT);
	}
	tn_log_close(log);
	return 0;
}

/* The newest LSN that it acknowledged, or ${last}. */
static uint64_t
killed_at(const char *dir, const char *point, uint64_t journal, uint64_t last)
{
	char seed[24], bytes[24];
	uint64_t lsn;
	int ends[2], status;
	pid_t pid;

	(void)snprintf(seed, sizeof seed, "%u", random_below(1 << 30));
	(void)snprintf(bytes, sizeof bytes, "%llu",
	    (unsigned long long)journal);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(ends[1], 1);
		(void)close(ends[0]);
		(void)close(ends[1]);
		(void)setenv("TARN_CRASH", point, 1);
		(void)execl("/proc/self/exe", "journal_test", dir, seed, bytes,
		    (char *)NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	while (read(ends[0], &lsn, sizeof lsn) == sizeof lsn)
		last = lsn;
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) && WEXITSTATUS(status) != 0)
		print_message("%s: %d\n", point, WEXITSTATUS(status));
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL :
	    WEXITSTATUS(status) == 0);
	return last;
}

/* Of each of ${kills} one group more than was acknowledged may be there. */
static uint64_t
check_known(const char *dir, uint64_t journal, uint64_t acked, uint32_t kills)
{
	struct tn_log *log = open_log_with(&(struct tn_log_opts){ .dir = dir,
	    .segment_bytes = SEGMENT, .journal_bytes = journal });
	uint64_t last = tn_log_last(log);
	char value[24];

	assert_in_range(last, acked, acked + 3 * (uint64_t)kills);
	for (uint64_t lsn = tn_log_first(log); lsn <= last; lsn++) {
		check_one(log, lsn, (uint32_t)lsn, bytes_of(lsn));
		if (lsn + NOTES <= last)
			continue;
		(void)snprintf(value, sizeof value, "%llu",
		    (unsigned long long)lsn);
		assert_true(has_note(log, (uint32_t)(lsn % NOTES), value, 0));
	}
	assert_int_equal(tn_log_next_offset(log, 0) +
	    tn_log_next_offset(log, 1) + tn_log_next_offset(log, 2), last);
	tn_log_close(log);
	return last;
}

/* Goal: killed at any step, while it works, replays or ends, it has all that
 * it acknowledged, once, in order, and of the rest a beginning. */
static void
killed(void **state)
{
	static const char *const points[] = { "log_before_journal",
		"log_journaled", "log_before_checkpoint", "log_before_commit",
		"log_committed", "log_checkpointed", "log_segment_filled",
		"log_lock_named", "log_segment_named", "log_segment_begun",
		"log_allocated", "log_reserved", "log_trimmed",
		"log_journal_made" };
	static const uint64_t sizes[] = { 0, 8 << 10, 16 << 10, 64 << 10,
		TN_LOG_NO_JOURNAL };
	uint32_t rounds = 8 * TN_COUNT(points);
	uint64_t last = 0;
	uint32_t kills = 0;

	for (uint32_t i = 0; i < rounds; i++) {
		uint64_t journal = sizes[random_below(TN_COUNT(sizes))];
		char point[60];

		(void)snprintf(point, sizeof point, "%s:%u",
		    points[i % TN_COUNT(points)],
		    1 + random_below(random_below(2) == 0 ? 2 : 20));
		last = killed_at(*state, point, journal, last);
		kills++;
		if (random_below(3) == 0)
			continue;
		last = check_known(*state,
		    sizes[random_below(TN_COUNT(sizes))], last, kills);
		kills = 0;
	}
	(void)check_known(*state, 0, last, kills);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(reads),
		FOLDER_TEST(none),
		FOLDER_TEST(larger_ones),
		FOLDER_TEST(copied),
		FOLDER_TEST(replayed),
		FOLDER_TEST(torn),
		FOLDER_TEST(damaged),
		FOLDER_TEST(forged),
		FOLDER_TEST(erased),
		FOLDER_TEST(another),
		FOLDER_TEST(write_fails),
		FOLDER_TEST(write_lacks_space),
		FOLDER_TEST(erased_without_space),
		FOLDER_TEST(nothing_has_space),
		FOLDER_TEST(checkpoint_lacks_space),
		FOLDER_TEST(map_is_full),
		FOLDER_TEST(notes_are_counted),
		FOLDER_TEST(room_is_found),
		FOLDER_TEST(killed_beginning),
		FOLDER_TEST(killed),
	};

	if (argc == 2)
		return recover(argv[1]);
	if (argc == 4)
		return work(argv[1], strtoull(argv[2], NULL, 10),
		    strtoull(argv[3], NULL, 10));
	random_start();
	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
