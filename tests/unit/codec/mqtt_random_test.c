/* MQTT: random legal packets come back, and no prefix or changed byte of them
 * does harm. */
#include "codec_help.h"
#include "mqtt_help.h"

static struct tn_arena *arena;

static enum tn_status
decode_copy(struct tn_slice in, uint8_t version,
    struct tn_codec_mqtt_packet *p, uint8_t *reason, uint8_t **copy)
{
	return mqtt_decode_copy(in, version, arena, p, reason, copy);
}

/* ---- random packets -------------------------------------------------- */

static struct tn_slice
any_bytes(uint32_t max)
{
	uint32_t n = help_rnd(max + 1);
	uint8_t *p = tn_arena_alloc(arena, n + 1);

	for (uint32_t i = 0; i < n; i++)
		p[i] = (uint8_t)help_rnd(256);
	return (struct tn_slice){ p, n };
}

/* Letters of one to four bytes; at least ${min} of them. */
static struct tn_slice
any_text(uint32_t min, uint32_t max)
{
	static const char *const letters[] = { "a", "B", "/", "$", "~", " ",
	    "\xc3\xa4", "\xe2\x82\xac", "\xef\xbb\xbf", "\xf0\x9f\x98\x80" };
	uint32_t n = min + help_rnd(max - min + 1);
	struct tn_buf b = { 0 };
	uint8_t *p;

	for (uint32_t i = 0; i < n; i++)
		tn_buf_str(&b, letters[help_rnd(TN_COUNT(letters))]);
	p = tn_arena_alloc(arena, b.n + 1);
	if (b.n > 0)
		memcpy(p, b.p, b.n);
	n = (uint32_t)b.n;
	tn_buf_fini(&b);
	return (struct tn_slice){ p, n };
}

static struct tn_slice
any_filter(bool v5)
{
	static const char *const filters[] = { "#", "+", "a/#", "+/b/+", "/",
	    "$SYS/#", "a/b/c", "+/#", "$share/g/a/+", "$share/g//" };
	struct tn_slice name = any_text(1, 20), n, f;
	bool malformed;

	if (help_rnd(2) == 0)
		return tn_slice_of(filters[help_rnd(TN_COUNT(filters))]);
	(void)tn_codec_mqtt_share(name, &n, &f, &malformed);
	return v5 && malformed ? tn_slice_of("x") : name;
}

static void
any_users(struct tn_codec_mqtt_props *p)
{
	uint32_t n = 1 + help_rnd(40);
	struct tn_codec_mqtt_user *users = tn_arena_alloc(arena,
	    n * sizeof *users);

	for (uint32_t i = 0; i < n; i++)
		users[i] = (struct tn_codec_mqtt_user){ any_text(0, 9),
		    any_text(0, 9) };
	p->users = users;
	p->user_count = n;
}

static void
any_sub_ids(struct tn_codec_mqtt_props *p, bool several)
{
	uint32_t n = several ? 1 + help_rnd(20) : 1;
	uint32_t *ids = tn_arena_alloc(arena, n * sizeof *ids);

	for (uint32_t i = 0; i < n; i++)
		ids[i] = 1 + help_rnd(1u << help_rnd(28));
	p->sub_ids = ids;
	p->sub_id_count = n;
}

static void
any_props(struct tn_codec_mqtt_props *p, unsigned type)
{
	struct tn_slice *texts[] = { &p->content_type, &p->assigned_id,
	    &p->auth_method, &p->response_info, &p->server_reference,
	    &p->reason_string };
	static const unsigned text_ids[] = { 3, 18, 21, 26, 28, 31 };
	uint8_t *bits[] = { &p->payload_format, &p->request_problem,
	    &p->request_response, &p->maximum_qos, &p->retain_available,
	    &p->wildcard_available, &p->sub_id_available,
	    &p->shared_available };
	static const unsigned bit_ids[] = { 1, 23, 25, 36, 37, 40, 41, 42 };
	uint32_t *fours[] = { &p->message_expiry_s, &p->session_expiry_s,
	    &p->will_delay_s, &p->packet_max };
	static const unsigned four_ids[] = { 2, 17, 24, 39 };
	uint16_t *twos[] = { &p->server_keep_alive_s, &p->receive_max,
	    &p->topic_alias_max, &p->topic_alias };
	static const unsigned two_ids[] = { 19, 33, 34, 35 };
	uint32_t often = help_rnd(4);

	memset(p, 0, sizeof *p);
	for (unsigned id = 1; id <= 42; id++)
		if (mqtt_carries(type, id) && help_rnd(4) < often)
			p->present |= (uint64_t)1 << id;
	if ((p->present >> 22 & 1) != 0)
		p->present |= 1 << 21;
	for (size_t i = 0; i < 6; i++)
		if ((p->present >> text_ids[i] & 1) != 0)
			*texts[i] = any_text(0, 12);
	for (size_t i = 0; i < 8; i++)
		if ((p->present >> bit_ids[i] & 1) != 0)
			*bits[i] = (uint8_t)help_rnd(2);
	for (size_t i = 0; i < 4; i++)
		if ((p->present >> four_ids[i] & 1) != 0)
			*fours[i] = 1 + help_rnd(1u << help_rnd(32));
	for (size_t i = 0; i < 4; i++)
		if ((p->present >> two_ids[i] & 1) != 0)
			*twos[i] = (uint16_t)(1 + help_rnd(65535));
	if ((p->present >> 8 & 1) != 0)
		p->response_topic = any_text(1, 12);
	if ((p->present >> 9 & 1) != 0)
		p->correlation = any_bytes(12);
	if ((p->present >> 22 & 1) != 0)
		p->auth_data = any_bytes(12);
	if ((p->present >> 11 & 1) != 0)
		any_sub_ids(p, type == TN_MQTT_PUBLISH);
	if ((p->present >> 38 & 1) != 0)
		any_users(p);
}

