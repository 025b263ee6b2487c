/* Versions of an Apache Iceberg table (format version 2), laid out as the
 * Hadoop catalog does, so that a folder is enough to read it:
 *
 *   metadata/m-<sequence>.avro         the manifest that a snapshot wrote
 *   metadata/snap-<sequence>.avro      the list of its manifests
 *   metadata/v<N>.metadata.json        the table; the highest N is in force
 *   metadata/version-hint.text         that N
 *
 *   change -> manifest -> list -> vN (this names it) -> hint -> old ones go
 *
 * A snapshot's id is the sequence of the publication it was made of. Each
 * writes one manifest: what was added, what is gone, and all else of those
 * manifests that lost a file or are no larger than it is by now. So a file
 * that stays is written a logarithmic number of times, and there are about
 * log2(files) manifests. The list of snapshots is bounded by age and number;
 * what only older ones named is removed with them.
 *
 * After a start the manifests of before are not read: the next snapshot writes
 * one with all files, and they go when no snapshot kept is older than that.
 * What can go wrong: a write; then the table stays at the version before. A
 * crash between leaves files that no version names: removed at the start. */
#include "lake/iceberg_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define FOLDER TN_LAKE_ICEBERG_FOLDER
#define VERSIONS_KEPT 16         /* For who has just read the hint. */
#define METADATA_MAX ((size_t)64 << 20)

static void
clear_state(struct tn_lake_iceberg *x)
{
	struct tn_lake_texts *all[] = { &x->schemas, &x->specs, &x->orders };

	for (uint32_t i = 0; i < x->snapshot_count; i++)
		tn_free(x->snapshots[i].summary);
	tn_free(x->snapshots);
	for (uint32_t i = 0; i < x->column_count; i++)
		tn_free(x->columns[i]);
	tn_free(x->columns);
	for (size_t k = 0; k < TN_COUNT(all); k++) {
		for (uint32_t i = 0; i < all[k]->count; i++)
			tn_free(all[k]->p[i].json);
		tn_free(all[k]->p);
	}
	tn_free(x->manifests);
	tn_free(x->dead);
	tn_lake_names_fini(&x->names);
	memset(x, 0, sizeof *x);
}

static void
remove_numbered(const struct tn_lake_table *t, const char *before,
    uint64_t n, const char *after)
{
	char file[64];

	(void)snprintf(file, sizeof file, "%s%llu%s", before,
	    (unsigned long long)n, after);
	tn_lake_table_unlink(t, FOLDER, file);
	tn_os_crash_point("table_removed");
}

static void
add_dead(struct tn_lake_iceberg *x, uint64_t made, uint64_t since)
{
	x->dead = tn_realloc(x->dead, (x->dead_count + 1ul) *
	    sizeof *x->dead);
	x->dead[x->dead_count++] = (struct tn_lake_dead){ made, since };
}

/* A new table at the same place: versions go on counting. */
static void
begin_anew(struct tn_lake_table *t)
{
	struct tn_lake_iceberg *x = t->iceberg;
	uint64_t version = x->version;
	struct tn_lake_dead *dead;
	uint32_t dead_count;

	for (uint32_t i = 0; i < x->snapshot_count; i++)
		remove_numbered(t, "snap-", x->snapshots[i].id, ".avro");
	for (uint32_t i = 0; i < x->manifest_count; i++)
		add_dead(x, x->manifests[i].made, 0);
	dead = x->dead;
	dead_count = x->dead_count;
	x->dead = NULL;
	clear_state(x);
	x->version = version;
	x->dead = dead;
	x->dead_count = dead_count;
	x->known = true;
	x->stale = true;
	x->schema = x->spec = x->order = -1;
	tn_lake_uuid(x->uuid);
}

/* ---- at the start ---------------------------------------------------- */

static bool
has_snapshot(const struct tn_lake_iceberg *x, uint64_t id)
{
	for (uint32_t i = 0; i < x->snapshot_count; i++)
		if (x->snapshots[i].id == id)
			return true;
	return false;
}

/* Does the version in force, or one just before it, need the file? Manifests
 * are remembered. */
