/* The running program: every room's object, in the order they are made. */
#ifndef TN_APP_RUN_INT_H
#define TN_APP_RUN_INT_H

#include "app/app.h"
#include "batch/batch.h"
#include "catalog/catalog.h"
#include "governance/governance.h"
#include "http/http.h"
#include "ingest/ingest.h"
#include "lake/lake.h"
#include "log/log.h"
#include "net/net.h"
#include "os/os.h"
#include "serving/serving.h"
#include "speed/speed.h"

struct app {
	const char *data;
	int64_t begun_us;
	struct tn_sql_pipeline *pipeline;   /* Until the model has it. */
	struct tn_app_settings set;
	struct tn_http_setting shown[TN_SET_COUNT];
	struct tn_os_file *lock;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving_model *model;
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;
	struct tn_speed *speed;
	struct tn_serving *serving;
	struct tn_ingest *ingest;
	struct tn_batch_jobs *batch;
	struct tn_governance_access *access;
	struct tn_http *http;
	struct tn_net_timer *cut_timer;
	struct tn_net_timer *drain_timer;
	struct tn_app_demo *demo;
	uint64_t demo_token;             /* 0: none. */
	char *url;
	uint64_t cut_lsn;
	uint32_t drained_ms;
	bool stopping;
};

/* ---- engine.c -------------------------------------------------------- */

/* Needs data, pipeline and set. On failure close what was opened. */
TN_MUST_USE enum tn_status tn_app_engine_open(struct app *a,
    struct tn_diag *d);
/* After the loop has stopped and the doors are gone. */
void tn_app_engine_close(struct app *a);
/* Queue a cut ("timer", "rows"). Any thread. */
void tn_app_engine_cut(struct app *a, const char *reason);

#endif
