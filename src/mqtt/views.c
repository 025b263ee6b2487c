/* views: views that publish. WITH (publish = 'views/visits/{office}') makes
 * each row of a view a retained message, payload a JSON object, so that a wall
 * display or a controller needs no HTTP.
 *
 *   serving's live feed: snapshot, then changed rows --> texts, a queue a view
 *     --> turn by turn: a row, a message --> (rows.c: the store knows the topic)
 *     --> broker
 *
 * A text may have 100,000 rows, and all this is work on the loop: a turn takes
 * ROWS_A_TURN rows or TURN_US, of all views together, and no more than
 * UNROUTED_MAX messages of a view are on their way to the broker's queues. The
 * next text waits until the last one is all there, so nothing old overtakes. A
 * snapshot of all rows makes the texts before it useless: they are dropped.
 * Should texts gather faster than they are read, all go, and the feed begins anew.
 *
 * A row that leaves the view (HAVING, retention) is cleared, by an empty message:
 * what the view published (its list of topics) and a snapshot of all its rows
 * has not. What was published before this start and no row has any more is
 * cleared once each view whose pattern takes the topic has had such a snapshot;
 * at once when there is none (another pattern, no view).
 *
 * A row whose payload is what is retained already is not sent again; after a
 * start, neither one that is as rows.c knows it: it is retained without a word.
 * The messages are not kept in the store: the view is. QoS 1; they go through the
 * broker like any other, but a stream that maps a topic takes them too.
 *
 * Two rows never share a topic that differ in the values it is made of: the
 * bytes + # / % and zero are written %2B %23 %2F %25 %00, so is a $ that would
 * begin the topic; null is "-", a value "-" is %2D, an empty one an empty level
 * (where nothing else is left, the row is not published). No client may publish
 * to the topics of a view, or a reader could not believe what is retained.
 *
 * What can go wrong: over a limit of retained messages a row is published but
 * neither retained nor known after a start: told once a view. */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define ROWS_A_TURN 1024
#define TURN_US 2000
#define LOOK_EVERY 16            /* Rows between looks at the clock. */
#define UNROUTED_MAX 1024
#define TEXTS_MAX 256            /* Of a view that wait, */
#define TEXT_BYTES_MAX ((size_t)64 << 20)    /* and their bytes. */
#define CLOSE_A_TICK 8192        /* Topics closed each second. */

/* What the feed said. */
struct text {
	struct text *next;
	size_t n;
	bool whole;                  /* These are all rows. */
	char bytes[];
};
enum publisher_step { STEP_ROWS, STEP_SETTLE, STEP_SWEEP };
struct publisher {
	struct tn_mqtt *m;
	const struct tn_serving_view *view;
	struct tn_codec_topic topic;
	const char *pattern;
	uint32_t number;             /* From 1. */
	struct tn_serving_live *live;
	struct text *first, *last;   /* They wait. */
	uint32_t text_count;
	size_t text_bytes;
	bool lost;                   /* Some were dropped: begin anew. */
	struct text *text;           /* At work, or NULL. */
	enum publisher_step step;
	const uint8_t *at;           /* The next row, in text. */
	uint32_t seen;               /* Number of the last whole one. */
	bool had_whole;
	bool stuck;                  /* Waits for messages that are unrouted. */
	uint32_t unrouted;
	struct held **own;           /* Topics it has published; counted. */
	uint32_t own_count, own_cap;
	uint32_t sweep_at, swept;    /* Looked at; of them still own. */
	uint32_t close_at;
	bool open, still_open;       /* Some topics may be; met in this round, */
	bool closing;                /* which goes on. */
	bool full_said;
};
struct publishers {
	struct tn_net_job job;       /* First. */
	struct tn_mqtt *m;
	uint32_t count;
	struct publisher *list;      /* And one more, without a view: it clears
	                              * topics that no view takes. */
	uint32_t turn;               /* Who comes first in the next one. */
	uint32_t left_at;            /* Of rows.c: looked at so far. */
	uint32_t close_left;         /* Of this second. */
	struct tn_arena *arena;      /* Of a row. */
	bool posted, ended;
};
/* Of a turn. */
struct budget {
	int64_t begun_us;
	uint32_t rows;
	bool spent;
};

