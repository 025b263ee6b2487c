/* Shared inside mqtt. Everything is of the loop thread, but for the store's
 * own thread, which sees only its jobs.
 *
 *   conn.c     one connection: bytes to packets, the order of acks, limits
 *   connect.c  CONNECT, authentication, CONNACK
 *   alias.c    topic aliases, both ways
 *   ws.c       WebSocket frames around a connection
 *   will.c     what a client leaves behind
 *   broker.c   publishing: streams, subscribers, retained; when an ack is due
 *   subscribe.c  filters taken and dropped
 *   asked.c    retained messages that subscriptions ask for, turn by turn
 *   session.c  sessions: packet identifiers, queues, resending
 *   keep.c     sessions and retained messages to the store and back
 *   ring.c     what was committed to streams and may come again
 *   trie.c     topics, level by level
 *   tree.c     topic filters to subscriptions
 *   retain.c   retained messages
 *   message.c  a message, counted
 *   store.c    what must survive, on its own thread, one sync for many
 *   bridge.c   connections out, to other brokers; bridge_spec.c: their setting
 *   views.c    views that publish their rows
 *   row_text.c  from texts of the live feed to topics and payloads
 *   rows.c     what they have published, over restarts
 *   source.c   topics that no stream takes
 *   seen.c     who sends to which stream
 *
 * Rule of durability: what a client is told (PUBACK, PUBREC, PUBCOMP, CONNACK
 * session present, SUBACK of a session that lives on) is on disk first, and
 * a message that must survive is sent on only once it is. */
#ifndef TN_MQTT_INT_H
#define TN_MQTT_INT_H

#include "codec/codec.h"
#include "mqtt/mqtt.h"

#include <string.h>

struct alias;
struct bridge;
struct conn;
struct session;
struct work;

/* ---- messages (message.c) -------------------------------------------- */

/* One application message, shared by all that send it. Immutable. */
struct message {
	uint32_t refs;
	uint64_t id;                 /* In the store; 0: not yet. */
	uint32_t kept;               /* Entries of queues in the store. */
	uint32_t queued;             /* Entries of queues. */
	struct tn_slice topic;       /* These lie behind the struct. */
	struct tn_slice payload;
	/* Properties to be sent on: all but topic alias, subscription
	 * identifiers and message expiry; present 0 when there are none. */
	struct tn_codec_mqtt_props props;
	uint8_t qos;
	bool retain;
	uint32_t derived;            /* From a view: its publisher's number;
	                              * not kept, it comes again. */
	uint32_t seen;               /* Of the view's snapshots: views.c. */
	bool noted;                  /* The store knows the topic: rows.c. */
	int64_t expires_us;          /* Wall clock; 0: never. */
	uint64_t from;               /* For no-local: hash of the client's
	                              * identifier; 0: Tarn itself. */
	uint64_t will;               /* Number of the will that it is, or 0. */
	size_t bytes;
};
/* Of a PUBLISH, copied. Its topic is the whole one (no alias). */
struct message *tn_mqtt_message_new(const struct tn_codec_mqtt_packet *p,
    int64_t now_us);
/* A will's message: of a CONNECT. */
struct message *tn_mqtt_message_of_will(const struct tn_codec_mqtt_packet *p,
    int64_t now_us);
/* As kept in the store, and back; NULL when the bytes are bad. */
void tn_mqtt_message_save(const struct message *m, struct tn_buf *out);
struct message *tn_mqtt_message_load(struct tn_slice bytes);
void tn_mqtt_message_unref(struct message *m);

/* ---- topics, level by level (trie.c) --------------------------------- */

struct share;
struct subscription;
struct node {
	struct node *parent;
	char *level;                 /* Behind the struct. */
	uint32_t level_bytes;
	struct node **slots;         /* Open addressing by hash of level. */
	uint32_t cap, count;
	struct node *plus, *hash;
	struct subscription **subs;
	uint32_t sub_count, sub_cap;
	struct share *shares;
	struct message *retained;
	struct held *held;           /* With it: retain.c. */
};
/* The child of a plain level, or NULL. */
struct node *tn_mqtt_node_find(const struct node *n, struct tn_slice level);
/* The node of a filter or topic below ${root}, made if wanted, else NULL when
 * it is not there. */
struct node *tn_mqtt_node_walk(struct node *root, struct tn_slice filter,
    bool make);
/* Free the node and its parents as far as nothing needs them. */
void tn_mqtt_node_prune(struct node *n);

/* ---- subscriptions (tree.c) ------------------------------------------ */

struct subscription {
	struct session *session;
	struct subscription *next_of_session;
	struct share *share;             /* $share group; NULL: ordinary. */
	char *filter;                    /* As subscribed, with $share/... */
	uint8_t qos;
	bool no_local, retain_as_published, early;   /* early: asked.c. */
	uint8_t retain_handling;
	uint32_t id;                     /* Subscription identifier, 0: none. */
};
struct tree;
struct tree *tn_mqtt_tree_new(size_t bytes_max);
void tn_mqtt_tree_free(struct tree *t);
/* Adds or replaces (*fresh tells) the session's subscription to this filter;
 * the tree owns it. TN_ELIMIT: too many levels (128). TN_EFULL: over
 * bytes_max. */
