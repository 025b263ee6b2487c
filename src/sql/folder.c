/* The .sql files of a folder, in name order, as one pipeline. */
#include "sql/sql_int.h"

#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define FILES_MAX 256

static bool
is_sql(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, ".sql") == 0 && name[0] != '.';
}

static enum tn_status
read_file(const char *dir, const char *name, struct tn_sql_source *src,
    struct tn_buf *buf, struct tn_diag *d)
{
	char path[4096];
	enum tn_status st;
	int n = snprintf(path, sizeof path, "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= sizeof path)
		return tn_diag_set(d, TN_ELIMIT, "too_long",
		    "the path of %s is too long", name);
	(void)snprintf(d->file, sizeof d->file, "%.255s", path);
	/* One byte more than allowed, so that the cap is seen. */
	st = tn_os_read_file(path, buf, TN_SQL_TEXT_MAX + 1);
	if (st == TN_ELIMIT) {
		tn_diag_hint(d, "Split it: one file may hold %d KiB.",
		    TN_SQL_TEXT_MAX / 1024);
		return tn_diag_set(d, TN_EINVAL, "text_too_long",
		    "%s is too large", path);
	}
	if (st != TN_OK)
		return tn_diag_set(d, st, "unreadable", "cannot read %s: %s",
		    path, tn_status_text(st));
	src->name = tn_strdup(path);
	src->text = (struct tn_slice){ buf->p, buf->n };
	return TN_OK;
}

struct load {
	struct tn_sql_pipeline **out;
	const struct tn_sql_builtin *more;
};

static enum tn_status
load_files(const char *dir, char **names, size_t count, struct load *l,
    struct tn_diag *d)
{
	struct tn_sql_source *src = tn_zalloc(FILES_MAX * sizeof *src);
	struct tn_buf *bufs = tn_zalloc(FILES_MAX * sizeof *bufs);
	enum tn_status st = TN_OK;
	uint32_t n = 0;

	for (size_t i = 0; i < count && st == TN_OK; i++) {
		if (!is_sql(names[i]))
			continue;
		if (n == FILES_MAX)
			st = tn_diag_set(d, TN_EINVAL, "too_many",
			    "more than %d files", FILES_MAX);
		else
			st = read_file(dir, names[i], &src[n], &bufs[n], d);
		n += st == TN_OK;
	}
	if (st == TN_OK && n == 0) {
		(void)snprintf(d->file, sizeof d->file, "%s", dir);
		tn_diag_hint(d, "Put the pipeline into files that end in "
		    ".sql.");
		st = tn_diag_set(d, TN_EINVAL, "no_files",
		    "there are no .sql files in %s", dir);
	}
	if (st == TN_OK)
		st = tn_sql_load_with(l->out, src, n, l->more, d);
	for (uint32_t i = 0; i < FILES_MAX; i++) {
		tn_free((char *)src[i].name);
		tn_buf_fini(&bufs[i]);
	}
	tn_free(src);
	tn_free(bufs);
	return st;
}

enum tn_status
tn_sql_load_dir(struct tn_sql_pipeline **out, const char *dir,
    struct tn_diag *d)
{
	return tn_sql_load_dir_with(out, dir, NULL, d);
}

enum tn_status
tn_sql_load_dir_with(struct tn_sql_pipeline **out, const char *dir,
    const struct tn_sql_builtin *more, struct tn_diag *d)
{
	struct load l = { out, more };
	struct tn_diag spare;
	char **names = NULL;
	size_t count = 0;
	enum tn_status st;

	*out = NULL;
	if (d == NULL)
		d = &spare;
	memset(d, 0, sizeof *d);
	st = tn_os_list(dir, &names, &count);
	if (st != TN_OK) {
		(void)snprintf(d->file, sizeof d->file, "%s", dir);
		return tn_diag_set(d, st, "unreadable",
		    "cannot read the folder %s: %s", dir,
		    tn_status_text(st));
	}
	st = load_files(dir, names, count, &l, d);
	for (size_t i = 0; i < count; i++)
		tn_free(names[i]);
	tn_free(names);
	return st;
}
