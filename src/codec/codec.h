/* codec: bytes to records and back; pure functions and small state machines
 * over buffers, no files, no clock. Every decoder here is fuzzed.
 *
 * Intake has two steps, so that each row's raw bytes are known exactly and
 * one bad row spoils only itself:
 *   split   a body, as it arrives, into rows (raw bytes of each row)
 *   decode  rows of one format into a record batch, each row good or bad  */
#ifndef TN_CODEC_CODEC_H
#define TN_CODEC_CODEC_H

#include "base/base.h"
#include "record/record.h"

struct tn_codec_topic;

/* ---- how to read a body ---------------------------------------------- */

enum tn_codec_format {
	TN_CODEC_JSON,     /* One value: an object, or an array of objects. */
	TN_CODEC_NDJSON,   /* One object a line (RFC 8259 each). */
	TN_CODEC_CSV,      /* RFC 4180, first line is a header unless said. */
	TN_CODEC_MESSAGE,  /* Of a broker: see "messages" below. */
};
#define TN_CODEC_RENAMES_MAX 64

/* Load options: query parameters of the HTTP door and flags of tarn load.
 * The text form (tn_codec_spec_text) is stored with every block, so that a
 * row can be decoded again from bronze, years later. */
struct tn_codec_spec {
	enum tn_codec_format format;
	/* CSV only. */
	char delimiter;          /* ',' */
	bool no_header;          /* The first line is data. */
	char *null_text;         /* NULL: an empty unquoted field is null. */
	/* Names of the fields in order. From columns= (the header line, if
	 * any, is then skipped) or from the header line once it was read.
	 * columns_given: from columns=. */
	char **columns;
	uint32_t column_count;
	bool columns_given;
	bool header_cr;          /* That line holds CRs which end no line. */
	/* All formats. */
	char *time_format;       /* strptime letters; NULL: ISO 8601. */
	char *time_zone;         /* Offset for times without one; NULL: UTC.
	                            Only fixed offsets, "+01:00". */
	/* Field "from" of the input fills column "to". */
	struct { char *from; char *to; } renames[TN_CODEC_RENAMES_MAX];
	uint32_t rename_count;
	/* Column "name" gets this text in every row (as a CSV field would). */
	struct { char *name; char *text; } constants[TN_CODEC_RENAMES_MAX];
	uint32_t constant_count;
	/* TN_CODEC_MESSAGE: the pattern as written, and parsed; owned. */
	char *pattern;
	struct tn_codec_topic *topic;
};
void tn_codec_spec_init(struct tn_codec_spec *s, enum tn_codec_format f);
void tn_codec_spec_fini(struct tn_codec_spec *s);
/* Messages by this pattern (see tn_codec_topic_parse). ${s} was made by init. */
TN_MUST_USE enum tn_status tn_codec_spec_message(struct tn_codec_spec *s,
    struct tn_slice pattern, struct tn_diag *d);
/* One option: name is one of delimiter, header (true|false), null, columns
 * (comma separated), time_format, time_zone, rename (to:from), constant
 * (name:text), format. TN_EINVAL fills ${d}; TN_ENOTFOUND: not a load
 * option. */
TN_MUST_USE enum tn_status tn_codec_spec_set(struct tn_codec_spec *s,
    struct tn_slice name, struct tn_slice value, struct tn_diag *d);
/* TN_EINVAL, ${d} filled: it renames to, or gives constants for, columns that
 * the schema does not have. For doors: bronze has specs of older schemas. */
TN_MUST_USE enum tn_status tn_codec_spec_fits(const struct tn_codec_spec *s,
    const struct tn_schema *schema, struct tn_diag *d);
/* Canonical text form, parsed back by tn_codec_spec_parse. Equal specs have
 * equal texts. */
void tn_codec_spec_text(const struct tn_codec_spec *s, struct tn_buf *out);
TN_MUST_USE enum tn_status tn_codec_spec_parse(struct tn_codec_spec *s,
    struct tn_slice text);

/* ---- splitting ------------------------------------------------------- */

/* Rows found: row i is raw[start[i] .. start[i]+length[i]); rows lie one after
 * the other without gaps. The raw bytes of NDJSON and CSV rows have no line
 * end; those of array elements no blanks or commas around them. line[i]: line
 * of the body where the row starts. A row of no bytes stands for the missing
 * end of an array. After tn_codec_rows_add look at raw.failed. */