TN_MUST_USE enum tn_status tn_mqtt_tree_put(struct tree *t,
    struct session *s, const struct tn_codec_mqtt_filter *f, uint32_t id,
    struct subscription **out, bool *fresh);
/* False: there was none. */
bool tn_mqtt_tree_drop(struct tree *t, struct session *s,
    struct tn_slice filter);
bool tn_mqtt_tree_has(const struct session *s, struct tn_slice filter);
void tn_mqtt_tree_drop_all(struct tree *t, struct session *s);
/* Calls back once for each session that is to get the topic, with all of its
 * matching ordinary subscriptions (an array, highest QoS first), and once for
 * each share group's chosen member (round robin among connected members, else
 * among all). */
void tn_mqtt_tree_match(struct tree *t, struct tn_slice topic,
    void (*each)(void *arg, struct session *s,
    struct subscription *const *subs, uint32_t count), void *arg);
/* Would anybody get it? */
bool tn_mqtt_tree_takes(struct tree *t, struct tn_slice topic);
uint32_t tn_mqtt_tree_count(const struct tree *t);
/* Nodes that matching has looked at so far: what it costs. */
uint64_t tn_mqtt_tree_visited(const struct tree *t);

/* ---- retained (retain.c) --------------------------------------------- */

struct retained;
struct retained *tn_mqtt_retained_new(uint32_t max, size_t bytes_max);
void tn_mqtt_retained_free(struct retained *r);
/* Keeps a reference. An empty payload takes the topic's message away.
 * TN_EFULL: over a limit; the topic has none then. */
TN_MUST_USE enum tn_status tn_mqtt_retained_put(struct retained *r,
    struct message *m);
/* A topic that has one, whatever it is by then; counted by those who keep it
 * for later. */
struct held;
void tn_mqtt_held_ref(struct held *h);
void tn_mqtt_held_unref(struct held *h);
/* What a view knows of its topic (views.c). */
enum row_note {
	ROW_UNNOTED,
	ROW_OPEN,                    /* The store knows the topic, */
	ROW_CLOSED,                  /* and the payload. */
};
struct row {
	uint32_t owner;              /* The publisher's number; 0: none. */
	uint32_t seen;               /* In the snapshot of that number. */
	enum row_note note;
	bool touched;                /* Since the last look. */
};
struct row *tn_mqtt_held_row(struct held *h);
/* NULL: none any more, or it has expired. */
struct message *tn_mqtt_held_message(const struct held *h, int64_t now_us);
/* Calls back for the topics that a filter takes; how many were looked at. */
uint32_t tn_mqtt_retained_match(struct retained *r, struct tn_slice filter,
    void (*each)(void *arg, struct held *h), void *arg);
/* Drop what has expired, a few at a time; calls back for the store. */
void tn_mqtt_retained_expire(struct retained *r, int64_t now_us,
    void (*gone)(void *arg, struct message *m), void *arg);
/* The topic's payload; empty when there is none. */
struct tn_slice tn_mqtt_retained_payload(struct retained *r,
    struct tn_slice topic);
/* NULL: the topic has none. */
struct held *tn_mqtt_retained_held(struct retained *r, struct tn_slice topic);
/* Is there room for a message of a new topic? */
bool tn_mqtt_retained_takes(const struct retained *r,
    const struct message *m);
uint32_t tn_mqtt_retained_count(const struct retained *r);
size_t tn_mqtt_retained_bytes(const struct retained *r);

/* ---- the store (store.c) --------------------------------------------- */

/* Writes gather during a turn and are committed together by the store's
 * thread with one sync; then each waiter is called on the loop, in order.
 * Without room for them waiters get TN_ENOSPC, while the writes wait for some,
 * in order. The first other failure is final: waiters get TN_EIO, nothing is
 * kept from then on, and what needs it is refused (0x83, with the reason). */
struct store;
TN_MUST_USE enum tn_status tn_mqtt_store_open(struct store **out,
    struct tn_net_loop *l, const char *path, struct tn_diag *d);
void tn_mqtt_store_put(struct store *s, struct tn_slice key,
    struct tn_slice value);
void tn_mqtt_store_drop(struct store *s, struct tn_slice key);
/* Called on the loop, later, once all puts and drops so far are on disk. */
void tn_mqtt_store_sync(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg);
/* The same, but waits for room as long as it takes: nobody can be told. */
void tn_mqtt_store_sync_patient(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg);
/* All pairs whose key begins so, in order; before the loop runs. TN_ECORRUPT:
 * some are damaged, which is told; they are left out, and dropped. */
TN_MUST_USE enum tn_status tn_mqtt_store_each(struct store *s,
    struct tn_slice prefix, bool (*each)(void *arg, struct tn_slice key,
    struct tn_slice value), void *arg);
