/* log: open, close, and what is known without reading.
 *
 * At start: lock the folder, remove what a crash left (*.new, lock files
 * without a segment), open all segments, check that their numbers and LSNs
 * follow each other, load the offsets of the newest, check the block that
 * was written last, and put into LMDB what only the journal has. The newest
 * one takes writes, all others are opened read-only.
 *
 * LSNs follow each other when each segment's "after" is the newest LSN of the
 * one before. Its "first" may be greater (tn_log_raise). A segment that is
 * missing in the middle, or blocks that are missing at an end, is
 * TN_ECORRUPT: nothing above could tell the loss from a trim. */
#include "log/log_int.h"

#include <stdio.h>
#include <string.h>

#define SEGMENT_BYTES UINT64_C(268435456)
#define SEGMENT_BYTES_MIN UINT64_C(1048576)
#define SEGMENT_BYTES_MAX (UINT64_C(64) << 30)

enum {
	NAME_DIGITS = 10,
	ROUND_BYTES = 64 << 10,     /* A multiple of every page size. */
	NOTES_MAX = 100000,
	JOURNAL_BYTES = 1 << 20,
};

/* ---- state ----------------------------------------------------------- */

enum tn_status
tn_log_fail(struct tn_log *log, const char *what, const char *path,
    const char *why)
{
	const char *name = path + strlen(path);
	uint32_t parts = 0;

	if (atomic_load(&log->failed))
		return TN_EIO;
	/* "log/0000000007.mdb": senders are told it, too, and where the data
	 * lies is not theirs to know. */
	while (name > path && parts < 2)
		parts += *--name == '/';
	(void)snprintf(log->failure, sizeof log->failure, "%s %.200s: %s",
	    what, name + (*name == '/'), why);
	tn_say(TN_ERROR, "log", "%s; no more writes until a restart",
	    log->failure);
	atomic_store(&log->failed, true);
	return TN_EIO;
}

const char *
tn_log_failure(const struct tn_log *log)
{
	return atomic_load(&log->failed) ? log->failure : NULL;
}

uint64_t
tn_log_last(const struct tn_log *log)
{
	return atomic_load(&log->last);
}

uint64_t
tn_log_next_lsn(const struct tn_log *log)
{
	uint64_t last = atomic_load(&log->last);

	return last < log->newest->first ? log->newest->first : last + 1;
}

uint64_t
tn_log_first(const struct tn_log *log)
{
	uint64_t first = atomic_load(&log->first);
	uint64_t last = atomic_load(&log->last);

	return first <= last ? first : last + 1;
}

uint64_t
tn_log_bytes(const struct tn_log *log)
{
	return atomic_load(&log->bytes);
}

uint32_t
tn_log_segments(const struct tn_log *log)
{
	return atomic_load(&log->segments);
}

/* first is that of the oldest segment with blocks, or of the newest one. */
void
tn_log_recount(struct tn_log *log)
{
	uint32_t oldest = 0;
	uint64_t bytes;

	tn_net_lock_take(log->lock);
	bytes = log->journal.bytes;
	for (uint32_t i = 0; i < log->seg_count; i++)
		bytes += log->segs[i]->file_bytes;
	while (oldest + 1 < log->seg_count &&
	    log->segs[oldest]->next == log->segs[oldest]->first)
		oldest++;
	atomic_store(&log->first, log->segs[oldest]->first);
	atomic_store(&log->bytes, bytes);
	atomic_store(&log->segments, log->seg_count);
	tn_net_lock_drop(log->lock);
}

void
tn_log_push(struct tn_log *log, struct tn_log_segment *seg)
{
	uint64_t last = atomic_load(&log->last);

	seg->next = UINT64_MAX;
	tn_net_lock_take(log->lock);
	if (log->seg_count == log->seg_cap) {
		log->seg_cap = log->seg_cap == 0 ? 16 : log->seg_cap * 2;
		log->segs = tn_realloc(log->segs,
		    log->seg_cap * sizeof(struct tn_log_segment *));
	}
	if (log->seg_count > 0) {
		struct tn_log_segment *old = log->segs[log->seg_count - 1];

		old->next = last >= old->first ? last + 1 : old->first;
	}
	log->segs[log->seg_count++] = seg;
	tn_net_lock_drop(log->lock);
	log->newest = seg;
	tn_log_recount(log);
}

