/* row_text: from a text of the live feed to the topic and the payload of a row.
 * The texts are serving's own (encode.c, live.c there):
 *
 *   {"type":"snapshot","view":"v",...,"rows":[[...],[...]],...,"truncated":false}
 *
 * They may be long, so they are not parsed whole: rows are found one by one, and
 * the caller parses each. A text that is no such one has no rows. */
#include "mqtt/mqtt_int.h"

/* ---- texts ----------------------------------------------------------- */

static const char rows_begin[] = "\"rows\":[";

/* A quotation mark within a string is escaped, so what begins and ends with
 * plain ones is found nowhere else. */
static const uint8_t *
find(const uint8_t *p, const uint8_t *end, const char *what)
{
	size_t n = strlen(what);

	while (p != NULL && (size_t)(end - p) >= n) {
		if (memcmp(p, what, n) == 0)
			return p;
		p = memchr(p + 1, what[0], (size_t)(end - p - 1));
	}
	return NULL;
}

/* Behind the array at ${p}; NULL: it does not end. */
static const uint8_t *
behind(const uint8_t *p, const uint8_t *end)
{
	uint32_t depth = 0;
	bool string = false;

	for (; p < end; p++) {
		if (string && *p == '\\')
			p++;
		else if (*p == '"')
			string = !string;
		else if (!string && *p == '[')
			depth++;
		else if (!string && *p == ']' && --depth == 0)
			return p + 1;
	}
	return NULL;
}

static bool
begins(struct tn_slice json, const char *with)
{
	size_t n = strlen(with);

	return json.n >= n && memcmp(json.p, with, n) == 0;
}

/* Are these all rows? That nothing was cut off is said at the end. */
bool
tn_mqtt_text_is_whole(struct tn_slice json)
{
	size_t tail = json.n < 64 ? json.n : 64;

	return begins(json, "{\"type\":\"gone\"") ||
	    (begins(json, "{\"type\":\"snapshot\"") &&
	    find(json.p + json.n - tail, json.p + json.n,
	    "\"truncated\":false") != NULL);
}

const uint8_t *
tn_mqtt_text_rows(struct tn_slice json)
{
	const uint8_t *p = find(json.p, json.p + json.n, rows_begin);

	return p == NULL ? NULL : p + sizeof rows_begin - 1;
}

bool
tn_mqtt_text_next(const uint8_t **at, const uint8_t *end,
    struct tn_slice *row)
{
	const uint8_t *next;

	while (*at != NULL && *at < end && **at == ',')
		++*at;
	next = *at == NULL || *at == end || **at != '[' ? NULL :
	    behind(*at, end);
	if (next == NULL)
		return false;
	*row = (struct tn_slice){ *at, (size_t)(next - *at) };
	*at = next;
	return true;
}

/* ---- rows ------------------------------------------------------------ */

static void
put_string(struct tn_buf *out, struct tn_slice s)
{
	tn_buf_char(out, '"');
	tn_buf_json(out, s.p, s.n);
	tn_buf_char(out, '"');
}

static void
put_value(struct tn_buf *out, const struct tn_json *v)
{
	switch (v->kind) {
	case TN_JSON_STRING:
		put_string(out, v->text);
		break;
	case TN_JSON_NUMBER:
		tn_buf_add(out, v->text.p, v->text.n);
		break;
	case TN_JSON_TRUE:
		tn_buf_str(out, "true");
		break;
	case TN_JSON_FALSE:
		tn_buf_str(out, "false");
		break;
	default:
		tn_buf_str(out, "null");
	}
}

void
tn_mqtt_row_payload(struct tn_buf *out, const struct tn_schema *s,
    const struct tn_json *row)
{
	tn_buf_char(out, '{');
	for (uint32_t i = 0; i < s->count && i < row->count; i++) {
		const char *name = s->fields[i].name;
		if (i > 0)
			tn_buf_char(out, ',');
		put_string(out, tn_slice_of(name));
		tn_buf_char(out, ':');
		put_value(out, &row->items[i]);
	}
	tn_buf_char(out, '}');
}

/* May a byte of a value not stand for itself in a topic? */
static bool
is_special(char c, bool first)
{
	return c == '+' || c == '#' || c == '/' || c == '%' || c == '\0' ||
	    (first && c == '$');
}

static void
put_level(struct tn_buf *out, const struct tn_json *v)
{
	struct tn_slice text = v->text;
	bool dash = tn_slice_is(text, "-");

	if (v->kind == TN_JSON_TRUE || v->kind == TN_JSON_FALSE) {
		tn_buf_str(out, v->kind == TN_JSON_TRUE ? "true" : "false");
		return;
	}
	if (v->kind != TN_JSON_STRING && v->kind != TN_JSON_NUMBER) {
		tn_buf_char(out, '-');
		return;
	}
	for (size_t i = 0; i < text.n; i++)
		if (dash || is_special((char)text.p[i], out->n == 0))
			tn_buf_printf(out, "%%%02X", text.p[i]);
		else
			tn_buf_char(out, (char)text.p[i]);
}

void
tn_mqtt_row_topic(struct tn_buf *out, const struct tn_codec_topic *topic,
    const char *pattern, const struct row_of *of)
{
	uint32_t capture = 0;

	for (const char *at = pattern; *at != '\0'; at++) {
		int col;
		if (*at != '{') {
			tn_buf_char(out, *at);
			continue;
		}
		col = tn_record_schema_find(of->schema, tn_slice_of(
		    topic->captures[capture++].column));
		tn_assert(col >= 0);    /* sql has looked. */
		if ((uint32_t)col < of->row->count)
			put_level(out, &of->row->items[col]);
		at = strchr(at, '}');
	}
}

struct message *
tn_mqtt_row_message(uint32_t number, uint32_t seen, struct tn_slice topic,
    struct tn_slice payload)
{
	struct tn_codec_mqtt_packet x = { .type = TN_MQTT_PUBLISH,
	    .version = TN_MQTT_V5, .qos = 1, .retain = true, .topic = topic,
	    .payload = payload };
	struct message *msg;

	x.props.present = UINT64_C(1) << TN_MQTT_P_CONTENT_TYPE;
	x.props.content_type = tn_slice_of("application/json");
	msg = tn_mqtt_message_new(&x, tn_mqtt_now_us());
	if (msg == NULL)
		return NULL;
	msg->derived = number;
	msg->seen = seen;
	return msg;
}
