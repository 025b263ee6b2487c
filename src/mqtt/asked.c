/* asked: retained messages that new subscriptions asked for.
 *
 *   subscribe.c -> a list of filters a session, sessions in a ring
 *               -> filter by filter: topics found (one walk), then their
 *                  messages one by one, so many a turn of the loop, and as the
 *                  client reads them
 *
 * A session may ask for every topic there is, as often as it likes, and all
 * this is work on the loop: so a turn has a budget, and sessions have their
 * turns. A small answer leaves with the SUBACK.
 *
 * What is found are topics, not messages: whatever a topic has when its turn
 * comes is sent, so nothing old overtakes what came meanwhile. The list of them
 * counts as queued; without room for it all is given at once, as far as queues
 * take it. A session that is away, and kept, gets them into its queue.
 *
 * After a start the rows of a view are retained as they come from the view, and
 * nobody hears of those that are as they were (rows.c). Who had asked before a
 * row came gets it then: a display that is back sooner than the view. */
#include "mqtt/mqtt_int.h"

#define GIVES 1024               /* Messages a turn. */
#define NODES_A_GIVE 32          /* Looking at so many costs as much. */
#define OUT_MAX 256              /* In the queue of one that is connected. */

struct asked {
	struct asked *next;
	char *filter;
	struct held **found;
	uint32_t at, count, cap;
	bool looked;
};

/* ---- the lists ------------------------------------------------------- */

static size_t
bytes_of(const struct asked *a)
{
	return a->cap * sizeof *a->found;
}

static void
drop_first(struct session *s)
{
	struct asked *a = s->asked;

	s->asked = a->next;
	s->m->queued_bytes -= bytes_of(a);
	s->queued_bytes -= bytes_of(a);
	while (a->at < a->count)
		tn_mqtt_held_unref(a->found[a->at++]);
	tn_free(a->found);
	tn_free(a->filter);
	tn_free(a);
}

void
tn_mqtt_asked_free(struct session *s)
{
	struct session **at = &s->m->asking;

	while (s->asked != NULL)
		drop_first(s);
	while (*at != NULL && *at != s)
		at = &(*at)->next_asking;
	if (*at == s)
		*at = s->next_asking;
	s->asks = false;
}

void
tn_mqtt_asked_less(struct session *s, struct tn_slice filter)
{
	struct asked **at = &s->asked, *a;

	while ((a = *at) != NULL && (a->looked ||
	    !tn_slice_is(filter, a->filter)))
		at = &a->next;
	if (a == NULL)
		return;
	*at = a->next;
	tn_free(a->filter);
	tn_free(a);
}

void
tn_mqtt_ask_retained(struct session *s, char *filter)
{
	struct asked **at = &s->asked, *a;

	/* Twice before the first has begun is once. */
	for (; *at != NULL; at = &(*at)->next)
		if (!(*at)->looked && strcmp((*at)->filter, filter) == 0) {
			tn_free(filter);
			return;
		}
	a = tn_zalloc(sizeof *a);
	a->filter = filter;
	*at = a;
}

/* ---- one session's turn ---------------------------------------------- */

/* Its identifier is on disk: after a restart no other message has it. */
static void
stored(void *arg, enum tn_status st)
{
	(void)st;                       /* Told in the log lines. */
	tn_mqtt_session_let_go(arg);
}

struct giving {
	struct session *session;
	struct subscription *sub;
	struct asked *asked;         /* NULL: not gathered, but given. */
	uint32_t room;               /* Of found. */
};

static void
give_message(struct session *s, struct subscription *sub, struct message *msg)
{
	struct delivery d = { .message = msg, .subs = &sub, .count = 1,
	    .retained = true };
	struct out *o;

	if (sub->no_local && msg->from == s->hash)
		return;
	o = tn_mqtt_session_give(s, &d);
	if (o != NULL && s->kept)
		tn_mqtt_store_sync_patient(s->m->store, stored, o);
	else if (o != NULL)
		tn_mqtt_session_let_go(o);
}

static void
give(const struct giving *g, const struct held *h)
{
	struct message *msg = tn_mqtt_held_message(h, tn_mqtt_now_us());

	if (msg != NULL)
		give_message(g->session, g->sub, msg);
}

static void
give_early(void *arg, struct session *s, struct subscription *const *subs,
    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (subs[i]->early)
			give_message(s, subs[i], arg);
}

