/* Tables for other engines: what Apache Iceberg and Delta Lake have in
 * common. The catalog says which files a table has; after each publication a
 * format whose newest version names other files gets a new one.
 *
 *   files of a publication --diff by id against what is named--> change
 *     --> iceberg.c, delta.c: write what is new, then give it its name
 *
 * The catalog stays the truth. A version carries the publication's sequence
 * and a fingerprint of the files it names, so that a start can tell what the
 * newest version holds: it is given the catalog's list of that sequence, and
 * goes on from there. A list that is not known any more begins the format's
 * history anew. What can go wrong: a file cannot be written; then the format
 * stays behind, and the next publication brings it up to date. */
#include "lake/tables_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

static const char *const folders[] = { TN_LAKE_ICEBERG_FOLDER,
    TN_LAKE_DELTA_FOLDER };

bool
tn_lake_is_table_folder(const char *name)
{
	for (size_t i = 0; i < TN_COUNT(folders); i++)
		if (strcmp(name, folders[i]) == 0)
			return true;
	return false;
}

/* ---- small writers --------------------------------------------------- */

void
tn_lake_table_path(const struct tn_lake_table *t, const char *folder,
    const char *file, char out[static TN_LAKE_PATH_MAX])
{
	(void)snprintf(out, TN_LAKE_PATH_MAX, "%s/%s/%s%s%s%s%s",
	    t->lake->root, t->tier, t->name, folder[0] != '\0' ? "/" : "",
	    folder, file[0] != '\0' ? "/" : "", file);
}

enum tn_status
tn_lake_table_put(const struct tn_lake_table *t, const char *folder,
    const char *file, const struct tn_buf *b)
{
	char path[TN_LAKE_PATH_MAX];
	enum tn_status st = tn_buf_status(b);

	if (st != TN_OK)
		return st;
	tn_lake_table_path(t, folder, file, path);
	return tn_os_write_file(path, b->p, b->n, 0640);
}

static enum tn_status
write_plain(const char *path, const struct tn_buf *b, bool sync)
{
	struct tn_os_file *file = NULL;
	enum tn_status st = tn_os_open(&file, path, TN_OS_REPLACE);

	if (st != TN_OK)
		return st;
	st = tn_os_write(file, b->p, b->n);
	if (st == TN_OK && sync)
		st = tn_os_sync(file);
	tn_os_close(file);
	return st;
}

enum tn_status
tn_lake_table_put_part(const struct tn_lake_table *t, const char *folder,
    const char *file, const struct tn_buf *b)
{
	char path[TN_LAKE_PATH_MAX];
	enum tn_status st = tn_buf_status(b);

	if (st != TN_OK)
		return st;
	tn_lake_table_path(t, folder, file, path);
	return write_plain(path, b, true);
}

enum tn_status
tn_lake_table_put_hint(const struct tn_lake_table *t, const char *folder,
    const char *file, const struct tn_buf *b)
{
	char path[TN_LAKE_PATH_MAX], beside[TN_LAKE_PATH_MAX];
	struct tn_buf name = { 0 };
	enum tn_status st = tn_buf_status(b);

	tn_buf_printf(&name, "%s.tmp", file);
	tn_lake_table_path(t, folder, file, path);
	tn_lake_table_path(t, folder, tn_buf_cstr(&name), beside);
	if (st == TN_OK)
		st = write_plain(beside, b, false);
	if (st == TN_OK)
		st = tn_os_rename(beside, path);
	if (st != TN_OK)
		tn_lake_table_unlink(t, folder, tn_buf_cstr(&name));
	tn_buf_fini(&name);
	return st;
}

enum tn_status
tn_lake_table_put_new(const struct tn_lake_table *t, const char *folder,
    const char *file, const struct tn_buf *b)
{
	char path[TN_LAKE_PATH_MAX];
	enum tn_status st = tn_lake_table_put(t, folder, file, b);

	tn_lake_table_path(t, folder, file, path);
	if (st == TN_OK || tn_os_kind(path) != TN_OS_FILE)
		return st;
	tn_say(TN_WARN, "lake", "%s is there, but may not outlast a power "
	    "loss: %s", path, tn_status_text(st));
	return TN_OK;
}

