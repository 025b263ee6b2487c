/* Tables for other engines, kept up to date: after each publication the lake
 * is told which files every table has now, and writes Iceberg and Delta Lake
 * versions of those that changed.
 *
 *   catalog published --> follow: for each table whose files are others than
 *   at the last time --> tn_lake_table_commit
 *
 * The catalog stays the truth: a version that cannot be written is tried again
 * with the next publication, and no cut fails for it. At a start each format
 * is given the files of the publication that its newest version names, and
 * what happened since becomes one version.
 *
 * A table whose files are still of an older definition is left as it is until
 * they are made anew: columns and files of a version belong together. Views
 * with HAVING show the column _visible: gold holds all groups. */
#include "batch/batch_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define LOOK_PARTS 16            /* Of the time snapshots are kept. */
#define EARLY_PARTS 10

struct table {
	struct tn_lake_table *lake;
	enum tn_catalog_tier tier;
	uint32_t object;
	uint32_t version;
	bool behind;             /* The last commit failed, or none was. */
};
struct tn_batch_tables {
	struct table *tables;
	uint32_t count;
	const struct tn_catalog_snapshot *last;  /* What they were told. */
	int64_t looked_us;       /* When all were told. */
	struct tn_counter *failed;
};

static const char *const tier_names[] = { "", "bronze", "silver", "gold" };

/* ---- files ----------------------------------------------------------- */

static void
files_of(const struct tn_catalog_snapshot *s, const struct table *t,
    struct tn_arena *a, struct tn_lake_table_file **out, uint32_t *count)
{
	uint32_t first;

	*count = tn_catalog_snapshot_find(s, t->tier, t->object, &first);
	*out = tn_arena_alloc(a, (*count + 1ul) * sizeof **out);
	for (uint32_t i = 0; i < *count; i++) {
		const struct tn_catalog_file *f = &s->files[first + i];
		(*out)[i] = (struct tn_lake_table_file){ f->id, f->path,
		    f->rows, f->bytes, f->time_min };
	}
}

/* Are all files of the definition in force? Bronze knows none. */
static bool
is_settled(const struct tn_catalog_snapshot *s, const struct table *t)
{
	uint32_t first, n = tn_catalog_snapshot_find(s, t->tier, t->object,
	    &first);

	for (uint32_t i = first; i < first + n; i++)
		if (s->files[i].version != t->version)
			return t->tier == TN_TIER_BRONZE;
	return true;
}

static bool
is_same(const struct tn_catalog_snapshot *a,
    const struct tn_catalog_snapshot *b, const struct table *t)
{
	uint32_t i, k;
	uint32_t n = tn_catalog_snapshot_find(a, t->tier, t->object, &i);

	if (a == b)
		return true;
	if (tn_catalog_snapshot_find(b, t->tier, t->object, &k) != n)
		return false;
	for (uint32_t x = 0; x < n; x++)
		if (a->files[i + x].id != b->files[k + x].id)
			return false;
	return true;
}

/* ---- after a publication --------------------------------------------- */

static void
tell(struct tn_batch_tables *x, struct table *t,
    const struct tn_catalog_snapshot *now, struct tn_lake_table_cut cut)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_lake_table_file *files;
	uint32_t count;
	enum tn_status st;

	cut.version = t->version;
	files_of(now, t, a, &files, &count);
	st = tn_lake_table_commit(t->lake, &cut, files, count);
	t->behind = st != TN_OK;
	if (st != TN_OK) {
		tn_counter_add(x->failed, 1);
		tn_say(TN_WARN, "batch", "Iceberg or Delta metadata of a %s "
		    "table could not be written (%s); the next publication "
		    "tries again", tier_names[t->tier], tn_status_text(st));
	}
	tn_arena_free(a);
}

static void
follow(struct tn_batch_jobs *b, bool same_rows, uint64_t kept_from)
{
	struct tn_batch_tables *x = b->tables;
	const struct tn_catalog_snapshot *now = tn_catalog_snapshot(
	    b->o.catalog);
	int64_t at = tn_os_wall_us(), expiry = tn_batch_expiry(b);
	uint64_t in_force = 0;
	bool look = kept_from != 0 || x->last == NULL || at < x->looked_us ||
	    at - x->looked_us > b->o.garbage_us / LOOK_PARTS;
	/* Rows are the same only if nothing else happened in between. */
	struct tn_lake_table_cut cut = { .sequence = now->sequence,
	    .lsn = now->lsn, .at_us = at, .held = expiry == INT64_MIN,
	    .same_rows = same_rows && x->last != NULL &&
	    x->last->sequence + 1 == now->sequence };

	/* A little early: their files are removed when snapshot_keep is over. */
	if (expiry != INT64_MIN && tn_catalog_cut_find(b->o.catalog,
	    TN_CATALOG_TIME, expiry + b->o.garbage_us / EARLY_PARTS,
	    &in_force) == TN_OK && in_force > kept_from)
		kept_from = in_force;
	cut.kept_from = kept_from;
	for (uint32_t i = 0; i < x->count; i++) {
		struct table *t = &x->tables[i];
		if (!is_settled(now, t))
			continue;
		if (!look && !t->behind && is_same(x->last, now, t))
			continue;
		cut.same_rows = cut.same_rows && !t->behind;
		tell(x, t, now, cut);
	}
	if (look)
		x->looked_us = at;
	tn_catalog_snapshot_put(x->last);
	x->last = now;
}

