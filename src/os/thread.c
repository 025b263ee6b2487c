/* thread: what the system knows of a thread besides that it runs.
 *
 * Low, but not idle (SCHED_IDLE, the idle class of IO): a thread that never
 * had its turn would keep what it holds, a lock for a moment or a snapshot's
 * files, from those that wait for it. */
#include "os/os_int.h"

#define NICE 10              /* A ninth of the share of a thread at 0. */
#define IO_LEVEL 7           /* The last of best-effort. */

void
tn_os_thread_background(void)
{
	/* A refusal (a sandbox, a system without) costs only fairness. */
	(void)tn_os_table()->nice(NICE);
	(void)tn_os_table()->io_level(IO_LEVEL);
}
