/* app: main, commands, settings, wiring, start and stop order. The top floor:
 * nothing includes it but itself. */
#ifndef TN_APP_APP_H
#define TN_APP_APP_H

#include "base/base.h"
#include "sql/sql.h"

/* Exit codes of every command (DESIGN.md section 7). */
enum tn_app_exit {
	TN_EXIT_OK = 0, TN_EXIT_FAILED = 1, TN_EXIT_USAGE = 2,
	TN_EXIT_PARTIAL = 3, TN_EXIT_UNREACHABLE = 4, TN_EXIT_REFUSED = 5,
	TN_EXIT_CONFLICT = 6
};

/* ---- settings -------------------------------------------------------- */

/* Every limit of the program: ALTER SYSTEM SET name = 'value'. Kept as text
 * for showing and as a number for use (bytes, rows, microseconds). */
enum tn_app_setting {
	TN_SET_HTTP_LISTEN, TN_SET_INSTANCE, TN_SET_TIME_ZONE,
	TN_SET_CUT_INTERVAL,
	TN_SET_CUT_ROWS, TN_SET_YOUNG_FILES,
	TN_SET_COMPACT_BYTES, TN_SET_COMPACT_RATE, TN_SET_COMPACT_BUSY,
	TN_SET_SNAPSHOT_KEEP,
	TN_SET_PREPARE_RATE, TN_SET_PREPARE_REST, TN_SET_APPLY_RESTART,
	TN_SET_SEGMENT_BYTES, TN_SET_LOG_JOURNAL, TN_SET_LOG_LEVEL, TN_SET_LAKE_LEVEL,
	TN_SET_DECODERS, TN_SET_CHUNK_BYTES, TN_SET_ROW_BYTES,
	TN_SET_PENDING_BYTES, TN_SET_BACKLOG_BYTES,
	TN_SET_RECENT_BYTES, TN_SET_ERRORS,
	TN_SET_IDEMPOTENCY, TN_SET_IDEMPOTENCY_KEYS,
	TN_SET_IDEMPOTENCY_MIN, TN_SET_QUERY_THREADS,
	TN_SET_QUERY_BYTES, TN_SET_RESULT_ROWS, TN_SET_CACHE_BYTES,
	TN_SET_GOLD_BYTES, TN_SET_LIVE_INTERVAL, TN_SET_LIVE_CLIENTS,
	TN_SET_CONNECTIONS, TN_SET_HEADER_TIMEOUT, TN_SET_BODY_TIMEOUT,
	TN_SET_SQL_BYTES, TN_SET_CUT_LOAD_ROWS,
	TN_SET_SLICE_ROWS,
	TN_SET_CORRECTIONS, TN_SET_CORRECTIONS_KEEP,
	TN_SET_RETENTION_WAIT, TN_SET_DISK_RESERVE,
	TN_SET_HOLISTIC_BYTES, TN_SET_MEMORY, TN_SET_MEMORY_FULL,
	TN_SET_ADDRESS_CONNECTIONS,
	TN_SET_MQTT_LISTEN, TN_SET_MQTT_TLS_LISTEN, TN_SET_MQTT_TLS_CERT,
	TN_SET_MQTT_TLS_KEY, TN_SET_MQTT_TLS_CLIENT_CA,
	TN_SET_MQTT_CONNECTIONS, TN_SET_MQTT_SESSIONS, TN_SET_MQTT_PACKET,
	TN_SET_MQTT_INFLIGHT, TN_SET_MQTT_ALIASES, TN_SET_MQTT_QUEUED,
	TN_SET_MQTT_QUEUED_BYTES, TN_SET_MQTT_RETAINED,
	TN_SET_MQTT_RETAINED_BYTES, TN_SET_MQTT_SUBSCRIPTIONS,
	TN_SET_MQTT_SUBSCRIPTION_BYTES,
	TN_SET_MQTT_EXPIRY, TN_SET_MQTT_KEEP_ALIVE, TN_SET_MQTT_CONNECT,
	TN_SET_MQTT_UNSENT, TN_SET_MQTT_SOURCES, TN_SET_MQTT_BRIDGE,
	TN_SET_INBOX_SETTLE, TN_SET_INBOX_SCAN, TN_SET_INBOX_FILES,
	TN_SET_INBOX_TABLE, TN_SET_COPY_PATHS,
	TN_SET_OBJECTS, TN_SET_OBJECT_BYTES, TN_SET_OBJECT_UPLOADS,
	TN_SET_OBJECT_INDEX, TN_SET_OBJECT_RETENTION,
	TN_SET_LAKE_TABLES, TN_SET_LAKE_URL,
	TN_SET_COLD_FOLDER, TN_SET_COLD_AFTER, TN_SET_COLD_LEVEL,
	TN_SET_COLD_RETRY, TN_SET_FILE_RETRY, TN_SET_FILE_RETRY_MAX,
	TN_SET_COUNT
};
#define TN_APP_SETTING_TEXT 1024
struct tn_app_settings {
	char text[TN_SET_COUNT][TN_APP_SETTING_TEXT];
	int64_t number[TN_SET_COUNT];
};
void tn_app_settings_init(struct tn_app_settings *s);
/* TN_EINVAL with file, line and the range. */
TN_MUST_USE enum tn_status tn_app_settings_apply(struct tn_app_settings *s,
    const struct tn_sql_pipeline *p, struct tn_diag *d);