static void go(struct publishers *all);

static bool
is_spent(struct budget *b)
{
	if (b->rows >= ROWS_A_TURN || (b->rows % LOOK_EVERY == 0 &&
	    tn_os_mono_us() - b->begun_us >= TURN_US))
		b->spent = true;
	return b->spent;
}

static const char *
option_of(const struct tn_sql_view *v)
{
	for (uint32_t i = 0; i < v->option_count; i++)
		if (strcmp(v->options[i].name, "publish") == 0)
			return v->options[i].value;
	return NULL;
}

/* ---- messages -------------------------------------------------------- */

/* No payload: the topic has none any more. */
static void
publish(struct publisher *p, struct tn_slice topic, struct tn_slice payload)
{
	struct message *msg = tn_mqtt_row_message(p->number, p->seen,
	    topic, payload);

	if (msg == NULL)
		return;
	p->unrouted++;
	tn_mqtt_publish_own(p->m, msg);
}

/* ---- topics of a view ------------------------------------------------ */

/* Does the topic have a message of this publisher? */
static const struct message *
own_message(const struct publisher *p, struct held *h)
{
	const struct message *msg = tn_mqtt_held_message(h, INT64_MIN);

	return msg != NULL && msg->derived == p->number &&
	    tn_mqtt_held_row(h)->owner == p->number ? msg : NULL;
}

/* Not of this publisher any more. */
static void
let_go(struct publisher *p, struct held *h)
{
	const struct message *msg = tn_mqtt_held_message(h, INT64_MIN);
	struct row *row = tn_mqtt_held_row(h);

	/* A client's, where a stream takes the topic, too. */
	if (msg != NULL && msg->derived == 0 && row->note != ROW_UNNOTED &&
	    row->owner == p->number) {
		tn_mqtt_row_forget(p->m, msg->topic);
		row->note = ROW_UNNOTED;
	}
	if (row->owner == p->number)
		row->owner = 0;
	tn_mqtt_held_unref(h);
}

/* Without those that are others' by now, and each once. */
static void
compact_own(struct publisher *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->own_count; i++) {
		struct held *h = p->own[i];
		if (own_message(p, h) == NULL) {
			let_go(p, h);
			continue;
		}
		tn_mqtt_held_row(h)->owner = 0;  /* Should it come again. */
		p->own[n++] = h;
	}
	for (uint32_t i = 0; i < n; i++)
		tn_mqtt_held_row(p->own[i])->owner = p->number;
	p->own_count = n;
	p->close_at = 0;
}

static void
add_own(struct publisher *p, struct held *h)
{
	if (p->own_count >= p->own_cap / 2 + p->own_cap / 4) {
		if (p->step != STEP_SWEEP)
			compact_own(p);
		if (p->own_count >= p->own_cap / 2) {
			p->own_cap = p->own_cap == 0 ? 64 : p->own_cap * 2;
			p->own = tn_realloc(p->own,
			    p->own_cap * sizeof(struct held *));
		}
	}
	tn_mqtt_held_ref(h);
	p->own[p->own_count++] = h;
}

static void
mark(struct publisher *p, struct held *h, const struct message *msg,
    enum row_note note)
{
	struct row *row = tn_mqtt_held_row(h);

	if (row->owner != p->number) {
		add_own(p, h);
		row->owner = p->number;
	}
	if (note == ROW_OPEN && row->note != ROW_OPEN)
		tn_mqtt_row_note(p->m, msg->topic, NULL);
	row->note = note;
	row->seen = msg->seen;
	row->touched = true;
	p->open = p->still_open = true;
}

static void
say_full(struct publisher *p)
{
	const struct tn_mqtt *m = p->m;

	if (p->full_said || p->view == NULL)
		return;
	p->full_said = true;
	tn_say(TN_WARN, "mqtt", "view %s: rows are published but not "
	    "retained, over %s", p->view->def->name,
	    tn_mqtt_retained_count(m->retained) >= m->o.retained_max ?
	    "mqtt_retained_max" : "mqtt_retained_bytes");
}

