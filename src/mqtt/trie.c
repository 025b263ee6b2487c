/* trie: topics and filters, level by level. Subscriptions (tree.c) and retained
 * messages (retain.c) hang on the nodes of a trie each.
 *
 *   node --slots--> children of plain levels: open addressing by the hash of
 *                   the level's text, a quarter free
 *        --plus---> child for +
 *        --hash---> child for #
 *
 * A node goes away with the last thing on or below it. */
#include "mqtt/mqtt_int.h"

#define SLOTS_MIN 4

static uint32_t
slot_of(const struct node *n, struct tn_slice level)
{
	uint32_t at = (uint32_t)tn_hash64(level.p, level.n, 0);

	for (;; at++) {
		const struct node *c = n->slots[at &= n->cap - 1];
		if (c == NULL || (c->level_bytes == level.n &&
		    memcmp(c->level, level.p, level.n) == 0))
			return at;
	}
}

struct node *
tn_mqtt_node_find(const struct node *n, struct tn_slice level)
{
	return n->count == 0 ? NULL : n->slots[slot_of(n, level)];
}

static void
grow(struct node *n)
{
	struct node **old = n->slots;
	uint32_t cap = n->cap;

	n->cap = cap == 0 ? SLOTS_MIN : cap * 2;
	n->slots = tn_zalloc(n->cap * sizeof *n->slots);
	for (uint32_t i = 0; i < cap; i++)
		if (old[i] != NULL)
			n->slots[slot_of(n, (struct tn_slice){
			    (uint8_t *)old[i]->level,
			    old[i]->level_bytes })] = old[i];
	tn_free(old);
}

static struct node *
node_new(struct node *parent, struct tn_slice level)
{
	struct node *n = tn_zalloc(sizeof *n + level.n + 1);

	n->parent = parent;
	n->level = (char *)(n + 1);
	n->level_bytes = (uint32_t)level.n;
	if (level.n > 0)
		memcpy(n->level, level.p, level.n);
	return n;
}

/* The child for a level of a filter, made if wanted. */
static struct node *
child(struct node *n, struct tn_slice level, bool make)
{
	struct node **at = NULL;

	if (tn_slice_is(level, "+"))
		at = &n->plus;
	else if (tn_slice_is(level, "#"))
		at = &n->hash;
	if (at != NULL) {
		if (*at == NULL && make)
			*at = node_new(n, level);
		return *at;
	}
	if (make && (n->count + 1) * 4 > n->cap * 3)
		grow(n);
	if (n->cap == 0)
		return NULL;
	at = &n->slots[slot_of(n, level)];
	if (*at == NULL && make) {
		*at = node_new(n, level);
		n->count++;
	}
	return *at;
}

/* Close the gap that a plain child left, so that probing finds the rest. */
static void
unlink_plain(struct node *n, const struct node *c)
{
	uint32_t at = slot_of(n, (struct tn_slice){ (uint8_t *)c->level,
	    c->level_bytes });

	tn_assert(n->slots[at] == c);
	n->slots[at] = NULL;
	n->count--;
	for (uint32_t i = (at + 1) & (n->cap - 1); n->slots[i] != NULL;
	    i = (i + 1) & (n->cap - 1)) {
		struct node *moved = n->slots[i];
		n->slots[i] = NULL;
		n->slots[slot_of(n, (struct tn_slice){
		    (uint8_t *)moved->level, moved->level_bytes })] = moved;
	}
}

/* Free the node and its parents as far as nothing needs them. */
void
tn_mqtt_node_prune(struct node *n)
{
	while (n->parent != NULL && n->sub_count == 0 && n->shares == NULL &&
	    n->retained == NULL && n->count == 0 && n->plus == NULL &&
	    n->hash == NULL) {
		struct node *parent = n->parent;
		if (parent->plus == n)
			parent->plus = NULL;
		else if (parent->hash == n)
			parent->hash = NULL;
		else
			unlink_plain(parent, n);
		tn_free(n->slots);
		tn_free(n->subs);
		tn_free(n);
		n = parent;
	}
}

struct node *
tn_mqtt_node_walk(struct node *root, struct tn_slice filter, bool make)
{
	const uint8_t *p = filter.p, *end = filter.p + filter.n, *slash;
	struct node *n = root;

	for (; n != NULL && p <= end; p = slash + 1) {
		slash = p == end ? NULL : memchr(p, '/', (size_t)(end - p));
		if (slash == NULL)
			slash = end;
		n = child(n, (struct tn_slice){ p, (size_t)(slash - p) },
		    make);
	}
	return n;
}
