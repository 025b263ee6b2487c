/* Settings: one table with name, kind, default, range and what it is for.
 * From it come parsing, error texts, `tarn help settings`, /api/v1/settings
 * and the figures in /metrics. */
#include "app/app.h"

#include <stdio.h>
#include <string.h>

#include "lake/lake.h"
#include "mqtt/mqtt.h"
#include "objects/objects.h"
#include "os/os.h"
#include "record/record.h"

enum kind { TEXT, COUNT, BYTES, TIME };
struct def {
	const char *name;
	enum kind kind;
	const char *standard;
	int64_t min, max;        /* Numbers; TIME in microseconds. */
	const char *doc;
};

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (MIB * KIB)
#define S INT64_C(1000000)

static const struct def defs[TN_SET_COUNT] = {
	[TN_SET_HTTP_LISTEN] = { "http_listen", TEXT, "127.0.0.1:8420", 0, 0,
	    "address and port of the HTTP door" },
	[TN_SET_INSTANCE] = { "instance_name", TEXT, "", 0, 0,
	    "name shown on the dashboard" },
	[TN_SET_TIME_ZONE] = { "time_zone", TEXT, "", 0, 0,
	    "zone of the site, as Europe/Berlin, in which the dashboard can "
	    "show times; '': the machine's. Buckets are cut in UTC" },
	[TN_SET_CUT_INTERVAL] = { "cut_interval", TIME, "60 s", S,
	    86400 * S, "time between cuts (log to lake)" },
	[TN_SET_CUT_ROWS] = { "cut_rows", COUNT, "1000000", 1000, 100000000,
	    "rows in the log that make a cut before its time" },
	[TN_SET_YOUNG_FILES] = { "young_files_max", COUNT, "8", 1, 1000,
	    "young files of a partition before they are merged" },
	[TN_SET_COMPACT_BYTES] = { "compact_file_bytes", BYTES, "128 MiB",
	    MIB, 4 * GIB, "size of a lake file that is merged no more" },
	[TN_SET_COMPACT_RATE] = { "compact_rate", BYTES, "32 MiB", MIB,
	    16 * GIB, "lake files that merging reads in a second; a quarter "
	    "of it while many events come in (compact_busy_rate)" },
	[TN_SET_COMPACT_BUSY] = { "compact_busy_rate", BYTES, "4 MiB", KIB,
	    16 * GIB, "growth of the log in a second beyond which merging and "
	    "tarn apply read at a quarter of their rate" },
	[TN_SET_PREPARE_RATE] = { "prepare_rate", BYTES, "32 MiB", MIB,
	    16 * GIB, "bronze files that tarn apply reads in a second to make "
	    "silver of a changed table; a quarter of it while many events "
	    "come in" },
	[TN_SET_PREPARE_REST] = { "prepare_rest_rows", COUNT, "200000", 1,
	    1000000000, "rows that came meanwhile: with fewer it is done, the "
	    "start makes the rest" },
	[TN_SET_APPLY_RESTART] = { "apply_restart", COUNT, "1", 0, 1,
	    "1: tarn apply restarts the server in place where a change needs "
	    "it; 0: it says so" },
	[TN_SET_SNAPSHOT_KEEP] = { "snapshot_keep", TIME, "1 hour", S,
	    3650 * 86400 * S, "how long a snapshot can be read, and the lake "
	    "files it names stay on disk, after a newer one came" },
	[TN_SET_SEGMENT_BYTES] = { "log_segment_bytes", BYTES, "256 MiB",
	    16 * MIB, 16 * GIB, "size of a log segment's map" },
	[TN_SET_LOG_JOURNAL] = { "log_journal_bytes", BYTES, "1 MiB", 0,
	    64 * MIB, "small commits are on disk by one synced write to a "
	    "journal of this size and come to the log's segments together; 0: "
	    "each goes to its segment before it is answered" },
	[TN_SET_LOG_LEVEL] = { "log_zstd_level", COUNT, "1", 1, 19,
	    "compression of the log" },
	[TN_SET_LAKE_LEVEL] = { "lake_zstd_level", COUNT, "1", 1, 19,
	    "compression of lake files" },
	[TN_SET_DECODERS] = { "ingest_threads", COUNT, "0", 0, 8,
	    "decoder threads; 0: one less than cores, 1 to 4" },
	[TN_SET_CHUNK_BYTES] = { "ingest_chunk_bytes", BYTES, "1 MiB",
	    64 * KIB, 16 * MIB, "raw bytes of a body committed at once" },
	[TN_SET_ROW_BYTES] = { "row_bytes_max", BYTES, "1 MiB", KIB,
	    16 * MIB, "largest event" },
	[TN_SET_PENDING_BYTES] = { "ingest_pending_bytes", BYTES, "64 MiB",
	    4 * MIB, 4 * GIB, "events on their way before senders wait" },
	[TN_SET_BACKLOG_BYTES] = { "speed_backlog_bytes", BYTES, "256 MiB",
	    16 * MIB, 16 * GIB, "rows not folded yet before senders wait" },
	[TN_SET_RECENT_BYTES] = { "cut_recent_bytes", BYTES, "64 MiB", 0,
	    16 * GIB, "decoded rows kept in memory for the next cut" },
	[TN_SET_ERRORS] = { "errors_max", COUNT, "100", 1, 10000,
	    "row errors listed in an answer" },
	[TN_SET_IDEMPOTENCY] = { "idempotency_window", TIME, "24 hours", S,
	    30 * 86400 * S, "how long an Idempotency-Key is remembered" },
	[TN_SET_IDEMPOTENCY_KEYS] = { "idempotency_keys_max", COUNT,
	    "100000", 100, 10000000, "most remembered Idempotency-Keys; they "
	    "hold an eighth of log_segment_bytes at most" },
	[TN_SET_IDEMPOTENCY_MIN] = { "idempotency_window_min", TIME,
	    "15 minutes", S, 30 * 86400 * S, "where there are more, the oldest "
	    "are forgotten, but none younger than this: then 503" },
	[TN_SET_QUERY_THREADS] = { "query_threads", COUNT, "2", 1, 64,
	    "threads for queries and recompute" },
	[TN_SET_QUERY_BYTES] = { "query_memory", BYTES, "256 MiB", MIB,
	    64 * GIB, "memory of one SQL query" },
	[TN_SET_RESULT_ROWS] = { "result_rows_max", COUNT, "100000", 1,
	    10000000, "rows of one answer" },
	[TN_SET_CACHE_BYTES] = { "result_cache_bytes", BYTES, "16 MiB", 0,
	    4 * GIB, "encoded answers kept" },
	[TN_SET_GOLD_BYTES] = { "gold_cache_bytes", BYTES, "128 MiB", MIB,
	    64 * GIB, "view states kept in memory" },
	[TN_SET_LIVE_INTERVAL] = { "live_interval", TIME, "100 ms",
	    S / 100, 60 * S, "least time between live patches" },
	[TN_SET_LIVE_CLIENTS] = { "live_subscribers_max", COUNT, "256", 1,
	    10000, "live subscriptions at once" },
	[TN_SET_CONNECTIONS] = { "http_connections_max", COUNT, "1000", 10,
	    20000, "HTTP connections at once" },
	[TN_SET_HEADER_TIMEOUT] = { "http_header_timeout", TIME, "10 s", S,
	    600 * S, "for a whole request header" },
	[TN_SET_BODY_TIMEOUT] = { "http_body_timeout", TIME, "60 s", S,
	    3600 * S, "between bytes of a request body" },
	[TN_SET_SQL_BYTES] = { "sql_bytes_max", BYTES, "64 KiB", KIB,
	    64 * KIB, "largest SQL text" },
	[TN_SET_CUT_LOAD_ROWS] = { "cut_load_rows", COUNT, "4000000", 0,
	    1000000000, "rows of a cut that goes along with the load of a "
	    "file; 0: none does" },
	[TN_SET_SLICE_ROWS] = { "cut_slice_rows", COUNT, "250000", 1000,
	    10000000, "decoded rows held in memory during a cut" },
	[TN_SET_CORRECTIONS] = { "corrections_max", COUNT, "200", 1, 100000,
	    "changed numbers kept of one batch run" },
	[TN_SET_CORRECTIONS_KEEP] = { "corrections_keep", TIME, "30 days",
	    60 * S, 3650 * 86400 * S, "how long changed numbers are kept" },
	[TN_SET_RETENTION_WAIT] = { "retention_wait", TIME, "10 min", 0,
	    86400 * S, "how long retention removes nothing after the clock "
	    "leapt by days" },
	[TN_SET_DISK_RESERVE] = { "disk_reserve", BYTES, "256 MiB", 0,
	    1024 * GIB, "free space of DATA's disk that events never take "
	    "(507), and merging files leaves twice; at most 1/16 of the disk" },
	[TN_SET_HOLISTIC_BYTES] = { "holistic_state_bytes", BYTES, "1 MiB",
	    4 * KIB, GIB, "values that count(DISTINCT) and percentile_cont "
	    "keep of a group; larger ones are computed from rows anew" },
	[TN_SET_MEMORY] = { "memory_max", BYTES, "0", 0, 1024 * GIB,
	    "memory of all that grows, 64 MiB or more; 0: half of what the "
	    "machine or its container has, at least 128 MiB" },
	[TN_SET_MEMORY_FULL] = { "memory_full_max", TIME, "60 s", S,
	    86400 * S, "how long no events may be taken for want of memory "
	    "or disk before /readyz and /healthz say 503" },
	[TN_SET_ADDRESS_CONNECTIONS] = { "http_address_connections_max",
	    COUNT, "0", 0, 20000, "HTTP connections of one address; 0: no "
	    "limit" },
	[TN_SET_MQTT_LISTEN] = { "mqtt_listen", TEXT, "127.0.0.1:1883", 0, 0,
	    "address and port of the MQTT broker; none: no listener" },
	[TN_SET_MQTT_TLS_LISTEN] = { "mqtt_tls_listen", TEXT, "", 0, 0,
	    "the same with TLS, as 0.0.0.0:8883" },
	[TN_SET_MQTT_TLS_CERT] = { "mqtt_tls_cert", TEXT, "", 0, 0,
	    "PEM file of the certificate and its chain" },
	[TN_SET_MQTT_TLS_KEY] = { "mqtt_tls_key", TEXT, "", 0, 0,
	    "PEM file of its key" },
	[TN_SET_MQTT_TLS_CLIENT_CA] = { "mqtt_tls_client_ca", TEXT, "", 0, 0,
	    "PEM file of who signs client certificates; they are then a "
	    "login" },
	[TN_SET_MQTT_CONNECTIONS] = { "mqtt_connections_max", COUNT,
	    "20000", 1, 1000000, "MQTT connections at once" },
	[TN_SET_MQTT_SESSIONS] = { "mqtt_sessions_max", COUNT, "100000", 1,
	    10000000, "MQTT sessions, connected or not" },
	[TN_SET_MQTT_PACKET] = { "mqtt_packet_bytes", BYTES, "1 MiB", KIB,
	    64 * MIB, "largest MQTT packet" },
	[TN_SET_MQTT_INFLIGHT] = { "mqtt_inflight_max", COUNT, "1024", 1,
	    65535, "QoS 1 and 2 messages of a client under way, each way" },
	[TN_SET_MQTT_ALIASES] = { "mqtt_topic_alias_max", COUNT, "64", 1,
	    65535, "topic aliases of a connection" },
	[TN_SET_MQTT_QUEUED] = { "mqtt_queued_max", COUNT, "10000", 1, 60000,
	    "messages waiting for one session" },
	[TN_SET_MQTT_QUEUED_BYTES] = { "mqtt_queued_bytes", BYTES, "64 MiB",
	    MIB, 64 * GIB, "messages waiting for all sessions" },
	[TN_SET_MQTT_RETAINED] = { "mqtt_retained_max", COUNT, "100000", 1,
	    10000000, "retained messages" },
	[TN_SET_MQTT_RETAINED_BYTES] = { "mqtt_retained_bytes", BYTES,
	    "64 MiB", MIB, 64 * GIB, "retained messages together" },
	[TN_SET_MQTT_SUBSCRIPTIONS] = { "mqtt_subscriptions_max", COUNT,
	    "1000", 1, 1000000, "subscriptions of one session" },
	[TN_SET_MQTT_SUBSCRIPTION_BYTES] = { "mqtt_subscription_bytes", BYTES,
	    "64 MiB", MIB, 64 * GIB, "subscriptions of all sessions" },
	[TN_SET_MQTT_EXPIRY] = { "mqtt_session_expiry_max", TIME, "7 days",
	    S, 3650 * 86400 * S, "how long a session outlives its "
	    "connection at most" },
	[TN_SET_MQTT_KEEP_ALIVE] = { "mqtt_keep_alive_max", TIME, "60 s", 0,
	    65535 * S, "longest keep-alive (5.0); 0: what clients ask for" },
	[TN_SET_MQTT_CONNECT] = { "mqtt_connect_timeout", TIME, "10 s", S,
	    600 * S, "for a whole CONNECT" },
	[TN_SET_MQTT_UNSENT] = { "mqtt_unsent_bytes", BYTES, "1 MiB",
	    64 * KIB, GIB, "how far a reader may lag before QoS 0 is "
	    "dropped and the rest waits" },
	[TN_SET_MQTT_SOURCES] = { "mqtt_new_sources", COUNT, "1", 0, 1,
	    "1: show topics that no stream takes on the Streams page" },
	[TN_SET_MQTT_BRIDGE] = { "mqtt_bridge", TEXT, "", 0, 0,
	    "take messages from another broker, as 'mqtt://user:password@"
	    "host:1883 client=tarn-1 topics=zigbee2mqtt/#,tele/# qos=1'; "
	    "several are separated by ;" },
	[TN_SET_INBOX_SETTLE] = { "inbox_settle", TIME, "2 s", 0, 3600 * S,
	    "how long a file in DATA/inbox/STREAM must be at rest before it "
	    "is loaded; one renamed from NAME.part is at once" },
	[TN_SET_INBOX_SCAN] = { "inbox_scan_interval", TIME, "60 s", S / 10,
	    86400 * S, "looks at the drop folders beside what the system "
	    "tells" },
	[TN_SET_INBOX_FILES] = { "inbox_files_max", COUNT, "2", 1, 16,
	    "dropped files loaded at once" },
	[TN_SET_INBOX_TABLE] = { "inbox_table_bytes", BYTES, "256 MiB", MIB,
	    64 * GIB, "contents that are known to be loaded, about 300 bytes "
	    "each" },
	[TN_SET_COPY_PATHS] = { "copy_paths", TEXT, "", 0, 0,
	    "folders that COPY may use beside DATA/export and DATA/inbox, "
	    "separated by commas" },
	[TN_SET_OBJECTS] = { "objects", TEXT, "on", 0, 0,
	    "off: no files at /api/v1/objects and no stream objects" },
	[TN_SET_OBJECT_BYTES] = { "object_bytes_max", BYTES, "1 GiB", KIB,
	    1024 * GIB, "largest object" },
	[TN_SET_OBJECT_UPLOADS] = { "object_uploads_max", COUNT, "32", 1,
	    10000, "objects received at once; 640 KiB of memory each" },
	[TN_SET_OBJECT_INDEX] = { "object_index_bytes", BYTES, "4 GiB",
	    MIB, 1024 * GIB, "names of objects, about 400 bytes each" },
	[TN_SET_OBJECT_RETENTION] = { "object_retention", TEXT, "", 0, 0,
	    "how long objects stay, by bucket, as 'photos=30 days, "
	    "*=400 days'; '': for ever" },
	[TN_SET_LAKE_TABLES] = { "lake_tables", TEXT, "iceberg,delta", 0, 0,
	    "table formats that the lake is also written in: iceberg, delta "
	    "or none" },
	[TN_SET_LAKE_URL] = { "lake_url", TEXT, "", 0, 0,
	    "how others reach /lake, as https://tarn.example.com/lake; '': "
	    "by the Host that they ask" },
	[TN_SET_COLD_FOLDER] = { "cold_folder", TEXT, "", 0, 0,
	    "a second folder, mostly of another disk, that old bronze and "
	    "silver files are moved to, as /mnt/cold; '': none" },
	[TN_SET_COLD_AFTER] = { "cold_after", TIME, "30 days", 0,
	    3650 * 86400 * S, "age of the newest row of a partition that is "
	    "moved to cold_folder; a table may say its own" },
	[TN_SET_COLD_LEVEL] = { "cold_zstd_level", COUNT, "9", 1, 19,
	    "compression of files in cold_folder" },
	[TN_SET_COLD_RETRY] = { "cold_retry", TIME, "10 min", S, 86400 * S,
	    "how long nothing is moved to cold_folder after it failed, nor "
	    "removed from it after it hung" },
	[TN_SET_FILE_RETRY] = { "file_retry", TIME, "10 min", S, 86400 * S,
	    "how long merging leaves a lake file alone that the disk fails "
	    "to read, twice as long after each try" },
	[TN_SET_FILE_RETRY_MAX] = { "file_retry_max", TIME, "6 hours", S,
	    30 * 86400 * S, "the longest of these times, and that of a "
	    "damaged file" },
};

