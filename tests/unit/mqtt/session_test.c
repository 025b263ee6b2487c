/* wrap: tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync tn_mqtt_store_sync_patient tn_mqtt_store_each tn_mqtt_now_us tn_mqtt_conn_send tn_mqtt_conn_queued */
/* Sessions and what is kept of them, against a client that remembers: random
 * publishing, answers, lost connections, crashes and restarts. What was said
 * to be kept arrives, at least once with QoS 1 and exactly once with QoS 2, in
 * order; identifiers are never used twice, the client's receive maximum is
 * never passed, and nothing is left in the store when all is done. */
#include "mqtt_help.h"

#define NUMBERS 6000
#define WIRE_MAX 4096

struct flying {                  /* A packet to or from the client. */
	uint8_t type;
	uint16_t id;
	uint8_t qos;
	bool dup;
	uint32_t number;         /* PUBLISH: its payload. */
};
static struct {
	struct tn_mqtt m;
	struct session *s;
	struct conn conn;
	struct flying wire[WIRE_MAX], answers[WIRE_MAX];
	uint32_t wire_count, answer_count;
	size_t queued;           /* What the socket is said to lag. */
	/* The client. */
	bool holds[65536];       /* QoS 2: PUBREC sent, no PUBREL yet. */
	bool open[65536];        /* Of this connection: unanswered. */
	uint32_t open_count;
	uint32_t arrived[NUMBERS];
	uint32_t newest;         /* First arrivals are in order. */
	/* The publisher. */
	uint8_t qos[NUMBERS];
	bool kept[NUMBERS];      /* It was told so. */
	uint32_t next;
	bool ordinary;           /* Not kept: ends with the connection. */
} w;

size_t __wrap_tn_mqtt_conn_queued(const struct conn *c);
size_t
__wrap_tn_mqtt_conn_queued(const struct conn *c)
{
	(void)c;
	return w.queued;
}

bool __wrap_tn_mqtt_conn_send(struct conn *c,
    const struct tn_codec_mqtt_packet *p);
bool
__wrap_tn_mqtt_conn_send(struct conn *c, const struct tn_codec_mqtt_packet *p)
{
	struct flying *f = &w.wire[w.wire_count++];
	char text[12];

	assert_ptr_equal(c, &w.conn);
	assert_true(w.wire_count < WIRE_MAX);
	*f = (struct flying){ p->type, p->id, p->qos, p->dup, 0 };
	if (p->type != TN_MQTT_PUBLISH)
		return true;
	memcpy(text, p->payload.p, p->payload.n);
	text[p->payload.n] = '\0';
	f->number = (uint32_t)atoi(text);
	if (p->qos == 0)
		return true;
	assert_true(p->id != 0);
	/* One identifier, one message; and no more than the client takes. */
	assert_false(w.open[p->id]);
	w.open[p->id] = true;
	w.open_count++;
	assert_true(w.open_count <= w.conn.receive_max);
	return true;
}

/* ---- the client ------------------------------------------------------ */

static void
arrive(uint32_t number)
{
	if (w.arrived[number]++ > 0)
		return;
	assert_true(number > w.newest || w.newest == 0);
	w.newest = number;
}

static void
answer(uint8_t type, uint16_t id)
{
	assert_true(w.answer_count < WIRE_MAX);
	w.answers[w.answer_count++] = (struct flying){ .type = type,
	    .id = id };
}

/* The client reads one packet. */
static void
read_one(void)
{
	struct flying f = w.wire[0];

	w.wire_count--;
	memmove(w.wire, w.wire + 1, w.wire_count * sizeof f);
	if (f.type == TN_MQTT_PUBREL) {
		w.holds[f.id] = false;
		answer(TN_MQTT_PUBCOMP, f.id);
		return;
	}
	assert_int_equal(f.type, TN_MQTT_PUBLISH);
	assert_int_equal(f.qos, w.qos[f.number]);
	if (f.qos == 1) {
		arrive(f.number);
		answer(TN_MQTT_PUBACK, f.id);
	} else if (f.qos == 2) {
		if (!w.holds[f.id])
			arrive(f.number);
		w.holds[f.id] = true;
		answer(TN_MQTT_PUBREC, f.id);
	}
}

