/* The log of a Delta Lake table:
 *
 *   _delta_log/00000000000000000012.json                what version 12 changed
 *   _delta_log/00000000000000000020.checkpoint.parquet  all of version 20
 *   _delta_log/_last_checkpoint                         where readers begin
 *
 * A version is one file that appears whole: it is written beside, synced and
 * renamed. After every 20 versions, and more when the table has many files, a
 * checkpoint; then what is behind the newest checkpoint that is keep_us old is
 * removed, so the log is bounded by that time.
 *
 * Removed files are no rows of a checkpoint: they are there for VACUUM, and
 * Tarn removes its files itself. A list of files that is not known after a
 * start, or a version from the future, begins the log anew with version 0 and
 * another id. What can go wrong: a write; then the table stays at the version
 * before. A checkpoint that fails is tried again with the next version. */
#include "lake/delta_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define FOLDER TN_LAKE_DELTA_FOLDER
#define CHECKPOINT_VERSIONS 20
#define COMMIT_MAX ((size_t)256 << 20)

static void
name_of(char out[static 48], uint64_t version, const char *ending)
{
	(void)snprintf(out, 48, "%020llu%s", (unsigned long long)version,
	    ending);
}

static void
clear_state(struct tn_lake_delta *x)
{
	tn_free(x->schema);
	tn_free(x->checkpoints);
	tn_lake_names_fini(&x->names);
	memset(x, 0, sizeof *x);
}

static void
begin_anew(struct tn_lake_delta *x)
{
	clear_state(x);
	tn_lake_uuid(x->id);
	x->known = true;
	x->stale = true;
	x->anew = true;
}

static void
add_checkpoint(struct tn_lake_delta *x, uint64_t version, int64_t at_us)
{
	x->checkpoints = tn_realloc(x->checkpoints,
	    (x->checkpoint_count + 1ul) * sizeof *x->checkpoints);
	x->checkpoints[x->checkpoint_count++] = (struct tn_lake_checkpoint){
	    version, at_us };
}

/* ---- at the start ---------------------------------------------------- */

static bool
copy_text(const struct tn_json *o, const char *key, char *out, size_t n)
{
	const struct tn_json *j = tn_codec_json_get(o, key);

	if (j == NULL || j->kind != TN_JSON_STRING || j->text.n >= n)
		return false;
	(void)snprintf(out, n, "%.*s", (int)j->text.n,
	    (const char *)j->text.p);
	return true;
}

/* What our commitInfo, the first line, says. */
static bool
read_info(struct tn_lake_delta *x, struct tn_slice line, struct tn_arena *a)
{
	struct tn_json *j = NULL;
	const struct tn_json *p;
	struct tn_diag d = { .line = 0 };
	char sequence[24], created[24];

	if (tn_codec_json_parse(a, line, &j, &d) != TN_OK)
		return false;
	p = tn_codec_json_get(tn_codec_json_get(j, "commitInfo"),
	    "operationParameters");
	return copy_text(p, "tarn.files", x->print, sizeof x->print) &&
	    copy_text(p, "tarn.schema", x->schema_print,
	    sizeof x->schema_print) &&
	    copy_text(p, "tarn.id", x->id, sizeof x->id) &&
	    copy_text(p, "tarn.sequence", sequence, sizeof sequence) &&
	    copy_text(p, "tarn.created", created, sizeof created) &&
	    tn_parse_u64(tn_slice_of(sequence), &x->sequence) &&
	    tn_parse_i64(tn_slice_of(created), &x->created_ms);
}

static bool
read_newest(struct tn_lake_table *t)
{
	struct tn_lake_delta *x = t->delta;
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_buf b = { 0 };
	char file[48], path[TN_LAKE_PATH_MAX];
	const uint8_t *end;
	bool good = false;

	name_of(file, x->next - 1, ".json");
	tn_lake_table_path(t, FOLDER, file, path);
	if (tn_os_read_file(path, &b, COMMIT_MAX) == TN_OK && b.n > 0) {
		end = memchr(b.p, '\n', b.n);
		good = end != NULL && read_info(x, (struct tn_slice){ b.p,
		    (size_t)(end - b.p) }, a);
	}
	tn_buf_fini(&b);
	tn_arena_free(a);
	return good;
}

/* It is not synced: a power loss may have left it empty. Readers can do
 * without it. */
