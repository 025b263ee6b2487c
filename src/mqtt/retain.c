/* retain: the last message of each topic that was published with the retain
 * flag. They hang on a trie of topics, so that a new subscription with
 * wildcards looks only where it can match, and on a list, oldest first, for
 * expiry. Limits: a number and bytes; a message that would go over one is not
 * retained (the publisher of 5.0 is told by a reason string), and neither is
 * the one before it: no value is better than one that is no more. */
#include "mqtt/mqtt_int.h"

#define LEVELS_MAX 128       /* Bounds the depth of the walks below. */
#define LOOK_MAX 64          /* Messages looked at in one call of expire. */

struct held {
	struct held *prev, *next;
	struct node *node;           /* NULL: the topic has none any more. */
	uint32_t refs;               /* One of the node, others of asks and
	                              * of views. */
	struct row row;
};
struct retained {
	struct node root;
	struct held *first, *last;   /* Of all; first: looked at next. */
	uint32_t count, max;
	size_t bytes, bytes_max;
};

struct retained *
tn_mqtt_retained_new(uint32_t max, size_t bytes_max)
{
	struct retained *r = tn_zalloc(sizeof *r);

	r->max = max;
	r->bytes_max = bytes_max;
	return r;
}

static void
unlink_held(struct retained *r, struct held *h)
{
	if (h->prev != NULL)
		h->prev->next = h->next;
	else
		r->first = h->next;
	if (h->next != NULL)
		h->next->prev = h->prev;
	else
		r->last = h->prev;
}

static void
link_held(struct retained *r, struct held *h)
{
	h->prev = r->last;
	h->next = NULL;
	if (r->last != NULL)
		r->last->next = h;
	else
		r->first = h;
	r->last = h;
}

static void
drop(struct retained *r, struct held *h)
{
	struct node *n = h->node;

	r->count--;
	r->bytes -= n->retained->bytes;
	tn_mqtt_message_unref(n->retained);
	n->retained = NULL;
	n->held = NULL;
	unlink_held(r, h);
	h->node = NULL;
	tn_mqtt_held_unref(h);
	tn_mqtt_node_prune(n);
}

void
tn_mqtt_held_ref(struct held *h)
{
	h->refs++;
}

void
tn_mqtt_held_unref(struct held *h)
{
	if (--h->refs == 0)
		tn_free(h);
}

struct row *
tn_mqtt_held_row(struct held *h)
{
	return &h->row;
}

struct message *
tn_mqtt_held_message(const struct held *h, int64_t now_us)
{
	struct message *m = h->node == NULL ? NULL : h->node->retained;

	return m != NULL && (m->expires_us == 0 || m->expires_us > now_us) ?
	    m : NULL;
}

static bool
is_deep(struct tn_slice topic)
{
	uint32_t n = 1;

	for (size_t i = 0; i < topic.n; i++)
		n += topic.p[i] == '/';
	return n > LEVELS_MAX;
}

enum tn_status
tn_mqtt_retained_put(struct retained *r, struct message *m)
{
	struct node *n;
	size_t before;

	if (is_deep(m->topic))
		return TN_EFULL;
	n = tn_mqtt_node_walk(&r->root, m->topic, m->payload.n > 0);
	before = n != NULL && n->retained != NULL ? n->retained->bytes : 0;
	if (m->payload.n == 0) {
		if (n != NULL && n->held != NULL)
			drop(r, n->held);
		return TN_OK;
	}
	if (r->bytes - before + m->bytes > r->bytes_max ||
	    (n->held == NULL && r->count >= r->max)) {
		if (n->held != NULL)
			drop(r, n->held);
		else
			tn_mqtt_node_prune(n);
		return TN_EFULL;
	}
	if (n->held == NULL) {
		n->held = tn_zalloc(sizeof *n->held);
		n->held->node = n;
		n->held->refs = 1;
		r->count++;
	} else {
		unlink_held(r, n->held);
		tn_mqtt_message_unref(n->retained);
	}
	link_held(r, n->held);
	m->refs++;
	n->retained = m;
	r->bytes += m->bytes - before;
	return TN_OK;
}

