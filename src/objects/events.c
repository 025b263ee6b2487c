/* events: telling the stream `objects` what happened. An event is written to
 * the index in the commit that it tells of, given to ingest on the loop, and
 * forgotten in the index some time after ingest has synced it. What a crash
 * leaves in between is told again at the next start: its id is the primary
 * key, so it makes no second row.
 *
 *   keeper: commit with event --> loop: given --told--> answer
 *                                   |  ^                 `--> tick: forgotten
 *                          refused: `--' again soon, in order
 *
 * What can go wrong: ingest is full (again soon, the answer waits); the disk
 * is full or the log refuses (the answer says so, the event stays and is tried
 * again); the row goes to quarantine (a `CREATE TABLE objects` with stricter
 * checks: it is there, and counts as told). */
#include "objects/objects_int.h"

#include <string.h>

static void
unlink_untold(struct tn_objects *o, struct untold *u)
{
	struct untold **at = &o->untold;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	if (o->untold_end == &u->next)
		o->untold_end = at;
	o->untold_count--;
}

static void
untold_free(struct untold *u)
{
	tn_free(u->row);
	tn_free(u->source);
	tn_free(u);
}

static void
remember(struct tn_objects *o, uint64_t seq)
{
	if (o->told_count == o->told_cap) {
		o->told_cap = o->told_cap == 0 ? 64 : o->told_cap * 2;
		o->told = tn_realloc(o->told, o->told_cap *
		    sizeof *o->told);
	}
	o->told[o->told_count++] = seq;
}

/* The answer goes out; the event stays behind when it was not told. */
static void
answer(struct untold *u, enum tn_status st, const struct tn_diag *d,
    uint64_t lsn)
{
	struct op *op = u->op;

	u->op = NULL;
	if (op == NULL)
		return;
	op->untold = NULL;
	op->r.lsn = lsn;
	op->r.status = st;
	if (st != TN_OK && d != NULL)
		op->r.diag = *d;
	if (st != TN_OK)
		tn_diag_hint(&op->r.diag, "the object itself is stored; its "
		    "event follows as soon as the log takes it");
	tn_objects_finish(op);
}

static void
told(void *arg, const struct tn_objects_told *t)
{
	struct untold *u = arg;
	struct tn_objects *o = u->o;

	u->away = false;
	if (t->status != TN_OK) {
		answer(u, t->status, t->diag, 0);
		return;
	}
	tn_os_crash_point("object_event_told");
	remember(o, u->seq);
	answer(u, TN_OK, NULL, t->lsn);
	unlink_untold(o, u);
	untold_free(u);
}

static void
give(struct untold *u)
{
	struct tn_objects *o = u->o;
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	u->away = true;
	st = o->opt.event(o->opt.arg, (struct tn_slice){
	    (const uint8_t *)u->row, u->row_bytes }, u->source, told, u, &d);
	if (st == TN_OK)
		return;
	u->away = false;
	if (st != TN_EFULL)
		answer(u, st, &d, 0);
}

void
tn_objects_tell(struct tn_objects *o, struct untold *u)
{
	tn_assert(tn_net_on_loop());
	u->next = NULL;
	*o->untold_end = u;
	o->untold_end = &u->next;
	o->untold_count++;
	give(u);
}

void
tn_objects_tell_late(struct tn_objects *o)
{
	struct untold *u = o->untold, *next;

	/* give() calls nobody back at once, but may answer one. */
	for (; u != NULL; u = next) {
		next = u->next;
		if (!u->away)
			give(u);
	}
}

static bool
load(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct tn_objects *o = arg;
	struct untold *u = tn_zalloc(sizeof *u);

	u->o = o;
	for (size_t i = 1; i < key.n; i++)
		u->seq = u->seq << 8 | key.p[i];
	u->row = tn_strndup((const char *)value.p, value.n);
	u->row_bytes = value.n;
	u->source = tn_strdup("objects");
	*o->untold_end = u;
	o->untold_end = &u->next;
	o->untold_count++;
	if (u->seq >= o->next_seq)
		o->next_seq = u->seq + 1;
	return true;
}

/* At start; the timer tells them. */
enum tn_status
tn_objects_load_untold(struct tn_objects *o)
{
	return tn_log_table_each(o->table, tn_slice_of("e"), load, o);
}

void
tn_objects_untold_end(struct tn_objects *o)
{
	static const struct tn_diag d = { .code = "stopping",
	    .message = "the program is stopping" };

	while (o->untold != NULL) {
		struct untold *u = o->untold;
		o->untold = u->next;
		answer(u, TN_ECLOSED, &d, 0);
		untold_free(u);
	}
	o->untold_end = &o->untold;
	o->untold_count = 0;
	tn_free(o->told);
	o->told = NULL;
}
