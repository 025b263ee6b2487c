/* What the fold and query files of exec share.
 *
 * Values have a canonical form of one or two 64-bit words, so that equal
 * values have equal words (but for long text) and tables need no types:
 *
 *   bool, integers, dates, times   int64 (1 word)
 *   float4, float8                 bits of the double, one NaN, no -0 (1)
 *   numeric, uuid                  their 16 bytes (2)
 *   interval                       days and microseconds, no months: '1 mon'
 *                                  is '30 days' as in PostgreSQL (2)
 *   text, jsonb, bytes             u32 length, then up to 12 bytes; longer:
 *                                  the first 4 bytes and a pointer (2)
 *
 * A row key is the null bits of its columns (a word for each 64 columns; words
 * of a null are zero) and then the words of each column.
 *
 * Group g of a fold has its key words, its hash and a flat area of
 * program->width bytes with the state of aggregate k at aggs[k].at. All zero
 * is the empty state of every aggregate. What does not fit lies aside: each
 * allocation is owned by one state and counted in fold->aside. */
#ifndef TN_EXEC_FOLD_INT_H
#define TN_EXEC_FOLD_INT_H

#include "exec/exec.h"

#include <string.h>

#define TN_SLICE_ROWS 8192u     /* Rows worked on at once; times 64. */
#define TN_STATE_VERSION 1
#define TN_STATE_COUNT_MAX (UINT64_C(1) << 48)  /* Rows in a saved state. */
#define TN_TEXT_INLINE 12u
#define TN_SET_BYTES_MIN 256u   /* More than a set of few values takes. */
#define TN_SORT_ROWS_MAX (1u << 31)

/* ---- values (fold_value.c) ------------------------------------------- */

enum tn_form {
	TN_FORM_NONE, TN_FORM_INT, TN_FORM_FLOAT, TN_FORM_NUMERIC,
	TN_FORM_UUID, TN_FORM_INTERVAL, TN_FORM_TEXT,
};
enum tn_form tn_exec_form(uint8_t type_id);

static inline uint32_t
tn_form_words(enum tn_form form)
{
	return form <= TN_FORM_FLOAT ? 1 : 2;
}

/* One value that is not null: canonical words, or the words that keep -0 and
 * the parts of an interval; text lies where ${text} says. */
struct tn_value {
	uint64_t w[2];
	struct tn_slice text;
};
void tn_exec_value_canon(const struct tn_column *c, uint32_t row,
    struct tn_value *v);
void tn_exec_value_raw(const struct tn_column *c, uint32_t row,
    struct tn_value *v);
/* <0, 0, >0. Ties of -0 and 0, and of equal intervals, are broken by bits,
 * so that the order is total and results do not depend on the order of
 * merging. */
int tn_exec_value_order(enum tn_form form, const struct tn_value *a,
    const struct tn_value *b);
/* 64 bits that order as canonical values do, as far as they go. */
uint64_t tn_exec_value_prefix(enum tn_form form, const struct tn_value *v);
/* Write the value as row ${row} of an array of the type's width. */
void tn_exec_value_store(struct tn_type t, const struct tn_value *v,
    void *values, uint32_t row);
/* Is it a value that the type can have. For what comes from files. */
bool tn_exec_value_check(struct tn_type t, const struct tn_value *v);

/* A float as an integer of the same order: NaN above all, -0 before 0; and
 * back, where all NaNs are one. */
static inline int64_t
tn_float_rank(double d)
{
	int64_t w;

	if (d != d)
		return INT64_MAX;
	memcpy(&w, &d, 8);
	return w ^ (int64_t)((uint64_t)(w >> 63) >> 1);
}
static inline double
tn_rank_float(int64_t w)
{
	uint64_t nan = UINT64_C(0x7ff8000000000000);
	double d;

	w = w == INT64_MAX ? (int64_t)nan :
	    w ^ (int64_t)((uint64_t)(w >> 63) >> 1);
	memcpy(&d, &w, 8);
	return d;
}

