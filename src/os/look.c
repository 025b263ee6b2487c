/* look: what stands under a name, without opening it; second names; the end of
 * whole folders. */
#include "os/os_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS INT64_C(1000000000)
#define TREE_DEPTH 16

static int64_t
ns_of(struct statx_timestamp t)
{
	return t.tv_sec * NS + t.tv_nsec;
}

enum tn_status
tn_os_look(const char *path, struct tn_os_info *out)
{
	struct statx s;

	memset(out, 0, sizeof *out);
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS |
	    STATX_BTIME, &s) != 0)
		return tn_os_fail(-errno, "look at", path);
	out->kind = S_ISREG(s.stx_mode) ? TN_OS_FILE :
	    S_ISDIR(s.stx_mode) ? TN_OS_DIR : TN_OS_OTHER;
	out->bytes = s.stx_size;
	out->modified_ns = ns_of(s.stx_mtime);
	out->device = (uint64_t)s.stx_dev_major << 32 | s.stx_dev_minor;
	out->inode = s.stx_ino;
	if ((s.stx_mask & STATX_BTIME) != 0)
		out->born_ns = ns_of(s.stx_btime);
	return TN_OK;
}

char *
tn_os_real_path(const char *path)
{
	char *found = realpath(path, NULL), *copy = NULL;

	if (found != NULL)
		copy = tn_strdup(found);
	free(found);
	return copy;
}

enum tn_status
tn_os_link(const char *from, const char *to)
{
	if (link(from, to) == 0)
		return TN_OK;
	/* All that says "not here, but a copy may do". */
	if (errno == EXDEV || errno == EPERM || errno == EOPNOTSUPP ||
	    errno == EMLINK || errno == ENOSYS)
		return TN_EUNSUPPORTED;
	return tn_os_fail(-errno, "link", to);
}

enum tn_status
tn_os_symlink(const char *to, const char *path)
{
	return symlink(to, path) == 0 ? TN_OK :
	    tn_os_fail(-errno, "symlink", path);
}

static enum tn_status
remove_below(const char *path, uint32_t depth)
{
	struct tn_os_info info;
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_os_look(path, &info);

	if (st != TN_OK || depth > TREE_DEPTH)
		return st == TN_OK ? TN_ELIMIT : st;
	if (info.kind != TN_OS_DIR)
		return tn_os_unlink(path);
	st = tn_os_list(path, &names, &count);
	for (size_t i = 0; i < count; i++) {
		struct tn_buf b = { 0 };
		tn_buf_printf(&b, "%s/%s", path, names[i]);
		if (st == TN_OK)
			st = remove_below(tn_buf_cstr(&b), depth + 1);
		tn_buf_fini(&b);
		tn_free(names[i]);
	}
	tn_free(names);
	if (st == TN_OK && rmdir(path) != 0)
		st = tn_os_fail(-errno, "rmdir", path);
	return st;
}

enum tn_status
tn_os_remove_tree(const char *path)
{
	return remove_below(path, 1);
}
