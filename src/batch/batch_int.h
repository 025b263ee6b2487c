/* Shared inside batch: the actor, and a publication under construction. */
#ifndef TN_BATCH_INT_H
#define TN_BATCH_INT_H

#include "batch/batch.h"
#include "os/os.h"

/* See hold.c: nothing goes for ${wait} when the clock leapt. */
struct hold {
	const char *key;             /* Of the catalog. */
	const char *what;            /* What then does not happen. */
	int64_t wait;
	int64_t step;                /* A leap that is believed; */
	int64_t most;                /* and by the next look. */
	struct tn_os_leap seen;
	int64_t until;               /* Wall; 0: it is not held. */
};

struct job;
/* What expired, and of whose files, in how many passes. */
struct tn_batch_collected {
	int64_t began_us;                /* Wall clock. */
	uint32_t snapshots, files;
	uint64_t bytes;
	uint32_t left;                   /* Files that could not be removed, */
	enum tn_status st;               /* why; of the last pass. */
};

struct tn_batch_jobs {
	struct tn_batch_opts o;
	struct tn_net_actor *actor;
	uint32_t waiting;            /* Atomic: jobs posted, not begun. */
	uint32_t cut_waiting;        /* Atomic: a timed cut is among them. */
	uint32_t cut_asked;          /* Atomic: EARLY, TIMED since the last. */
	uint32_t stopping;           /* Atomic. */
	int64_t calm_us;             /* Atomic: no cut for rows before then. */
	/* What writing gold took at most beside the tail's states: kept free
	 * for the next cut. And the same of this one. */
	struct tn_budget_share gold;
	size_t gold_next;
	struct tn_budget_share standing; /* Rows and row groups of a cut. */
	struct tn_batch_compaction *compaction;
	/* A step of it that is queued; and whether steps are. */
	struct tn_batch_tick {
		struct tn_net_job job;
		struct tn_batch_jobs *b;
		uint32_t waiting;        /* Atomic. */
	} tick;
	uint32_t ticking;                /* Atomic. */
	struct tn_batch_tables *tables;  /* NULL until they are opened. */
	struct tn_batch_work work;       /* Atomic members. */
	uint64_t cancel;                 /* Atomic: that run is to end. */
	struct tn_batch_preparing *preparing;    /* NULL: none. */
	/* Of the batch thread. One recompute is under way at a time, as there
	 * is one to pause; others stand in line. Whether a step of it runs:
	 * other jobs are not canceled with it. */
	struct job *doing, *line;
	bool stepping;
	struct tn_net_lock *lock;        /* Of what follows. */
	uint64_t pause;                  /* That run is to wait. */
	struct tn_net_job *parked;       /* It waits. */
	struct tn_net_job *resting;      /* A step, for the next tick. */
	struct tn_histogram *seconds;
	struct tn_counter *last_success;
	/* Old files that could not be removed: how many come first in the
	 * catalog's order, and the failure that was said. */
	uint32_t collect_skip;
	struct tn_batch_collected collected;     /* In no run yet. */
	int64_t collected_us;            /* Monotonic: the last such run; 0. */
	enum tn_status collect_said;
	struct tn_counter *left;
	struct tn_counter *skipped;      /* See compact.c. */
	uint64_t collect_stuck;          /* A cold file: the last that failed. */
	int64_t collect_calm_us;         /* Monotonic: of cold files. */
	int64_t let_us, rest_us;         /* Monotonic: see tn_batch_let_cut. */
	bool follows;                    /* This cut may; see cut.c. */
	uint8_t *said_unknown;       /* A byte a view; see gold.c. */
	/* See retire.c. */
	int64_t *floors;             /* One a stream. */
	struct tn_counter *waits;    /* Bytes; see look.c. */
	int64_t cost_us;             /* Monotonic: next note; see cost.c. */
	int32_t cost_day;
	struct hold snapshots, retention, keys;
	bool erasing;                /* Compaction waits; see erase.c. */
	bool unforgotten;            /* Erased rows, by what tells of them. */
	uint64_t erasures;           /* Atomic: published. */
	struct tn_batch_tuned tuned; /* Atomic members; see tune.c. */
	uint32_t untaken;            /* Atomic: they are new. */
};