const char *
tn_app_setting_name(enum tn_app_setting i)
{
	return defs[i].name;
}

const char *
tn_app_setting_doc(enum tn_app_setting i)
{
	return defs[i].doc;
}

const char *
tn_app_setting_default(enum tn_app_setting i)
{
	return defs[i].standard;
}

/* "64 MiB", "64MB", "67108864". MB is taken as MiB, as PostgreSQL does. */
static bool
parse_bytes(const char *text, int64_t *v)
{
	static const struct { const char *unit; int64_t factor; } units[] = {
		{ "", 1 }, { "B", 1 }, { "bytes", 1 }, { "kB", KIB }, { "KB", KIB },
		{ "KiB", KIB }, { "MB", MIB }, { "MiB", MIB }, { "GB", GIB },
		{ "GiB", GIB },
	};
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits + strspn(text + digits, " ");
	uint64_t n;

	if (!tn_parse_u64((struct tn_slice){ (const uint8_t *)text, digits },
	    &n))
		return false;
	for (size_t i = 0; i < TN_COUNT(units); i++)
		if (strcmp(unit, units[i].unit) == 0) {
			if (n > (uint64_t)(INT64_MAX / units[i].factor))
				return false;
			*v = (int64_t)n * units[i].factor;
			return true;
		}
	return false;
}