/* The broker reads one answer. */
static void
hear_one(void)
{
	struct flying f = w.answers[0];

	w.answer_count--;
	memmove(w.answers, w.answers + 1, w.answer_count * sizeof f);
	if (f.type != TN_MQTT_PUBREC && w.open[f.id]) {
		w.open[f.id] = false;
		w.open_count--;
	}
	if (f.type == TN_MQTT_PUBACK)
		assert_true(tn_mqtt_session_puback(w.s, f.id));
	else if (f.type == TN_MQTT_PUBREC)
		assert_true(tn_mqtt_session_pubrec(w.s, f.id, 0));
	else
		(void)tn_mqtt_session_pubcomp(w.s, f.id);
}

/* ---- the publisher --------------------------------------------------- */

struct held {
	struct out *o;
	uint32_t number;
};

static void
is_kept(void *arg, enum tn_status st)
{
	struct held *h = arg;

	assert_int_equal(st, TN_OK);
	w.kept[h->number] = true;
	tn_mqtt_session_let_go(h->o);
	tn_free(h);
}

static void
publish(void)
{
	struct subscription sub = { .session = w.s, .qos = 2, .id = rnd(3) };
	struct subscription *subs[1] = { &sub };
	uint32_t number = w.next;
	struct delivery d = { .subs = subs, .count = 1 };
	char text[12];
	struct out *o;

	if (w.next == NUMBERS)
		return;
	w.next++;
	(void)snprintf(text, sizeof text, "%u", number);
	w.qos[number] = (uint8_t)rnd(3);
	d.message = message_of("t/x", text, w.qos[number]);
	o = tn_mqtt_session_give(w.s, &d);
	tn_mqtt_message_unref(d.message);
	if (o == NULL)
		return;
	if (w.s->kept) {
		struct held *h = tn_alloc(sizeof *h);
		*h = (struct held){ o, number };
		tn_mqtt_store_sync(NULL, is_kept, h);
	} else {
		tn_mqtt_session_let_go(o);
	}
}

/* ---- connections and crashes ----------------------------------------- */

static void
disconnect(void)
{
	if (w.s->conn == NULL)
		return;
	tn_mqtt_keep_sent(w.s);
	tn_mqtt_session_detach(w.s);
	w.s->expires_us = clock_us + 1;
	tn_mqtt_session_store(w.s);
	w.wire_count = w.answer_count = 0;
	memset(w.open, 0, sizeof w.open);
	w.open_count = 0;
}

static void
reconnect(void)
{
	if (w.s->conn != NULL)
		return;
	w.conn = (struct conn){ .m = &w.m, .step = CONN_OPEN,
	    .version = TN_MQTT_V5, .receive_max = 1 + rnd(6),
	    .session = w.s };
	w.s->conn = &w.conn;
	w.queued = 0;
	tn_mqtt_session_store(w.s);
	tn_mqtt_session_resume(w.s);
	/* What was released and waits for PUBCOMP counts, too. */
	for (uint32_t i = 0; i < w.wire_count; i++)
		if (w.wire[i].type == TN_MQTT_PUBREL) {
			w.open_count += !w.open[w.wire[i].id];
			w.open[w.wire[i].id] = true;
		}
}

/* The program dies: what was committed is there, the rest is not. */
static void
crash(void)
{
	struct cells disk = disk_copy();
	struct tn_diag d = { .message = "" };
	bool known[NUMBERS];

	memcpy(known, w.kept, sizeof known);
	w.wire_count = w.answer_count = 0;
	memset(w.open, 0, sizeof w.open);
	w.open_count = 0;
	w.s->conn = NULL;
	disk_settle();           /* Only to free what waits for it. */
	broker_free(&w.m);
	memcpy(w.kept, known, sizeof known);
	disk_set(disk);
	broker_make(&w.m);
	assert_int_equal(tn_mqtt_keep_load(&w.m, &d), TN_OK);
	assert_int_equal(w.m.session_count, 1);
	w.s = tn_mqtt_session_find(&w.m, tn_slice_of("client"));
	assert_non_null(w.s);
	assert_true(w.s->kept && w.s->restored);
}

static void
check_counts(void)
{
	uint32_t count = 0, inflight = 0;
	const struct out *last = NULL;

	for (const struct out *o = w.s->first; o != NULL; o = o->next) {
		count++;
		inflight += o->step != OUT_QUEUED;
		assert_ptr_equal(o->prev, last);
		assert_ptr_equal(o->session, w.s);
		assert_true(o->message != NULL || o->step >= OUT_STORING);
		last = o;
	}
	assert_int_equal(count, w.s->out_count);
	assert_int_equal(inflight, w.s->inflight);
	assert_ptr_equal(last, w.s->last);
}

