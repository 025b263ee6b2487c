/* What a run made of each view, for the page Runs: how many rows were folded and
 * how long that took, how long its gold files took, how many there are and how
 * many published rows they change. All of it is measured here, while it is done,
 * and stands in the catalog with the publication.
 *
 * Rows are those that the view was asked to fold: of its stream, accepted, no
 * duplicates; a WHERE of its own comes after. Lengths are of the monotonic
 * clock: a wall clock that is set meanwhile makes none wrong. */
#include "batch/batch_int.h"

#include "os/os.h"

void
tn_batch_fold_rows(struct tn_exec_fold *f, const struct tn_exec_rows *rows,
    const struct tn_exec_refs *refs, struct tn_batch_spent *s)
{
	int64_t begun = tn_os_mono_us();
	uint32_t n = rows->batch->rows;

	for (uint32_t i = 0; rows->skip != NULL && i < rows->batch->rows; i++)
		n -= rows->skip[i] != 0;
	tn_exec_fold_apply(f, rows, refs, NULL);
	s->rows += n;
	s->us += tn_os_mono_us() - begun;
}

struct tn_catalog_run_view
tn_batch_view_begin(const struct change *c, const struct tn_serving_view *v,
    uint32_t groups)
{
	return (struct tn_catalog_run_view){ .view = v->id,
	    .started_us = tn_os_wall_us(), .write_us = tn_os_mono_us(),
	    .rows = (int64_t)c->spent.rows, .fold_us = c->spent.us, .groups = groups,
	    .files = c->add_count, .changed = c->changed };
}

void
tn_batch_view_end(struct change *c, struct tn_catalog_run_view *x)
{
	x->write_us = tn_os_mono_us() - x->write_us;
	x->files = c->add_count - x->files;
	x->changed = c->changed - x->changed;
	if (c->view_count == c->view_cap) {
		c->view_cap = c->view_cap == 0 ? 16 : c->view_cap * 2;
		c->views = tn_realloc(c->views,
		    c->view_cap * sizeof *c->views);
	}
	c->views[c->view_count++] = *x;
}