void
tn_mqtt_row_routed(struct tn_mqtt *m, const struct message *msg,
    enum tn_status st)
{
	struct publishers *all = m->publishers;
	struct publisher *p = &all->list[msg->derived - 1];
	struct held *h;

	tn_assert(msg->derived <= all->count + 1 && p->unrouted > 0);
	p->unrouted--;
	if (p->unrouted == 0 || p->unrouted == UNROUTED_MAX / 2) {
		p->stuck = false;
		go(all);
	}
	if (st != TN_OK)
		return;
	h = tn_mqtt_retained_held(m->retained, msg->topic);
	if (msg->payload.n > 0 && h != NULL &&
	    tn_mqtt_held_message(h, INT64_MIN) == msg) {
		mark(p, h, msg, ROW_OPEN);
		return;
	}
	if (msg->noted)
		tn_mqtt_row_forget(m, msg->topic);
	if (msg->payload.n > 0)
		say_full(p);
}

/* It rests: should the next start find the row so, nobody need hear of it. */
static void
close_row(struct publisher *p, struct held *h, bool now)
{
	const struct message *msg = own_message(p, h);
	struct row *row = tn_mqtt_held_row(h);

	if (msg == NULL || row->note != ROW_OPEN)
		return;
	if (row->touched && !now) {
		row->touched = false;
		p->still_open = true;
		return;
	}
	tn_mqtt_row_note(p->m, msg->topic, &msg->payload);
	row->note = ROW_CLOSED;
	if (p->m->publishers->close_left > 0)
		p->m->publishers->close_left--;
}

/* False: it waits for the next tick. */
static bool
close_some(struct publisher *p, struct budget *b)
{
	struct publishers *all = p->m->publishers;

	while (p->closing && p->step != STEP_SWEEP && all->close_left > 0) {
		if (is_spent(b))
			return true;
		b->rows++;
		if (p->close_at < p->own_count) {
			close_row(p, p->own[p->close_at++], false);
			continue;
		}
		p->closing = false;
		p->open = p->still_open;
		p->still_open = false;
		p->close_at = 0;
	}
	return false;
}

void
tn_mqtt_publishers_tick(struct publishers *all)
{
	const struct store *s = all->m->store;

	if (tn_mqtt_store_waits(s) || tn_mqtt_store_is_full(s))
		return;
	all->close_left = CLOSE_A_TICK;
	for (uint32_t i = 0; i < all->count; i++) {
		if (!all->list[i].open)
			continue;
		all->list[i].closing = true;
		go(all);
	}
}

/* ---- rows ------------------------------------------------------------ */

static struct held *
held_of(const struct tn_mqtt *m, struct tn_slice topic,
    const struct message **msg)
{
	struct held *h = tn_mqtt_retained_held(m->retained, topic);

	*msg = h == NULL ? NULL : tn_mqtt_held_message(h, INT64_MIN);
	return h;
}

/* On a topic that a stream takes, too. */
static bool
is_of_client(const struct tn_mqtt *m, struct tn_slice topic)
{
	const struct message *msg;

	(void)held_of(m, topic, &msg);
	return msg != NULL && msg->derived == 0;
}

/* True: it is retained as before this start, and told who has asked since. */
static bool
restore(struct publisher *p, struct tn_slice topic, struct tn_slice payload)
{
	struct message *msg;

	if (!tn_mqtt_row_was(p->m, topic, payload) || is_of_client(p->m, topic))
		return false;
	msg = tn_mqtt_row_message(p->number, p->seen, topic, payload);
	if (msg == NULL)
		return false;
	if (tn_mqtt_retained_put(p->m->retained, msg) == TN_OK) {
		mark(p, tn_mqtt_retained_held(p->m->retained, topic), msg,
		    ROW_CLOSED);
		tn_mqtt_asked_late(p->m, msg);
	} else {
		say_full(p);
	}
	tn_mqtt_message_unref(msg);
	return true;
}

static bool
is_retained(struct publisher *p, struct tn_slice topic,
    struct tn_slice payload)
{
	const struct message *msg;
	struct held *h = held_of(p->m, topic, &msg);