static void
mend_hint(const struct tn_lake_table *t)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_buf b = { 0 };
	struct tn_json *j = NULL;
	struct tn_diag d = { .line = 0 };
	char path[TN_LAKE_PATH_MAX];

	tn_lake_table_path(t, FOLDER, "_last_checkpoint", path);
	if (tn_os_kind(path) == TN_OS_FILE && (tn_os_read_file(path, &b,
	    4096) != TN_OK || tn_codec_json_parse(a, (struct tn_slice){ b.p,
	    b.n }, &j, &d) != TN_OK))
		tn_lake_table_unlink(t, FOLDER, "_last_checkpoint");
	tn_buf_fini(&b);
	tn_arena_free(a);
}

/* A name of the log: its version, and the ones in force. */
static bool
note_name(const struct tn_lake_table *t, const char *name, bool *any)
{
	struct tn_lake_delta *x = t->delta;
	char path[TN_LAKE_PATH_MAX];
	struct tn_os_info info = { .modified_ns = 0 };
	uint64_t v;

	if (strcmp(name, "_last_checkpoint") == 0)
		return true;
	if (tn_lake_number_in(name, "", ".checkpoint.parquet", &v)) {
		tn_lake_table_path(t, FOLDER, name, path);
		if (tn_os_look(path, &info) == TN_OK)
			add_checkpoint(x, v, info.modified_ns / 1000);
		return true;
	}
	if (!tn_lake_number_in(name, "", ".json", &v))
		return false;
	if (!*any || v < x->lowest)
		x->lowest = v;
	if (!*any || v >= x->next)
		x->next = v + 1;
	*any = true;
	return true;
}

void
tn_lake_delta_open(struct tn_lake_table *t)
{
	struct tn_lake_delta *x = tn_zalloc(sizeof *x);
	char **names = NULL, *schema, print[20];
	size_t count = 0;
	bool any = false;
	enum tn_status st;

	t->delta = x;
	st = tn_lake_table_list(t, FOLDER, &names, &count);
	for (size_t i = 0; i < count; i++) {
		/* Names are sorted, so checkpoints are, too. */
		if (st == TN_OK && !note_name(t, names[i], &any))
			tn_lake_table_unlink(t, FOLDER, names[i]);
		tn_free(names[i]);
	}
	tn_free(names);
	mend_hint(t);
	if (!any || !read_newest(t)) {
		begin_anew(x);
		return;
	}
	schema = tn_lake_delta_schema(t, print);
	x->stale = strcmp(print, x->schema_print) != 0;
	x->schema = schema;
	memcpy(x->schema_print, print, sizeof print);
}

uint64_t
tn_lake_delta_sequence(const struct tn_lake_table *t)
{
	return t->delta == NULL || t->delta->known ? 0 : t->delta->sequence;
}

bool
tn_lake_delta_recall(struct tn_lake_table *t,
    const struct tn_lake_table_file *files, uint32_t count)
{
	struct tn_lake_delta *x = t->delta;

	if (!tn_lake_names_recall(&x->names, x->print, files, count))
		return false;
	x->known = true;
	return true;
}

/* ---- checkpoints ----------------------------------------------------- */

static void
remove_version(const struct tn_lake_table *t, uint64_t version,
    const char *ending)
{
	char file[48];

	name_of(file, version, ending);
	tn_lake_table_unlink(t, FOLDER, file);
	tn_os_crash_point("table_removed");
}

/* All behind the newest checkpoint that is old enough: later versions can be
 * made of it. */
static void
remove_old(struct tn_lake_table *t, int64_t now_us)
{
	struct tn_lake_delta *x = t->delta;
	uint32_t first = 0;

	/* The clock went back. */
	for (uint32_t i = 0; i < x->checkpoint_count; i++)
		if (x->checkpoints[i].at_us > now_us)
			x->checkpoints[i].at_us = now_us;
	if (x->held || x->checkpoint_count == 0 ||
	    x->checkpoints[0].at_us > now_us - t->keep_us)
		return;
	while (first + 1 < x->checkpoint_count &&
	    x->checkpoints[first + 1].at_us <= now_us - t->keep_us)
		first++;
	for (uint32_t i = 0; i < first; i++)
		remove_version(t, x->checkpoints[i].version,
		    ".checkpoint.parquet");
	for (; x->lowest < x->checkpoints[first].version; x->lowest++)
		remove_version(t, x->lowest, ".json");
	x->checkpoint_count -= first;
	if (first > 0)
		memmove(x->checkpoints, x->checkpoints + first,
		    x->checkpoint_count * sizeof *x->checkpoints);
}

