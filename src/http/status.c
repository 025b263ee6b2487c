/* What the program says about itself: /api/v1/status (also sent to live
 * readers every second), health, /metrics, settings, the description. All
 * figures are read at that moment; those that cost a system call are
 * refreshed on the pool every two seconds. */
#include "http/http_int.h"

#include <string.h>

#include "log/log.h"
#include "os/os.h"

/* ---- figures --------------------------------------------------------- */

static void
figures_back(struct tn_net_job *job)
{
	struct tn_http *h = (struct tn_http *)(void *)((char *)job -
	    offsetof(struct tn_http, figures));

	h->figures_busy = false;
	tn_http_unref(h);
}

static void
figures_work(struct tn_net_job *job)
{
	struct tn_http *h = (struct tn_http *)(void *)((char *)job -
	    offsetof(struct tn_http, figures));
	uint64_t bytes = 0;

	if (h->o.data_dir != NULL &&
	    tn_os_disk_free(h->o.data_dir, &bytes) == TN_OK)
		__atomic_store_n(&h->disk_free, bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&h->rss, tn_os_rss_bytes(), __ATOMIC_RELAXED);
	tn_governance_tokens_note(h->o.access);
	job->run = figures_back;
	tn_net_loop_post(h->o.loop, job);
}

void
tn_http_figures(struct tn_http *h)
{
	if (h->figures_busy || h->stopped)
		return;
	h->figures.run = figures_work;
	if (tn_net_pool_post(h->o.pool, &h->figures) != TN_OK)
		return;         /* Busy: next time. */
	h->figures_busy = true;
	h->refs++;
}

static uint64_t
disk_free(const struct tn_http *h)
{
	return __atomic_load_n(&h->disk_free, __ATOMIC_RELAXED);
}

static bool
is_ready(const struct tn_http *h)
{
	return __atomic_load_n(&h->ready, __ATOMIC_ACQUIRE) != 0 &&
	    tn_log_failure(h->o.log) == NULL;
}

/* ---- status ---------------------------------------------------------- */

static void
put_log(struct tn_http *h, struct tn_buf *out)
{
	const struct tn_log *log = h->o.log;

	tn_buf_printf(out, ",\"log\":{\"first\":%llu,\"last\":%llu,"
	    "\"bytes\":%llu,\"segments\":%u,\"failure\":",
	    (unsigned long long)tn_log_first(log),
	    (unsigned long long)tn_log_last(log),
	    (unsigned long long)tn_log_bytes(log),
	    (unsigned)tn_log_segments(log));
	tn_http_put_str(out, tn_log_failure(log));
	tn_buf_char(out, '}');
}

void
tn_http_put_stats(struct tn_http *h, struct tn_buf *out, uint32_t stream)
{
	struct tn_ingest_stats s = { 0 };

	tn_ingest_stats(h->o.ingest, stream, &s);
	tn_buf_printf(out, "\"accepted\":%llu,\"quarantined\":%llu,"
	    "\"duplicates\":%llu,\"bytes\":%llu,\"rate\":",
	    (unsigned long long)s.accepted,
	    (unsigned long long)s.quarantined,
	    (unsigned long long)s.duplicates, (unsigned long long)s.bytes);
	tn_record_print_f64(out, s.rate);
	tn_buf_str(out, ",\"last_at\":");
	tn_http_put_time(out, s.last_us);
}

static void
put_streams(struct tn_http *h, struct tn_buf *out)
{
	tn_buf_str(out, ",\"streams\":[");
	for (uint32_t i = 0; i < h->o.model->stream_count; i++) {
		tn_buf_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		tn_http_put_str(out, h->o.model->streams[i].table->name);
		tn_buf_char(out, ',');
		tn_http_put_stats(h, out, i);
		tn_buf_char(out, '}');
	}
	tn_buf_char(out, ']');
}

static const char *const levels[] = { "calm", "pressed", "tight", "full" };

static void
put_memory(struct tn_buf *out)
{
	tn_buf_printf(out, ",\"memory\":{\"used\":%llu,\"peak\":%llu,"
	    "\"max\":%llu,\"level\":\"%s\"}",
	    (unsigned long long)tn_budget_total(),
	    (unsigned long long)tn_budget_peak(),
	    (unsigned long long)tn_budget_max(),
	    levels[tn_budget_level()]);
}

static const char *
auth_of(struct tn_http *h)
{
	if (tn_governance_has_password(h->o.access))
		return "session";
	return h->loopback ? "open" : "setup";
}

static void
put_progress(struct tn_http *h, struct tn_buf *out)
{
	tn_net_lock_take(h->lock);
	tn_buf_str(out, h->progress != NULL ? h->progress : "null");
	tn_net_lock_drop(h->lock);
}