static bool
is_needed(struct tn_lake_iceberg *x, const char *name)
{
	uint64_t n;

	if (strcmp(name, "version-hint.text") == 0)
		return x->version != 0;
	if (tn_lake_number_in(name, "v", ".metadata.json", &n))
		return n <= x->version && n + VERSIONS_KEPT > x->version;
	if (tn_lake_number_in(name, "snap-", ".avro", &n))
		return has_snapshot(x, n);
	if (!tn_lake_number_in(name, "m-", ".avro", &n) || n > x->sequence)
		return false;
	add_dead(x, n, 0);
	return true;
}

static enum tn_status
read_newest(struct tn_lake_table *t, char **names, size_t count)
{
	struct tn_lake_iceberg *x = t->iceberg;
	char file[48], path[TN_LAKE_PATH_MAX];
	struct tn_buf b = { 0 };
	uint64_t n, newest = 0;
	enum tn_status st;

	for (size_t i = 0; i < count; i++)
		if (tn_lake_number_in(names[i], "v", ".metadata.json", &n) &&
		    n > newest)
			newest = n;
	if (newest == 0)
		return TN_ENOTFOUND;
	(void)snprintf(file, sizeof file, "v%llu.metadata.json",
	    (unsigned long long)newest);
	tn_lake_table_path(t, FOLDER, file, path);
	st = tn_os_read_file(path, &b, METADATA_MAX);
	if (st == TN_OK && !tn_lake_iceberg_read(t, (struct tn_slice){ b.p,
	    b.n })) {
		st = TN_ECORRUPT;
		clear_state(x);
	}
	x->version = newest;
	tn_buf_fini(&b);
	return st;
}

static enum tn_status
write_hint(const struct tn_lake_table *t, uint64_t version)
{
	struct tn_buf b = { 0 };
	enum tn_status st;

	tn_buf_printf(&b, "%llu", (unsigned long long)version);
	st = tn_lake_table_put_hint(t, FOLDER, "version-hint.text", &b);
	tn_buf_fini(&b);
	return st;
}

void
tn_lake_iceberg_open(struct tn_lake_table *t)
{
	struct tn_lake_iceberg *x = tn_zalloc(sizeof *x);
	char **names = NULL;
	size_t count = 0;
	enum tn_status st;

	t->iceberg = x;
	st = tn_lake_table_list(t, FOLDER, &names, &count);
	if (st == TN_OK)
		st = read_newest(t, names, count);
	for (size_t i = 0; i < count; i++) {
		/* Without a version what is there is a first one's, which was
		 * broken off. */
		if ((st == TN_OK || st == TN_ECORRUPT ||
		    st == TN_ENOTFOUND) && !is_needed(x, names[i]))
			tn_lake_table_unlink(t, FOLDER, names[i]);
		tn_free(names[i]);
	}
	tn_free(names);
	if (st == TN_OK) {
		x->stale = tn_lake_iceberg_shape(t);
		x->known = x->sequence == 0;
		/* It may be one behind, after a crash. */
		if (write_hint(t, x->version) != TN_OK)
			tn_say(TN_WARN, "lake", "the version hint of %s/%s "
			    "could not be written", t->tier, t->name);
	} else {
		begin_anew(t);
	}
}

uint64_t
tn_lake_iceberg_sequence(const struct tn_lake_table *t)
{
	return t->iceberg == NULL || t->iceberg->known ? 0 :
	    t->iceberg->sequence;
}

bool
tn_lake_iceberg_recall(struct tn_lake_table *t,
    const struct tn_lake_table_file *files, uint32_t count)
{
	struct tn_lake_iceberg *x = t->iceberg;

	if (!tn_lake_names_recall(&x->names, x->print, files, count))
		return false;
	for (uint32_t i = 0; i < x->names.count; i++)
		x->names.p[i].since = x->sequence;
	x->known = true;
	return true;
}

/* ---- a new version --------------------------------------------------- */

struct commit {
	struct tn_lake_table *t;
	struct tn_lake_change c;
	struct tn_lake_manifest *manifests;  /* Of the new snapshot. */
	uint32_t manifest_count;
	uint8_t *taken;          /* A byte a manifest: its files move. */
	const struct tn_lake_named **moved;
	uint32_t moved_count;
	struct tn_lake_snapshot snapshot;
	uint32_t forget;         /* Snapshots, from the oldest. */
};

