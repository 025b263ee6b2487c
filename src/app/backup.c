/* Backups: CALL backup(path) of the running program, tarn backup and tarn
 * restore.
 *
 *   tarn backup DEST --url URL   CALL backup over HTTP; DEST is the server's
 *   tarn backup DEST             of --data: by itself when nobody has the
 *                                folder, else the tarn that has it is asked
 *
 * Kept are the catalog, the log, the lake, objects and the tables beside them;
 * not the drop folder and DATA/export, which are on their way elsewhere. */
#include "app/call_int.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/backup.h"

#define WAITING_MAX 4

static const char *const tables[] = { "mqtt.mdb", "objects.mdb",
    "inbox.mdb" };
static const char *const folders[] = { "lake/objects" };

static void
set_parts(struct tn_backup_opts *o)
{
	o->tables = tables;
	o->table_count = TN_COUNT(tables);
	o->folders = folders;
	o->folder_count = TN_COUNT(folders);
}

/* ---- CALL backup(path) ---------------------------------------------------- */

static const struct tn_field fields[] = {
	{ "lsn", { .id = TN_T_INT8 }, false },
	{ "files", { .id = TN_T_INT8 }, false },
	{ "bytes", { .id = TN_T_INT8 }, false },
	{ "copied", { .id = TN_T_INT8 }, false },
	{ "copied_bytes", { .id = TN_T_INT8 }, false },
	{ "linked", { .id = TN_T_INT8 }, false },
	{ "kept", { .id = TN_T_INT8 }, false },
	{ "removed", { .id = TN_T_INT8 }, false },
};
static const struct tn_schema schema = { .name = "backup",
    .count = TN_COUNT(fields), .fields = fields };

static enum tn_status
go_on(void *arg)
{
	struct app *a = arg;

	return __atomic_load_n(&a->backup_stop, __ATOMIC_ACQUIRE) != 0 ?
	    TN_ECLOSED : TN_OK;
}

static void
put_report(struct tn_app_proc *p, const struct tn_backup_report *r)
{
	const uint64_t v[] = { r->lsn, r->files, r->bytes, r->copied,
	    r->copied_bytes, r->linked, r->kept, r->removed };
	struct tn_builder *b = tn_record_builder_new(&schema, 1);

	for (uint32_t i = 0; i < TN_COUNT(v); i++)
		tn_record_builder_i64(b, i, (int64_t)v[i]);
	tn_record_builder_row_end(b);
	tn_app_proc_rows(p, b);
}

struct job {
	struct tn_net_job job;
	struct tn_app_proc *p;
};

static uint64_t
begin_run(struct app *a)
{
	uint64_t id = 0, lsn = tn_log_last(a->log);
	const struct tn_catalog_run r = { .kind = "backup",
	    .reason = "request", .object = "", .lsn_from = lsn, .lsn_to = lsn,
	    .started_us = tn_os_wall_us() };

	if (tn_catalog_run_begin(a->catalog, &r, &id) != TN_OK)
		tn_say(TN_WARN, "app", "the backup is in no run: the catalog "
		    "could not be written");
	return id;
}

static void
end_run(struct app *a, uint64_t id, const char *dest,
    const struct tn_backup_report *r, const struct tn_diag *failed)
{
	struct tn_buf b = { 0 };

	if (failed != NULL)
		tn_buf_printf(&b, "to %s: %s", dest, failed->message);
	else
		tn_buf_printf(&b, "to %s: %llu files of %.1f MiB, of them %llu "
		    "of %.1f MiB copied", dest, (unsigned long long)r->files,
		    (double)r->bytes / (1 << 20), (unsigned long long)
		    r->copied, (double)r->copied_bytes / (1 << 20));
	if (id != 0 && tn_catalog_run_end(a->catalog, id, failed != NULL ?
	    TN_RUN_FAILED : TN_RUN_DONE, tn_os_wall_us(), 0, failed != NULL ?
	    0 : (uint32_t)r->files, tn_buf_cstr(&b)) != TN_OK)
		tn_say(TN_WARN, "app", "run %llu stays open",
		    (unsigned long long)id);
	tn_buf_fini(&b);
}

static void
run_backup(struct tn_net_job *job)
{
	struct tn_app_proc *p = ((struct job *)job)->p;
	struct app *a = p->a;
	const char *dest = tn_app_proc_text(p, "path");
	struct tn_backup_opts o = { .data = a->data, .dest = dest,
	    .catalog = a->catalog, .log = a->log, .go_on = go_on, .arg = a };
	struct tn_backup_report r;
	uint64_t id = begin_run(a);

	set_parts(&o);
	p->answer->status = tn_backup_run(&o, &r, &p->answer->diag);
	end_run(a, id, dest, &r, p->answer->status == TN_OK ? NULL :
	    &p->answer->diag);
	if (p->answer->status == TN_OK) {
		unsigned long long fresh = r.copied + r.linked;
		tn_say(TN_INFO, "app", "backup to %s: cut at %llu, %llu files, "
		    "%llu of them new", dest, (unsigned long long)r.lsn,
		    (unsigned long long)r.files, fresh);
		put_report(p, &r);
	} else {
		tn_say(TN_ERROR, "app", "backup to %s: %s", dest,
		    p->answer->diag.message);
	}
	tn_app_proc_end(p);
}