struct tn_codec_rows {
	struct tn_buf raw;
	uint32_t *start;
	uint32_t *length;
	uint32_t *line;
	uint32_t count;
	uint32_t cap;
};
void tn_codec_rows_clear(struct tn_codec_rows *r);
void tn_codec_rows_fini(struct tn_codec_rows *r);
void tn_codec_rows_add(struct tn_codec_rows *r, const void *p, size_t n,
    uint32_t line);

struct tn_codec_splitter;
/* Borrows ${spec} and, for CSV with a header, fills its columns from the
 * first line. row_bytes_max bounds one row: 16 bytes to 1 GiB. One body. */
struct tn_codec_splitter *
tn_codec_splitter_new(struct tn_codec_spec *spec, size_t row_bytes_max);
/* Take from the front of ${in} (moved on) until it is empty or ${rows} holds
 * ${raw_max} bytes or more. TN_OK: all fine, look at in->n. TN_ELIMIT: a row
 * is larger than row_bytes_max (or a header has more than 4096 names); rows
 * before it are in ${rows} and nothing will follow. TN_ENOMEM. A broken array
 * (JSON) gives its remaining bytes, piece by piece of at most row_bytes_max,
 * as bad rows that decode to code json_syntax. */
TN_MUST_USE enum tn_status tn_codec_splitter_feed(
    struct tn_codec_splitter *s, struct tn_slice *in,
    struct tn_codec_rows *rows, size_t raw_max);
/* The body is over: the last row without a line end, or an unfinished value
 * (as a bad row). Adds what was left, at most one row_bytes_max and some. */
TN_MUST_USE enum tn_status tn_codec_splitter_end(
    struct tn_codec_splitter *s, struct tn_codec_rows *rows);
void tn_codec_splitter_free(struct tn_codec_splitter *s);
/* Memory of the rows, and of the row that the splitter has begun. */
size_t tn_codec_rows_bytes(const struct tn_codec_rows *r);
size_t tn_codec_splitter_bytes(const struct tn_codec_splitter *s);

/* ---- decoding -------------------------------------------------------- */

/* Why a row is bad. Texts live in the decoder until its next call. */
struct tn_codec_error {
	uint32_t row;
	const char *code;      /* "json_syntax", "not_a_number",
	                          "out_of_range", "bad_timestamp", ... */
	const char *column;    /* Or "" when none is to blame. */
	const char *message;   /* "expected a number, found \"n/a\"" */
};
struct tn_codec_decoder;
/* For one schema and one spec; keeps the key order of the row before. One
 * thread. Borrows both. NOT NULL is not looked at: defaults for absent
 * columns come first (ingest). Numbers must be exact for integer columns
 * ("1.0" and 1e3 are fine for an integer, 1.5 is not); text columns take any
 * scalar's raw text; numeric and timestamp columns take JSON strings too;
 * timestamp columns take JSON numbers as seconds, milli-, micro- or
 * nanoseconds since 1970 by magnitude. jsonb takes any value. README.md has
 * the codes and the rules for CSV. */
struct tn_codec_decoder *
tn_codec_decoder_new(const struct tn_schema *schema,
    const struct tn_codec_spec *spec);
/* Append one row a slot to ${b}, whose schema it is. A bad row is all null
 * and has an entry in errors (at most one a row, in row order). ${skip}, if
 * not NULL, marks rows (non-zero) that get an all-null row without decoding.
 * absent, if not NULL: bit set (row-major, columns rounded up to bytes) for
 * every column that the row does not mention at all; sized by the caller.
 * Afterwards ask tn_codec_decoder_no_memory. */
void tn_codec_decode(struct tn_codec_decoder *d,
    const struct tn_codec_rows *rows, const uint8_t *skip,
    struct tn_builder *b, uint8_t *absent,
    const struct tn_codec_error **errors, uint32_t *error_count);
/* Memory was out in the last call: its rows are not what they should be. */
bool tn_codec_decoder_no_memory(const struct tn_codec_decoder *d);
/* Field names met that no column takes, each once in the life of the
 * decoder, NULL-terminated, at most 256. */
