/* The room itself: its thread, its folders, when to look, what the page is
 * told. We look when libuv hears of a change, when a file will have been at
 * rest long enough, and every scan_us in any case. */
#include "inbox/inbox_int.h"

#include <stdio.h>
#include <string.h>

#define SOON_MS 50
#define JOBS_MAX 4096
#define TABLE_BYTES (UINT64_C(256) << 20)

bool
tn_inbox_draining(const struct tn_inbox *in)
{
	return __atomic_load_n(&in->draining, __ATOMIC_ACQUIRE) != 0;
}

const char *
tn_inbox_stream_name(const struct tn_inbox *in, uint32_t stream)
{
	return in->o.model->streams[stream].table->name;
}

/* ---- when to look -------------------------------------------------------- */

static void
arm(struct tn_inbox *in, int64_t at_us)
{
	int64_t now_us = tn_os_mono_us();
	int64_t wait_us = at_us > now_us ? at_us - now_us : 0;

	if (tn_inbox_draining(in) || (in->armed_us != 0 &&
	    in->armed_us <= at_us))
		return;
	in->armed_us = at_us;
	tn_net_timer_start(in->soon, (uint64_t)(wait_us + 999) / 1000, 0);
}

static void
scanned(struct tn_net_job *job)
{
	struct tn_inbox *in = (struct tn_inbox *)((char *)job -
	    offsetof(struct tn_inbox, scan));

	in->scanning = false;
	if (in->rescan)
		arm(in, tn_os_mono_us() + SOON_MS * 1000);
	else if (in->next_us != 0)
		arm(in, in->next_us);
	in->rescan = false;
}

static void
run_scan(struct tn_net_job *job)
{
	struct tn_inbox *in = (struct tn_inbox *)((char *)job -
	    offsetof(struct tn_inbox, scan));

	if (!tn_inbox_draining(in))
		tn_inbox_scan(in);
	job->run = scanned;
	tn_net_loop_post(in->o.loop, job);
}

static void
look(void *arg)
{
	struct tn_inbox *in = arg;

	in->armed_us = 0;
	if (tn_inbox_draining(in))
		return;
	if (in->scanning) {
		in->rescan = true;
		return;
	}
	in->scan.run = run_scan;
	in->scanning = tn_net_actor_post_internal(in->actor, &in->scan);
}

void
tn_inbox_poke(struct tn_inbox *in)
{
	if (in->scanning)
		in->rescan = true;
	else if (!tn_inbox_draining(in))
		arm(in, tn_os_mono_us() + SOON_MS * 1000);
}

static void
changed(void *arg)
{
	tn_inbox_poke(arg);
}

/* ---- life ----------------------------------------------------------------- */

static struct tn_counter *
counter(const char *stream, const char *result)
{
	struct tn_buf b = { 0 };
	struct tn_counter *c;

	tn_counter_label(&b, "stream", stream);
	tn_counter_label(&b, "result", result);
	c = tn_counter_get(TN_COUNTER, "tarn_inbox_files_total",
	    tn_buf_cstr(&b), "Files of the drop folder that were ended.");
	tn_buf_fini(&b);
	return c;
}

static void
open_counters(struct place *p, const char *stream)
{
	struct tn_buf b = { 0 };

	p->done = counter(stream, "done");
	p->rejected = counter(stream, "rejected");
	p->repeated = counter(stream, "repeated");
	p->grown = counter(stream, "grown");
	tn_counter_label(&b, "stream", stream);
	p->bytes = tn_counter_get(TN_COUNTER, "tarn_inbox_bytes_total",
	    tn_buf_cstr(&b), "Bytes of the files that were loaded.");
	tn_buf_fini(&b);
}

static bool
is_folder_name(const char *name)
{
	return name[0] != '.' && name[0] != '\0' &&
	    strchr(name, '/') == NULL;
}

static enum tn_status
open_places(struct tn_inbox *in)
{
	const struct tn_serving_model *m = in->o.model;
	enum tn_status st = tn_os_mkdirs(in->folder);

	in->places = tn_zalloc((m->stream_count + 1) * sizeof *in->places);
	for (uint32_t i = 0; st == TN_OK && i < m->stream_count; i++) {
		struct place *p = &in->places[i];
		const char *name = tn_inbox_stream_name(in, i);
		struct tn_buf b = { 0 };
		open_counters(p, name);
		if (!is_folder_name(name)) {
			tn_say(TN_WARN, "inbox", "%s has no drop folder: its "
			    "name cannot be one", name);
			continue;
		}
		tn_buf_printf(&b, "%s/%s", in->folder, name);
		p->folder = tn_strdup(tn_buf_cstr(&b));
		tn_buf_fini(&b);
		st = tn_os_mkdirs(p->folder);
		if (st == TN_OK)
			p->watch = tn_net_folder_new(in->o.loop, p->folder,
			    changed, in);
	}
	return st;
}

