/* Sets of values, for agg_set.c (the set, merging, results) and
 * agg_set_rows.c (rows going in). */
#ifndef TN_EXEC_SET_INT_H
#define TN_EXEC_SET_INT_H

#include "exec/fold_int.h"

struct set {
	uint32_t count;
	uint32_t slots;          /* A power of two. */
	uint8_t form;            /* enum tn_form */
	uint8_t words_each;
	bool counted;
	uint8_t *tags;
	uint64_t *words;
	uint64_t *counts;
	uint8_t *heap;
	uint32_t heap_n;
	uint32_t heap_cap;
	size_t max;              /* Bytes of slots and texts; 0: no limit. */
	uint64_t seen_call;      /* The fold's call that seen is of. */
	uint8_t *seen;           /* Bit of each entry: the set has it. */
};

enum kind { WHOLE, UNKNOWN, KNOWN, WANTED };
struct set_state {
	struct set *set;         /* NULL: no values yet, or spilled. */
	uint64_t answer;         /* Of KNOWN; of UNKNOWN: while settling. */
	uint64_t kind;
};
static inline uint64_t *
tn_set_words(const struct set *s, uint32_t slot)
{
	return s->words + (size_t)slot * s->words_each;
}

/* The hash of a value's words in this fold. */
uint64_t tn_exec_set_hash(const struct tn_exec_fold *f, const struct set *s,
    const uint64_t *w);
/* ${w}: canonical words, and their hash; a long text is given by pointer.
 * False: the set would be too large; it must be spilled then. */
bool tn_exec_set_add(struct tn_exec_fold *f, struct set *s,
    const uint64_t *w, uint64_t hash, uint64_t times);
/* A row for a state without a set: does it get one? */
bool tn_exec_set_begin(const struct tn_agg_run *r, struct set_state *st,
    bool counted);
/* The set became too large. */
void tn_exec_set_spill(struct tn_exec_fold *f, struct set_state *st);
/* Of both classes. */
void tn_exec_set_apply(const struct tn_agg_run *r);

#endif