/* Text words. */
static inline uint32_t
tn_words_len(const uint64_t *w)
{
	uint32_t n;

	memcpy(&n, w, 4);
	return n;
}
/* ${base}: where w[1] counts from; NULL when it is a pointer. */
static inline struct tn_slice
tn_words_text(const uint64_t *w, const uint8_t *base)
{
	uint32_t n = tn_words_len(w);

	if (n <= TN_TEXT_INLINE)
		return (struct tn_slice){ (const uint8_t *)w + 4, n };
	if (base != NULL)
		return (struct tn_slice){ base + w[1], n };
	return (struct tn_slice){ (const uint8_t *)(uintptr_t)w[1], n };
}
void tn_exec_words_of_text(struct tn_slice s, uint64_t w[static 2]);
uint64_t tn_exec_words_hash(enum tn_form form, const uint64_t *w,
    const uint8_t *base, uint64_t seed);

/* A column as int64 or double, widened in ${a} when it is narrower. */
const int64_t *tn_exec_widen_int(struct tn_arena *a,
    const struct tn_column *c);
const double *tn_exec_widen_float(struct tn_arena *a,
    const struct tn_column *c);
/* Bytes 0 or 1; NULL when there are no nulls. */
const uint8_t *tn_exec_valid_bytes(struct tn_arena *a,
    const struct tn_column *c);
/* Rows [start, start + n) without copying; start is a multiple of 8. */
struct tn_column tn_exec_column_slice(const struct tn_column *c,
    uint32_t start, uint32_t n);
/* Rows picked; a dictionary column stays one. rows == UINT32_MAX: null. */
struct tn_column tn_exec_column_take(struct tn_arena *a,
    const struct tn_column *c, const uint32_t *rows, uint32_t n);
/* Without dictionary. */
struct tn_column tn_exec_column_plain(struct tn_arena *a,
    const struct tn_column *c);
struct tn_column tn_exec_column_null(struct tn_arena *a, struct tn_type t,
    uint32_t n);
/* tn_exec_eval, also over no rows. A bare column may come out as a dictionary
 * unless ${plain}. */
struct tn_column tn_exec_eval_column(const struct tn_sql_expr *e,
    struct tn_exec_env *env, bool plain);
/* tn_exec_filter as a list of rows; NULL when all rows pass. */
const uint32_t *tn_exec_select(const struct tn_sql_expr *e,
    struct tn_exec_env *env, uint32_t *count);
struct tn_schema *tn_exec_schema_copy(struct tn_arena *a,
    const struct tn_schema *s);
/* Set used[column] for every column of the expression (may be NULL). */
void tn_exec_expr_columns(const struct tn_sql_expr *e, uint8_t *used);

/* ---- key tables (fold_keys.c) ---------------------------------------- */

struct tn_key_plan {
	uint32_t count;          /* Columns. */
	uint32_t words;          /* Of a key, with the null words. */
	uint32_t null_words;
	uint64_t seed;           /* Of hashes: one a process, random. */
	bool text;               /* Some column is text. */
	uint8_t *form;           /* enum tn_form of each column. */
	uint32_t *at;            /* First word of each column. */
};
void tn_exec_key_plan_init(struct tn_key_plan *p, const struct tn_type *types,
    uint32_t count);
void tn_exec_key_plan_fini(struct tn_key_plan *p);

struct tn_keys {
	const struct tn_key_plan *plan;
	uint32_t count;          /* Keys; ids are 0 .. count - 1. */
	uint32_t cap;
	uint64_t *words;
	uint64_t *hashes;
	uint64_t *slots;         /* High half of the hash, then id + 1; or 0 */
	uint32_t slot_mask;
	struct tn_arena *text;   /* Long texts. */
};
void tn_exec_keys_init(struct tn_keys *k, const struct tn_key_plan *plan);
void tn_exec_keys_fini(struct tn_keys *k);
size_t tn_exec_keys_bytes(const struct tn_keys *k);
/* Key words of n rows, row after row, in ${a}; long texts point into the
 * columns. */
uint64_t *tn_exec_keys_words(const struct tn_key_plan *p, struct tn_arena *a,
    const struct tn_column *cols, uint32_t n);
/* Ids of n keys; new ones are added. */
void tn_exec_keys_map(struct tn_keys *k, struct tn_arena *a,
    const uint64_t *words, uint32_t n, uint32_t *ids);
/* One key with its hash. find: UINT32_MAX when it is not there. */
uint32_t tn_exec_keys_find(const struct tn_keys *k, const uint64_t *words,
    uint64_t hash);