const char *const *tn_codec_decoder_unknown(const struct tn_codec_decoder *d);
void tn_codec_decoder_free(struct tn_codec_decoder *d);

/* ---- messages of a broker -------------------------------------------- */

#define TN_CODEC_CAPTURES_MAX 16
/* How a topic fills columns; the pattern language stands in topic.c. */
struct tn_codec_topic {
	char *filter;            /* MQTT filter that routes: captures as +. */
	struct {
		uint32_t level;      /* From 0. */
		char *before, *after;    /* Of the level, around it. */
		char *column;
	} captures[TN_CODEC_CAPTURES_MAX];
	uint32_t capture_count;
	char *value;             /* Column of the whole payload, or NULL:
	                            JSON, columns by name. */
};
TN_MUST_USE enum tn_status tn_codec_topic_parse(struct tn_codec_topic *t,
    struct tn_slice text, struct tn_diag *d);
void tn_codec_topic_fini(struct tn_codec_topic *t);
/* Does it take the topic? Sets one value a capture, borrowed from ${topic}. */
bool tn_codec_topic_match(const struct tn_codec_topic *t,
    struct tn_slice topic, struct tn_slice *values);
/* Is there a topic that both take? */
bool tn_codec_topic_overlap(const struct tn_codec_topic *a,
    const struct tn_codec_topic *b);

struct tn_codec_message {
	struct tn_slice client;
	struct tn_slice topic;
	struct tn_slice payload;
	bool whole;              /* The pattern has a value column: an array
	                            is not taken apart. */
};
/* The message's raw rows, to be decoded with a TN_CODEC_MESSAGE spec. A bad
 * payload makes a bad row. TN_ENOMEM. */
TN_MUST_USE enum tn_status tn_codec_message_rows(struct tn_codec_rows *rows,
    const struct tn_codec_message *m);
/* A raw row in its parts, borrowed; false when it is none. */
bool tn_codec_message_parts(struct tn_slice row,
    struct tn_codec_message *out);

/* ---- JSON as a tree (small inputs) ----------------------------------- */

enum tn_json_kind {
	TN_JSON_NULL, TN_JSON_FALSE, TN_JSON_TRUE, TN_JSON_NUMBER,
	TN_JSON_STRING, TN_JSON_ARRAY, TN_JSON_OBJECT
};
struct tn_json {
	enum tn_json_kind kind;
	struct tn_slice text;    /* NUMBER: as written. STRING: decoded. */
	uint32_t count;
	struct tn_json *items;   /* ARRAY, OBJECT values. */
	struct tn_slice *keys;   /* OBJECT, in order, last duplicate wins. */
};
/* Strict RFC 8259, depth at most 512. The tree lives in ${a}. On error
 * d->column is the byte (from 1). */
TN_MUST_USE enum tn_status tn_codec_json_parse(struct tn_arena *a,
    struct tn_slice text, struct tn_json **out, struct tn_diag *d);
/* NULL when absent or not an object. */
const struct tn_json *tn_codec_json_get(const struct tn_json *o,
    const char *key);
/* The member as a whole number; ${otherwise} when it is absent, or none. */
int64_t tn_codec_json_i64(const struct tn_json *o, const char *key,
    int64_t otherwise);
/* Text that PostgreSQL prints for the value as jsonb: keys by length then
 * bytes, ", " and ": ", numbers in plain form. TN_EINVAL: not JSON. TN_ENOMEM:
 * out may have lost its bytes. */
TN_MUST_USE enum tn_status tn_codec_jsonb(struct tn_buf *out,
    struct tn_slice text);

/* ---- encoding -------------------------------------------------------- */

/* A CSV field, quoted when needed. */
void tn_codec_csv_field(struct tn_buf *out, struct tn_slice s);
/* Rows as CSV lines ("\n"), as JSON arrays "[1,"a"],..." separated by commas,
 * or as objects one a line. */
void tn_codec_csv_header(struct tn_buf *out, const struct tn_schema *s);
void tn_codec_csv_rows(struct tn_buf *out, const struct tn_batch *b);
void tn_codec_json_rows(struct tn_buf *out, const struct tn_batch *b,
    bool *first);
