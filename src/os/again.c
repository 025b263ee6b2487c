/* again: the program starts itself anew, in the same process. What it has open
 * ends with it, but for descriptors that are meant to stay. */
#include "os/os.h"

#include <signal.h>
#include <unistd.h>

static void
set_mask(int how)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(how, &set, NULL);
}

static bool
is_pending(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && (sigismember(&set, SIGTERM) == 1 ||
	    sigismember(&set, SIGINT) == 1);
}

void
tn_os_again_hold(void)
{
	set_mask(SIG_BLOCK);
}

enum tn_status
tn_os_again(char *const *argv)
{
	/* One that came meanwhile: process 1 of a container would be spared by
	 * the default action. */
	if (is_pending())
		return TN_ECLOSED;
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	set_mask(SIG_UNBLOCK);
	tn_os_crash_point("again_exec");
#ifdef __linux__
	/* Also where the file has been replaced: what runs is what was tried. */
	(void)execv("/proc/self/exe", argv);
#endif
	(void)execv(argv[0], argv);
	return TN_EIO;
}
