/* mqtt: an MQTT 3.1.1 and 5.0 broker at the door (OASIS standards of 2014 and
 * 2019), on the loop. A publish into a topic that a stream maps goes through
 * ingest like every other door and is acknowledged after the sync; all other
 * topics are ordinary broker traffic. Sessions that outlive a connection,
 * their queues and retained messages are kept in DATA/mqtt.mdb; nothing that
 * depends on them is acknowledged before they are on disk.
 *
 *   bytes -> conn (packets) -> broker (sessions, topics) -> ingest | store
 *                 ^-- acks, in order of arrival, when both have synced */
#ifndef TN_MQTT_MQTT_H
#define TN_MQTT_MQTT_H

#include "base/base.h"
#include "governance/governance.h"
#include "ingest/ingest.h"
#include "log/log.h"
#include "net/net.h"
#include "serving/serving.h"

struct tn_mqtt;
/* 0 in a limit means its default, given behind it. */
struct tn_mqtt_opts {
	struct tn_net_loop *loop;
	struct tn_net_pool *pool;        /* For passwords (argon2id). */
	const struct tn_serving_model *model;
	struct tn_serving *serving;      /* Views that publish. */
	struct tn_ingest *ingest;
	struct tn_governance_access *access;
	const char *store_path;          /* DATA/mqtt.mdb */
	const char *listen;              /* "127.0.0.1:1883"; NULL: none. */
	const char *tls_listen;          /* "0.0.0.0:8883"; NULL: none. */
	const struct tn_net_tls *tls;
	uint32_t connections_max;        /* 20000 */
	uint32_t sessions_max;           /* 100000, connected or not. */
	size_t packet_bytes_max;         /* 1 MiB, both ways. */
	uint32_t inflight_max;           /* 1024: receive maximum we announce,
	                                  * and of ours where a client sets
	                                  * none. */
	uint32_t topic_alias_max;        /* 64 a connection. */
	uint32_t queued_max;             /* 10000 messages a session. */
	size_t queued_bytes_max;         /* 64 MiB over all sessions. */
	uint32_t retained_max;           /* 100000 messages. */
	size_t retained_bytes_max;       /* 64 MiB */
	uint32_t subscriptions_max;      /* 1000 a session. */
	size_t subscription_bytes_max;   /* 64 MiB over all sessions. */
	uint32_t session_expiry_max_s;   /* 7 days. */
	uint32_t keep_alive_max_s;       /* 0: what clients ask for. */
	uint32_t connect_ms;             /* 10 s to send a whole CONNECT. */
	size_t unsent_bytes_max;         /* 1 MiB a slow reader's socket may
	                                  * lag before QoS 0 is dropped and the
	                                  * rest waits. */
	bool new_sources;                /* Count topics that no stream maps. */
	const char *bridge;              /* Setting mqtt_bridge; NULL: none. */
};
/* TN_ECONFLICT: the port is taken (d says by what address). */
TN_MUST_USE enum tn_status tn_mqtt_new(struct tn_mqtt **out,
    const struct tn_mqtt_opts *o, struct tn_diag *d);
uint16_t tn_mqtt_port(const struct tn_mqtt *m);      /* 0: no listener. */
uint16_t tn_mqtt_tls_port(const struct tn_mqtt *m);
bool tn_mqtt_is_loopback(const struct tn_mqtt *m);
/* A connection that came as a WebSocket with subprotocol mqtt; its frames are
 * unwrapped here. Takes the stream. ${scope}: what the HTTP request showed that
 * it may do; NONE: its CONNECT has to. Closed at once when there are too
 * many. */
void tn_mqtt_adopt(struct tn_mqtt *m, struct tn_net_stream *s,
    enum tn_governance_scope scope);
/* Tell clients to go (0x8B), take no new ones; idle is true when all are gone
 * and nothing waits for a sync. Loop thread. */
void tn_mqtt_drain(struct tn_mqtt *m);
bool tn_mqtt_idle(const struct tn_mqtt *m);
/* After the loop has stopped, before ingest is freed. */
void tn_mqtt_free(struct tn_mqtt *m);

