/* limit: how many files this process may have open at once. The limit in
 * force (RLIMIT_NOFILE, soft) is 1024 on most systems for the sake of select(),
 * which nothing here uses; up to the hard one a process may raise it. */
#include "os/os.h"

#include <sys/resource.h>

#define FILES_LEAST 1024     /* Where the system does not say. */

uint64_t
tn_os_files_max(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return FILES_LEAST;
	if (r.rlim_cur < r.rlim_max) {
		struct rlimit more = { r.rlim_max, r.rlim_max };
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			r = more;
	}
	return r.rlim_cur == RLIM_INFINITY ? UINT64_MAX : r.rlim_cur;
}
