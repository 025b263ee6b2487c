/* store: what must survive, in DATA/mqtt.mdb (log's table), on a thread of
 * its own.
 *
 *   loop: put, drop, sync --flush--> job --> thread: one commit, one sync
 *                                             --> loop: waiters, in order
 *
 * While a job is on its way, more gathers for the next: a slow disk makes
 * larger commits, not longer queues. Connections are not read while a batch
 * is over GATHER_MAX (_is_full), which bounds it.
 *
 * What can go wrong: the disk or the table is full: the batch is tried again
 * each second, so what is in it is written in the end. Waiters hear TN_ENOSPC
 * at each try and wait no longer, but for the patient ones; what is put
 * afterwards comes behind and may take back what they had begun. After any
 * other failure nothing is kept any more, all waiters hear TN_EIO. A damaged
 * value is told when it is read, and dropped. */
#include "mqtt/mqtt_int.h"

#include "os/os.h"

#define RETRY_MS 1000
#define GATHER_MAX ((size_t)16 << 20)    /* Then senders wait. */
#define TABLE_BYTES (INT64_C(4) << 30)   /* Address space, not disk. */

struct waiter {
	void (*synced)(void *arg, enum tn_status st);
	void *arg;
	bool patient;
};
struct change {
	size_t key_at, value_at;     /* In bytes. */
	uint32_t key_n, value_n;
	bool drop;
};
struct batch {
	struct tn_net_job job;       /* First. */
	struct store *s;
	struct tn_buf bytes;
	struct change *changes;
	uint32_t count, cap;
	struct waiter *waiters;
	uint32_t waiter_count, waiter_cap;
	enum tn_status status;
};
struct store {
	struct tn_net_loop *loop;
	struct tn_net_actor *thread;
	struct tn_net_timer *retry;
	struct tn_log_table *table;
	struct batch *open;          /* What gathers. */
	struct batch *away;          /* On the thread, or waiting to retry. */
	struct tn_net_job turn;      /* Flushes what this turn gathered. */
	struct tn_counter *full;
	bool posted;
	bool failed;
	bool full_said;
	bool closing;
};

static struct batch *
batch_new(struct store *s)
{
	struct batch *b = tn_zalloc(sizeof *b);

	b->s = s;
	b->bytes.max = SIZE_MAX;
	return b;
}

static void
batch_free(struct batch *b)
{
	tn_buf_fini(&b->bytes);
	tn_free(b->changes);
	tn_free(b->waiters);
	tn_free(b);
}

#define STORE_OF(job_pointer) ((struct store *)((char *)(job_pointer) - \
	offsetof(struct store, turn)))

static void again(void *arg);
static void flush(struct store *s);

static void
run_turn(struct tn_net_job *job)
{
	struct store *s = STORE_OF(job);

	s->posted = false;
	flush(s);
}

/* Once a turn, after all that it brings. */
static void
flush_later(struct store *s)
{
	if (s->posted || s->away != NULL || s->closing)
		return;
	s->posted = true;
	s->turn.run = run_turn;
	tn_net_loop_post(s->loop, &s->turn);
}

enum tn_status
tn_mqtt_store_open(struct store **out, struct tn_net_loop *l,
    const char *path, struct tn_diag *d)
{
	struct store *s = tn_zalloc(sizeof *s);
	enum tn_status st = tn_log_table_open(&s->table, path, TABLE_BYTES,
	    d);

	*out = NULL;
	if (st != TN_OK) {
		tn_free(s);
		return st;
	}
	s->loop = l;
	s->thread = tn_net_actor_new("mqtt", 16);
	s->retry = tn_net_timer_new(l, again, s);
	s->open = batch_new(s);
	s->full = tn_counter_get(TN_GAUGE, "tarn_mqtt_store_full", NULL,
	    "1: no room for MQTT sessions and messages; what must be kept "
	    "is refused.");
	*out = s;
	return TN_OK;
}

/* ---- gathering ------------------------------------------------------- */

