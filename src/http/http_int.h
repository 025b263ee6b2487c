/* Shared inside the http room.
 *
 * A request's way (all on the loop unless said):
 *
 *   URL seen -> head (guard, route, access) -> body -> run -> ready -> sent
 *                 `--------------- fail ---------------------^
 *
 * libmicrohttpd calls us for each step; between run and ready the connection
 * is suspended. ready may come before the body's end: the rest of the body is
 * then dropped, up to a bound. A request lives until libmicrohttpd has let go
 * of it and every operation under way (refs) has come back. */
#ifndef TN_HTTP_HTTP_INT_H
#define TN_HTTP_HTTP_INT_H

#include <microhttpd.h>

#include "http/http.h"
#include "net/net.h"

/* Written limits. */
#define TN_HTTP_POOL_BYTES (32 * 1024)   /* A connection: head and buffers. */
#define TN_HTTP_URL_MAX 8192
#define TN_HTTP_PARAMS_MAX 128
#define TN_HTTP_DRAIN_MAX (8 * 1024 * 1024)  /* Dropped of a refused body. */
#define TN_HTTP_EARLY_MAX (256 * 1024)   /* More is refused at its head. */
#define TN_HTTP_SNIFF_BYTES 1024
#define TN_HTTP_SMALL_BODY (16 * 1024)   /* Bodies of log-in, tokens, ... */
#define TN_HTTP_EXTRA_MAX 32             /* Headers of one answer. */
#define TN_HTTP_VIEWS_MAX 64             /* Of one live connection. */
#define TN_HTTP_QUEUE_MAX (1024 * 1024)  /* Unsent patches of one. */
#define TN_HTTP_QUEUE_HARD (64 * 1024 * 1024)  /* With its snapshots. */
#define TN_HTTP_SWEEP_MS 250
#define TN_HTTP_BODY_WINDOW_MS 15000     /* At least this in a window: */
#define TN_HTTP_BODY_WINDOW_BYTES 1024

struct request;
struct conn;

/* ---- routes ---------------------------------------------------------- */

enum tn_http_method {
	TN_HTTP_GET, TN_HTTP_POST, TN_HTTP_DELETE, TN_HTTP_PUT, TN_HTTP_HEAD,
	TN_HTTP_OPTIONS, TN_HTTP_OTHER
};
enum tn_http_body_kind {
	TN_BODY_NONE,            /* Refused when there is one (GET). */
	TN_BODY_DROP,            /* Read and forgotten. */
	TN_BODY_COLLECT,         /* Into r->body, at most body_max. */
	TN_BODY_INGEST,
	TN_BODY_OBJECT,
};
/* Who may: SCOPE_FREE needs nothing. */
enum tn_http_need {
	TN_NEED_FREE, TN_NEED_INGEST, TN_NEED_READ, TN_NEED_ADMIN
};
struct tn_http_route {
	enum tn_http_method method;
	const char *path;        /* "/api/v1/views/{v}"; see route.c. */
	enum tn_http_need need;
	enum tn_http_body_kind body;
	void (*run)(struct request *r);
	const char *doc;         /* One sentence. */
	const char *params;      /* "limit,before", for openapi; or NULL. */
};
extern const struct tn_http_route tn_http_routes[];
extern const uint32_t tn_http_route_count;
/* The route of a decoded path, or NULL; *var is what {} stands for. When only
 * the method does not fit: NULL and *others is a set of 1 << method. */
const struct tn_http_route *tn_http_route_find(enum tn_http_method m,
    struct tn_slice path, struct tn_slice *var, uint32_t *others);
/* "GET, HEAD, OPTIONS" of such a set. */
void tn_http_route_allow(uint32_t methods, char out[static 64]);
enum tn_http_method tn_http_method_of(const char *name);
const char *tn_http_method_name(enum tn_http_method m);
void tn_http_openapi(struct tn_buf *out);

/* ---- requests -------------------------------------------------------- */

/* Headers that we look at; texts live in the connection's memory. */
struct tn_http_head {
	struct tn_slice host, origin, type, coding, accept, accept_encoding,
	    authorization, cookie, key, none_match, fetch_site, transfer,
	    length, expect, range, if_range, if_match, content_range;
};

struct tn_http_extra {
	const char *name;
	const char *value;       /* Static or in the request's arena. */
};

