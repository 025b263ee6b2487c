/* speed: follows the log's tail and keeps the folds current. One actor owns
 * every tail fold and the newest versions of the reference tables. Nothing of
 * it is ever written: at start it is rebuilt from the log.
 *
 * A tail has two generations at most: sealed (a cut is being published) and
 * open. seal() closes the open one at the last LSN folded; published() drops
 * the sealed one and takes the new snapshot as base; unseal() joins them again
 * when the cut failed. */
#ifndef TN_SPEED_SPEED_H
#define TN_SPEED_SPEED_H

#include "base/base.h"
#include "serving/serving.h"

struct tn_speed;
struct tn_speed_opts {
	const struct tn_serving_model *model;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving *serving;     /* Told of every advance. */
	/* Called on the speed thread with rows since the last cut. */
	void (*grown)(void *arg, uint64_t rows_since_cut);
	void *arg;
};
struct tn_speed *tn_speed_new(const struct tn_speed_opts *o);
/* Wait until all that was pushed so far is folded. Not on the loop. */
void tn_speed_flush(struct tn_speed *s);
/* End the actor after what is queued. Before the loop settles; then free. */
void tn_speed_stop(struct tn_speed *s);
void tn_speed_free(struct tn_speed *s);
/* Serving may be set after new (they refer to each other). Before replay. */
void tn_speed_attach(struct tn_speed *s, struct tn_serving *serving);
/* Load reference tables from silver and fold the log after the newest cut.
 * each() is called for every decoded block. On the calling thread, before
 * any push. */
TN_MUST_USE enum tn_status tn_speed_replay(struct tn_speed *s,
    void (*each)(void *arg, struct tn_governance_rows *rows), void *arg,
    struct tn_diag *d);
/* Committed rows, in LSN order. Takes a reference. Thread: log writer. */
void tn_speed_push(struct tn_speed *s, struct tn_governance_rows *rows);
size_t tn_speed_backlog(const struct tn_speed *s);     /* Any thread. */
/* See tn_serving_speed. Any thread. */
void tn_speed_ask(void *speed, struct tn_serving_ask *ask);
/* Seal and wait: *lsn is the new cut, refs are frozen at it. Not on the loop
 * or the speed thread. */
void tn_speed_seal(struct tn_speed *s, uint64_t *lsn,
    struct tn_serving_refs *refs);
/* What a seal would say now, without one: *lsn is folded, refs are frozen at it.
 * The same threads. */
void tn_speed_mark(struct tn_speed *s, uint64_t *lsn,
    struct tn_serving_refs *refs);
void tn_speed_unseal(struct tn_speed *s);
/* The newest catalog snapshot is the new base; waits until it is. */
void tn_speed_published(struct tn_speed *s);
uint64_t tn_speed_rows(const struct tn_speed *s);      /* Since the cut. */
/* Views that come and go (see tn_serving_change), as batch asks for them:
 * rows after *lsn are folded into the built ones, refs are frozen at it; after
 * the publication they take over, with the rows in their tails; or not. Each
 * waits; not on the loop or the speed thread. */
void tn_speed_adopt(struct tn_speed *s, struct tn_serving_change *c,
    uint64_t *lsn, struct tn_serving_refs *refs);
void tn_speed_swap(struct tn_speed *s, struct tn_serving_change *c);
void tn_speed_abandon(struct tn_speed *s, struct tn_serving_change *c);

#endif