static bool
parse_time(const char *text, int64_t *us)
{
	struct tn_interval v;

	if (!tn_record_parse_interval(tn_slice_of(text), &v) || v.months != 0)
		return false;
	*us = v.us + v.days * INT64_C(86400) * S;
	return true;
}

static bool
parse_value(const struct def *d, const char *text, int64_t *v)
{
	*v = 0;
	switch (d->kind) {
	case TEXT:
		return true;
	case COUNT:
		return tn_parse_i64(tn_slice_of(text), v);
	case BYTES:
		return parse_bytes(text, v);
	case TIME:
		return parse_time(text, v);
	}
	return false;
}

void
tn_app_settings_init(struct tn_app_settings *s)
{
	memset(s, 0, sizeof *s);
	for (int i = 0; i < TN_SET_COUNT; i++) {
		bool good = parse_value(&defs[i], defs[i].standard,
		    &s->number[i]);
		tn_assert(good);
		snprintf(s->text[i], sizeof s->text[i], "%s",
		    defs[i].standard);
	}
}

static const char *
number_text(const struct def *d, int64_t v, char buf[static 48])
{
	if (d->kind == TIME)
		snprintf(buf, 48, "%lld ms", (long long)(v / 1000));
	else
		snprintf(buf, 48, "%lld%s", (long long)v,
		    d->kind == BYTES ? " bytes" : "");
	return buf;
}