void
tn_http_status_json(struct tn_http *h, struct tn_buf *out)
{
	const struct tn_catalog_snapshot *cut = tn_catalog_snapshot(
	    h->o.catalog);

	tn_buf_str(out, "\"instance\":");
	tn_http_put_str(out, h->o.instance);
	tn_buf_str(out, ",\"time_zone\":");
	tn_http_put_str(out, h->o.time_zone);
	tn_buf_printf(out, ",\"version\":\"" TN_VERSION "\",\"uptime_s\":%lld"
	    ",\"now\":", (long long)((tn_os_mono_us() - h->started_us) /
	    1000000));
	tn_http_put_time(out, tn_os_wall_us());
	tn_buf_printf(out, ",\"ready\":%s,\"lsn\":%llu,\"batch_lsn\":%llu,"
	    "\"cut_at\":", is_ready(h) ? "true" : "false",
	    (unsigned long long)tn_serving_lsn(h->o.serving),
	    (unsigned long long)cut->lsn);
	tn_http_put_time(out, cut->published_us);
	tn_buf_printf(out, ",\"tail_rows\":%llu",
	    (unsigned long long)tn_speed_rows(h->o.speed));
	put_log(h, out);
	tn_buf_printf(out, ",\"disk_free\":%llu,\"rss\":%llu",
	    (unsigned long long)disk_free(h),
	    (unsigned long long)__atomic_load_n(&h->rss, __ATOMIC_RELAXED));
	put_memory(out);
	put_streams(h, out);
	tn_buf_printf(out, ",\"loopback\":%s,\"auth\":\"%s\",\"progress\":",
	    h->loopback ? "true" : "false", auth_of(h));
	put_progress(h, out);
	tn_buf_char(out, '}');
	tn_catalog_snapshot_put(cut);
}

void
tn_http_run_status(struct request *r)
{
	tn_buf_char(&r->out, '{');
	tn_http_status_json(r->h, &r->out);
	tn_http_json(r, 200);
	tn_http_ready(r);
}

void
tn_http_run_mqtt(struct request *r)
{
	const struct tn_http_mqtt *m = &r->h->o.mqtt;

	if (!tn_http_only_params(r, (const char *const []){ NULL })) {
		tn_http_ready(r);
		return;
	}
	if (m->json == NULL)
		tn_buf_str(&r->out, "{\"port\":0,\"tls_port\":0,"
		    "\"clients\":[],\"sources\":[]}");
	else
		m->json(m->arg, &r->out);
	tn_http_json(r, 200);
	tn_http_ready(r);
}

void
tn_http_run_inbox(struct request *r)
{
	const struct tn_http_inbox *in = &r->h->o.inbox;

	if (!tn_http_only_params(r, (const char *const []){ NULL })) {
		tn_http_ready(r);
		return;
	}
	if (in->json == NULL)
		tn_buf_str(&r->out, "{\"files\":[],\"recent\":[]}");
	else
		in->json(in->arg, &r->out);
	tn_http_json(r, 200);
	tn_http_ready(r);
}

static void
schedule_work(struct request *r)
{
	const struct tn_http_schedule *s = &r->h->o.schedule;
	struct tn_diag d = { .line = 0 };
	enum tn_status st = s->json(s->arg, r->text, r->text2, &r->out, &d);

	if (st == TN_OK)
		tn_http_json(r, 200);
	else if (d.message[0] != '\0')
		tn_http_problem(r, tn_http_code_of(st, &d), &d);
	else
		tn_http_catalog_failed(r, st);
}

void
tn_http_run_schedule(struct request *r)
{
	static const char *const known[] = { "name", "value", NULL };
	struct tn_slice name = tn_http_param(r, "name");
	struct tn_slice value = tn_http_param(r, "value");

	if (!tn_http_only_params(r, known)) {
		tn_http_ready(r);
		return;
	}
	if ((name.p == NULL) != (value.p == NULL)) {
		tn_http_fail(r, 400, "bad_parameter", NULL,
		    "name and value belong together");
		tn_http_ready(r);
		return;
	}
	if (name.p != NULL) {
		r->text = tn_arena_strndup(tn_http_arena(r),
		    (const char *)name.p, name.n);
		r->text2 = tn_arena_strndup(tn_http_arena(r),
		    (const char *)value.p, value.n);
	}
	if (r->h->o.schedule.json == NULL) {
		tn_buf_str(&r->out, "{\"schedules\":[]}");
		tn_http_json(r, 200);
		tn_http_ready(r);
		return;
	}
	tn_http_work(r, schedule_work);
}