static int
manifest_of(const struct tn_lake_iceberg *x, const struct tn_lake_named *f)
{
	for (uint32_t i = 0; i < x->manifest_count; i++)
		if (x->manifests[i].made == f->manifest)
			return (int)i;
	return -1;
}

/* Which manifests are written anew: see the head of this file. */
static void
choose_manifests(struct commit *k)
{
	const struct tn_lake_iceberg *x = k->t->iceberg;
	uint64_t size = k->c.added_count;
	bool more = true;

	k->taken = tn_zalloc(x->manifest_count + 1ul);
	for (uint32_t i = 0; i < k->c.gone_count; i++) {
		int at = manifest_of(x, k->c.gone[i]);
		if (at >= 0)
			k->taken[at] = 1;
	}
	for (uint32_t i = 0; i < x->manifest_count; i++)
		if (k->taken[i])
			size += x->manifests[i].live;
	while (more) {
		more = false;
		for (uint32_t i = 0; i < x->manifest_count; i++) {
			if (k->taken[i] || x->manifests[i].live > size)
				continue;
			k->taken[i] = 1;
			size += x->manifests[i].live;
			more = true;
		}
	}
	k->moved = tn_alloc((k->c.kept_count + 1ul) * sizeof *k->moved);
	for (uint32_t i = 0; i < k->c.kept_count; i++) {
		int at = manifest_of(x, k->c.kept[i]);
		if (at < 0 || k->taken[at])
			k->moved[k->moved_count++] = k->c.kept[i];
	}
}

static enum tn_status
write_manifest(struct commit *k)
{
	struct tn_lake_table *t = k->t;
	struct tn_lake_iceberg *x = t->iceberg;
	struct tn_lake_manifest m;
	struct tn_buf b = { 0 };
	char file[48];
	enum tn_status st;

	k->manifests = tn_alloc((x->manifest_count + 1ul) *
	    sizeof *k->manifests);
	for (uint32_t i = 0; i < x->manifest_count; i++)
		if (!k->taken[i])
			k->manifests[k->manifest_count++] = x->manifests[i];
	tn_lake_iceberg_manifest(&b, t, &k->c, k->moved, k->moved_count, &m);
	(void)snprintf(file, sizeof file, "m-%llu.avro",
	    (unsigned long long)m.made);
	st = tn_lake_table_put_part(t, FOLDER, file, &b);
	tn_os_crash_point("table_manifest");
	k->manifests[k->manifest_count++] = m;
	tn_buf_fini(&b);
	return st;
}

static const char *
operation_of(const struct commit *k)
{
	if (k->c.gone_count == 0)
		return "append";
	if (k->c.cut->same_rows)
		return "replace";
	return k->c.added_count == 0 ? "delete" : "overwrite";
}

static void
put_count(struct tn_buf *b, const char *name, uint64_t v)
{
	tn_buf_printf(b, ",\"%s\":\"%llu\"", name, (unsigned long long)v);
}

static char *
summary_of(const struct commit *k)
{
	const struct tn_lake_change *c = &k->c;
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "{\"operation\":\"%s\"", operation_of(k));
	put_count(&b, "added-data-files", c->added_count);
	put_count(&b, "added-records", c->added_rows);
	put_count(&b, "added-files-size", c->added_bytes);
	put_count(&b, "deleted-data-files", c->gone_count);
	put_count(&b, "deleted-records", c->gone_rows);
	put_count(&b, "removed-files-size", c->gone_bytes);
	put_count(&b, "total-data-files", c->all.count);
	put_count(&b, "total-records", c->rows);
	put_count(&b, "total-files-size", c->bytes);
	put_count(&b, "total-delete-files", 0);
	put_count(&b, "total-position-deletes", 0);
	put_count(&b, "total-equality-deletes", 0);
	put_count(&b, "tarn.lsn", c->cut->lsn);
	put_count(&b, "tarn.sequence", c->cut->sequence);
	put_count(&b, "tarn.version", c->cut->version);
	tn_buf_char(&b, '}');
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