/* There is no room on the disk; what gathers waits for some. */
bool tn_mqtt_store_waits(const struct store *s);
bool tn_mqtt_store_idle(const struct store *s);
/* So much has gathered that senders are to wait. */
bool tn_mqtt_store_is_full(const struct store *s);
uint64_t tn_mqtt_store_bytes(const struct store *s);
/* After the loop has stopped and all else is settled: writes what gathered
 * and calls the last waiters. */
void tn_mqtt_store_close(struct store *s);

/* ---- sessions (session.c) -------------------------------------------- */

/* A message on its way to one session. Packet identifiers of QoS 1 and 2 are
 * given when it is queued, and kept with it, so that a resend after a restart
 * bears the same one.
 *
 *   QUEUED --send--> SENT --PUBACK--> gone                       (QoS 1)
 *                    SENT --PUBREC--> STORING --on disk, PUBREL-->
 *                    RELEASED --PUBCOMP--> gone                  (QoS 2) */
enum out_step { OUT_QUEUED, OUT_SENT, OUT_STORING, OUT_RELEASED };
struct out {
	struct out *prev, *next;     /* In order of arrival. */
	struct session *session;     /* NULL: dropped while held. */
	struct message *message;     /* NULL once released. */
	uint64_t order;              /* Of the session; key in the store. */
	uint32_t *sub_ids;
	uint32_t sub_id_count;
	uint16_t packet;
	uint8_t qos;
	uint8_t step;
	bool retain;
	bool again;                  /* Sent before: DUP. */
	bool held;                   /* Not on disk yet: broker.c frees it. */
};
struct will {
	struct will *next;           /* Of those that are due. */
	struct message *message;
	uint64_t number;             /* In the store, and for ever; 0: it is
	                              * not there. */
	bool streams;                /* It becomes rows, too. */
	uint32_t delay_s;
	bool expires;                /* From when it is published. */
	uint32_t expiry_s;
	int64_t due_us;              /* Monotonic; 0: the client is there. */
};
/* What of QoS 1 and 2 was committed to a stream without a primary key and may
 * come again: the last packet identifiers with hashes of topic and payload. It
 * is written in the commit of the messages themselves. */
struct taken {
	uint64_t take;               /* QoS 2: its number; 0: QoS 1. */
	uint32_t hash;
	uint64_t ack;                /* Number of its ack over this connection,
	                              * and one; 0: it came over another. */
	uint16_t packet;             /* 0: not committed after all. */
};
struct ring {
	struct tn_ingest_memo memo;  /* First. */
	struct ring *next;
	struct session *session;
	struct tn_ingest_route *route;
	uint16_t *packets;
	uint32_t *hashes;
	uint64_t *acks, *takes;      /* No takes: all of QoS 1. */
	uint32_t count, cap, at;     /* at: the oldest, when full. */
	uint64_t total;              /* Ever added. */
	uint64_t unseen;             /* The first whose ack the client may not
	                              * have seen; there is none: total. */
	/* Of the connection that is session->opened: */
	uint32_t opened;
	uint64_t before;             /* total, as it began. */
	uint64_t next_again;         /* The first that may come again. */
};
/* QoS 2 from the client, between PUBLISH and PUBREL. */
struct received {
	uint64_t take;               /* Its number in rings; 0: in none. */
	uint16_t packet;
};
struct session {
	struct session *next_of_bucket;
	struct tn_mqtt *m;
	uint32_t refs;               /* One while it lives, one a publish of
	                              * its client on its way. */
	char *client_id;
	uint32_t client_id_bytes;
	uint64_t hash;               /* Of client_id, never 0. */
	uint64_t number;             /* In the store, and for ever. */
	struct conn *conn;           /* NULL: not connected. */
	uint32_t expiry_s;           /* 0: ends with the connection;
	                              * UINT32_MAX: never. */
	int64_t expires_us;          /* Wall clock, when not connected. */
	bool kept;                   /* In the store: expiry_s > 0. */
	bool restored;               /* Older than this process. */
	bool unsure;                 /* Restored, and nobody knows what was
	                              * sent: it ended while connected. */
	struct subscription *subs;
	uint32_t sub_count;
	struct asked *asked;         /* Filters: asked.c. */
	struct session *next_asking;
	bool asks;                   /* In that list, or at work. */
	struct out *first, *last;    /* All that is on its way. */
	struct out *unsent;          /* The first OUT_QUEUED one, or NULL. */
	struct out *late, *late_last;    /* QoS 0 that waits for the socket:
	                              * retained messages that a subscription
	                              * asked for, and what came after them. */
	uint32_t late_count;
	uint32_t out_count;          /* Of the list. */
	size_t queued_bytes;         /* Of both, shared messages whole. */
	uint32_t inflight;           /* Sent and not done, of QoS 1 and 2. */
	uint16_t next_packet;
	uint64_t *used;              /* Identifiers, bits; mostly NULL. */
	bool jumbled;                /* Loaded, and not in turn. */
	uint64_t next_order;
	struct received *received;
	uint32_t received_count, received_cap;
	uint64_t released;           /* The highest take with a PUBREL; there
	                              * is one for all up to it, as acks leave
	                              * in order. */
	uint32_t opened;             /* Connections so far. */
	bool doubt;                  /* A publish of it failed behind its
	                              * streams: they may have it. */
	uint32_t unseen;             /* So many of the newest of each ring may
	                              * come again without DUP, as the last
	                              * connection ended before their acks
	                              * were seen; UINT32_MAX: unknown. */
	struct ring *rings;
	struct will *will;
	char *user;
	uint32_t takeovers;
	uint64_t messages_in, messages_out, dropped;
	int64_t since_us, last_us;   /* Wall clock. */
	uint64_t match_epoch;        /* The tree's scratch. */
	uint32_t match_at;
};
/* A new one without connection; NULL: too many. */
struct session *tn_mqtt_session_new(struct tn_mqtt *m,
    struct tn_slice client_id, uint32_t expiry_s);
