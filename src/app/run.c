/* tarn run: the engine (engine.c), the door, the loop, and the words a person
 * sees at start and stop. */
#include "app/tune_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 10000
#define COMPACT_MS 50            /* Between steps of compaction. */

static void
compact_time(void *arg)
{
	struct app *a = arg;

	tn_batch_tick(a->batch);
}

static enum tn_status
load_config(struct app *a, const struct tn_app_args *args, bool demo,
    struct tn_diag *d)
{
	struct tn_sql_pipeline *p = NULL;
	enum tn_status st;

	a->config = args->config;
	a->bundle = demo ? "demo" : "office";
	if (args->config != NULL)
		st = tn_app_load_dir(args->config, &p, d);
	else
		st = tn_app_load_bundle(a->bundle, &p, d);
	if (st != TN_OK)
		return st;
	tn_app_settings_init(&a->set);
	st = tn_app_settings_apply(&a->set, p, d);
	a->settings_words = tn_app_settings_words(p);
	a->pipeline = p;
	return st;
}

/* ---- access ---------------------------------------------------------- */

static enum tn_status
read_password(struct app *a, struct tn_diag *d)
{
	const char *path = getenv("TARN_ADMIN_PASSWORD_FILE");
	struct tn_buf b = { 0 };
	enum tn_status st;

	if (path == NULL || path[0] == '\0')
		return TN_OK;
	st = tn_os_read_file(path, &b, 4096);
	if (st != TN_OK)
		tn_diag_set(d, st, "password_file",
		    "TARN_ADMIN_PASSWORD_FILE: cannot read %s: %s", path,
		    tn_status_text(st));
	while (b.n > 0 && (b.p[b.n - 1] == '\n' || b.p[b.n - 1] == '\r'))
		b.n--;
	if (st == TN_OK)
		st = tn_governance_set_password(a->access,
		    (struct tn_slice){ b.p, b.n }, d);
	tn_buf_fini(&b);
	return st;
}

static enum tn_status
open_door(struct app *a, const struct tn_app_args *args, struct tn_diag *d)
{
	const int64_t *n = a->set.number;
	struct tn_http_opts o = { .loop = a->loop,
	    .listen = args->http != NULL ? args->http :
	    a->set.text[TN_SET_HTTP_LISTEN],
	    .web_dir = args->web_dir, .data_dir = a->data,
	    .lake_url = a->set.text[TN_SET_LAKE_URL],
	    .disk_reserve = tn_app_disk_reserve(a), .model = a->model,
	    .catalog = a->catalog, .lake = a->lake, .log = a->log,
	    .serving = a->serving, .ingest = a->ingest, .speed = a->speed,
	    .batch = a->batch, .pool = a->pool,
	    .settings = a->shown, .setting_count = TN_SET_COUNT,
	    .connections_max = (uint32_t)n[TN_SET_CONNECTIONS],
	    .address_connections_max =
	    (uint32_t)n[TN_SET_ADDRESS_CONNECTIONS],
	    .header_ms = (uint32_t)(n[TN_SET_HEADER_TIMEOUT] / 1000),
	    .body_idle_ms = (uint32_t)(n[TN_SET_BODY_TIMEOUT] / 1000),
	    .sql_bytes_max = (size_t)n[TN_SET_SQL_BYTES],
	    .instance = a->set.text[TN_SET_INSTANCE],
	    .time_zone = a->set.text[TN_SET_TIME_ZONE] };
	enum tn_status st = tn_governance_access_new(&a->access, a->catalog);

	tn_os_zone(a->zone);
	if (o.time_zone[0] == '\0')
		o.time_zone = a->zone;
	if (st == TN_OK)
		st = read_password(a, d);
	o.access = a->access;
	for (int i = 0; i < TN_SET_COUNT; i++)
		a->shown[i] = (struct tn_http_setting){
		    tn_app_setting_name(i), a->set.text[i],
		    tn_app_setting_default(i), tn_app_setting_doc(i) };
	tn_mqtt_bridges_shown(&a->bridge_shown,
	    a->set.text[TN_SET_MQTT_BRIDGE]);
	a->shown[TN_SET_MQTT_BRIDGE].value = tn_buf_cstr(&a->bridge_shown);
	o.calls = (struct tn_http_calls){ tn_app_call_run, a };
	o.mqtt = (struct tn_http_mqtt){ tn_app_mqtt_json, tn_app_mqtt_adopt,
	    a };
	o.inbox = (struct tn_http_inbox){ tn_app_inbox_json, a };
	o.schedule = (struct tn_http_schedule){ tn_app_schedule_json, a };
	o.definitions = (struct tn_http_definitions){ tn_app_definitions_run,
	    a };
	if (st == TN_OK)
		st = tn_app_inbox_open(a, d);
	if (st == TN_OK)
		st = tn_app_objects_open(a, d);
	o.objects = a->objects;
	if (st == TN_OK)
		st = tn_http_new(&a->http, &o, d);
	if (st == TN_OK)
		st = tn_app_mqtt_open(a, args, d);
	return st;
}