struct tn_batch_before;
struct tn_batch_compaction;

/* Rows that were folded into states of a view, and how long that took; not
 * known: UINT64_MAX, -1. */
struct tn_batch_spent {
	uint64_t rows;
	int64_t us;
};
/* Files to add and drop, gathered by one job. Zero-initialise. */
struct change {
	struct tn_batch_jobs *b;
	char label[48];              /* Name of every file of this job. */
	uint64_t run;
	bool run_to;                 /* It came farther than it said. */
	struct tn_catalog_file *add;
	uint32_t add_count, add_cap;
	uint64_t *drop;
	uint32_t drop_count, drop_cap;
	uint64_t rows;
	bool same_rows;              /* In other files: no row is new or gone. */
	bool replaces;               /* New bronze files have the LSNs of old. */
	bool cold;                   /* Its files are in the cold folder. */
	/* It brings numbers of its view back, from this bucket on. */
	bool lower;
	int64_t floor;
	/* For answers that states do not hold: silver before this change, and
	 * reference tables; borrowed. */
	const struct tn_catalog_snapshot *silver;
	struct tn_exec_refs refs;
	/* Published numbers that it changes; see corrections.c. */
	struct tn_batch_before *before;  /* Of a view made anew; borrowed. */
	struct tn_catalog_correction *corrections;
	uint32_t correction_count;
	uint64_t changed;            /* Rows; also beyond corrections_max. */
	struct tn_arena *texts;
	/* What it makes of each view, and what the states of the next one that
	 * gold is written of took; see spent.c. */
	struct tn_catalog_run_view *views;
	uint32_t view_count, view_cap;
	struct tn_batch_spent spent;
	/* Values of the catalog that change with it; borrowed. */
	const struct tn_catalog_value *values;
	uint32_t value_count;
	struct tn_serving_change *swap;  /* Definitions, too; borrowed. */
	/* The first files were prepared for this object; undo leaves them. */
	uint32_t adopted, adopted_count;
	/* New bronze files, in the order they were written; see chain.c. */
	struct tn_batch_chained {
		uint32_t stream;
		bool merged;
		uint64_t last;       /* LSN; of a merged one. */
		char path[200], sha[65];
	} *chained;
	uint32_t chained_count;
};
void tn_batch_change_begin(struct change *c, struct tn_batch_jobs *b,
    uint64_t lsn, uint64_t run);
void tn_batch_change_add(struct change *c, enum tn_catalog_tier tier,
    uint32_t object, uint32_t version, const struct tn_lake_file *f,
    uint64_t lsn_min, uint64_t lsn_max);
void tn_batch_change_drop(struct change *c, uint64_t file);
/* Sync folders, commit, tell speed. On failure the new files are removed; but
 * not after TN_ECLOSED, when the catalog does not know whether it holds. */
TN_MUST_USE enum tn_status tn_batch_change_publish(struct change *c,
    uint64_t lsn, const struct tn_catalog_offset *offsets, uint32_t count,
    const char *detail);
/* tn_exec_fold_apply, measured. */
void tn_batch_fold_rows(struct tn_exec_fold *f, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, struct tn_batch_spent *s);
/* Around what is made of a view: begin gives what it was before. */
struct tn_catalog_run_view tn_batch_view_begin(const struct change *c,
    const struct tn_serving_view *v, uint32_t groups);
void tn_batch_view_end(struct change *c, struct tn_catalog_run_view *x);
/* Give up: remove the files written. */
void tn_batch_change_undo(struct change *c);
void tn_batch_change_fini(struct change *c);

/* Jobs; each fills the report. */
void tn_batch_cut(struct tn_batch_jobs *b, const char *reason,
    struct tn_batch_report *r);
/* In steps of some ten milliseconds: true: there is more to do. All is
 * borrowed until free. */