/* ---- open ------------------------------------------------------------ */

static bool
ends_in(const char *s, const char *suffix)
{
	size_t n = strlen(s);
	size_t m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

/* The number of NNNNNNNNNN.mdb, 0 for other names. */
static uint32_t
number_of(const char *name)
{
	uint64_t v;

	if (strlen(name) != NAME_DIGITS + 4 || !ends_in(name, ".mdb"))
		return 0;
	if (!tn_parse_u64((struct tn_slice){ (const uint8_t *)name,
	    NAME_DIGITS }, &v) || v > UINT32_MAX)
		return 0;
	return (uint32_t)v;
}

/* Left by a crash while a segment was begun or removed. */
static enum tn_status
remove_leftover(struct tn_log *log, const char *name)
{
	char path[TN_LOG_PATH_MAX];
	int n;

	if (strcmp(name, "journal.new") != 0 &&
	    !ends_in(name, ".mdb.new") && !ends_in(name, ".mdb-lock") &&
	    !ends_in(name, ".mdb.new-lock"))
		return TN_OK;
	n = snprintf(path, sizeof path, "%s/%s", log->dir, name);
	tn_assert(n > 0 && n < (int)sizeof path);
	/* All lock files go: the folder is ours alone, and reader slots of a
	 * process that was killed mean nothing. */
	return tn_os_unlink(path);
}

static enum tn_status
open_segment(struct tn_log *log, uint32_t number, bool newest,
    struct tn_diag *d)
{
	struct tn_log_segment *before = log->newest;
	struct tn_log_segment *seg;
	enum tn_status st;
	uint64_t next;

	if (before != NULL && number != before->number + 1)
		return tn_diag_set(d, TN_ECORRUPT, "log_corrupt",
		    "%s: segment %010u is missing", log->dir,
		    before->number + 1);
	st = tn_log_segment_open(&seg, log->dir, number,
	    newest ? log->segment_bytes : 0, d);
	if (st != TN_OK)
		return st;
	if (before != NULL && seg->after != atomic_load(&log->last)) {
		st = tn_diag_set(d, TN_ECORRUPT, "log_corrupt",
		    "%s: block %llu is missing before it", seg->path,
		    (unsigned long long)(atomic_load(&log->last) + 1));
		tn_log_segment_close(seg);
		return st;
	}
	next = seg->next;
	tn_log_push(log, seg);
	/* Without blocks too: what is before first was given out or skipped. */
	atomic_store(&log->last, next - 1);
	return TN_OK;
}

static enum tn_status
open_segments(struct tn_log *log, char *const *names, size_t count,
    struct tn_diag *d)
{
	enum tn_status st = TN_OK;
	uint32_t newest = 0;

	for (size_t i = 0; i < count && st == TN_OK; i++) {
		uint32_t number = number_of(names[i]);

		if (number > newest)
			newest = number;
		if (number == 0)
			st = remove_leftover(log, names[i]);
	}
	for (size_t i = 0; i < count && st == TN_OK; i++) {
		uint32_t number = number_of(names[i]);

		if (number != 0)
			st = open_segment(log, number, number == newest, d);
	}
	return st;
}

/* The newest segment that has blocks, NULL when none has. */
static struct tn_log_segment *
newest_with_blocks(struct tn_log *log)
{
	for (uint32_t i = log->seg_count; i > 0; i--) {
		struct tn_log_segment *seg = log->segs[i - 1];

		if (seg->first <= atomic_load(&log->last) &&
		    seg->next > seg->first)
			return seg;
	}
	return NULL;
}

static enum tn_status
check_last(struct tn_log *log, struct tn_diag *d)
{
	struct tn_log_segment *seg = newest_with_blocks(log);
	enum tn_status st;

	if (seg == NULL)
		return TN_OK;
	if (seg->next != UINT64_MAX)
		return tn_log_check_newest(log, seg, d);
	seg->next = atomic_load(&log->last) + 1;
	st = tn_log_check_newest(log, seg, d);
	seg->next = UINT64_MAX;
	return st;
}

static enum tn_status
open_folder(struct tn_log *log, uint64_t journal_bytes, struct tn_diag *d)
{
	char path[TN_LOG_PATH_MAX];
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_os_mkdirs(log->dir);

	if (st != TN_OK)
		return tn_diag_set(d, st, "log_open", "%s: %s", log->dir,
		    tn_status_text(st));
	(void)snprintf(path, sizeof path, "%s/lock", log->dir);
	st = tn_os_lock(&log->lock_file, path);
	if (st == TN_ECONFLICT)
		return tn_diag_set(d, st, "log_locked",
		    "%s: another process has the log open", log->dir);
	if (st == TN_OK)
		st = tn_os_list(log->dir, &names, &count);
	if (st == TN_OK)
		st = open_segments(log, names, count, d);
	for (size_t i = 0; i < count; i++)
		tn_free(names[i]);
	tn_free(names);
	if (st == TN_OK && log->newest == NULL)
		st = tn_log_roll(log, 1);
	else if (st == TN_OK)
		st = tn_log_offsets_load(log, log->newest, d);
	if (st == TN_OK)
		st = check_last(log, d);
	return st == TN_OK ? tn_log_journal_open(log, journal_bytes, d) : st;
}

static uint64_t
journal_of(const struct tn_log_opts *opts)
{
	if (opts->journal_bytes == TN_LOG_NO_JOURNAL)
		return 0;
	if (opts->journal_bytes == 0)
		return JOURNAL_BYTES;
	return opts->journal_bytes;
}

enum tn_status
tn_log_open(struct tn_log **out, const struct tn_log_opts *opts,
    struct tn_diag *d)
{
	uint64_t bytes = opts->segment_bytes;
	enum tn_status st;
	struct tn_log *log;

	*out = NULL;
	if (bytes == 0)
		bytes = SEGMENT_BYTES;
	if (bytes < SEGMENT_BYTES_MIN || bytes > SEGMENT_BYTES_MAX)
		return tn_diag_set(d, TN_EINVAL, "bad_segment_bytes",
		    "a segment has 1 MiB to 64 GiB");
	if (strlen(opts->dir) > TN_LOG_PATH_MAX - 300)
		return tn_diag_set(d, TN_EINVAL, "bad_path",
		    "the folder's path is too long");
	log = tn_zalloc(sizeof *log);
	log->dir = tn_strdup(opts->dir);
	log->segment_bytes = bytes & ~(uint64_t)(ROUND_BYTES - 1);
	log->zstd_level = opts->zstd_level != 0 ? opts->zstd_level : 1;
	log->disk_reserve = opts->disk_reserve;
	log->notes_max = opts->notes_max != 0 ? opts->notes_max : NOTES_MAX;
	log->notes_early_us = opts->notes_early_us;
	log->lock = tn_net_lock_new();
	if (d != NULL)
		d->message[0] = '\0';
	log->writing = tn_net_lock_new();
	log->commits = tn_counter_get(TN_COUNTER, "tarn_log_commits_total",
	    "to=\"segment\"", "Synced commits of the log.");
	log->journaled = tn_counter_get(TN_COUNTER, "tarn_log_commits_total",
	    "to=\"journal\"", "Synced commits of the log.");
	log->forgotten = tn_counter_get(TN_COUNTER,
	    "tarn_log_notes_forgotten_total", "", "Idempotency-Keys and notes "
	    "like them, forgotten before their time as there were too many.");
	st = open_folder(log, journal_of(opts), d);
	if (st == TN_OK) {
		*out = log;
		return TN_OK;
	}
	if (d != NULL && d->message[0] == '\0')
		(void)tn_diag_set(d, st, "log_open", "%s: %s", log->dir,
		    tn_status_text(st));
	tn_log_close(log);
	return st;
}

void
tn_log_close(struct tn_log *log)
{
	if (log == NULL)
		return;
	/* What cannot go to LMDB now stays in the journal. */
	if (log->journal.at > 0 && !atomic_load(&log->failed))
		(void)!tn_log_checkpoint(log);
	tn_log_journal_close(&log->journal);
	for (uint32_t i = 0; i < log->seg_count; i++)
		tn_log_segment_close(log->segs[i]);
	tn_free(log->segs);
	tn_os_close(log->lock_file);
	tn_net_lock_free(log->writing);
	tn_net_lock_free(log->lock);
	tn_buf_fini(&log->scratch);
	tn_free(log->pieces);
	tn_free(log->offsets);
	tn_free(log->dir);
	tn_free(log);
}
