/* Silver that was prepared for a definition to come: which of it there is, how
 * it gets into a publication, and how it goes.
 *
 * A publication that adopts names the files and ends the note of them in one
 * transaction. What goes leaves the catalog first: a crash then leaves files
 * that nothing names, which the next start sweeps. What can go wrong: files that
 * are not there as they were noted (a backup that was put back, a damaged
 * disk); then none is taken, and all rows are read anew. */
#include "batch/prepare_int.h"

#include <string.h>

#include "os/os.h"

static enum tn_status
find(struct tn_batch_jobs *b, uint32_t object, struct tn_arena *a,
    struct tn_catalog_prepared *out)
{
	struct tn_catalog_prepared *all = NULL;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_prepared(b->o.catalog, a, &all,
	    &count);

	memset(out, 0, sizeof *out);
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		if (all[i].object == object)
			*out = all[i];
	return st;
}

enum tn_status
tn_batch_prepared_lsn(struct tn_batch_jobs *b,
    const struct tn_governance_stream *s, uint64_t *lsn)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_catalog_prepared p;
	enum tn_status st = find(b, s->id, a, &p);

	*lsn = p.version == s->version ? p.lsn : 0;
	tn_arena_free(a);
	return st;
}

/* ---- that it goes ---------------------------------------------------- */

static void
remove_file(struct tn_batch_jobs *b, const char *path)
{
	if (tn_lake_remove(b->o.lake, path) != TN_OK)
		tn_say(TN_WARN, "batch", "%s could not be removed; the next "
		    "start does it", path);
}

enum tn_status
tn_batch_prepared_drop_one(struct tn_batch_jobs *b, uint32_t object)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_prepared p;
	struct tn_catalog_file *files = NULL;
	uint32_t count = 0;
	enum tn_status st = find(b, object, a, &p);

	if (st == TN_OK && p.object != 0)
		st = tn_catalog_prepared_files(b->o.catalog, &p, a, &files,
		    &count);
	if (st == TN_ECORRUPT)           /* It goes anyway. */
		st = TN_OK;
	if (st == TN_OK && p.object != 0)
		st = tn_catalog_prepared_forget(b->o.catalog, object);
	if (p.object != 0)
		tn_os_crash_point("prepare_forgotten");
	for (uint32_t i = 0; st == TN_OK && i < count; i++)
		remove_file(b, files[i].path);
	tn_arena_free(a);
	return st;
}

enum tn_status
tn_batch_prepared_drop(struct tn_batch_jobs *b,
    const struct tn_governance_stream *kept, uint32_t n)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_catalog_prepared *all = NULL;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_prepared(b->o.catalog, a, &all,
	    &count);

	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		bool stays = false;
		for (uint32_t k = 0; k < n; k++)
			stays = stays || (kept[k].id == all[i].object &&
			    kept[k].version == all[i].version);
		if (!stays)
			st = tn_batch_prepared_drop_one(b, all[i].object);
	}
	tn_arena_free(a);
	return st;
}

/* ---- that it is taken over -------------------------------------------- */

/* Every byte is read: they were written while the program ran, so mostly the
 * system still has them in memory; and all views are folded from them next. */
static bool
are_whole(struct tn_batch_jobs *b, const struct tn_batch_adopted *x)
{
	for (uint32_t i = 0; i < x->count; i++) {
		uint64_t bytes = 0;
		uint32_t crc = 0;
		if (tn_lake_check(b->o.lake, x->files[i].path, &crc, &bytes) !=
		    TN_OK || bytes != x->files[i].bytes ||
		    crc != x->files[i].crc) {
			tn_say(TN_WARN, "batch", "%s is not as it was "
			    "prepared: all rows are read anew",
			    x->files[i].path);
			return false;
		}
	}
	return true;
}

static struct tn_lake_file
written(const struct tn_catalog_file *f)
{
	struct tn_lake_file l = { .rows = f->rows, .bytes = f->bytes,
	    .crc = f->crc, .time_min = f->time_min, .time_max = f->time_max };

	memcpy(l.partition, f->partition, sizeof l.partition);
	memcpy(l.path, f->path, sizeof l.path);
	return l;
}

static void
add_files(struct change *c, const struct tn_governance_stream *s,
    struct tn_batch_adopted *x)
{
	tn_assert(c->add_count == 0);
	for (uint32_t i = 0; i < x->count; i++) {
		const struct tn_catalog_file *f = &x->files[i];
		struct tn_lake_file l = written(f);
		if (!tn_batch_remake_keeps(c->b, s, f->time_max))
			continue;
		tn_batch_change_add(c, TN_TIER_SILVER, s->id, s->version, &l,
		    f->lsn_min, f->lsn_max);
		x->rows += f->rows;
	}
	c->rows += x->rows;
	c->adopted_count = c->add_count;
}

enum tn_status
tn_batch_adopt(struct change *c, const struct tn_governance_stream *s,
    struct tn_batch_adopted *x, uint64_t *after)
{
	struct tn_catalog_prepared p;
	enum tn_status st;

	*after = 0;
	memset(x, 0, sizeof *x);
	x->arena = tn_arena_new(4096);
	st = find(c->b, s->id, x->arena, &p);
	if (st != TN_OK || p.object == 0 || p.version != s->version)
		return st;
	st = tn_catalog_prepared_files(c->b->o.catalog, &p, x->arena,
	    &x->files, &x->count);
	if (st == TN_ECORRUPT || (st == TN_OK && !are_whole(c->b, x))) {
		x->count = 0;
		return tn_batch_prepared_drop_one(c->b, s->id);
	}
	if (st != TN_OK)
		return st;
	*after = p.lsn;
	c->adopted = s->id;
	add_files(c, s, x);
	tn_say(TN_INFO, "batch", "%llu rows of %s were prepared, up to LSN "
	    "%llu", (unsigned long long)x->rows, s->table->name,
	    (unsigned long long)p.lsn);
	return TN_OK;
}

void
tn_batch_adopted_end(struct change *c, const struct tn_governance_stream *s,
    struct tn_batch_adopted *x, bool published)
{
	for (uint32_t i = 0; published && i < x->count; i++)
		if (!tn_batch_remake_keeps(c->b, s, x->files[i].time_max))
			remove_file(c->b, x->files[i].path);
	if (x->arena != NULL)
		tn_arena_free(x->arena);
	memset(x, 0, sizeof *x);
}
