/* first and last of texts by a time, in queries: what agg_pick.c does, with a
 * state of its own that is faster because it is never merged nor saved.
 *
 *   by, offset   of the row kept; its order
 *   w            a text of up to 12 bytes as canonical words (fold_int.h)
 *   room         a longer text
 *
 * Rows come in rough order of time, so for last nearly each one is better
 * than those before: what a better row costs is what counts. The entries of a
 * dictionary of short texts become words once a batch, and a better row is
 * then four stores. Else times and offsets go first, and texts are copied only
 * of the rows that stayed. */
#include "exec/fold_int.h"

#define AHEAD 8u                 /* Rows whose states are fetched early. */

enum kind { NOTHING, NULL_TEXT, SHORT, LONG };

struct recent {
	int64_t by;
	uint64_t offset;
	uint64_t w[2];           /* LONG: the length in w[0]. */
	uint8_t *room;           /* NULL: none yet. */
	uint32_t room_bytes;
	uint8_t kind;
	bool waits;              /* For the text: see take_texts. */
	uint8_t unused[2];
};

/* A slice. Copied to where loops run, so that stores to states are known not
 * to change it. */
struct times {
	const int64_t *us;
	const uint64_t *offsets;
	const uint32_t *groups;
	const uint8_t *keep;     /* NULL: all. */
	const struct tn_column *by;      /* NULL: no time is null. */
	uint8_t *states;
	size_t width;
	uint32_t rows;
	int64_t flip;            /* x ^ flip orders the other way for last. */
};

static inline struct recent *
state_of(const struct times *t, uint32_t i)
{
	return (void *)(t->states + t->groups[i] * t->width);
}

static inline bool
has_time(const struct times *t, uint32_t i)
{
	return (t->keep == NULL || t->keep[i]) &&
	    (t->by == NULL || tn_column_valid(t->by, i));
}

/* Does row ${i} come before the one held, in the order that decides. */
static inline bool
better(const struct times *t, const struct recent *s, uint32_t i)
{
	int64_t held = s->by ^ t->flip, us = t->us[i] ^ t->flip;

	return s->kind == NOTHING || us < held || (us == held &&
	    (t->offsets[i] ^ (uint64_t)t->flip) <
	    (s->offset ^ (uint64_t)t->flip));
}

/* ---- texts of a dictionary, all short -------------------------------- */

/* The entries of a dictionary as words, for one batch. */
struct entries {
	const struct tn_column *dict;
	const uint64_t *words;   /* Two each; NULL: some entry is long. */
};

static const uint64_t *
short_entries(const struct tn_agg_run *r, const struct tn_column *dict)
{
	struct tn_arena *a = r->fold->call_arena;
	struct entries *e = *r->memo;
	uint64_t *words;

	if (e != NULL && e->dict == dict)
		return e->words;
	e = *r->memo = tn_arena_zalloc(a, sizeof *e);
	e->dict = dict;
	for (uint32_t k = 0; k < dict->rows; k++)
		if (tn_column_text(dict, k).n > TN_TEXT_INLINE)
			return NULL;
	words = tn_arena_alloc(a, dict->rows * 16ul);
	for (uint32_t k = 0; k < dict->rows; k++)
		tn_exec_words_of_text(tn_column_text(dict, k), words + k * 2ul);
	e->words = words;
	return words;
}

static void
take_entries(const struct tn_agg_run *r, const struct times *in,
    const uint64_t *words)
{
	const struct times t = *in;
	const struct tn_column c = *r->args[0];
	const uint32_t *codes = c.values;

	for (uint32_t i = 0; i < t.rows; i++) {
		struct recent *s = state_of(&t, i);

		if (i + AHEAD < t.rows)
			__builtin_prefetch(state_of(&t, i + AHEAD), 1);
		if (!has_time(&t, i) || !better(&t, s, i))
			continue;
		s->by = t.us[i];
		s->offset = t.offsets[i];
		if (!tn_column_valid(&c, i)) {
			s->kind = NULL_TEXT;
			continue;
		}
		memcpy(s->w, words + codes[i] * 2ul, sizeof s->w);
		s->kind = SHORT;
	}
}

