/* What the MQTT tests and the fuzzer share: are two packets the same, which
 * properties belong to a type, decoding at the end of an allocation. */
#ifndef TN_TEST_MQTT_HELP_H
#define TN_TEST_MQTT_HELP_H

#include "codec/codec.h"

#include <stdlib.h>
#include <string.h>

static inline bool
mqtt_same_props(const struct tn_codec_mqtt_props *a,
    const struct tn_codec_mqtt_props *b)
{
	bool same = a->present == b->present &&
	    a->payload_format == b->payload_format &&
	    a->request_problem == b->request_problem &&
	    a->request_response == b->request_response &&
	    a->maximum_qos == b->maximum_qos &&
	    a->retain_available == b->retain_available &&
	    a->wildcard_available == b->wildcard_available &&
	    a->sub_id_available == b->sub_id_available &&
	    a->shared_available == b->shared_available &&
	    a->server_keep_alive_s == b->server_keep_alive_s &&
	    a->receive_max == b->receive_max &&
	    a->topic_alias_max == b->topic_alias_max &&
	    a->topic_alias == b->topic_alias &&
	    a->message_expiry_s == b->message_expiry_s &&
	    a->session_expiry_s == b->session_expiry_s &&
	    a->will_delay_s == b->will_delay_s &&
	    a->packet_max == b->packet_max &&
	    tn_slice_eq(a->content_type, b->content_type) &&
	    tn_slice_eq(a->response_topic, b->response_topic) &&
	    tn_slice_eq(a->correlation, b->correlation) &&
	    tn_slice_eq(a->assigned_id, b->assigned_id) &&
	    tn_slice_eq(a->auth_method, b->auth_method) &&
	    tn_slice_eq(a->auth_data, b->auth_data) &&
	    tn_slice_eq(a->response_info, b->response_info) &&
	    tn_slice_eq(a->server_reference, b->server_reference) &&
	    tn_slice_eq(a->reason_string, b->reason_string) &&
	    a->sub_id_count == b->sub_id_count &&
	    a->user_count == b->user_count;

	for (uint32_t i = 0; same && i < a->sub_id_count; i++)
		same = a->sub_ids[i] == b->sub_ids[i];
	for (uint32_t i = 0; same && i < a->user_count; i++)
		same = tn_slice_eq(a->users[i].name, b->users[i].name) &&
		    tn_slice_eq(a->users[i].value, b->users[i].value);
	return same;
}

static inline bool
mqtt_same_connect(const struct tn_codec_mqtt_packet *a,
    const struct tn_codec_mqtt_packet *b)
{
	return a->connect.clean_start == b->connect.clean_start &&
	    a->connect.bridge == b->connect.bridge &&
	    a->connect.keep_alive_s == b->connect.keep_alive_s &&
	    a->connect.has_will == b->connect.has_will &&
	    a->connect.will_retain == b->connect.will_retain &&
	    a->connect.has_user == b->connect.has_user &&
	    a->connect.has_password == b->connect.has_password &&
	    a->connect.will_qos == b->connect.will_qos &&
	    tn_slice_eq(a->connect.client_id, b->connect.client_id) &&
	    tn_slice_eq(a->connect.will_topic, b->connect.will_topic) &&
	    tn_slice_eq(a->connect.will_payload, b->connect.will_payload) &&
	    tn_slice_eq(a->connect.user, b->connect.user) &&
	    tn_slice_eq(a->connect.password, b->connect.password) &&
	    mqtt_same_props(&a->connect.will_props, &b->connect.will_props);
}

static inline bool
mqtt_same(const struct tn_codec_mqtt_packet *a,
    const struct tn_codec_mqtt_packet *b)
{
	bool same = a->type == b->type && a->version == b->version &&
	    a->dup == b->dup && a->retain == b->retain &&
	    a->qos == b->qos && a->id == b->id && a->reason == b->reason &&
	    a->session_present == b->session_present &&
	    tn_slice_eq(a->topic, b->topic) &&
	    tn_slice_eq(a->payload, b->payload) &&
	    tn_slice_eq(a->reasons, b->reasons) &&
	    mqtt_same_props(&a->props, &b->props) &&
	    a->filter_count == b->filter_count;

	for (uint32_t i = 0; same && i < a->filter_count; i++) {
		const struct tn_codec_mqtt_filter *f = &a->filters[i];
		const struct tn_codec_mqtt_filter *g = &b->filters[i];

		same = tn_slice_eq(f->filter, g->filter) &&
		    f->qos == g->qos && f->no_local == g->no_local &&
		    f->retain_as_published == g->retain_as_published &&
		    f->retain_handling == g->retain_handling;
	}
	return same && (a->type != TN_MQTT_CONNECT ||
	    mqtt_same_connect(a, b));
}

/* Which properties a type (0: a will) may carry, by the standard's table 2-4;
 * written down apart from the codec's own table. */
static inline bool
mqtt_carries(unsigned type, unsigned id)
{
	static const struct {
		unsigned type;
		uint8_t ids[20];
	} table[] = {
		{ 0, { 1, 2, 3, 8, 9, 24, 38 } },
		{ 1, { 17, 21, 22, 23, 25, 33, 34, 38, 39 } },
		{ 2, { 17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38,
		    39, 40, 41, 42 } },
		{ 3, { 1, 2, 3, 8, 9, 11, 35, 38 } },
		{ 8, { 11, 38 } }, { 10, { 38 } },
		{ 14, { 17, 28, 31, 38 } }, { 15, { 21, 22, 31, 38 } },
	};

	for (size_t i = 0; i < TN_COUNT(table); i++)
		if (table[i].type == type)
			return id != 0 &&
			    memchr(table[i].ids, (int)id, 20) != NULL;
	return type != 12 && type != 13 && (id == 31 || id == 38);
}

/* Decode a copy that has nothing behind it; the caller frees it. */
static inline enum tn_status
mqtt_decode_copy(struct tn_slice in, uint8_t version, struct tn_arena *a,
    struct tn_codec_mqtt_packet *p, uint8_t *reason, uint8_t **copy)
{
	*copy = malloc(in.n == 0 ? 1 : in.n);
	if (in.n > 0)
		memcpy(*copy, in.p, in.n);
	memset(p, 0x55, sizeof *p);
	return tn_codec_mqtt_decode((struct tn_slice){ *copy, in.n }, version,
	    a, p, reason);
}

#endif