static enum tn_status
write_checkpoint(struct tn_lake_table *t, int64_t now_us)
{
	struct tn_lake_delta *x = t->delta;
	struct tn_buf b = { 0 };
	uint64_t version = x->next - 1;
	char file[48];
	enum tn_status st = tn_lake_delta_state(&b, t, now_us);

	name_of(file, version, ".checkpoint.parquet");
	if (st == TN_OK)
		st = tn_lake_table_put(t, FOLDER, file, &b);
	tn_os_crash_point("table_checkpoint");
	tn_buf_clear(&b);
	tn_buf_printf(&b, "{\"version\":%llu,\"size\":%u}",
	    (unsigned long long)version, (unsigned)x->names.count + 3);
	if (st == TN_OK)
		st = tn_lake_table_put_hint(t, FOLDER, "_last_checkpoint",
		    &b);
	tn_os_crash_point("table_last_checkpoint");
	tn_buf_fini(&b);
	if (st != TN_OK)
		return st;
	add_checkpoint(x, version, now_us);
	remove_old(t, now_us);
	return TN_OK;
}

static bool
wants_checkpoint(const struct tn_lake_delta *x)
{
	uint64_t last = x->checkpoint_count > 0 ?
	    x->checkpoints[x->checkpoint_count - 1].version : 0;

	return x->next - 1 >= last + CHECKPOINT_VERSIONS + x->names.count / 8;
}

/* ---- commits --------------------------------------------------------- */

/* The log of before goes, the newest version first: whoever reads meanwhile
 * finds an older one, or none. */
static enum tn_status
clear_log(struct tn_lake_table *t)
{
	char **names = NULL, path[TN_LAKE_PATH_MAX];
	size_t count = 0;
	enum tn_status st = tn_lake_table_list(t, FOLDER, &names, &count);

	tn_lake_table_path(t, FOLDER, "", path);
	for (size_t i = count; i-- > 0;) {
		if (st == TN_OK)
			tn_lake_table_unlink(t, FOLDER, names[i]);
		tn_free(names[i]);
	}
	tn_free(names);
	if (st == TN_OK && count > 0)
		st = tn_os_sync_dir(path);
	return st;
}

static void
take_schema(struct tn_lake_table *t)
{
	struct tn_lake_delta *x = t->delta;

	tn_free(x->schema);
	x->schema = tn_lake_delta_schema(t, x->schema_print);
}

static enum tn_status
write_version(struct tn_lake_table *t, struct tn_lake_change *c)
{
	struct tn_lake_delta *x = t->delta;
	struct tn_buf b = { 0 };
	char file[48];
	enum tn_status st;

	tn_lake_delta_lines(&b, t, c);
	name_of(file, x->next, ".json");
	st = tn_lake_table_put_new(t, FOLDER, file, &b);
	tn_os_crash_point("table_delta");
	tn_buf_fini(&b);
	if (st != TN_OK)
		return st;
	x->next++;
	x->sequence = c->cut->sequence;
	x->stale = false;
	memcpy(x->print, c->print, sizeof x->print);
	tn_lake_change_keep(c, &x->names);
	return TN_OK;
}

static enum tn_status
ready(struct tn_lake_table *t, int64_t now_us)
{
	struct tn_lake_delta *x = t->delta;
	char path[TN_LAKE_PATH_MAX];
	enum tn_status st = TN_OK;

	tn_lake_table_path(t, FOLDER, "", path);
	if (tn_os_kind(path) != TN_OS_DIR)
		st = tn_os_mkdirs(path);
	if (st == TN_OK && x->anew)
		st = clear_log(t);
	if (st != TN_OK)
		return st;
	x->anew = false;
	if (x->created_ms == 0)
		x->created_ms = now_us / 1000;
	if (x->stale)
		take_schema(t);
	return TN_OK;
}

enum tn_status
tn_lake_delta_commit(struct tn_lake_table *t,
    const struct tn_lake_table_cut *cut,
    const struct tn_lake_table_file *files, uint32_t count)
{
	struct tn_lake_delta *x = t->delta;
	struct tn_lake_change c;
	enum tn_status st;

	if (x->next == 0 && count == 0)
		return TN_OK;
	if (!x->known || x->sequence > cut->sequence)
		begin_anew(x);
	x->held = cut->held;
	st = ready(t, cut->at_us);
	if (st != TN_OK)
		return st;
	tn_lake_change_begin(&c, cut, &x->names, files, count);
	if (c.added_count + c.gone_count > 0 || x->stale)
		st = write_version(t, &c);
	tn_lake_change_end(&c);
	if (st == TN_OK && wants_checkpoint(x))
		st = write_checkpoint(t, cut->at_us);
	return st;
}

void
tn_lake_delta_free(struct tn_lake_table *t)
{
	if (t->delta == NULL)
		return;
	clear_state(t->delta);
	tn_free(t->delta);
	t->delta = NULL;
}
