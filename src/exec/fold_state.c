/* Saved states of folds, in gold files.
 *
 *   byte 0     TN_STATE_VERSION
 *   byte 1, 2  mark of the program: a hash of its aggregates and their types
 *   then       each aggregate in order, as its class writes it
 *
 * Whole numbers are LEB128 varints, doubles 8 bytes, all little-endian. Each
 * state ends where its bytes end. Loading believes nothing: whatever the
 * bytes are, it either gives states that every operation can work on, or
 * TN_ECORRUPT. A key that comes twice is corrupt too. */
#include "exec/fold_int.h"

#include <stdio.h>

void
tn_exec_state_save(const struct tn_exec_fold *f, uint32_t group,
    struct tn_buf *out)
{
	const struct tn_exec_program *p = f->program;
	const uint8_t *state = tn_fold_state(f, group);

	tn_buf_char(out, TN_STATE_VERSION);
	tn_buf_char(out, (char)p->mark);
	tn_buf_char(out, (char)(p->mark >> 8));
	for (uint32_t k = 0; k < p->s->agg_count; k++) {
		const struct tn_agg *a = &p->aggs[k];

		a->class->save(a, state + a->at, out);
	}
}

bool
tn_exec_state_load(struct tn_exec_fold *f, uint32_t group,
    struct tn_slice bytes)
{
	const struct tn_exec_program *p = f->program;
	struct tn_cursor in = { .p = bytes.p, .end = bytes.p + bytes.n };
	uint8_t *state = tn_fold_state(f, group);
	uint16_t mark;

	if (bytes.n < 3 || tn_cursor_u8(&in) != TN_STATE_VERSION)
		return false;
	mark = tn_cursor_u8(&in);
	mark |= (uint16_t)(tn_cursor_u8(&in) << 8);
	if (mark != p->mark)
		return false;
	for (uint32_t k = 0; k < p->s->agg_count; k++) {
		const struct tn_agg *a = &p->aggs[k];

		if (!a->class->load(f, a, state + a->at, &in))
			return false;
	}
	return !in.failed && in.p == in.end;
}

/* The columns _k0 .. and _state of a batch, or false. */
static bool
find_columns(const struct tn_exec_program *p, const struct tn_batch *b,
    const struct tn_column **keys, const struct tn_column **state)
{
	const struct tn_sql_select *s = p->s;
	char name[16];
	int at;

	for (uint32_t i = 0; i < s->group_count; i++) {
		struct tn_type t = s->groups[i]->type;

		(void)snprintf(name, sizeof name, "_k%u", i);
		at = tn_record_schema_find(b->schema, tn_slice_of(name));
		if (at < 0)
			return false;
		keys[i] = &b->columns[at];
		if (keys[i]->type.id != t.id || (t.id == TN_T_NUMERIC &&
		    keys[i]->type.scale != t.scale))
			return false;
	}
	at = tn_record_schema_find(b->schema, tn_slice_of("_state"));
	if (at < 0)
		return false;
	*state = &b->columns[at];
	return (*state)->type.id == TN_T_BYTES && (*state)->dict == NULL;
}

static bool
load_slice(struct tn_exec_fold *f, const struct tn_column *const *keys,
    const struct tn_column *state, uint32_t start, uint32_t n)
{
	const struct tn_key_plan *p = f->keys.plan;
	struct tn_column *cols = tn_arena_alloc(f->scratch,
	    p->count * sizeof *cols);
	uint32_t *ids = tn_arena_alloc(f->scratch, n * 4ul);
	uint32_t first = f->keys.count;
	uint64_t *words;

	for (uint32_t i = 0; i < p->count; i++)
		cols[i] = tn_exec_column_slice(keys[i], start, n);
	words = tn_exec_keys_words(p, f->scratch, cols, n);
	tn_exec_keys_map(&f->keys, f->scratch, words, n, ids);
	tn_exec_fold_grow(f);
	for (uint32_t i = 0; i < n; i++) {
		if (ids[i] != first + i ||
		    !tn_column_valid(state, start + i) ||
		    !tn_exec_state_load(f, ids[i],
		    tn_column_text(state, start + i)))
			return false;
	}
	return true;
}

enum tn_status
tn_exec_fold_load(const struct tn_exec_program *p, const struct tn_batch *b,
    struct tn_exec_fold **out)
{
	uint32_t count = p->s->group_count;
	const struct tn_column **keys = tn_alloc(count * sizeof *keys);
	const struct tn_column *state;
	struct tn_exec_fold *f = tn_exec_fold_new(p);
	enum tn_status st = TN_ECORRUPT;

	if (b->rows > TN_SORT_ROWS_MAX / 2 ||
	    !find_columns(p, b, keys, &state))
		goto out;
	tn_exec_keys_reserve(&f->keys, b->rows);
	f->scratch = tn_arena_new(64u << 10);
	for (uint32_t at = 0; at < b->rows; at += TN_SLICE_ROWS) {
		uint32_t n = b->rows - at;

		tn_arena_reset(f->scratch);
		if (!load_slice(f, keys, state, at,
		    n < TN_SLICE_ROWS ? n : TN_SLICE_ROWS))
			goto out;
	}
	tn_arena_free(f->scratch);
	f->scratch = NULL;
	*out = f;
	f = NULL;
	st = TN_OK;
out:
	tn_exec_fold_free(f);
	tn_free(keys);
	return st;
}