void
tn_lake_table_unlink(const struct tn_lake_table *t, const char *folder,
    const char *file)
{
	char path[TN_LAKE_PATH_MAX];
	enum tn_status st;

	tn_lake_table_path(t, folder, file, path);
	st = tn_os_unlink(path);
	if (st != TN_OK && st != TN_ENOTFOUND)
		tn_say(TN_WARN, "lake", "%s could not be removed (%s); the "
		    "next start does it", path, tn_status_text(st));
}

enum tn_status
tn_lake_table_list(const struct tn_lake_table *t, const char *folder,
    char ***names, size_t *count)
{
	char path[TN_LAKE_PATH_MAX];

	*names = NULL;
	*count = 0;
	tn_lake_table_path(t, folder, "", path);
	if (tn_os_kind(path) != TN_OS_DIR)
		return TN_OK;
	return tn_os_list(path, names, count);
}

bool
tn_lake_number_in(const char *name, const char *before, const char *after,
    uint64_t *v)
{
	size_t n = strlen(name), head = strlen(before), tail = strlen(after);

	if (n <= head + tail || strncmp(name, before, head) != 0 ||
	    strcmp(name + n - tail, after) != 0)
		return false;
	return tn_parse_u64((struct tn_slice){ (const uint8_t *)name + head,
	    n - head - tail }, v);
}

void
tn_lake_uuid(char out[static 37])
{
	uint8_t b[16];
	char *at = out;

	tn_os_random(b, sizeof b);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at += snprintf(at, 3, "%02x", b[i]);
	}
}

void
tn_lake_put_json(struct tn_buf *b, const char *s)
{
	tn_buf_char(b, '"');
	tn_buf_json(b, s, strlen(s));
	tn_buf_char(b, '"');
}

void
tn_lake_ranges(const struct tn_lake_table *t, const char *path,
    struct tn_parquet_reader **reader, struct tn_parquet_range *ranges)
{
	char full[TN_LAKE_PATH_MAX];
	struct tn_diag d = { .line = 0 };

	*reader = NULL;
	memset(ranges, 0, t->schema->count * sizeof *ranges);
	if (tn_lake_absolute(t->lake, path, full) != TN_OK ||
	    tn_parquet_open(reader, full, &d) != TN_OK)
		return;          /* Without them nothing is left out. */
	for (uint32_t i = 0; i < t->schema->count; i++) {
		int at = tn_record_schema_find(tn_parquet_schema(*reader),
		    tn_slice_of(t->schema->fields[i].name));
		if (at >= 0)
			tn_parquet_range(*reader, (uint32_t)at, &ranges[i]);
	}
}

/* ---- lists of files -------------------------------------------------- */

static int
by_id(const void *a, const void *b)
{
	const struct tn_lake_named *x = a, *y = b;

	return x->f.id < y->f.id ? -1 : x->f.id > y->f.id;
}

static void
names_from(struct tn_lake_names *n, const struct tn_lake_table_file *files,
    uint32_t count)
{
	n->p = tn_zalloc((count + 1ul) * sizeof *n->p);
	n->count = count;
	for (uint32_t i = 0; i < count; i++) {
		n->p[i].f = files[i];
		n->p[i].path = tn_strdup(files[i].path);
		n->p[i].f.path = n->p[i].path;
	}
	qsort(n->p, count, sizeof *n->p, by_id);
}

void
tn_lake_names_fini(struct tn_lake_names *n)
{
	for (uint32_t i = 0; i < n->count; i++)
		tn_free(n->p[i].path);
	tn_free(n->p);
	memset(n, 0, sizeof *n);
}

static void
fingerprint(const struct tn_lake_names *n, char out[static 20])
{
	uint64_t h = n->count;

	for (uint32_t i = 0; i < n->count; i++) {
		h = tn_hash64(&n->p[i].f.id, sizeof n->p[i].f.id, h);
		h = tn_hash64(n->p[i].path, strlen(n->p[i].path), h);
	}
	(void)snprintf(out, 20, "%016llx", (unsigned long long)h);
}

bool
tn_lake_names_recall(struct tn_lake_names *n, const char *print,
    const struct tn_lake_table_file *files, uint32_t count)
{
	struct tn_lake_names x = { 0 };
	char mine[20];

	names_from(&x, files, count);
	fingerprint(&x, mine);
	if (strcmp(mine, print) != 0) {
		tn_lake_names_fini(&x);
		return false;
	}
	tn_lake_names_fini(n);
	*n = x;
	return true;
}