/* ---- words ----------------------------------------------------------- */

static void
host_text(const struct app *a, const struct tn_app_args *args,
    struct tn_buf *out)
{
	const char *listen = args->http != NULL ? args->http :
	    a->set.text[TN_SET_HTTP_LISTEN];
	const char *colon = strrchr(listen, ':');
	size_t n = colon != NULL ? (size_t)(colon - listen) : 0;
	bool any = n == 0 || strncmp(listen, "0.0.0.0", n) == 0 ||
	    strncmp(listen, "[::]", n) == 0 || strncmp(listen, "*", n) == 0;

	tn_buf_str(out, "http://");
	if (any)
		tn_buf_str(out, "localhost");
	else
		tn_buf_add(out, listen, n);
	tn_buf_printf(out, ":%u", (unsigned)tn_http_port(a->http));
}

static void
print_banner(struct app *a, const struct tn_app_args *args, int64_t took_us)
{
	struct tn_buf b = { 0 };
	const char *url;
	uint32_t first = 0;
	uint64_t free_bytes = 0;
	char code[40];
	enum tn_status st = tn_os_disk_free(a->data, &free_bytes);

	host_text(a, args, &b);
	a->url = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	url = a->url;
	printf("tarn %s  data %s  pid %ld\n", TN_VERSION, a->data,
	    (long)getpid());
	printf("  ok storage   log at %llu, lake at %llu, %.1f GiB free\n",
	    (unsigned long long)tn_log_last(a->log),
	    (unsigned long long)a->cut_lsn,
	    st == TN_OK ? (double)free_bytes / (1 << 30) : 0.0);
	/* Not the budget's total: that counts what is kept for a cut and what
	 * the allocator may take, too. */
	printf("  ok memory    at most %lld MiB (memory_max), %.1f MiB in "
	    "use\n", (long long)(a->set.number[TN_SET_MEMORY] >> 20),
	    (double)tn_os_anonymous_bytes() / (1 << 20));
	printf("  ok pipeline  %u streams, %u views (ready in %.0f ms)\n\n",
	    (unsigned)a->model->stream_count, (unsigned)a->model->view_count,
	    (double)took_us / 1000);
	if (tn_http_is_loopback(a->http) ||
	    tn_governance_has_password(a->access)) {
		printf("  Dashboard    %s/\n", url);
	} else {
		tn_governance_setup_code(a->access, code);
		printf("  Dashboard    %s/setup#t=%s\n"
		    "               (one-time link, valid 30 min; it sets the "
		    "admin password)\n", url, code);
	}
	while (first < a->model->stream_count &&
	    a->model->streams[first].table->builtin)
		first++;
	if (first < a->model->stream_count)
		printf("  REST         POST %s/api/v1/streams/%s\n", url,
		    a->model->streams[first].table->name);
	if (tn_mqtt_port(a->mqtt) != 0)
		printf("  MQTT         mqtt://%s:%u\n", tn_mqtt_is_loopback(
		    a->mqtt) ? "127.0.0.1" : "localhost",
		    (unsigned)tn_mqtt_port(a->mqtt));
	printf("  Metrics      %s/metrics\n\n  Stop: Ctrl-C\n\n", url);
	fflush(stdout);
}

/* ---- ending ---------------------------------------------------------- */

static void
look_idle(void *arg)
{
	struct app *a = arg;

	a->drained_ms += 20;
	if ((tn_http_idle(a->http) && tn_mqtt_idle(a->mqtt) &&
	    tn_inbox_idle(a->inbox)) ||
	    a->drained_ms >= DRAIN_MS)
		tn_net_loop_stop(a->loop);
}

static void
drain(struct app *a)
{
	a->stopping = true;
	tn_say(TN_INFO, "app", "draining");
	tn_http_set_ready(a->http, false);
	tn_app_demo_cancel(a->demo);
	tn_http_drain(a->http);
	tn_mqtt_drain(a->mqtt);
	tn_inbox_drain(a->inbox);
	tn_app_backup_cancel(a);
	tn_net_timer_start(a->drain_timer, 1, 20);
}

