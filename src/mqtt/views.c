/* views: views that publish. WITH (publish = 'views/visits/{office}') makes
 * each row of a view a retained message, payload a JSON object, so that a wall
 * display or a controller needs no HTTP.
 *
 *   serving's live feed: snapshot, then changed rows --> a message a row
 *
 * A row that leaves the view (HAVING, retention) is cleared, by an empty message:
 * what the view published and a snapshot of all its rows has not.
 *
 * A row whose payload is what is retained already is not sent again (after a
 * restart the snapshot brings all rows). These messages are not kept in the
 * store: the view is. QoS 1; they go through the broker like any other, but a
 * topic that a stream maps takes them too: a loop is the user's wish.
 *
 * Two rows never share a topic that differ in the values it is made of: the
 * bytes + # / % and zero are written %2B %23 %2F %25 %00, so is a $ that would
 * begin the topic; null is "-", a value "-" is %2D, an empty one an empty level
 * (where nothing else is left, the row is not published). No client may publish
 * to the topics of a view, or a reader could not believe what is retained. */
#include "mqtt/mqtt_int.h"

#include <stdlib.h>
#include <string.h>

struct publisher {
	struct tn_mqtt *m;
	const struct tn_serving_view *view;
	struct tn_codec_topic topic;
	const char *pattern;
	uint32_t number;             /* From 1. */
	struct tn_serving_live *live;
};
struct publishers {
	uint32_t count;
	struct publisher *list;
};

