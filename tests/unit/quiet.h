/* Tests that make many things fail on purpose: each failure is said on standard
 * error, which is right and long. */
#ifndef TN_QUIET_H
#define TN_QUIET_H

#include <stdio.h>
#include <stdlib.h>

/* It goes to the file that TARN_SAID names, because what cmocka says of a test
 * that failed goes there, too, and run.sh shows its end then; without a name to
 * nowhere; with TARN_LOUD it stays. Before the first test. */
static inline void
quiet(void)
{
	const char *to = getenv("TARN_SAID");

	if (getenv("TARN_LOUD") != NULL)
		return;
	if (freopen(to != NULL ? to : "/dev/null", "w", stderr) == NULL)
		exit(1);
	/* A failed check aborts, and takes with it what was not written. */
	(void)setvbuf(stderr, NULL, _IONBF, 0);
}

#endif
