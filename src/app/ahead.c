/* Tables whose definition is to change, for batch to make their silver before
 * the program starts with it: the server serves the old meanwhile. */
#include "app/run_int.h"

#include <string.h>

#include "app/plan_int.h"

static bool
is_changed(const struct tn_app_planned *o)
{
	return o->kind != TN_CATALOG_VIEW && o->change == TN_PLAN_CHANGED &&
	    !o->later;
}

static enum tn_status
foresee(struct app *a, const struct tn_app_planned *o,
    const struct tn_sql_table *t, struct tn_governance_stream *s)
{
	struct tn_catalog_object held;
	enum tn_status st = tn_catalog_foresee(a->catalog, o->kind, t->name,
	    t->definition, &held);

	if (st != TN_OK)
		return st;
	s->table = t;
	s->id = held.id;
	s->version = held.version;
	s->silver = tn_serving_silver_schema(t);
	return TN_OK;
}

enum tn_status
tn_app_ahead_list(struct app *a, const struct tn_sql_pipeline *p,
    const struct tn_app_plan *plan, struct tn_batch_prepare *out,
    struct tn_diag *d)
{
	struct tn_governance_stream *all = tn_zalloc((plan->count + 1ul) *
	    sizeof *all);
	enum tn_status st = TN_OK;

	out->streams = all;
	out->count = 0;
	for (uint32_t i = 0; st == TN_OK && i < plan->count; i++) {
		const struct tn_app_planned *o = &plan->all[i];
		const struct tn_sql_table *t = !is_changed(o) ? NULL :
		    tn_sql_table(p, tn_slice_of(o->name));
		if (t == NULL)
			continue;
		st = foresee(a, o, t, &all[out->count]);
		out->count += st == TN_OK;
	}
	return st == TN_OK ? st : tn_diag_set(d, st, "catalog",
	    "the definitions could not be stored: %s", tn_status_text(st));
}

void
tn_app_ahead_fini(struct tn_batch_prepare *x)
{
	for (uint32_t i = 0; i < x->count; i++)
		tn_free((void *)x->streams[i].silver);
	tn_free((void *)x->streams);
	memset(x, 0, sizeof *x);
}

static bool
is_any(struct app *a)
{
	struct tn_arena *arena = tn_arena_new(256);
	struct tn_catalog_prepared *all = NULL;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_prepared(a->catalog, arena, &all,
	    &count);

	tn_arena_free(arena);
	return st == TN_OK && count > 0;
}

enum tn_status
tn_app_ahead_none(struct app *a, struct tn_diag *d)
{
	struct tn_batch_prepare none = { .count = 0 };
	struct tn_batch_request q = { .kind = TN_BATCH_PREPARE,
	    .reason = "request", .prepare = &none };
	struct tn_batch_report r = { .status = TN_OK };
	enum tn_status st;

	if (!is_any(a))
		return TN_OK;
	st = tn_batch_run(a->batch, &q, &r);
	if (st != TN_OK && r.diag.message[0] != '\0')
		*d = r.diag;
	tn_buf_fini(&r.text);
	return st;
}

/* ---- the start that takes it -------------------------------------------- */

static uint64_t
add_word(uint64_t words, const char *text)
{
	return tn_hash64(text, strlen(text) + 1, words);
}

uint64_t
tn_app_settings_words(const struct tn_sql_pipeline *p)
{
	uint64_t words = p->setting_count;

	for (uint32_t i = 0; i < p->setting_count; i++)
		words = add_word(add_word(words, p->settings[i].name),
		    p->settings[i].value);
	return words;
}

static uint64_t
all_words(const struct tn_sql_pipeline *p)
{
	uint64_t words = tn_app_settings_words(p);

	for (uint32_t i = 0; i < p->table_count; i++)
		words = add_word(add_word(words, p->tables[i]->name),
		    p->tables[i]->definition);
	for (uint32_t i = 0; i < p->view_count; i++)
		words = add_word(add_word(words, p->views[i]->name),
		    p->views[i]->definition);
	return words;
}

/* Other settings may be what a start fails for (an address that is taken, a key
 * that cannot be read), and nobody is there to see it. */
bool
tn_app_may_restart(const struct app *a, const struct tn_sql_pipeline *p)
{
	return a->restart != NULL &&
	    a->set.number[TN_SET_APPLY_RESTART] != 0 &&
	    tn_app_settings_words(p) == a->settings_words;
}

bool
tn_app_is_same(const struct tn_sql_pipeline *p,
    const struct tn_sql_pipeline *now)
{
	return all_words(p) == all_words(now);
}

void
tn_app_ahead_text(const struct app *a, const struct tn_sql_pipeline *p,
    struct tn_buf *out)
{
	bool others = tn_app_settings_words(p) != a->settings_words;

	tn_buf_str(out, tn_app_may_restart(a, p) ? "the server restarts "
	    "itself to take it\n" : others ? "settings (ALTER SYSTEM) are "
	    "others, too: restart Tarn to take it, the start makes what is "
	    "left\n" : "restart Tarn to take it: the start makes what is "
	    "left\n");
}