struct tn_batch_recompute *tn_batch_recompute_new(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, const char *reason, const char *view,
    struct tn_batch_report *r);
bool tn_batch_recompute_step(struct tn_batch_recompute *x);
void tn_batch_recompute_free(struct tn_batch_recompute *x);
/* PREPARE, in steps like it. *rest: what may be read now is read: the next step
 * is for the next tick. */
struct tn_batch_preparing *tn_batch_preparing_new(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, const char *reason,
    struct tn_batch_report *r);
bool tn_batch_preparing_step(struct tn_batch_preparing *x, bool *rest);
void tn_batch_preparing_free(struct tn_batch_preparing *x);
/* Rows of that stream are to be erased: nothing that is prepared has them, in
 * files or in memory; what is under way begins anew. */
TN_MUST_USE enum tn_status tn_batch_preparing_renew(struct tn_batch_jobs *b,
    uint32_t object);
/* The step is kept for the next tick; false: it is to be posted. */
bool tn_batch_preparing_rests(struct tn_batch_jobs *b,
    struct tn_net_job *step);
/* The step that rests goes on; at a tick, and when the program stops. */
void tn_batch_preparing_wake(struct tn_batch_jobs *b);
/* DELETE; and what is left to do of one that a crash met: at a start, when no
 * reader is there, and when the tables for other engines stand. */
void tn_batch_erase(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, struct tn_batch_report *r);
TN_MUST_USE enum tn_status tn_batch_erase_resume(struct tn_batch_jobs *b);
TN_MUST_USE enum tn_status tn_batch_erase_finish(struct tn_batch_jobs *b);
/* Both, where they failed before: cuts, rollbacks and erasures ask for it. What
 * fails is said, and stays for the next. */
enum tn_status tn_batch_erase_settle(struct tn_batch_jobs *b);
/* A cut inside of another job, and what follows from it but retention. */
void tn_batch_take_cut(struct tn_batch_jobs *b, const char *reason,
    struct tn_batch_report *r);
/* Gold of ${v} in ${c}: groups whose rows lie in [from_us, to_us] made anew
 * from silver of ${base}, which is not published yet, the others carried over
 * from the snapshot c->silver. *left: it stays as it is, as retention has taken
 * rows that it counts. */
struct tn_batch_anew {
	const struct tn_serving_view *view;
	const struct tn_catalog_snapshot *base;
	int64_t from_us, to_us;
	uint64_t rows;               /* Set: folded. */
	bool left;                   /* Set. */
};
TN_MUST_USE enum tn_status tn_batch_recompute_into(struct change *c,
    struct tn_batch_anew *n, struct tn_batch_report *r);
/* New definitions: their gold, the swap. */
void tn_batch_apply(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, struct tn_batch_report *r);
/* What is noted of a view that was computed. */
void tn_batch_computed_text(const struct tn_serving_view *v,
    char key[static 40], char value[static 32]);
/* Rows of a batch of silver after an LSN: marks of those that are not (1:
 * leave out), and how many are. Free marks. */
struct tn_batch_marks {
	uint8_t *marks;
	uint32_t cap;
};
uint32_t tn_batch_mark_after(struct tn_batch_marks *m,
    const struct tn_batch *b, uint64_t after);
/* What the long job under way is and how far, for tn_batch_progress; and what
 * pause and cancel mean. */
void tn_batch_work_begin(struct tn_batch_jobs *b, uint64_t run,
    uint64_t total);
void tn_batch_work_at(struct tn_batch_jobs *b, uint64_t done);
void tn_batch_work_end(struct tn_batch_jobs *b);
/* A step of a job in steps: at least some ten milliseconds, and as long as it
 * stood in line since the last (left_us, monotonic; 0: it is the first), at
 * most 2 s, or where a cut is always due it would never end. */