struct held *
tn_mqtt_retained_held(struct retained *r, struct tn_slice topic)
{
	const struct node *n = tn_mqtt_node_walk(&r->root, topic, false);

	return n == NULL ? NULL : n->held;
}

bool
tn_mqtt_retained_takes(const struct retained *r, const struct message *m)
{
	return r->count < r->max && r->bytes + m->bytes <= r->bytes_max &&
	    !is_deep(m->topic);
}

struct tn_slice
tn_mqtt_retained_payload(struct retained *r, struct tn_slice topic)
{
	const struct node *n = tn_mqtt_node_walk(&r->root, topic, false);

	return n == NULL || n->retained == NULL ?
	    (struct tn_slice){ NULL, 0 } : n->retained->payload;
}

/* ---- matching -------------------------------------------------------- */

struct look {
	void (*each)(void *arg, struct held *h);
	void *arg;
	uint32_t nodes;              /* Looked at. */
};

static void
give(const struct node *n, const struct look *l)
{
	if (n->held != NULL)
		l->each(l->arg, n->held);
}

static bool
is_hidden(const struct node *root, const struct node *child)
{
	return child->parent == root && child->level_bytes > 0 &&
	    child->level[0] == '$';
}

/* All below; depth is bounded by that of topics. */
static void
give_all(const struct node *root, const struct node *n, struct look *l)
{
	l->nodes++;
	give(n, l);
	for (uint32_t i = 0; i < n->cap; i++)
		if (n->slots[i] != NULL && !is_hidden(root, n->slots[i]))
			give_all(root, n->slots[i], l);
}

static void
descend(const struct node *root, const struct node *n, const uint8_t *p,
    const uint8_t *end, struct look *l)
{
	const uint8_t *slash, *rest;
	struct tn_slice level;
	struct node *next;

	l->nodes++;
	if (p == NULL) {
		give(n, l);
		return;
	}
	slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
	rest = slash == NULL ? NULL : slash + 1;
	level = (struct tn_slice){ p, (size_t)((slash == NULL ? end :
	    slash) - p) };
	if (tn_slice_is(level, "#")) {
		give_all(root, n, l);
		return;
	}
	if (!tn_slice_is(level, "+")) {
		next = tn_mqtt_node_find(n, level);
		if (next != NULL)
			descend(root, next, rest, end, l);
		return;
	}
	for (uint32_t i = 0; i < n->cap; i++)
		if (n->slots[i] != NULL && !is_hidden(root, n->slots[i]))
			descend(root, n->slots[i], rest, end, l);
}

uint32_t
tn_mqtt_retained_match(struct retained *r, struct tn_slice filter,
    void (*each)(void *arg, struct held *h), void *arg)
{
	struct look l = { each, arg, 0 };

	descend(&r->root, &r->root, filter.p, filter.p + filter.n, &l);
	return l.nodes;
}

void
tn_mqtt_retained_expire(struct retained *r, int64_t now_us,
    void (*gone)(void *arg, struct message *m), void *arg)
{
	struct held *h = r->first;

	/* Those that stay go to the end of the line: all get their turn. */
	for (uint32_t i = 0; i < LOOK_MAX && i < r->count && h != NULL; i++) {
		struct held *next = h->next;
		struct message *m = h->node->retained;
		if (m->expires_us != 0 && m->expires_us <= now_us) {
			gone(arg, m);
			drop(r, h);
		} else {
			unlink_held(r, h);
			link_held(r, h);
		}
		h = next;
	}
}

uint32_t
tn_mqtt_retained_count(const struct retained *r)
{
	return r->count;
}

size_t
tn_mqtt_retained_bytes(const struct retained *r)
{
	return r->bytes;
}

void
tn_mqtt_retained_free(struct retained *r)
{
	if (r == NULL)
		return;
	while (r->first != NULL)
		drop(r, r->first);
	tn_free(r->root.slots);
	tn_free(r);
}
