/* Settings that change while the program runs (tune.c), and what they make
 * happen when (schedule.c). */
#ifndef TN_APP_TUNE_INT_H
#define TN_APP_TUNE_INT_H

#include "app/call_int.h"

/* ALTER SYSTEM instead of a CALL: the job of a tn_app_proc. Thread: calls. */
void tn_app_alter(struct tn_net_job *job);
/* For struct tn_http_schedule. Any thread but the loop. */
enum tn_status tn_app_schedule_json(void *app, const char *name,
    const char *value, struct tn_buf *out, struct tn_diag *d);

#endif