void
tn_batch_tables_follow(struct tn_batch_jobs *b, bool same_rows)
{
	/* At the start they are opened last. */
	if (b->tables != NULL)
		follow(b, same_rows, 0);
}

void
tn_batch_tables_expired(struct tn_batch_jobs *b)
{
	const struct tn_catalog_snapshot *oldest = NULL;

	if (b->tables == NULL || tn_catalog_snapshot_at(b->o.catalog,
	    TN_CATALOG_LSN_FROM, 0, &oldest) != TN_OK)
		return;
	follow(b, false, oldest->sequence);
	tn_catalog_snapshot_put(oldest);
}

static bool
is_of(const struct tn_serving_model *m, const struct table *t,
    uint32_t stream)
{
	if (t->tier != TN_TIER_GOLD)
		return t->object == stream;
	for (uint32_t i = 0; i < m->view_count; i++)
		if (m->views[i].id == t->object)
			return m->streams[m->views[i].stream].id == stream;
	return false;
}

void
tn_batch_tables_renew(struct tn_batch_jobs *b, uint32_t stream)
{
	struct tn_batch_tables *x = b->tables;

	if (x == NULL)
		return;
	for (uint32_t i = 0; i < x->count; i++)
		if (is_of(b->o.model, &x->tables[i], stream)) {
			tn_lake_table_renew(x->tables[i].lake);
			x->tables[i].behind = true;
		}
	follow(b, false, 0);
}

void
tn_batch_tables_keep(struct tn_batch_jobs *b)
{
	for (uint32_t i = 0; b->tables != NULL && i < b->tables->count; i++)
		tn_lake_table_keep(b->tables->tables[i].lake,
		    b->o.garbage_us);
}

/* ---- at the start ---------------------------------------------------- */

/* The files that a format's newest version names. */
static void
recall(struct tn_batch_jobs *b, struct table *t, enum tn_lake_format format)
{
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    b->o.catalog);
	uint64_t sequence = tn_lake_table_sequence(t->lake, format);
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_lake_table_file *files;
	uint32_t count;

	files_of(s, t, a, &files, &count);
	/* Mostly nothing happened since, however long ago that was. */
	if (sequence != 0 && !tn_lake_table_recall(t->lake, format, files,
	    count)) {
		tn_catalog_snapshot_put(s);
		s = NULL;
		if (tn_catalog_snapshot_at(b->o.catalog, TN_CATALOG_SEQUENCE,
		    (int64_t)sequence, &s) == TN_OK) {
			files_of(s, t, a, &files, &count);
			(void)tn_lake_table_recall(t->lake, format, files,
			    count);
		}
	}
	tn_catalog_snapshot_put(s);
	tn_arena_free(a);
}

static void
add(struct tn_batch_jobs *b, const struct table *like,
    struct tn_lake_table_opts o)
{
	struct tn_batch_tables *x = b->tables;
	struct table *t = &x->tables[x->count++];

	*t = *like;
	t->behind = true;
	o.tier = tier_names[t->tier];
	o.formats = b->o.table_formats;
	o.keep_us = b->o.garbage_us;
	t->lake = tn_lake_table_open(b->o.lake, &o);
	recall(b, t, TN_LAKE_ICEBERG);
	recall(b, t, TN_LAKE_DELTA);
}

static void
add_stream(struct tn_batch_jobs *b, const struct tn_governance_stream *s)
{
	struct table t = { .tier = TN_TIER_BRONZE, .object = s->id,
	    .version = s->version };
	uint32_t sort[TN_BATCH_SORT_MAX];

	add(b, &t, (struct tn_lake_table_opts){ .name = s->table->name,
	    .schema = &tn_governance_bronze, .day_column = -1,
	    .sorted_column = TN_BRONZE_LSN });
	(void)tn_batch_sort_columns(s, sort);
	t.tier = TN_TIER_SILVER;
	add(b, &t, (struct tn_lake_table_opts){ .name = s->table->name,
	    .schema = s->silver, .day_column = tn_batch_time_column(s),
	    .sorted_column = (int)sort[0] });
}

static void
add_view(struct tn_batch_jobs *b, const struct tn_serving_view *v)
{
	struct table t = { .tier = TN_TIER_GOLD, .object = v->id,
	    .version = v->version };
	const struct tn_sql_select *s = v->def->select;
	struct tn_schema schema = *s->schema;
	struct tn_arena *a = tn_arena_new(1024);
	const char **hidden = tn_arena_alloc(a, (s->group_count + 2ul) *
	    sizeof *hidden);
	struct tn_field *fields = tn_alloc((schema.count + 1ul) *
	    sizeof *fields);

	/* What tn_exec_fold_save adds to the outputs. */
	for (uint32_t i = 0; i < s->group_count; i++)
		hidden[i] = tn_arena_printf(a, "_k%u", (unsigned)i);
	hidden[s->group_count] = "_state";
	hidden[s->group_count + 1] = "_visible";
	memcpy(fields, schema.fields, schema.count * sizeof *fields);
	if (s->having != NULL)
		fields[schema.count++] = (struct tn_field){ "_visible",
		    tn_record_type(TN_T_BOOL), true };
	schema.fields = fields;
	add(b, &t, (struct tn_lake_table_opts){ .name = v->def->name,
	    .schema = &schema, .hidden = hidden,
	    .hidden_count = s->group_count + 1 + (s->having == NULL),
	    .day_column = -1, .sorted_column = -1 });
	tn_free(fields);
	tn_arena_free(a);
}

