/* bridge_spec: the setting mqtt_bridge as text. Bridges are separated by ';',
 * the words of one by spaces:
 *
 *   mqtt[s]://[user[:password]@]host[:port]  key=value ...
 *
 *   client=NAME          identifier at the other broker; must stay the same
 *   topics=F,F           topic filters, separated by commas
 *   qos=0|1|2            asked for (1)
 *   version=5|3.1.1      protocol (5; 3.1.1 where the broker refuses 5)
 *   keep_alive=S         seconds (60)
 *   ca=FILE              PEM of who signs the broker's certificate (mqtts)
 *   password_file=FILE   its first line is the password
 *
 * What has a separator in it is written with %XX. All of it lies in one
 * arena. */
#include "mqtt/mqtt_int.h"

#include <stdio.h>

#define BRIDGES_MAX 16
#define TOPICS_MAX 64
#define CLIENT_MAX 256
#define KEEP_ALIVE_S 60

struct parser {
	struct tn_arena *a;
	struct tn_mqtt_bridge *at;
	struct tn_diag *d;
};

static enum tn_status
fail(struct parser *x, const char *what, struct tn_slice word)
{
	tn_diag_hint(x->d, "write it like 'mqtt://user:password@host:1883 "
	    "client=tarn-1 topics=zigbee2mqtt/#,tele/# qos=1'");
	return tn_diag_set(x->d, TN_EINVAL, "bad_setting",
	    "mqtt_bridge: %s%s%.*s%s", what, word.n > 0 ? ": \"" : "",
	    word.n < 80 ? (int)word.n : 80, word.n > 0 ?
	    (const char *)word.p : "", word.n > 0 ? "\"" : "");
}

static const struct tn_slice nothing;

/* ---- pieces ---------------------------------------------------------- */