struct session *tn_mqtt_session_find(struct tn_mqtt *m, struct tn_slice id);
/* Everything of it goes, in the store too. Not connected. */
void tn_mqtt_session_end(struct session *s);
/* The same without the store: at the end of the program. */
void tn_mqtt_session_free(struct session *s);
void tn_mqtt_session_unref(struct session *s);
/* Write the record (subscriptions, expiry); nothing when it is not kept. */
void tn_mqtt_session_store(struct session *s);
/* The expiry has changed, maybe from or to 0. */
void tn_mqtt_session_keep(struct session *s, uint32_t expiry_s);
/* Queue or, for QoS 0, send. NULL: nothing to wait for (QoS 0, dropped, a
 * full queue); else an entry that is held until the caller lets it go. */
struct delivery {
	struct message *message;
	struct subscription *const *subs;    /* Highest QoS first. */
	uint32_t count;
	bool retained;               /* For a new subscription. */
};
struct out *tn_mqtt_session_give(struct session *s,
    const struct delivery *d);
/* Would its queue take so many bytes more? */
bool tn_mqtt_session_takes(const struct session *s, size_t bytes);
/* It is on disk (or need not be): it may be sent. Frees dropped ones. */
void tn_mqtt_session_let_go(struct out *o);
/* It could not be kept: nobody gets it. */
void tn_mqtt_session_take_back(struct out *o);
/* Send what can be sent. */
void tn_mqtt_session_kick(struct session *s);
/* A connection took the session up again: send again what was sent. */
void tn_mqtt_session_resume(struct session *s);
/* The connection is gone: nothing is in flight. */
void tn_mqtt_session_detach(struct session *s);
/* Answers of the client. False: no such identifier in that step. */
bool tn_mqtt_session_puback(struct session *s, uint16_t id);
bool tn_mqtt_session_pubrec(struct session *s, uint16_t id, uint8_t reason);
bool tn_mqtt_session_pubcomp(struct session *s, uint16_t id);
/* QoS 2 from the client. NULL: there is no such identifier. */
struct received *tn_mqtt_session_received(const struct session *s,
    uint16_t id);
void tn_mqtt_session_receive(struct session *s, uint16_t id, uint64_t take);
bool tn_mqtt_session_release(struct session *s, uint16_t id);
/* Append to the queue as it is; an entry that was loaded. */
void tn_mqtt_session_append(struct session *s, struct out *o);

/* ---- retained messages asked for (asked.c) --------------------------- */

/* The session's subscription to ${filter} (given away) is to get what is
 * retained, when _go is called, or as far as a turn has room for it later. */
void tn_mqtt_ask_retained(struct session *s, char *filter);
void tn_mqtt_asked_go(struct session *s);
/* It is retained now, and nobody was told: who asked too early for it is. */
void tn_mqtt_asked_late(struct tn_mqtt *m, struct message *msg);
/* That subscription has ended. */
void tn_mqtt_asked_less(struct session *s, struct tn_slice filter);
/* Nothing is to come any more. */
void tn_mqtt_asked_free(struct session *s);

/* ---- what is kept (keep.c) ------------------------------------------- */

/* All do nothing for a session that is not kept. */
void tn_mqtt_keep_out(struct session *s, struct out *o);
/* The entries that were sent, so that a restart knows: DUP, and no expiry. */
void tn_mqtt_keep_sent(struct session *s);
void tn_mqtt_keep_out_drop(struct session *s, const struct out *o);
/* An entry in the store needs the message no more. */
void tn_mqtt_keep_message_less(struct session *s, struct message *msg);
void tn_mqtt_keep_received(struct session *s, const struct received *x);
/* PUBREL, or it was for nothing. */
void tn_mqtt_keep_received_less(struct session *s, const struct received *x);
/* All of the session; nothing of it any more. */
void tn_mqtt_keep_all(struct session *s);
void tn_mqtt_keep_none(struct session *s);
/* The topic's retained message, or none when its payload is empty. */
void tn_mqtt_keep_retained(struct tn_mqtt *m, const struct message *msg);
/* The session's will, so that a crash does not take it along; kept also for a
 * session that is not. Nothing when the store has no room or is behind. */
