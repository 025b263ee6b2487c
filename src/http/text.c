/* Readers of what clients write into headers and paths, and the JSON pieces
 * that answers are made of. Pure functions over borrowed bytes; every one
 * takes any bytes at all. */
#include "http/http_int.h"

#include <string.h>
#include <strings.h>

#include "record/record.h"

/* ---- small words ----------------------------------------------------- */

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

struct tn_slice
tn_http_trim(struct tn_slice s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
tn_http_is(struct tn_slice s, const char *word)
{
	return s.n == strlen(word) &&
	    strncasecmp((const char *)s.p, word, s.n) == 0;
}

/* The piece of *s up to ${end}, blanks removed; *s becomes what follows. */
static struct tn_slice
cut(struct tn_slice *s, char end)
{
	const uint8_t *at = s->n == 0 ? NULL : memchr(s->p, end, s->n);
	struct tn_slice piece = *s;

	if (at == NULL) {
		s->p += s->n;
		s->n = 0;
	} else {
		piece.n = (size_t)(at - s->p);
		s->p = at + 1;
		s->n -= piece.n + 1;
	}
	return tn_http_trim(piece);
}

/* ---- paths ----------------------------------------------------------- */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
tn_http_decode(char *s, size_t *n)
{
	size_t length = strlen(s), to = 0;

	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)s[i];
		if (c == '%') {
			if (i + 2 >= length || hex(s[i + 1]) < 0 ||
			    hex(s[i + 2]) < 0)
				return false;
			c = hex(s[i + 1]) * 16 + hex(s[i + 2]);
			i += 2;
		}
		/* Tabs and line ends may stand in a parameter. */
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
		    c == 0x7f)
			return false;
		s[to++] = (char)c;
	}
	s[to] = '\0';
	*n = to;
	return tn_utf8_valid(s, to);
}

/* A name, an address or [address], and a port. No user before it: nobody
 * sends one to a server, but to fool a reader. */
size_t
tn_http_absolute(const char *uri, size_t n, struct tn_slice *authority)
{
	static const char *const schemes[] = { "http://", "https://" };
	size_t from = 0, to;

	for (size_t i = 0; i < TN_COUNT(schemes); i++)
		if (strncasecmp(uri, schemes[i], strlen(schemes[i])) == 0)
			from = strlen(schemes[i]);
	*authority = (struct tn_slice){ NULL, 0 };
	if (from == 0)
		return 0;
	to = from + strspn(uri + from, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]");
	if (to == from || (to < n && uri[to] != '/' && uri[to] != '?'))
		return 0;
	*authority = (struct tn_slice){ (const uint8_t *)uri + from,
	    to - from };
	return to;
}

/* ---- where a request comes from -------------------------------------- */

static bool
is_port(struct tn_slice s)
{
	if (s.n == 0)
		return true;
	if (s.p[0] != ':' || s.n < 2 || s.n > 6)
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

bool
tn_http_host_is_local(struct tn_slice host)
{
	static const char *const names[] = { "localhost", "127.0.0.1",
	    "[::1]" };

	for (size_t i = 0; i < TN_COUNT(names); i++) {
		size_t n = strlen(names[i]);
		struct tn_slice rest;
		if (host.n < n)
			continue;
		rest = (struct tn_slice){ host.p + n, host.n - n };
		if (strncasecmp((const char *)host.p, names[i], n) == 0 &&
		    is_port(rest))
			return true;
	}
	return false;
}

bool
tn_http_origin_is(struct tn_slice origin, struct tn_slice host)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < TN_COUNT(schemes); i++) {
		size_t n = strlen(schemes[i]);
		if (host.n > 0 && origin.n == n + host.n &&
		    memcmp(origin.p, schemes[i], n) == 0 &&
		    strncasecmp((const char *)origin.p + n,
		    (const char *)host.p, host.n) == 0)
			return true;
	}
	return false;
}

struct tn_slice
tn_http_cookie(struct tn_slice header, const char *name)
{
	size_t n = strlen(name);

	while (header.n > 0) {
		struct tn_slice pair = cut(&header, ';');
		if (pair.n > n && memcmp(pair.p, name, n) == 0 &&
		    pair.p[n] == '=')
			return (struct tn_slice){ pair.p + n + 1,
			    pair.n - n - 1 };
	}
	return (struct tn_slice){ NULL, 0 };
}

/* ---- what a client wants --------------------------------------------- */

/* q=0.5 among the parameters, in thousandths; 1000 when absent. A weight
 * that is none counts as absent. */
static uint32_t
weight_of(struct tn_slice params)
{
	while (params.n > 0) {
		struct tn_slice p = cut(&params, ';');
		uint32_t w = 0, digit = 1000;
		if (p.n < 3 || (p.p[0] | 32) != 'q' || p.p[1] != '=')
			continue;
		for (size_t i = 2; i < p.n && i < 7; i++) {
			if (p.p[i] == '.' && i == 3)
				continue;
			if (p.p[i] < '0' || p.p[i] > '9')
				return 1000;
			w += (uint32_t)(p.p[i] - '0') * digit;
			digit /= 10;
		}
		return w > 1000 ? 1000 : w;
	}
	return 1000;
}

