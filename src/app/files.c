/* files: connections share the number of files that a process may have open
 * with the log, the lake and the catalog. Connections are refused before those
 * are short of any: a cut that cannot open a file is worse than a client that
 * has to come again. So what does not fit is lowered at start, and said. */
#include "app/app.h"

#include <stdio.h>

#include "os/os.h"

enum { KEPT_PARTS = 8, KEPT_MIN = 64, KEPT_MAX = 1024 };

static void
lower(struct tn_app_settings *s, enum tn_app_setting i, uint64_t most,
    uint64_t files)
{
	if ((uint64_t)s->number[i] <= most)
		return;
	tn_say(TN_INFO, "app", "%s is %llu and not %s: this process may have "
	    "%llu files open (ulimit -n; LimitNOFILE= of systemd, --ulimit "
	    "nofile= of docker)", tn_app_setting_name(i),
	    (unsigned long long)most, s->text[i], (unsigned long long)files);
	s->number[i] = (int64_t)most;
	(void)snprintf(s->text[i], sizeof s->text[i], "%llu",
	    (unsigned long long)most);
}

void
tn_app_files_fit(struct tn_app_settings *s, uint64_t files)
{
	uint64_t kept = files / KEPT_PARTS, doors;

	if (kept > KEPT_MAX)
		kept = KEPT_MAX;
	if (kept < KEPT_MIN)
		kept = KEPT_MIN;
	doors = files > kept + 2 ? files - kept : 2;
	if ((uint64_t)s->number[TN_SET_CONNECTIONS] +
	    (uint64_t)s->number[TN_SET_MQTT_CONNECTIONS] <= doors)
		return;
	/* The dashboard and its alarms are not to be shut out by devices. */
	lower(s, TN_SET_CONNECTIONS, doors / 2, files);
	lower(s, TN_SET_MQTT_CONNECTIONS, doors -
	    (uint64_t)s->number[TN_SET_CONNECTIONS], files);
}
