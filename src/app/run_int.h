/* The running program: every room's object, in the order they are made. */
#ifndef TN_APP_RUN_INT_H
#define TN_APP_RUN_INT_H

#include "app/app.h"
#include "batch/batch.h"
#include "catalog/catalog.h"
#include "governance/governance.h"
#include "http/http.h"
#include "inbox/inbox.h"
#include "ingest/ingest.h"
#include "lake/lake.h"
#include "log/log.h"
#include "mqtt/mqtt.h"
#include "net/net.h"
#include "objects/objects.h"
#include "os/os.h"
#include "serving/serving.h"
#include "speed/speed.h"

struct app {
	const char *data;
	int64_t begun_us;
	struct tn_sql_pipeline *pipeline;   /* Until the model has it. */
	struct tn_app_settings set;
	/* As the configuration says; when ALTER SYSTEM said another value, 0: it
	 * did not (texts and these under the lock). See tune.c. */
	struct tn_app_settings *configured;
	int64_t set_us[TN_SET_COUNT];
	struct tn_net_lock *tuning;
	int64_t cut_next_us;             /* Monotonic, atomic; 0: never. */
	struct tn_http_setting shown[TN_SET_COUNT];
	char zone[TN_OS_ZONE_BYTES];     /* Of the site. */
	struct tn_buf bridge_shown;      /* mqtt_bridge without passwords. */
	struct tn_os_file *lock;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;
	struct tn_net_pool *folds;       /* Of recomputes. */
	struct tn_speed *speed;
	struct tn_governance_recent *recent;
	uint32_t loads;              /* Atomic: files that are being loaded. */
	struct tn_serving *serving;
	struct tn_ingest *ingest;
	struct tn_batch_jobs *batch;
	struct tn_net_actor *calls;      /* CALL name(...); see call.c. */
	struct tn_governance_access *access;
	struct tn_http *http;
	struct tn_mqtt *mqtt;
	struct tn_net_tls *mqtt_tls;
	struct tn_inbox *inbox;
	const char *config;              /* Folder; NULL: what is bundled. */
	const char *bundle;
	struct tn_net_actor *apply;      /* See apply.c. */
	uint32_t apply_stop;             /* Atomic. */
	/* Begins to end the program, which then starts anew; NULL: it cannot.
	 * Loop thread. */
	void (*restart)(struct app *a);
	bool again;
	uint64_t settings_words;         /* Of the text that it began with. */
	uint32_t preparing;              /* Atomic: an apply that takes long. */
	struct tn_net_actor *backup;     /* Made by the first one; calls. */
	uint32_t backup_stop;            /* Atomic. */
	struct tn_objects *objects;
	struct tn_net_timer *cut_timer;
	struct tn_net_timer *compact_timer;
	struct tn_net_timer *drain_timer;
	struct tn_app_demo *demo;
	uint64_t demo_token;             /* 0: none. */
	char *url;
	uint64_t cut_lsn;
	uint32_t drained_ms;
	bool stopping;
	struct tn_net_timer *memory_timer;
	int64_t memory_cut_us;           /* Atomic: last cut asked for. */
	bool memory_full;                /* As was said last; loop. */
	int64_t memory_full_us;          /* Monotonic: since then; 0: not. */
	bool memory_stuck;               /* A cut at start failed. */
	bool disk_full;                  /* As was said last; loop. */
	int64_t disk_full_us;            /* Monotonic: since then; 0: not. */
	int64_t disk_looked_us;
};

/* ---- disk.c ---------------------------------------------------------- */

/* Since when no events are taken for want of disk (monotonic), 0: they are.
 * Loop thread. */
int64_t tn_app_disk_look(struct app *a);

/* ---- engine.c -------------------------------------------------------- */

/* Free space of the disk that events never take. */
uint64_t tn_app_disk_reserve(const struct app *a);
/* Needs data, pipeline and set. On failure close what was opened. */
TN_MUST_USE enum tn_status tn_app_engine_open(struct app *a,
    struct tn_diag *d);
