/* wrap: tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync tn_mqtt_store_sync_patient tn_mqtt_store_each tn_mqtt_now_us */
/* Subscriptions in the trie, against a list that is looked through with the
 * codec's plain matcher: overlapping filters, shares, topics with $, and
 * nothing left when all have gone. */
#include "mqtt_help.h"

#define SESSIONS 5
#define SUBS_MAX 600

struct fact {                    /* A subscription, as the list has it. */
	char filter[140];        /* As subscribed. */
	char plain[80];          /* Without $share/name/. */
	char share[20];          /* "": ordinary. */
	uint32_t session;
	uint8_t qos;
};
static struct {
	struct tn_mqtt m;
	struct session *s[SESSIONS];
	struct conn conns[SESSIONS];
	struct fact facts[SUBS_MAX];
	uint32_t count;
} w;

static struct {
	struct session *session[64];
	uint32_t count[64];
	uint8_t qos[64];
	const char *filters[64][64];
	bool shared[64];
	uint32_t calls;
} got;

static void
heard(void *arg, struct session *s, struct subscription *const *subs,
    uint32_t count)
{
	uint32_t i = got.calls++;

	(void)arg;
	assert_true(i < 64 && count > 0 && count <= 64);
	got.session[i] = s;
	got.count[i] = count;
	got.qos[i] = subs[0]->qos;
	got.shared[i] = subs[0]->share != NULL;
	for (uint32_t k = 0; k < count; k++) {
		got.filters[i][k] = subs[k]->filter;
		assert_ptr_equal(subs[k]->session, s);
		/* Highest QoS first, or the client gets too little. */
		if (k > 0)
			assert_true(subs[k]->qos <= subs[k - 1]->qos);
		assert_true(count == 1 || subs[k]->share == NULL);
	}
}

static void
match(const char *topic)
{
	got.calls = 0;
	tn_mqtt_tree_match(w.m.tree, tn_slice_of(topic), heard, NULL);
}

/* ---- random texts ---------------------------------------------------- */

static const char *const words[] = { "a", "b", "", "$x", "long-level", "c" };

static void
random_topic(char *out)
{
	uint32_t n = 1 + rnd(4);

	out[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			strcat(out, "/");
		strcat(out, words[rnd(TN_COUNT(words))]);
	}
	if (out[0] == '\0')
		strcpy(out, "a");
}

static void
random_filter(char *out)
{
	uint32_t n = 1 + rnd(4);

	out[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = rnd(6);
		if (i > 0)
			strcat(out, "/");
		if (kind == 0 && i == n - 1)
			strcat(out, "#");
		else
			strcat(out, kind < 3 ? "+" :
			    words[rnd(TN_COUNT(words))]);
	}
	if (out[0] == '\0')
		strcpy(out, "+");
}

/* ---- the list -------------------------------------------------------- */

static struct fact *
fact_of(uint32_t session, const char *filter)
{
	for (uint32_t i = 0; i < w.count; i++)
		if (w.facts[i].session == session &&
		    strcmp(w.facts[i].filter, filter) == 0)
			return &w.facts[i];
	return NULL;
}

static void
add_random(void)
{
	struct tn_codec_mqtt_filter f = { .qos = (uint8_t)rnd(3) };
	struct fact x = { .session = rnd(SESSIONS), .qos = f.qos }, *old;
	struct subscription *sub = NULL;
	bool fresh;

	if (w.count == SUBS_MAX)
		return;
	random_filter(x.plain);
	if (rnd(3) == 0)
		(void)snprintf(x.share, sizeof x.share, "g%u", rnd(2));
	(void)snprintf(x.filter, sizeof x.filter, "%s%s%s%.70s",
	    x.share[0] != '\0' ? "$share/" : "", x.share,
	    x.share[0] != '\0' ? "/" : "", x.plain);
	f.filter = tn_slice_of(x.filter);
	assert_int_equal(tn_mqtt_tree_put(w.m.tree, w.s[x.session], &f, 7,
	    &sub, &fresh), TN_OK);
	old = fact_of(x.session, x.filter);
	assert_int_equal(fresh, old == NULL);
	assert_non_null(sub);
	assert_int_equal(sub->id, 7);
	if (old != NULL)
		old->qos = x.qos;
	else
		w.facts[w.count++] = x;
}

static void
drop_random(void)
{
	uint32_t i;

	if (w.count == 0)
		return;
	i = rnd(w.count);
	assert_true(tn_mqtt_tree_drop(w.m.tree, w.s[w.facts[i].session],
	    tn_slice_of(w.facts[i].filter)));
	assert_false(tn_mqtt_tree_drop(w.m.tree, w.s[w.facts[i].session],
	    tn_slice_of(w.facts[i].filter)));
	w.facts[i] = w.facts[--w.count];
}

static bool
takes(const struct fact *x, const char *topic)
{
	return tn_codec_mqtt_match(tn_slice_of(x->plain), tn_slice_of(topic));
}

/* Ordinary ones: each session once, with just its matching filters. */
static void
check_ordinary(const char *topic, uint32_t session)
{
	uint32_t want = 0, calls = 0;
	uint8_t qos = 0;

	for (uint32_t i = 0; i < w.count; i++) {
		const struct fact *x = &w.facts[i];
		if (x->session != session || x->share[0] != '\0' ||
		    !takes(x, topic))
			continue;
		want++;
		qos = x->qos > qos ? x->qos : qos;
	}
	for (uint32_t i = 0; i < got.calls; i++) {
		if (got.session[i] != w.s[session] || got.shared[i])
			continue;
		calls++;
		assert_int_equal(got.count[i], want);
		assert_int_equal(got.qos[i], qos);
	}
	assert_int_equal(calls, want > 0);
}