void tn_codec_ndjson_rows(struct tn_buf *out, const struct tn_batch *b);

/* ---- Avro object container files (1.11) ------------------------------ */

/* Values are put one behind the other in the order of the schema: int, long
 * and the index of a union's branch as long, string and bytes as bytes; an
 * array is its count, its items and 0. */
void tn_codec_avro_long(struct tn_buf *b, int64_t v);
void tn_codec_avro_bytes(struct tn_buf *b, struct tn_slice s);
void tn_codec_avro_text(struct tn_buf *b, const char *s);
struct tn_codec_avro_pair {
	const char *name;
	struct tn_slice value;
};
struct tn_codec_avro {
	struct tn_slice schema;  /* JSON. */
	const struct tn_codec_avro_pair *pairs;  /* Of the file's metadata. */
	uint32_t pair_count;
};
/* Append a whole file of ${count} values, uncompressed. Equal input gives
 * equal bytes. Look at out->failed. */
void tn_codec_avro_file(struct tn_buf *out, const struct tn_codec_avro *f,
    uint64_t count, struct tn_slice values);
/* Append a copy of ${file} in which every text and every int or long is what
 * text() and number() (NULL: unchanged) give for it; ${field}: the name in its
 * record, or empty. What text() gives need live until its next call only.
 * TN_ECORRUPT, TN_EUNSUPPORTED (a codec or type that we do not write),
 * TN_ELIMIT, TN_ENOMEM. */
struct tn_codec_avro_edit {
	struct tn_slice (*text)(void *arg, struct tn_slice field,
	    struct tn_slice value);
	int64_t (*number)(void *arg, struct tn_slice field, int64_t value);
	void *arg;
};
TN_MUST_USE enum tn_status tn_codec_avro_edit(struct tn_buf *out,
    struct tn_slice file, const struct tn_codec_avro_edit *edit);

/* ---- MQTT 3.1.1 and 5.0 packets (OASIS, 2014 and 2019) ---------------- */