struct request {
	struct tn_net_job job;   /* First: for work on the pool. */
	struct request *next;    /* Free list, or the list of live ones. */
	struct request *prev;
	struct tn_http *h;
	struct MHD_Connection *c;        /* NULL: the client is gone. */
	struct conn *conn;
	uint32_t refs;
	const struct tn_http_route *route;
	enum tn_http_method method;
	struct tn_slice path;            /* Decoded. */
	struct tn_slice var;
	const char *uri;                 /* Raw, until the head was checked. */
	size_t uri_bytes;
	struct tn_slice authority;       /* Of a URL in absolute form. */
	bool bad_line;                   /* A blank or control in it. */
	bool bad_url;
	bool begun;                      /* The head was looked at. */
	bool http_1_0;
	bool ended;                      /* The body is complete. */
	bool ready;                      /* The answer stands. */
	bool sent;
	bool close;                      /* Close the connection after it. */
	bool suspended;
	bool first;                      /* It has its turn before reads. */
	_Atomic bool left;               /* Nobody waits for the answer. */
	struct tn_http_head head;
	uint32_t param_count;
	int64_t begun_us;

	/* Body. */
	enum tn_http_body_kind take;
	struct tn_buf body;
	size_t body_max;
	uint64_t taken;                  /* Bytes, dropped ones included. */
	uint64_t dropped;
	struct tn_ingest_body *ingest;
	struct tn_objects_upload *upload;
	enum tn_coding coding;
	enum tn_codec_format format;
	bool sniff;
	bool ingest_late;                /* r->body waits to be fed. */

	/* The answer. */
	uint32_t code;
	const char *type;
	struct tn_buf out;
	struct tn_serving_answer *answer;    /* Instead of out. */
	struct tn_slice fixed;               /* Instead of both, for ever. */
	struct file_send *file;              /* Instead of all, when */
	bool file_answer;                    /* this is set (file.c). */
	struct tn_http_extra extra[TN_HTTP_EXTRA_MAX];
	uint32_t extra_count;
	bool page;                           /* Headers of the page. */
	bool upgrade;                        /* To a WebSocket. */
	enum tn_governance_scope scope;      /* What it may do there. */
	bool cacheable;                      /* Sets its own Cache-Control. */
	struct sse *sse;
	struct tn_arena *arena;
	enum tn_serving_format rows;
	int view;
	uint64_t question;                   /* Hash of it; 0: no ETag. */
	uint64_t number[3];                  /* For work: limit, before, ... */
	const char *text;                    /* For work; in the arena. */
	const char *text2;
	const char *code_text;
	void *job_arg;           /* Of work that asks for more than that. */

	/* Work on the pool. */
	void (*work)(struct request *r);

	/* Last: not cleared when a request is used again. */
	struct tn_serving_param params[TN_HTTP_PARAMS_MAX];
};
struct tn_arena *tn_http_arena(struct request *r);
/* The value of a query parameter; p is NULL when absent. The first wins. */
struct tn_slice tn_http_param(const struct request *r, const char *name);
/* limit=, from 1 to ${max}; without it ${standard} (0: all rows). False (and a
 * failure that says the range) when it is none. */
bool tn_http_limit(struct request *r, uint64_t standard, uint64_t max,
    uint64_t *out);
/* Another number: false (and a failure) when it is none. */
bool tn_http_number(struct request *r, const char *name, uint64_t standard,
    uint64_t max, uint64_t *out);
/* Fails on the first query parameter not in the NULL-ended list. */
bool tn_http_only_params(struct request *r, const char *const *names);

/* An answer under way: hold it before handing ${r} out; back() on the loop
 * when the answer stands (or was dropped). */
void tn_http_hold(struct request *r);
void tn_http_back(struct request *r);
/* The answer stands; wakes the connection when it waits. */
void tn_http_ready(struct request *r);
/* Run r->work on the pool, then ready on the loop. */
void tn_http_work(struct request *r, void (*work)(struct request *r));
void tn_http_release(struct request *r);
/* Let libmicrohttpd go on with a suspended connection. */
void tn_http_wake(struct request *r);
struct request *tn_http_request_new(struct tn_http *h,
    struct MHD_Connection *c);
void tn_http_unref(struct tn_http *h);
TN_MUST_USE enum tn_status tn_http_listen(struct tn_http *h,
    struct tn_diag *d);
/* Run libmicrohttpd soon. */
void tn_http_kick(struct tn_http *h);

/* ---- answers --------------------------------------------------------- */

/* r->out holds the body; say what it is. Not yet ready. */
void tn_http_say(struct request *r, uint32_t code, const char *type);
void tn_http_json(struct request *r, uint32_t code);
void tn_http_extra(struct request *r, const char *name, const char *value);
/* A problem from a diag; r->out is replaced. Not yet ready. */
void tn_http_problem(struct request *r, uint32_t code,
    const struct tn_diag *d);
