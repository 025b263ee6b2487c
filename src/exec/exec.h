/* exec: the one engine. Expressions over record batches, folds and their
 * mergeable states, queries. Both layers, ad-hoc SQL, constraints and
 * generated columns call it; nothing is computed twice in two ways.
 *
 * A fold is a hash table from group key to aggregate states:
 *   apply  rows -> states        (speed and batch)
 *   merge  states + states       (associative, commutative up to offsets)
 *   finish states -> result rows (having, outputs)
 *   save / load  states <-> batch (gold files)
 * Exact: integer and numeric sums in 128 bits; double sums as double-double;
 * first/last tie-broken by row offset. Results equal those of one fold over
 * all rows, however history was split. */
#ifndef TN_EXEC_EXEC_H
#define TN_EXEC_EXEC_H

#include "base/base.h"
#include "record/record.h"
#include "sql/sql.h"

/* ---- expressions ----------------------------------------------------- */

/* What evaluation needs and leaves. Zero-initialise. */
struct tn_exec_env {
	const struct tn_batch *batch;   /* Columns of the expression's space. */
	struct tn_arena *arena;         /* Results and scratch live here. */
	int64_t now_us;                 /* What now() gives. */
	/* A row error (division by zero, overflow, failed cast, bad pattern)
	 * makes the value null, counts here and, if error_rows is not NULL,
	 * sets its byte; the first one's text is kept. */
	uint8_t *error_rows;
	uint64_t errors;
	char message[160];
	/* Set when memory is out for the texts of a result, which then mean
	 * nothing. NULL: that ends the process. */
	bool *no_memory;
	const _Atomic bool *left;    /* NULL, or: once true, a fold takes no
	                              * further rows of the call. */
};
/* Evaluate over all rows of env->batch. The result has batch->rows rows (a
 * constant is spread) and may point into the batch. Any thread. */
const struct tn_column *tn_exec_eval(const struct tn_sql_expr *e,
    struct tn_exec_env *env);
/* For a boolean expression: out[i] = 1 where it is true (not null). */
void tn_exec_filter(const struct tn_sql_expr *e, struct tn_exec_env *env,
    uint8_t *out);
/* Text to a value of a type by PostgreSQL's input rules, as a column of one
 * row in ${a}; NULL when it is none. Used for URL filters and constants. */
const struct tn_column *tn_exec_parse(struct tn_arena *a, struct tn_type t,
    struct tn_slice text);

/* Can rows be evaluated at all? False when a constant pattern is none; then
 * ${message} says why. NULL is good. */
bool tn_exec_constants_good(const struct tn_sql_expr *e, char message[160]);

/* ---- reference tables ------------------------------------------------ */

/* All versions of the rows of a reference table, by primary key and LSN. One
 * writer at a time (the owner), readers on other threads are safe only on an
 * immutable snapshot: tn_exec_ref_freeze gives a counted one in O(1) that
 * later puts do not change. */
struct tn_exec_ref;
struct tn_exec_ref *tn_exec_ref_new(const struct tn_sql_table *table);
/* Rows in LSN order: rows i with skip == NULL or skip[i] == 0. The batch has
 * the table's schema columns first; it is referenced, not copied. */
void tn_exec_ref_put(struct tn_exec_ref *r, struct tn_batch *b,
    const uint8_t *skip, uint64_t lsn);
struct tn_exec_ref *tn_exec_ref_freeze(struct tn_exec_ref *r);
void tn_exec_ref_free(struct tn_exec_ref *r);     /* A reference each. */
/* Memory of all versions, with the batches they lie in. The writer only. */
size_t tn_exec_ref_bytes(const struct tn_exec_ref *r);
/* The newest version of each row at or before ${lsn} as a batch with the
 * table's schema. NULL: memory is out. */
struct tn_batch *tn_exec_ref_rows(const struct tn_exec_ref *r, uint64_t lsn);
/* Finds the snapshot of a reference table by name; given by the caller. */
struct tn_exec_refs {
	const struct tn_exec_ref *const *refs;   /* In order of ... */
	const char *const *names;
	uint32_t count;
};

/* ---- rows going in --------------------------------------------------- */

/* A batch of a stream as every layer sees it: declared columns, and where
 * each row stands in commit order. The hidden columns are made from this:
 * either the batch has them (from silver: then lsns and the others are NULL),
 * or they are given here. */
struct tn_exec_rows {
	const struct tn_batch *batch;
	const uint8_t *skip;        /* Rows with non-zero are left out; or NULL. */
	bool has_hidden;            /* The batch ends in the hidden columns. */
	uint64_t lsn;               /* Of all rows, else; also as of which
	                               rows of a view or reference table are
	                               joined, 0: the newest. */
	uint64_t offset;            /* Of row 0; row i has offset + i. */
	int64_t received_us;
};

