/* thread: what the system knows of a thread besides that it runs. */
#include "os/os.h"

#include <sys/resource.h>

#define BACKGROUND 10        /* A ninth of the share of a thread at 0. */

void
tn_os_thread_background(void)
{
#ifdef __linux__
	/* There a "process" of setpriority is a thread. Elsewhere it would be
	 * all of them: better none. A refusal costs only fairness. */
	(void)setpriority(PRIO_PROCESS, 0, BACKGROUND);
#endif
}
