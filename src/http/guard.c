/* The first look at a request's head, before anything is done with it. What
 * two programs in a row may understand differently is refused here, because
 * that is how requests are smuggled past a proxy:
 *
 *   more than one Host, Content-Length or other header that must be single;
 *   Content-Length beside Transfer-Encoding; a coding other than chunked;
 *   forbidden bytes in names and values; a NUL, a bare line feed or a folded
 *   line anywhere in the head; bad escapes, controls and NUL in the URL.
 *
 * libmicrohttpd 0.9.75 cuts lines at a NUL and takes bare line feeds without
 * telling. But it parses in place: name, value and line end keep their
 * positions, so each header must begin exactly where the one before ended.
 * Releases from 1.0 on refuse all this themselves when told to be strict
 * (server.c does) and may lay the head out otherwise, so that check runs only
 * on 0.9.7x. */
#include "http/http_int.h"

#include <string.h>

struct scan {
	struct request *r;
	const char *next;        /* Where the next header must begin. */
	bool layout;             /* Look at positions. */
	const char *bad;         /* What is wrong, or NULL. */
};

bool
tn_http_layout_known(void)
{
	return strncmp(MHD_get_version(), "0.9.7", 5) == 0;
}

static bool
is_token(const char *s, size_t n)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if ((c < '0' || c > '9') && (c < 'a' || c > 'z') &&
		    (c < 'A' || c > 'Z') && (c == '\0' ||
		    strchr(marks, c) == NULL))
			return false;
	}
	return n > 0;
}

