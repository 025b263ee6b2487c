/* Views that come, change and go while the program runs.
 *
 *   add     a slot behind the others, BUILT: nobody sees it
 *   (its rows are folded)
 *   name    it gets its id and version
 *   (batch makes its gold and publishes)
 *   swap    in one message of the speed layer: BUILT -> LIVE, LIVE -> GONE
 *
 * A slot is never used again: a request that found the old definition ends
 * with it, from the states and the snapshot of the swap (speed keeps both for
 * a while). The pipelines stay, too: programs and plans point into them. */
#include "serving/serving_int.h"

#include <string.h>

/* From now on the model frees it, whatever becomes of the change. */
static void
keep_pipeline(struct tn_serving_model *m, struct tn_sql_pipeline *p)
{
	for (uint32_t i = 0; i < m->older_count; i++)
		if (m->older[i] == p)
			return;
	m->older = tn_realloc(m->older, (m->older_count + 1) *
	    sizeof *m->older);
	m->older[m->older_count++] = p;
}

/* Does the program run with the tables that it reads? */
static bool
has_tables(const struct tn_serving_model *m, const struct tn_sql_select *s)
{
	bool all = tn_serving_stream_find(m, tn_slice_of(s->source)) >= 0;

	for (uint32_t i = 0; i < s->join_count; i++)
		all = all && tn_serving_stream_find(m, tn_slice_of(
		    s->joins[i].table)) >= 0;
	return all;
}

enum tn_status
tn_serving_change_add(struct tn_serving_change *c,
    const struct tn_sql_view *def, struct tn_diag *d)
{
	struct tn_serving_model *m = c->model;
	struct tn_serving_view *v = &m->views[m->view_count];
	struct tn_serving_built *x;
	int old = tn_serving_view_find(m, tn_slice_of(def->name));

	if (m->view_count == m->slots) {
		tn_diag_hint(d, "restart tarn: it makes room for %u again, "
		    "and the start computes what changed", TN_VIEWS_MORE);
		return tn_diag_set(d, TN_ELIMIT, "too_many_changes",
		    "%u definitions of views came or changed since the start: "
		    "it takes no more while it runs", TN_VIEWS_MORE);
	}
	if (!has_tables(m, def->select)) {
		tn_diag_hint(d, "restart: the start takes new tables");
		return tn_diag_set(d, TN_ECONFLICT, "needs_restart",
		    "%s reads a table that is new: that is done at a start",
		    def->name);
	}
	keep_pipeline(m, c->pipeline);
	tn_serving_view_make(m, def);
	tn_exec_program_state_max(v->program, m->state_max);
	__atomic_store_n(&v->state, TN_VIEW_BUILT, __ATOMIC_RELEASE);
	c->built = tn_realloc(c->built, (c->built_count + 1) *
	    sizeof *c->built);
	x = &c->built[c->built_count++];
	*x = (struct tn_serving_built){ .view = m->view_count, .old = old };
	m->view_count++;                /* Now others may see the slot. */
	if (old >= 0)
		tn_serving_change_drop(c, (uint32_t)old);
	return TN_OK;
}

void
tn_serving_change_drop(struct tn_serving_change *c, uint32_t view)
{
	c->gone = tn_realloc(c->gone, (c->gone_count + 1) * sizeof *c->gone);
	c->gone[c->gone_count++] = view;
}

enum tn_status
tn_serving_change_name(struct tn_serving_change *c, struct tn_catalog *cat,
    struct tn_diag *d)
{
	for (uint32_t i = 0; i < c->built_count; i++) {
		struct tn_serving_view *v = &c->model->views[c->built[i].view];
		enum tn_status st = tn_serving_view_name(v, c->pipeline, cat);
		if (st != TN_OK)
			return tn_diag_set(d, st, "catalog", "the definition "
			    "of %s could not be stored: %s", v->def->name,
			    tn_status_text(st));
	}
	return TN_OK;
}

static void
set_state(struct tn_serving_model *m, uint32_t view,
    enum tn_serving_state state)
{
	__atomic_store_n(&m->views[view].state, (uint32_t)state,
	    __ATOMIC_RELEASE);
}

void
tn_serving_change_swap(struct tn_serving_change *c)
{
	struct tn_serving_model *m = c->model;
	struct tn_sql_pipeline *was = (struct tn_sql_pipeline *)m->pipeline;

	/* First what comes, so that no name is missing for an instant. */
	for (uint32_t i = 0; i < c->built_count; i++)
		set_state(m, c->built[i].view, TN_VIEW_LIVE);
	__atomic_store_n(&m->pipeline, c->pipeline, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < c->gone_count; i++)
		set_state(m, c->gone[i], TN_VIEW_GONE);
	keep_pipeline(m, was);
	for (uint32_t i = 0; i < m->older_count; i++)
		if (m->older[i] == c->pipeline)
			m->older[i] = m->older[--m->older_count];
	__atomic_add_fetch(&m->changes, 1, __ATOMIC_ACQ_REL);
}

void
tn_serving_change_fini(struct tn_serving_change *c)
{
	struct tn_serving_model *m = c->model;

	for (uint32_t i = 0; i < c->built_count; i++) {
		struct tn_serving_built *x = &c->built[i];
		if (!tn_serving_view_live(m, x->view))
			set_state(m, x->view, TN_VIEW_GONE);
		tn_exec_fold_free(x->states);
		tn_exec_fold_free(x->tail);
	}
	if (c->pipeline != NULL && c->pipeline != m->pipeline)
		keep_pipeline(m, c->pipeline);
	tn_free(c->built);
	tn_free(c->gone);
	memset(c, 0, sizeof *c);
}
