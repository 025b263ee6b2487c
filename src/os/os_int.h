/* os_int: what the files of os share and no other room sees. */
#ifndef TN_OS_OS_INT_H
#define TN_OS_OS_INT_H

#include "os/os.h"

struct tn_os_file {
	int fd;
	bool writable;
	bool broken;            /* A sync failed: nothing may follow. */
	uint64_t at;            /* Where the next tn_os_write goes. */
	uint64_t soon;          /* Up to here tn_os_write_soon has asked. */
};

/* The table in force. */
const struct tn_os_table *tn_os_table(void);
/* The status for a negative errno. Failures that a caller does not expect
 * (I/O, space, permission) are logged here, once, with ${act} and ${path}
 * (may be NULL). */
enum tn_status tn_os_fail(int err, const char *act, const char *path);
/* Write all ${n} bytes at ${at}: 0 or a negative errno. */
int tn_os_write_all(int fd, const void *p, size_t n, uint64_t at);

/* tn_os_memory_bytes with /proc and /sys below ${root}, for tests. */
uint64_t tn_os_memory_under(const char *root);

#endif