static uint8_t
any_reason(unsigned type, uint8_t version)
{
	static const struct {
		unsigned type, version;
		uint8_t codes[8];
	} table[] = {
		{ 2, 4, { 0, 0, 0, 1, 2, 3, 4, 5 } },
		{ 2, 5, { 0, 0, 0, 0x80, 0x8c, 0x9f, 0x90, 0x9d } },
		{ 4, 5, { 0, 0, 0x10, 0x80, 0x83, 0x90, 0x91, 0x99 } },
		{ 5, 5, { 0, 0, 0x10, 0x87, 0x83, 0x90, 0x97, 0x99 } },
		{ 6, 5, { 0, 0x92, 0, 0x92, 0, 0x92, 0, 0x92 } },
		{ 7, 5, { 0, 0x92, 0, 0x92, 0, 0x92, 0, 0x92 } },
		{ 9, 4, { 0, 1, 2, 0x80, 0, 1, 2, 0x80 } },
		{ 9, 5, { 0, 1, 2, 0x80, 0x8f, 0x97, 0x9e, 0xa2 } },
		{ 11, 5, { 0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91, 0 } },
		{ 14, 5, { 0, 0, 4, 0x81, 0x8e, 0x93, 0x98, 0xa2 } },
		{ 15, 5, { 0, 0x18, 0x19, 0, 0x18, 0x19, 0, 0x18 } },
	};

	for (size_t i = 0; i < TN_COUNT(table); i++)
		if (table[i].type == type && table[i].version == version)
			return table[i].codes[help_rnd(8)];
	return 0;
}

static void
any_connect(struct tn_codec_mqtt_packet *p)
{
	p->connect.clean_start = help_rnd(2);
	p->connect.bridge = p->version == TN_MQTT_V311 && help_rnd(8) == 0;
	p->connect.keep_alive_s = (uint16_t)help_rnd(65536);
	p->connect.client_id = any_text(0, 30);
	p->connect.has_user = help_rnd(2);
	p->connect.has_password = (p->connect.has_user || p->version == 5) &&
	    help_rnd(2);
	if (p->connect.has_user)
		p->connect.user = any_text(0, 10);
	if (p->connect.has_password)
		p->connect.password = any_bytes(10);
	p->connect.has_will = help_rnd(2);
	if (!p->connect.has_will)
		return;
	p->connect.will_qos = (uint8_t)help_rnd(3);
	p->connect.will_retain = help_rnd(2);
	p->connect.will_topic = any_text(1, 10);
	p->connect.will_payload = any_bytes(10);
	if (p->version == 5)
		any_props(&p->connect.will_props, 0);
}

static void
any_publish(struct tn_codec_mqtt_packet *p)
{
	p->qos = (uint8_t)help_rnd(3);
	p->retain = help_rnd(2);
	p->dup = p->qos > 0 && help_rnd(2);
	if (p->qos == 0)
		p->id = 0;
	if ((p->props.present >> TN_MQTT_P_TOPIC_ALIAS & 1) == 0 ||
	    help_rnd(2) == 0)
		p->topic = any_text(1, 40);
	p->payload = any_bytes(300);
}

static void
any_filters(struct tn_codec_mqtt_packet *p)
{
	uint32_t n = 1 + help_rnd(9);
	struct tn_codec_mqtt_filter *all = tn_arena_zalloc(arena,
	    n * sizeof *all);

	for (uint32_t i = 0; i < n; i++) {
		all[i].filter = any_filter(p->version == 5);
		if (p->type == TN_MQTT_UNSUBSCRIBE)
			continue;
		all[i].qos = (uint8_t)help_rnd(3);
		if (p->version != 5)
			continue;
		all[i].retain_handling = (uint8_t)help_rnd(3);
		all[i].retain_as_published = help_rnd(2);
		all[i].no_local = all[i].filter.p[0] != '$' && help_rnd(2);
	}
	p->filters = all;
	p->filter_count = n;
}