/* As above, with more members ("\"accepted\":1,..."); may be NULL. */
void tn_http_problem_with(struct request *r, uint32_t code,
    const struct tn_diag *d, const char *members);
void tn_http_fail(struct request *r, uint32_t code, const char *word,
    const char *hint, const char *fmt, ...) TN_PRINTF(5, 6);
uint32_t tn_http_code_of(enum tn_status st, const struct tn_diag *d);
const char *tn_http_title(uint32_t code);
/* Give the answer to libmicrohttpd. */
enum MHD_Result tn_http_send(struct request *r);
/* The answer as raw bytes, for a connection that will be closed. */
void tn_http_send_raw(struct request *r);
extern const char tn_http_type_json[];
extern const char tn_http_type_text[];

/* ---- guard, access, text --------------------------------------------- */

/* Read the headers; a failure stands in the answer when false. */
bool tn_http_guard(struct request *r, const char *method,
    const char *version);
bool tn_http_url_plain(const char *uri, size_t n);
/* Bytes before the path of a URL in absolute form, http://HOST:PORT, and its
 * HOST:PORT; 0 when it has another form, or more than these. */
size_t tn_http_absolute(const char *uri, size_t n,
    struct tn_slice *authority);
bool tn_http_layout_known(void);
/* May this request run? A failure stands in the answer when false. */
bool tn_http_may(struct request *r);
/* May this caller open a WebSocket to the broker? Sets r->scope; NONE: MQTT's
 * CONNECT must show who it is. A failure stands in the answer when false. */
bool tn_http_may_connect(struct request *r);
/* May this request, which tn_http_may let in, do what only an admin may? A
 * failure stands in the answer when false. */
bool tn_http_may_admin(struct request *r);
enum tn_governance_scope tn_http_scope(struct request *r);
bool tn_http_open(const struct tn_http *h);
struct tn_slice tn_http_session(const struct request *r);

/* Percent-decode in place: false on a bad escape, a control character or
 * what is not UTF-8. */
bool tn_http_decode(char *s, size_t *n);
bool tn_http_host_is_local(struct tn_slice host);
bool tn_http_origin_is(struct tn_slice origin, struct tn_slice host);
/* The value of a cookie, empty when absent. */
struct tn_slice tn_http_cookie(struct tn_slice header, const char *name);
/* The best of JSON, CSV and NDJSON; JSON when it does not matter. false when
 * none of them is wanted. */
bool tn_http_accept(struct tn_slice header, enum tn_serving_format *f);
bool tn_http_accepts_gzip(struct tn_slice header);
bool tn_http_etag_matches(struct tn_slice header, const char *etag);
/* A Content-Type without its parameters, in small letters; false when its
 * charset is not UTF-8 or ASCII. */
bool tn_http_media(struct tn_slice header, char out[static 64]);
struct tn_slice tn_http_trim(struct tn_slice s);
bool tn_http_is(struct tn_slice s, const char *word);  /* Any case. */
/* NDJSON or JSON by a body's first bytes; false when it is neither. */
bool tn_http_sniff(struct tn_slice s, enum tn_codec_format *f);
/* JSON pieces. */
void tn_http_put_str(struct tn_buf *out, const char *s);   /* Quoted; NULL. */
void tn_http_put_slice(struct tn_buf *out, struct tn_slice s);
void tn_http_put_time(struct tn_buf *out, int64_t us);     /* 0: null. */

/* ---- connections ----------------------------------------------------- */

/* What the kernel knows: it may send, sends no more, or was reset. */
enum peer { PEER_THERE, PEER_ENDED, PEER_GONE };

struct conn {
	struct conn *next;
	struct conn *prev;
	struct tn_http *h;
	int fd;
	char address[48];        /* "10.0.0.7" */
	char source[56];         /* "http 10.0.0.7" */
	bool busy;               /* A whole head was seen; else waits for one. */
	bool cut;                /* Shut down, waits for its end. */
	uint8_t peer;            /* At the last sweep; see conn.c. */
	bool used;               /* Answered a request already. */
	int64_t since_us;        /* Of this waiting, or of the header's first
	                            line, or of the body window. */
	bool partial;            /* A header was begun. */
	int64_t asked_us;        /* Whether it still waits; 0: not yet. */
	uint64_t seen_bytes;     /* TCP's count at the last look; 0: none. */
	struct request *request;
	uint64_t window_bytes;   /* Body bytes at the window's begin. */
	struct tn_budget_share held;
};
void tn_http_conn_notify(void *arg, struct MHD_Connection *c, void **context,
    enum MHD_ConnectionNotificationCode code);