enum tn_codec_mqtt_type {
	TN_MQTT_CONNECT = 1, TN_MQTT_CONNACK, TN_MQTT_PUBLISH, TN_MQTT_PUBACK,
	TN_MQTT_PUBREC, TN_MQTT_PUBREL, TN_MQTT_PUBCOMP, TN_MQTT_SUBSCRIBE,
	TN_MQTT_SUBACK, TN_MQTT_UNSUBSCRIBE, TN_MQTT_UNSUBACK,
	TN_MQTT_PINGREQ, TN_MQTT_PINGRESP, TN_MQTT_DISCONNECT, TN_MQTT_AUTH,
};
/* Protocol levels on the wire. */
enum { TN_MQTT_V311 = 4, TN_MQTT_V5 = 5 };
/* Reason codes of 5.0, section 2.4. */
enum tn_codec_mqtt_reason {
	TN_MQTT_SUCCESS = 0x00, TN_MQTT_GRANTED_QOS1 = 0x01,
	TN_MQTT_GRANTED_QOS2 = 0x02, TN_MQTT_DISCONNECT_WITH_WILL = 0x04,
	TN_MQTT_NO_MATCHING_SUBSCRIBERS = 0x10,
	TN_MQTT_NO_SUBSCRIPTION_EXISTED = 0x11,
	TN_MQTT_CONTINUE_AUTHENTICATION = 0x18,
	TN_MQTT_RE_AUTHENTICATE = 0x19, TN_MQTT_UNSPECIFIED_ERROR = 0x80,
	TN_MQTT_MALFORMED_PACKET = 0x81, TN_MQTT_PROTOCOL_ERROR = 0x82,
	TN_MQTT_IMPLEMENTATION_ERROR = 0x83,
	TN_MQTT_UNSUPPORTED_VERSION = 0x84, TN_MQTT_CLIENT_ID_INVALID = 0x85,
	TN_MQTT_BAD_USER_OR_PASSWORD = 0x86, TN_MQTT_NOT_AUTHORIZED = 0x87,
	TN_MQTT_SERVER_UNAVAILABLE = 0x88, TN_MQTT_SERVER_BUSY = 0x89,
	TN_MQTT_BANNED = 0x8A, TN_MQTT_SHUTTING_DOWN = 0x8B,
	TN_MQTT_BAD_AUTH_METHOD = 0x8C, TN_MQTT_KEEP_ALIVE_TIMEOUT = 0x8D,
	TN_MQTT_SESSION_TAKEN_OVER = 0x8E, TN_MQTT_FILTER_INVALID = 0x8F,
	TN_MQTT_TOPIC_INVALID = 0x90, TN_MQTT_ID_IN_USE = 0x91,
	TN_MQTT_ID_NOT_FOUND = 0x92, TN_MQTT_RECEIVE_MAX_EXCEEDED = 0x93,
	TN_MQTT_TOPIC_ALIAS_INVALID = 0x94, TN_MQTT_PACKET_TOO_LARGE = 0x95,
	TN_MQTT_RATE_TOO_HIGH = 0x96, TN_MQTT_QUOTA_EXCEEDED = 0x97,
	TN_MQTT_ADMINISTRATIVE = 0x98, TN_MQTT_PAYLOAD_FORMAT_INVALID = 0x99,
	TN_MQTT_RETAIN_NOT_SUPPORTED = 0x9A, TN_MQTT_QOS_NOT_SUPPORTED = 0x9B,
	TN_MQTT_USE_ANOTHER_SERVER = 0x9C, TN_MQTT_SERVER_MOVED = 0x9D,
	TN_MQTT_SHARED_NOT_SUPPORTED = 0x9E,
	TN_MQTT_CONNECTION_RATE = 0x9F, TN_MQTT_MAXIMUM_CONNECT_TIME = 0xA0,
	TN_MQTT_SUB_IDS_NOT_SUPPORTED = 0xA1,
	TN_MQTT_WILDCARDS_NOT_SUPPORTED = 0xA2,
};
/* Property identifiers of 5.0, section 2.2.2.2: also bits of props->present. */
enum tn_codec_mqtt_property {
	TN_MQTT_P_PAYLOAD_FORMAT = 1, TN_MQTT_P_MESSAGE_EXPIRY = 2,
	TN_MQTT_P_CONTENT_TYPE = 3, TN_MQTT_P_RESPONSE_TOPIC = 8,
	TN_MQTT_P_CORRELATION = 9, TN_MQTT_P_SUBSCRIPTION_ID = 11,
	TN_MQTT_P_SESSION_EXPIRY = 17, TN_MQTT_P_ASSIGNED_ID = 18,
	TN_MQTT_P_SERVER_KEEP_ALIVE = 19, TN_MQTT_P_AUTH_METHOD = 21,
	TN_MQTT_P_AUTH_DATA = 22, TN_MQTT_P_REQUEST_PROBLEM = 23,
	TN_MQTT_P_WILL_DELAY = 24, TN_MQTT_P_REQUEST_RESPONSE = 25,
	TN_MQTT_P_RESPONSE_INFO = 26, TN_MQTT_P_SERVER_REFERENCE = 28,
	TN_MQTT_P_REASON_STRING = 31, TN_MQTT_P_RECEIVE_MAX = 33,
	TN_MQTT_P_TOPIC_ALIAS_MAX = 34, TN_MQTT_P_TOPIC_ALIAS = 35,
	TN_MQTT_P_MAXIMUM_QOS = 36, TN_MQTT_P_RETAIN_AVAILABLE = 37,
	TN_MQTT_P_USER = 38, TN_MQTT_P_PACKET_MAX = 39,
	TN_MQTT_P_WILDCARD_AVAILABLE = 40, TN_MQTT_P_SUB_ID_AVAILABLE = 41,
	TN_MQTT_P_SHARED_AVAILABLE = 42,
};
struct tn_codec_mqtt_user {
	struct tn_slice name;
	struct tn_slice value;
};
/* A property counts when its bit (1 << identifier) is in ${present}. */
struct tn_codec_mqtt_props {
	uint64_t present;
	uint8_t payload_format, request_problem, request_response;
	uint8_t maximum_qos, retain_available, wildcard_available;
	uint8_t sub_id_available, shared_available;
	uint16_t server_keep_alive_s, receive_max;
	uint16_t topic_alias_max, topic_alias;
	uint32_t message_expiry_s, session_expiry_s, will_delay_s, packet_max;
	struct tn_slice content_type, response_topic, correlation, assigned_id;
	struct tn_slice auth_method, auth_data, response_info;
	struct tn_slice server_reference, reason_string;
	const uint32_t *sub_ids;        /* 1 .. 268435455; several only in a */
	uint32_t sub_id_count;          /* PUBLISH to a client. */
	const struct tn_codec_mqtt_user *users;
	uint32_t user_count;
};
struct tn_codec_mqtt_filter {
	struct tn_slice filter;
	uint8_t qos;
	bool no_local, retain_as_published;
	uint8_t retain_handling;
};
struct tn_codec_mqtt_packet {
	enum tn_codec_mqtt_type type;
	uint8_t version;                /* Given; set by CONNECT itself. */
	bool dup, retain;               /* PUBLISH. */
	uint8_t qos;
	uint16_t id;                    /* Not 0 where the type has one. */
	uint8_t reason;                 /* Acks, CONNACK (3.1.1: its return
	                                 * code), DISCONNECT, AUTH. */
	struct tn_codec_mqtt_props props;
	struct tn_slice topic;          /* PUBLISH; may be empty in 5.0 with an */
	struct tn_slice payload;        /* alias. */
	bool session_present;           /* CONNACK. */
	const struct tn_codec_mqtt_filter *filters;  /* (UN)SUBSCRIBE. */
	uint32_t filter_count;
	struct tn_slice reasons;        /* SUBACK, UNSUBACK: a byte each. */
	/* CONNECT; decode leaves it untouched for the other types. */
	struct {
		bool clean_start;
		bool bridge;            /* 3.1.1 with the top bit of the level
		                         * set: a broker's bridge asks not to
		                         * get back what it sends. */
		uint16_t keep_alive_s;
		struct tn_slice client_id;
		bool has_will, will_retain, has_user, has_password;
		uint8_t will_qos;
		struct tn_slice will_topic, will_payload, user, password;
		struct tn_codec_mqtt_props will_props;
	} connect;
};

