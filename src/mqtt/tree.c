/* tree: topic filters to subscriptions, in a trie of levels.
 *
 *   node (trie.c)
 *        --plus---> child for +
 *        --hash---> child for #: it also takes the level above
 *        subs       ordinary subscriptions to just this filter
 *        shares     $share groups on it: name -> members, taken in turn
 *
 * Matching walks at most two children a level and gathers subscriptions; one
 * session may match by several filters and is called once with all of them
 * (MQTT-3.3.4-2 allows one message for each or one for all: we send one, with
 * all identifiers). Empty nodes go away with their last subscription.
 * A filter has at most LEVELS_MAX levels, which bounds depth and recursion. */
#include "mqtt/mqtt_int.h"

#include <stdlib.h>

#define LEVELS_MAX 128

struct share {
	struct share *next;
	struct node *node;
	char *name;
	struct subscription **members;
	uint32_t count, cap;
	uint32_t turn;
};
struct tree {
	struct node root;
	uint32_t count;
	size_t bytes, bytes_max;     /* As cost() has it. */
	uint64_t epoch;
	uint64_t visited;            /* Nodes, by all walks so far. */
	struct subscription **found;     /* Scratch of match. */
	uint32_t found_count, found_cap;
};

struct tree *
tn_mqtt_tree_new(size_t bytes_max)
{
	struct tree *t = tn_zalloc(sizeof *t);

	t->bytes_max = bytes_max;
	return t;
}

/* ---- subscriptions --------------------------------------------------- */

static void
push(struct subscription ***list, uint32_t *count, uint32_t *cap,
    struct subscription *s)
{
	if (*count == *cap) {
		*cap = *cap == 0 ? 2 : *cap * 2;
		*list = tn_realloc(*list, *cap * sizeof **list);
	}
	(*list)[(*count)++] = s;
}

static void
take_out(struct subscription **list, uint32_t *count,
    const struct subscription *s)
{
	uint32_t i = 0;

	while (i < *count && list[i] != s)
		i++;
	tn_assert(i < *count);
	/* In order: the turn of a group goes on fairly. */
	memmove(&list[i], &list[i + 1], (*count - i - 1) * sizeof *list);
	(*count)--;
}

static struct share *
share_of(struct node *n, struct tn_slice name, bool make)
{
	struct share *g = n->shares;

	while (g != NULL && !tn_slice_is(name, g->name))
		g = g->next;
	if (g != NULL || !make)
		return g;
	g = tn_zalloc(sizeof *g);
	g->node = n;
	g->name = tn_strndup((const char *)name.p, name.n);
	g->next = n->shares;
	n->shares = g;
	return g;
}

static void
drop_share(struct share *g)
{
	struct share **at = &g->node->shares;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	tn_free(g->members);
	tn_free(g->name);
	tn_free(g);
}

static struct subscription *
find(const struct session *s, struct tn_slice filter)
{
	struct subscription *sub = s->subs;

	while (sub != NULL && !tn_slice_is(filter, sub->filter))
		sub = sub->next_of_session;
	return sub;
}

static uint32_t
levels(struct tn_slice filter)
{
	uint32_t n = 1;

	for (size_t i = 0; i < filter.n; i++)
		n += filter.p[i] == '/';
	return n;
}

/* What a subscription takes when none of its levels is there yet. */
static size_t
cost(struct tn_slice filter)
{
	return sizeof(struct subscription) + 2 * filter.n +
	    levels(filter) * (sizeof(struct node) + 64);
}

static void
set_options(struct subscription *sub, const struct tn_codec_mqtt_filter *f,
    uint32_t id)
{
	sub->qos = f->qos;
	sub->no_local = f->no_local;
	sub->retain_as_published = f->retain_as_published;
	sub->retain_handling = f->retain_handling;
	sub->id = id;
}

enum tn_status
tn_mqtt_tree_put(struct tree *t, struct session *s,
    const struct tn_codec_mqtt_filter *f, uint32_t id,
    struct subscription **out, bool *fresh)
{
	struct subscription *sub = find(s, f->filter);
	struct tn_slice name, filter = f->filter;
	bool malformed = false, shared;
	struct node *n;