void
tn_app_backup_call(struct tn_app_proc *p)
{
	struct app *a = p->a;
	struct job *j = tn_arena_zalloc(p->arena, sizeof *j);
	const char *dest = tn_app_proc_text(p, "path");

	if (dest[0] != '/') {
		tn_app_proc_fail(p, TN_EINVAL, "bad_argument", NULL,
		    "path must begin with /: it is a folder of the server");
		return;
	}
	if (a->backup == NULL)
		a->backup = tn_net_actor_new("backup", WAITING_MAX);
	j->job.run = run_backup;
	j->p = p;
	if (tn_net_actor_post(a->backup, &j->job) != TN_OK)
		tn_app_proc_fail(p, TN_EFULL, "overloaded",
		    "ask again when they are done",
		    "too many backups wait already");
}

void
tn_app_backup_cancel(struct app *a)
{
	__atomic_store_n(&a->backup_stop, 1, __ATOMIC_RELEASE);
}

void
tn_app_backup_close(struct app *a)
{
	tn_app_backup_cancel(a);
	tn_net_actor_free(a->backup);
	a->backup = NULL;
}

/* ---- commands -------------------------------------------------------------- */

static int
print_result(const struct tn_app_args *a, const char *what,
    const struct tn_backup_report *r)
{
	if (!a->quiet)
		printf("%s: %llu files, %.1f MB, cut at %llu\n", what,
		    (unsigned long long)r->files, (double)r->bytes / 1e6,
		    (unsigned long long)r->lsn);
	return TN_EXIT_OK;
}

static int
failed(enum tn_status st, const struct tn_diag *d)
{
	tn_app_print_diag(d);
	return st == TN_ECONFLICT ? TN_EXIT_CONFLICT : TN_EXIT_FAILED;
}

/* Over HTTP, as tarn sql does. */
static int
ask_server(const struct tn_app_args *a, const char *dest)
{
	struct tn_app_args ask = *a;
	struct tn_buf text = { 0 };
	int rc;

	tn_buf_str(&text, "CALL backup('");
	for (const char *s = dest; *s != '\0'; s++) {
		if (*s == '\'')
			tn_buf_char(&text, '\'');
		tn_buf_char(&text, *s);
	}
	tn_buf_str(&text, "')");
	ask.words[0] = tn_buf_cstr(&text);
	ask.word_count = 1;
	rc = tn_app_sql(&ask);
	tn_buf_fini(&text);
	return rc;
}

/* The folder is ours: open what is in it, and leave it to the Tarn that made
 * it, as the backup does: it may be one from before an upgrade. */
static int
take_alone(const struct tn_app_args *a, const char *dest)
{
	struct tn_arena *arena = tn_arena_new(4096);
	char *catalog = tn_arena_printf(arena, "%s/catalog.db", a->data);
	struct tn_log_opts lo = { .dir = tn_arena_printf(arena, "%s/log",
	    a->data), .journal_bytes = TN_LOG_NO_JOURNAL };
	struct tn_backup_opts o = { .data = a->data, .dest = dest };
	struct tn_backup_report r;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = TN_OK;
	int rc;

	set_parts(&o);
	if (tn_os_kind(catalog) != TN_OS_FILE)
		st = tn_diag_set(&d, TN_ENOTFOUND, "data_folder",
		    "there is no catalog in %s: name the data folder with "
		    "--data", a->data);
	if (st == TN_OK)
		st = tn_catalog_look(&o.catalog, catalog, &d);
	if (st == TN_OK)
		st = tn_log_open(&o.log, &lo, &d);
	if (st == TN_OK)
		st = tn_backup_run(&o, &r, &d);
	tn_log_close(o.log);
	tn_catalog_close(o.catalog);
	rc = st == TN_OK ? print_result(a, dest, &r) : failed(st, &d);
	tn_arena_free(arena);
	return rc;
}

static const char *
absolute(const char *path, struct tn_buf *out)
{
	char here[4096];

	if (path[0] != '/' && getcwd(here, sizeof here) != NULL)
		tn_buf_printf(out, "%s/", here);
	tn_buf_str(out, path);
	return tn_buf_cstr(out);
}

int
tn_app_backup(const struct tn_app_args *a)
{
	struct tn_os_file *lock = NULL;
	struct tn_buf path = { 0 }, dest = { 0 };
	enum tn_status st;
	int rc;

	if (a->word_count != 1) {
		fprintf(stderr, "tarn: backup needs one folder\n"
		    "  hint: tarn backup /mnt/backup/tarn\n");
		return TN_EXIT_USAGE;
	}
	if (a->url != NULL && a->url[0] != '\0')
		return ask_server(a, a->words[0]);
	tn_buf_printf(&path, "%s/lock", a->data);
	st = tn_os_kind(a->data) == TN_OS_DIR ? tn_os_lock(&lock,
	    tn_buf_cstr(&path)) : TN_OK;
	if (st == TN_OK)
		rc = take_alone(a, absolute(a->words[0], &dest));
	else if (st == TN_ECONFLICT)
		rc = ask_server(a, absolute(a->words[0], &dest));
	else {
		fprintf(stderr, "tarn: %s: %s\n", tn_buf_cstr(&path),
		    tn_status_text(st));
		rc = TN_EXIT_FAILED;
	}
	tn_os_close(lock);
	tn_buf_fini(&path);
	tn_buf_fini(&dest);
	return rc;
}

int
tn_app_restore(const struct tn_app_args *a)
{
	struct tn_backup_report r;
	struct tn_diag d = { .line = 0 };
	enum tn_status st;

	if (a->word_count != 1) {
		fprintf(stderr, "tarn: restore needs one folder, and --data\n"
		    "  hint: tarn restore /mnt/backup/tarn --data DIR\n");
		return TN_EXIT_USAGE;
	}
	st = tn_backup_restore(a->words[0], a->data, &r, &d);
	if (st != TN_OK)
		return failed(st, &d);
	if (!a->quiet)
		printf("start it with --data %s, then look with: tarn verify\n",
		    a->data);
	return print_result(a, a->data, &r);
}