static void
note_added(struct tn_lake_change *c, struct tn_lake_named *x)
{
	x->since = c->cut->sequence;
	c->added[c->added_count++] = x;
	c->added_rows += x->f.rows;
	c->added_bytes += x->f.bytes;
}

static void
note_gone(struct tn_lake_change *c, const struct tn_lake_named *x)
{
	c->gone[c->gone_count++] = x;
	c->gone_rows += x->f.rows;
	c->gone_bytes += x->f.bytes;
}

void
tn_lake_change_begin(struct tn_lake_change *c,
    const struct tn_lake_table_cut *cut, const struct tn_lake_names *was,
    const struct tn_lake_table_file *files, uint32_t count)
{
	uint32_t i = 0, k = 0;

	memset(c, 0, sizeof *c);
	c->cut = cut;
	names_from(&c->all, files, count);
	fingerprint(&c->all, c->print);
	c->added = tn_alloc((count + 1ul) * sizeof *c->added);
	c->kept = tn_alloc((count + 1ul) * sizeof *c->kept);
	c->gone = tn_alloc((was->count + 1ul) * sizeof *c->gone);
	while (i < was->count || k < count) {
		struct tn_lake_named *x = k < count ? &c->all.p[k] : NULL;
		const struct tn_lake_named *y = i < was->count ? &was->p[i] :
		    NULL;
		if (y == NULL || (x != NULL && x->f.id < y->f.id)) {
			note_added(c, x);
			k++;
		} else if (x == NULL || y->f.id < x->f.id) {
			note_gone(c, y);
			i++;
		} else {
			x->since = y->since;
			x->manifest = y->manifest;
			c->kept[c->kept_count++] = x;
			i++;
			k++;
		}
	}
	for (k = 0; k < count; k++) {
		c->rows += c->all.p[k].f.rows;
		c->bytes += c->all.p[k].f.bytes;
	}
}

void
tn_lake_change_keep(struct tn_lake_change *c, struct tn_lake_names *was)
{
	tn_lake_names_fini(was);
	*was = c->all;
	memset(&c->all, 0, sizeof c->all);
}

void
tn_lake_change_end(struct tn_lake_change *c)
{
	tn_lake_names_fini(&c->all);
	tn_free(c->added);
	tn_free(c->kept);
	tn_free(c->gone);
	memset(c, 0, sizeof *c);
}

/* ---- tables ---------------------------------------------------------- */

/* Everything in a folder of metadata; empty folders stay. */
static void
clear_folder(const struct tn_lake_table *t, const char *folder)
{
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_lake_table_list(t, folder, &names, &count);

	for (size_t i = 0; i < count; i++) {
		if (st == TN_OK)
			tn_lake_table_unlink(t, folder, names[i]);
		tn_os_crash_point("table_removed");
		tn_free(names[i]);
	}
	tn_free(names);
}

static char *
location_of(const struct tn_lake *lake, const char *tier, const char *name)
{
	char *root = tn_lake_location(lake);
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "%s/%s/%s", root, tier, name);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_free(root);
	tn_buf_fini(&b);
	return s;
}

struct tn_lake_table *
tn_lake_table_open(struct tn_lake *lake, const struct tn_lake_table_opts *o)
{
	struct tn_lake_table *t = tn_zalloc(sizeof *t);

	t->lake = lake;
	t->tier = tn_strdup(o->tier);
	t->name = tn_strdup(o->name);
	t->location = location_of(lake, o->tier, o->name);
	t->schema = tn_record_schema_copy(o->schema);
	t->hidden = tn_zalloc((o->hidden_count + 1ul) * sizeof *t->hidden);
	for (uint32_t i = 0; i < o->hidden_count; i++)
		t->hidden[t->hidden_count++] = tn_strdup(o->hidden[i]);
	t->day_column = o->day_column;
	t->sorted_column = o->sorted_column;
	t->keep_us = o->keep_us;
	t->snapshots_max = o->snapshots_max != 0 ? o->snapshots_max : 100;
	if ((o->formats & TN_LAKE_ICEBERG) != 0)
		tn_lake_iceberg_open(t);
	else
		clear_folder(t, TN_LAKE_ICEBERG_FOLDER);
	if ((o->formats & TN_LAKE_DELTA) != 0)
		tn_lake_delta_open(t);
	else
		clear_folder(t, TN_LAKE_DELTA_FOLDER);
	return t;
}

