/* Shared inside speed: the tails, the reference tables, and the actor's
 * messages. Everything but the counters belongs to the actor once the first
 * push was made. */
#ifndef TN_SPEED_INT_H
#define TN_SPEED_INT_H

#include "speed/speed.h"

/* One view's states above the base: sealed first, then open. */
struct tail {
	struct tn_exec_fold *sealed;    /* NULL unless a cut is under way. */
	struct tn_exec_fold *open;
	struct tn_exec_fold *changed;   /* For live subscribers; see ask.c. */
	bool watched;
	uint32_t unasked;               /* Seals since the last question. */
	struct tn_budget_share held;    /* Of all three. */
	size_t cut_bytes;               /* What a cut folds again. */
	/* Its definition is gone: what is left of it is for requests that had
	 * found it, until the next publication. */
	const struct tn_catalog_snapshot *was;
	uint64_t was_last;
};

struct tn_speed {
	struct tn_speed_opts o;
	struct tn_net_lock *lock;       /* Of the next two, against stop. */
	bool stopped;
	struct tn_net_actor *actor;
	struct tail *tails;             /* One a view. */
	struct tn_exec_ref **refs;      /* One a reference table. */
	struct tn_budget_share *refs_held;
	const char **ref_names;
	uint32_t *ref_streams;          /* Index of its stream in the model. */
	uint32_t ref_count;
	const struct tn_catalog_snapshot *base;
	uint64_t last;                  /* Newest LSN folded. */
	uint64_t rows_sealed;
	uint64_t rows_open;
	size_t backlog;                 /* Atomic: bytes pushed, not folded. */
	uint64_t rows;                  /* Atomic copy, for metrics. */
	struct tn_counter **errors;     /* Row errors, one a view. */
	struct tn_budget_share reserve; /* For the cut to come. */
};

/* A message that somebody waits for. */
struct order {
	struct tn_net_job job;
	struct tn_speed *speed;
	struct tn_net_latch *done;
	uint64_t lsn;
	struct tn_serving_refs *refs;
	struct tn_serving_change *change;
};
void tn_speed_order(struct tn_speed *s, struct order *o,
    void (*run)(struct tn_net_job *job));
/* An empty fold for a view; all of a tail away. */
void tn_speed_open(struct tn_speed *s, uint32_t view);
void tn_speed_drop(struct tail *t);
/* Whether rows that come are folded into it. */
bool tn_speed_follows(const struct tail *t);
/* The newest snapshot is the base: what was sealed is in it. */
void tn_speed_rebase(struct tn_speed *s);
/* Fold one block into every view of its stream, or into its reference
 * table. */
void tn_speed_fold(struct tn_speed *s, struct tn_governance_rows *rows);
/* Reference tables from silver. */
TN_MUST_USE enum tn_status tn_speed_load_refs(struct tn_speed *s,
    struct tn_diag *d);
/* Tell the budget what the tails and reference tables hold now. */
void tn_speed_count_all(struct tn_speed *s);
void tn_speed_count_refs(struct tn_speed *s);
void tn_speed_freeze(struct tn_speed *s, struct tn_serving_refs *out);

#endif
