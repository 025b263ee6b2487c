/* seen: who sends to which stream, for the stream's page: a place for each
 * client and stream, with what became of its messages and how fast they come.
 *
 * The table never grows: SETS places times WAYS, found by a hash of stream and
 * client; when the ways of a set are taken, the one not seen for longest goes.
 * So a message costs the same with ten clients and with a hundred thousand.
 * Identifiers longer than NAME_MAX are cut; they are shown, not compared. */
#include "mqtt/mqtt_int.h"

#define SETS 1024                /* A power of two. */
#define WAYS 4
#define NAME_MAX 128
#define WINDOW_US INT64_C(10000000)

struct place {
	uint64_t hash;               /* 0: free. */
	char *client;
	uint32_t stream;
	uint8_t version;
	bool websocket, tls;
	uint64_t accepted, quarantined, duplicates;
	int64_t first_us, last_us;
	int64_t window_us;           /* Begin of the window, */
	uint32_t window_n;           /* its messages, */
	double rate;                 /* and those a second of the last one. */
};
struct seen {
	struct place places[SETS * WAYS];
};

struct seen *
tn_mqtt_seen_new(void)
{
	return tn_zalloc(sizeof(struct seen));
}

void
tn_mqtt_seen_free(struct seen *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < SETS * WAYS; i++)
		tn_free(s->places[i].client);
	tn_free(s);
}

static struct place *
place_of(struct seen *s, uint64_t hash)
{
	struct place *set = &s->places[(hash >> 32 & (SETS - 1)) * WAYS];
	struct place *oldest = set;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (set[i].hash == hash || set[i].hash == 0)
			return &set[i];
		if (set[i].last_us < oldest->last_us)
			oldest = &set[i];
	}
	return oldest;
}

static void
take(struct place *p, uint64_t hash, const struct session *from,
    uint32_t stream, int64_t now_us)
{
	tn_free(p->client);
	*p = (struct place){ .hash = hash, .stream = stream,
	    .client = tn_strndup(from->client_id, from->client_id_bytes <
	    NAME_MAX ? from->client_id_bytes : NAME_MAX),
	    .first_us = now_us, .window_us = now_us };
}

void
tn_mqtt_saw(struct seen *s, const struct conn *c, const struct session *from,
    uint32_t stream, const struct tn_ingest_outcome *o)
{
	uint64_t hash = (from->hash + stream) *
	    UINT64_C(0x9e3779b97f4a7c15) | 1;
	int64_t now_us = o->now_us;
	struct place *p = place_of(s, hash);

	if (p->hash != hash)
		take(p, hash, from, stream, now_us);
	p->version = c->version;
	p->websocket = c->websocket;
	p->tls = c->tls;
	p->accepted += o->accepted;
	p->quarantined += o->quarantined;
	p->duplicates += o->duplicates;
	p->last_us = now_us;
	if (now_us - p->window_us >= WINDOW_US) {
		p->rate = (double)p->window_n * 1e6 /
		    (double)(now_us - p->window_us);
		p->window_us = now_us;
		p->window_n = 0;
	}
	p->window_n++;
}

void
tn_mqtt_saw_again(struct seen *s, const struct conn *c,
    const struct session *from, uint32_t stream)
{
	const struct tn_ingest_outcome o = { .duplicates = 1,
	    .now_us = tn_mqtt_now_us() };

	tn_mqtt_saw(s, c, from, stream, &o);
}

/* Of the last whole window; of the first one so far; none after a silence of
 * two windows. */
static double
rate_of(const struct place *p, int64_t now_us)
{
	int64_t since_us = now_us - p->window_us;

	if (now_us - p->last_us > 2 * WINDOW_US)
		return 0;
	if (p->window_us != p->first_us && since_us < WINDOW_US)
		return p->rate;
	if (since_us < 1000000)
		since_us = 1000000;
	return (double)p->window_n * 1e6 / (double)since_us;
}

void
tn_mqtt_senders(struct tn_mqtt *m, void (*each)(void *arg,
    const struct tn_mqtt_sender *s), void *arg)
{
	int64_t now_us = tn_mqtt_now_us();

	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		const struct place *p = &m->seen->places[i];
		struct tn_mqtt_sender out = { .client_id = p->client,
		    .stream = p->stream, .version = p->version,
		    .websocket = p->websocket, .tls = p->tls,
		    .accepted = p->accepted, .quarantined = p->quarantined,
		    .duplicates = p->duplicates, .first_us = p->first_us,
		    .last_us = p->last_us, .rate = rate_of(p, now_us) };
		if (p->hash != 0)
			each(arg, &out);
	}
}