static void
any_packet(struct tn_codec_mqtt_packet *p)
{
	unsigned type = 1 + help_rnd(15);
	uint8_t *codes;

	memset(p, 0, sizeof *p);
	p->version = help_rnd(2) != 0 || type == TN_MQTT_AUTH ? 5 : 4;
	p->type = (enum tn_codec_mqtt_type)type;
	if ((type >= 3 && type <= 11))
		p->id = (uint16_t)(1 + help_rnd(65535));
	if (p->version == 5)
		any_props(&p->props, type);
	if (type == TN_MQTT_CONNECT)
		any_connect(p);
	else if (type == TN_MQTT_PUBLISH)
		any_publish(p);
	else if (type == TN_MQTT_SUBSCRIBE || type == TN_MQTT_UNSUBSCRIBE)
		any_filters(p);
	else if (type != TN_MQTT_SUBACK && type != TN_MQTT_UNSUBACK)
		p->reason = any_reason(type, p->version);
	else if (type == TN_MQTT_SUBACK || p->version == 5) {
		p->reasons.n = 1 + help_rnd(9);
		p->reasons.p = codes = tn_arena_alloc(arena, p->reasons.n);
		for (size_t i = 0; i < p->reasons.n; i++)
			codes[i] = any_reason(type, p->version);
	}
	if (type == TN_MQTT_CONNACK)
		p->session_present = p->reason == 0 && help_rnd(2);
	if (type == TN_MQTT_AUTH && p->reason + p->props.present != 0 &&
	    (p->props.present >> TN_MQTT_P_AUTH_METHOD & 1) == 0) {
		p->props.present |= 1 << TN_MQTT_P_AUTH_METHOD;
		p->props.auth_method = any_text(0, 5);
	}
}

/* Goal: random legal packets of every type and both versions come back the
 * same, and their bytes do. */
static void
test_round_trip(void **state)
{
	struct tn_codec_mqtt_packet p, q;
	struct tn_buf one = { 0 }, two = { 0 };
	uint8_t reason, *copy;
	size_t bytes;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		tn_arena_reset(arena);
		tn_buf_clear(&one);
		tn_buf_clear(&two);
		any_packet(&p);
		assert_int_equal(tn_codec_mqtt_encode(&one, &p), TN_OK);
		assert_int_equal(tn_codec_mqtt_frame(help_slice(&one),
		    one.n, &bytes, &reason), TN_OK);
		assert_int_equal(bytes, one.n);
		if (decode_copy(help_slice(&one), p.version, &q, &reason,
		    &copy) != TN_OK)
			fail_msg("turn %u: type %u version %u reason %02x",
			    i, p.type, p.version, reason);
		assert_true(mqtt_same(&p, &q));
		assert_int_equal(tn_codec_mqtt_encode(&two, &q), TN_OK);
		assert_true(tn_slice_eq(help_slice(&one), help_slice(&two)));
		free(copy);
	}
	tn_buf_fini(&one);
	tn_buf_fini(&two);
}

/* Goal: no prefix, no changed byte and no cut packet with a mended length
 * does harm; what decodes comes back. */
static void
test_mutations(void **state)
{
	struct tn_codec_mqtt_packet p, q;
	struct tn_buf one = { 0 }, again = { 0 };
	uint8_t reason, *copy, *other;
	uint32_t good = 0;

	(void)state;
	for (uint32_t i = 0; i < 120; i++) {
		tn_buf_clear(&one);
		any_packet(&p);
		assert_int_equal(tn_codec_mqtt_encode(&one, &p), TN_OK);
		for (size_t n = 0; n < one.n; n++) {
			struct tn_slice cut = { one.p, n };

			assert_int_equal(decode_copy(cut, p.version, &q,
			    &reason, &copy), TN_EINVAL);
			free(copy);
			if (one.p[1] >= 0x80 || n < 2)
				continue;
			one.p[1] = (uint8_t)(n - 2);
			(void)decode_copy(cut, p.version, &q, &reason, &copy);
			one.p[1] = (uint8_t)(one.n - 2);
			free(copy);
		}
		for (size_t k = 0; k < 8 * one.n; k++) {
			size_t at = help_rnd((uint32_t)one.n);
			uint8_t was = one.p[at];

			one.p[at] = (uint8_t)help_rnd(256);
			if (decode_copy(help_slice(&one), p.version, &q,
			    &reason, &copy) == TN_OK) {
				struct tn_codec_mqtt_packet r;

				good++;
				tn_buf_clear(&again);
				assert_int_equal(tn_codec_mqtt_encode(&again,
				    &q), TN_OK);
				assert_int_equal(decode_copy(
				    help_slice(&again), q.version, &r,
				    &reason, &other), TN_OK);
				assert_true(mqtt_same(&q, &r));
				free(other);
			}
			one.p[at] = was;
			free(copy);
		}
		tn_arena_reset(arena);
	}
	assert_true(good > 0);
	tn_buf_fini(&one);
	tn_buf_fini(&again);
}

static int
setup(void **state)
{
	(void)state;
	help_seed();
	arena = tn_arena_new(4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tn_arena_free(arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