/* A value of one setting as a number. TN_EINVAL with what is wrong. */
TN_MUST_USE enum tn_status tn_app_setting_parse(enum tn_app_setting i,
    const char *text, int64_t *v, struct tn_diag *d);
const char *tn_app_setting_name(enum tn_app_setting i);
const char *tn_app_setting_doc(enum tn_app_setting i);
/* Whether it can change while the program runs; see tune.c. */
bool tn_app_is_tunable(enum tn_app_setting i);
/* Of lake_tables, a set of enum tn_lake_format; -1: not understood. */
int tn_app_table_formats(const char *text);
const char *tn_app_setting_default(enum tn_app_setting i);
void tn_app_settings_help(struct tn_buf *out);

/* ---- files.c --------------------------------------------------------- */

/* Lower the numbers of connections so that, of ${files} that may be open at
 * once, enough are left for the rest. */
void tn_app_files_fit(struct tn_app_settings *s, uint64_t files);

/* ---- memory.c -------------------------------------------------------- */

/* Settings that do not fit each other or are too small: TN_EINVAL. */
TN_MUST_USE enum tn_status tn_app_memory_check(
    const struct tn_app_settings *s, struct tn_diag *d);
/* Decide memory_max, lower what does not fit into it, set the budget. */
void tn_app_memory_setup(struct tn_app_settings *s);
/* The part of `tarn help settings` about it. */
void tn_app_memory_help(struct tn_buf *out);

/* ---- bundled pipelines ----------------------------------------------- */

struct tn_app_file {
	const char *path;        /* "demo/pipeline.sql" */
	const uint8_t *bytes;
	uint64_t size;
};
/* All bundled files, sorted by path; made by packaging/bundle.sh. */
uint32_t tn_app_bundle(const struct tn_app_file **files);
TN_MUST_USE enum tn_status tn_app_load_bundle(const char *folder,
    struct tn_sql_pipeline **out, struct tn_diag *d);
/* tarn help objects */
void tn_app_objects_help(struct tn_buf *out);
/* The pipeline of a folder, with the built-in stream of objects, as the other
 * one has it. */
TN_MUST_USE enum tn_status tn_app_load_dir(const char *dir,
    struct tn_sql_pipeline **out, struct tn_diag *d);

/* The same of texts. */
TN_MUST_USE enum tn_status tn_app_load_texts(
    const struct tn_sql_source *sources, uint32_t count,
    struct tn_sql_pipeline **out, struct tn_diag *d);

/* ---- commands -------------------------------------------------------- */