/* Its value may hold a password: what is wrong with it is told without. */
static enum tn_status
check_bridge(const char *text, struct tn_diag *d)
{
	struct tn_mqtt_bridges *all = NULL;
	enum tn_status st = tn_mqtt_bridges_parse(&all, text, d);

	tn_mqtt_bridges_free(all);
	return st;
}

int
tn_app_table_formats(const char *text)
{
	static const struct {
		const char *name;
		int format;
	} names[] = {
		{ "iceberg", TN_LAKE_ICEBERG }, { "delta", TN_LAKE_DELTA },
		{ "none", 0 },
	};
	int all = 0;

	for (;;) {
		size_t n = strcspn(text, ", "), i = 0;
		while (i < TN_COUNT(names) && (strlen(names[i].name) != n ||
		    strncmp(names[i].name, text, n) != 0))
			i++;
		if (i == TN_COUNT(names))
			return -1;
		all |= names[i].format;
		text += n + strspn(text + n, ", ");
		if (*text == '\0')
			return all;
	}
}

/* Texts with a form of their own. */
static enum tn_status
check_text(int i, const char *text, struct tn_diag *d)
{
	if (i == TN_SET_MQTT_BRIDGE)
		return check_bridge(text, d);
	if (i == TN_SET_OBJECT_RETENTION)
		return tn_objects_retention_check(text, d);
	if (i == TN_SET_LAKE_TABLES && tn_app_table_formats(text) < 0)
		return tn_diag_set(d, TN_EINVAL, "bad_setting", "lake_tables "
		    "is 'iceberg', 'delta', 'iceberg,delta' or 'none'");
	if (i == TN_SET_TIME_ZONE && text[0] != '\0' && !tn_os_is_zone(text))
		return tn_diag_set(d, TN_EINVAL, "bad_setting", "\"%.60s\" "
		    "is no time zone: time_zone is a name as Europe/Berlin",
		    text);
	if (i == TN_SET_LAKE_URL && text[0] != '\0' &&
	    strncmp(text, "http://", 7) != 0 &&
	    strncmp(text, "https://", 8) != 0)
		return tn_diag_set(d, TN_EINVAL, "bad_setting", "lake_url "
		    "begins with http:// or https://");
	if (i == TN_SET_COLD_FOLDER && text[0] != '\0' && (text[0] != '/' ||
	    strpbrk(text, "\n\r") != NULL))
		return tn_diag_set(d, TN_EINVAL, "bad_setting",
		    "cold_folder begins with /");
	if (i == TN_SET_OBJECTS && strcmp(text, "on") != 0 &&
	    strcmp(text, "off") != 0)
		return tn_diag_set(d, TN_EINVAL, "bad_setting",
		    "objects is 'on' or 'off'");
	return TN_OK;
}