int64_t tn_batch_step_until(int64_t left_us);
/* Its time is over, or nobody wants it any more. */
bool tn_batch_step_over(const struct tn_batch_jobs *b, int64_t until_us);
/* True: the run under way is to wait, the step was taken until unpark. */
bool tn_batch_park(struct tn_batch_jobs *b, struct tn_net_job *step);
void tn_batch_unpark(struct tn_batch_jobs *b);
/* Asked by a long job that does not work in steps, now and then: a cut whose
 * time has come, or for rows or memory, is taken in between. */
void tn_batch_let_cut(struct tn_batch_jobs *b);
void tn_batch_verify(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, const char *view,
    struct tn_batch_report *r);
/* TN_ECLOSED with ${d} when the program stops: long jobs look now and then. */
TN_MUST_USE enum tn_status tn_batch_stopping(const struct tn_batch_jobs *b,
    struct tn_diag *d);
/* Merge young files, after a cut: all that is due, or, where there are ticks,
 * only what is overdue. */
void tn_batch_compact(struct tn_batch_jobs *b);
void tn_batch_compact_now(struct tn_batch_jobs *b,
    struct tn_batch_report *r);
/* Bytes that may be read until now, in ${p}; of ${rate} a second, a quarter of it
 * while many events come in. */
struct tn_batch_pace {
	int64_t ticked_us;
	uint64_t log_bytes;
	int64_t allowance;
};
void tn_batch_pace_refill(struct tn_batch_pace *p,
    const struct tn_batch_jobs *b, uint64_t rate);
void tn_batch_compaction_new(struct tn_batch_jobs *b);
/* Before the batch thread ends: the one that merges ends. */
void tn_batch_turns_end(struct tn_batch_jobs *b);
/* A round under way is given up. */
void tn_batch_compaction_stop(struct tn_batch_jobs *b, const char *why);
/* What is merged is in vain (or, false, is so no more, unless the program
 * stops): a step under way fails with TN_ECLOSED at its next look. Any thread
 * sets it, the batch thread takes it back. */
void tn_batch_give_up(struct tn_batch_jobs *b, bool up);
/* A round under way is given up. After the actor has ended. */
void tn_batch_compaction_free(struct tn_batch_jobs *b);
/* Which files of a partition are to become one; see tiers.c. */
struct tn_batch_tiers {
	uint64_t full_bytes;
	uint32_t young_max;
	bool settle;                 /* All young ones, however few. */
};
struct tn_batch_tiers tn_batch_tiers_of(const struct tn_batch_jobs *b);
/* ${n} files of a partition in the order of a snapshot: neighbours from
 * ${from} on; false: none. */
bool tn_batch_pick(const struct tn_batch_tiers *t,
    const struct tn_catalog_file *files, uint32_t n, uint32_t *from,
    uint32_t *count);
uint32_t tn_batch_young(const struct tn_batch_tiers *t,
    const struct tn_catalog_file *files, uint32_t n);
/* A fraction of the memory budget; SIZE_MAX without one. How the jobs' own
 * bounds come down with a small memory_max. */
size_t tn_batch_part(uint32_t parts);
/* Most bytes of values in a row group of a lake file. */
size_t tn_batch_group_bytes(void);
/* Writing gold took ${bytes} beside the tail's states. */
void tn_batch_gold_took(struct tn_batch_jobs *b, size_t bytes);
/* Drop what tables keep no longer; after a cut. */
void tn_batch_retire(struct tn_batch_jobs *b);
void tn_batch_cost(struct tn_batch_jobs *b);
void tn_batch_floors_load(struct tn_batch_jobs *b);
/* Silver rows of a stream whose time is before it may be gone by retention;
 * INT64_MIN: none are. */
int64_t tn_batch_floor(const struct tn_batch_jobs *b, uint32_t stream);
/* The groups of a view of which rows may be gone, as a bound whose max is
 * inclusive (in ${a}); max NULL: none. TN_EUNSUPPORTED: any group may be. */
TN_MUST_USE enum tn_status tn_batch_kept(const struct tn_batch_jobs *b,
    const struct tn_serving_view *v, struct tn_arena *a,
    struct tn_exec_bound *kept, struct tn_diag *d);
