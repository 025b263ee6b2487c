/* Pipelines and sample data inside the binary: config/ as the build found
 * it. The table is made by packaging/bundle.sh; a build without it (unit
 * tests) has none. */
#include "app/app.h"

#include <string.h>

#include "exec/exec.h"
#include "objects/objects.h"

extern const struct tn_app_file tn_app_bundle_files[] __attribute__((weak));
extern const uint64_t tn_app_bundle_count __attribute__((weak));

static struct tn_sql_builtin
objects_table(void)
{
	return (struct tn_sql_builtin){ { "built in: objects",
	    tn_slice_of(tn_objects_sql) }, "objects" };
}

/* ---- patterns -------------------------------------------------------- */

/* A pattern that is none would send each row to quarantine, or make each value
 * null; sql has no patterns, so they are tried here. */
static enum tn_status
bad_pattern(const char *what, const char *name, const char *message,
    struct tn_diag *d)
{
	tn_diag_hint(d, "no row would pass it; a bracket that is meant as "
	    "itself is written \\[");
	return tn_diag_set(d, TN_EINVAL, "bad_pattern", "%s of %s: %.160s",
	    what, name, message);
}

static enum tn_status
try_table(const struct tn_sql_table *t, struct tn_diag *d)
{
	char message[160];

	for (uint32_t i = 0; i < t->check_count; i++)
		if (!tn_exec_constants_good(t->checks[i].expr, message))
			return bad_pattern(t->checks[i].text, t->name,
			    message, d);
	for (uint32_t i = 0; i < t->schema->count; i++)
		if (!tn_exec_constants_good(t->generated[i], message))
			return bad_pattern(t->schema->fields[i].name, t->name,
			    message, d);
	return TN_OK;
}

static enum tn_status
try_view(const struct tn_sql_view *v, struct tn_diag *d)
{
	const struct tn_sql_select *s = v->select;
	char message[160];
	bool good = tn_exec_constants_good(s->where, message) &&
	    tn_exec_constants_good(s->having, message);

	for (uint32_t i = 0; good && i < s->group_count; i++)
		good = tn_exec_constants_good(s->groups[i], message);
	for (uint32_t i = 0; good && i < s->output_count; i++)
		good = tn_exec_constants_good(s->outputs[i].expr, message);
	for (uint32_t i = 0; good && i < s->agg_count; i++)
		good = tn_exec_constants_good(s->aggs[i].filter, message) &&
		    tn_exec_constants_good(s->aggs[i].args[0], message);
	return good ? TN_OK : bad_pattern("the select", v->name, message, d);
}

static enum tn_status
try_patterns(enum tn_status st, struct tn_sql_pipeline **p,
    struct tn_diag *d)
{
	for (uint32_t i = 0; st == TN_OK && i < (*p)->table_count; i++)
		st = try_table((*p)->tables[i], d);
	for (uint32_t i = 0; st == TN_OK && i < (*p)->view_count; i++)
		st = try_view((*p)->views[i], d);
	if (st != TN_OK) {
		tn_sql_pipeline_free(*p);
		*p = NULL;
	}
	return st;
}

/* ---- loading --------------------------------------------------------- */

enum tn_status
tn_app_load_dir(const char *dir, struct tn_sql_pipeline **out,
    struct tn_diag *d)
{
	struct tn_sql_builtin more = objects_table();

	return try_patterns(tn_sql_load_dir_with(out, dir, &more, d), out, d);
}

enum tn_status
tn_app_load_texts(const struct tn_sql_source *sources, uint32_t count,
    struct tn_sql_pipeline **out, struct tn_diag *d)
{
	struct tn_sql_builtin more = objects_table();

	return try_patterns(tn_sql_load_with(out, sources, count, &more, d),
	    out, d);
}

uint32_t
tn_app_bundle(const struct tn_app_file **files)
{
	*files = tn_app_bundle_files;
	return &tn_app_bundle_count != NULL ?
	    (uint32_t)tn_app_bundle_count : 0;
}

enum tn_status
tn_app_load_bundle(const char *folder, struct tn_sql_pipeline **out,
    struct tn_diag *d)
{
	const struct tn_app_file *files;
	struct tn_sql_source sources[64];
	uint32_t n = tn_app_bundle(&files), count = 0;
	size_t length = strlen(folder);

	for (uint32_t i = 0; i < n && count < TN_COUNT(sources); i++) {
		const char *end = strrchr(files[i].path, '.');
		if (strncmp(files[i].path, folder, length) != 0 ||
		    files[i].path[length] != '/' || end == NULL ||
		    strcmp(end, ".sql") != 0)
			continue;
		sources[count++] = (struct tn_sql_source){ files[i].path,
		    { files[i].bytes, files[i].size } };
	}
	if (count == 0)
		return tn_diag_set(d, TN_ENOTFOUND, "no_bundle",
		    "this build holds no pipeline \"%s\"", folder);
	return tn_app_load_texts(sources, count, out, d);
}