/* Readers refuse times that step back; the clock may. */
static int64_t
time_of(const struct tn_lake_iceberg *x, const struct tn_lake_table_cut *cut)
{
	int64_t ms = cut->at_us / 1000;

	for (uint32_t i = 0; i < x->snapshot_count; i++)
		if (x->snapshots[i].at_ms > ms)
			ms = x->snapshots[i].at_ms;
	return ms;
}

static enum tn_status
write_list(struct commit *k)
{
	struct tn_lake_table *t = k->t;
	struct tn_buf b = { 0 };
	char file[48];
	enum tn_status st;

	k->snapshot = (struct tn_lake_snapshot){ k->c.cut->sequence,
	    t->iceberg->sequence, time_of(t->iceberg, k->c.cut),
	    t->iceberg->schema, summary_of(k) };
	tn_lake_iceberg_list(&b, t, &k->snapshot, k->manifests,
	    k->manifest_count);
	(void)snprintf(file, sizeof file, "snap-%llu.avro",
	    (unsigned long long)k->snapshot.id);
	st = tn_lake_table_put_part(t, FOLDER, file, &b);
	tn_os_crash_point("table_list");
	tn_buf_fini(&b);
	return st;
}

/* How many of the oldest snapshots go: too many, or followed by another one
 * long ago. */
static uint32_t
count_old(const struct tn_lake_table *t, const struct tn_lake_table_cut *cut,
    uint32_t more)
{
	const struct tn_lake_iceberg *x = t->iceberg;
	/* A little early: their files are removed when keep_us is over. */
	int64_t before_ms = (cut->at_us - t->keep_us / 10 * 9) / 1000;
	uint32_t n = 0, stay = more > 0 ? 0 : 1;

	while (n + stay < x->snapshot_count &&
	    (x->snapshot_count + more - n > t->snapshots_max ||
	    (n + 1 < x->snapshot_count &&
	    ((!cut->held && x->snapshots[n + 1].at_ms < before_ms) ||
	    x->snapshots[n + 1].id <= cut->kept_from))))
		n++;
	return n;
}

/* ---- names ----------------------------------------------------------- */

/* The state with the new snapshot in it (none: summary NULL), as it will be
 * when the metadata has its name. Undone when that fails. */
static void
enter(struct commit *k, struct tn_lake_iceberg *was)
{
	struct tn_lake_iceberg *x = k->t->iceberg;
	uint32_t n = 0;

	*was = *x;
	x->version++;
	x->updated_ms = time_of(x, k->c.cut);
	x->snapshots = tn_alloc((x->snapshot_count + 1ul) *
	    sizeof *x->snapshots);
	for (uint32_t i = k->forget; i < was->snapshot_count; i++)
		x->snapshots[n++] = was->snapshots[i];
	/* The parent of the oldest is no more. */
	if (n > 0)
		x->snapshots[0].parent = 0;
	if (k->snapshot.summary != NULL) {
		if (n == 0)
			k->snapshot.parent = 0;
		x->snapshots[n++] = k->snapshot;
		x->sequence = k->snapshot.id;
		memcpy(x->print, k->c.print, sizeof x->print);
	}
	x->snapshot_count = n;
}

static void
leave(struct commit *k, const struct tn_lake_iceberg *was)
{
	struct tn_lake_iceberg *x = k->t->iceberg;

	tn_free(x->snapshots);
	*x = *was;
	tn_free(k->snapshot.summary);
}

static enum tn_status
write_metadata(const struct tn_lake_table *t)
{
	struct tn_buf b = { 0 };
	char file[48];
	enum tn_status st;

	tn_lake_iceberg_write(&b, t);
	(void)snprintf(file, sizeof file, "v%llu.metadata.json",
	    (unsigned long long)t->iceberg->version);
	st = tn_lake_table_put_new(t, FOLDER, file, &b);
	tn_os_crash_point("table_metadata");
	tn_buf_fini(&b);
	return st;
}

/* ---- what nobody names any more -------------------------------------- */