static const char *
option_of(const struct tn_sql_view *v)
{
	for (uint32_t i = 0; i < v->option_count; i++)
		if (strcmp(v->options[i].name, "publish") == 0)
			return v->options[i].value;
	return NULL;
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

static void
put_row(struct tn_buf *out, const struct tn_schema *s,
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

/* The pattern with values in its braces. */
static void
put_topic(struct tn_buf *out, const struct publisher *p,
    const struct tn_json *row)
{
	const struct tn_schema *s = p->view->def->select->schema;
	uint32_t capture = 0;

	for (const char *at = p->pattern; *at != '\0'; at++) {
		int col;
		if (*at != '{') {
			tn_buf_char(out, *at);
			continue;
		}
		col = tn_record_schema_find(s, tn_slice_of(
		    p->topic.captures[capture++].column));
		tn_assert(col >= 0);    /* sql has looked. */
		if ((uint32_t)col < row->count)
			put_level(out, &row->items[col]);
		at = strchr(at, '}');
	}
}

/* No payload: the topic has none any more. */
static void
publish(struct publisher *p, struct tn_slice topic, struct tn_slice payload)
{
	struct tn_codec_mqtt_packet x = { .type = TN_MQTT_PUBLISH,
	    .version = TN_MQTT_V5, .qos = 1, .retain = true, .topic = topic,
	    .payload = payload };
	struct message *msg;

	x.props.present = UINT64_C(1) << TN_MQTT_P_CONTENT_TYPE;
	x.props.content_type = tn_slice_of("application/json");
	msg = tn_mqtt_message_new(&x, tn_mqtt_now_us());
	if (msg == NULL)
		return;
	msg->derived = p->number;
	tn_mqtt_publish_own(p->m, msg);
}

static uint64_t
hash_of(struct tn_slice topic)
{
	return tn_hash64(topic.p, topic.n, 0);
}

/* The hash of its topic goes to ${seen}. */
static void
publish_row(struct publisher *p, const struct tn_json *row,
    struct tn_buf *seen)
{
	struct tn_buf topic = { 0 }, payload = { 0 };
	struct tn_slice name, text;
	uint64_t hash;

	put_topic(&topic, p, row);
	put_row(&payload, p->view->def->select->schema, row);
	name = (struct tn_slice){ topic.p, topic.n };
	hash = hash_of(name);
	tn_buf_add(seen, &hash, sizeof hash);
	text = (struct tn_slice){ payload.p, payload.n };
	if (!topic.failed && !payload.failed && tn_codec_mqtt_name_ok(name) &&
	    !tn_slice_eq(tn_mqtt_retained_payload(p->m->retained, name), text))
		publish(p, name, text);
	tn_buf_fini(&topic);
	tn_buf_fini(&payload);
}

/* ---- rows that have gone --------------------------------------------- */

struct sweep {
	const struct publisher *p;
	const uint64_t *seen;        /* Sorted. */
	size_t count;
	struct tn_buf topics;        /* To be cleared, each with a zero. */
};

static int
by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
look_at_held(void *arg, struct held *h)
{
	struct sweep *x = arg;
	const struct message *m = tn_mqtt_held_message(h, INT64_MIN);
	uint64_t hash;

	if (m == NULL || m->derived != x->p->number)
		return;
	hash = hash_of(m->topic);
	if (x->count > 0 && bsearch(&hash, x->seen, x->count, sizeof hash,
	    by_number) != NULL)
		return;
	tn_buf_add(&x->topics, m->topic.p, m->topic.n);
	tn_buf_char(&x->topics, '\0');
}

/* All rows there are have topics in ${seen}: what else this view has published
 * is no row any more (HAVING, retention, a new definition). */
static void
clear_others(struct publisher *p, const struct tn_buf *seen)
{
	struct sweep x = { .p = p, .count = seen->n / sizeof *x.seen,
	    .topics = { .max = SIZE_MAX } };
	uint64_t *sorted = tn_try_alloc(seen->n + 1);

	if (sorted == NULL || seen->failed) {
		tn_free(sorted);
		return;
	}
	if (seen->n > 0)
		memcpy(sorted, seen->p, seen->n);
	qsort(sorted, x.count, sizeof *sorted, by_number);
	x.seen = sorted;
	(void)tn_mqtt_retained_match(p->m->retained,
	    tn_slice_of(p->topic.filter), look_at_held, &x);
	for (size_t at = 0; at < x.topics.n; ) {
		struct tn_slice t = tn_slice_of((char *)x.topics.p + at);
		publish(p, t, (struct tn_slice){ NULL, 0 });
		at += t.n + 1;
	}
	tn_buf_fini(&x.topics);
	tn_free(sorted);
}

/* Are these all rows? */
static bool
is_whole(const struct tn_json *message)
{
	const struct tn_json *type = tn_codec_json_get(message, "type");
	const struct tn_json *cut = tn_codec_json_get(message, "truncated");

	if (type == NULL || type->kind != TN_JSON_STRING)
		return false;
	return tn_slice_is(type->text, "gone") ||
	    (tn_slice_is(type->text, "snapshot") && cut != NULL &&
	    cut->kind == TN_JSON_FALSE);
}

/* A snapshot or a patch of the live feed, or its end. */
static void
heard(void *arg, struct tn_slice json)
{
	struct publisher *p = arg;
	struct tn_arena *a = tn_arena_new(16384);
	struct tn_buf seen = { .max = SIZE_MAX };
	struct tn_diag d = { .line = 0 };
	struct tn_json *message = NULL;
	const struct tn_json *rows;

	if (tn_codec_json_parse(a, json, &message, &d) == TN_OK) {
		rows = tn_codec_json_get(message, "rows");
		for (uint32_t i = 0; rows != NULL && i < rows->count; i++)
			publish_row(p, &rows->items[i], &seen);
		if (is_whole(message))
			clear_others(p, &seen);
	}
	tn_buf_fini(&seen);
	tn_arena_free(a);
}

/* ---- made ------------------------------------------------------------ */

static void
begin(struct tn_mqtt *m, const struct tn_serving_view *v,
    const char *pattern, uint32_t number, struct publisher *list)
{
	struct publisher *p = &list[number - 1];
	struct tn_serving_view_request r = {
	    .view = tn_slice_of(v->def->name) };
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_codec_topic_parse(&p->topic,
	    tn_slice_of(pattern), &d);

	tn_assert(st == TN_OK);         /* sql has parsed it. */
	p->m = m;
	p->view = v;
	p->pattern = pattern;
	p->number = number;
	p->live = tn_serving_live_open(m->o.serving, &r, heard, p, &d);
	if (p->live == NULL)
		tn_say(TN_WARN, "mqtt", "view %s is not published: %s",
		    v->def->name, d.message);
}

bool
tn_mqtt_is_view_topic(struct tn_mqtt *m, struct tn_slice topic)
{
	const struct publishers *all = m->publishers;
	struct tn_slice values[TN_CODEC_CAPTURES_MAX];
	bool found = false;

	for (uint32_t i = 0; all != NULL && i < all->count && !found; i++)
		found = tn_codec_topic_match(&all->list[i].topic, topic,
		    values);
	return found && !tn_mqtt_streams_take(m, topic);
}

struct publishers *
tn_mqtt_publishers_new(struct tn_mqtt *m)
{
	const struct tn_serving_model *model = m->o.model;
	struct publishers *all = tn_zalloc(sizeof *all);

	all->list = tn_zalloc((model->view_count + 1) * sizeof *all->list);
	for (uint32_t i = 0; i < model->view_count; i++) {
		const char *pattern = option_of(model->views[i].def);
		if (pattern != NULL)
			begin(m, &model->views[i], pattern, ++all->count,
			    all->list);
	}
	return all;
}

void
tn_mqtt_publishers_free(struct publishers *all)
{
	if (all == NULL)
		return;
	for (uint32_t i = 0; i < all->count; i++) {
		if (all->list[i].live != NULL)
			tn_serving_live_close(all->list[i].live);
		tn_codec_topic_fini(&all->list[i].topic);
	}
	tn_free(all->list);
	tn_free(all);
}
