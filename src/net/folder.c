/* folder: hear of changes in a folder (inotify, through libuv). A hint, never
 * the truth: events may come late, doubled or not at all, so whoever watches
 * also looks by himself now and then. */
#include "net/net_int.h"

#include <uv.h>

struct tn_net_folder {
	uv_fs_event_t handle;
	void (*changed)(void *arg);
	void *arg;
};

/* Freed a turn later, because libuv may still be inside changed(). */
static void
closed(uv_handle_t *handle)
{
	tn_free(handle->data);
}

static void
heard(uv_fs_event_t *handle, const char *name, int events, int status)
{
	const struct tn_net_folder *f = handle->data;

	(void)name, (void)events, (void)status;
	f->changed(f->arg);
}

struct tn_net_folder *
tn_net_folder_new(struct tn_net_loop *l, const char *path,
    void (*changed)(void *arg), void *arg)
{
	struct tn_net_folder *f = tn_zalloc(sizeof *f);
	int rc;

	tn_assert(tn_net_on_loop());
	rc = uv_fs_event_init(tn_net_loop_uv(l), &f->handle);
	tn_assert(rc == 0);
	f->handle.data = f;
	f->changed = changed;
	f->arg = arg;
	rc = uv_fs_event_start(&f->handle, heard, path, 0);
	if (rc == 0)
		return f;
	tn_say(TN_WARN, "net", "%s cannot be watched: %s", path,
	    uv_strerror(rc));
	uv_close((uv_handle_t *)&f->handle, closed);
	return NULL;
}

void
tn_net_folder_free(struct tn_net_folder *f)
{
	if (f == NULL)
		return;
	tn_assert(tn_net_on_loop());
	uv_close((uv_handle_t *)&f->handle, closed);
}
