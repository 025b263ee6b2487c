/* catalog: what exists. Streams, views and their versions, published files,
 * cuts, runs, tokens and users, in one SQLite database (DATA/catalog.db, WAL,
 * synchronous FULL). A file is visible when, and only when, the catalog names
 * it; a cut publishes files and the new LSN in one transaction.
 *
 * SQLite is opened in serialized mode: every function may be called from any
 * thread but the loop, unless said. Text results live in the given arena.
 * Statuses: TN_ENOSPC, TN_EIO, TN_ENOMEM, TN_ECORRUPT (the database), TN_ECLOSED
 * (see publish) and what is said; a call that fails changed nothing. */
#ifndef TN_CATALOG_CATALOG_H
#define TN_CATALOG_CATALOG_H

#include "base/base.h"

struct tn_catalog;
/* Makes the file (mode 0600) if it is missing. TN_EUNSUPPORTED: written by a
 * newer Tarn or by another program; unchanged. */
TN_MUST_USE enum tn_status tn_catalog_open(struct tn_catalog **cat,
    const char *path, struct tn_diag *d);
/* The same, to look: an older one stays as it is, for the Tarn that made it as
 * well. What is asked then is a copy in memory: whatever is written is lost. */
TN_MUST_USE enum tn_status tn_catalog_look(struct tn_catalog **cat,
    const char *path, struct tn_diag *d);
void tn_catalog_close(struct tn_catalog *cat);

/* ---- definitions ----------------------------------------------------- */

enum tn_catalog_kind {
	TN_CATALOG_STREAM = 1, TN_CATALOG_REFERENCE = 2, TN_CATALOG_VIEW = 3
};
struct tn_catalog_object {
	uint32_t id;             /* Stable for a name and kind, from 1. */
	uint32_t version;        /* From 1; another when definition changes. */
	bool changed;            /* Made or changed by this call. */
};
/* The object of that name, made or given a new version when its definition
 * differs: of a table that of the same text before, if there was one. A comment
 * alone changes no version. */
TN_MUST_USE enum tn_status tn_catalog_define(struct tn_catalog *cat,
    enum tn_catalog_kind kind, const char *name, const char *definition,
    const char *comment, struct tn_catalog_object *out);
/* The version that define would give, noted so that it will; but the object
 * keeps the one it has. Not for views. TN_ENOTFOUND: there is no such object. */
TN_MUST_USE enum tn_status tn_catalog_foresee(struct tn_catalog *cat,
    enum tn_catalog_kind kind, const char *name, const char *definition,
    struct tn_catalog_object *out);
struct tn_catalog_name {
	uint32_t id;
	enum tn_catalog_kind kind;
	const char *name;
};
/* The object of that name, and its definition's text of a version (0: the
 * newest) in ${a}. TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_catalog_defined(struct tn_catalog *cat,
    const struct tn_catalog_name *name, uint32_t version,
    struct tn_arena *a, struct tn_catalog_object *out, const char **text);
/* Every object ever defined. */
TN_MUST_USE enum tn_status tn_catalog_names(struct tn_catalog *cat,
    struct tn_arena *a, struct tn_catalog_name **out, uint32_t *count);

/* ---- files and snapshots --------------------------------------------- */

enum tn_catalog_tier {
	TN_TIER_BRONZE = 1, TN_TIER_SILVER = 2, TN_TIER_GOLD = 3,
	TN_TIER_KEYS = 4,        /* Sorted key hashes of the dedupe window. */
	TN_TIER_OBJECTS = 5,     /* Only of cost: the room objects' contents. */
};
struct tn_catalog_file {
	uint64_t id;             /* Set when published. */
	uint64_t added;          /* By that publication; likewise. */
	enum tn_catalog_tier tier;
	uint32_t object;
	uint32_t version;        /* Of the object's definition. */
	char partition[24];      /* "2026-03-01", "2026-03", "all", ... */
	char path[200];          /* Relative to DATA/lake. */
	uint64_t rows;
	uint64_t bytes;
	uint32_t crc;            /* CRC-32C of the whole file. */
	int64_t time_min;        /* Event time (KEYS: received), us. */
	int64_t time_max;
	uint64_t lsn_min;
	uint64_t lsn_max;
};
/* All files visible at a cut, ordered by tier, object, partition, lsn_min, id
 * (tn_catalog_file_order).
 * Immutable and counted; holding one keeps its files on disk. */