void tn_mqtt_keep_will(struct session *s);
/* It was published, or is not to be. */
void tn_mqtt_keep_will_less(struct tn_mqtt *m, uint64_t number);
/* What the store holds, at start. Damaged entries are told and dropped. */
TN_MUST_USE enum tn_status tn_mqtt_keep_load(struct tn_mqtt *m,
    struct tn_diag *d);

/* ---- what was committed before (ring.c) ------------------------------ */

/* A PUBLISH at hand. */
struct sent {
	uint16_t packet;
	uint8_t qos;                 /* 1, 2 */
	bool dup;
	bool bridge;                 /* Another broker sends it. */
	uint32_t hash;
	uint64_t ack;                /* As of struct taken. */
	uint32_t *resends;           /* Of its connection. */
};
/* Was this very message of the session committed to the route's stream? 0: no;
 * else its number (1 for QoS 1). */
uint64_t tn_mqtt_ring_has(struct session *s, struct tn_ingest_route *r,
    const struct sent *x);
/* It is being committed; the memo goes with it. */
struct tn_ingest_memo *tn_mqtt_ring_add(struct session *s,
    struct tn_ingest_route *r, const struct taken *t);
/* It was not committed after all. */
void tn_mqtt_ring_drop(struct session *s, struct tn_ingest_route *r,
    uint16_t id, uint32_t hash);
/* The connection ends: how many of the newest of each ring its client may not
 * have seen acknowledged. */
uint32_t tn_mqtt_rings_settle(struct session *s, const struct conn *c);
void tn_mqtt_rings_free(struct session *s);

/* ---- connections (conn.c, connect.c, ws.c) --------------------------- */

enum conn_step {
	CONN_NEW,                    /* Waits for CONNECT. */
	CONN_CHECKING,               /* The password, on the pool. */
	CONN_OPEN,
	CONN_CLOSING,                /* Sends what is left; hears nothing. */
};
/* PUBACK, PUBREC and PUBCOMP leave in the order of what they answer. */
struct ack {
	uint16_t packet;
	uint8_t type;
	uint8_t reason;
	bool ready;
	char *text;                  /* Reason string, or NULL. */
};
/* Where the topic that was published last goes: broker.c. */
#define LAST_TOPIC_MAX 256
struct last_topic {
	uint8_t *topic;              /* NULL until the first one. */
	uint32_t n;                  /* Its bytes; 0: none is known. */
	uint32_t count;
	struct route *routes[2];
};
struct conn {
	struct conn *prev, *next;
	struct tn_mqtt *m;
	struct tn_net_stream *stream;    /* NULL: closed. */
	uint32_t refs;               /* One of the stream, others of work. */
	enum conn_step step;
	struct session *session;
	uint8_t version;
	bool websocket, tls;
	enum tn_governance_scope scope;  /* Given by how it came. */
	bool may_publish, may_subscribe;
	struct tn_governance_pass pass;  /* What these come from. */
	bool problem_info;           /* Reason strings are wanted. */
	bool bridge;                 /* 3.1.1 of another broker: nothing back
	                              * that it sent, retain flags stay. */
	struct bridge *out;          /* We are its client (bridge.c), or NULL. */
	uint32_t resends;            /* So many of its next messages may be
	                              * resends, also without DUP. */
	bool no_will;                /* It said DISCONNECT. */
	bool goodbye;                /* And had all its acks. */
	bool stalled;                /* Not read: look again. */
	uint32_t retried;            /* In this round (mqtt.c). */
	bool clogged;                /* Because it does not read its answers. */
	uint16_t keep_alive_s;
	uint32_t unheard_bytes;      /* Of a packet that is not whole yet. */
	int64_t heard_us;            /* Of the last packet; monotonic. */
	int64_t bytes_us;            /* Of the last bytes, or of when they
	                              * could come again. */
	struct tn_buf in;            /* What is not taken yet. */
	struct ws *ws;
	struct tn_budget_share held; /* What waits for its socket. */
	struct ack *acks;            /* A ring: acks_first .. + count. */
	uint32_t ack_cap, ack_count;
	uint64_t ack_first;          /* Number of the oldest. */
	uint64_t ack_sent;           /* All before this one were written; */
	uint64_t ack_end;            /* the last of them ended there, in bytes
	                              * of the socket. */
	uint64_t reached;            /* Those that the peer's system may have,
	                              * once it has no session any more. */
	uint32_t works;              /* Publishes on their way. */
	uint32_t asked;              /* (UN)SUBSCRIBEs on their way. */
	uint32_t unacked;            /* QoS 1 and 2 from the client, as its
	                              * send quota counts them. */
	uint32_t receive_max;        /* Of the client, or ours if smaller. */
	uint32_t packet_bytes_max;   /* Of the client; 0: no limit. */
	struct alias *aliases;       /* From the client, by alias - 1. */
	struct alias *aliases_out;   /* To it, by alias - 1; or NULL. */
	uint32_t alias_out_max;      /* As many as it takes and we allow. */
	struct last_topic last;
	struct tn_codec_mqtt_packet *hello;  /* CONNECT, while checking. */
	struct tn_arena *hello_arena;
};
enum way { TN_MQTT_TCP, TN_MQTT_TLS, TN_MQTT_WEBSOCKET };
struct conn *tn_mqtt_conn_new(struct tn_mqtt *m, struct tn_net_stream *s,
    enum way way, enum tn_governance_scope scope);