static void
remove_old(struct commit *k, const struct tn_lake_iceberg *was)
{
	struct tn_lake_table *t = k->t;
	struct tn_lake_iceberg *x = t->iceberg;
	uint64_t oldest = x->snapshot_count > 0 ? x->snapshots[0].id : 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < k->forget; i++) {
		remove_numbered(t, "snap-", was->snapshots[i].id, ".avro");
		tn_free(was->snapshots[i].summary);
	}
	for (uint32_t i = 0; i < x->dead_count; i++) {
		struct tn_lake_dead *d = &x->dead[i];
		if (d->since != 0 && d->since <= oldest)
			remove_numbered(t, "m-", d->made, ".avro");
		else
			x->dead[n++] = *d;
	}
	x->dead_count = n;
	if (x->version > VERSIONS_KEPT)
		remove_numbered(t, "v", x->version - VERSIONS_KEPT,
		    ".metadata.json");
}

/* The snapshot is public: what memory knows follows. */
static void
adopt(struct commit *k)
{
	struct tn_lake_iceberg *x = k->t->iceberg;
	uint64_t made = k->snapshot.id;

	for (uint32_t i = 0; i < x->dead_count; i++)
		if (x->dead[i].since == 0)
			x->dead[i].since = made;
	for (uint32_t i = 0; i < x->manifest_count; i++)
		if (k->taken[i])
			add_dead(x, x->manifests[i].made, made);
	for (uint32_t i = 0; i < k->moved_count; i++)
		((struct tn_lake_named *)(uintptr_t)k->moved[i])->manifest =
		    made;
	for (uint32_t i = 0; i < k->c.added_count; i++)
		((struct tn_lake_named *)(uintptr_t)k->c.added[i])->manifest =
		    made;
	tn_free(x->manifests);
	x->manifests = k->manifests;
	x->manifest_count = k->manifest_count;
	k->manifests = NULL;
	tn_lake_change_keep(&k->c, &x->names);
}

static enum tn_status
publish(struct commit *k)
{
	struct tn_lake_table *t = k->t;
	struct tn_lake_iceberg was;
	enum tn_status st;

	enter(k, &was);
	st = write_metadata(t);
	if (st != TN_OK) {
		leave(k, &was);
		return st;
	}
	st = write_hint(t, t->iceberg->version);
	t->iceberg->stale = st != TN_OK;     /* The next call tries again. */
	tn_os_crash_point("table_hint");
	if (k->snapshot.summary != NULL)
		adopt(k);
	remove_old(k, &was);
	tn_free(was.snapshots);
	return st;
}

static enum tn_status
commit_snapshot(struct commit *k, const struct tn_lake_table_file *files,
    uint32_t count)
{
	struct tn_lake_iceberg *x = k->t->iceberg;
	enum tn_status st = TN_OK;

	if (x->stale)
		(void)tn_lake_iceberg_shape(k->t);
	tn_lake_change_begin(&k->c, k->c.cut, &x->names, files, count);
	k->forget = count_old(k->t, k->c.cut, 0);
	if (k->c.added_count + k->c.gone_count > 0) {
		k->forget = count_old(k->t, k->c.cut, 1);
		choose_manifests(k);
		st = write_manifest(k);
		if (st == TN_OK)
			st = write_list(k);
	} else if (!x->stale && k->forget == 0) {
		return TN_OK;
	}
	if (st == TN_OK)
		return publish(k);
	tn_free(k->snapshot.summary);
	return st;
}

enum tn_status
tn_lake_iceberg_commit(struct tn_lake_table *t,
    const struct tn_lake_table_cut *cut,
    const struct tn_lake_table_file *files, uint32_t count)
{
	struct tn_lake_iceberg *x = t->iceberg;
	struct commit k = { .t = t, .c = { .cut = cut } };
	char path[TN_LAKE_PATH_MAX];
	enum tn_status st;

	if (x->version == 0 && count == 0)
		return TN_OK;
	if (!x->known || x->sequence > cut->sequence)
		begin_anew(t);
	tn_lake_table_path(t, FOLDER, "", path);
	st = tn_os_kind(path) == TN_OS_DIR ? TN_OK : tn_os_mkdirs(path);
	if (st == TN_OK)
		st = commit_snapshot(&k, files, count);
	tn_free(k.manifests);
	tn_free(k.taken);
	tn_free(k.moved);
	tn_lake_change_end(&k.c);
	return st;
}

void
tn_lake_iceberg_free(struct tn_lake_table *t)
{
	if (t->iceberg == NULL)
		return;
	clear_state(t->iceberg);
	tn_free(t->iceberg);
	t->iceberg = NULL;
}
