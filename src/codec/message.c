/* message: a broker's message as raw rows, and such a row decoded. The row
 * keeps what came, so that bronze and quarantine show it whole:
 *
 *   client identifier, 0, topic, 0, payload
 *
 * (MQTT allows U+0000 in neither of the first two.) A payload that is a JSON
 * array makes a row of each element, all with the same front; anything else
 * is one row. Columns named by the stream's pattern come from the topic, the
 * others from the payload: see topic.c. */
#include "codec/codec_int.h"

#include <string.h>

static uint8_t *
append(uint8_t *to, struct tn_slice s)
{
	if (s.n > 0)
		memcpy(to, s.p, s.n);
	return to + s.n;
}

/* Written where it stays: this is done for each message. */
static void
add_row(struct tn_codec_rows *rows, const struct tn_codec_message *m,
    struct tn_slice payload, uint32_t line)
{
	size_t n = m->client.n + m->topic.n + payload.n + 2;
	uint8_t *p = tn_buf_reserve(&rows->raw, n);

	if (p == NULL)
		return;
	p = append(p, m->client);
	*p++ = 0;
	p = append(p, m->topic);
	*p++ = 0;
	(void)append(p, payload);
	tn_codec_rows_take(rows, n, line);
}

static bool
is_array(struct tn_slice payload)
{
	const uint8_t *end = payload.p + payload.n;
	const uint8_t *p = payload.n == 0 ? end :
	    tn_codec_scan_blank(payload.p, end);

	return p < end && *p == '[';
}

/* Elements of an array. Blank arrays make no row. */
static enum tn_status
add_elements(struct tn_codec_rows *rows, const struct tn_codec_message *m)
{
	struct tn_codec_spec spec;
	struct tn_codec_rows parts = { .count = 0 };
	struct tn_slice payload = m->payload;
	struct tn_codec_splitter *s;
	enum tn_status st;

	tn_codec_spec_init(&spec, TN_CODEC_JSON);
	s = tn_codec_splitter_new(&spec, payload.n + 16);
	st = tn_codec_splitter_feed(s, &payload, &parts, SIZE_MAX);
	if (st == TN_OK)
		st = tn_codec_splitter_end(s, &parts);
	for (uint32_t i = 0; st == TN_OK && i < parts.count; i++)
		add_row(rows, m, (struct tn_slice){ parts.raw.p +
		    parts.start[i], parts.length[i] }, parts.line[i]);
	tn_codec_splitter_free(s);
	tn_codec_rows_fini(&parts);
	tn_codec_spec_fini(&spec);
	return st;
}

enum tn_status
tn_codec_message_rows(struct tn_codec_rows *rows,
    const struct tn_codec_message *m)
{
	enum tn_status st = TN_OK;

	if (m->whole || !is_array(m->payload))
		add_row(rows, m, m->payload, 1);
	else
		st = add_elements(rows, m);
	if (st == TN_OK && rows->raw.failed)
		st = TN_ENOMEM;
	return st;
}

bool
tn_codec_message_parts(struct tn_slice row, struct tn_codec_message *out)
{
	const uint8_t *end = row.p + row.n, *topic, *payload;

	memset(out, 0, sizeof *out);
	topic = row.n == 0 ? NULL : memchr(row.p, 0, row.n);
	if (topic == NULL)
		return false;
	topic++;
	payload = topic == end ? NULL :
	    memchr(topic, 0, (size_t)(end - topic));
	if (payload == NULL)
		return false;
	out->client = (struct tn_slice){ row.p, (size_t)(topic - 1 - row.p) };
	out->topic = (struct tn_slice){ topic, (size_t)(payload - topic) };
	payload++;
	out->payload = (struct tn_slice){ payload, (size_t)(end - payload) };
	return true;
}

/* ---- decoding -------------------------------------------------------- */

/* A value for a column from the topic, or the whole payload. */
static bool
put(struct tn_codec_decoder *d, const char *column, struct tn_slice text)
{
	int32_t col = tn_record_schema_find(d->schema, tn_slice_of(column));

	if (col < 0)
		return true;            /* The schema has lost it. */
	if (!tn_utf8_valid(text.p, text.n))
		return tn_codec_fail(d, "bad_utf8", col,
		    "the payload is not UTF-8");
	if (tn_record_builder_has(d->b, (uint32_t)col))
		tn_record_builder_again(d->b, (uint32_t)col);
	else
		d->filled++;
	if (text.n == 0 && d->schema->fields[col].type.id != TN_T_TEXT) {
		tn_record_builder_null(d->b, (uint32_t)col);
		return true;
	}
	return tn_codec_put_text(d, (uint32_t)col, text);
}

bool
tn_codec_message_row(struct tn_codec_decoder *d, struct tn_slice row)
{
	const struct tn_codec_topic *t = d->spec->topic;
	struct tn_slice values[TN_CODEC_CAPTURES_MAX];
	struct tn_codec_message m;

	if (!tn_codec_message_parts(row, &m))
		return tn_codec_fail(d, "bad_message", -1,
		    "not a message with client, topic and payload");
	if (!tn_codec_topic_match(t, m.topic, values))
		return tn_codec_fail(d, "topic_mismatch", -1,
		    "topic %s does not match %s",
		    tn_codec_quote(d, m.topic), t->filter);
	if (t->value == NULL && !tn_codec_json_row(d, m.payload))
		return false;
	if (t->value != NULL && !put(d, t->value, m.payload))
		return false;
	for (uint32_t i = 0; i < t->capture_count; i++)
		if (!put(d, t->captures[i].column, values[i]))
			return false;
	return true;
}
