/* file: copies, second names, sums. A name that stands is never written into:
 * it may be a second name of a file that is in use elsewhere. */
#include "backup/backup_int.h"

#include <string.h>

#define PIECE_BYTES (1u << 20)

const char *
tn_backup_path(struct tn_arena *a, const char *folder, const char *name)
{
	return tn_arena_printf(a, "%s/%s", folder, name);
}

static enum tn_status
make_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = tn_strndup(path, (size_t)(slash - path));
	enum tn_status st = tn_os_mkdirs(parent);

	tn_free(parent);
	return st;
}

static enum tn_status
clear(const char *path)
{
	enum tn_status st = make_parent(path);

	if (st != TN_OK || tn_os_kind(path) == TN_OS_NONE)
		return st;
	return tn_os_unlink(path);
}

/* All of a file to another, or to nowhere. */
static enum tn_status
pour(const char *from, struct tn_os_file *to, uint64_t *bytes,
    uint32_t *crc)
{
	struct tn_os_file *file = NULL;
	uint8_t *piece = tn_alloc(PIECE_BYTES);
	enum tn_status st = tn_os_open(&file, from, TN_OS_READ);
	uint64_t at = 0;

	*crc = 0;
	*bytes = 0;
	if (st == TN_OK)
		st = tn_os_size(file, bytes);
	while (st == TN_OK && at < *bytes) {
		size_t n = *bytes - at < PIECE_BYTES ? (size_t)(*bytes - at) :
		    PIECE_BYTES;
		st = tn_os_pread(file, piece, n, at);
		if (st == TN_OK && to != NULL)
			st = tn_os_write(to, piece, n);
		if (st == TN_OK)
			*crc = tn_crc32c(*crc, piece, n);
		at += n;
	}
	tn_os_close(file);
	tn_free(piece);
	return st;
}

enum tn_status
tn_backup_sum(const char *path, uint64_t *bytes, uint32_t *crc)
{
	return pour(path, NULL, bytes, crc);
}

enum tn_status
tn_backup_copy(const char *from, const char *to, bool secret,
    uint64_t *bytes, uint32_t *crc)
{
	struct tn_os_file *file = NULL;
	enum tn_status st = clear(to);

	/* An open file keeps the mode that it was made with. */
	if (st == TN_OK && secret)
		st = tn_os_write_file(to, "", 0, 0600);
	if (st == TN_OK)
		st = tn_os_open(&file, to, secret ? TN_OS_REPLACE :
		    TN_OS_CREATE);
	if (st == TN_OK)
		st = pour(from, file, bytes, crc);
	if (st == TN_OK)
		st = tn_os_sync(file);
	tn_os_close(file);
	return st;
}

enum tn_status
tn_backup_link(const char *from, const char *to)
{
	enum tn_status st = clear(to);

	return st == TN_OK ? tn_os_link(from, to) : st;
}

enum tn_status
tn_backup_sync_up(const char *top, const char *path)
{
	size_t n = strlen(top);
	char *part = tn_strdup(path), *slash;
	enum tn_status st = TN_OK;

	while (st == TN_OK && (slash = strrchr(part, '/')) != NULL &&
	    (size_t)(slash - part) >= n) {
		*slash = '\0';
		st = tn_os_sync_dir(part);
	}
	tn_free(part);
	return st;
}

bool
tn_backup_is_empty(const char *folder)
{
	char **names = NULL;
	size_t count = 0;

	if (tn_os_kind(folder) == TN_OS_NONE)
		return true;
	if (tn_os_list(folder, &names, &count) != TN_OK)
		return false;
	for (size_t i = 0; i < count; i++)
		tn_free(names[i]);
	tn_free(names);
	return count == 0;
}