/* The groups that a view begins with which has no numbers yet, as a bound whose
 * min is inclusive (in ${a}): those before had all of their rows removed, late
 * ones would be another number. The bucket that the floor is in has what is
 * left, which without it the next cut would make of even less. min NULL: all.
 * False: so it is, and whose rows are gone cannot be told, which is said. */
bool tn_batch_left(const struct tn_batch_jobs *b,
    const struct tn_serving_view *v, struct tn_arena *a,
    struct tn_exec_bound *left);
/* What is noted of the floor of a view's numbers. */
void tn_batch_gold_floor_text(const struct tn_serving_view *v, int64_t us,
    char key[static 40], char value[static 40]);
/* Whether the view keeps numbers of that gold partition no longer. */
bool tn_batch_is_retired(const struct change *c,
    const struct tn_serving_view *v, const char *label);
/* All of the view is made anew, but for what ${kept} says: where its floor can
 * be lower the change says so (values in ${a}); and when it is published. */
void tn_batch_lower_floor(struct change *c, const struct tn_serving_view *v,
    const struct tn_exec_bound *kept, struct tn_arena *a);
void tn_batch_lowered(const struct change *c,
    const struct tn_serving_view *v);
/* The first day of a gold partition and of the next one, since 1970; false:
 * it is of no time. */
bool tn_batch_label_days(const char *label, bool by_month, int64_t *from,
    int64_t *to);
/* A bucket of one row as microseconds, as in the times of gold files. */
int64_t tn_batch_bucket_us(const struct tn_column *bucket);
/* CALL expire_snapshots. */
void tn_batch_expire(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, struct tn_batch_report *r);
/* CALL rollback of the view or stream ${name}. */
void tn_batch_rollback(struct tn_batch_jobs *b,
    const struct tn_batch_request *q, const char *name,
    struct tn_batch_report *r);
/* At start, when gold of all views is made: write down since when it is whole
 * (see TN_SERVING_WHOLE). */
TN_MUST_USE enum tn_status tn_batch_whole(struct tn_batch_jobs *b);
/* Tables for other engines: brought up to date with the catalog, from then on
 * after every publication, and when snapshots were expired on request. */
TN_MUST_USE enum tn_status tn_batch_tables_open(struct tn_batch_jobs *b);
void tn_batch_tables_follow(struct tn_batch_jobs *b, bool same_rows);
void tn_batch_tables_expired(struct tn_batch_jobs *b);
/* Those of a stream and its views begin anew; see tn_lake_table_renew. */
void tn_batch_tables_renew(struct tn_batch_jobs *b, uint32_t stream);
/* Those of views that came, changed or went. */
void tn_batch_tables_change(struct tn_batch_jobs *b,
    const struct tn_serving_change *c);
void tn_batch_tables_free(struct tn_batch_jobs *b);
/* garbage_us is another. */
void tn_batch_tables_keep(struct tn_batch_jobs *b);
/* Settings that were left for batch are in force. Batch thread. */
void tn_batch_tune_take(struct tn_batch_jobs *b);
/* Snapshots that were followed before this time may go; INT64_MIN: none, the
 * clock leapt. Batch thread. */
void tn_batch_hold_load(struct tn_batch_jobs *b);
int64_t tn_batch_expiry(struct tn_batch_jobs *b);
/* Whether retention waits, since the clock leapt. */
bool tn_batch_retention_held(struct tn_batch_jobs *b);
/* Whether keys outlast their dedupe window, for the same reason. */
bool tn_batch_keys_held(struct tn_batch_jobs *b);
/* Unlink what nobody can see any more. */
void tn_batch_collect(struct tn_batch_jobs *b,
    struct tn_batch_collected *sum);
void tn_batch_collected_text(const struct tn_batch_collected *x,
    char out[static 200]);
/* The same after a cut, in a run from time to time. */
void tn_batch_collect_old(struct tn_batch_jobs *b);

/* States of one view split into partitions, merged with gold of ${base} if
 * not NULL, written and put into the change. Frees ${delta}. */