/* Ids of n keys; UINT32_MAX where there is none. */
void tn_exec_keys_look(const struct tn_keys *k, struct tn_arena *a,
    const uint64_t *words, uint32_t n, uint32_t *ids);
uint32_t tn_exec_keys_put(struct tn_keys *k, const uint64_t *words,
    uint64_t hash, bool *fresh);
void tn_exec_keys_reserve(struct tn_keys *k, uint32_t count);
static inline bool
tn_key_null(const uint64_t *words, uint32_t col)
{
	return (words[col >> 6] >> (col & 63) & 1) != 0;
}
/* Value of a column of a key that is not null there. */
void tn_exec_key_value(const struct tn_key_plan *p, const uint64_t *words,
    uint32_t col, struct tn_value *v);
/* All ids ascending by key, nulls last; freed with tn_free. */
uint32_t *tn_exec_keys_sorted(const struct tn_keys *k);
/* Column ${col} of the keys ${ids} in ${a}. */
struct tn_column tn_exec_keys_column(const struct tn_keys *k, uint32_t col,
    struct tn_type t, const uint32_t *ids, uint32_t n, struct tn_arena *a);

/* ---- groups by codes (fold_codes.c) ---------------------------------- */

struct tn_codes;
/* Another batch begins. */
void tn_exec_codes_begin(struct tn_codes *c);
/* Ids of the groups of n rows, as tn_exec_keys_map would give them. False:
 * these columns are not of the kind; nothing was done. */
bool tn_exec_codes_map(struct tn_exec_fold *f, struct tn_arena *a,
    const struct tn_column *cols, uint32_t n, uint32_t *ids);
size_t tn_exec_codes_bytes(const struct tn_codes *c);
void tn_exec_codes_free(struct tn_codes *c);

/* ---- aggregates (agg*.c) --------------------------------------------- */

struct tn_agg;
/* One aggregate over the rows of a slice. */
struct tn_agg_run {
	struct tn_exec_fold *fold;
	const struct tn_agg *agg;
	struct tn_arena *arena;
	uint32_t rows;
	const uint32_t *groups;          /* Of each row. */
	const struct tn_column *args[2];
	const uint8_t *keep;             /* FILTER and args[0] not null; NULL:
	                                  * all rows. Bytes 0 or 1. */
	const uint64_t *offsets;         /* Of each row, if agg->offsets. */
	uint8_t *states;                 /* Of group 0, this aggregate. */
	size_t width;
	void **memo;                     /* What it keeps until the end of the
	                                  * call, in fold->call_arena. */
};
struct tn_agg_class {
	const char *name;
	uint32_t size;
	bool flat;                       /* Nothing aside. */
	bool null_args;                  /* keep leaves nulls in. */
	bool offsets;                    /* Needs row offsets. */
	bool holistic;                   /* May outgrow state_max. */
	void (*apply)(const struct tn_agg_run *r);
	void (*merge)(struct tn_exec_fold *f, const struct tn_agg *a,
	    void *to, const void *from);
	/* False: null. Row errors go to env. */
	bool (*value)(const struct tn_agg *a, const void *state,
	    struct tn_value *v, struct tn_exec_env *env);
	void (*save)(const struct tn_agg *a, const void *state,
	    struct tn_buf *out);
	/* Into an empty state; false when the bytes are bad (the state may
	 * then hold something that drop frees). */
	bool (*load)(struct tn_exec_fold *f, const struct tn_agg *a,
	    void *state, struct tn_cursor *in);
	void (*drop)(struct tn_exec_fold *f, void *state);   /* Not flat. */
};
struct tn_agg {
	const struct tn_sql_agg *sql;
	const struct tn_agg_class *class;
	size_t at;
	enum tn_form form[2];            /* Of the arguments. */
	struct tn_type type[2];
	bool shared;                     /* The state is that of another one,
	                                  * over the same values. */
};
/* Class, forms and types of an aggregate. */
void tn_exec_agg_init(struct tn_agg *a, const struct tn_sql_agg *sql);