/* After the loop has stopped and the doors are gone. */
void tn_app_engine_close(struct app *a);
/* Queue a cut ("timer", "rows", "memory"). Any thread. */
void tn_app_engine_cut(struct app *a, const char *reason);

/* ---- again.c --------------------------------------------------------- */

/* Quarantined rows of tables that were redefined; once all of the log is
 * known and before the loop runs. */
void tn_app_try_again(struct app *a);

/* ---- apply.c --------------------------------------------------------- */

/* After batch stands; closed before it goes. */
void tn_app_apply_open(struct app *a);
void tn_app_apply_close(struct app *a);
/* For struct tn_http_definitions. Loop thread. */
void tn_app_definitions_run(void *app, const struct tn_http_texts *q,
    void (*done)(void *arg, enum tn_status st, const struct tn_diag *d,
    struct tn_slice json), void *arg);

/* ---- ahead.c --------------------------------------------------------- */

struct tn_app_plan;
/* The tables that a plan changes, as the next start will have them. They point
 * into ${p}. Free with fini. */
TN_MUST_USE enum tn_status tn_app_ahead_list(struct app *a,
    const struct tn_sql_pipeline *p, const struct tn_app_plan *plan,
    struct tn_batch_prepare *out, struct tn_diag *d);
void tn_app_ahead_fini(struct tn_batch_prepare *x);
/* No table is to change: what was prepared goes. Waits. */
TN_MUST_USE enum tn_status tn_app_ahead_none(struct app *a,
    struct tn_diag *d);
/* How the start comes. */
uint64_t tn_app_settings_words(const struct tn_sql_pipeline *p);
bool tn_app_may_restart(const struct app *a, const struct tn_sql_pipeline *p);
void tn_app_ahead_text(const struct app *a, const struct tn_sql_pipeline *p,
    struct tn_buf *out);
/* Whether ${now} has the definitions and settings of ${p}. */
bool tn_app_is_same(const struct tn_sql_pipeline *p,
    const struct tn_sql_pipeline *now);

/* ---- tune.c ------------------------------------------------------------ */

/* Values that ALTER SYSTEM set, when the catalog is open. */
TN_MUST_USE enum tn_status tn_app_tune_load(struct app *a);
void tn_app_tune_close(struct app *a);
/* The timer of cuts. Loop thread. */
void tn_app_cuts_open(struct app *a);

/* ---- memory.c -------------------------------------------------------- */

/* Look at the budget every 100 ms, on the loop. */
void tn_app_memory_watch(struct app *a);
/* A block was folded: ask for a cut when memory presses. Any thread. */
void tn_app_memory_press(struct app *a);
/* The same while the log is read at start: cut at once. Main thread. */
void tn_app_memory_replayed(struct app *a);

/* ---- inbox.c --------------------------------------------------------- */

/* The drop folder, after the engine stands. */
TN_MUST_USE enum tn_status tn_app_inbox_open(struct app *a,
    struct tn_diag *d);
void tn_app_inbox_json(void *app, struct tn_buf *out);

/* ---- objects.c ------------------------------------------------------- */

/* For batch: ${arg} is the app. Any thread. */
void tn_app_objects_usage(void *arg, uint64_t *count, uint64_t *bytes);
/* Files beside the events, after the engine stands; none when they are off or
 * the pipeline has another table of the name. */
TN_MUST_USE enum tn_status tn_app_objects_open(struct app *a,
    struct tn_diag *d);

/* ---- mqtt.c ---------------------------------------------------------- */

/* The broker, after the engine and access stand. */
TN_MUST_USE enum tn_status tn_app_mqtt_open(struct app *a,
    const struct tn_app_args *args, struct tn_diag *d);
/* After all that was on its way has settled, before ingest is freed. */
void tn_app_mqtt_close(struct app *a);
/* For GET /api/v1/mqtt, and WebSockets of GET /mqtt. */
void tn_app_mqtt_json(void *app, struct tn_buf *out);
void tn_app_mqtt_adopt(void *app, struct tn_net_stream *s,
    enum tn_governance_scope scope);

#endif