/* How long the packet at the front of ${in} is, from its first bytes. TN_OK:
 * *bytes is set (it may be more than is here). TN_END: not enough bytes yet
 * to tell. TN_EINVAL: a malformed length or type 0, *reason says; TN_ELIMIT:
 * larger than ${bytes_max}, which counts all of the packet; *reason says
 * TN_MQTT_PACKET_TOO_LARGE. Allocates nothing. */
TN_MUST_USE enum tn_status tn_codec_mqtt_frame(struct tn_slice in,
    size_t bytes_max, size_t *bytes, uint8_t *reason);
/* One whole packet as it came, from either side. All rules that one packet
 * can break are checked: flags, lengths, UTF-8 (no U+0000, no surrogates, and
 * no control characters or non-characters), topic names and filters, packet
 * identifiers, properties allowed for the type and only once, values in
 * range, reason codes of the type, reserved bits. What it does not look at
 * are payloads. ${version}: of the connection; 0 as long as there was no
 * CONNECT, then every other type is a protocol error.
 * TN_EINVAL: *reason is the 5.0 code to say (in 3.1.1: close). type and
 * version are set as far as they were read, the rest is not to be used. For
 * a CONNECT of another protocol *reason is TN_MQTT_UNSUPPORTED_VERSION and
 * version the level it asked for. TN_ENOMEM: *reason is
 * TN_MQTT_QUOTA_EXCEEDED. Slices point into ${packet}; arrays are in ${a}, at
 * most 8 times the packet's bytes, none for a PUBLISH without properties or
 * an acknowledgement. Any thread. */
TN_MUST_USE enum tn_status tn_codec_mqtt_decode(struct tn_slice packet,
    uint8_t version, struct tn_arena *a, struct tn_codec_mqtt_packet *out,
    uint8_t *reason);
/* What only a server may send: CONNACK, SUBACK, UNSUBACK, PINGRESP, a
 * PUBLISH with subscription identifiers, some of DISCONNECT and AUTH.
 * TN_EINVAL: ${p}, just decoded, is such a packet; *reason is a protocol
 * error. For the server's side. */
