/* os: files, clock and randomness behind a table, so that tests can break
 * any of them and own the time. Rooms call the functions below; they go
 * through the table in force. LMDB and SQLite reach the disk by themselves:
 * their faults are injected with the linker's --wrap in tests.
 *
 * POSIX.1-2017. A failed call returns TN_EIO, TN_ENOSPC (also EDQUOT),
 * TN_ENOTFOUND (ENOENT), TN_EEXIST or TN_EDENIED and leaves nothing half
 * open. Thread: any; a file is used by one thread at a time (reads with
 * tn_os_pread may come from many). */
#ifndef TN_OS_OS_H
#define TN_OS_OS_H

#include "base/base.h"

struct tn_os_file;

/* What tests replace. All members are set. Errors are negative errno. */
struct tn_os_table {
	int (*open)(const char *path, int flags, int mode);
	int (*close)(int fd);
	int64_t (*pread)(int fd, void *p, size_t n, uint64_t at);
	int64_t (*pwrite)(int fd, const void *p, size_t n, uint64_t at);
	int (*sync)(int fd);   /* fsync: fdatasync may skip folder entries. */
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*mkdir)(const char *path, int mode);
	int64_t (*wall_us)(void);        /* Microseconds since 1970, UTC. */
	int64_t (*mono_us)(void);        /* Never steps back. */
	int64_t (*boot_us)(void);        /* The same, also while it sleeps. */
	int (*random)(void *p, size_t n);
	/* Of the calling thread: its nice value; its level of best-effort IO, 0
	 * (first) to 7. */
	int (*nice)(int value);
	int (*io_level)(int level);
};
/* The real table; tests copy it and change members. */
extern const struct tn_os_table tn_os_real;
/* Replace the table in force (NULL: the real one). Only in tests and at
 * start. Other threads may run: each of their calls is by the old table or by
 * the new one. Borrows ${t}. */
void tn_os_use(const struct tn_os_table *t);

int64_t tn_os_wall_us(void);
int64_t tn_os_mono_us(void);
/* For how far time went on, also while the machine was suspended. */
int64_t tn_os_boot_us(void);
/* How much further the wall clock went since the last call than time did: set
 * right, or wrong. The first call of a zeroed one, and one after the clock was
 * set back, says so, too (0, less than 0). */
struct tn_os_leap {
	int64_t wall_us, boot_us;
};
int64_t tn_os_leap(struct tn_os_leap *l);
/* Aborts when the system has no randomness. */
void tn_os_random(void *p, size_t n);

enum tn_os_mode {
	TN_OS_READ,      /* Must exist. */
	TN_OS_CREATE,    /* Must not exist; read and write; mode 0640. */
	TN_OS_REPLACE,   /* Truncated or created; read and write. */
	TN_OS_DURABLE,   /* Must exist; read and tn_os_pwrite, whose bytes are
	                  * on disk when it returns (O_DSYNC); past the page
	                  * cache where that can be, if bytes, place and memory
	                  * are at multiples of 4096. */
};
TN_MUST_USE enum tn_status tn_os_open(struct tn_os_file **file,
    const char *path, enum tn_os_mode mode);
/* Accepts NULL. */
void tn_os_close(struct tn_os_file *file);
/* Append at the end of what was written so far through this file. */
TN_MUST_USE enum tn_status tn_os_write(struct tn_os_file *file,
    const void *p, size_t n);
/* All ${n} bytes at ${at}, into what is there already. After a failure the
 * file is broken, as by tn_os_sync. */
TN_MUST_USE enum tn_status tn_os_pwrite(struct tn_os_file *file,
    const void *p, size_t n, uint64_t at);
/* What was written through this file is wanted on disk before long: the system
 * may begin with it, so that a sync has less to wait for. Promises nothing. */
void tn_os_write_soon(struct tn_os_file *file);
/* All ${n} bytes at ${at}; TN_ECORRUPT when the file is shorter. */
TN_MUST_USE enum tn_status tn_os_pread(struct tn_os_file *file, void *p,
    size_t n, uint64_t at);
TN_MUST_USE enum tn_status tn_os_size(struct tn_os_file *file,
    uint64_t *bytes);
/* Data and size are on disk after TN_OK. After a failure the file is broken:
 * every later write and sync is TN_EIO. */
TN_MUST_USE enum tn_status tn_os_sync(struct tn_os_file *file);
TN_MUST_USE enum tn_status tn_os_sync_dir(const char *path);
TN_MUST_USE enum tn_status tn_os_rename(const char *from, const char *to);
TN_MUST_USE enum tn_status tn_os_unlink(const char *path);
/* Makes all missing parents too; existing folders are fine. The parent of
 * every new folder is synced. */