/* What a kill left in the work folder. */
static void
sweep_work(struct tn_inbox *in)
{
	char **names = NULL;
	size_t count = 0;

	if (tn_os_kind(in->work) != TN_OS_DIR ||
	    tn_os_list(in->work, &names, &count) != TN_OK)
		return;
	for (size_t i = 0; i < count; i++) {
		struct tn_buf b = { 0 };
		tn_buf_printf(&b, "%s/%s", in->work, names[i]);
		if (tn_os_unlink(tn_buf_cstr(&b)) != TN_OK)
			tn_say(TN_WARN, "inbox", "%s stays",
			    tn_buf_cstr(&b));
		tn_buf_fini(&b);
		tn_free(names[i]);
	}
	tn_free(names);
}

static void
look_each(void *arg)
{
	struct tn_inbox *in = arg;

	__atomic_store_n(&in->due_us, tn_os_mono_us() + in->o.scan_us,
	    __ATOMIC_RELAXED);
	look(in);
}

void
tn_inbox_every(struct tn_inbox *in, int64_t us)
{
	if (in == NULL || tn_inbox_draining(in))
		return;
	in->o.scan_us = us;
	__atomic_store_n(&in->due_us, tn_os_mono_us() + us,
	    __ATOMIC_RELAXED);
	tn_net_timer_start(in->each, (uint64_t)us / 1000,
	    (uint64_t)us / 1000);
}

int64_t
tn_inbox_due(const struct tn_inbox *in)
{
	return in == NULL ? 0 : __atomic_load_n(&in->due_us,
	    __ATOMIC_RELAXED);
}

enum tn_status
tn_inbox_new(struct tn_inbox **out, const struct tn_inbox_opts *o,
    struct tn_diag *d)
{
	struct tn_inbox *in = tn_zalloc(sizeof *in);
	struct tn_buf work = { 0 };
	enum tn_status st;

	in->o = *o;
	if (in->o.files_max == 0)
		in->o.files_max = 2;
	if (in->o.scan_us == 0)
		in->o.scan_us = INT64_C(60) * 1000000;
	if (in->o.table_bytes_max == 0)
		in->o.table_bytes_max = TABLE_BYTES;
	in->folder = tn_strdup(o->folder);
	tn_buf_printf(&work, "%s/.work", o->folder);
	in->work = tn_strdup(tn_buf_cstr(&work));
	tn_buf_fini(&work);
	in->lock = tn_net_lock_new();
	in->soon = tn_net_timer_new(o->loop, look, in);
	in->each = tn_net_timer_new(o->loop, look_each, in);
	in->again = tn_net_timer_new(o->loop, tn_inbox_again, in);
	in->files = tn_counter_get(TN_GAUGE, "tarn_inbox_waiting_files", NULL,
	    "Files in the drop folder that are not ended.");
	sweep_work(in);
	st = open_places(in);
	if (st != TN_OK)
		tn_diag_set(d, st, "inbox", "the drop folder %s cannot be "
		    "made: %s", o->folder, tn_status_text(st));
	if (st == TN_OK)
		st = tn_log_table_open(&in->table, o->table,
		    in->o.table_bytes_max, d);
	if (st != TN_OK) {
		tn_inbox_free(in);
		return st;
	}
	in->actor = tn_net_actor_new("inbox", JOBS_MAX);
	tn_net_timer_start(in->each, 1, (uint64_t)in->o.scan_us / 1000);
	in->due_us = tn_os_mono_us();
	*out = in;
	return TN_OK;
}

void
tn_inbox_drain(struct tn_inbox *in)
{
	if (in == NULL || tn_inbox_draining(in))
		return;
	__atomic_store_n(&in->draining, 1, __ATOMIC_RELEASE);
	tn_net_timer_stop(in->soon);
	tn_net_timer_stop(in->each);
	__atomic_store_n(&in->due_us, 0, __ATOMIC_RELAXED);
	tn_inbox_give_up(in);
}

bool
tn_inbox_idle(const struct tn_inbox *in)
{
	return in == NULL || (__atomic_load_n(&in->under_way,
	    __ATOMIC_ACQUIRE) == 0 && !in->scanning);
}

void
tn_inbox_stop(struct tn_inbox *in)
{
	if (in == NULL)
		return;
	tn_inbox_drain(in);
	tn_net_actor_free(in->actor);
	in->actor = NULL;
	for (uint32_t i = 0; i < in->o.model->stream_count; i++) {
		tn_net_folder_free(in->places[i].watch);
		in->places[i].watch = NULL;
	}
	tn_net_timer_free(in->soon);
	tn_net_timer_free(in->each);
	tn_net_timer_free(in->again);
	in->soon = in->each = in->again = NULL;
}

