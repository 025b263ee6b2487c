/* memory: how much this process may use, and how much of it the allocator
 * keeps when it is free.
 *
 * The machine's figure stands in /proc/meminfo. A container's is that of its
 * control group or of any group above it, whichever is the least; where the
 * groups are mounted so that ours is the root (as containers see them), the
 * path of /proc/self/cgroup leads nowhere and the root's file counts.
 *
 *   v2   0::/a/b           /sys/fs/cgroup/a/b/memory.max          "max": none
 *   v1   4:memory:/a/b     /sys/fs/cgroup/memory/a/b/memory.limit_in_bytes
 *
 * What cannot be read does not count; a v1 group without a limit shows a
 * number near 2^63, which is more than any machine has. */
#include "os/os_int.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define TEXT_MAX 65536
#define PATH_BYTES 1024
#define BLOCK_BYTES_MAX ((size_t)32 << 20)   /* glibc takes no more. */
#define HUGE_BYTES ((uintptr_t)2 << 20)
#define HEAPS_MAX 16                         /* From here on its own choice. */

/* The whole number at the start of a file's text, after ${skip}; 0: none. */
static uint64_t
read_number(const char *path, const char *skip)
{
	struct tn_buf b = { 0 };
	struct tn_slice digits;
	uint64_t n = 0;
	const char *s;

	if (tn_os_read_file(path, &b, TEXT_MAX) == TN_OK) {
		s = strstr(tn_buf_cstr(&b), skip);
		s = s != NULL ? s + strlen(skip) : "";
		s += strspn(s, " ");
		digits = (struct tn_slice){ (const uint8_t *)s,
		    strspn(s, "0123456789") };
		if (!tn_parse_u64(digits, &n))
			n = 0;
	}
	tn_buf_fini(&b);
	return n;
}

static void
lower(uint64_t *least, uint64_t n)
{
	if (n != 0 && (*least == 0 || n < *least))
		*least = n;
}

/* The group of ${path} and all above it, to the root. */
static void
walk_up(const char *mount, const char *path, const char *file,
    uint64_t *least)
{
	char group[PATH_BYTES], full[2 * PATH_BYTES];

	if (snprintf(group, sizeof group, "%s", path) >= (int)sizeof group)
		group[0] = '\0';
	for (;;) {
		char *slash = strrchr(group, '/');

		if (snprintf(full, sizeof full, "%s%s/%s", mount, group,
		    file) < (int)sizeof full)
			lower(least, read_number(full, ""));
		if (slash == NULL)
			return;
		*slash = '\0';
	}
}

/* One line of /proc/self/cgroup: number:controllers:path. */
static void
look_at_group(const char *root, char *line, uint64_t *least)
{
	char mount[PATH_BYTES];
	char *controllers = strchr(line, ':'), *path;
	bool v1 = false;

	if (controllers == NULL)
		return;
	*controllers++ = '\0';
	path = strchr(controllers, ':');
	if (path == NULL)
		return;
	*path++ = '\0';
	for (char *at = NULL, *c = strtok_r(controllers, ",", &at);
	    c != NULL; c = strtok_r(NULL, ",", &at))
		v1 = v1 || strcmp(c, "memory") == 0;
	if (v1) {
		(void)snprintf(mount, sizeof mount,
		    "%s/sys/fs/cgroup/memory", root);
		walk_up(mount, path, "memory.limit_in_bytes", least);
	} else if (strcmp(line, "0") == 0) {
		(void)snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
		walk_up(mount, path, "memory.max", least);
	}
}

uint64_t
tn_os_memory_under(const char *root)
{
	char path[PATH_BYTES];
	struct tn_buf b = { 0 };
	uint64_t least = 0;

	(void)snprintf(path, sizeof path, "%s/proc/meminfo", root);
	lower(&least, read_number(path, "MemTotal:") * 1024);
	(void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	if (tn_os_read_file(path, &b, TEXT_MAX) == TN_OK) {
		char *at = NULL;
		(void)tn_buf_cstr(&b);
		for (char *line = strtok_r((char *)b.p, "\n", &at);
		    line != NULL; line = strtok_r(NULL, "\n", &at))
			look_at_group(root, line, &least);
	}
	tn_buf_fini(&b);
	return least;
}

uint64_t
tn_os_memory_bytes(void)
{
	return tn_os_memory_under("");
}

/* glibc raises the size from which it asks the system for a block by itself
 * each time such a block is freed, up to 32 MiB, and makes eight heaps a core:
 * what is freed then stays in some heap, in pieces. */
void
tn_os_memory_keep(size_t block_bytes, uint32_t heaps)
{
	tn_assert(heaps > 0);
	if (block_bytes > BLOCK_BYTES_MAX)
		block_bytes = BLOCK_BYTES_MAX;
	(void)mallopt(M_MMAP_THRESHOLD, (int)block_bytes);
	(void)mallopt(M_TRIM_THRESHOLD, (int)(2 * block_bytes));
	if (heaps < HEAPS_MAX)
		(void)mallopt(M_ARENA_MAX, (int)heaps);
}

void
tn_os_memory_trim(void)
{
	(void)malloc_trim(0);
}

void
tn_os_memory_huge(void *p, size_t n)
{
	uintptr_t from = ((uintptr_t)p + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	uintptr_t to = ((uintptr_t)p + n) & ~(HUGE_BYTES - 1);

	if (n >= 2 * HUGE_BYTES && from < to)
		(void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}