static bool
is_value(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* The headers that we look at. Those that are not single are lists, which may
 * be spread over several headers: the first is enough for us. */
static const struct {
	const char *name;
	size_t at;
	bool single;
} kept[] = {
#define SLOT(m) offsetof(struct tn_http_head, m)
	{ "Host", SLOT(host), true },
	{ "Range", SLOT(range), true },
	{ "Origin", SLOT(origin), true },
	{ "Accept", SLOT(accept), false },
	{ "Cookie", SLOT(cookie), false },
	{ "Expect", SLOT(expect), false },
	{ "Content-Type", SLOT(type), true },
	{ "If-Match", SLOT(if_match), false },
	{ "If-Range", SLOT(if_range), true },
	{ "Authorization", SLOT(authorization), true },
	{ "Content-Range", SLOT(content_range), true },
	{ "If-None-Match", SLOT(none_match), false },
	{ "Content-Length", SLOT(length), true },
	{ "Sec-Fetch-Site", SLOT(fetch_site), true },
	{ "Accept-Encoding", SLOT(accept_encoding), false },
	{ "Idempotency-Key", SLOT(key), true },
	{ "Content-Encoding", SLOT(coding), true },
	{ "Transfer-Encoding", SLOT(transfer), true },
#undef SLOT
};

static void
keep(struct scan *x, struct tn_slice name, struct tn_slice value)
{
	for (size_t i = 0; i < TN_COUNT(kept); i++) {
		struct tn_slice *slot;
		if (!tn_http_is(name, kept[i].name))
			continue;
		slot = (struct tn_slice *)(void *)((char *)&x->r->head +
		    kept[i].at);
		if (slot->p != NULL && kept[i].single)
			x->bad = "a header that must stand once is repeated";
		else if (slot->p == NULL)
			*slot = value;
		return;
	}
}

static enum MHD_Result
each_header(void *arg, enum MHD_ValueKind kind, const char *name,
    size_t name_bytes, const char *value, size_t value_bytes)
{
	struct scan *x = arg;
	struct tn_slice v = { (const uint8_t *)value, value_bytes };

	(void)kind;
	if (value == NULL) {
		x->bad = "a header has no value";
		return MHD_NO;
	}
	if (!is_token(name, name_bytes))
		x->bad = "a header's name has a forbidden byte";
	else if (!is_value(value, value_bytes))
		x->bad = "a header's value has a control character";
	else if (x->layout && name != x->next)
		x->bad = "a header has a NUL, is folded, or its line does "
		    "not end in CR LF";
	x->next = value + value_bytes + 2;
	keep(x, (struct tn_slice){ (const uint8_t *)name, name_bytes },
	    tn_http_trim(v));
	return x->bad == NULL ? MHD_YES : MHD_NO;
}

/* Before the URL is taken apart: blanks and controls cannot stand in it. */
bool
tn_http_url_plain(const char *uri, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)uri[i];
		if (c <= 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

/* One blank stands on each side of the URL; a NUL in it would have moved its
 * end. */
static const char *
line_trouble(const struct request *r, const char *method,
    const char *version)
{
	if (r->bad_line)
		return "the URL has a blank or a control character";
	if (tn_http_layout_known() && (r->uri != method + strlen(method) + 1
	    || version != r->uri + r->uri_bytes + 1))
		return "the request line has a NUL or needless blanks";
	return NULL;
}

static const char *
head_trouble(struct request *r, const char *method, const char *version)
{
	struct scan x = { .r = r, .layout = tn_http_layout_known(),
	    .next = version + strlen(version) + 2 };
	const union MHD_ConnectionInfo *info;
	const char *bad = line_trouble(r, method, version);

	if (bad != NULL)
		return bad;
	(void)MHD_get_connection_values_n(r->c, MHD_HEADER_KIND, each_header,
	    &x);
	if (x.bad != NULL || !x.layout)
		return x.bad;
	info = MHD_get_connection_info(r->c,
	    MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	/* The method is the first byte of the head, the empty line its end. */
	if (info != NULL && x.next + 2 != method + info->header_size)
		return "a header has a NUL, is folded, or its line does not "
		    "end in CR LF";
	return NULL;
}

static const char *
framing_trouble(const struct request *r, const char *version)
{
	const struct tn_http_head *h = &r->head;
	uint64_t n;

	if (h->host.p == NULL && strcmp(version, "HTTP/1.0") != 0)
		return "there is no Host header";
	if (h->transfer.p != NULL && h->length.p != NULL)
		return "Content-Length and Transfer-Encoding are both given";
	if (h->transfer.p != NULL && !tn_http_is(h->transfer, "chunked"))
		return "the only Transfer-Encoding taken is chunked";
	if (h->transfer.p != NULL && strcmp(version, "HTTP/1.0") == 0)
		return "HTTP/1.0 knows no Transfer-Encoding";
	if (h->length.p != NULL && !tn_parse_u64(h->length, &n))
		return "Content-Length is not a number";
	return NULL;
}

static bool
refuse(struct request *r, uint32_t code, const char *word, const char *why)
{
	tn_http_fail(r, code, word, NULL, "%s", why);
	r->close = true;
	return false;
}

static enum MHD_Result
each_param(void *arg, enum MHD_ValueKind kind, const char *name,
    size_t name_bytes, const char *value, size_t value_bytes)
{
	struct request *r = arg;
	struct tn_serving_param *p;

	(void)kind;
	if (r->param_count >= TN_HTTP_PARAMS_MAX) {
		r->bad_url = true;
		return MHD_NO;
	}
	p = &r->params[r->param_count++];
	p->name = (struct tn_slice){ (const uint8_t *)name, name_bytes };
	p->value = (struct tn_slice){ (const uint8_t *)(value != NULL ?
	    value : ""), value != NULL ? value_bytes : 0 };
	return MHD_YES;
}

/* GET http://HOST/path, as for a proxy (RFC 9112, 3.2.2): the host that it
 * names is the one asked, whatever the Host header says. All that looks at a
 * host from here on (access, origins, locations of tables) gets this one. */
static void
take_absolute(struct request *r)
{
	const uint8_t *end = r->authority.p + r->authority.n;
	size_t head = (size_t)(end - (const uint8_t *)r->uri);

	/* libmicrohttpd decodes the path where it stands. */
	if ((const uint8_t *)r->uri != r->path.p || head > r->path.n) {
		r->bad_url = true;
		return;
	}
	r->head.host = r->authority;
	r->path.p += head;
	r->path.n -= head;
	if (r->path.n == 0)
		r->path = tn_slice_of("/");
}

bool
tn_http_guard(struct request *r, const char *method, const char *version)
{
	const char *bad;

	if (r->uri_bytes > TN_HTTP_URL_MAX)
		return refuse(r, 414, "url_too_long",
		    "the URL is longer than 8192 bytes");
	bad = head_trouble(r, method, version);
	if (bad == NULL)
		bad = framing_trouble(r, version);
	if (bad != NULL)
		return refuse(r, 400, "bad_request", bad);
	(void)MHD_get_connection_values_n(r->c, MHD_GET_ARGUMENT_KIND,
	    each_param, r);
	if (!r->bad_url && r->authority.n > 0)
		take_absolute(r);
	if (r->bad_url || r->path.n == 0 ||
	    (r->path.p[0] != '/' && r->method != TN_HTTP_OPTIONS))
		return refuse(r, 400, "bad_url", "the URL has a bad escape, "
		    "a control character, bytes that are not UTF-8, more "
		    "than 128 parameters, or begins neither with / nor with "
		    "http://HOST");
	r->uri = NULL;
	return true;
}
