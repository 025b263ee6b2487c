/* wrap: tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync tn_mqtt_store_sync_patient tn_mqtt_store_each tn_mqtt_now_us tn_try_alloc */
/* Messages: copied, saved, loaded; damage is refused and never read beyond. */
#include "mqtt_help.h"

static uint32_t fail_in;         /* 0: never. */

void *__real_tn_try_alloc(size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *
__wrap_tn_try_alloc(size_t n)
{
	if (fail_in > 0 && --fail_in == 0)
		return NULL;
	return __real_tn_try_alloc(n);
}

static struct tn_codec_mqtt_user users[5];
static char texts[16][32];

static struct tn_slice
text(uint32_t i)
{
	(void)snprintf(texts[i], sizeof texts[i], "%.*s-%u", (int)rnd(20),
	    "abcdefghijklmnopqrst", rnd(1000));
	return tn_slice_of(texts[i]);
}

static void
random_packet(struct tn_codec_mqtt_packet *p)
{
	struct tn_codec_mqtt_props *x = &p->props;

	memset(p, 0, sizeof *p);
	p->type = TN_MQTT_PUBLISH;
	p->version = TN_MQTT_V5;
	p->qos = (uint8_t)rnd(3);
	p->id = p->qos > 0 ? 9 : 0;
	p->retain = rnd(2) == 0;
	p->topic = text(0);
	p->payload = text(1);
	p->payload.n = rnd(4) == 0 ? 0 : p->payload.n;
	x->present = (uint64_t)rnd(2) << TN_MQTT_P_PAYLOAD_FORMAT |
	    (uint64_t)rnd(2) << TN_MQTT_P_MESSAGE_EXPIRY |
	    (uint64_t)rnd(2) << TN_MQTT_P_CONTENT_TYPE |
	    (uint64_t)rnd(2) << TN_MQTT_P_RESPONSE_TOPIC |
	    (uint64_t)rnd(2) << TN_MQTT_P_CORRELATION |
	    (uint64_t)rnd(2) << TN_MQTT_P_USER;
	if ((x->present >> TN_MQTT_P_PAYLOAD_FORMAT & 1) != 0)
		x->payload_format = (uint8_t)rnd(2);
	if ((x->present >> TN_MQTT_P_MESSAGE_EXPIRY & 1) != 0)
		x->message_expiry_s = rnd(100000);
	if ((x->present >> TN_MQTT_P_CONTENT_TYPE & 1) != 0)
		x->content_type = text(2);
	if ((x->present >> TN_MQTT_P_RESPONSE_TOPIC & 1) != 0)
		x->response_topic = text(3);
	if ((x->present >> TN_MQTT_P_CORRELATION & 1) != 0)
		x->correlation = text(4);
	if ((x->present >> TN_MQTT_P_USER & 1) == 0)
		return;
	x->user_count = 1 + rnd(TN_COUNT(users));
	x->users = users;
	for (uint32_t i = 0; i < x->user_count; i++)
		users[i] = (struct tn_codec_mqtt_user){ text(5 + 2 * i),
		    text(6 + 2 * i) };
}

static void
same_props(const struct tn_codec_mqtt_props *a,
    const struct tn_codec_mqtt_props *b)
{
	uint64_t on = ~(UINT64_C(1) << TN_MQTT_P_MESSAGE_EXPIRY);

	assert_true(a->present == (b->present & on));
	assert_int_equal(a->payload_format, b->payload_format);
	assert_true(tn_slice_eq(a->content_type, b->content_type));
	assert_true(tn_slice_eq(a->response_topic, b->response_topic));
	assert_true(tn_slice_eq(a->correlation, b->correlation));
	assert_int_equal(a->user_count, b->user_count);
	for (uint32_t i = 0; i < a->user_count; i++) {
		assert_true(tn_slice_eq(a->users[i].name, b->users[i].name));
		assert_true(tn_slice_eq(a->users[i].value,
		    b->users[i].value));
	}
}

static void
same(const struct message *m, const struct tn_codec_mqtt_packet *p)
{
	assert_true(tn_slice_eq(m->topic, p->topic));
	assert_true(tn_slice_eq(m->payload, p->payload));
	assert_int_equal(m->qos, p->qos);
	assert_int_equal(m->retain, p->retain);
	same_props(&m->props, &p->props);
}

/* Goal: what is saved comes back the same, all properties, and every cut or
 * failing allocation gives no message instead of a wrong one. */
static void
saved_and_loaded(void **state)
{
	struct tn_codec_mqtt_packet p;
	struct tn_buf out = { 0 };

	(void)state;
	take_seed(3);
	for (uint32_t step = 0; step < 500; step++) {
		struct message *m, *back;
		random_packet(&p);
		m = tn_mqtt_message_new(&p, clock_us);
		assert_non_null(m);
		same(m, &p);
		assert_true(m->expires_us == ((p.props.present >>
		    TN_MQTT_P_MESSAGE_EXPIRY & 1) != 0 ? clock_us +
		    p.props.message_expiry_s * INT64_C(1000000) : 0));
		tn_buf_clear(&out);
		tn_mqtt_message_save(m, &out);
		back = tn_mqtt_message_load((struct tn_slice){ out.p,
		    out.n });
		assert_non_null(back);
		same(back, &p);
		assert_true(back->expires_us == m->expires_us);
		assert_int_equal(back->bytes, m->bytes);
		tn_mqtt_message_unref(back);
		tn_mqtt_message_unref(m);
		/* A cut may end the payload, which has no length. */
		for (size_t n = 0; n < out.n; n++)
			tn_mqtt_message_unref(tn_mqtt_message_load(
			    (struct tn_slice){ out.p, n }));
	}
	tn_buf_fini(&out);
}

/* Goal: any damaged byte gives no message or another whole one. */
static void
damage_is_survived(void **state)
{
	struct tn_codec_mqtt_packet p;
	struct tn_buf out = { 0 };
	struct message *m;

	(void)state;
	take_seed(4);
	for (uint32_t step = 0; step < 300; step++) {
		uint8_t *copy;
		random_packet(&p);
		m = tn_mqtt_message_new(&p, clock_us);
		tn_buf_clear(&out);
		tn_mqtt_message_save(m, &out);
		tn_mqtt_message_unref(m);
		copy = malloc(out.n);    /* Its end is watched. */
		memcpy(copy, out.p, out.n);
		copy[rnd((uint32_t)out.n)] ^= (uint8_t)(1 + rnd(255));
		tn_mqtt_message_unref(tn_mqtt_message_load((struct tn_slice){
		    copy, out.n }));
		free(copy);
	}
	tn_buf_fini(&out);
}

/* Goal: a message is of the size a client chose, so having no memory for it is
 * an answer, not an end. */
static void
no_memory(void **state)
{
	struct tn_codec_mqtt_packet p;
	struct tn_buf out = { 0 };
	struct message *m;
	uint32_t failed = 0;

	(void)state;
	take_seed(5);
	random_packet(&p);
	fail_in = 1;
	assert_null(tn_mqtt_message_new(&p, clock_us));
	fail_in = 0;
	m = tn_mqtt_message_new(&p, clock_us);
	tn_mqtt_message_save(m, &out);
	tn_mqtt_message_unref(m);
	for (uint32_t n = 1; ; n++) {
		fail_in = n;
		m = tn_mqtt_message_load((struct tn_slice){ out.p, out.n });
		if (fail_in > 0)
			break;
		assert_null(m);
		failed++;
	}
	fail_in = 0;
	assert_non_null(m);
	assert_true(failed > 0);
	tn_mqtt_message_unref(m);
	tn_buf_fini(&out);
}

/* Goal: a will's message is that of its CONNECT. */
static void
of_a_will(void **state)
{
	struct tn_codec_mqtt_packet p = { .type = TN_MQTT_CONNECT,
	    .version = TN_MQTT_V5 };
	struct message *m;

	(void)state;
	p.connect.has_will = true;
	p.connect.will_qos = 2;
	p.connect.will_retain = true;
	p.connect.will_topic = tn_slice_of("w/t");
	p.connect.will_payload = tn_slice_of("gone");
	p.connect.will_props.present = UINT64_C(1) << TN_MQTT_P_CONTENT_TYPE |
	    UINT64_C(1) << TN_MQTT_P_WILL_DELAY;
	p.connect.will_props.content_type = tn_slice_of("text/plain");
	p.connect.will_props.will_delay_s = 5;
	m = tn_mqtt_message_of_will(&p, clock_us);
	assert_true(tn_slice_is(m->topic, "w/t"));
	assert_true(tn_slice_is(m->payload, "gone"));
	assert_int_equal(m->qos, 2);
	assert_true(m->retain);
	/* The delay is the broker's, not the subscriber's. */
	assert_true(m->props.present == UINT64_C(1) <<
	    TN_MQTT_P_CONTENT_TYPE);
	tn_mqtt_message_unref(m);
	tn_mqtt_message_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(saved_and_loaded),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(of_a_will),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