struct tn_catalog_snapshot {
	uint64_t sequence;       /* Grows with every publication. */
	uint64_t lsn;            /* The cut: blocks at or below are in files. */
	int64_t published_us;
	int64_t cut_us;          /* When this lsn was first published. */
	uint32_t count;
	const struct tn_catalog_file *files;
	uint64_t sum;            /* The catalog's own, as what follows. */
	uint32_t refs;
	bool complete;           /* The catalog's: all of this stands. */
	struct tn_catalog *owner;
};
/* That order, for qsort. */
int tn_catalog_file_order(const void *a, const void *b);
/* The newest one. Never NULL. Any thread, the loop too; O(1). */
const struct tn_catalog_snapshot *tn_catalog_snapshot(
    struct tn_catalog *cat);
/* One more reference to one that the caller holds. */
const struct tn_catalog_snapshot *tn_catalog_snapshot_again(
    const struct tn_catalog_snapshot *s);
void tn_catalog_snapshot_put(const struct tn_catalog_snapshot *s);
/* One of the past, counted like the newest. By its sequence; the newest with
 * an lsn up to, or the oldest with an lsn from ${value}; the one in force at a
 * time (us). TN_ENOTFOUND: none that is kept. Not on the loop. */
enum tn_catalog_when {
	TN_CATALOG_SEQUENCE, TN_CATALOG_LSN_TO, TN_CATALOG_LSN_FROM,
	TN_CATALOG_TIME
};
TN_MUST_USE enum tn_status tn_catalog_snapshot_at(struct tn_catalog *cat,
    enum tn_catalog_when when, int64_t value,
    const struct tn_catalog_snapshot **out);
/* All that can be read, newest first, with a sequence below ${before} (0:
 * all), at most ${limit}. */
struct tn_catalog_cut {
	uint64_t sequence;
	uint64_t lsn;
	int64_t published_us;
	uint64_t run;            /* That made it; 0: none. */
	const char *kind;        /* Of that run, as of tn_catalog_run; "": it is */
	const char *reason;      /* ... not known any more. */
	const char *object;
	uint32_t added;          /* Files, against the one before. */
	uint32_t dropped;
	uint32_t files;          /* It has. */
	uint64_t rows;           /* Of its silver files. */
	uint64_t bytes;          /* Of all its files. */
};
TN_MUST_USE enum tn_status tn_catalog_cuts(struct tn_catalog *cat,
    uint64_t before, uint32_t limit, struct tn_arena *a,
    struct tn_catalog_cut **out, uint32_t *count);
/* When those before them were followed by others, as far as that was after
 * ${after_us}: at most ${most}, the oldest first. */
TN_MUST_USE enum tn_status tn_catalog_cuts_followed(struct tn_catalog *cat,
    int64_t after_us, uint32_t most, int64_t *us, uint32_t *count);
/* Snapshots that another one had followed before ${before_us} can be read no
 * more; so for those whose lsn is below ${lsn}. The newest stays. What is held
 * stays readable to its holder. Sets *expired, which may be NULL. */
TN_MUST_USE enum tn_status tn_catalog_expire(struct tn_catalog *cat,
    int64_t before_us, uint64_t lsn, uint32_t *expired);
/* The sequence of that cut. TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_catalog_cut_find(struct tn_catalog *cat,
    enum tn_catalog_when when, int64_t value, uint64_t *sequence);
/* The run of files of one tier and object: *first and count. */
uint32_t tn_catalog_snapshot_find(const struct tn_catalog_snapshot *s,
    enum tn_catalog_tier tier, uint32_t object, uint32_t *first);