/* Look at every connection's deadline. */
void tn_http_conn_sweep(struct tn_http *h);
void tn_http_conn_idle(struct conn *k);

/* ---- bodies ---------------------------------------------------------- */

/* Set up at the head; may fail. */
void tn_http_body_begin(struct request *r);
/* Take bytes; *n becomes what is left. false: close the connection. */
bool tn_http_body_take(struct request *r, const char *p, size_t *n);
void tn_http_ingest_begin(struct request *r);
/* TN_EFULL: took none. */
enum tn_status tn_http_ingest_take(struct request *r, struct tn_slice s);

/* An object's body: set up at its head (objects.c). */
void tn_http_object_begin(struct request *r);
/* TN_EFULL: took none. */
enum tn_status tn_http_object_take(struct request *r, struct tn_slice s);

/* ---- files of the disk ------------------------------------------------ */

struct file_send;
struct tn_http_file {
	const char *path;        /* On disk; all texts are copied. */
	const char *etag;        /* Strong, with its quotes; NULL: none. */
	const char *type;        /* NULL: application/octet-stream. */
	const char *cache;       /* Cache-Control; NULL: no-store. */
};
/* Answer with a file, on any thread's time but the loop's: whole or a range,
 * 206, 304, 412, 416; 404 when it is not there. Ends the request (ready comes
 * later). Further headers may be set before. Loop thread. */
void tn_http_file_answer(struct request *r, const struct tn_http_file *f);
struct MHD_Response *tn_http_file_response(struct request *r);
void tn_http_file_free(struct file_send *f);
enum tn_http_range { TN_RANGE_NONE, TN_RANGE_ONE, TN_RANGE_BEYOND };
/* The part of a file that a Range header names; NONE: the whole. */
enum tn_http_range tn_http_range(struct tn_slice header, uint64_t bytes,
    uint64_t *first, uint64_t *count);
bool tn_http_etag_listed(struct tn_slice header, const char *etag);

/* ---- live connections ------------------------------------------------ */

struct sse {
	struct sse *next;
	struct sse *prev;
	struct request *r;
	struct tn_serving_live *lives[TN_HTTP_VIEWS_MAX];
	uint32_t live_count;
	struct tn_buf queue;
	size_t queue_from;       /* Sent up to here. */
	size_t whole_bytes;      /* Of snapshots, and what found it empty. */
	bool want_status;
	bool ended;
	bool lost;
	bool waiting;            /* Suspended: nothing to send. */
	int64_t last_us;         /* Of the last bytes put in. */
	struct tn_budget_share held;
};
struct MHD_Response *tn_http_sse_response(struct request *r);
void tn_http_sse_free(struct sse *s);
/* Heartbeats and the status of every second. */
void tn_http_sse_tick(struct tn_http *h);
void tn_http_sse_end(struct tn_http *h);

/* ---- the door -------------------------------------------------------- */

#define TN_HTTP_CODES 32
struct tn_http {
	struct tn_http_opts o;
	struct MHD_Daemon *daemon;
	struct tn_net_watch *watch;
	struct tn_net_timer *sweep;
	struct tn_net_job kick;
	bool kicked;
	bool running;            /* Inside MHD_run. */
	bool draining;
	bool stopped;
	int listen_fd;
	uint16_t port;
	bool loopback;
	uint32_t refs;           /* 1, and 1 for every request. */
	uint32_t in_flight;      /* Requests with a head, not yet completed. */
	uint32_t conn_count;
	struct conn *conns;      /* Newest first. */
	struct conn *conns_last;
	struct request *requests;
	struct request *free_list;
	uint32_t free_count;
	struct request *parsing; /* Whose URL is being decoded. */
	struct sse *sses;
	uint32_t sse_count;
	int64_t started_us;
	int64_t next_status_us;
	int64_t next_figures_us;
	uint32_t ready;          /* Atomic. */
	int64_t closed_us;       /* Atomic: see tn_http_set_closed. */
	const char *closed_why;  /* Atomic, too. */
	struct tn_net_pool *files;       /* Read files that are sent. */
	struct tn_net_lock *lock;
	char *progress;          /* Under lock. */
	/* Figures that need system calls; refreshed on the pool. Atomic. */
	uint64_t disk_free;
	uint64_t rss;
	bool figures_busy;
	struct tn_net_job figures;
	struct tn_counter **counters;    /* [route + 1][code slot] */
	struct tn_histogram *seconds;
	struct tn_counter *clients;
};
void tn_http_count(struct request *r);
/* The members of the status object and its closing brace. */
void tn_http_status_json(struct tn_http *h, struct tn_buf *out);
void tn_http_figures(struct tn_http *h);
/* "accepted":n, ... ,"last_at":t of a stream. */
void tn_http_put_stats(struct tn_http *h, struct tn_buf *out,
    uint32_t stream);