static void
step(void)
{
	uint32_t what = rnd(100);

	if (what < 30)
		publish();
	else if (what < 55 && w.wire_count > 0)
		read_one();
	else if (what < 80 && w.answer_count > 0)
		hear_one();
	else if (what < 88)
		disk_commit();
	else if (what < 91)
		disconnect();
	else if (what < 96)
		reconnect();
	else if (what < 97 && w.s->conn != NULL)
		w.queued = rnd(2) == 0 ? 0 : SIZE_MAX / 2;
	else if (what == 99 && rnd(4) == 0)
		crash();
	if (w.s->conn != NULL && w.queued == 0 && rnd(10) == 0)
		tn_mqtt_session_kick(w.s);
	check_counts();
}

/* Until nothing moves any more. */
static void
finish(void)
{
	reconnect();
	w.queued = 0;
	tn_mqtt_session_kick(w.s);
	for (uint32_t i = 0; i < 100000 && (w.s->first != NULL ||
	    w.wire_count > 0 || w.answer_count > 0); i++) {
		if (w.wire_count > 0)
			read_one();
		else if (w.answer_count > 0)
			hear_one();
		else
			disk_settle();
	}
	disk_settle();
	assert_null(w.s->first);
	assert_int_equal(w.s->inflight, 0);
	/* Each PUBREC has had its PUBREL: else the next message under the
	 * identifier would be taken for this one. */
	for (uint32_t i = 0; i < TN_COUNT(w.holds); i++)
		assert_false(w.holds[i]);
}

static void
begin(uint64_t add, uint16_t first_packet)
{
	memset(&w, 0, sizeof w);
	take_seed(add);
	disk_set((struct cells){ 0 });
	broker_make(&w.m);
	w.next = 1;
	w.s = tn_mqtt_session_new(&w.m, tn_slice_of("client"), 60);
	w.s->next_packet = first_packet;
	tn_mqtt_session_store(w.s);
	disk_commit();
	reconnect();
}

static void
end(void)
{
	w.s->conn = NULL;
	tn_mqtt_session_end(w.s);
	disk_settle();
	assert_int_equal(mem.disk.count, 0);
	broker_free(&w.m);
	disk_set((struct cells){ 0 });
}

/* Goal: whatever happens between publisher, broker, disk and client, what was
 * kept arrives as often as its QoS says. */
static void
nothing_is_lost_or_doubled(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 8; round++) {
		uint32_t kept = 0;
		begin(100 + round, round % 2 == 0 ? 1 : 65500);
		for (uint32_t i = 0; i < 6000; i++)
			step();
		finish();
		for (uint32_t i = 1; i < w.next; i++) {
			kept += w.kept[i];
			if (w.kept[i])
				assert_true(w.arrived[i] > 0);
			if (w.qos[i] == 2)
				assert_true(w.arrived[i] <= 1);
		}
		assert_true(kept > 100);
		end();
	}
}

/* Goal: a queue has a written length, and over all sessions written bytes;
 * both come back when messages go. */
static void
limits_hold(void **state)
{
	(void)state;
	begin(200, 1);
	disconnect();
	w.m.o.queued_max = 5;
	while (w.s->dropped == 0)
		publish();
	assert_int_equal(w.s->out_count, 5);
	w.m.o.queued_max = 1000;
	w.m.o.queued_bytes_max = w.m.queued_bytes;
	w.s->dropped = 0;
	while (w.s->dropped == 0)
		publish();
	assert_int_equal(w.s->out_count, 5);
	disk_settle();
	finish();
	assert_int_equal(w.m.queued_bytes, 0);
	end();
}

/* Goal: a message that has expired is not sent, one that was sent is carried
 * through. */
static void
expired_ones_stay(void **state)
{
	struct subscription sub = { .qos = 1 };
	struct subscription *subs[1] = { &sub };
	struct delivery d = { .subs = subs, .count = 1 };
	struct out *o;

	(void)state;
	begin(300, 1);
	disconnect();
	d.message = message_of("t", "1", 1);
	w.qos[1] = 1;
	d.message->expires_us = clock_us + 1000;
	o = tn_mqtt_session_give(w.s, &d);
	tn_mqtt_message_unref(d.message);
	assert_non_null(o);
	tn_mqtt_session_let_go(o);
	clock_us += 2000;
	reconnect();
	assert_int_equal(w.wire_count, 0);
	assert_null(w.s->first);
	d.message = message_of("t", "1", 1);
	d.message->expires_us = clock_us + 1000;
	o = tn_mqtt_session_give(w.s, &d);
	tn_mqtt_message_unref(d.message);
	tn_mqtt_session_let_go(o);
	assert_int_equal(w.wire_count, 1);
	disconnect();
	clock_us += 2000;
	reconnect();
	assert_int_equal(w.wire_count, 1);
	assert_true(w.wire[0].dup);
	finish();
	end();
}