extern const struct tn_agg_class tn_exec_agg_sum;       /* agg_sum.c */
extern const struct tn_agg_class tn_exec_agg_float;     /* agg_float.c */
extern const struct tn_agg_class tn_exec_agg_var;
extern const struct tn_agg_class tn_exec_agg_cell;      /* agg_pick.c */
extern const struct tn_agg_class tn_exec_agg_first;
extern const struct tn_agg_class tn_exec_agg_arg;
extern const struct tn_agg_class tn_exec_agg_distinct;  /* agg_set.c */
extern const struct tn_agg_class tn_exec_agg_percentile;
extern const struct tn_agg_class tn_exec_agg_hll;       /* agg_hll.c */
extern const struct tn_agg_class tn_exec_agg_bag;       /* agg_bag.c */

extern const struct tn_agg_class tn_exec_agg_ids;       /* agg_ids.c */
extern const struct tn_agg_class tn_exec_agg_recent;    /* agg_recent.c */
extern const struct tn_agg_class tn_exec_agg_recent_by;

/* The number of different values of two words (agg_pile.c). Rows with keep[]
 * 0 are left out. count: NULL has none. */
struct tn_pile;
struct tn_pile_rows {
	const uint64_t *words;
	const uint8_t *keep;
	uint32_t rows;
};
struct tn_pile *tn_exec_pile_new(struct tn_exec_fold *f);
void tn_exec_pile_add(struct tn_exec_fold *f, struct tn_pile *p,
    const struct tn_pile_rows *in);
uint64_t tn_exec_pile_count(struct tn_pile *p, uint64_t seed);
void tn_exec_pile_free(struct tn_exec_fold *f, struct tn_pile *p);

/* A slice's rows as two words each, for agg_ids.c. */
void tn_exec_set_words(const struct tn_agg_run *r, const uint64_t *words,
    const uint64_t *hashes);
/* A percentile's set, for agg_bag.c: one more value (a canonical word) in a
 * fold that knows no state_max. */
#define TN_SET_STATE_BYTES 24
bool tn_exec_set_put(struct tn_exec_fold *f, const struct tn_agg *a,
    void *state, uint64_t word);

/* Holistic states. unknown: it outgrew state_max and its answer is not known.
 * want: an empty state of an exact fold gathers values. settle: the answer of
 * a wanted state, or of this part of it, becomes that of ${to}; false: no row
 * was met. */
struct tn_exact;
bool tn_exec_set_unknown(const void *state);
void tn_exec_set_want(void *state);
bool tn_exec_set_settle(const struct tn_agg *a, void *to, const void *from,
    const struct tn_exact *exact);

/* A row error while finishing. */
void tn_exec_agg_fail(struct tn_exec_env *env, const char *message);
/* Values in saved states. */
void tn_exec_value_save(struct tn_type t, const struct tn_value *v,
    struct tn_buf *out);
bool tn_exec_value_load(struct tn_type t, struct tn_cursor *in,
    struct tn_value *v);
static inline uint64_t
tn_zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}
static inline int64_t
tn_zagzig(uint64_t u)
{
	return (int64_t)(u >> 1 ^ (0 - (u & 1)));
}

/* ---- folds (fold.c) -------------------------------------------------- */

struct tn_exec_program {
	const struct tn_sql_select *s;
	bool query;              /* Its folds are never merged nor saved. */
	struct tn_key_plan keys;
	struct tn_agg *aggs;
	size_t width;            /* Of a group's states. */
	bool flat;               /* No aggregate has anything aside. */
	bool offsets;
	bool holistic;           /* Some aggregate is. */
	size_t state_max;        /* Bytes of a holistic state; 0: no limit. */
	uint16_t mark;           /* Tells states of other layouts apart. */
	struct tn_schema *second;    /* Group values, aggregate results. */
	struct tn_schema *saved;     /* Of tn_exec_fold_save. */
	struct tn_arena *arena;
};
/* What an exact fold is asked for (fold_settle.c). */
struct tn_exact {
	size_t bytes_max;        /* Of all sets. */
	uint32_t part;           /* Values whose hash is that, modulo ... */
	uint32_t parts;
	bool full;               /* bytes_max was too little. */
	uint8_t *aggs;           /* Which aggregates, a byte each. */
};
struct tn_exec_fold {
	const struct tn_exec_program *program;
	struct tn_exact *exact;  /* NULL in all but exact folds. */
	struct tn_keys keys;
	uint8_t *states;         /* keys.cap areas. */
	uint32_t states_cap;
	uint8_t *changed;        /* One byte a group; NULL: not tracked yet. */
	uint32_t *touched;       /* Groups whose byte is set. */
	uint32_t touched_count;
	size_t aside;            /* Bytes that states hold elsewhere. */
	struct tn_arena *scratch;
	struct tn_codes *codes;  /* NULL: not used yet. */
	uint64_t call;           /* Counts batches. */
	struct tn_arena *call_arena;     /* For one batch; NULL: not used yet. */
	void **memos;            /* Of each aggregate, in there. */
	const _Atomic bool *left;        /* See tn_exec_fold_until; or NULL. */
};
static inline uint8_t *
tn_fold_state(const struct tn_exec_fold *f, uint32_t group)
{
	return f->states + (size_t)group * f->program->width;
}
/* The program of a query: its folds are only given rows, and finished. */
struct tn_exec_program *tn_exec_program_of_query(
    const struct tn_sql_select *s);