/* ---- folds ----------------------------------------------------------- */

/* A view made ready: one per view and thread-safe once made. Borrows the
 * plan. */
struct tn_exec_program;
struct tn_exec_program *tn_exec_program_new(const struct tn_sql_select *s);
/* Bytes of values that one state of count(DISTINCT) or percentile_cont may
 * keep; what outgrows them keeps no values, and its answer must be settled (see
 * below). 0, the default: no limit. Before the first fold. */
void tn_exec_program_state_max(struct tn_exec_program *p, size_t bytes);
void tn_exec_program_free(struct tn_exec_program *p);

struct tn_exec_fold;
struct tn_exec_fold *tn_exec_fold_new(const struct tn_exec_program *p);
void tn_exec_fold_free(struct tn_exec_fold *f);
/* Fold rows in. refs as of each row's LSN. Row errors give null and are
 * counted in *errors (may be NULL). */
void tn_exec_fold_apply(struct tn_exec_fold *f,
    const struct tn_exec_rows *rows, const struct tn_exec_refs *refs,
    uint64_t *errors);
/* Once *left (borrowed) is true nobody waits for the fold: rows and states
 * given to it from then on are left out, and what it has means nothing. */
void tn_exec_fold_until(struct tn_exec_fold *f, const _Atomic bool *left);
/* Add the states of ${src}, which is unchanged. Same program. */
void tn_exec_fold_merge(struct tn_exec_fold *dst,
    const struct tn_exec_fold *src);
/* Conditions on group values, by the view's visible outputs that are groups:
 * each a bound of min and max (one-row columns, NULL: open, min inclusive
 * unless min_exclusive, max exclusive unless max_inclusive). All must hold;
 * null fails unless null_holds, and alone holds with only_null. */
struct tn_exec_bound {
	uint32_t group;
	const struct tn_column *min;
	const struct tn_column *max;
	bool max_inclusive;
	bool min_exclusive;
	bool null_holds;
	bool only_null;
};
/* A new fold with those groups (all when count is 0). */
struct tn_exec_fold *tn_exec_fold_clone(const struct tn_exec_fold *f,
    const struct tn_exec_bound *bounds, uint32_t count);
/* About how many bytes that clone would have, without making it. */
size_t tn_exec_fold_clone_bytes(const struct tn_exec_fold *f,
    const struct tn_exec_bound *bounds, uint32_t count);
/* A new fold with the groups touched by apply or merge since the last call
 * (or since tracking began with the first call); clears the marks. */
struct tn_exec_fold *tn_exec_fold_take_changed(struct tn_exec_fold *f);
/* A new fold with the groups of ${f} that also are in ${keys}. */
struct tn_exec_fold *tn_exec_fold_pick(const struct tn_exec_fold *f,
    const struct tn_exec_fold *keys);
/* Groups by a hash of their keys that never changes: it decides in which file
 * of a gold partition a group stands. A slice has those whose hash modulo
 * ${count} (a power of two) is ${index}. */
struct tn_exec_slice {
	uint32_t index, count;
};
/* A new fold with the groups of ${s} that are in none of ${not}. */
struct tn_exec_fold *tn_exec_fold_slice(const struct tn_exec_fold *f,
    const struct tn_exec_slice *s, const struct tn_exec_slice *not,
    uint32_t not_count);
/* The first time bucket that had not ended at ${us}, as a bound (one row, in
 * ${a}); NULL when that cannot be told or there is no bucket. */
const struct tn_column *tn_exec_first_open(const struct tn_sql_select *s,
    int64_t us, struct tn_arena *a);
/* The time bucket of rows whose ${column} (of the select's input) is ${us}, in
 * ${a}; NULL when there is no bucket, or it is made of another column too. */
const struct tn_column *tn_exec_bucket_at(const struct tn_sql_select *s,
    uint32_t column, int64_t us, struct tn_arena *a);
uint32_t tn_exec_fold_groups(const struct tn_exec_fold *f);
size_t tn_exec_fold_bytes(const struct tn_exec_fold *f);
/* Split into folds by partition of the bucket group: a day (by_month false)
 * or month; calls back once a partition with its label ("2026-03-01",
 * "2026-03", or "all" when there is no bucket, "null" for a null bucket);
 * the callee owns the part. */
void tn_exec_fold_split(const struct tn_exec_fold *f, bool by_month,
    void (*part)(void *arg, const char *label, struct tn_exec_fold *part),
    void *arg);
