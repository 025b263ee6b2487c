/* views: views that publish. WITH (publish = 'views/visits/{office}') makes
 * each row of a view a retained message, payload a JSON object, so that a wall
 * display or a controller needs no HTTP.
 *
 *   serving's live feed: snapshot, then changed rows --> a message a row
 *
 * A row whose payload is what is retained already is not sent again (after a
 * restart the snapshot brings all rows). These messages are not kept in the
 * store: the view is. QoS 1; they go through the broker like any other, but a
 * topic that a stream maps takes them too: a loop is the user's wish.
 *
 * A topic level made from a value that is null or empty is "-", and the bytes
 * + # / and zero in a value become "_". */
#include "mqtt/mqtt_int.h"

struct publisher {
	struct tn_mqtt *m;
	const struct tn_serving_view *view;
	struct tn_codec_topic topic;
	const char *pattern;
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

static void
put_level(struct tn_buf *out, const struct tn_json *v)
{
	size_t before = out->n;
	struct tn_slice text = v->text;

	if (v->kind == TN_JSON_TRUE || v->kind == TN_JSON_FALSE)
		text = tn_slice_of(v->kind == TN_JSON_TRUE ? "true" : "false");
	else if (v->kind != TN_JSON_STRING && v->kind != TN_JSON_NUMBER)
		text.n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = (char)text.p[i];
		bool bad = c == '+' || c == '#' || c == '/' || c == 0;
		tn_buf_char(out, bad ? '_' : c);
	}
	if (out->n == before)
		tn_buf_char(out, '-');
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

static void
publish_row(struct publisher *p, const struct tn_json *row)
{
	struct tn_buf topic = { 0 }, payload = { 0 };
	struct tn_codec_mqtt_packet x = { .type = TN_MQTT_PUBLISH,
	    .version = TN_MQTT_V5, .qos = 1, .retain = true };
	struct message *msg;
	struct tn_slice held;

	put_topic(&topic, p, row);
	put_row(&payload, p->view->def->select->schema, row);
	x.topic = (struct tn_slice){ topic.p, topic.n };
	x.payload = (struct tn_slice){ payload.p, payload.n };
	x.props.present = UINT64_C(1) << TN_MQTT_P_CONTENT_TYPE;
	x.props.content_type = tn_slice_of("application/json");
	held = tn_mqtt_retained_payload(p->m->retained, x.topic);
	if (!topic.failed && !payload.failed &&
	    tn_codec_mqtt_name_ok(x.topic) && !tn_slice_eq(held, x.payload)) {
		msg = tn_mqtt_message_new(&x, tn_mqtt_now_us());
		if (msg != NULL) {
			msg->derived = true;
			tn_mqtt_publish_own(p->m, msg);
		}
	}
	tn_buf_fini(&topic);
	tn_buf_fini(&payload);
}

/* A snapshot or a patch of the live feed. */
static void
heard(void *arg, struct tn_slice json)
{
	struct publisher *p = arg;
	struct tn_arena *a = tn_arena_new(16384);
	struct tn_diag d = { .line = 0 };
	struct tn_json *message = NULL;
	const struct tn_json *rows;

	if (tn_codec_json_parse(a, json, &message, &d) == TN_OK) {
		rows = tn_codec_json_get(message, "rows");
		for (uint32_t i = 0; rows != NULL && i < rows->count; i++)
			publish_row(p, &rows->items[i]);
	}
	tn_arena_free(a);
}

/* ---- made ------------------------------------------------------------ */

static void
begin(struct tn_mqtt *m, const struct tn_serving_view *v,
    const char *pattern, struct publisher *p)
{
	struct tn_serving_view_request r = {
	    .view = tn_slice_of(v->def->name) };
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_codec_topic_parse(&p->topic,
	    tn_slice_of(pattern), &d);

	tn_assert(st == TN_OK);         /* sql has parsed it. */
	p->m = m;
	p->view = v;
	p->pattern = pattern;
	p->live = tn_serving_live_open(m->o.serving, &r, heard, p, &d);
	if (p->live == NULL)
		tn_say(TN_WARN, "mqtt", "view %s is not published: %s",
		    v->def->name, d.message);
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
			begin(m, &model->views[i], pattern,
			    &all->list[all->count++]);
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