	if (msg == NULL || msg->derived == 0)
		return false;
	/* Also when it is another one by now, which may fail to get there. */
	if (tn_mqtt_held_row(h)->owner == p->number)
		tn_mqtt_held_row(h)->seen = p->seen;
	return tn_slice_eq(msg->payload, payload);
}

static void
publish_row(struct publisher *p, const struct tn_json *row)
{
	struct tn_buf topic = { 0 }, payload = { 0 };
	struct row_of of = { p->view->def->select->schema, row };
	struct tn_slice name, text;

	tn_mqtt_row_topic(&topic, &p->topic, p->pattern, &of);
	tn_mqtt_row_payload(&payload, of.schema, row);
	name = (struct tn_slice){ topic.p, topic.n };
	text = (struct tn_slice){ payload.p, payload.n };
	if (!topic.failed && !payload.failed && tn_codec_mqtt_name_ok(name) &&
	    !is_retained(p, name, text) && !restore(p, name, text))
		publish(p, name, text);
	tn_buf_fini(&topic);
	tn_buf_fini(&payload);
}

/* ---- texts ----------------------------------------------------------- */

static void
drop_waiting(struct publisher *p)
{
	while (p->first != NULL) {
		struct text *t = p->first;
		p->first = t->next;
		tn_free(t);
	}
	p->last = NULL;
	p->text_count = 0;
	p->text_bytes = 0;
}

static void
end_text(struct publisher *p)
{
	tn_free(p->text);
	p->text = NULL;
	p->at = NULL;
	p->step = STEP_ROWS;
}

static void
add_text(struct publisher *p, struct tn_slice json, bool whole)
{
	struct text *t = NULL;

	if (p->text_count < TEXTS_MAX &&
	    (p->first == NULL || p->text_bytes + json.n <= TEXT_BYTES_MAX))
		t = tn_try_alloc(sizeof *t + json.n);
	if (t == NULL) {
		drop_waiting(p);
		p->lost = true;
		return;
	}
	*t = (struct text){ .n = json.n, .whole = whole };
	memcpy(t->bytes, json.p, json.n);
	if (p->last != NULL)
		p->last->next = t;
	else
		p->first = t;
	p->last = t;
	p->text_count++;
	p->text_bytes += json.n;
}

/* A snapshot or a patch of the live feed, or its end. */
static void
heard(void *arg, struct tn_slice json)
{
	struct publisher *p = arg;
	bool whole = tn_mqtt_text_is_whole(json);

	if (p->lost || (!whole && tn_mqtt_text_rows(json) == NULL))
		return;
	if (whole) {
		/* One at work that has all rows, too, is read to its end: else
		 * its last rows never came where new ones always do. */
		drop_waiting(p);
		if (p->text != NULL && p->step == STEP_ROWS && !p->text->whole)
			end_text(p);
	}
	add_text(p, json, whole);
	p->stuck = false;
	go(p->m->publishers);
}

static void
begin_text(struct publisher *p)
{
	struct text *t = p->first;

	p->first = t->next;
	if (p->first == NULL)
		p->last = NULL;
	p->text_count--;
	p->text_bytes -= t->n;
	p->text = t;
	p->step = STEP_ROWS;
	p->at = tn_mqtt_text_rows((struct tn_slice){ (uint8_t *)t->bytes,
	    t->n });
	if (t->whole)
		p->seen++;
}

static void
open_feed(struct publisher *p)
{
	struct tn_serving_view_request r = {
	    .view = tn_slice_of(p->view->def->name) };
	struct tn_diag d = { .line = 0 };

	p->live = tn_serving_live_open(p->m->o.serving, &r, heard, p, &d);
	if (p->live == NULL)
		tn_say(TN_WARN, "mqtt", "view %s is not published: %s",
		    p->view->def->name, d.message);
}

/* False: there is none, for now. */
static bool
next_text(struct publisher *p)
{
	if (p->unrouted > 0)
		return false;
	if (p->first != NULL) {
		begin_text(p);
		return true;
	}
	if (p->lost) {
		p->lost = false;
		tn_serving_live_close(p->live);
		open_feed(p);
	}
	return false;
}