enum tn_status
tn_app_setting_parse(enum tn_app_setting i, const char *text, int64_t *v,
    struct tn_diag *d)
{
	const struct def *f = &defs[i];
	char lo[48], hi[48];

	if (strlen(text) >= TN_APP_SETTING_TEXT) {
		tn_diag_hint(d, "at most %d bytes", TN_APP_SETTING_TEXT - 1);
		return tn_diag_set(d, TN_EINVAL, "bad_setting",
		    "the value of %s is too long", f->name);
	}
	if (check_text((int)i, text, d) != TN_OK)
		return TN_EINVAL;
	if (!parse_value(f, text, v)) {
		tn_diag_hint(d, "write it like '%s'", f->standard);
		return tn_diag_set(d, TN_EINVAL, "bad_setting",
		    "\"%.80s\" is no value for %s", text, f->name);
	}
	if (f->kind != TEXT && (*v < f->min || *v > f->max))
		return tn_diag_set(d, TN_EINVAL, "setting_range",
		    "%s must be between %s and %s", f->name,
		    number_text(f, f->min, lo), number_text(f, f->max, hi));
	return TN_OK;
}

static enum tn_status
set_one(struct tn_app_settings *s, int i, const struct tn_sql_setting *x,
    struct tn_diag *d)
{
	int64_t v = 0;
	enum tn_status st = tn_app_setting_parse((enum tn_app_setting)i,
	    x->value, &v, d);