/* Goal: messages that are never answered stop nobody but themselves: over many
 * laps of the identifiers none is dropped, and none has an identifier in use
 * (the client checks), also after a restart. */
static void
some_never_answered(void **state)
{
	struct subscription sub = { .qos = 1 };
	struct subscription *subs[1] = { &sub };
	struct delivery d = { .subs = subs, .count = 1 };

	(void)state;
	begin(500, 65000);
	w.conn.receive_max = 1000;
	for (uint32_t i = 0; i < 4 * 65536; i++) {
		struct out *o;

		d.message = message_of("t", "1", 1);
		o = tn_mqtt_session_give(w.s, &d);
		tn_mqtt_message_unref(d.message);
		assert_non_null(o);
		tn_mqtt_session_let_go(o);
		assert_int_equal(w.wire_count, 1);
		w.wire_count = 0;
		if (rnd(2000) == 0) {
			disk_settle();
			continue;
		}
		w.open[w.wire[0].id] = false;
		w.open_count--;
		assert_true(tn_mqtt_session_puback(w.s, w.wire[0].id));
		if (i != 100000)
			continue;
		disk_settle();
		crash();
		w.conn.receive_max = 1000;
		reconnect();
		w.conn.receive_max = 1000;
		tn_mqtt_session_kick(w.s);
		w.wire_count = 0;
	}
	assert_int_equal(w.s->dropped, 0);
	assert_true(w.s->out_count > 50);
	assert_non_null(w.s->used);
	while (w.s->first != NULL)
		assert_true(tn_mqtt_session_puback(w.s, w.s->first->packet));
	assert_null(w.s->used);
	disk_settle();
	assert_int_equal(w.m.queued_bytes, 0);
	end();
}

/* Goal: a session that ends while its entries wait for the disk leaves no
 * entry, no message and no dangling callback. */
static void
ends_while_storing(void **state)
{
	(void)state;
	for (uint32_t stop = 0; stop < 60; stop++) {
		begin(400 + stop, 1);
		for (uint32_t i = 0; i < stop; i++) {
			publish();
			if (rnd(3) == 0)
				disk_commit();
			if (w.wire_count > 0)
				read_one();
			if (w.answer_count > 0)
				hear_one();
		}
		disconnect();
		tn_mqtt_session_end(w.s);
		assert_int_equal(w.m.queued_bytes, 0);
		disk_settle();
		assert_int_equal(mem.disk.count, 0);
		broker_free(&w.m);
	}
	disk_set((struct cells){ 0 });
}

/* Goal: a session that is kept no more leaves the store and goes on; one that
 * is kept from now on has all of its queue there. */
static void
kept_and_not(void **state)
{
	uint32_t entries = 0;

	(void)state;
	begin(500, 1);
	w.queued = SIZE_MAX / 2;         /* Nothing is sent. */
	for (uint32_t i = 0; i < 20; i++)
		publish();
	disk_settle();
	tn_mqtt_session_keep(w.s, 0);
	disk_settle();
	assert_int_equal(mem.disk.count, 0);
	tn_mqtt_session_keep(w.s, 60);
	disk_settle();
	for (uint32_t i = 0; i < mem.disk.count; i++)
		entries += mem.disk.list[i].key[0] == 'o';
	assert_int_equal(entries, w.s->out_count);
	crash();
	assert_int_equal(w.s->out_count, entries);
	finish();
	end();
}

/* A key was changed where it stood. */
static void
sort_disk(void)
{
	struct cells all = mem.disk;

	memset(&mem.disk, 0, sizeof mem.disk);
	for (uint32_t i = 0; i < all.count; i++)
		disk_apply(&all.list[i]);
	cells_clear(&all);
}

static uint32_t
cells_of(char kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < mem.disk.count; i++)
		n += mem.disk.list[i].key[0] == (uint8_t)kind;
	return n;
}