/* Shares: one member of each group and filter that matches. */
static void
check_shares(const char *topic)
{
	uint32_t groups = 0, calls = 0;

	for (uint32_t i = 0; i < w.count; i++) {
		bool first = true;
		if (w.facts[i].share[0] == '\0' || !takes(&w.facts[i], topic))
			continue;
		for (uint32_t k = 0; k < i; k++)
			first = first && strcmp(w.facts[k].filter,
			    w.facts[i].filter) != 0;
		groups += first;
	}
	for (uint32_t i = 0; i < got.calls; i++) {
		if (!got.shared[i])
			continue;
		calls++;
		assert_int_equal(got.count[i], 1);
		for (uint32_t k = 0; k < i; k++)
			assert_false(got.shared[k] && strcmp(
			    got.filters[k][0], got.filters[i][0]) == 0);
	}
	assert_int_equal(calls, groups);
}

static void
world_make(void)
{
	memset(&w, 0, sizeof w);
	broker_make(&w.m);
	for (uint32_t i = 0; i < SESSIONS; i++) {
		char id[8];
		(void)snprintf(id, sizeof id, "s%u", i);
		w.s[i] = tn_mqtt_session_new(&w.m, tn_slice_of(id), 0);
		w.conns[i].step = CONN_OPEN;
		w.s[i]->conn = &w.conns[i];
	}
}

static void
world_drop(void)
{
	for (uint32_t i = 0; i < SESSIONS; i++)
		w.s[i]->conn = NULL;
	broker_free(&w.m);
}

static struct node *
root_of(void)
{
	return (struct node *)w.m.tree;  /* Its first member. */
}

/* Goal: whatever is subscribed and dropped, the trie says what the list says. */
static void
trie_and_list_agree(void **state)
{
	char topic[80];

	(void)state;
	take_seed(1);
	world_make();
	for (uint32_t step = 0; step < 3000; step++) {
		if (rnd(100) < (step / 500 % 2 == 0 ? 65u : 30u))
			add_random();
		else
			drop_random();
		assert_int_equal(tn_mqtt_tree_count(w.m.tree), w.count);
		random_topic(topic);
		match(topic);
		for (uint32_t i = 0; i < SESSIONS; i++)
			check_ordinary(topic, i);
		check_shares(topic);
	}
	while (w.count > 0)
		drop_random();
	assert_int_equal(root_of()->count, 0);
	assert_null(root_of()->plus);
	assert_null(root_of()->hash);
	match("a/b");
	assert_int_equal(got.calls, 0);
	world_drop();
}

static void
put(uint32_t session, const char *filter)
{
	struct tn_codec_mqtt_filter f = { .filter = tn_slice_of(filter),
	    .qos = 1 };
	struct subscription *sub;
	bool fresh;

	assert_int_equal(tn_mqtt_tree_put(w.m.tree, w.s[session], &f, 0, &sub,
	    &fresh), TN_OK);
}

/* Goal: members of a share take turns; those that are away only when all are. */
static void
shares_take_turns(void **state)
{
	uint32_t by[SESSIONS] = { 0 };

	(void)state;
	world_make();
	for (uint32_t i = 0; i < 3; i++)
		put(i, "$share/g/t/#");
	for (uint32_t i = 0; i < 300; i++) {
		match("t/x");
		assert_int_equal(got.calls, 1);
		for (uint32_t k = 0; k < SESSIONS; k++)
			by[k] += got.session[0] == w.s[k];
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(by[i], 100);
	w.s[0]->conn = NULL;
	w.conns[2].step = CONN_CLOSING;
	for (uint32_t i = 0; i < 10; i++) {
		match("t");
		assert_ptr_equal(got.session[0], w.s[1]);
	}
	w.s[1]->conn = NULL;
	memset(by, 0, sizeof by);
	for (uint32_t i = 0; i < 300; i++) {
		match("t/y");
		for (uint32_t k = 0; k < SESSIONS; k++)
			by[k] += got.session[0] == w.s[k];
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(by[i], 100);
	world_drop();
}

/* Goal: depth is bounded, for filters and for topics; and one session's
 * filters go without touching another's. */
static void
depth_is_bounded(void **state)
{
	static char deep[2 * 2000];
	struct tn_codec_mqtt_filter f = { .qos = 1 };
	struct subscription *sub;
	bool fresh;

	(void)state;
	world_make();
	for (size_t i = 0; i + 2 < sizeof deep; i += 2)
		memcpy(deep + i, "a/", 3);
	f.filter = (struct tn_slice){ (uint8_t *)deep, 2 * 127 + 1 };
	assert_int_equal(tn_mqtt_tree_put(w.m.tree, w.s[0], &f, 0, &sub,
	    &fresh), TN_OK);
	f.filter.n += 2;
	assert_int_equal(tn_mqtt_tree_put(w.m.tree, w.s[0], &f, 0, &sub,
	    &fresh), TN_ELIMIT);
	assert_int_equal(tn_mqtt_tree_count(w.m.tree), 1);
	put(1, "a/#");
	match(deep);
	assert_int_equal(got.calls, 1);
	assert_ptr_equal(got.session[0], w.s[1]);
	tn_mqtt_tree_drop_all(w.m.tree, w.s[0]);
	assert_null(w.s[0]->subs);
	assert_int_equal(w.s[0]->sub_count, 0);
	match("a");
	assert_int_equal(got.calls, 1);
	world_drop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trie_and_list_agree),
		cmocka_unit_test(shares_take_turns),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