/* Make areas for groups that keys has got, all zero. */
void tn_exec_fold_grow(struct tn_exec_fold *f);
/* The group of a key, made if need be. */
uint32_t tn_exec_fold_group(struct tn_exec_fold *f, const uint64_t *words,
    uint64_t hash, bool *fresh);
void tn_exec_fold_touch(struct tn_exec_fold *f, uint32_t group);
/* apply to rows [at, end) of the batch, at a multiple of 8, with now() and the
 * first row error's text in env. at > 0: the rows before were given before. */
void tn_exec_fold_rows(struct tn_exec_fold *f, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, uint32_t at, uint32_t end,
    struct tn_exec_env *env);
/* finish with the hidden outputs too. */
struct tn_batch *tn_exec_fold_result(const struct tn_exec_fold *f,
    bool hidden, struct tn_exec_env *env);
/* One group's states as bytes, and back. */
void tn_exec_state_save(const struct tn_exec_fold *f, uint32_t group,
    struct tn_buf *out);
bool tn_exec_state_load(struct tn_exec_fold *f, uint32_t group,
    struct tn_slice bytes);
/* Evaluate outputs over ${second} into a batch that owns ${arena}, in which
 * the second space lives too. */
struct tn_column *tn_exec_outputs(const struct tn_sql_select *s, bool hidden,
    struct tn_exec_env *env);

/* ---- rows (rows.c) --------------------------------------------------- */

/* The input space of a slice of rows: joined, and filtered by skip, inner
 * joins and WHERE. Columns that are not used have no values. */
struct tn_input {
	const struct tn_sql_select *s;
	const struct tn_exec_rows *rows;
	const struct tn_exec_refs *refs;
	bool offsets_wanted;
	/* Out: */
	struct tn_batch batch;
	const uint64_t *offsets;         /* Of each row, if wanted. */
};
/* Rows [start, start + n); env->arena holds the result. Row errors in env.
 * env->batch is the input afterwards. */
void tn_exec_input(struct tn_input *in, uint32_t start, uint32_t n,
    struct tn_exec_env *env);

/* ---- queries (query*.c) ---------------------------------------------- */

/* Rows of outputs (visible, then hidden) in order of arrival. Small batches
 * at the end are joined from time to time. */
struct tn_heap {
	struct tn_batch **batches;
	uint32_t count;
	uint32_t cap;
	uint32_t small;          /* The last so many are small. */
	uint32_t small_rows;
	uint64_t rows;
	size_t bytes;
};
/* Takes the batch. TN_ENOMEM: it is in the heap all the same. */
TN_MUST_USE enum tn_status tn_exec_heap_add(struct tn_heap *h,
    struct tn_batch *b);
/* All rows as one batch, or NULL when there are none; leaves h empty, but as
 * it was when memory is out. */
TN_MUST_USE enum tn_status tn_exec_heap_take(struct tn_heap *h,
    struct tn_batch **all);
void tn_exec_heap_fini(struct tn_heap *h);
/* Order of the rows by ORDER BY, ties by row; freed with tn_free. NULL: memory
 * is out. */
uint32_t *tn_exec_order_rows(const struct tn_sql_select *s,
    const struct tn_batch *b);

#endif