/* ---- turns ----------------------------------------------------------- */

/* False: there is no further row. */
static bool
next_row(struct publisher *p)
{
	const uint8_t *end = (const uint8_t *)p->text->bytes + p->text->n;
	struct tn_arena *a = p->m->publishers->arena;
	struct tn_diag d = { .line = 0 };
	struct tn_json *row = NULL;
	struct tn_slice json;

	if (!tn_mqtt_text_next(&p->at, end, &json))
		return false;
	tn_arena_reset(a);
	tn_arena_reset(p->m->arena);
	if (tn_codec_json_parse(a, json, &row, &d) == TN_OK)
		publish_row(p, row);
	return true;
}

/* False: it has to wait. */
static bool
take_rows(struct publisher *p, struct budget *b)
{
	const uint8_t *end = (const uint8_t *)p->text->bytes + p->text->n;

	do {
		if (p->unrouted >= UNROUTED_MAX)
			return false;
		b->rows++;
		if (next_row(p))
			continue;
		/* Text that does not end so is not all rows. */
		if (p->text->whole && (p->at == NULL ||
		    (p->at < end && *p->at == ']')))
			p->step = STEP_SETTLE;
		else
			end_text(p);
		return true;
	} while (!is_spent(b));
	return true;
}

/* The gap of those that were let go; also in the midst. */
static void
end_sweep(struct publisher *p)
{
	if (p->step != STEP_SWEEP)
		return;
	while (p->sweep_at < p->own_count)
		p->own[p->swept++] = p->own[p->sweep_at++];
	p->own_count = p->swept;
	p->step = STEP_ROWS;
}

/* All rows there are have been seen: what else this view has published is no
 * row any more (HAVING, retention, a new definition). */
static bool
sweep(struct publisher *p, struct budget *b)
{
	while (p->sweep_at < p->own_count) {
		struct held *h = p->own[p->sweep_at];
		const struct message *msg = own_message(p, h);
		if (p->unrouted >= UNROUTED_MAX)
			return false;
		if (is_spent(b))
			return true;
		b->rows++;
		p->sweep_at++;
		if (msg == NULL) {
			let_go(p, h);
			continue;
		}
		p->own[p->swept++] = h;
		if (tn_mqtt_held_row(h)->seen == p->seen)
			continue;
		tn_arena_reset(p->m->arena);
		publish(p, msg->topic, (struct tn_slice){ NULL, 0 });
	}
	end_sweep(p);
	if (!p->had_whole)
		p->m->publishers->left_at = 0;
	p->m->views_telling -= !p->had_whole;
	p->had_whole = true;
	end_text(p);
	return true;
}

/* False: nothing can be done for now. */
static bool
take_step(struct publisher *p, struct budget *b)
{
	if (p->text == NULL)
		return next_text(p);
	if (p->step == STEP_ROWS)
		return take_rows(p, b);
	if (p->step == STEP_SWEEP)
		return sweep(p, b);
	if (p->unrouted > 0)
		return false;
	p->step = STEP_SWEEP;
	p->sweep_at = p->swept = p->close_at = 0;
	return true;
}

/* May a view that has not told all its rows yet have it? */
static bool
may_come(const struct publishers *all, struct tn_slice topic)
{
	struct tn_slice values[TN_CODEC_CAPTURES_MAX];

	for (uint32_t i = 0; i < all->count; i++)
		if (!all->list[i].had_whole && tn_codec_topic_match(
		    &all->list[i].topic, topic, values))
			return true;
	return false;
}