void
tn_inbox_free(struct tn_inbox *in)
{
	if (in == NULL)
		return;
	if (in->soon != NULL)
		tn_inbox_stop(in);
	tn_assert(in->under_way == 0);
	while (in->items != NULL)
		tn_inbox_forget(in, in->items);
	for (uint32_t i = 0; in->places != NULL &&
	    i < in->o.model->stream_count; i++) {
		tn_free(in->places[i].folder);
		for (size_t k = 0; k < TN_COUNT(in->places[i].looks); k++)
			tn_free(in->places[i].looks[k].infos);
	}
	tn_free(in->places);
	tn_log_table_close(in->table);
	tn_net_lock_free(in->lock);
	tn_free(in->folder);
	tn_free(in->work);
	tn_free(in);
}

/* ---- for the page --------------------------------------------------------- */

static void
put_text(struct tn_buf *out, const char *name, const char *value)
{
	tn_buf_printf(out, "\"%s\":\"", name);
	tn_buf_json(out, value, strlen(value));
	tn_buf_char(out, '"');
}

static void
put_item(struct tn_inbox *in, const struct item *it, struct tn_buf *out)
{
	static const char *const names[] = { "settling", "queued", "loading",
	    "waiting" };
	const struct load *l = it->load;
	bool hashing = l != NULL && __atomic_load_n(&l->phase,
	    __ATOMIC_RELAXED) == LOAD_HASHING;
	uint32_t permille = l == NULL ? 0 : __atomic_load_n(&l->permille,
	    __ATOMIC_RELAXED);

	tn_buf_char(out, '{');
	put_text(out, "stream", tn_inbox_stream_name(in, it->stream));
	tn_buf_char(out, ',');
	put_text(out, "file", it->name);
	tn_buf_char(out, ',');
	put_text(out, "state", hashing ? "hashing" : names[it->state]);
	tn_buf_printf(out, ",\"bytes\":%llu,\"part\":%.3f,\"seconds\":%.3f,",
	    (unsigned long long)it->info.bytes, permille / 1000.0,
	    l == NULL ? 0.0 : (double)(tn_os_mono_us() - l->begun_us) / 1e6);
	put_text(out, "why", it->state == ITEM_WAITING ? it->why : "");
	tn_buf_char(out, '}');
}

static void
put_recent(struct tn_inbox *in, const struct recent *r, struct tn_buf *out)
{
	static const char *const names[] = { "done", "repeated", "rejected" };

	tn_buf_char(out, '{');
	put_text(out, "stream", tn_inbox_stream_name(in, r->stream));
	tn_buf_char(out, ',');
	put_text(out, "file", r->name);
	tn_buf_char(out, ',');
	put_text(out, "result", names[r->result]);
	tn_buf_printf(out, ",\"bytes\":%llu,\"accepted\":%llu,"
	    "\"quarantined\":%llu,\"duplicates\":%llu,\"at_us\":%lld,",
	    (unsigned long long)r->bytes, (unsigned long long)r->accepted,
	    (unsigned long long)r->quarantined,
	    (unsigned long long)r->duplicates, (long long)r->at_us);
	put_text(out, "why", r->why);
	tn_buf_char(out, '}');
}

void
tn_inbox_json(struct tn_inbox *in, struct tn_buf *out)
{
	uint32_t n = 0;

	tn_buf_char(out, '{');
	put_text(out, "folder", in->folder);
	tn_buf_printf(out, ",\"settle_ms\":%lld,\"files\":[",
	    (long long)(in->o.settle_us / 1000));
	tn_net_lock_take(in->lock);
	for (const struct item *it = in->items; it != NULL; it = it->next) {
		if (n++ > 0)
			tn_buf_char(out, ',');
		put_item(in, it, out);
	}
	n = 0;
	for (uint32_t i = 0; i < in->o.model->stream_count; i++)
		n += in->places[i].partial_count;
	tn_buf_printf(out, "],\"uploading\":%u,\"recent\":[", (unsigned)n);
	n = in->recent_count < TN_INBOX_RECENT ? in->recent_count :
	    TN_INBOX_RECENT;
	for (uint32_t i = 1; i <= n; i++) {
		if (i > 1)
			tn_buf_char(out, ',');
		put_recent(in, &in->recent[(in->recent_count - i) %
		    TN_INBOX_RECENT], out);
	}
	tn_net_lock_drop(in->lock);
	tn_buf_str(out, "]}");
}