TN_MUST_USE enum tn_status tn_codec_mqtt_of_client(
    const struct tn_codec_mqtt_packet *p, uint8_t *reason);
/* Append a packet. Properties and reasons are left out for 3.1.1 (CONNACK and
 * SUBACK have theirs); empty tails are shortened as the standard allows. The
 * packet must be legal: numbers, lengths and types are asserted, texts are
 * not looked at (from decode, or _name_ok and _filter_ok said so). Bodies
 * have at most 268,435,455 bytes: TN_ELIMIT, nothing was appended. Else the
 * status of ${out} when it could not grow. */
TN_MUST_USE enum tn_status tn_codec_mqtt_encode(struct tn_buf *out,
    const struct tn_codec_mqtt_packet *p);
/* Names and filters: 1 to 65535 bytes of UTF-8 as in decode. A name has no
 * wildcard; in a filter each fills a level and '#' the last one. */
bool tn_codec_mqtt_name_ok(struct tn_slice topic);
bool tn_codec_mqtt_filter_ok(struct tn_slice filter);
/* Does the filter (without $share/...) take the topic? A wildcard at the
 * front takes no topic that begins with $. Both must be legal. */
bool tn_codec_mqtt_match(struct tn_slice filter, struct tn_slice topic);
/* "$share/name/filter" in its parts; false when it is an ordinary filter or
 * malformed (then *malformed). decode refuses malformed ones in 5.0; in 3.1.1
 * they are ordinary filters. */
bool tn_codec_mqtt_share(struct tn_slice text, struct tn_slice *name,
    struct tn_slice *filter, bool *malformed);

/* ---- WebSocket frames (RFC 6455) ------------------------------------- */

enum tn_codec_ws_op { TN_WS_MORE = 0, TN_WS_TEXT = 1, TN_WS_BINARY = 2,
	TN_WS_CLOSE = 8, TN_WS_PING = 9, TN_WS_PONG = 10 };
struct tn_codec_ws_frame {
	bool last;
	enum tn_codec_ws_op op;
	size_t head_bytes;
	size_t bytes;                   /* Of the payload. */
	uint8_t mask[4];
};
/* Head of a client's frame: TN_END not enough yet, TN_EINVAL not masked,
 * reserved bits or opcodes, lengths not minimal, control frames over 125
 * bytes or in parts; TN_ELIMIT over bytes_max. */
TN_MUST_USE enum tn_status tn_codec_ws_head(struct tn_slice in,
    size_t bytes_max, struct tn_codec_ws_frame *out);
/* Undo the mask in place; ${at} is how many payload bytes came before. */
void tn_codec_ws_unmask(uint8_t *p, size_t n, const uint8_t mask[static 4],
    size_t at);
/* Head of a server's frame (unmasked) of ${bytes} payload bytes. */
void tn_codec_ws_put(struct tn_buf *out, enum tn_codec_ws_op op, size_t bytes);
/* Sec-WebSocket-Accept of a key, 28 characters and 0. */
void tn_codec_ws_accept(struct tn_slice key, char out[static 29]);

/* ---- what a file's first bytes say ------------------------------------ */

struct tn_codec_image {
	const char *type;               /* "image/jpeg", "image/png",
	                                 * "image/gif", "image/webp",
	                                 * "application/pdf"; NULL: none. */
	uint32_t width, height;         /* Of an image; 0: not found. */
	bool has_taken;                 /* Exif's DateTimeOriginal: */
	int64_t taken_us;               /* UTC, or as written when */
	char taken_offset[8];           /* this is "" and not "+01:00". */
};
/* Any bytes; the more of a file's head, the more is found (a JPEG's size may
 * stand behind 64 KiB of Exif). Never fails. */
void tn_codec_image_read(struct tn_slice head, struct tn_codec_image *out);

/* ---- MD5 (RFC 1321), for Content-MD5; not for secrets ------------------ */

struct tn_codec_md5 {
	uint32_t sum[4];
	uint64_t bytes;
	uint8_t block[64];
};
void tn_codec_md5_init(struct tn_codec_md5 *m);
void tn_codec_md5_add(struct tn_codec_md5 *m, const void *p, size_t n);
void tn_codec_md5_end(struct tn_codec_md5 *m, uint8_t out[static 16]);

#endif