/* Topics of before this start. False: it waits, or all were looked at. */
static bool
clear_left(struct publishers *all, struct budget *b)
{
	struct publisher *nobody = &all->list[all->count];
	struct rows *rows = all->m->rows;

	while (all->left_at < tn_mqtt_rows_left_end(rows)) {
		struct tn_slice topic = tn_mqtt_rows_left(rows, all->left_at);
		struct message *msg;
		if (nobody->unrouted >= UNROUTED_MAX)
			return false;
		if (is_spent(b))
			return true;
		b->rows++;
		all->left_at++;
		if (topic.n == 0 || may_come(all, topic))
			continue;
		if (is_of_client(all->m, topic)) {
			tn_mqtt_row_forget(all->m, topic);
			continue;
		}
		msg = tn_mqtt_row_message(nobody->number, 0, topic,
		    (struct tn_slice){ NULL, 0 });
		if (msg == NULL) {
			all->left_at--;
			return false;
		}
		tn_mqtt_rows_left_less(rows, all->left_at - 1);
		nobody->unrouted++;
		tn_arena_reset(all->m->arena);
		tn_mqtt_publish_own(all->m, msg);
	}
	return false;
}

static void
next_turn(struct tn_net_job *job)
{
	struct publishers *all = (struct publishers *)job;
	struct budget b = { .begun_us = tn_os_mono_us() }, own;
	bool more = false;

	all->posted = false;
	all->m->work--;
	if (all->ended || all->m->draining)
		return;
	for (uint32_t i = 0; i < all->count; i++) {
		struct publisher *p = &all->list[(all->turn + i) %
		    all->count];
		while (!p->stuck && !b.spent)
			p->stuck = !take_step(p, &b);
		more = more || !p->stuck;
	}
	all->turn++;
	/* Behind them (one may just have told all its rows), in a time of
	 * their own: some views have always something to say. */
	own = (struct budget){ .begun_us = tn_os_mono_us() };
	more = clear_left(all, &own) || more;
	for (uint32_t i = 0; i < all->count; i++)
		more = close_some(&all->list[i], &own) || more;
	if (more)
		go(all);
}

static void
go(struct publishers *all)
{
	if (all == NULL || all->posted || all->ended || all->m->draining)
		return;
	all->posted = true;
	all->job.run = next_turn;
	all->m->work++;
	tn_net_loop_post(all->m->o.loop, &all->job);
}

/* ---- made ------------------------------------------------------------ */

static void
begin(struct tn_mqtt *m, const struct tn_serving_view *v,
    const char *pattern, struct publisher *p)
{
	struct tn_diag d = { .line = 0 };
	enum tn_status st = tn_codec_topic_parse(&p->topic,
	    tn_slice_of(pattern), &d);

	tn_assert(st == TN_OK);         /* sql has parsed it. */
	p->m = m;
	p->view = v;
	p->pattern = pattern;
	m->views_telling++;
	open_feed(p);
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

	all->m = m;
	all->arena = tn_arena_new(4096);
	all->list = tn_zalloc((model->view_count + 1) * sizeof *all->list);
	for (uint32_t i = 0; i < model->view_count; i++) {
		const char *pattern = option_of(model->views[i].def);
		struct publisher *p = &all->list[all->count];
		if (pattern == NULL)
			continue;
		p->number = ++all->count;
		begin(m, &model->views[i], pattern, p);
	}
	all->list[all->count].m = m;
	all->list[all->count].number = all->count + 1;
	if (tn_mqtt_rows_left_end(m->rows) > 0)
		go(all);
	return all;
}

void
tn_mqtt_publishers_end(struct publishers *all)
{
	if (all == NULL)
		return;
	all->ended = true;
	for (uint32_t i = 0; i < all->count; i++) {
		struct publisher *p = &all->list[i];
		if (p->live != NULL)
			tn_serving_live_close(p->live);
		p->live = NULL;
		end_sweep(p);
		for (uint32_t k = 0; k < p->own_count; k++)
			close_row(p, p->own[k], true);
	}
}

void
tn_mqtt_publishers_free(struct publishers *all)
{
	if (all == NULL)
		return;
	tn_assert(!all->posted && all->ended);
	for (uint32_t i = 0; i <= all->count; i++) {
		struct publisher *p = &all->list[i];
		for (uint32_t k = 0; k < p->own_count; k++)
			tn_mqtt_held_unref(p->own[k]);
		tn_free(p->own);
		drop_waiting(p);
		end_text(p);
		tn_codec_topic_fini(&p->topic);
	}
	tn_arena_free(all->arena);
	tn_free(all->list);
	tn_free(all);
}