void
tn_http_run_settings(struct request *r)
{
	struct tn_buf *out = &r->out;

	tn_buf_str(out, "{\"settings\":[");
	for (uint32_t i = 0; i < r->h->o.setting_count; i++) {
		const struct tn_http_setting *s = &r->h->o.settings[i];
		tn_buf_str(out, i > 0 ? ",{\"name\":" : "{\"name\":");
		tn_http_put_str(out, s->name);
		tn_buf_str(out, ",\"value\":");
		tn_http_put_str(out, s->value);
		tn_buf_str(out, ",\"default\":");
		tn_http_put_str(out, s->standard);
		tn_buf_str(out, ",\"doc\":");
		tn_http_put_str(out, s->doc);
		tn_buf_char(out, '}');
	}
	tn_buf_str(out, "]}");
	tn_http_json(r, 200);
	tn_http_ready(r);
}

/* ---- health ---------------------------------------------------------- */

void
tn_http_run_livez(struct request *r)
{
	tn_buf_str(&r->out, "ok\n");
	tn_http_say(r, 200, tn_http_type_text);
	tn_http_ready(r);
}

void
tn_http_run_readyz(struct request *r)
{
	const char *why = tn_log_failure(r->h->o.log);
	int64_t closed = __atomic_load_n(&r->h->closed_us, __ATOMIC_RELAXED);
	const char *closed_why = __atomic_load_n(&r->h->closed_why,
	    __ATOMIC_RELAXED);
	bool up = is_ready(r->h), ready = up && closed == 0;
	struct tn_diag d = { .line = 0 };

	/* Memory or a disk that is full for now is no reason to send readers away; when
	 * it stays full somebody has to know. */
	if (ready)
		tn_buf_str(&r->out, "ok\n");
	else if (why != NULL)
		tn_buf_printf(&r->out, "the log refuses events: %s\n", why);
	else if (up)
		tn_buf_printf(&r->out, "no events were taken for %lld s: %s\n",
		    (long long)((tn_os_mono_us() - closed) / 1000000),
		    closed_why != NULL ? closed_why : "");
	else
		tn_buf_str(&r->out, "starting or stopping\n");
	if (up && tn_budget_level() == TN_BUDGET_FULL) {
		(void)tn_budget_refuse(&d);
		tn_buf_printf(&r->out, "no events are taken for now: %s\n",
		    d.message);
	}
	if (tn_http_param(r, "verbose").p != NULL)
		tn_buf_printf(&r->out, "lsn %llu\nlog last %llu\n"
		    "disk free %llu\nmemory %s %llu of %llu\n",
		    (unsigned long long)tn_serving_lsn(r->h->o.serving),
		    (unsigned long long)tn_log_last(r->h->o.log),
		    (unsigned long long)disk_free(r->h),
		    levels[tn_budget_level()],
		    (unsigned long long)tn_budget_total(),
		    (unsigned long long)tn_budget_max());
	tn_http_say(r, ready ? 200 : 503, tn_http_type_text);
	if (!ready)
		tn_http_extra(r, "Retry-After", "1");
	tn_http_ready(r);
}

/* ---- metrics --------------------------------------------------------- */