/* Up to ${c}, which is taken too; all of it when there is none. */
static struct tn_slice
cut(struct tn_slice *rest, char c)
{
	const uint8_t *at = rest->n == 0 ? NULL : memchr(rest->p, c, rest->n);
	struct tn_slice first = *rest;

	if (at == NULL) {
		*rest = (struct tn_slice){ rest->p + rest->n, 0 };
		return first;
	}
	first.n = (size_t)(at - rest->p);
	rest->p = at + 1;
	rest->n -= first.n + 1;
	return first;
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct tn_slice
next_word(struct tn_slice *rest)
{
	struct tn_slice w;

	while (rest->n > 0 && is_space(*rest->p)) {
		rest->p++;
		rest->n--;
	}
	w = (struct tn_slice){ rest->p, 0 };
	while (rest->n > 0 && !is_space(*rest->p)) {
		rest->p++;
		rest->n--;
		w.n++;
	}
	return w;
}

static int
hex(uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == 0 ? NULL : strchr(digits, c >= 'A' && c <= 'F' ?
	    c + 32 : c);

	return at == NULL ? -1 : (int)(at - digits);
}

/* %XX to bytes; NULL: malformed, or not a text. */
static char *
decode(struct parser *x, struct tn_slice s)
{
	char *out = tn_arena_alloc(x->a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int high, low;
		if (s.p[i] != '%') {
			out[n++] = (char)s.p[i];
			continue;
		}
		high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
		low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return NULL;
		out[n++] = (char)(high << 4 | low);
		i += 2;
	}
	out[n] = '\0';
	return tn_utf8_valid(out, n) ? out : NULL;
}

/* ---- the address ----------------------------------------------------- */

static enum tn_status
take_user(struct parser *x, struct tn_slice who)
{
	struct tn_slice user = cut(&who, ':');
	bool has_password = who.p != user.p + user.n;

	x->at->user = decode(x, user);
	if (x->at->user == NULL || user.n == 0)
		return fail(x, "a bad user name before @", nothing);
	if (!has_password)
		return TN_OK;
	x->at->password = decode(x, who);
	return x->at->password != NULL ? TN_OK :
	    fail(x, "a bad %XX in the password", nothing);
}

static enum tn_status
take_host(struct parser *x, struct tn_slice where)
{
	struct tn_slice host = where, port = nothing;
	const uint8_t *end = where.n == 0 ? NULL : where.p[0] == '[' ?
	    memchr(where.p, ']', where.n) : where.p - 1;
	const uint8_t *colon;
	uint64_t n = x->at->tls ? 8883 : 1883;

	if (end == NULL)
		return fail(x, "a host is missing", where);
	colon = memchr(end + 1, ':', (size_t)(where.p + where.n - end - 1));
	if (colon != NULL) {
		host.n = (size_t)(colon - where.p);
		port = (struct tn_slice){ colon + 1, where.n - host.n - 1 };
	}
	if (colon != NULL && (!tn_parse_u64(port, &n) || n == 0 ||
	    n > 65535))
		return fail(x, "a bad port of host", host);
	if (host.n == 0 || host.n > 250 || memchr(host.p, '/', host.n) !=
	    NULL || (host.p[0] == '[' && host.p + host.n != end + 1))
		return fail(x, "a bad host", host);
	x->at->address = tn_arena_printf(x->a, "%.*s:%u", (int)host.n,
	    (const char *)host.p, (unsigned)n);
	return TN_OK;
}

static bool
starts(struct tn_slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && memcmp(s.p, with, n) == 0;
}

static enum tn_status
take_address(struct parser *x, struct tn_slice word)
{
	const uint8_t *at;
	size_t skip = starts(word, "mqtts://") ? 8 : 7;
	enum tn_status st = TN_OK;

	/* Not quoted: a password may be in it. */
	if (!starts(word, "mqtt://") && !starts(word, "mqtts://"))
		return fail(x, "it must begin with mqtt:// or mqtts://",
		    nothing);
	x->at->tls = skip == 8;
	word.p += skip;
	word.n -= skip;
	at = word.n == 0 ? NULL : memrchr(word.p, '@', word.n);
	if (at != NULL) {
		size_t n = (size_t)(at - word.p);
		st = take_user(x, (struct tn_slice){ word.p, n });
		word.p = at + 1;
		word.n -= n + 1;
	}
	return st == TN_OK ? take_host(x, word) : st;
}

/* ---- key=value ------------------------------------------------------- */

static enum tn_status
set_client(struct parser *x, struct tn_slice v)
{
	x->at->client = decode(x, v);
	return x->at->client != NULL && v.n > 0 && v.n <= CLIENT_MAX ? TN_OK :
	    fail(x, "a bad client identifier", v);
}

static enum tn_status
set_topics(struct parser *x, struct tn_slice v)
{
	struct tn_mqtt_bridge *b = x->at;

	b->topics = tn_arena_alloc(x->a, TOPICS_MAX * sizeof *b->topics);
	b->topic_count = 0;
	while (v.n > 0) {
		struct tn_slice one = cut(&v, ',');
		char *filter = decode(x, one);
		if (filter == NULL ||
		    !tn_codec_mqtt_filter_ok(tn_slice_of(filter)))
			return fail(x, "not a topic filter", one);
		if (b->topic_count == TOPICS_MAX)
			return fail(x, "more than 64 topic filters", nothing);
		b->topics[b->topic_count++] = filter;
	}
	return TN_OK;
}

static enum tn_status
set_qos(struct parser *x, struct tn_slice v)
{
	if (v.n != 1 || v.p[0] < '0' || v.p[0] > '2')
		return fail(x, "qos is 0, 1 or 2", v);
	x->at->qos = (uint8_t)(v.p[0] - '0');
	return TN_OK;
}

static enum tn_status
set_version(struct parser *x, struct tn_slice v)
{
	if (tn_slice_is(v, "5") || tn_slice_is(v, "5.0"))
		x->at->version = TN_MQTT_V5;
	else if (tn_slice_is(v, "3.1.1"))
		x->at->version = TN_MQTT_V311;
	else
		return fail(x, "version is 5 or 3.1.1", v);
	return TN_OK;
}

static enum tn_status
set_keep_alive(struct parser *x, struct tn_slice v)
{
	uint64_t n;

	if (!tn_parse_u64(v, &n) || n < 5 || n > 65535)
		return fail(x, "keep_alive is 5 to 65535 seconds", v);
	x->at->keep_alive_s = (uint16_t)n;
	return TN_OK;
}

static enum tn_status
set_ca(struct parser *x, struct tn_slice v)
{
	x->at->ca_file = decode(x, v);
	return x->at->ca_file != NULL && v.n > 0 ? TN_OK :
	    fail(x, "ca needs a file", v);
}

static enum tn_status
set_password_file(struct parser *x, struct tn_slice v)
{
	x->at->password_file = decode(x, v);
	return x->at->password_file != NULL && v.n > 0 ? TN_OK :
	    fail(x, "password_file needs a file", v);
}

static const struct {
	const char *name;
	enum tn_status (*set)(struct parser *x, struct tn_slice v);
} keys[] = { { "client", set_client }, { "topics", set_topics },
    { "qos", set_qos }, { "version", set_version },
    { "keep_alive", set_keep_alive }, { "ca", set_ca },
    { "password_file", set_password_file } };

static enum tn_status
take_key(struct parser *x, struct tn_slice word)
{
	struct tn_slice value = word, name = cut(&value, '=');

	for (size_t i = 0; name.n < word.n && i < TN_COUNT(keys); i++)
		if (tn_slice_is(name, keys[i].name))
			return keys[i].set(x, value);
	return fail(x, "there is client=, topics=, qos=, version=, "
	    "keep_alive=, ca= and password_file=, but not", name);
}

/* ---- one, and all ---------------------------------------------------- */

static enum tn_status
look_whole(struct parser *x, const struct tn_mqtt_bridges *all)
{
	struct tn_mqtt_bridge *b = x->at;

	if (b->client == NULL)
		return fail(x, "client= is missing: the broker keeps messages "
		    "for that name", nothing);
	if (b->topic_count == 0)
		return fail(x, "topics= is missing", nothing);
	if (b->ca_file != NULL && !b->tls)
		return fail(x, "ca= goes with mqtts://", nothing);
	if (b->password_file != NULL && (b->user == NULL ||
	    b->password != NULL))
		return fail(x, "password_file= goes with a user and without "
		    "a password", nothing);
	b->name = tn_arena_printf(x->a, "%s@%s", b->client, b->address);
	for (uint32_t i = 0; i < all->count; i++)
		if (strcmp(all->items[i].name, b->name) == 0)
			return fail(x, "twice the same client at the same "
			    "broker", tn_slice_of(b->name));
	return TN_OK;
}

static enum tn_status
take_bridge(struct parser *x, struct tn_slice text,
    struct tn_mqtt_bridges *all)
{
	struct tn_slice word = next_word(&text);
	enum tn_status st;

	if (word.n == 0)
		return TN_OK;           /* Behind a last ';'. */
	if (all->count == BRIDGES_MAX)
		return fail(x, "more than 16 bridges", nothing);
	x->at = &all->items[all->count];
	*x->at = (struct tn_mqtt_bridge){ .qos = 1,
	    .keep_alive_s = KEEP_ALIVE_S };
	st = take_address(x, word);
	word = next_word(&text);
	while (st == TN_OK && word.n > 0) {
		st = take_key(x, word);
		word = next_word(&text);
	}
	if (st == TN_OK)
		st = look_whole(x, all);
	if (st == TN_OK)
		all->count++;
	return st;
}

enum tn_status
tn_mqtt_bridges_parse(struct tn_mqtt_bridges **out, const char *text,
    struct tn_diag *d)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_mqtt_bridges *all = tn_arena_zalloc(a, sizeof *all);
	struct parser x = { .a = a, .d = d };
	struct tn_slice rest = tn_slice_of(text);
	enum tn_status st = TN_OK;

	*out = NULL;
	all->arena = a;
	all->items = tn_arena_zalloc(a, BRIDGES_MAX * sizeof *all->items);
	while (st == TN_OK && rest.n > 0)
		st = take_bridge(&x, cut(&rest, ';'), all);
	if (st == TN_OK)
		*out = all;
	else
		tn_arena_free(a);
	return st;
}

void
tn_mqtt_bridges_free(struct tn_mqtt_bridges *all)
{
	if (all != NULL)
		tn_arena_free(all->arena);
}

/* Between the first ':' behind the scheme and the last '@' of the word that is
 * an address, the first of each bridge: as take_address has it. */
void
tn_mqtt_bridges_shown(struct tn_buf *out, const char *text)
{
	struct tn_slice rest = tn_slice_of(text);
	const uint8_t *from = rest.p;

	while (rest.n > 0) {
		struct tn_slice bridge = cut(&rest, ';');
		struct tn_slice w = next_word(&bridge);
		const uint8_t *user = w.n == 0 ? NULL : memmem(w.p, w.n,
		    "://", 3), *at, *colon;
		if (user == NULL)
			continue;
		user += 3;
		at = memrchr(user, '@', (size_t)(w.p + w.n - user));
		colon = at == NULL ? NULL : memchr(user, ':',
		    (size_t)(at - user));
		if (colon == NULL)
			continue;
		tn_buf_add(out, from, (size_t)(colon + 1 - from));
		tn_buf_str(out, "***");
		from = at;
	}
	tn_buf_str(out, (const char *)from);
}
