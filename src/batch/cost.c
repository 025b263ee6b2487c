/* What every table has in every tier, and what objects have, noted once an hour
 * for the day: bytes a day and a forecast are made of it (GET /api/v1/lake). The
 * row of objects is there without any, too: a note that lacks it was made
 * before they were counted. A figure, so a failure
 * is said and costs nothing else. */
#include "batch/batch_int.h"

#include "os/os.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)

/* The files of one object and tier stand together in a snapshot. */
static uint32_t
gather(const struct tn_batch_jobs *b, const struct tn_catalog_snapshot *s,
    int64_t now, struct tn_catalog_cost *out)
{
	int32_t day = (int32_t)(now / DAY_US);
	uint32_t n = 0;
	uint64_t count = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct tn_catalog_file *f = &s->files[i];
		if (n == 0 || out[n - 1].object != f->object ||
		    out[n - 1].tier != f->tier)
			out[n++] = (struct tn_catalog_cost){ .day = day,
			    .object = f->object, .tier = f->tier,
			    .first_us = now };
		out[n - 1].files++;
		out[n - 1].rows += f->rows;
		out[n - 1].bytes += f->bytes;
		if (tn_lake_is_cold(b->o.lake, f->path))
			out[n - 1].cold += f->bytes;
	}
	out[n] = (struct tn_catalog_cost){ .day = day,
	    .tier = TN_TIER_OBJECTS, .first_us = now };
	if (b->o.objects != NULL)
		b->o.objects(b->o.arg, &count, &out[n].bytes);
	out[n].files = (uint32_t)count;
	return n + 1;
}

void
tn_batch_cost(struct tn_batch_jobs *b)
{
	int64_t mono = tn_os_mono_us(), wall = tn_os_wall_us();
	int32_t day = (int32_t)(wall / DAY_US);
	const struct tn_catalog_snapshot *s;
	struct tn_catalog_cost *list;
	enum tn_status st;

	if (b->cost_us != 0 && mono < b->cost_us && day == b->cost_day)
		return;
	b->cost_us = mono + HOUR_US;
	b->cost_day = day;
	s = tn_catalog_snapshot(b->o.catalog);
	list = tn_alloc((s->count + 1) * sizeof *list);
	st = tn_catalog_cost_note(b->o.catalog, list, gather(b, s, wall,
	    list));
	if (st != TN_OK)
		tn_say(TN_WARN, "batch", "the cost of today could not be "
		    "noted: %s", tn_status_text(st));
	tn_free(list);
	tn_catalog_snapshot_put(s);
}
