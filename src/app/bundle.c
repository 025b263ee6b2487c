/* Pipelines and sample data inside the binary: config/ as the build found
 * it. The table is made by packaging/bundle.sh; a build without it (unit
 * tests) has none. */
#include "app/app.h"

#include <string.h>

#include "objects/objects.h"

extern const struct tn_app_file tn_app_bundle_files[] __attribute__((weak));
extern const uint64_t tn_app_bundle_count __attribute__((weak));

static struct tn_sql_builtin
objects_table(void)
{
	return (struct tn_sql_builtin){ { "built in: objects",
	    tn_slice_of(tn_objects_sql) }, "objects" };
}

enum tn_status
tn_app_load_dir(const char *dir, struct tn_sql_pipeline **out,
    struct tn_diag *d)
{
	struct tn_sql_builtin more = objects_table();

	return tn_sql_load_dir_with(out, dir, &more, d);
}

enum tn_status
tn_app_load_texts(const struct tn_sql_source *sources, uint32_t count,
    struct tn_sql_pipeline **out, struct tn_diag *d)
{
	struct tn_sql_builtin more = objects_table();

	return tn_sql_load_with(out, sources, count, &more, d);
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
