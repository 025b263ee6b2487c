/* What the tests of mqtt share: a broker made by hand, without loop and
 * sockets, over a store in memory whose commits, crashes and failures the test
 * decides, and a clock the test owns. Whoever includes it wraps (first line of
 * the test):
 *   tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync
 *   tn_mqtt_store_sync_patient
 *   tn_mqtt_store_each tn_mqtt_now_us */
#ifndef TN_MQTT_HELP_H
#define TN_MQTT_HELP_H

#include "test.h"

#include "mqtt/mqtt_int.h"

/* ---- seed and clock -------------------------------------------------- */

static uint64_t seed;
static int64_t clock_us = INT64_C(1700000000000000);

static inline uint32_t
rnd(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static inline void
take_seed(uint64_t add)
{
	const char *s = getenv("TARN_SEED");

	seed = (s != NULL ? strtoull(s, NULL, 10) : 1) + add * 1000003;
	print_message("seed %llu\n", (unsigned long long)seed);
}

int64_t __wrap_tn_mqtt_now_us(void);
int64_t
__wrap_tn_mqtt_now_us(void)
{
	return clock_us;
}

/* ---- a store in memory ----------------------------------------------- */

struct cell {
	uint8_t key[64];
	size_t key_n;
	uint8_t *value;              /* NULL in a change: drop. */
	size_t value_n;
};
struct cells {
	struct cell *list;
	uint32_t count, cap;
};
static struct {
	struct cells disk;           /* In order of key. */
	struct cells changes;        /* Not committed. */
	struct {
		void (*synced)(void *arg, enum tn_status st);
		void *arg;
	} waiters[4096];
	uint32_t waiter_count;
	uint32_t commits;
} mem;

static inline struct cell *
cells_at(struct cells *c, uint32_t at)
{
	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 64 : c->cap * 2;
		c->list = tn_realloc(c->list, c->cap * sizeof *c->list);
	}
	memmove(&c->list[at + 1], &c->list[at], (c->count - at) *
	    sizeof *c->list);
	c->count++;
	memset(&c->list[at], 0, sizeof c->list[at]);
	return &c->list[at];
}

static inline void
cell_fill(struct cell *x, struct tn_slice key, const struct tn_slice *value)
{
	assert_true(key.n > 0 && key.n <= sizeof x->key);
	memcpy(x->key, key.p, key.n);
	x->key_n = key.n;
	if (value == NULL)
		return;
	x->value = tn_alloc(value->n + 1);
	if (value->n > 0)
		memcpy(x->value, value->p, value->n);
	x->value_n = value->n;
}

static inline int
cell_order(const struct cell *a, struct tn_slice key)
{
	size_t n = a->key_n < key.n ? a->key_n : key.n;
	int c = memcmp(a->key, key.p, n);

	return c != 0 ? c : a->key_n < key.n ? -1 : a->key_n > key.n;
}

static inline void
disk_apply(const struct cell *x)
{
	struct tn_slice key = { x->key, x->key_n };
	struct tn_slice value = { x->value, x->value_n };
	uint32_t at = 0;

	while (at < mem.disk.count && cell_order(&mem.disk.list[at], key) < 0)
		at++;
	if (at < mem.disk.count && cell_order(&mem.disk.list[at], key) == 0) {
		tn_free(mem.disk.list[at].value);
		memmove(&mem.disk.list[at], &mem.disk.list[at + 1],
		    (mem.disk.count - at - 1) * sizeof *mem.disk.list);
		mem.disk.count--;
	}
	if (x->value != NULL)
		cell_fill(cells_at(&mem.disk, at), key, &value);
}

static inline void
cells_clear(struct cells *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		tn_free(c->list[i].value);
	tn_free(c->list);
	memset(c, 0, sizeof *c);
}

static inline void
call_waiters(enum tn_status st)
{
	uint32_t n = mem.waiter_count;

	for (uint32_t i = 0; i < n; i++)
		mem.waiters[i].synced(mem.waiters[i].arg, st);
	/* Those that they made wait for the next one. */
	memmove(mem.waiters, mem.waiters + n, (mem.waiter_count - n) *
	    sizeof mem.waiters[0]);
	mem.waiter_count -= n;
}

/* All that gathered, at once; then the waiters. */
static inline void
disk_commit(void)
{
	struct cells now = mem.changes;

	memset(&mem.changes, 0, sizeof mem.changes);
	for (uint32_t i = 0; i < now.count; i++)
		disk_apply(&now.list[i]);
	cells_clear(&now);
	mem.commits++;
	call_waiters(TN_OK);
}

static inline void
disk_settle(void)
{
	while (mem.changes.count > 0 || mem.waiter_count > 0)
		disk_commit();
}

