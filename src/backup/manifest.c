/* manifest: what a backup consists of, as lines; the last one carries the
 * checksum of those before it, so that a file that was cut off is none. */
#include "backup/backup_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANIFEST_BYTES_MAX ((size_t)1 << 30)
#define HEAD "tarn-backup 1\n"

void
tn_backup_manifest_init(struct manifest *m)
{
	memset(m, 0, sizeof *m);
	m->arena = tn_arena_new(65536);
	m->state = "";
}

void
tn_backup_manifest_fini(struct manifest *m)
{
	tn_free(m->entries);
	if (m->arena != NULL)
		tn_arena_free(m->arena);
	memset(m, 0, sizeof *m);
}

void
tn_backup_manifest_add(struct manifest *m, const char *path, uint64_t bytes,
    uint32_t crc)
{
	if (m->count == m->cap) {
		m->cap = m->cap == 0 ? 256 : m->cap * 2;
		m->entries = tn_realloc(m->entries, m->cap *
		    sizeof *m->entries);
	}
	m->entries[m->count++] = (struct entry){
	    tn_arena_strdup(m->arena, path), bytes, crc };
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
	    ((const struct entry *)b)->path);
}

void
tn_backup_manifest_sort(struct manifest *m)
{
	if (m->count > 0)
		qsort(m->entries, m->count, sizeof *m->entries, by_path);
}

const struct entry *
tn_backup_manifest_find(const struct manifest *m, const char *path)
{
	struct entry key = { .path = path };

	return m->count == 0 ? NULL : bsearch(&key, m->entries, m->count,
	    sizeof *m->entries, by_path);
}

void
tn_backup_manifest_text(const struct manifest *m, struct tn_buf *out)
{
	size_t from = out->n;

	tn_buf_printf(out, HEAD "at %lld\nlsn %llu\nstate %s\n",
	    (long long)m->at_us, (unsigned long long)m->lsn, m->state);
	for (uint32_t i = 0; i < m->count; i++)
		tn_buf_printf(out, "file %08x %llu %s\n",
		    (unsigned)m->entries[i].crc,
		    (unsigned long long)m->entries[i].bytes,
		    m->entries[i].path);
	if (!out->failed)
		tn_buf_printf(out, "end %08x\n", (unsigned)tn_crc32c(0,
		    out->p + from, out->n - from));
}

/* ---- reading ------------------------------------------------------------- */

/* It becomes a path that is written: no way out of the folder. */
static bool
path_is_good(const char *p)
{
	if (p[0] == '\0' || p[0] == '/')
		return false;
	while (p != NULL) {
		size_t n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') ||
		    (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p = p[n] == '/' ? p + n + 1 : NULL;
	}
	return true;
}

static bool
read_line(struct manifest *m, const char *line)
{
	unsigned long long a = 0, bytes = 0;
	unsigned crc = 0;
	int at = 0;

	if (sscanf(line, "at %llu", &a) == 1) {
		m->at_us = (int64_t)a;
		return true;
	}
	if (sscanf(line, "lsn %llu", &a) == 1) {
		m->lsn = a;
		return true;
	}
	if (strncmp(line, "state ", 6) == 0) {
		m->state = tn_arena_strdup(m->arena, line + 6);
		return strncmp(m->state, "state-", 6) == 0 &&
		    strchr(m->state, '/') == NULL;
	}
	if (sscanf(line, "file %8x %llu %n", &crc, &bytes, &at) < 2 ||
	    at == 0 || !path_is_good(line + at))
		return false;
	tn_backup_manifest_add(m, line + at, bytes, crc);
	return true;
}

static enum tn_status
no_manifest(struct tn_diag *d, const char *why)
{
	tn_diag_hint(d, "take the backup again");
	return tn_diag_set(d, TN_ECORRUPT, "bad_backup",
	    "the manifest of the backup %s", why);
}

enum tn_status
tn_backup_manifest_parse(struct manifest *m, struct tn_slice text,
    struct tn_diag *d)
{
	char *copy = tn_arena_strndup(m->arena, (const char *)text.p, text.n);
	char *line = copy, *last;
	char want[16];
	size_t n;

	if (text.n < sizeof HEAD || strncmp(copy, HEAD, sizeof HEAD - 1) != 0)
		return no_manifest(d, "is not one of Tarn");
	if (strlen(copy) != text.n || copy[text.n - 1] != '\n')
		return no_manifest(d, "is cut off");
	copy[text.n - 1] = '\0';
	last = strrchr(copy, '\n') + 1;
	if (strncmp(last, "end ", 4) != 0)
		return no_manifest(d, "is cut off");
	n = (size_t)(last - copy);
	snprintf(want, sizeof want, "end %08x",
	    (unsigned)tn_crc32c(0, text.p, n));
	if (strcmp(last, want) != 0)
		return no_manifest(d, "fails its checksum");
	*(last - 1) = '\0';
	for (line += sizeof HEAD - 1; line != NULL && *line != '\0'; ) {
		char *end = strchr(line, '\n');
		if (end != NULL)
			*end = '\0';
		if (!read_line(m, line))
			return no_manifest(d, "has a line that is not known");
		line = end != NULL ? end + 1 : NULL;
	}
	tn_backup_manifest_sort(m);
	return m->state[0] != '\0' ? TN_OK : no_manifest(d, "names no state");
}

enum tn_status
tn_backup_manifest_read(struct manifest *m, const char *folder,
    struct tn_diag *d)
{
	const char *path = tn_backup_path(m->arena, folder, "manifest");
	struct tn_buf b = { .max = MANIFEST_BYTES_MAX };
	enum tn_status st;

	if (tn_os_kind(path) != TN_OS_FILE)
		return TN_ENOTFOUND;
	st = tn_os_read_file(path, &b, MANIFEST_BYTES_MAX);
	if (st == TN_OK)
		st = tn_backup_manifest_parse(m, (struct tn_slice){ b.p,
		    b.n }, d);
	else
		tn_diag_set(d, st, "bad_backup", "%s cannot be read: %s",
		    path, tn_status_text(st));
	tn_buf_fini(&b);
	return st;
}