struct tn_catalog_offset {
	uint32_t stream;
	uint64_t next;           /* First row offset after the cut. */
};
/* A published number that a run changed: one column of one row of a view. */
struct tn_catalog_correction {
	uint64_t run;            /* Set by publish. */
	int64_t at_us;           /* Set by publish. */
	uint32_t view;           /* Object id. */
	int64_t time_us;         /* The row's time bucket; INT64_MIN: at_us. */
	const char *key;         /* {"office":"berlin",...} */
	const char *column;
	const char *before;      /* JSON values. */
	const char *after;
};
/* A small value set with a publication (see tn_catalog_set). */
struct tn_catalog_value {
	const char *key;
	const char *value;
};
/* What a run made of one view, as it was measured. */
struct tn_catalog_run_view {
	uint64_t run;            /* Set by publish. */
	uint32_t view;           /* Object id. */
	const char *name;        /* Set by tn_catalog_run_views. */
	int64_t started_us;      /* Its gold files: when begun, ... */
	int64_t write_us;        /* ... and how long they took. */
	int64_t fold_us;         /* Rows into states before it; -1: not known. */
	int64_t rows;            /* That were folded; -1: not known. */
	uint32_t groups;         /* Rows of the view that they belong to. */
	uint32_t files;
	uint64_t changed;        /* Published rows whose values changed. */
};
struct tn_catalog_publication {
	uint64_t lsn;            /* New cut, >= the old one. */
	int64_t now_us;
	struct tn_catalog_file *add;   /* ids are set. */
	uint32_t add_count;
	const uint64_t *drop;    /* Ids of files no longer visible. */
	uint32_t drop_count;
	const struct tn_catalog_offset *offsets;
	uint32_t offset_count;
	uint64_t run;            /* Ends this run as done; 0: none. */
	bool run_to;             /* ... and it came to ${lsn}. */
	const char *run_detail;
	uint64_t run_rows;
	uint32_t run_files;
	uint64_t run_changed;    /* Rows published with other values. */
	const struct tn_catalog_correction *corrections;
	uint32_t correction_count;
	int64_t corrections_keep_us;   /* Older ones are dropped; 0: none. */
	const struct tn_catalog_run_view *run_views;
	uint32_t run_view_count;
	const struct tn_catalog_value *values;
	uint32_t value_count;
	uint32_t adopted;        /* What is prepared of this object ends; 0: of
	                            none. Its files may be among ${add}. */
};
/* All or nothing. After TN_OK the new snapshot is in force and on disk; after
 * a failure the old one is, and the files of ${p} may be removed. But
 * TN_ECLOSED: a disk error left open what the next start will find, and every
 * later publication is refused: leave the files, the start sweeps them. */
TN_MUST_USE enum tn_status tn_catalog_publish(struct tn_catalog *cat,
    struct tn_catalog_publication *p);
/* Corrections of one view with from_us <= time < to_us, newest first, at most
 * ${limit}. Kept: the last 100,000 of all views. */
struct tn_catalog_corrections_of {
	uint32_t view;
	int64_t from_us;         /* INT64_MIN, INT64_MAX: open. */
	int64_t to_us;
	uint32_t limit;
};
TN_MUST_USE enum tn_status tn_catalog_corrections(struct tn_catalog *cat,
    const struct tn_catalog_corrections_of *q, struct tn_arena *a,
    struct tn_catalog_correction **out, uint32_t *count);
/* All corrections of these views go, and their bytes with them: from the
 * database's pages and its journal. */
TN_MUST_USE enum tn_status tn_catalog_corrections_forget(
    struct tn_catalog *cat, const uint32_t *views, uint32_t count);
TN_MUST_USE enum tn_status tn_catalog_offsets(struct tn_catalog *cat,
    struct tn_arena *a, struct tn_catalog_offset **out, uint32_t *count);
/* Expires what had been followed before ${before_us}, then gives the dropped
 * files that no snapshot can see, kept or held, in an order that does not
 * change: unlink each, then tell forget. At most TN_CATALOG_GARBAGE at once;
 * without the first ${skip}, which could not be removed. */