/* Result rows: the visible outputs, having applied; in order of the group
 * keys (first group first). A fold without GROUP BY always gives one row.
 * Row errors as in apply. */
struct tn_batch *tn_exec_fold_finish(const struct tn_exec_fold *f,
    uint64_t *errors);
/* All groups as a batch for a gold file: the visible outputs, then
 * _visible bool (having), _k0.. the group values, _state bytes. In key
 * order. State bytes carry a version and are checked when loaded. NULL: memory
 * is out. */
struct tn_batch *tn_exec_fold_save(const struct tn_exec_fold *f);
/* From rows of a gold file (needs at least _k0.. and _state). TN_ECORRUPT. */
TN_MUST_USE enum tn_status tn_exec_fold_load(const struct tn_exec_program *p,
    const struct tn_batch *b, struct tn_exec_fold **out);

/* ---- settling -------------------------------------------------------- */

/* Groups with a state that outgrew the program's limit and whose answer is not
 * known for just the rows folded: finish and save give null for it. A copy, a
 * saved state and a merge with nothing keep an answer that is known. */
uint32_t tn_exec_fold_unknown(const struct tn_exec_fold *f);
/* Find the answers by folding the same rows again, in one pass or several.
 * pass() gets a fold that gathers only what is asked for; it applies all rows
 * that ${f} was made of (those of other groups do no harm) and may stop with
 * any status once tn_exec_fold_full. Another failure of it is returned.
 * TN_ELIMIT: one group is too large for memory_max; ${d} says what to do.
 * TN_ECORRUPT: the rows were not those. Then some answers stay unknown. */
struct tn_exec_settle_opts {
	enum tn_status (*pass)(void *arg, struct tn_exec_fold *exact,
	    struct tn_diag *d);
	void *arg;
	size_t memory_max;        /* Of the sets of a pass; 0: 256 MiB. */
};
TN_MUST_USE enum tn_status tn_exec_fold_settle(struct tn_exec_fold *f,
    const struct tn_exec_settle_opts *o, struct tn_diag *d);
/* The pass asked for too much: it will be asked again for less. */
bool tn_exec_fold_full(const struct tn_exec_fold *f);
/* Least and largest time bucket of the fold's groups. False: it has none, no
 * groups, or a null one. */
bool tn_exec_fold_times(const struct tn_exec_fold *f, int64_t *min_us,
    int64_t *max_us);

/* ---- queries --------------------------------------------------------- */

/* A whole SELECT: push rows, then take the result. */
struct tn_exec_query;
struct tn_exec_query_opts {
	int64_t now_us;
	size_t memory_max;        /* 0: 256 MiB. TN_ELIMIT beyond. */
	uint32_t rows_max;        /* Of the result; 0: no limit of its own. */
	bool errors_null;         /* What a row fails at is null, as in the
	                           * fold of a view; else the query fails. */
	const _Atomic bool *left; /* Borrowed. Once true nobody waits for the
	                           * rows: a push ends with TN_ECLOSED. */
};
struct tn_exec_query *tn_exec_query_new(const struct tn_sql_select *s,
    const struct tn_exec_query_opts *opts);
/* TN_END: enough rows (LIMIT without ORDER BY), push no more. A row error
 * fails the query: TN_EINVAL with ${d}. TN_ENOMEM, TN_ELIMIT. For a source that is a view or
 * reference table rows->batch has just its columns and has_hidden is true. */
TN_MUST_USE enum tn_status tn_exec_query_push(struct tn_exec_query *q,
    const struct tn_exec_rows *rows, const struct tn_exec_refs *refs,
    struct tn_diag *d);
TN_MUST_USE enum tn_status tn_exec_query_finish(struct tn_exec_query *q,
    struct tn_batch **out, bool *truncated, struct tn_diag *d);
void tn_exec_query_free(struct tn_exec_query *q);
/* Set used[k] of the hidden columns (0: _lsn, 1: _offset) that rows of a
 * stream must have beside those that the plan names: joins look up by LSN,
 * first and last break ties by offset. */
void tn_exec_query_hidden(const struct tn_sql_select *s,
    uint8_t used[static 2]);
/* Bounds that WHERE puts on source columns by AND of comparisons with
 * constants (for pruning files); at most ${max}; returns how many. group is
 * here the source column. Columns live with the plan. */
uint32_t tn_exec_query_bounds(const struct tn_sql_select *s,
    struct tn_exec_bound *out, uint32_t max, struct tn_arena *a);
/* The same, where the query's now() is known (WHERE ts > now() - ...). */
uint32_t tn_exec_query_bounds_at(const struct tn_sql_select *s,
    int64_t now_us, struct tn_exec_bound *out, uint32_t max,
    struct tn_arena *a);

#endif