	*fresh = sub == NULL;
	*out = sub;
	if (sub != NULL) {
		set_options(sub, f, id);
		return TN_OK;
	}
	/* A malformed one comes from 3.1.1 only: there it is a plain filter. */
	shared = tn_codec_mqtt_share(f->filter, &name, &filter, &malformed);
	if (!shared)
		filter = f->filter;
	if (levels(filter) > LEVELS_MAX)
		return TN_ELIMIT;
	if (t->bytes + cost(f->filter) > t->bytes_max)
		return TN_EFULL;
	t->bytes += cost(f->filter);
	sub = tn_zalloc(sizeof *sub);
	sub->session = s;
	sub->filter = tn_strndup((const char *)f->filter.p, f->filter.n);
	set_options(sub, f, id);
	n = tn_mqtt_node_walk(&t->root, filter, true);
	if (shared) {
		sub->share = share_of(n, name, true);
		push(&sub->share->members, &sub->share->count,
		    &sub->share->cap, sub);
	} else {
		push(&n->subs, &n->sub_count, &n->sub_cap, sub);
	}
	sub->next_of_session = s->subs;
	s->subs = sub;
	s->sub_count++;
	t->count++;
	*out = sub;
	return TN_OK;
}

/* The subscription is off its session's list already. */
static void
drop(struct tree *t, struct subscription *sub)
{
	struct share *g = sub->share;
	struct node *n = g != NULL ? g->node :
	    tn_mqtt_node_walk(&t->root, tn_slice_of(sub->filter), false);

	tn_assert(n != NULL);
	if (g != NULL) {
		take_out(g->members, &g->count, sub);
		if (g->count == 0)
			drop_share(g);
	} else {
		take_out(n->subs, &n->sub_count, sub);
	}
	tn_mqtt_node_prune(n);
	t->count--;
	t->bytes -= cost(tn_slice_of(sub->filter));
	sub->session->sub_count--;
	tn_free(sub->filter);
	tn_free(sub);
}

bool
tn_mqtt_tree_has(const struct session *s, struct tn_slice filter)
{
	return find(s, filter) != NULL;
}

bool
tn_mqtt_tree_drop(struct tree *t, struct session *s, struct tn_slice filter)
{
	struct subscription **at = &s->subs, *sub;

	while (*at != NULL && !tn_slice_is(filter, (*at)->filter))
		at = &(*at)->next_of_session;
	sub = *at;
	if (sub == NULL)
		return false;
	*at = sub->next_of_session;
	drop(t, sub);
	return true;
}

void
tn_mqtt_tree_drop_all(struct tree *t, struct session *s)
{
	while (s->subs != NULL) {
		struct subscription *sub = s->subs;
		s->subs = sub->next_of_session;
		drop(t, sub);
	}
}

/* ---- matching -------------------------------------------------------- */

static void
gather(struct tree *t, struct subscription *sub)
{
	push(&t->found, &t->found_count, &t->found_cap, sub);
}

/* A connected member, the next in turn; else whose turn it is. */
static struct subscription *
choose(struct share *g)
{
	uint32_t first = g->turn % g->count;

	for (uint32_t i = 0; i < g->count; i++) {
		uint32_t at = (first + i) % g->count;
		const struct conn *c = g->members[at]->session->conn;
		if (c == NULL || c->step != CONN_OPEN)
			continue;
		g->turn = at + 1;
		return g->members[at];
	}
	g->turn = first + 1;
	return g->members[first];
}

static void
gather_node(struct tree *t, const struct node *n)
{
	for (uint32_t i = 0; i < n->sub_count; i++)
		gather(t, n->subs[i]);
	for (struct share *g = n->shares; g != NULL; g = g->next)
		gather(t, choose(g));
}

/* ${p}: the rest of the topic, beginning with a level; NULL: all of it was
 * walked. Depth is bounded by that of the tree. */
static void
descend(struct tree *t, const struct node *n, const uint8_t *p,
    const uint8_t *end, bool wild)
{
	const uint8_t *slash, *rest;
	struct tn_slice level;
	struct node *next;

	t->visited++;
	if (n->hash != NULL && wild)
		gather_node(t, n->hash);
	if (p == NULL) {
		gather_node(t, n);
		return;
	}
	slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
	rest = slash == NULL ? NULL : slash + 1;
	level = (struct tn_slice){ p, (size_t)((slash == NULL ? end :
	    slash) - p) };
	next = tn_mqtt_node_find(n, level);
	if (next != NULL)
		descend(t, next, rest, end, true);
	if (n->plus != NULL && wild)
		descend(t, n->plus, rest, end, true);
}