static bool
is_listed(const struct tn_batch_tables *x, const struct tn_catalog_file *f)
{
	for (uint32_t i = 0; i < x->count; i++)
		if (x->tables[i].tier == f->tier &&
		    x->tables[i].object == f->object)
			return true;
	return false;
}

/* "silver/badge" of "silver/badge/date=2026-03-01/x.parquet". */
static const char *
folder_of(struct tn_arena *a, const char *path)
{
	const char *slash = strchr(path, '/');

	slash = slash != NULL ? strchr(slash + 1, '/') : NULL;
	return slash == NULL ? path : tn_arena_strndup(a, path,
	    (size_t)(slash - path));
}

/* Streams that the configuration does not name any more keep their files, and
 * so do their tables; the rest has none, and goes. */
static enum tn_status
sweep(struct tn_batch_jobs *b)
{
	const struct tn_serving_model *m = b->o.model;
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    b->o.catalog);
	struct tn_arena *a = tn_arena_new(4096);
	const char **keep = tn_arena_alloc(a, (s->count + 2ul *
	    m->stream_count + tn_serving_view_slots(m) + 1) * sizeof *keep);
	uint32_t n = 0;
	enum tn_status st;

	for (uint32_t i = 0; i < 2 * m->stream_count; i++)
		keep[n++] = tn_arena_printf(a, "%s/%s", tier_names[1 + i % 2],
		    m->streams[i / 2].table->name);
	for (uint32_t i = 0; i < m->view_count; i++)
		if (tn_serving_view_live(m, i))
			keep[n++] = tn_arena_printf(a, "gold/%s",
			    m->views[i].def->name);
	for (uint32_t i = 0; b->o.table_formats != 0 && i < s->count; i++) {
		const char *folder = folder_of(a, s->files[i].path);
		if (!is_listed(b->tables, &s->files[i]) && (n == 0 ||
		    strcmp(keep[n - 1], folder) != 0))
			keep[n++] = folder;
	}
	st = tn_lake_tables_sweep(b->o.lake, keep, n);
	tn_catalog_snapshot_put(s);
	tn_arena_free(a);
	return st;
}

enum tn_status
tn_batch_tables_open(struct tn_batch_jobs *b)
{
	const struct tn_serving_model *m = b->o.model;
	struct tn_batch_tables *x = tn_zalloc(sizeof *x);
	enum tn_status st;

	x->tables = tn_zalloc((2ul * m->stream_count +
	    tn_serving_view_slots(m) + 1) * sizeof *x->tables);
	x->failed = tn_counter_get(TN_COUNTER, "tarn_table_failures_total",
	    NULL, "Iceberg or Delta versions that could not be written.");
	b->tables = x;
	for (uint32_t i = 0; i < m->stream_count; i++)
		add_stream(b, &m->streams[i]);
	for (uint32_t i = 0; i < m->view_count; i++)
		if (tn_serving_view_live(m, i))
			add_view(b, &m->views[i]);
	st = sweep(b);
	if (st == TN_OK)
		follow(b, false, 0);
	return st == TN_OK ? tn_batch_erase_finish(b) : st;
}

static void
remove_view(struct tn_batch_tables *x, uint32_t object)
{
	for (uint32_t i = 0; i < x->count; i++) {
		struct table *t = &x->tables[i];
		if (t->tier != TN_TIER_GOLD || t->object != object)
			continue;
		tn_lake_table_free(t->lake);
		*t = x->tables[--x->count];
		return;
	}
}

/* One whose view is gone stays as it is until the next start sweeps it. */
void
tn_batch_tables_change(struct tn_batch_jobs *b,
    const struct tn_serving_change *c)
{
	const struct tn_serving_model *m = b->o.model;

	if (b->tables == NULL)
		return;
	for (uint32_t i = 0; i < c->gone_count; i++)
		remove_view(b->tables, m->views[c->gone[i]].id);
	for (uint32_t i = 0; i < c->built_count; i++)
		add_view(b, &m->views[c->built[i].view]);
	follow(b, false, 0);
}

void
tn_batch_tables_free(struct tn_batch_jobs *b)
{
	struct tn_batch_tables *x = b->tables;

	if (x == NULL)
		return;
	for (uint32_t i = 0; i < x->count; i++)
		tn_lake_table_free(x->tables[i].lake);
	tn_catalog_snapshot_put(x->last);
	tn_free(x->tables);
	tn_free(x);
	b->tables = NULL;
}