uint64_t
tn_lake_table_sequence(const struct tn_lake_table *t,
    enum tn_lake_format format)
{
	return format == TN_LAKE_ICEBERG ? tn_lake_iceberg_sequence(t) :
	    tn_lake_delta_sequence(t);
}

bool
tn_lake_table_recall(struct tn_lake_table *t, enum tn_lake_format format,
    const struct tn_lake_table_file *files, uint32_t count)
{
	return format == TN_LAKE_ICEBERG ?
	    tn_lake_iceberg_recall(t, files, count) :
	    tn_lake_delta_recall(t, files, count);
}

enum tn_status
tn_lake_table_commit(struct tn_lake_table *t,
    const struct tn_lake_table_cut *cut,
    const struct tn_lake_table_file *files, uint32_t count)
{
	enum tn_status st = TN_OK, other = TN_OK;

	if (t->iceberg != NULL)
		st = tn_lake_iceberg_commit(t, cut, files, count);
	if (t->delta != NULL)
		other = tn_lake_delta_commit(t, cut, files, count);
	return st != TN_OK ? st : other;
}

void
tn_lake_table_keep(struct tn_lake_table *t, int64_t keep_us)
{
	tn_assert(keep_us > 0);
	t->keep_us = keep_us;
}

void
tn_lake_table_renew(struct tn_lake_table *t)
{
	bool iceberg = t->iceberg != NULL, delta = t->delta != NULL;

	tn_lake_iceberg_free(t);
	tn_lake_delta_free(t);
	clear_folder(t, TN_LAKE_ICEBERG_FOLDER);
	clear_folder(t, TN_LAKE_DELTA_FOLDER);
	if (iceberg)
		tn_lake_iceberg_open(t);
	if (delta)
		tn_lake_delta_open(t);
}

void
tn_lake_table_free(struct tn_lake_table *t)
{
	if (t == NULL)
		return;
	tn_lake_iceberg_free(t);
	tn_lake_delta_free(t);
	tn_free(t->tier);
	tn_free(t->name);
	tn_free(t->location);
	for (uint32_t i = 0; i < t->hidden_count; i++)
		tn_free(t->hidden[i]);
	tn_free(t->hidden);
	tn_free(t->schema);
	tn_free(t);
}

/* ---- tables that are no more ----------------------------------------- */

static bool
is_kept(const char *const *kept, uint32_t count, const char *tier,
    const char *name)
{
	size_t n = strlen(tier);

	for (uint32_t i = 0; i < count; i++)
		if (strncmp(kept[i], tier, n) == 0 && kept[i][n] == '/' &&
		    strcmp(kept[i] + n + 1, name) == 0)
			return true;
	return false;
}

static void
sweep_table(struct tn_lake *lake, const char *tier, const char *name)
{
	struct tn_lake_table t = { .lake = lake,
	    .tier = (char *)(uintptr_t)tier, .name = (char *)(uintptr_t)name };

	for (size_t i = 0; i < TN_COUNT(folders); i++)
		clear_folder(&t, folders[i]);
}

enum tn_status
tn_lake_tables_sweep(struct tn_lake *lake, const char *const *kept,
    uint32_t count)
{
	static const char *const tiers[] = { "bronze", "silver", "gold" };
	enum tn_status st = TN_OK;

	for (size_t i = 0; st == TN_OK && i < TN_COUNT(tiers); i++) {
		char path[TN_LAKE_PATH_MAX], **names = NULL;
		size_t n = 0;
		st = tn_lake_absolute(lake, tiers[i], path);
		if (st == TN_OK)
			st = tn_os_list(path, &names, &n);
		for (size_t k = 0; k < n; k++) {
			if (!is_kept(kept, count, tiers[i], names[k]))
				sweep_table(lake, tiers[i], names[k]);
			tn_free(names[k]);
		}
		tn_free(names);
	}
	return st;
}