void tn_http_catalog_failed(struct request *r, enum tn_status st);

/* ---- handlers -------------------------------------------------------- */

/* What the query says of a view; params has room for PARAMS_MAX. */
bool tn_http_view_request(struct request *r,
    struct tn_serving_view_request *q, struct tn_serving_param *params);
/* A hash of the parameters and of the catalog's state; 0 when they name the
 * present time, which no ETag can stand for. */
uint64_t tn_http_question(struct request *r, uint64_t sequence);
void tn_http_etag(struct request *r, const char *etag);
/* The index of the view that {view} names, or -1 and a failure. */
int tn_http_view_of(struct request *r);
void tn_http_run_ingest(struct request *r);
void tn_http_run_streams(struct request *r);
void tn_http_run_stream(struct request *r);
void tn_http_run_recent(struct request *r);
void tn_http_run_views(struct request *r);
void tn_http_run_view(struct request *r);
void tn_http_run_view_live(struct request *r);
void tn_http_run_corrections(struct request *r);
void tn_http_run_storage(struct request *r);
/* What was noted of each day (tn_catalog_costs), and what time it is. */
struct tn_http_notes {
	const struct tn_catalog_cost *list;
	uint32_t count;
	int64_t now_us;
};
/* Bytes a day that ${of} (object and tier; NULL: all, without cold files) has
 * grown by, when it has ${now}. False: not known yet. */
bool tn_http_growth(const struct tn_http_notes *n,
    const struct tn_catalog_cost *of, uint64_t now, int64_t *a_day);
void tn_http_run_explain(struct request *r);
void tn_http_run_live(struct request *r);
void tn_http_run_sql(struct request *r);
void tn_http_run_quarantine(struct request *r);
void tn_http_run_runs(struct request *r);
void tn_http_run_files(struct request *r);
void tn_http_run_snapshots(struct request *r);
void tn_http_run_lake(struct request *r);
void tn_http_run_iceberg_config(struct request *r);
void tn_http_run_iceberg_namespaces(struct request *r);
void tn_http_run_iceberg_namespace(struct request *r);
void tn_http_run_iceberg_tables(struct request *r);
void tn_http_run_iceberg_table(struct request *r);
void tn_http_run_iceberg_disk_table(struct request *r);
/* How this caller reaches /lake, without a slash at its end, in the request's
 * arena. NULL: its Host is none; a failure stands in the answer. */
const char *tn_http_lake_base(struct request *r);
void tn_http_run_status(struct request *r);
void tn_http_run_cut(struct request *r);
void tn_http_run_recompute(struct request *r);
void tn_http_run_verify(struct request *r);
void tn_http_run_plan(struct request *r);
void tn_http_run_apply(struct request *r);
void tn_http_run_mqtt(struct request *r);
void tn_http_run_inbox(struct request *r);
void tn_http_run_schedule(struct request *r);
void tn_http_run_buckets(struct request *r);
void tn_http_run_objects(struct request *r);
void tn_http_run_object(struct request *r);
void tn_http_run_object_put(struct request *r);
void tn_http_run_object_gone(struct request *r);
void tn_http_run_content(struct request *r);
void tn_http_run_mqtt_socket(struct request *r);
struct MHD_Response *tn_http_upgrade_response(void);
void tn_http_run_tokens(struct request *r);
void tn_http_run_token_new(struct request *r);
void tn_http_run_token_gone(struct request *r);
void tn_http_run_login(struct request *r);
void tn_http_run_logout(struct request *r);
void tn_http_run_setup(struct request *r);
void tn_http_run_session(struct request *r);
void tn_http_run_settings(struct request *r);
void tn_http_run_livez(struct request *r);
void tn_http_run_readyz(struct request *r);
void tn_http_run_metrics(struct request *r);
void tn_http_run_openapi(struct request *r);
void tn_http_run_docs(struct request *r);
/* Every path that no route knows: a file of the page, or 404. */
void tn_http_run_page(struct request *r);

#endif