void tn_mqtt_conn_ref(struct conn *c);
void tn_mqtt_conn_unref(struct conn *c);
/* Bytes of packets, from the stream or out of WebSocket frames. */
void tn_mqtt_conn_bytes(struct conn *c, struct tn_slice in);
/* Go on with what was not taken: ingest has room again. */
void tn_mqtt_conn_go_on(struct conn *c);
/* Append a packet; dropped when closing, or too large for the client (then
 * false). */
bool tn_mqtt_conn_send(struct conn *c, const struct tn_codec_mqtt_packet *p);
size_t tn_mqtt_conn_queued(const struct conn *c);
/* The same, and in the memory budget from now on when it is much. */
size_t tn_mqtt_conn_unsent(struct conn *c);
/* Go on with stalled ones in so many ms, if that is not to come sooner. */
void tn_mqtt_retry_in(struct tn_mqtt *m, uint32_t ms);
/* So much at most; less when memory is short. */
size_t tn_mqtt_unsent_max(const struct tn_mqtt *m);
/* All connections go at once, silently: at the end of the program. */
void tn_mqtt_conns_free(struct tn_mqtt *m);
/* Close for a reason: told by DISCONNECT in 5.0 (0: say nothing). */
void tn_mqtt_conn_end(struct conn *c, uint8_t reason);
/* A place in the order of acks, and its filling. */
uint64_t tn_mqtt_conn_ack_begin(struct conn *c, uint8_t type,
    uint16_t packet);
void tn_mqtt_conn_ack_end(struct conn *c, uint64_t number, uint8_t reason,
    const char *text);
/* Number of the first ack that the client may not have seen: its system has
 * not said that it is there or, at the end, it cannot be there. */
uint64_t tn_mqtt_conn_unseen(const struct conn *c);
/* alias.c: the topic of an alias, or the alias of a topic. False: the
 * connection is ending. */
bool tn_mqtt_alias_resolve(struct conn *c, struct tn_codec_mqtt_packet *p);
/* A PUBLISH to the client, by alias where it takes them; as _conn_send. */
bool tn_mqtt_alias_send(struct conn *c, struct tn_codec_mqtt_packet *p);
void tn_mqtt_aliases_free(struct conn *c);
/* connect.c */
void tn_mqtt_connect(struct conn *c, const struct tn_codec_mqtt_packet *p);
void tn_mqtt_connect_refuse(struct conn *c, uint8_t reason);
/* Passwords that wait, to the pool as far as it takes them. */
void tn_mqtt_checks_go(struct tn_mqtt *m);
/* The stream is gone, or DISCONNECT came: the session goes on alone. */
void tn_mqtt_disconnected(struct conn *c);
/* ws.c: frames in; bytes out with a frame's head before them. */
struct ws *tn_mqtt_ws_new(void);
void tn_mqtt_ws_free(struct ws *w);
void tn_mqtt_ws_bytes(struct conn *c, struct tn_slice in);
void tn_mqtt_ws_send(struct conn *c, struct tn_slice bytes);

/* ---- wills (will.c) --------------------------------------------------- */

/* The client has gone; wanted: without saying so. */
void tn_mqtt_will_begin(struct session *s, bool wanted);
/* Is it due? The session may be used afterwards. */
void tn_mqtt_will_tick(struct session *s, int64_t mono_us);
void tn_mqtt_will_drop(struct session *s);   /* Not to be published. */
/* The same without the store: at the end of the program. */
void tn_mqtt_will_free(struct session *s);
/* Found in the store at the start, of a session that is there or of one that
 * ended with the program (NULL). Owned from then on. */
void tn_mqtt_will_restore(struct tn_mqtt *m, struct session *s,
    struct will *w);
/* Its message could not be given to all of its streams. */
void tn_mqtt_will_failed(struct tn_mqtt *m, struct message *msg,
    enum tn_status st);
/* Publish those that are due as far as there is room: whose clients the last
 * end of the program cut off, and later ones. Resets the arena. */
void tn_mqtt_wills_due(struct tn_mqtt *m);
/* The same at the end of the program, for which nothing waits. */
void tn_mqtt_wills_end(struct tn_mqtt *m);
void tn_mqtt_wills_free(struct tn_mqtt *m);
/* The client is back, or the session ends: published then. */
void tn_mqtt_will_cancel(struct session *s, bool ends);