static void
signalled(int signum, void *arg)
{
	struct app *a = arg;

	if (signum == SIGHUP)
		return;                 /* Nothing to read again yet. */
	if (a->again) {
		a->again = false;       /* It is to end, and stay ended. */
		return;
	}
	if (a->stopping)
		_exit(130);             /* The second one: at once. */
	drain(a);
}

/* Ends as after a signal, but its sockets stay open; then it is started anew. */
static void
restart(struct app *a)
{
	if (a->stopping)
		return;
	tn_say(TN_INFO, "app", "restarting itself for the new definitions");
	a->again = true;
	tn_net_hand_keep();
	drain(a);
}

static void
close_all(struct app *a)
{
	tn_net_timer_free(a->cut_timer);
	a->cut_timer = NULL;
	tn_net_timer_free(a->compact_timer);
	tn_net_timer_free(a->drain_timer);
	/* The demo's last request ends by its own cancel, within a second. */
	tn_app_demo_stop(a->demo);
	if (a->demo_token != 0 && tn_governance_token_revoke(a->access,
	    a->demo_token) != TN_OK)
		tn_say(TN_WARN, "app", "the demo's token stays listed");
	tn_http_free(a->http);
	a->http = NULL;
	tn_app_engine_close(a);
	tn_buf_fini(&a->bridge_shown);
	tn_free(a->url);
}

static void
show_progress(void *arg, const char *json)
{
	struct app *a = arg;

	tn_http_set_progress(a->http, json);
}

static void
serve(struct app *a, const struct tn_app_args *args, bool demo)
{
	char token[64];

	a->compact_timer = tn_net_timer_new(a->loop, compact_time, a);
	tn_net_timer_start(a->compact_timer, COMPACT_MS, COMPACT_MS);
	a->drain_timer = tn_net_timer_new(a->loop, look_idle, a);
	tn_app_cuts_open(a);
	tn_net_loop_on_signal(a->loop, SIGINT, signalled, a);
	tn_net_loop_on_signal(a->loop, SIGTERM, signalled, a);
	tn_net_loop_on_signal(a->loop, SIGHUP, signalled, a);
	tn_net_hand_end();
	if (!demo)
		a->restart = restart;
	tn_http_set_ready(a->http, true);
	print_banner(a, args, tn_os_mono_us() - a->begun_us);
	if (demo && tn_governance_token_create(a->access, "demo",
	    TN_SCOPE_ADMIN, 0, token, &a->demo_token) == TN_OK)
		a->demo = tn_app_demo_start(a->url, token, isatty(2) == 1,
		    show_progress, a);
	tn_net_loop_run(a->loop);
	if (a->again)
		tn_os_again_hold();
}

static int
start_anew(const struct tn_app_args *args)
{
	tn_say(TN_INFO, "app", "stopped: the log is synced; starting anew");
	fflush(stdout);
	tn_net_hand_pass();
	if (tn_os_again(args->argv) == TN_ECLOSED) {
		tn_say(TN_INFO, "app", "stopped: it was told to end");
		return TN_EXIT_OK;
	}
	tn_say(TN_ERROR, "app", "it could not be started anew");
	return TN_EXIT_FAILED;
}

int
tn_app_run(const struct tn_app_args *args, bool demo)
{
	struct app a = { .data = args->data, .begun_us = tn_os_mono_us() };
	struct tn_diag d = { .line = 0 };
	const struct tn_catalog_snapshot *s;
	enum tn_status st;

	signal(SIGPIPE, SIG_IGN);
	st = load_config(&a, args, demo, &d);
	if (st == TN_OK)
		st = tn_app_engine_open(&a, &d);
	if (st == TN_OK)
		st = open_door(&a, args, &d);
	if (st == TN_OK) {
		s = tn_catalog_snapshot(a.catalog);
		a.cut_lsn = s->lsn;
		tn_catalog_snapshot_put(s);
		serve(&a, args, demo);
	} else {
		if (d.message[0] == '\0')
			tn_diag_set(&d, st, "start", "cannot start: %s",
			    tn_status_text(st));
		if (st == TN_ENOSPC && d.hint[0] == '\0')
			tn_diag_hint(&d, "the disk of %s is full: make room "
			    "there, and start again", args->data);
		tn_app_print_diag(&d);
	}
	close_all(&a);
	if (st == TN_OK && a.again)
		return start_anew(args);
	if (st == TN_OK)
		tn_say(TN_INFO, "app", "stopped: the log is synced");
	return st == TN_OK ? TN_EXIT_OK : st == TN_ECONFLICT ?
	    TN_EXIT_CONFLICT : TN_EXIT_FAILED;
}