#define TN_CATALOG_GARBAGE 1000
struct tn_catalog_old {
	int64_t before_us;
	uint32_t skip;
	uint32_t *expired;       /* Snapshots; set, or NULL. */
};
TN_MUST_USE enum tn_status tn_catalog_garbage(struct tn_catalog *cat,
    const struct tn_catalog_old *old, struct tn_arena *a,
    struct tn_catalog_file **out, uint32_t *count);
TN_MUST_USE enum tn_status tn_catalog_forget(struct tn_catalog *cat,
    const uint64_t *ids, uint32_t count);
/* A copy of the whole catalog as a new file, and the snapshot that is the
 * newest one in it, a reference of the caller. The copy is not synced. */
TN_MUST_USE enum tn_status tn_catalog_copy(struct tn_catalog *cat,
    const char *path, const struct tn_catalog_snapshot **out);
/* The file of that path, visible or dropped and not yet removed.
 * TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_catalog_file_named(struct tn_catalog *cat,
    const char *path, struct tn_catalog_file *out);
/* Paths of all files on disk that the catalog knows (visible, dropped or
 * prepared), sorted by bytes. */
TN_MUST_USE enum tn_status tn_catalog_paths(struct tn_catalog *cat,
    struct tn_arena *a, const char ***paths, uint32_t *count);

/* ---- prepared --------------------------------------------------------- */

/* Silver of a definition that is not in force yet: no snapshot has its files,
 * but tn_catalog_paths names them. At most one version of an object. */
struct tn_catalog_prepared {
	uint32_t object;
	uint32_t version;
	uint64_t lsn;            /* All rows up to it are in the files. */
	uint32_t files;          /* Set by the list. */
	uint64_t rows;           /* Of the files; set by the list. */
};
/* More files, and how far they come. */
TN_MUST_USE enum tn_status tn_catalog_prepared_note(struct tn_catalog *cat,
    const struct tn_catalog_prepared *p, const struct tn_catalog_file *files,
    uint32_t count);
TN_MUST_USE enum tn_status tn_catalog_prepared(struct tn_catalog *cat,
    struct tn_arena *a, struct tn_catalog_prepared **out, uint32_t *count);
/* Its files, without ids. TN_ECORRUPT: they are not what was noted. */
TN_MUST_USE enum tn_status tn_catalog_prepared_files(struct tn_catalog *cat,
    const struct tn_catalog_prepared *p, struct tn_arena *a,
    struct tn_catalog_file **out, uint32_t *count);
/* None of it is known any more; then remove the files. */
TN_MUST_USE enum tn_status tn_catalog_prepared_forget(struct tn_catalog *cat,
    uint32_t object);

/* ---- cost ------------------------------------------------------------ */

/* What an object had in a tier at the end of a day, and when it was first
 * noted on that day. */
struct tn_catalog_cost {
	int32_t day;             /* UTC, since 1970-01-01. */
	uint32_t object;
	enum tn_catalog_tier tier;
	uint32_t files;
	uint64_t rows;
	uint64_t bytes;
	uint64_t cold;           /* Of them, in the cold folder. */
	/* The day's first note; that of the oldest notes is not known (0). As
	 * given: the time of this one, its bytes. */
	int64_t first_us;
	uint64_t first_bytes, first_cold;
};
/* Takes the place of what was noted for the same day, but for its first note,
 * unless that one lies in the future. Kept: ten years. */
TN_MUST_USE enum tn_status tn_catalog_cost_note(struct tn_catalog *cat,
    const struct tn_catalog_cost *list, uint32_t count);
/* From a day on, by day, tier and object. */
TN_MUST_USE enum tn_status tn_catalog_costs(struct tn_catalog *cat,
    int32_t from, struct tn_arena *a, struct tn_catalog_cost **out,
    uint32_t *count);

/* ---- runs ------------------------------------------------------------ */