TN_MUST_USE enum tn_status tn_batch_gold(struct change *c,
    const struct tn_serving_view *v, struct tn_exec_fold *delta,
    const struct tn_catalog_snapshot *base, uint64_t lsn,
    struct tn_diag *d);
/* Rows of a view as published before, where a change of them would be a
 * correction; NULL: none. For a cut at ${cut_us} and a later one: groups of
 * ${delta} whose bucket had ended, from the old states of their partition. */
struct tn_batch_before *tn_batch_before_cut(const struct tn_serving_view *v,
    const struct tn_exec_fold *old, const struct tn_exec_fold *delta,
    int64_t cut_us);
/* For a recompute: all rows of the view's gold files but those that stay
 * (NULL: none does). */
struct tn_batch_stays {
	bool (*file)(const void *arg, const struct tn_catalog_file *f);
	const void *arg;
};
struct tn_batch_before *tn_batch_before_files(struct tn_lake *lake,
    const struct tn_serving_view *v, const struct tn_catalog_snapshot *base,
    const struct tn_batch_stays *stays);
void tn_batch_before_free(struct tn_batch_before *x);
/* Look the rows of a new gold file (as saved) up and note what changed. */
void tn_batch_compare(struct change *c, struct tn_batch_before *x,
    const struct tn_batch *after);
/* After the last file of a recompute: rows that are gone. */
void tn_batch_compare_rest(struct change *c, struct tn_batch_before *x);
/* Equal but for what another order of adding doubles may do. */
bool tn_batch_same_value(const struct tn_column *a, uint32_t i,
    const struct tn_column *b, uint32_t k);
/* Column of silver that orders its files: event time or received time. */
int tn_batch_time_column(const struct tn_governance_stream *s);
TN_MUST_USE enum tn_status tn_batch_run_begin(struct tn_batch_jobs *b,
    const char *kind, const char *reason, const char *object,
    uint64_t lsn_from, uint64_t lsn_to, uint64_t *run);


/* ---- the chain of bronze; see chain.c ---------------------------------- */

struct tn_batch_hash {
	char sha[65];                /* SHA-256, hex. */
	uint32_t crc;
	uint64_t bytes;
};
/* Once *left is true (NULL: never) it ends with TN_ECLOSED. */
TN_MUST_USE enum tn_status tn_batch_chain_hash(struct tn_lake *lake,
    const char *path, const _Atomic bool *left, struct tn_batch_hash *out);
/* Files that follow one another: prev is what the first one names ("": it is
 * the first of all, "?": it is of before the chain), ends what may be named by
 * the file behind the last one. */
struct tn_batch_stretch {
	unsigned long long first, last;      /* LSNs. */
	const char *prev, *ends;
	void *user;
};
bool tn_batch_chain_follows(const struct tn_batch_stretch *a,
    const struct tn_batch_stretch *b);
void tn_batch_chain_sort(struct tn_batch_stretch *all, uint32_t count);
/* What the footer of a file says, in ${a}; without its own hash ... */
struct tn_batch_links {
	bool merged;
	struct tn_batch_stretch *all;        /* At least one. */
	uint32_t count;
	const char *seals;
};
TN_MUST_USE enum tn_status tn_batch_chain_read(struct tn_lake *lake,
    const struct tn_catalog_file *f, struct tn_arena *a,
    struct tn_batch_links *out, struct tn_diag *d);
/* ... by which the file behind it may name it, too. */
void tn_batch_chain_end(struct tn_batch_links *l, const char *sha,
    struct tn_arena *a);
/* The next one of a footer's seals; false: none is left. */
struct tn_batch_seal {
	const char *path, *sha, *by;
};
bool tn_batch_chain_seal(const char **text, struct tn_arena *a,
    struct tn_batch_seal *out);
