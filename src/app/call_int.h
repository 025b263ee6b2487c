/* CALL name(...) as the program runs it: what a handler gets and may do. A
 * procedure is one row in src/sql/call.c (name, arguments, words for help) and
 * one in the table of call.c beside this. */
#ifndef TN_APP_CALL_INT_H
#define TN_APP_CALL_INT_H

#include "app/run_int.h"
#include "record/record.h"

/* A CALL under way. The handler runs on the thread "calls", one at a time:
 * short work is done there, long work is handed to batch (or to another
 * thread). Exactly one tn_app_proc_end ends it, from any thread. */
struct tn_app_proc {
	struct tn_net_job job;           /* First. */
	struct app *a;
	struct tn_arena *arena;          /* Until the end. */
	struct tn_slice text;
	const struct tn_sql_call *call;
	enum tn_serving_format format;
	struct tn_serving_answer *answer;        /* status and diag: failure. */
	void (*done)(void *arg, struct tn_serving_answer *a);
	void *arg;
};
/* Arguments by name; false or NULL: not given (needed ones always are). */
bool tn_app_proc_int(const struct tn_app_proc *p, const char *name,
    int64_t *v);
bool tn_app_proc_bool(const struct tn_app_proc *p, const char *name);
const char *tn_app_proc_text(const struct tn_app_proc *p, const char *name);
/* Result rows: take the builder's into the answer, free it. */
void tn_app_proc_rows(struct tn_app_proc *p, struct tn_builder *b);
/* A failure as the answer; then end. hint may be NULL. */
void tn_app_proc_fail(struct tn_app_proc *p, enum tn_status st,
    const char *code, const char *hint, const char *fmt, ...)
    TN_PRINTF(5, 6);
void tn_app_proc_end(struct tn_app_proc *p);
/* Hand a job to batch and end with its report as one row: run, lsn, rows,
 * files, detail. ${r}'s done and arg are set here. */
void tn_app_proc_batch(struct tn_app_proc *p, struct tn_batch_request *r);

/* ---- backup.c -------------------------------------------------------- */

/* CALL backup(path), on a thread of its own. */
void tn_app_backup_call(struct tn_app_proc *p);
/* The program stops: end what is under way. Any thread. */
void tn_app_backup_cancel(struct app *a);
void tn_app_backup_close(struct app *a);

/* ---- copy.c ---------------------------------------------------------- */

/* A COPY instead of a CALL: the job of a tn_app_proc. Thread: calls. */
void tn_app_copy(struct tn_net_job *job);

/* ---- erase.c --------------------------------------------------------- */

/* A DELETE instead of a CALL: the job of a tn_app_proc. Thread: calls. */
void tn_app_erase(struct tn_net_job *job);

/* ---- wiring ---------------------------------------------------------- */

/* After batch stands; closed before it goes. */
void tn_app_calls_open(struct app *a);
void tn_app_calls_close(struct app *a);
/* For struct tn_http_calls. Loop thread. */
void tn_app_call_run(void *app, const struct tn_serving_sql_request *q,
    void (*done)(void *arg, struct tn_serving_answer *a), void *arg);

#endif