enum tn_catalog_run_state { TN_RUN_RUNNING, TN_RUN_DONE, TN_RUN_FAILED };
struct tn_catalog_run {
	uint64_t id;
	const char *kind;        /* "cut", "compact", "recompute", "verify",
	                          * "expire", "backup" */
	const char *reason;      /* "timer", "rows", "request", "definition",
	                          * "snapshot_keep" */
	const char *object;      /* View or stream, or "". */
	enum tn_catalog_run_state state;
	int64_t started_us;
	int64_t ended_us;        /* 0 while running. */
	uint64_t lsn_from;
	uint64_t lsn_to;
	uint64_t rows;
	uint32_t files;
	uint64_t changed;        /* Published rows whose values changed. */
	const char *detail;      /* Human words: what was made, or the error. */
};
TN_MUST_USE enum tn_status tn_catalog_run_begin(struct tn_catalog *cat,
    const struct tn_catalog_run *run, uint64_t *id);
TN_MUST_USE enum tn_status tn_catalog_run_end(struct tn_catalog *cat,
    uint64_t id, enum tn_catalog_run_state state, int64_t now_us,
    uint64_t rows, uint32_t files, const char *detail);
/* Newest first, with id below ${before} (0: all), at most ${limit}. Keeps the
 * last 10,000 runs. */
TN_MUST_USE enum tn_status tn_catalog_runs(struct tn_catalog *cat,
    uint64_t before, uint32_t limit, struct tn_arena *a,
    struct tn_catalog_run **out, uint32_t *count);
/* What those with ${from} <= id <= ${to} made of views, by run, newest first,
 * then by view; goes with the run. */
TN_MUST_USE enum tn_status tn_catalog_run_views(struct tn_catalog *cat,
    uint64_t from, uint64_t to, struct tn_arena *a,
    struct tn_catalog_run_view **out, uint32_t *count);
/* Runs left running by a crash become failed. Called once at start. */
TN_MUST_USE enum tn_status tn_catalog_runs_mend(struct tn_catalog *cat,
    int64_t now_us);

/* ---- access ---------------------------------------------------------- */

struct tn_catalog_token {
	uint64_t id;
	const char *name;
	const char *scope;       /* "admin", "ingest", "read" */
	const char *hash;        /* Hex, as governance made it. */
	int64_t created_us;
	int64_t expires_us;      /* 0: never. */
	int64_t used_us;         /* 0: not yet. */
};
/* TN_ELIMIT: there are 10,000. */
TN_MUST_USE enum tn_status tn_catalog_token_add(struct tn_catalog *cat,
    const struct tn_catalog_token *t, uint64_t *id);
/* TN_ENOTFOUND. */
TN_MUST_USE enum tn_status tn_catalog_token_remove(struct tn_catalog *cat,
    uint64_t id);
TN_MUST_USE enum tn_status tn_catalog_token_used(struct tn_catalog *cat,
    uint64_t id, int64_t now_us);
TN_MUST_USE enum tn_status tn_catalog_tokens(struct tn_catalog *cat,
    struct tn_arena *a, struct tn_catalog_token **out, uint32_t *count);

/* ---- small values ---------------------------------------------------- */

/* "admin_password" and the like. TN_ENOTFOUND. value NULL deletes. */
TN_MUST_USE enum tn_status tn_catalog_get(struct tn_catalog *cat,
    const char *key, struct tn_arena *a, const char **value);
TN_MUST_USE enum tn_status tn_catalog_set(struct tn_catalog *cat,
    const char *key, const char *value);
/* A field that no column takes, reported once a stream and field; *fresh
 * tells whether it is new. At most 1000 a stream; more are not kept. */
TN_MUST_USE enum tn_status tn_catalog_unknown_field(struct tn_catalog *cat,
    uint32_t stream, const char *field, int64_t now_us, bool *fresh);
struct tn_catalog_field {
	uint32_t stream;
	const char *field;
	int64_t seen_us;
};
TN_MUST_USE enum tn_status tn_catalog_unknown_fields(struct tn_catalog *cat,
    struct tn_arena *a, struct tn_catalog_field **out, uint32_t *count);

#endif