/* How well a media range fits: 0 not at all, 1 any, 2 its kind, 3 exactly. */
static int
range_fits(struct tn_slice range, const char *type)
{
	size_t kind = strcspn(type, "/") + 1;

	if (tn_http_is(range, type))
		return 3;
	if (range.n == kind + 1 && range.p[kind] == '*' &&
	    strncasecmp((const char *)range.p, type, kind) == 0)
		return 2;
	return tn_slice_is(range, "*/*") ? 1 : 0;
}

/* The weight of one type: that of the range that fits best. */
static uint32_t
wanted(struct tn_slice header, const char *type)
{
	int best = 0;
	uint32_t weight = 0;

	while (header.n > 0) {
		struct tn_slice range = cut(&header, ',');
		struct tn_slice name = cut(&range, ';');
		int fits = range_fits(name, type);
		if (fits > best) {
			best = fits;
			weight = weight_of(range);
		}
	}
	return weight;
}

bool
tn_http_accept(struct tn_slice header, enum tn_serving_format *f)
{
	/* In the order we prefer. */
	static const struct {
		const char *type;
		enum tn_serving_format format;
	} types[] = {
		{ "application/json", TN_FORMAT_JSON },
		{ "text/csv", TN_FORMAT_CSV },
		{ "application/x-ndjson", TN_FORMAT_NDJSON },
		{ "application/ndjson", TN_FORMAT_NDJSON },
		{ "application/jsonl", TN_FORMAT_NDJSON },
	};
	uint32_t best = 0;

	*f = TN_FORMAT_JSON;
	if (tn_http_trim(header).n == 0)
		return true;
	for (size_t i = 0; i < TN_COUNT(types); i++) {
		uint32_t w = wanted(header, types[i].type);
		if (w > best) {
			best = w;
			*f = types[i].format;
		}
	}
	return best > 0;
}

bool
tn_http_accepts_gzip(struct tn_slice header)
{
	bool any = false;

	while (header.n > 0) {
		struct tn_slice item = cut(&header, ',');
		struct tn_slice name = cut(&item, ';');
		if (tn_http_is(name, "gzip") || tn_http_is(name, "x-gzip"))
			return weight_of(item) > 0;
		if (tn_slice_is(name, "*"))
			any = weight_of(item) > 0;
	}
	return any;
}

/* Weak comparison, as If-None-Match asks (RFC 9110, 13.1.2). */
bool
tn_http_etag_matches(struct tn_slice header, const char *etag)
{
	while (header.n > 0) {
		struct tn_slice tag = cut(&header, ',');
		if (tn_slice_is(tag, "*"))
			return true;
		if (tag.n > 2 && tag.p[0] == 'W' && tag.p[1] == '/') {
			tag.p += 2;
			tag.n -= 2;
		}
		if (tn_slice_is(tag, etag))
			return true;
	}
	return false;
}

static bool
is_unicode(struct tn_slice charset)
{
	if (charset.n >= 2 && charset.p[0] == '"') {
		charset.p++;
		charset.n -= 2;
	}
	return tn_http_is(charset, "utf-8") || tn_http_is(charset, "utf8") ||
	    tn_http_is(charset, "us-ascii");
}

bool
tn_http_media(struct tn_slice header, char out[static 64])
{
	struct tn_slice name = cut(&header, ';');
	bool good = true;

	if (name.n > 63)
		name.n = 63;
	for (size_t i = 0; i < name.n; i++)
		out[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ?
		    name.p[i] | 32 : name.p[i]);
	out[name.n] = '\0';
	while (header.n > 0) {
		struct tn_slice p = cut(&header, ';');
		struct tn_slice key = cut(&p, '=');
		if (tn_http_is(key, "charset"))
			good = is_unicode(p);
	}
	return good;
}

/* ---- a body's first bytes -------------------------------------------- */

/* One object on one line is NDJSON as well as JSON, so only an object that
 * goes over several lines must be JSON. A text that begins with [ is JSON. */
static enum tn_codec_format
object_format(struct tn_slice s)
{
	uint32_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			break;
		else if (c == '\n')
			return TN_CODEC_JSON;
	}
	return TN_CODEC_NDJSON;
}

bool
tn_http_sniff(struct tn_slice s, enum tn_codec_format *f)
{
	static const char mark[] = "\xef\xbb\xbf";

	if (s.n >= 3 && memcmp(s.p, mark, 3) == 0) {
		s.p += 3;
		s.n -= 3;
	}
	while (s.n > 0 && (is_blank(*s.p) || *s.p == '\n' || *s.p == '\r')) {
		s.p++;
		s.n--;
	}
	*f = TN_CODEC_JSON;
	if (s.n == 0 || s.p[0] == '[')
		return true;
	if (s.p[0] != '{')
		return false;
	*f = object_format(s);
	return true;
}

/* ---- JSON pieces ----------------------------------------------------- */

void
tn_http_put_slice(struct tn_buf *out, struct tn_slice s)
{
	tn_buf_char(out, '"');
	tn_buf_json(out, s.p, s.n);
	tn_buf_char(out, '"');
}

void
tn_http_put_str(struct tn_buf *out, const char *s)
{
	if (s == NULL)
		tn_buf_str(out, "null");
	else
		tn_http_put_slice(out, tn_slice_of(s));
}

void
tn_http_put_time(struct tn_buf *out, int64_t us)
{
	if (us == 0)
		tn_buf_str(out, "null");
	else
		tn_record_print_json_time(out, us);
}
