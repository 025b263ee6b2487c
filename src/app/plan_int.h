/* What a pipeline's text would change of what a data folder holds. */
#ifndef TN_APP_PLAN_INT_H
#define TN_APP_PLAN_INT_H

#include "app/app.h"
#include "catalog/catalog.h"
#include "lake/lake.h"
#include "serving/serving.h"

enum tn_app_change { TN_PLAN_SAME, TN_PLAN_NEW, TN_PLAN_CHANGED,
	TN_PLAN_DROPPED };
struct tn_app_planned {
	enum tn_app_change change;
	enum tn_catalog_kind kind;
	const char *name;
	const char *what;        /* Of a change: parts, or "". */
	const char *restart;     /* Why not while it runs; NULL: it can be. */
	bool later;              /* Only its options: it waits for a start, but
	                          * keeps no other change waiting. */
	/* To be read for it: bronze of a table, silver of a view. */
	uint64_t rows, bytes;
	uint32_t files;
	uint64_t quarantined;    /* Rows that are tried again. */
};
struct tn_app_plan {
	struct tn_arena *arena;
	struct tn_app_planned *all;
	uint32_t count;
	uint32_t changes;
	uint32_t later;          /* Of them, only options. */
	bool restart;            /* Some of the others need one. */
};
/* Reads bronze's statuses of changed tables. Free with fini, also after a
 * failure. Not on the loop. */
TN_MUST_USE enum tn_status tn_app_plan_make(struct tn_app_plan *out,
    const struct tn_sql_pipeline *p, struct tn_catalog *cat,
    struct tn_lake *lake, struct tn_diag *d);
void tn_app_plan_fini(struct tn_app_plan *p);
/* Lines for people; an object {"changes":..,"objects":[..],"text":..}. */
void tn_app_plan_text(const struct tn_app_plan *p, struct tn_buf *out);
void tn_app_plan_json(const struct tn_app_plan *p, struct tn_buf *out);
/* Which streams the catalog's data folder runs with; noted at the start. */
TN_MUST_USE enum tn_status tn_app_streams_note(struct tn_catalog *cat,
    const uint32_t *ids, uint32_t count);
/* A command while it waits; see follow.c. */
struct tn_app_follow {
	const struct tn_app_args *args;
	bool applies;                    /* Shows what is made. */
	const char *token;
	int64_t next_us;
	uint64_t run, part;              /* Shown. */
	/* The server answers no question for so long: it hangs. */
	int64_t wait_us, heard_us, ticked_us;
	uint64_t moved;                  /* Bytes of the call, then. */
	int silent;
};
/* Make the call with it. True: the server hangs, and it is said. */
bool tn_app_follow_ask(struct tn_app_follow *f, struct tn_app_call *c,
    struct tn_app_reply *r);
/* The server restarts itself: until it is back. An exit code. */
int tn_app_follow_back(struct tn_app_follow *f);
/* Does it go to MQTT? The catalog does not know. */
bool tn_app_publishes(const struct tn_sql_view *v);
/* WITH options as lines; see options.c. */
void tn_app_table_options(const struct tn_sql_table *t, struct tn_buf *out);
void tn_app_view_options(const struct tn_sql_view *v, struct tn_buf *out);
/* What differs between two such texts, in words: "a: 1 becomes 2; ..." */
void tn_app_options_diff(const char *was, const char *is,
    struct tn_buf *out);
/* Those that an object runs with; NULL: not known. */
const char *tn_app_options_noted(struct tn_catalog *cat, uint32_t id,
    struct tn_arena *a);
/* Note those of all that runs; at the start, and after definitions changed. */
TN_MUST_USE enum tn_status tn_app_options_note(struct tn_catalog *cat,
    const struct tn_serving_model *m);
/* What differs between two definitions of a table, in words; without
 * options. */
void tn_app_table_diff(const struct tn_sql_table *was,
    const struct tn_sql_table *is, struct tn_buf *out);

#endif
