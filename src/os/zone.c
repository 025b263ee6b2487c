/* zone: which time zone the machine is set to, by its name in the system's zone
 * files, so that a page can show the times of the place where it stands. TZ comes
 * first, then what /etc/localtime points to. A zone that has no name there (a
 * rule in TZ, a copied file) is none that a browser would know: then UTC. */
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "/usr/share/zoneinfo/"

bool
tn_os_is_zone(const char *name)
{
	char path[sizeof FOLDER + TN_OS_ZONE_BYTES];
	size_t n = strlen(name);

	if (strcmp(name, "UTC") == 0)
		return true;
	if (n == 0 || n >= TN_OS_ZONE_BYTES || name[0] == '/' ||
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789/_+-") != n || strncmp(name, "posix", 5) == 0 ||
	    strncmp(name, "right", 5) == 0)
		return false;
	(void)snprintf(path, sizeof path, FOLDER "%s", name);
	return tn_os_kind(path) == TN_OS_FILE;
}

void
tn_os_zone(char out[static TN_OS_ZONE_BYTES])
{
	const char *tz = getenv("TZ"), *at;
	char path[256];
	ssize_t n = 0;

	if (tz != NULL && tz[0] == ':')
		tz++;
	if (tz == NULL || tz[0] == '\0') {
		n = readlink("/etc/localtime", path, sizeof path - 1);
		path[n > 0 ? n : 0] = '\0';
		at = strstr(path, "/zoneinfo/");
		tz = at != NULL ? at + strlen("/zoneinfo/") : "";
	}
	(void)snprintf(out, TN_OS_ZONE_BYTES, "%s",
	    tn_os_is_zone(tz) ? tz : "UTC");
}