	if (st != TN_OK)
		return st;
	s->number[i] = v;
	snprintf(s->text[i], sizeof s->text[i], "%s", x->value);
	return TN_OK;
}

enum tn_status
tn_app_settings_apply(struct tn_app_settings *s,
    const struct tn_sql_pipeline *p, struct tn_diag *d)
{
	enum tn_status st = TN_OK;

	for (uint32_t k = 0; st == TN_OK && k < p->setting_count; k++) {
		const struct tn_sql_setting *x = &p->settings[k];
		int i = 0;
		while (i < TN_SET_COUNT && strcmp(defs[i].name, x->name) != 0)
			i++;
		if (i < TN_SET_COUNT) {
			st = set_one(s, i, x, d);
		} else {
			tn_diag_hint(d, "tarn help settings lists them");
			st = tn_diag_set(d, TN_EINVAL, "unknown_setting",
			    "there is no setting \"%.80s\"", x->name);
		}
		if (st != TN_OK && d != NULL) {
			snprintf(d->file, sizeof d->file, "%s", x->file);
			d->line = x->line;
			d->column = x->column;
		}
	}
	return st == TN_OK ? tn_app_memory_check(s, d) : st;
}

void
tn_app_settings_help(struct tn_buf *out)
{
	char lo[48], hi[48];

	tn_buf_str(out, "Settings: ALTER SYSTEM SET name = 'value' in a .sql "
	    "file of the configuration.\n\n");
	for (int i = 0; i < TN_SET_COUNT; i++) {
		tn_buf_printf(out, "  %-22s %-14s  %s", defs[i].name,
		    defs[i].standard[0] != '\0' ? defs[i].standard : "''",
		    defs[i].doc);
		if (defs[i].kind != TEXT)
			tn_buf_printf(out, " (%s to %s)",
			    number_text(&defs[i], defs[i].min, lo),
			    number_text(&defs[i], defs[i].max, hi));
		tn_buf_char(out, '\n');
	}
	tn_buf_str(out, "\nWhile it runs these can change: ALTER SYSTEM over "
	    "tarn sql or POST /api/v1/sql, or the page Runs\n ");
	for (int i = 0; i < TN_SET_COUNT; i++)
		if (tn_app_is_tunable((enum tn_app_setting)i))
			tn_buf_printf(out, " %s", defs[i].name);
	tn_buf_char(out, '\n');
	tn_app_memory_help(out);
}
