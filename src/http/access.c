/* Who may do what. Three situations:
 *
 *   open      a loopback listener and no password: everything is allowed, but
 *             Host must be this machine's own name and Origin, if sent, must
 *             be the same, so that no foreign page reaches us (also not by
 *             DNS rebinding)
 *   session   a password is set: a session cookie or a Bearer token
 *   setup     not loopback and no password yet: as session; setup is free
 *
 * A cookie travels by itself, so a request that changes something and relies
 * on one must also show that our own page sent it. Scopes: ingest only posts
 * to streams; read only reads; admin does all. */
#include "http/http_int.h"

#include <string.h>

static const char bearer[] = "Bearer ";

bool
tn_http_open(const struct tn_http *h)
{
	return h->loopback && !tn_governance_has_password(h->o.access);
}

struct tn_slice
tn_http_session(const struct request *r)
{
	return tn_http_cookie(r->head.cookie, "tarn_session");
}

static bool
has_bearer(const struct request *r, struct tn_slice *token)
{
	struct tn_slice a = r->head.authorization;

	if (a.n < sizeof bearer - 1 || !tn_http_is((struct tn_slice){ a.p,
	    sizeof bearer - 1 }, bearer))
		return false;
	*token = tn_http_trim((struct tn_slice){ a.p + sizeof bearer - 1,
	    a.n - (sizeof bearer - 1) });
	return true;
}

/* What the caller may; NONE when it showed nothing that holds. */
enum tn_governance_scope
tn_http_scope(struct request *r)
{
	struct tn_slice token;

	if (tn_http_open(r->h))
		return TN_SCOPE_ADMIN;
	if (has_bearer(r, &token))
		return tn_governance_bearer(r->h->o.access, token);
	token = tn_http_session(r);
	return token.n > 0 ? tn_governance_session(r->h->o.access, token) :
	    TN_SCOPE_NONE;
}

static bool
allows(enum tn_governance_scope scope, enum tn_http_need need)
{
	switch (need) {
	case TN_NEED_FREE:
		return true;
	case TN_NEED_INGEST:
		return scope == TN_SCOPE_INGEST || scope == TN_SCOPE_ADMIN;
	case TN_NEED_READ:
		return scope == TN_SCOPE_READ || scope == TN_SCOPE_ADMIN;
	case TN_NEED_ADMIN:
		break;
	}
	return scope == TN_SCOPE_ADMIN;
}

static bool
changes(const struct request *r)
{
	return r->method == TN_HTTP_POST || r->method == TN_HTTP_DELETE ||
	    r->method == TN_HTTP_PUT;
}

/* Did our own page send it? */
static bool
from_own_page(const struct request *r)
{
	const struct tn_http_head *h = &r->head;

	if (h->origin.p != NULL)
		return tn_http_origin_is(h->origin, h->host);
	return tn_slice_is(h->fetch_site, "same-origin") ||
	    tn_slice_is(h->fetch_site, "none");
}

static bool
origin_refused(struct request *r)
{
	tn_http_fail(r, 403, "origin_refused", "open the page at the address "
	    "that this server has; programs send no Origin header",
	    "this request comes from another site");
	return false;
}

static bool
local_only(struct request *r)
{
	if (!tn_http_host_is_local(r->head.host)) {
		tn_http_fail(r, 403, "host_refused", "use http://localhost or "
		    "http://127.0.0.1, or set a password to allow other names",
		    "without a password this server answers only under its "
		    "local names");
		return false;
	}
	if (r->head.origin.p != NULL && !from_own_page(r))
		return origin_refused(r);
	return true;
}

static bool
scope_refused(struct request *r)
{
	tn_http_fail(r, 403, "scope", "use a token of a wider scope",
	    "the scope of this token does not allow this");
	return false;
}

bool
tn_http_may_admin(struct request *r)
{
	return allows(tn_http_scope(r), TN_NEED_ADMIN) || scope_refused(r);
}

bool
tn_http_may(struct request *r)
{
	enum tn_http_need need = r->route != NULL ? r->route->need :
	    TN_NEED_FREE;
	struct tn_slice token;
	enum tn_governance_scope scope;

	if (tn_http_open(r->h))
		return local_only(r);
	if (r->head.origin.p != NULL && changes(r) && !has_bearer(r, &token)
	    && !from_own_page(r))
		return origin_refused(r);
	if (need == TN_NEED_FREE)
		return true;
	scope = tn_http_scope(r);
	if (scope == TN_SCOPE_NONE) {
		tn_http_fail(r, 401, "login_needed", "log in on the page, or "
		    "send Authorization: Bearer with a token of tarn token "
		    "create", "this needs a login or a token");
		tn_http_extra(r, "WWW-Authenticate", "Bearer realm=\"tarn\"");
		return false;
	}
	if (!allows(scope, need))
		return scope_refused(r);
	if (changes(r) && !has_bearer(r, &token) && !from_own_page(r))
		return origin_refused(r);
	return true;
}

bool
tn_http_may_connect(struct request *r)
{
	struct tn_slice token;
	bool has_token = has_bearer(r, &token);

	r->scope = tn_http_scope(r);
	if (tn_http_open(r->h))
		return true;            /* tn_http_may has looked. */
	if (has_token && r->scope == TN_SCOPE_NONE) {
		tn_http_fail(r, 401, "login_needed", "leave Authorization out "
		    "to show a token as the password of MQTT's CONNECT",
		    "this token is not valid");
		tn_http_extra(r, "WWW-Authenticate", "Bearer realm=\"tarn\"");
		return false;
	}
	if (has_token || from_own_page(r))
		return true;
	if (r->head.origin.p != NULL || r->scope != TN_SCOPE_NONE)
		return origin_refused(r);
	return true;
}