static void
gauge(const char *name, const char *labels, uint64_t v, const char *help)
{
	tn_counter_set(tn_counter_get(TN_GAUGE, name, labels, help),
	    v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static void
gauge_of(const char *name, const char *label, const char *value, uint64_t v,
    const char *help)
{
	struct tn_buf b = { 0 };

	tn_counter_label(&b, label, value);
	gauge(name, tn_buf_cstr(&b), v, help);
	tn_buf_fini(&b);
}

static void
set_memory(void)
{
	for (int c = 0; c < TN_BUDGET_CLASSES; c++)
		gauge_of("tarn_memory_bytes", "class",
		    tn_budget_name((enum tn_budget_class)c),
		    tn_budget_used((enum tn_budget_class)c),
		    "Memory counted against memory_max.");
	gauge("tarn_memory_used_bytes", NULL, tn_budget_total(),
	    "All classes together.");
	gauge("tarn_memory_peak_bytes", NULL, tn_budget_peak(),
	    "The most that it was since the start.");
	gauge("tarn_memory_max_bytes", NULL, tn_budget_max(),
	    "The setting memory_max.");
	gauge("tarn_memory_level", NULL, (uint64_t)tn_budget_level(),
	    "0 calm, 1 caches shrink, 2 queries are refused, 3 events, too.");
}

static void
set_lake(struct tn_http *h)
{
	static const char *const tiers[] = { "", "bronze", "silver", "gold",
	    "keys" };
	uint64_t files[TN_COUNT(tiers)] = { 0 }, bytes[TN_COUNT(tiers)] =
	    { 0 };
	const struct tn_catalog_snapshot *s = tn_catalog_snapshot(
	    h->o.catalog);

	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t t = s->files[i].tier;
		if (t >= TN_COUNT(tiers))
			continue;
		files[t]++;
		bytes[t] += s->files[i].bytes;
	}
	gauge("tarn_batch_lsn", NULL, s->lsn, "The newest published cut.");
	gauge("tarn_batch_last_success_timestamp_seconds", NULL,
	    (uint64_t)(s->published_us / 1000000),
	    "When it was published.");
	tn_catalog_snapshot_put(s);
	for (uint32_t t = 1; t < TN_COUNT(tiers); t++) {
		gauge_of("tarn_lake_files", "tier", tiers[t], files[t],
		    "Files of the lake.");
		gauge_of("tarn_lake_bytes", "tier", tiers[t], bytes[t],
		    "Bytes of those files.");
	}
}

static void
set_streams(struct tn_http *h)
{
	for (uint32_t i = 0; i < h->o.model->stream_count; i++) {
		const char *name = h->o.model->streams[i].table->name;
		struct tn_ingest_stats s = { 0 };
		tn_ingest_stats(h->o.ingest, i, &s);
		gauge_of("tarn_quarantine_rows", "stream", name,
		    s.quarantined, "Rows quarantined since the start.");
		gauge_of("tarn_stream_rows", "stream", name, s.accepted,
		    "Rows accepted since the start.");
		gauge_of("tarn_duplicate_rows", "stream", name,
		    s.duplicates, "Duplicates dropped since the start.");
	}
}

/* "tarn_setting" with the value as a label, since settings are texts. */
static void
set_setting(const struct tn_http_setting *s, uint64_t in_force)
{
	struct tn_buf b = { 0 };

	tn_counter_label(&b, "name", s->name);
	tn_counter_label(&b, "value", s->value);
	gauge("tarn_setting", tn_buf_cstr(&b), in_force,
	    "Settings in force.");
	tn_buf_fini(&b);
}

void
tn_http_setting_gone(struct tn_http *h, uint32_t setting)
{
	if (h != NULL && setting < h->o.setting_count)
		set_setting(&h->o.settings[setting], 0);
}

static void
set_settings(struct tn_http *h)
{
	for (uint32_t i = 0; i < h->o.setting_count; i++)
		set_setting(&h->o.settings[i], 1);
}

static void
set_gauges(struct tn_http *h)
{
	gauge("tarn_build_info", "version=\"" TN_VERSION "\"", 1,
	    "The version of this program.");
	gauge("tarn_log_end_offset", NULL, tn_log_last(h->o.log),
	    "The newest LSN on disk.");
	gauge("tarn_log_bytes", NULL, tn_log_bytes(h->o.log),
	    "Bytes of log segments.");
	gauge("tarn_log_failed", NULL, tn_log_failure(h->o.log) != NULL,
	    "1 when the log refuses events.");
	gauge("tarn_serving_lsn", NULL, tn_serving_lsn(h->o.serving),
	    "The newest LSN that answers include.");
	gauge("tarn_tail_rows", NULL, tn_speed_rows(h->o.speed),
	    "Rows since the cut, held by the speed layer.");
	gauge("tarn_disk_free_bytes", NULL, disk_free(h),
	    "Free bytes where the data is.");
	gauge("tarn_resident_bytes", NULL, __atomic_load_n(&h->rss,
	    __ATOMIC_RELAXED), "Resident memory of the process.");
	gauge("tarn_http_connections", NULL, h->conn_count,
	    "Open HTTP connections.");
	gauge("tarn_ready", NULL, is_ready(h) && __atomic_load_n(
	    &h->closed_us, __ATOMIC_RELAXED) == 0, "1 when events are taken.");
	tn_counter_set(h->clients, h->sse_count);
	set_memory();
	set_lake(h);
	set_streams(h);
	set_settings(h);
}

void
tn_http_run_metrics(struct request *r)
{
	set_gauges(r->h);
	tn_counter_render(&r->out);
	tn_http_say(r, 200, "application/openmetrics-text; version=1.0.0; "
	    "charset=utf-8");
	tn_http_ready(r);
}

/* ---- the description ------------------------------------------------- */

void
tn_http_run_openapi(struct request *r)
{
	tn_http_openapi(&r->out);
	tn_http_json(r, 200);
	tn_http_ready(r);
}

void
tn_http_run_docs(struct request *r)
{
	tn_buf_str(&r->out, "See /api/openapi.json\n");
	tn_http_say(r, 302, tn_http_type_text);
	tn_http_extra(r, "Location", "/api/openapi.json");
	tn_http_ready(r);
}
