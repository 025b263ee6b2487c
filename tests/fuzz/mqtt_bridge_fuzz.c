/* Fuzzes the setting mqtt_bridge. What must hold: what parses is within its
 * limits, each bridge has a name of its own, and what pages show of it parses
 * to the same but for passwords, which are not in it; what does not parse says
 * why. */
#include "codec/codec.h"
#include "mqtt/mqtt.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
same(const char *a, const char *b)
{
	return (a == NULL && b == NULL) || (a != NULL && b != NULL &&
	    strcmp(a, b) == 0);
}

static void
check_one(const struct tn_mqtt_bridge *b)
{
	tn_assert(b->client[0] != '\0' && b->qos <= 2);
	tn_assert(b->version == 0 || b->version == TN_MQTT_V311 ||
	    b->version == TN_MQTT_V5);
	tn_assert(b->keep_alive_s >= 5 && b->topic_count > 0);
	tn_assert(b->ca_file == NULL || b->tls);
	tn_assert(b->user != NULL || (b->password == NULL &&
	    b->password_file == NULL));
	tn_assert(strncmp(b->name, b->client, strlen(b->client)) == 0);
	tn_assert(strstr(b->name, b->address) != NULL);
	for (uint32_t i = 0; i < b->topic_count; i++)
		tn_assert(tn_codec_mqtt_filter_ok(tn_slice_of(b->topics[i])));
}

static void
check_shown(const struct tn_mqtt_bridge *a, const struct tn_mqtt_bridge *b)
{
	tn_assert(same(a->name, b->name) && same(a->address, b->address));
	tn_assert(same(a->user, b->user) && a->tls == b->tls);
	tn_assert(same(b->password, a->password == NULL ? NULL : "***"));
	tn_assert(same(a->password_file, b->password_file));
	tn_assert(same(a->ca_file, b->ca_file) && a->qos == b->qos);
	tn_assert(a->version == b->version && a->keep_alive_s ==
	    b->keep_alive_s && a->topic_count == b->topic_count);
	for (uint32_t i = 0; i < a->topic_count; i++)
		tn_assert(same(a->topics[i], b->topics[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = tn_strndup((const char *)data, size);
	struct tn_mqtt_bridges *a = NULL, *b = NULL;
	struct tn_diag d = { .line = 0 };
	struct tn_buf shown = { 0 };

	if (tn_mqtt_bridges_parse(&a, text, &d) != TN_OK) {
		tn_assert(a == NULL && d.message[0] != '\0');
		tn_free(text);
		return 0;
	}
	tn_mqtt_bridges_shown(&shown, text);
	tn_assert(tn_mqtt_bridges_parse(&b, tn_buf_cstr(&shown), &d) ==
	    TN_OK);
	tn_assert(a->count <= 16 && a->count == b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		check_one(&a->items[i]);
		check_shown(&a->items[i], &b->items[i]);
		for (uint32_t k = 0; k < i; k++)
			tn_assert(!same(a->items[i].name, a->items[k].name));
	}
	tn_mqtt_bridges_free(a);
	tn_mqtt_bridges_free(b);
	tn_buf_fini(&shown);
	tn_free(text);
	return 0;
}