/* A copy of what is on disk, and back to it: around a crash. */
static inline struct cells
disk_copy(void)
{
	struct cells c = { 0 };

	for (uint32_t i = 0; i < mem.disk.count; i++) {
		const struct cell *x = &mem.disk.list[i];
		struct tn_slice value = { x->value, x->value_n };
		cell_fill(cells_at(&c, i), (struct tn_slice){ x->key,
		    x->key_n }, &value);
	}
	return c;
}

static inline void
disk_set(struct cells c)
{
	cells_clear(&mem.changes);
	cells_clear(&mem.disk);
	mem.disk = c;
	mem.waiter_count = 0;
}

void __wrap_tn_mqtt_store_put(struct store *s, struct tn_slice key,
    struct tn_slice value);
void
__wrap_tn_mqtt_store_put(struct store *s, struct tn_slice key,
    struct tn_slice value)
{
	(void)s;
	cell_fill(cells_at(&mem.changes, mem.changes.count), key, &value);
}

void __wrap_tn_mqtt_store_drop(struct store *s, struct tn_slice key);
void
__wrap_tn_mqtt_store_drop(struct store *s, struct tn_slice key)
{
	(void)s;
	cell_fill(cells_at(&mem.changes, mem.changes.count), key, NULL);
}

void __wrap_tn_mqtt_store_sync(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg);
void
__wrap_tn_mqtt_store_sync(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg)
{
	(void)s;
	assert_true(mem.waiter_count < TN_COUNT(mem.waiters));
	mem.waiters[mem.waiter_count].synced = synced;
	mem.waiters[mem.waiter_count++].arg = arg;
}

void __wrap_tn_mqtt_store_sync_patient(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg);
void
__wrap_tn_mqtt_store_sync_patient(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg)
{
	__wrap_tn_mqtt_store_sync(s, synced, arg);
}

enum tn_status __wrap_tn_mqtt_store_each(struct store *s,
    struct tn_slice prefix, bool (*each)(void *arg, struct tn_slice key,
    struct tn_slice value), void *arg);
enum tn_status
__wrap_tn_mqtt_store_each(struct store *s, struct tn_slice prefix,
    bool (*each)(void *arg, struct tn_slice key, struct tn_slice value),
    void *arg)
{
	(void)s;
	for (uint32_t i = 0; i < mem.disk.count; i++) {
		const struct cell *x = &mem.disk.list[i];
		if (x->key_n < prefix.n ||
		    memcmp(x->key, prefix.p, prefix.n) != 0)
			continue;
		if (!each(arg, (struct tn_slice){ x->key, x->key_n },
		    (struct tn_slice){ x->value, x->value_n }))
			break;
	}
	return TN_OK;
}

/* ---- a broker by hand ------------------------------------------------ */

static inline void
broker_make(struct tn_mqtt *m)
{
	memset(m, 0, sizeof *m);
	m->o.sessions_max = 100;
	m->o.queued_max = 1000;
	m->o.queued_bytes_max = 16 << 20;
	m->o.retained_max = 1000;
	m->o.retained_bytes_max = 16 << 20;
	m->o.inflight_max = 16;
	m->o.unsent_bytes_max = 1 << 20;
	m->o.session_expiry_max_s = 3600;
	m->scratch.max = SIZE_MAX;
	m->arena = tn_arena_new(4096);
	m->tree = tn_mqtt_tree_new(64u << 20);
	m->retained = tn_mqtt_retained_new(m->o.retained_max,
	    m->o.retained_bytes_max);
	m->next_session = m->next_message = m->next_take = 1;
	m->sessions = tn_counter_get(TN_GAUGE, "test_sessions", NULL, "");
	m->dropped = tn_counter_get(TN_COUNTER, "test_dropped", NULL, "");
	for (int i = 0; i < 3; i++)
		m->received[i] = m->sent[i] = m->dropped;
}

static inline void
broker_free(struct tn_mqtt *m)
{
	for (uint32_t i = 0; i < m->bucket_count; i++)
		while (m->buckets[i] != NULL)
			tn_mqtt_session_free(m->buckets[i]);
	assert_int_equal(m->queued_bytes, 0);
	assert_int_equal(m->session_count, 0);
	tn_free(m->buckets);
	tn_mqtt_retained_free(m->retained);
	tn_mqtt_tree_free(m->tree);
	tn_arena_free(m->arena);
	tn_buf_fini(&m->scratch);
}

static inline struct message *
message_of(const char *topic, const char *payload, uint8_t qos)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_PUBLISH,
	    .version = TN_MQTT_V5, .qos = qos, .topic = tn_slice_of(topic),
	    .payload = tn_slice_of(payload) };

	return tn_mqtt_message_new(&p, clock_us);
}

#endif
