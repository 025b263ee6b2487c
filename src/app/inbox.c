/* The drop folder: its settings and its place among the others. http knows
 * nothing of it: they stand on one floor. */
#include "app/run_int.h"

#include <string.h>

/* What a COPY that was killed left in DATA/export. */
static void
sweep_export(const struct app *a)
{
	struct tn_buf b = { 0 };
	char **names = NULL;
	size_t count = 0;

	tn_buf_printf(&b, "%s/export", a->data);
	if (tn_os_kind(tn_buf_cstr(&b)) == TN_OS_DIR &&
	    tn_os_list(tn_buf_cstr(&b), &names, &count) != TN_OK)
		tn_say(TN_WARN, "app", "%s cannot be read", tn_buf_cstr(&b));
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(names[i]);
		tn_buf_clear(&b);
		tn_buf_printf(&b, "%s/export/%s", a->data, names[i]);
		if (names[i][0] == '.' && n > 4 &&
		    strcmp(names[i] + n - 4, ".tmp") == 0 &&
		    tn_os_unlink(tn_buf_cstr(&b)) != TN_OK)
			tn_say(TN_WARN, "app", "%s stays", tn_buf_cstr(&b));
		tn_free(names[i]);
	}
	tn_free(names);
	tn_buf_fini(&b);
}

enum tn_status
tn_app_inbox_open(struct app *a, struct tn_diag *d)
{
	const int64_t *n = a->set.number;
	struct tn_buf folder = { 0 }, table = { 0 };
	struct tn_inbox_opts o = { .loop = a->loop, .model = a->model,
	    .ingest = a->ingest, .settle_us = n[TN_SET_INBOX_SETTLE],
	    .scan_us = n[TN_SET_INBOX_SCAN],
	    .files_max = (uint32_t)n[TN_SET_INBOX_FILES],
	    .reserve_bytes = tn_app_disk_reserve(a), .loads = &a->loads,
	    .table_bytes_max = (uint64_t)n[TN_SET_INBOX_TABLE] };
	enum tn_status st;

	tn_buf_printf(&folder, "%s/inbox", a->data);
	tn_buf_printf(&table, "%s/inbox.mdb", a->data);
	o.folder = tn_buf_cstr(&folder);
	o.table = tn_buf_cstr(&table);
	sweep_export(a);
	st = tn_inbox_new(&a->inbox, &o, d);
	tn_buf_fini(&folder);
	tn_buf_fini(&table);
	return st;
}

void
tn_app_inbox_json(void *arg, struct tn_buf *out)
{
	struct app *a = arg;

	tn_inbox_json(a->inbox, out);
}