/* What pages show. Loop thread; texts live during the call. */
struct tn_mqtt_client {
	const char *client_id;
	const char *peer;                /* "" when not connected. */
	const char *user;
	bool connected, websocket, tls;
	uint8_t version;                 /* 4, 5 */
	int64_t since_us;                /* Of this or the last connection. */
	int64_t last_us;                 /* Wall clock, as the one before. */
	uint64_t in, out;                /* Messages. */
	uint32_t subscriptions, queued, inflight;
	uint32_t takeovers;
	uint32_t expiry_s;
};
void tn_mqtt_clients(struct tn_mqtt *m,
    void (*each)(void *arg, const struct tn_mqtt_client *c), void *arg);
/* Clients seen sending to a stream since the start, also those that are gone;
 * about 4000, the newest. */
struct tn_mqtt_sender {
	const char *client_id;
	uint32_t stream;                 /* Index in the model. */
	uint8_t version;
	bool websocket, tls;
	uint64_t accepted, quarantined, duplicates;      /* Rows. */
	int64_t first_us, last_us;       /* Wall clock. */
	double rate;                     /* Messages a second, of late. */
};
void tn_mqtt_senders(struct tn_mqtt *m,
    void (*each)(void *arg, const struct tn_mqtt_sender *s), void *arg);
/* The broker as a whole. Counts are since the start. */
struct tn_mqtt_facts {
	uint32_t connections, sessions, subscriptions;
	uint32_t retained;
	size_t retained_bytes, queued_bytes;
	uint64_t received, sent, dropped, refused;
	double received_rate, sent_rate; /* A second, over the last ten. */
	bool new_sources;                /* Topics without a stream are seen. */
};
void tn_mqtt_facts(const struct tn_mqtt *m, struct tn_mqtt_facts *out);
/* Topics seen that no stream takes, with levels that vary turned to +; at most
 * 1000. */
struct tn_mqtt_source {
	const char *pattern;
	const char *sample;              /* The newest topic and payload. */
	struct tn_slice payload;
	uint64_t count;
	int64_t last_us;
};
void tn_mqtt_sources(struct tn_mqtt *m,
    void (*each)(void *arg, const struct tn_mqtt_source *s), void *arg);

/* ---- bridges to other brokers ---------------------------------------- */

/* One of the setting mqtt_bridge (bridge_spec.c has its form). Texts live in
 * the arena of all. */
struct tn_mqtt_bridge {
	char *name;                      /* client@host:port */
	char *address;                   /* host:port */
	bool tls;
	char *user, *password;           /* Or NULL. */
	char *password_file, *ca_file;   /* Or NULL. */
	char *client;
	char **topics;
	uint32_t topic_count;
	uint8_t qos;
	uint8_t version;                 /* 4, 5; 0: 5, or 4 when refused. */
	uint16_t keep_alive_s;
};
struct tn_mqtt_bridges {
	struct tn_arena *arena;
	struct tn_mqtt_bridge *items;
	uint32_t count;
};
/* TN_EINVAL: d says what is wrong, without the password. Any thread. */
TN_MUST_USE enum tn_status tn_mqtt_bridges_parse(
    struct tn_mqtt_bridges **out, const char *text, struct tn_diag *d);
void tn_mqtt_bridges_free(struct tn_mqtt_bridges *all);
/* Append a good text with *** for passwords. Any thread. */
void tn_mqtt_bridges_shown(struct tn_buf *out, const char *text);

struct tn_mqtt_bridge_state {
	const struct tn_mqtt_bridge *bridge;
	bool connected;
	uint8_t version;                 /* Spoken now or tried next: 4, 5 */
	int64_t since_us;                /* Connected, or not. Wall clock. */
	uint64_t messages, reconnects;
	const char *last_error;          /* "" as long as there was none. */
	int64_t error_us;                /* Wall clock. */
};
/* Loop thread; texts live during the call. */
void tn_mqtt_bridges(struct tn_mqtt *m, void (*each)(void *arg,
    const struct tn_mqtt_bridge_state *b), void *arg);

#endif