/* Shared subscriptions alone; ordinary ones of one session together. Subs of
 * a session are chained in place by counting. */
static void
call_sessions(struct tree *t, uint32_t ordinary, void (*each)(void *arg,
    struct session *s, struct subscription *const *subs, uint32_t count),
    void *arg)
{
	uint32_t n = t->found_count;

	for (uint32_t i = 0; i < ordinary; ) {
		uint32_t k = i + 1;
		while (k < ordinary && t->found[k]->session ==
		    t->found[i]->session)
			k++;
		each(arg, t->found[i]->session, &t->found[i], k - i);
		i = k;
	}
	for (uint32_t i = ordinary; i < n; i++)
		each(arg, t->found[i]->session, &t->found[i], 1);
}

/* Ordinary ones first, of a session together, highest QoS first; else in
 * order of the tree, which is the same each time. */
static int
order(const void *pa, const void *pb)
{
	const struct subscription *a = *(struct subscription *const *)pa;
	const struct subscription *b = *(struct subscription *const *)pb;

	if (a->session->match_at != b->session->match_at)
		return a->session->match_at < b->session->match_at ? -1 : 1;
	return (int)b->qos - (int)a->qos;
}

/* Number the sessions in order of appearance; true when one came twice. */
static bool
number_sessions(struct tree *t, uint32_t ordinary)
{
	bool twice = false;

	t->epoch++;
	for (uint32_t i = 0; i < ordinary; i++) {
		struct session *s = t->found[i]->session;
		twice = twice || s->match_epoch == t->epoch;
		if (s->match_epoch != t->epoch)
			s->match_at = i;
		s->match_epoch = t->epoch;
	}
	return twice;
}

/* Shared ones behind the ordinary ones. */
static uint32_t
part(struct tree *t)
{
	uint32_t ordinary = 0;

	for (uint32_t i = 0; i < t->found_count; i++) {
		struct subscription *s = t->found[i];
		if (s->share != NULL)
			continue;
		t->found[i] = t->found[ordinary];
		t->found[ordinary++] = s;
	}
	return ordinary;
}

static bool
has_any(const struct node *n)
{
	return n != NULL && (n->sub_count > 0 || n->shares != NULL);
}

/* The way of descend, to the first one found. */
static bool
takes(struct tree *t, const struct node *n, const uint8_t *p,
    const uint8_t *end, bool wild)
{
	const uint8_t *slash, *rest;
	struct node *next;

	t->visited++;
	if ((wild && has_any(n->hash)) || (p == NULL && has_any(n)))
		return true;
	if (p == NULL)
		return false;
	slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
	rest = slash == NULL ? NULL : slash + 1;
	next = tn_mqtt_node_find(n, (struct tn_slice){ p,
	    (size_t)((slash == NULL ? end : slash) - p) });
	return (next != NULL && takes(t, next, rest, end, true)) ||
	    (n->plus != NULL && wild && takes(t, n->plus, rest, end, true));
}

void
tn_mqtt_tree_match(struct tree *t, struct tn_slice topic,
    void (*each)(void *arg, struct session *s,
    struct subscription *const *subs, uint32_t count), void *arg)
{
	bool wild = topic.n == 0 || *topic.p != '$';
	uint32_t ordinary;

	t->found_count = 0;
	if (t->count == 0)
		return;
	descend(t, &t->root, topic.p, topic.p + topic.n, wild);
	ordinary = part(t);
	if (ordinary > 1 && number_sessions(t, ordinary))
		qsort(t->found, ordinary, sizeof *t->found, order);
	call_sessions(t, ordinary, each, arg);
}

bool
tn_mqtt_tree_takes(struct tree *t, struct tn_slice topic)
{
	bool wild = topic.n == 0 || *topic.p != '$';

	return t->count > 0 && takes(t, &t->root, topic.p,
	    topic.p + topic.n, wild);
}

uint64_t
tn_mqtt_tree_visited(const struct tree *t)
{
	return t->visited;
}

uint32_t
tn_mqtt_tree_count(const struct tree *t)
{
	return t->count;
}

void
tn_mqtt_tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	tn_assert(t->count == 0);       /* Sessions go first. */
	tn_free(t->root.slots);
	tn_free(t->root.subs);
	tn_free(t->found);
	tn_free(t);
}