/* What the catalog knows of a stream's chain, in ${a}; tip.path NULL: none. */
struct tn_batch_known {
	struct tn_batch_seal tip;
	struct tn_batch_seal *seals;
	uint32_t seal_count;
	struct tn_batch_gone {
		unsigned long long first, last;
	} *gone;
	uint32_t gone_count;
};
TN_MUST_USE enum tn_status tn_batch_chain_known(struct tn_batch_jobs *b,
    uint32_t stream, struct tn_arena *a, struct tn_batch_known *out);
/* For tn_parquet_write_opts.each: bytes into a struct tn_governance_digest. */
void tn_batch_chain_add(void *arg, const void *p, size_t n);
/* tn_lake_finish for a bronze file of new rows. Ends ${sum}, which was told all
 * that was written to it. */
TN_MUST_USE enum tn_status tn_batch_chain_finish(struct change *c,
    uint32_t stream, struct tn_lake_writer *w,
    struct tn_governance_digest *sum, struct tn_lake_file *f);
/* For files that take the place of others: take each of those, in order, then
 * finish each new one, which has what LSNs are left up to ${upto}. */
struct tn_batch_chain;
struct tn_batch_chain *tn_batch_chain_new(struct tn_batch_jobs *b,
    uint32_t stream, const _Atomic bool *left);
TN_MUST_USE enum tn_status tn_batch_chain_take(struct tn_batch_chain *x,
    const struct tn_catalog_file *f, struct tn_diag *d);
TN_MUST_USE enum tn_status tn_batch_chain_merged(struct tn_batch_chain *x,
    struct change *c, struct tn_lake_writer *w, uint64_t upto,
    struct tn_lake_file *f);
void tn_batch_chain_free(struct tn_batch_chain *x);
/* The catalog's values as they are after a change. */
TN_MUST_USE enum tn_status tn_batch_chain_values(const struct change *c,
    struct tn_arena *a, struct tn_catalog_value **out, uint32_t *count);

/* ---- what verify checks of files; see check.c --------------------------- */

struct tn_batch_check {
	struct tn_batch_jobs *b;
	const struct tn_catalog_snapshot *base;
	double share;                /* Of all there is; 1: everything. */
	uint64_t seed;
	void (*differ)(void *arg, const char *line);
	void *arg;
	struct tn_buf *text;
};
void tn_batch_check_files(const struct tn_batch_check *x);
/* Whether it belongs to the share. */
bool tn_batch_sampled(const struct tn_batch_check *x, const char *what);

/* Time buckets of a view, counted and said; see buckets.c. Free all. */
struct tn_batch_buckets {
	const char *view;
	int column;                  /* The bucket; -1: none is kept. */
	bool folded;
	uint32_t lines_max;
	struct bucket *all;          /* The first ${sorted} in order of time. */
	uint32_t count, cap, sorted;
};
/* A row of the view; borrowed until they are said. */
void tn_batch_bucket_add(struct tn_batch_buckets *t,
    const struct tn_batch *b, uint32_t row, bool same);
/* *said: lines so far. */
void tn_batch_buckets_say(struct tn_batch_buckets *t,
    struct tn_buf *out, uint32_t *said);

/* A sample of a view: some of its gold partitions, as the event times of the
 * rows that they are made of; see sample.c. Free all. */
struct tn_batch_picks {
	struct tn_batch_pick {
		int64_t min_us, max_us;
	} *all;                      /* In order; they may overlap. */
	uint32_t count;
	bool sampled;                /* Else the view has no time bucket. */
};
void tn_batch_pick_days(const struct tn_batch_check *x,
    const struct tn_serving_view *w, struct tn_batch_picks *out);
bool tn_batch_picked(const struct tn_batch_picks *p, int64_t us);
/* Sets a byte for each bronze file of the stream that can have such rows. */
TN_MUST_USE enum tn_status tn_batch_pick_bronze(
    const struct tn_batch_check *x, const struct tn_governance_stream *s,
    const struct tn_batch_picks *p, uint8_t *files, struct tn_diag *d);
/* Only the groups of the picked partitions stay. */
void tn_batch_pick_groups(const struct tn_batch_check *x,
    const struct tn_serving_view *w, struct tn_exec_fold **f);

#endif