static void
add(struct store *s, struct tn_slice key, struct tn_slice value, bool drop)
{
	struct batch *b = s->open;
	struct change *c;

	tn_assert(tn_net_on_loop());
	if (s->failed)
		return;
	if (b->count == b->cap) {
		b->cap = b->cap == 0 ? 64 : b->cap * 2;
		b->changes = tn_realloc(b->changes,
		    b->cap * sizeof *b->changes);
	}
	c = &b->changes[b->count++];
	c->key_at = b->bytes.n;
	c->key_n = (uint32_t)key.n;
	tn_buf_add(&b->bytes, key.p, key.n);
	c->value_at = b->bytes.n;
	c->value_n = (uint32_t)value.n;
	if (value.n > 0)
		tn_buf_add(&b->bytes, value.p, value.n);
	c->drop = drop;
	flush_later(s);
}

void
tn_mqtt_store_put(struct store *s, struct tn_slice key,
    struct tn_slice value)
{
	add(s, key, value, false);
}

void
tn_mqtt_store_drop(struct store *s, struct tn_slice key)
{
	add(s, key, (struct tn_slice){ NULL, 0 }, true);
}

static void
wait_for(struct store *s, const struct waiter *w)
{
	struct batch *b = s->open;

	if (b->waiter_count == b->waiter_cap) {
		b->waiter_cap = b->waiter_cap == 0 ? 64 : b->waiter_cap * 2;
		b->waiters = tn_realloc(b->waiters,
		    b->waiter_cap * sizeof *b->waiters);
	}
	b->waiters[b->waiter_count++] = *w;
	flush_later(s);
}

void
tn_mqtt_store_sync(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg)
{
	wait_for(s, &(struct waiter){ .synced = synced, .arg = arg });
}

void
tn_mqtt_store_sync_patient(struct store *s,
    void (*synced)(void *arg, enum tn_status st), void *arg)
{
	wait_for(s, &(struct waiter){ synced, arg, true });
}

/* ---- the thread ------------------------------------------------------ */

static void came_back(struct tn_net_job *job);

static void
run_commit(struct tn_net_job *job)
{
	struct batch *b = (struct batch *)job;
	struct tn_log_change *c = tn_alloc((b->count + 1) * sizeof *c);

	for (uint32_t i = 0; i < b->count; i++) {
		const struct change *x = &b->changes[i];
		c[i] = (struct tn_log_change){
			.key = { b->bytes.p + x->key_at, x->key_n },
			.value = { b->bytes.p + x->value_at, x->value_n },
			.drop = x->drop,
		};
	}
	tn_os_crash_point("mqtt_store_before_commit");
	/* Without memory for its bytes a batch can never be whole again. */
	b->status = b->bytes.failed ? TN_EIO : b->count == 0 ? TN_OK :
	    tn_log_table_commit(b->s->table, c, b->count);
	tn_os_crash_point("mqtt_store_after_commit");
	tn_free(c);
	job->run = came_back;
	tn_net_loop_post(b->s->loop, job);
}

static void
send(struct store *s)
{
	struct batch *b = s->away;

	b->job.run = run_commit;
	if (!tn_net_actor_post_internal(s->thread, &b->job))
		tn_assert(!"the store closes after the loop");
}

static void
flush(struct store *s)
{
	if (s->away != NULL || s->closing || (s->open->count == 0 &&
	    s->open->waiter_count == 0))
		return;
	s->away = s->open;
	s->open = batch_new(s);
	send(s);
}

static void
again(void *arg)
{
	struct store *s = arg;

	if (s->away != NULL && !s->closing)
		send(s);
}

/* Those who do not wait for room are told, and off the batch. They may put and
 * wait for more, behind it. */
static void
tell_impatient(struct batch *b)
{
	struct waiter *told = tn_alloc((b->waiter_count + 1) * sizeof *told);
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < b->waiter_count; i++)
		if (b->waiters[i].patient)
			b->waiters[kept++] = b->waiters[i];
		else
			told[n++] = b->waiters[i];
	b->waiter_count = kept;
	for (uint32_t i = 0; i < n; i++)
		told[i].synced(told[i].arg, TN_ENOSPC);
	tn_free(told);
}