TN_MUST_USE enum tn_status tn_os_mkdirs(const char *path);
/* Whole file, at most ${bytes_max}; appended to ${out}. */
TN_MUST_USE enum tn_status tn_os_read_file(const char *path,
    struct tn_buf *out, size_t bytes_max);
/* Write beside (path.<16 hex>.tmp), sync, rename over, sync the folder. */
TN_MUST_USE enum tn_status tn_os_write_file(const char *path,
    const void *p, size_t n, int mode);
/* Read-only map of a whole file; *n may be 0 with *p NULL. */
TN_MUST_USE enum tn_status tn_os_map(const char *path, const uint8_t **p,
    size_t *n);
void tn_os_unmap(const uint8_t *p, size_t n);

/* Names in a folder, sorted by bytes, without "." and "..". Free each name
 * and the array with tn_free. */
TN_MUST_USE enum tn_status tn_os_list(const char *path, char ***names,
    size_t *count);
enum tn_os_kind { TN_OS_NONE, TN_OS_FILE, TN_OS_DIR, TN_OS_OTHER };
enum tn_os_kind tn_os_kind(const char *path);
/* A name as it stands in its folder: a link is TN_OS_OTHER, not followed. Two
 * names with equal device, inode and born_ns are one file that was renamed. */
struct tn_os_info {
	enum tn_os_kind kind;
	uint64_t bytes;
	int64_t modified_ns;
	uint64_t device, inode;
	int64_t born_ns;         /* 0: the file system does not know. */
};
TN_MUST_USE enum tn_status tn_os_look(const char *path,
    struct tn_os_info *out);
/* The path without links, ".." and double slashes; free with tn_free. NULL:
 * it (or a folder on its way) is not there. */
char *tn_os_real_path(const char *path);
/* A folder with all that is in it, at most 16 folders deep; links are removed,
 * not followed. */
TN_MUST_USE enum tn_status tn_os_remove_tree(const char *path);
/* A second name for a file on the same file system. TN_EEXIST; TN_EUNSUPPORTED:
 * another file system, or one without such names. */
TN_MUST_USE enum tn_status tn_os_link(const char *from, const char *to);
/* A link at ${path}, which must not be there, that leads to ${to}. */
TN_MUST_USE enum tn_status tn_os_symlink(const char *to, const char *path);
/* Size of the file system of ${path}; 0 when that is not known. */
uint64_t tn_os_disk_size(const char *path);
/* Bytes free for us on the file system of ${path}. */
TN_MUST_USE enum tn_status tn_os_disk_free(const char *path,
    uint64_t *bytes);
/* Exclusive advisory lock (flock) on path, created if missing; TN_ECONFLICT
 * when another process holds it. Released by tn_os_close. */
TN_MUST_USE enum tn_status tn_os_lock(struct tn_os_file **file,
    const char *path);
/* Resident bytes of this process, 0 when unknown. */
uint64_t tn_os_rss_bytes(void);
/* Of them, those that no file holds: what a cap of memory is about. */
uint64_t tn_os_anonymous_bytes(void);
/* What this process may use: the least of the machine's memory and the limits
 * of its control groups (v1, v2); 0 when unknown. */
uint64_t tn_os_memory_bytes(void);
/* Blocks of ${block_bytes} and more are the system's again when freed; smaller
 * ones come from at most ${heaps} heaps (16 and more: as it likes). At start,
 * before threads. */
void tn_os_memory_keep(size_t block_bytes, uint32_t heaps);
/* A large block that will be filled may have pages of 2 MiB: fewer faults, and
 * tables that are looked up at random miss less. A hint; small blocks are left
 * as they are. */
void tn_os_memory_huge(void *p, size_t n);
/* Give pages that the allocator keeps unused back to the system. Takes
 * milliseconds; not on the loop. */
void tn_os_memory_trim(void);
/* The calling thread runs after others that want the processor or the disk; for
 * good: without a privilege it cannot be raised again. */
void tn_os_thread_background(void);

/* How many files may be open at once, after raising that as far as this
 * process may; UINT64_MAX: any number. */
uint64_t tn_os_files_max(void);

/* A name of the system's zone files, as "Europe/Berlin"; and the machine's, else
 * "UTC". */
#define TN_OS_ZONE_BYTES 64
bool tn_os_is_zone(const char *name);
void tn_os_zone(char out[static TN_OS_ZONE_BYTES]);

/* The program anew in this process, with these words: SIGTERM and SIGINT are
 * held back from hold on, which is when the last of it ends; again comes back
 * only when it fails, with TN_ECLOSED when one of them came meanwhile. */
void tn_os_again_hold(void);
enum tn_status tn_os_again(char *const *argv);

/* A crash point: aborts the process with SIGKILL when the environment names
 * it (TARN_CRASH=name or name:count for the count-th passage). Costs one
 * load when unset. */
void tn_os_crash_point(const char *name);

#endif
