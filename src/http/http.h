/* http: the REST door, SSE, metrics and the dashboard's files on
 * libmicrohttpd, driven by our loop (external epoll, one thread). Nothing
 * here blocks: bodies go to ingest as they arrive, queries come back through
 * suspended connections.
 *
 * libmicrohttpd's traps (FACTS.md section 2) are handled in server.c, each
 * with a test: double Content-Length or Host, Content-Length beside chunked,
 * unknown transfer codings, control characters in header values, header and
 * body deadlines. */
#ifndef TN_HTTP_HTTP_H
#define TN_HTTP_HTTP_H

#include "base/base.h"
#include "batch/batch.h"
#include "governance/governance.h"
#include "ingest/ingest.h"
#include "objects/objects.h"
#include "serving/serving.h"
#include "speed/speed.h"

/* A setting as shown in /api/v1/settings and /metrics. */
struct tn_http_setting {
	const char *name;
	const char *value;
	const char *standard;    /* The default. */
	const char *doc;
};

/* The broker beside us, given by app: its state as JSON for GET /api/v1/mqtt,
 * and who takes a WebSocket of GET /mqtt. ${scope} is what the HTTP request
 * showed it may; NONE: MQTT's CONNECT has to show it. Loop thread. */
struct tn_http_mqtt {
	void (*json)(void *arg, struct tn_buf *out);
	void (*adopt)(void *arg, struct tn_net_stream *s,
	    enum tn_governance_scope scope);
	void *arg;
};

/* The drop folder's state as JSON for GET /api/v1/inbox, given by app. Loop
 * thread. */
struct tn_http_inbox {
	void (*json)(void *arg, struct tn_buf *out);
	void *arg;
};

/* When what comes next, as JSON for GET /api/v1/schedule, given by app; with a
 * name, of that setting as if it had ${value}. On the pool. */
struct tn_http_schedule {
	enum tn_status (*json)(void *arg, const char *name, const char *value,
	    struct tn_buf *out, struct tn_diag *d);
	void *arg;
};

/* Who runs CALL name(...) of POST /api/v1/sql, given by app. The text is
 * borrowed until return; done is called on the loop, later, once, and the
 * answer is the callee's. Loop thread. */
struct tn_http_calls {
	void (*run)(void *arg, const struct tn_serving_sql_request *q,
	    void (*done)(void *arg, struct tn_serving_answer *a),
	    void *done_arg);
	void *arg;
};

/* Who plans and applies definitions, given by app. All texts are borrowed until
 * return; done is called on the loop, later, once, with an object or why not.
 * Loop thread. */
struct tn_http_texts {
	bool apply;              /* Not only plan it. */
	const struct tn_http_text {
		const char *name;
		struct tn_slice text;
	} *files;                /* None: those of the server's folder. */
	uint32_t count;
};
struct tn_http_definitions {
	void (*run)(void *arg, const struct tn_http_texts *q,
	    void (*done)(void *arg, enum tn_status st,
	    const struct tn_diag *d, struct tn_slice json), void *done_arg);
	void *arg;
};

struct tn_http;
struct tn_http_opts {
	struct tn_net_loop *loop;
	const char *listen;          /* "127.0.0.1:8420", "[::1]:0", "0.0.0.0:8420" */
	const char *web_dir;         /* Serve the page from here; NULL: built in. */
	const char *data_dir;        /* For disk figures. */
	const char *lake_url;        /* Of /lake for others; "" or NULL: by
	                                the Host of a request. */
	uint64_t disk_reserve;       /* What events never take of it. */
	const struct tn_serving_model *model;
	struct tn_catalog *catalog;
	struct tn_lake *lake;
	struct tn_log *log;
	struct tn_serving *serving;
	struct tn_ingest *ingest;
	struct tn_speed *speed;
	struct tn_batch_jobs *batch;
	struct tn_objects *objects;  /* NULL: there are none. */
	struct tn_governance_access *access;
	struct tn_net_pool *pool;    /* For password hashing and file lists. */
	const struct tn_http_setting *settings;
	uint32_t setting_count;
	uint32_t connections_max;    /* 0: 1000 */
	uint32_t address_connections_max; /* Of one address; 0: no limit */
	uint32_t header_ms;          /* Whole header; 0: 10000 */
	uint32_t body_idle_ms;       /* Between body bytes; 0: 60000 */
	size_t sql_bytes_max;        /* 0: 65536 */
	const char *instance;        /* Name shown on the page, or NULL. */
	const char *time_zone;       /* Of the site, for the page; or NULL. */
	struct tn_http_mqtt mqtt;    /* json NULL: there is none. */
	struct tn_http_calls calls;  /* run NULL: there are none. */
	struct tn_http_inbox inbox;  /* json NULL: there is none. */
	struct tn_http_schedule schedule;    /* json NULL: there is none. */
	struct tn_http_definitions definitions;  /* run NULL: none. */
};
/* Bind and serve once the loop runs. TN_EINVAL: bad address; TN_ECONFLICT:
 * the port is taken (d says by what to change it); TN_EDENIED. Main thread,
 * before the loop runs. */
TN_MUST_USE enum tn_status tn_http_new(struct tn_http **http,
    const struct tn_http_opts *o, struct tn_diag *d);
/* The port really bound (for listen ":0"). */
uint16_t tn_http_port(const struct tn_http *h);
/* True when only this machine can connect. */
bool tn_http_is_loopback(const struct tn_http *h);
/* Readiness for /readyz; false while replaying or stopping. Any thread. */
void tn_http_set_ready(struct tn_http *h, bool ready);
/* No events are taken since ${since_us} (monotonic), which is too long: /readyz
 * and /healthz say 503 and ${why} (static). 0: all is well. Any thread. */
void tn_http_set_closed(struct tn_http *h, int64_t since_us,
    const char *why);
/* Progress of a job of the app (the demo), a JSON object or NULL; it is a
 * member of /api/v1/status. Copied. Any thread. */
void tn_http_set_progress(struct tn_http *h, const char *json);
/* The value of a setting is about to change: /metrics tells the old one no more.
 * NULL is nothing. Loop thread. */
void tn_http_setting_gone(struct tn_http *h, uint32_t setting);
/* Take no new connections or requests, answer those under way; *idle turns
 * true when none is left. Loop thread. */
void tn_http_drain(struct tn_http *h);
bool tn_http_idle(const struct tn_http *h);
/* After the loop has stopped. */
void tn_http_free(struct tn_http *h);

#endif