/* No room is no end: there may be some later. */
static bool
wait_for_room(struct store *s, enum tn_status st)
{
	if (st != TN_ENOSPC && st != TN_ENOMEM)
		return false;
	if (!s->full_said)
		tn_say(TN_WARN, "mqtt", "no room to keep sessions and "
		    "messages: %s; what must be kept is refused",
		    tn_status_text(st));
	s->full_said = true;
	tn_counter_set(s->full, 1);
	if (s->closing)
		return true;            /* See give_up. */
	tell_impatient(s->away);
	tell_impatient(s->open);
	tn_net_timer_start(s->retry, RETRY_MS, 0);
	return true;
}

static void
came_back(struct tn_net_job *job)
{
	struct batch *b = (struct batch *)job;
	struct store *s = b->s;

	if (wait_for_room(s, b->status))
		return;
	if (s->full_said && b->status == TN_OK)
		tn_say(TN_INFO, "mqtt", "sessions and messages are kept "
		    "again");
	s->full_said = false;
	tn_counter_set(s->full, 0);
	if (b->status != TN_OK && !s->failed) {
		s->failed = true;
		tn_say(TN_ERROR, "mqtt", "sessions and messages can not be "
		    "kept any more: %s; QoS 1 and 2 are refused where they "
		    "must be", tn_status_text(b->status));
	}
	s->away = NULL;
	for (uint32_t i = 0; i < b->waiter_count; i++)
		b->waiters[i].synced(b->waiters[i].arg, s->failed ? TN_EIO :
		    TN_OK);
	batch_free(b);
	if (!s->closing)
		flush(s);
}

bool
tn_mqtt_store_waits(const struct store *s)
{
	return s->full_said;
}

bool
tn_mqtt_store_idle(const struct store *s)
{
	return s->away == NULL && s->open->count == 0 &&
	    s->open->waiter_count == 0;
}

bool
tn_mqtt_store_is_full(const struct store *s)
{
	return s->open->bytes.n > GATHER_MAX;
}

struct reading {
	struct store *s;
	bool (*each)(void *arg, struct tn_slice key, struct tn_slice value);
	void *arg;
};

static bool
give(void *arg, struct tn_slice key, struct tn_slice value)
{
	const struct reading *r = arg;

	return r->each(r->arg, key, value);
}

/* Nobody can read it, and it would be told at each start. */
static void
drop_damaged(void *arg, struct tn_slice key)
{
	const struct reading *r = arg;

	tn_mqtt_store_drop(r->s, key);
}

enum tn_status
tn_mqtt_store_each(struct store *s, struct tn_slice prefix,
    bool (*each)(void *arg, struct tn_slice key, struct tn_slice value),
    void *arg)
{
	struct reading r = { s, each, arg };

	return tn_log_table_each_or(s->table, prefix, give, drop_damaged, &r);
}

uint64_t
tn_mqtt_store_bytes(const struct store *s)
{
	return tn_log_table_bytes(s->table);
}

/* What gathered still is written, here, and waiters are told: what they wait
 * for may make more. */
static void
write_rest(struct store *s)
{
	while (s->away == NULL && (s->open->count > 0 ||
	    s->open->waiter_count > 0)) {
		s->away = s->open;
		s->open = batch_new(s);
		run_commit(&s->away->job);
		tn_net_loop_settle(s->loop);
	}
}

/* There was no room for the rest, up to the end: who waits is told, and may
 * let go of what he holds. */
static void
give_up(struct store *s)
{
	struct batch *b = s->away != NULL ? s->away : s->open;

	s->failed = true;
	for (;;) {
		if (b == s->open)
			s->open = batch_new(s);
		for (uint32_t i = 0; i < b->waiter_count; i++)
			b->waiters[i].synced(b->waiters[i].arg, TN_EIO);
		batch_free(b);
		b = s->open;
		if (b->waiter_count == 0)
			break;
	}
	batch_free(b);
	s->open = s->away = NULL;
}

void
tn_mqtt_store_close(struct store *s)
{
	if (s == NULL)
		return;
	s->closing = true;
	tn_net_actor_free(s->thread);
	tn_net_loop_settle(s->loop);
	if (s->away != NULL) {          /* There may be room by now. */
		run_commit(&s->away->job);
		tn_net_loop_settle(s->loop);
	}
	write_rest(s);
	give_up(s);
	tn_net_timer_free(s->retry);
	tn_log_table_close(s->table);
	tn_free(s);
}
