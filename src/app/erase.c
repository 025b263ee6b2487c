/* DELETE FROM stream WHERE ...: parsed here, done by batch (batch/erase.c),
 * answered as a CALL is: run, lsn, rows, files, detail. */
#include "app/call_int.h"

void
tn_app_erase(struct tn_net_job *job)
{
	struct tn_app_proc *p = (struct tn_app_proc *)job;
	const struct tn_sql_delete *del = NULL;
	struct tn_batch_erase *e = tn_arena_zalloc(p->arena, sizeof *e);
	struct tn_batch_request r = { .kind = TN_BATCH_ERASE,
	    .reason = "request", .erase = e };

	p->answer->status = tn_sql_delete_parse(
	    tn_serving_pipeline(p->a->model), p->text, p->arena, &del,
	    &p->answer->diag);
	if (p->answer->status != TN_OK) {
		tn_app_proc_end(p);
		return;
	}
	/* Until the answer: the arena goes with the call. */
	e->where = del->where;
	e->used = del->used;
	e->by_arrival = del->by_arrival;
	e->now_us = tn_os_wall_us();
	r.view = del->table->name;
	tn_app_proc_batch(p, &r);
}