void
tn_mqtt_asked_late(struct tn_mqtt *m, struct message *msg)
{
	tn_mqtt_tree_match(m->tree, msg->topic, give_early, msg);
}

static void
found(void *arg, struct held *h)
{
	struct giving *g = arg;
	struct asked *a = g->asked;

	if (a == NULL) {
		give(g, h);
		return;
	}
	if (a->count == a->cap) {
		a->cap = a->cap == 0 ? 16 : a->cap * 2;
		a->found = tn_realloc(a->found, a->cap * sizeof *a->found);
	}
	tn_mqtt_held_ref(h);
	a->found[a->count++] = h;
}

/* One walk; what it costs of the turn. */
static uint32_t
look(struct giving *g, struct asked *a)
{
	struct session *s = g->session;
	size_t most = tn_mqtt_retained_count(s->m->retained) * 2 *
	    sizeof *a->found;
	uint32_t nodes;

	g->asked = tn_mqtt_session_takes(s, most) ? a : NULL;
	nodes = tn_mqtt_retained_match(s->m->retained,
	    tn_slice_of(a->filter), found, g);
	a->looked = true;
	g->sub->early = s->m->views_telling > 0;
	s->m->queued_bytes += bytes_of(a);
	s->queued_bytes += bytes_of(a);
	return g->asked == NULL ? GIVES : nodes / NODES_A_GIVE + 1;
}

static struct subscription *
subscription_of(const struct session *s, const struct asked *a)
{
	struct subscription *sub = s->subs;

	while (sub != NULL && strcmp(sub->filter, a->filter) != 0)
		sub = sub->next_of_session;
	return sub;
}

/* It has read or acknowledged what it got, or is away. */
static bool
is_ready(const struct session *s)
{
	if (s->conn == NULL)
		return true;
	return s->conn->step == CONN_OPEN &&
	    s->out_count < OUT_MAX + s->conn->receive_max &&
	    tn_mqtt_conn_unsent(s->conn) <= tn_mqtt_unsent_max(s->m);
}

static uint32_t
less(uint32_t left, uint32_t cost)
{
	return left > cost ? left - cost : 0;
}

/* What is left of the turn; 0 also when it is to wait for the client. */
static uint32_t
serve(struct session *s, uint32_t left)
{
	while (s->asked != NULL && left > 0 && is_ready(s)) {
		struct asked *a = s->asked;
		struct giving g = { .session = s,
		    .sub = subscription_of(s, a) };
		if (g.sub == NULL) {
			drop_first(s);
			continue;
		}
		if (!a->looked)
			left = less(left, look(&g, a));
		while (a->at < a->count && left > 0 && is_ready(s)) {
			struct held *h = a->found[a->at++];
			give(&g, h);
			tn_mqtt_held_unref(h);
			left--;
		}
		if (a->at == a->count)
			drop_first(s);
	}
	return left;
}

/* ---- turns ----------------------------------------------------------- */

static void
append(struct session *s)
{
	struct session **at = &s->m->asking;

	while (*at != NULL)
		at = &(*at)->next_asking;
	*at = s;
	s->next_asking = NULL;
	s->asks = true;
}

static void
serve_all(struct tn_mqtt *m)
{
	while (m->asking != NULL && m->asked_left > 0) {
		struct session *s = m->asking;
		m->asking = s->next_asking;
		m->asked_left = serve(s, m->asked_left);
		s->asks = false;
		/* One that waits for its client is kicked when it goes on. */
		if (s->asked != NULL && is_ready(s))
			append(s);
	}
}

static void next_turn(struct tn_net_job *job);

static void
turn(struct tn_mqtt *m)
{
	serve_all(m);
	if (m->asking == NULL || m->asked_turn.posted)
		return;
	m->asked_turn.posted = true;
	m->asked_turn.m = m;
	m->asked_turn.job.run = next_turn;
	m->work++;
	tn_net_loop_post(m->o.loop, &m->asked_turn.job);
}

static void
next_turn(struct tn_net_job *job)
{
	struct tn_mqtt *m = ((struct asked_turn *)job)->m;

	m->asked_turn.posted = false;
	m->work--;
	m->asked_left = GIVES;
	tn_arena_reset(m->arena);
	turn(m);
}

void
tn_mqtt_asked_go(struct session *s)
{
	if (s->asked == NULL || s->asks || s->m->draining)
		return;
	append(s);
	if (!s->m->asked_turn.posted)
		turn(s->m);
}