static struct cells
with_extra_cells(void)
{
	static const char *const keys[] = { "r0123456789abcdef", "w01234567",
	    "m01234567", "s01234567" };
	struct message *msg = message_of("kept", "x", 1);

	for (uint32_t i = 0; i < TN_COUNT(keys); i++) {
		tn_buf_clear(&w.m.scratch);
		tn_mqtt_message_save(msg, &w.m.scratch);
		__wrap_tn_mqtt_store_put(NULL, tn_slice_of(keys[i]),
		    (struct tn_slice){ w.m.scratch.p, w.m.scratch.n });
	}
	tn_mqtt_message_unref(msg);
	disk_settle();
	return disk_copy();
}

/* Goal: what the store holds of other sessions and messages that are not
 * there, or broken, is left out and cleaned, and harms nobody: a second start
 * finds nothing to clean. */
static void
damage_is_left_out(void **state)
{
	struct cells good;
	struct tn_diag d = { .message = "" };

	(void)state;
	begin(600, 1);
	disconnect();
	for (uint32_t i = 0; i < 10; i++)
		publish();
	disk_settle();
	good = with_extra_cells();
	for (uint32_t step = 0; step < 2000; step++) {
		struct cell *x;
		disk_settle();
		broker_free(&w.m);
		disk_set(good);
		good = disk_copy();
		x = &mem.disk.list[rnd(mem.disk.count)];
		if (rnd(5) == 0 && x->value_n > 0)
			x->value[rnd((uint32_t)x->value_n)] = 0;
		else if (rnd(3) == 0 && x->value_n > 0)
			x->value_n = rnd((uint32_t)x->value_n);
		else if (rnd(2) == 0 && x->value_n > 0)
			x->value[rnd((uint32_t)x->value_n)] ^= (uint8_t)(1 +
			    rnd(255));
		else
			x->key_n = 1 + rnd((uint32_t)x->key_n);
		sort_disk();
		broker_make(&w.m);
		assert_int_equal(tn_mqtt_keep_load(&w.m, &d), TN_OK);
		assert_true(w.m.session_count <= 1);
		disk_settle();
		assert_int_equal(cells_of('s'), w.m.session_count);
		assert_int_equal(cells_of('w'), 0);
		assert_true(cells_of('m') <= cells_of('o'));
		broker_free(&w.m);
		broker_make(&w.m);
		assert_int_equal(tn_mqtt_keep_load(&w.m, &d), TN_OK);
		assert_int_equal(mem.changes.count, 0);
	}
	disk_settle();
	broker_free(&w.m);
	cells_clear(&good);
	disk_set((struct cells){ 0 });
}

/* Goal: identifiers of QoS 2 from the client survive a restart with their
 * numbers, and only those; so does the highest that was released. */
static void
received_are_kept(void **state)
{
	uint64_t takes[200] = { 0 }, released = 0;
	bool there[200] = { false };

	(void)state;
	begin(700, 1);
	for (uint32_t i = 0; i < 2000; i++) {
		uint16_t id = (uint16_t)(1 + rnd(199));
		if (there[id]) {
			tn_mqtt_keep_received_less(w.s,
			    tn_mqtt_session_received(w.s, id));
			assert_true(tn_mqtt_session_release(w.s, id));
			assert_false(tn_mqtt_session_release(w.s, id));
			released = takes[id] > released ? takes[id] : released;
		} else {
			takes[id] = rnd(3) == 0 ? 0 : w.m.next_take++;
			tn_mqtt_session_receive(w.s, id, takes[id]);
			tn_mqtt_keep_received(w.s,
			    tn_mqtt_session_received(w.s, id));
		}
		there[id] = !there[id];
		if (rnd(200) == 0) {
			disk_settle();
			crash();
			reconnect();
		}
		assert_int_equal(w.s->released, released);
		for (uint16_t k = 1; k < 200; k++) {
			const struct received *x =
			    tn_mqtt_session_received(w.s, k);
			assert_int_equal(x != NULL, there[k]);
			assert_true(x == NULL || x->take == takes[k]);
			assert_true(x == NULL || w.m.next_take > x->take);
		}
	}
	disk_settle();
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_or_doubled),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(expired_ones_stay),
		cmocka_unit_test(some_never_answered),
		cmocka_unit_test(ends_while_storing),
		cmocka_unit_test(kept_and_not),
		cmocka_unit_test(damage_is_left_out),
		cmocka_unit_test(received_are_kept),
	};

	tn_say_setup(TN_ERROR, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