/* ---- publishing (broker.c) ------------------------------------------- */

/* A client's PUBLISH, its topic resolved. TN_EFULL: not now, come again with
 * the same packet. Others: it was taken or the connection is ending. */
TN_MUST_USE enum tn_status tn_mqtt_publish(struct conn *c,
    const struct tn_codec_mqtt_packet *p);
/* PUBREL of a client. */
void tn_mqtt_publish_release(struct conn *c, uint16_t id);
/* A message of nobody's packet: a will, a view's row. Takes the reference. */
void tn_mqtt_publish_own(struct tn_mqtt *m, struct message *msg);
/* Does some stream map the topic? */
bool tn_mqtt_streams_take(struct tn_mqtt *m, struct tn_slice topic);
/* Frees what was kept for further publishes and not used since the last call;
 * all of it, when none is on its way and it is called twice. */
void tn_mqtt_works_trim(struct tn_mqtt *m);
/* What a client is told of a failure. */
uint8_t tn_mqtt_reason_of(enum tn_status st);
/* SUBSCRIBE and UNSUBSCRIBE (subscribe.c). */
void tn_mqtt_subscribe(struct conn *c, const struct tn_codec_mqtt_packet *p);
void tn_mqtt_unsubscribe(struct conn *c,
    const struct tn_codec_mqtt_packet *p);

/* ---- connections out (bridge.c) -------------------------------------- */

/* Of the setting in m->o.bridge; begins to connect. After _keep_load. */
TN_MUST_USE enum tn_status tn_mqtt_bridges_new(struct tn_mqtt *m,
    struct tn_diag *d);
/* Each second: connect again, PINGREQ, gauges. */
void tn_mqtt_bridges_tick(struct tn_mqtt *m, int64_t mono_us);
/* Say DISCONNECT; nothing is begun any more. */
void tn_mqtt_bridges_drain(struct tn_mqtt *m);
void tn_mqtt_bridges_end(struct tn_mqtt *m);  /* After tn_mqtt_conns_free. */
/* Its connection got a packet that is neither PUBLISH nor PUBREL, */
void tn_mqtt_bridge_packet(struct conn *c,
    const struct tn_codec_mqtt_packet *p);
/* something that is no packet, a message that was taken, */
void tn_mqtt_bridge_malformed(struct conn *c);
void tn_mqtt_bridge_took(struct conn *c);
/* and has ended. */
void tn_mqtt_bridge_closed(struct conn *c, enum tn_status why);
/* Names of sessions that no client may have. */
bool tn_mqtt_bridge_name(struct tn_slice client_id);

/* ---- views that publish (views.c) ------------------------------------- */

struct publishers *tn_mqtt_publishers_new(struct tn_mqtt *m);
/* Nothing is read any more, and the store hears what is retained: before it
 * closes. */
void tn_mqtt_publishers_end(struct publishers *p);
void tn_mqtt_publishers_free(struct publishers *p);
void tn_mqtt_publishers_tick(struct publishers *p);   /* Each second. */
/* A row's message has been given to all, or to none (${st}). */
void tn_mqtt_row_routed(struct tn_mqtt *m, const struct message *msg,
    enum tn_status st);
/* For rows of a view, so nobody else may write it; what a stream takes all may. */
bool tn_mqtt_is_view_topic(struct tn_mqtt *m, struct tn_slice topic);

/* ---- texts of the live feed (row_text.c) ------------------------------- */

/* A row's message, of a publisher and its snapshot; NULL: memory is out. */
struct message *tn_mqtt_row_message(uint32_t number, uint32_t seen,
    struct tn_slice topic, struct tn_slice payload);
/* Are these all rows of the view? */
bool tn_mqtt_text_is_whole(struct tn_slice json);
/* Where the first row would begin; NULL: it has no rows. */
const uint8_t *tn_mqtt_text_rows(struct tn_slice json);
/* The row at *at, which goes on behind it. False: there is none. */
bool tn_mqtt_text_next(const uint8_t **at, const uint8_t *end,
    struct tn_slice *row);
struct row_of {
	const struct tn_schema *schema;
	const struct tn_json *row;
};
/* The pattern with values in its braces. */
void tn_mqtt_row_topic(struct tn_buf *out, const struct tn_codec_topic *topic,
    const char *pattern, const struct row_of *of);
void tn_mqtt_row_payload(struct tn_buf *out, const struct tn_schema *s,
    const struct tn_json *row);

/* ---- what views have published, over restarts (rows.c) ---------------- */

struct rows;
struct rows *tn_mqtt_rows_new(void);
void tn_mqtt_rows_free(struct rows *r);
/* Of the store, in the order of keys. False: it is damaged. */
TN_MUST_USE bool tn_mqtt_rows_load(struct rows *r, struct tn_slice key,
    struct tn_slice value);