struct tn_app_args {
	char *const *argv;       /* As main got it. */
	const char *command;
	const char *config;      /* --config, TARN_CONFIG */
	const char *data;        /* --data, TARN_DATA; "data" */
	const char *http;        /* --http, TARN_HTTP */
	const char *mqtt;        /* --mqtt, TARN_MQTT; "none": no listener */
	const char *web_dir;
	const char *url;         /* --url, TARN_URL */
	const char *token_file;  /* --token-file; else TARN_TOKEN */
	const char *format;
	const char *output;      /* -o FILE: of tarn sql */
	const char *wait;        /* --wait SECONDS: without a word of a server */
	const char *options[32]; /* Load options "name=value". */
	uint32_t option_count;
	const char *words[256];  /* What is left: names, files, SQL. */
	uint32_t word_count;
	bool json, quiet, help;
	uint32_t given;          /* Which were words, not the environment's:
	                          * bits of main.c. */
};

int tn_app_run(const struct tn_app_args *a, bool demo);
int tn_app_check(const struct tn_app_args *a);
int tn_app_load(const struct tn_app_args *a);
int tn_app_sql(const struct tn_app_args *a);
int tn_app_batch(const struct tn_app_args *a);     /* recompute, verify, cut */
int tn_app_plan_command(const struct tn_app_args *a);
int tn_app_apply_command(const struct tn_app_args *a);
int tn_app_backup(const struct tn_app_args *a);
int tn_app_restore(const struct tn_app_args *a);
int tn_app_doctor(const struct tn_app_args *a);
int tn_app_token(const struct tn_app_args *a);
int tn_app_health(const struct tn_app_args *a);
/* Print a diag as "file:line:col: message" with its hint, to stderr. */
void tn_app_print_diag(const struct tn_diag *d);

/* ---- HTTP client (libcurl) ------------------------------------------- */

struct tn_app_reply {
	long status;             /* 0: not reachable. */
	struct tn_buf body;
	char error[256];
	bool hung;               /* Said: see tn_app_ask. */
};
struct tn_app_call {
	const char *method;
	const char *url;         /* Whole. */
	const char *type;        /* Content-Type or NULL. */
	const char *accept;
	const char *coding;      /* Content-Encoding or NULL. */
	const char *token;
	struct tn_slice body;
	/* Or a file, streamed: read() gives at most n bytes, 0 at the end,
	 * SIZE_MAX when it fails. */
	size_t (*read)(void *arg, void *p, size_t n);
	void *arg;
	const int *cancel;       /* Gives up when it turns non-zero; or NULL. */
	/* Now and then while it waits, with the bytes received and sent so
	 * far; or NULL. */
	void (*tick)(void *arg, uint64_t moved);
	void *tick_arg;
	uint32_t limit_ms;       /* For all of it; 0: as long as it takes. */
};
/* Blocking. The reply is always filled; free body with tn_buf_fini. */
void tn_app_http(const struct tn_app_call *c, struct tn_app_reply *r);
/* The same of a command, for as long as it takes: but when the server answers
 * no other question either for --wait it hangs. That is said, and r->hung. */
void tn_app_ask(const struct tn_app_args *a, struct tn_app_call *c,
    struct tn_app_reply *r);
/* --wait; false: said, it is no number of seconds. */
bool tn_app_follow_wait(const struct tn_app_args *a, int64_t *us);
/* The reply's exit code, and the problem on stderr when it is one. */
int tn_app_reply_exit(const struct tn_app_args *a,
    const struct tn_app_reply *r);
/* http://127.0.0.1:8420 unless --url; the token if any (free both). */
char *tn_app_url(const struct tn_app_args *a, const char *path);
char *tn_app_url_token(const struct tn_app_args *a);
/* Append percent-encoded. */
void tn_app_escape(struct tn_buf *out, const char *s);

/* ---- demo ------------------------------------------------------------ */

/* Loads the bundled history and replays the last day through HTTP, on a
 * thread of its own, with an admin token of its own. progress() gets JSON for the status page. */
struct tn_app_demo;
struct tn_app_demo *tn_app_demo_start(const char *url, const char *token,
    bool terminal, void (*progress)(void *arg, const char *json),
    void *arg);
/* Do not wait; requests under way end within a second. NULL is fine. */
void tn_app_demo_cancel(struct tn_app_demo *d);
void tn_app_demo_stop(struct tn_app_demo *d);

#endif