/* ---- other texts ------------------------------------------------------ */

static void
keep_text(struct tn_exec_fold *f, struct recent *s, struct tn_slice text)
{
	s->kind = text.n > TN_TEXT_INLINE ? LONG : SHORT;
	if (s->kind == SHORT) {
		tn_exec_words_of_text(text, s->w);
		return;
	}
	tn_assert(text.n <= UINT32_MAX - 32);
	if (text.n > s->room_bytes) {
		uint32_t need = ((uint32_t)text.n + 15) & ~15u;

		s->room = tn_realloc(s->room, need);
		f->aside += need - s->room_bytes;
		s->room_bytes = need;
	}
	memcpy(s->room, text.p, text.n);
	s->w[0] = text.n;
}

static void
take_times(const struct times *in)
{
	const struct times t = *in;

	for (uint32_t i = 0; i < t.rows; i++) {
		struct recent *s = state_of(&t, i);

		if (!has_time(&t, i) || !better(&t, s, i))
			continue;
		s->by = t.us[i];
		s->offset = t.offsets[i];
		s->kind = NULL_TEXT;
		s->waits = true;
	}
}

static void
take_texts(const struct tn_agg_run *r, const struct times *t)
{
	const struct tn_column *c = r->args[0];
	const struct tn_column *texts = c->dict != NULL ? c->dict : c;
	const uint32_t *codes = c->dict != NULL ? c->values : NULL;

	for (uint32_t i = 0; i < t->rows; i++) {
		struct recent *s = state_of(t, i);

		if (!s->waits || s->offset != t->offsets[i] ||
		    s->by != t->us[i] || !has_time(t, i))
			continue;
		s->waits = false;
		if (tn_column_valid(c, i))
			keep_text(r->fold, s, tn_column_text(texts,
			    codes != NULL ? codes[i] : i));
	}
}

static void
recent_apply(const struct tn_agg_run *r)
{
	const struct tn_column *by = r->args[1];
	const struct tn_column *dict = r->args[0]->dict;
	const struct times t = { .us = tn_exec_widen_int(r->arena, by),
	    .offsets = r->offsets, .groups = r->groups, .keep = r->keep,
	    .by = by->valid == NULL ? NULL : by, .states = r->states,
	    .width = r->width, .rows = r->rows,
	    .flip = r->agg->sql->kind == TN_AGG_FIRST ? 0 : -1 };
	const uint64_t *words = dict == NULL ? NULL : short_entries(r, dict);

	if (words != NULL) {
		take_entries(r, &t, words);
		return;
	}
	take_times(&t);
	take_texts(r, &t);
}

static bool
recent_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct recent *s = state;

	(void)a;
	(void)env;
	if (s->kind == SHORT)
		v->text = tn_words_text(s->w, NULL);
	else if (s->kind == LONG)
		v->text = (struct tn_slice){ s->room, (size_t)s->w[0] };
	return s->kind == SHORT || s->kind == LONG;
}

static void
recent_drop(struct tn_exec_fold *f, void *state)
{
	struct recent *s = state;

	f->aside -= s->room_bytes;
	tn_free(s->room);
	s->room = NULL;
	s->room_bytes = 0;
}

/* min and max of the times themselves. */
static bool
by_value(const struct tn_agg *a, const void *state, struct tn_value *v,
    struct tn_exec_env *env)
{
	const struct recent *s = state;

	(void)a;
	(void)env;
	v->w[0] = (uint64_t)s->by;
	return s->kind != NOTHING;
}

const struct tn_agg_class tn_exec_agg_recent = {
	.name = "recent", .size = sizeof(struct recent), .null_args = true,
	.offsets = true, .apply = recent_apply, .value = recent_value,
	.drop = recent_drop,
};
/* Always shared with one of the former. */
const struct tn_agg_class tn_exec_agg_recent_by = {
	.name = "recent_by", .size = sizeof(struct recent),
	.value = by_value,
};