/* The store knows the topic, and the payload (NULL: none, it changes). */
void tn_mqtt_row_note(struct tn_mqtt *m, struct tn_slice topic,
    const struct tn_slice *payload);
/* Nobody is to hold the topic any more. */
void tn_mqtt_row_forget(struct tn_mqtt *m, struct tn_slice topic);
/* Before a row is published: is its message to wait for the store? */
TN_MUST_USE bool tn_mqtt_row_waits(struct tn_mqtt *m, struct message *msg);
/* It is a row now. True: the payload was published before this start. */
TN_MUST_USE bool tn_mqtt_row_was(struct tn_mqtt *m, struct tn_slice topic,
    struct tn_slice payload);
/* Topics of before that are no rows so far, by number from 0 to _left_end;
 * empty: it became one. Borrowed until the next call of rows.c. */
uint32_t tn_mqtt_rows_left_end(const struct rows *r);
struct tn_slice tn_mqtt_rows_left(const struct rows *r, uint32_t i);
/* It is being cleared. */
void tn_mqtt_rows_left_less(struct rows *r, uint32_t i);

/* ---- topics that no stream takes (source.c) --------------------------- */

struct sources;
struct sources *tn_mqtt_sources_new(void);
void tn_mqtt_sources_free(struct sources *s);
void tn_mqtt_source_saw(struct sources *s, struct tn_slice topic,
    struct tn_slice payload);

/* ---- who sends to which stream (seen.c) ------------------------------- */

struct seen *tn_mqtt_seen_new(void);
void tn_mqtt_seen_free(struct seen *s);
void tn_mqtt_saw(struct seen *s, const struct conn *c,
    const struct session *from, uint32_t stream,
    const struct tn_ingest_outcome *o);
/* A repetition, which the stream has. */
void tn_mqtt_saw_again(struct seen *s, const struct conn *c,
    const struct session *from, uint32_t stream);

/* ---- the whole (mqtt.c) ---------------------------------------------- */

struct route {
	struct tn_ingest_route *ingest;
	const struct tn_codec_topic *topic;
	struct part *last;           /* Newest on its way, or NULL: broker.c. */
	bool keyed;                  /* The stream has a primary key. */
};
#define TN_MQTT_RATE_S 10        /* Rates are over so many seconds. */
struct tn_mqtt {
	struct tn_mqtt_opts o;
	struct tn_net_listener *plain, *tls;
	struct store *store;
	struct tree *tree;
	struct retained *retained;
	struct route *routes;
	uint32_t route_count;
	struct session **buckets;    /* By hash of the client's identifier. */
	uint32_t bucket_count, session_count;
	struct conn *conns;
	uint32_t conn_count;
	struct bridge *bridges;
	struct tn_mqtt_bridges *bridge_specs;
	struct tn_net_timer *tick;   /* Each second. */
	struct tn_net_timer *retry;  /* For stalled connections, */
	uint32_t retry_round;        /* each once a round; */
	int64_t retry_due_us;        /* monotonic, 0: not started. */
	struct tn_arena *arena;      /* Of the packet at hand. */
	struct tn_buf scratch;
	struct publishers *publishers;
	uint32_t views_telling;      /* Have not told all rows since the start. */
	struct rows *rows;
	uint32_t noting;             /* Rows that wait for the store. */
	struct sources *sources;     /* source.c; NULL: not counted. */
	struct seen *seen;
	/* Messages by the end of each of the last seconds, a ring. */
	uint64_t ticks_in[TN_MQTT_RATE_S + 1], ticks_out[TN_MQTT_RATE_S + 1];
	uint64_t tick_count;
	uint64_t next_session, next_message, next_assigned, next_take, next_will;
	struct will *due_wills, *due_last;   /* Wait for room: will.c. */
	uint32_t due_streams;        /* Of them become rows. */
	int64_t will_said_us;        /* That one was dropped; monotonic. */
	struct session *asking;      /* By next_asking: asked.c. */
	struct asked_turn {
		struct tn_net_job job;   /* First. */
		struct tn_mqtt *m;
		bool posted;
	} asked_turn;
	uint32_t asked_left;         /* Of this turn. */
	uint64_t access_seen;        /* tn_governance_changes() then. */
	int64_t refused_said_us;     /* That one may not publish; monotonic. */
	size_t queued_bytes;         /* Of messages in queues. */
	struct check *checks, *checks_last;  /* Of passwords: connect.c. */
	uint32_t checking;           /* Of those before, on the pool. */
	uint64_t received_open;      /* QoS 2 without PUBREL, of all sessions. */
	uint32_t work;               /* Publishes on their way. */
	struct work *spare;          /* For the next ones: broker.c. */
	uint32_t spare_count, spare_idle;    /* Lowest since the last tick. */
	bool draining;
	struct tn_counter *connected, *sessions, *subscriptions, *kept;
	struct tn_counter *queued, *received[3], *sent[3], *dropped, *refused;
	struct tn_counter *repeated;
};
int64_t tn_mqtt_now_us(void);        /* Wall clock. */

#endif
