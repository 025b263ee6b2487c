/* tls: TLS 1.2 and 1.3 by GnuTLS, between two pieces of memory.
 *
 *   struct tn_net_tls     the files' names, the key of the session tickets
 *     struct creds        what the files held when they were read last;
 *                         counted, because sessions keep what they began with
 *   struct tn_net_secret  one session
 *
 * The socket is not known here: stream.c reads and sends. So a turn's records
 * leave in one system call, and one read feeds many records.
 *
 * A client's certificate is checked after the handshake and not inside it,
 * because a resumed session has no inside where GnuTLS would ask. Peers that
 * want to renegotiate (TLS 1.2) are sent away.
 *
 * What can go wrong: files (a diag says which), the peer (FAILED, _why). */
#include "net/stream_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

enum {
	RECORD_BYTES = 16384,   /* At most, of TLS. */
	NAME_BYTES = 256,
};

/* Loop thread only, like all of it: a plain count. */
struct creds {
	gnutls_certificate_credentials_t server;
	gnutls_certificate_credentials_t client;
	uint32_t refs;
};

struct tn_net_tls {
	struct tn_net_tls_opts o;       /* Own copies of the names. */
	gnutls_priority_t priority;
	gnutls_datum_t ticket_key;
	struct creds *now;
};

struct tn_net_secret {
	gnutls_session_t session;
	struct creds *creds;
	struct tn_slice *in;            /* During a call. */
	struct tn_net_bytes *out;
	struct tn_net_bytes plain;
	char *server_name;              /* GnuTLS keeps the pointer. */
	char *certificate;
	char *why;
	bool asks;                      /* The client for a certificate. */
	bool required;
	bool said_bye;
};

/* ---- files ----------------------------------------------------------- */

static void
creds_drop(struct creds *c)
{
	if (c == NULL || --c->refs > 0)
		return;
	if (c->server != NULL)
		gnutls_certificate_free_credentials(c->server);
	if (c->client != NULL)
		gnutls_certificate_free_credentials(c->client);
	tn_free(c);
}

static enum tn_status
bad_file(struct tn_diag *d, const char *file, int rc)
{
	if (d != NULL)
		(void)snprintf(d->file, sizeof d->file, "%s", file);
	return tn_diag_set(d, rc == GNUTLS_E_MEMORY_ERROR ? TN_ENOMEM :
	    TN_EINVAL, "bad_certificate", "%s: %s", file,
	    gnutls_strerror(rc));
}

static enum tn_status
load_pair(gnutls_certificate_credentials_t c, const struct tn_net_tls_opts *o,
    struct tn_diag *d)
{
	int rc;

	if (o->cert_file == NULL)
		return TN_OK;
	rc = gnutls_certificate_set_x509_key_file(c, o->cert_file, o->key_file,
	    GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		return TN_OK;
	tn_diag_hint(d, "The certificate file holds the certificate and those "
	    "that lead to its authority; %s holds its key, without password.",
	    o->key_file);
	return bad_file(d, o->cert_file, rc);
}

static enum tn_status
load_trust(gnutls_certificate_credentials_t c, const char *file,
    struct tn_diag *d)
{
	int rc;

	if (file == NULL)
		rc = gnutls_certificate_set_x509_system_trust(c);
	else
		rc = gnutls_certificate_set_x509_trust_file(c, file,
		    GNUTLS_X509_FMT_PEM);
	if (rc == 0)
		rc = GNUTLS_E_NO_CERTIFICATE_FOUND;
	return rc > 0 ? TN_OK : bad_file(d, file == NULL ?
	    "the system's authorities" : file, rc);
}

static enum tn_status
load_client(struct creds *c, const struct tn_net_tls_opts *o,
    struct tn_diag *d)
{
	enum tn_status st;

	if (gnutls_certificate_allocate_credentials(&c->client) != 0)
		return tn_diag_set(d, TN_ENOMEM, "no_memory", "out of memory");
	st = load_pair(c->client, o, d);
	return st == TN_OK ? load_trust(c->client, o->ca_file, d) : st;
}

static enum tn_status
load_server(struct creds *c, const struct tn_net_tls_opts *o,
    struct tn_diag *d)
{
	enum tn_status st;

	if (gnutls_certificate_allocate_credentials(&c->server) != 0)
		return tn_diag_set(d, TN_ENOMEM, "no_memory", "out of memory");
	st = load_pair(c->server, o, d);
	if (st == TN_OK && o->client_ca_file != NULL)
		st = load_trust(c->server, o->client_ca_file, d);
	return st;
}

enum tn_status
tn_net_tls_reload(struct tn_net_tls *t, struct tn_diag *d)
{
	struct creds *c = tn_zalloc(sizeof *c);
	enum tn_status st = TN_OK;

	c->refs = 1;
	if (t->o.cert_file != NULL)
		st = load_server(c, &t->o, d);
	/* With a certificate and no ca_file it is a server's; should somebody
	 * connect with it, the client's part is loaded then. */
	if (st == TN_OK && (t->o.cert_file == NULL || t->o.ca_file != NULL))
		st = load_client(c, &t->o, d);
	if (st != TN_OK) {
		creds_drop(c);
		return st;
	}
	creds_drop(t->now);
	t->now = c;
	return TN_OK;
}

static const char *
copy(const char *s)
{
	return s != NULL ? tn_strdup(s) : NULL;
}

enum tn_status
tn_net_tls_new(struct tn_net_tls **out, const struct tn_net_tls_opts *o,
    struct tn_diag *d)
{
	struct tn_net_tls *t;
	enum tn_status st = TN_ENOMEM;

	*out = NULL;
	if ((o->cert_file == NULL) != (o->key_file == NULL) ||
	    (o->client_ca_file != NULL && o->cert_file == NULL) ||
	    (o->client_required && o->client_ca_file == NULL))
		return tn_diag_set(d, TN_EINVAL, "bad_certificate",
		    "a certificate needs its key and the other way round; "
		    "asking clients for one needs both and an authority");
	t = tn_zalloc(sizeof *t);
	t->o = *o;
	t->o.cert_file = copy(o->cert_file);
	t->o.key_file = copy(o->key_file);
	t->o.ca_file = copy(o->ca_file);
	t->o.client_ca_file = copy(o->client_ca_file);
	if (gnutls_priority_init(&t->priority,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL) == 0 &&
	    gnutls_session_ticket_key_generate(&t->ticket_key) == 0)
		st = tn_net_tls_reload(t, d);
	else
		(void)tn_diag_set(d, st, "no_memory", "out of memory");
	if (st != TN_OK) {
		tn_net_tls_free(t);
		return st;
	}
	*out = t;
	return TN_OK;
}

void
tn_net_tls_free(struct tn_net_tls *t)
{
	if (t == NULL)
		return;
	creds_drop(t->now);
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	if (t->ticket_key.data != NULL) {
		gnutls_memset(t->ticket_key.data, 0, t->ticket_key.size);
		gnutls_free(t->ticket_key.data);
	}
	tn_free((char *)t->o.cert_file);
	tn_free((char *)t->o.key_file);
	tn_free((char *)t->o.ca_file);
	tn_free((char *)t->o.client_ca_file);
	tn_free(t);
}

/* ---- memory in place of a socket ------------------------------------- */

static ssize_t
push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int count)
{
	struct tn_net_secret *x = ptr;
	size_t sum = 0;

	for (int i = 0; i < count; i++) {
		struct tn_slice s = { iov[i].iov_base, iov[i].iov_len };

		if (!tn_net_bytes_add(x->out, s)) {
			gnutls_transport_set_errno(x->session, ENOMEM);
			return -1;
		}
		sum += s.n;
	}
	return (ssize_t)sum;
}

static ssize_t
pull(gnutls_transport_ptr_t ptr, void *to, size_t n)
{
	struct tn_net_secret *x = ptr;

	if (x->in == NULL || x->in->n == 0) {
		gnutls_transport_set_errno(x->session, EAGAIN);
		return -1;
	}
	n = n < x->in->n ? n : x->in->n;
	memcpy(to, x->in->p, n);
	x->in->p += n;
	x->in->n -= n;
	return (ssize_t)n;
}

static int
pull_ready(gnutls_transport_ptr_t ptr, unsigned ms)
{
	const struct tn_net_secret *x = ptr;

	(void)ms;
	return x->in != NULL && x->in->n > 0;
}

/* ---- sessions -------------------------------------------------------- */

static bool
is_number(const char *host)
{
	struct in6_addr ip;

	return inet_pton(AF_INET, host, &ip) == 1 ||
	    inet_pton(AF_INET6, host, &ip) == 1;
}

static int
begin_client(struct tn_net_secret *x, const struct tn_net_tls *t,
    const char *name)
{
	struct tn_diag d = { .line = 0 };
	int rc;

	if (x->creds->client == NULL &&
	    load_client(x->creds, &t->o, &d) != TN_OK) {
		tn_say(TN_ERROR, "net", "tls: %s", d.message);
		return GNUTLS_E_CERTIFICATE_ERROR;
	}
	rc = gnutls_credentials_set(x->session, GNUTLS_CRD_CERTIFICATE,
	    x->creds->client);
	if (rc == 0 && !is_number(name))
		rc = gnutls_server_name_set(x->session, GNUTLS_NAME_DNS, name,
		    strlen(name));
	x->server_name = tn_strdup(name);
	gnutls_session_set_verify_cert(x->session, x->server_name, 0);
	return rc;
}

static int
begin_server(struct tn_net_secret *x, const struct tn_net_tls *t)
{
	int rc = gnutls_credentials_set(x->session, GNUTLS_CRD_CERTIFICATE,
	    x->creds->server);

	x->asks = t->o.client_ca_file != NULL;
	x->required = t->o.client_required;
	if (x->asks)
		gnutls_certificate_server_set_request(x->session,
		    x->required ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST);
	if (rc == 0)
		rc = gnutls_session_ticket_enable_server(x->session,
		    &t->ticket_key);
	return rc;
}

struct tn_net_secret *
tn_net_secret_new(const struct tn_net_tls *t, const char *server_name,
    struct tn_net_bytes *out)
{
	struct tn_net_secret *x = tn_zalloc(sizeof *x);
	/* A client shows the certificate it was given, whoever the server says
	 * that it trusts. */
	unsigned side = server_name == NULL ? GNUTLS_SERVER :
	    GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT;
	int rc;

	/* A listener was given a client's certificates: a bug. */
	tn_assert(server_name != NULL || t->now->server != NULL);
	x->creds = t->now;
	x->creds->refs++;
	x->out = out;
	rc = gnutls_init(&x->session, side | GNUTLS_NONBLOCK);
	if (rc == 0)
		rc = gnutls_priority_set(x->session, t->priority);
	if (rc == 0 && server_name != NULL)
		rc = begin_client(x, t, server_name);
	else if (rc == 0)
		rc = begin_server(x, t);
	if (rc != 0) {
		tn_say(TN_ERROR, "net", "tls: %s", gnutls_strerror(rc));
		tn_net_secret_free(x);
		return NULL;
	}
	gnutls_transport_set_ptr(x->session, x);
	gnutls_transport_set_vec_push_function(x->session, push);
	gnutls_transport_set_pull_function(x->session, pull);
	gnutls_transport_set_pull_timeout_function(x->session, pull_ready);
	return x;
}

void
tn_net_secret_free(struct tn_net_secret *x)
{
	if (x == NULL)
		return;
	if (x->session != NULL)
		gnutls_deinit(x->session);
	creds_drop(x->creds);
	tn_net_bytes_fini(&x->plain);
	tn_free(x->server_name);
	tn_free(x->certificate);
	tn_free(x->why);
	tn_free(x);
}

/* ---- failures -------------------------------------------------------- */

static void
say_why(struct tn_net_secret *x, const char *what, const char *more)
{
	struct tn_buf b = { .n = 0 };

	tn_free(x->why);
	tn_buf_str(&b, what);
	if (more != NULL && more[0] != '\0')
		tn_buf_printf(&b, ": %s", more);
	x->why = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
}

static void
say_verify(struct tn_net_secret *x, unsigned status)
{
	gnutls_datum_t text = { NULL, 0 };

	if (gnutls_certificate_verification_status_print(status,
	    GNUTLS_CRT_X509, &text, 0) != 0) {
		say_why(x, "the certificate is not trusted", NULL);
		return;
	}
	say_why(x, "the peer's certificate", (char *)text.data);
	gnutls_free(text.data);
}

static enum tn_net_step
failed(struct tn_net_secret *x, int rc)
{
	if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		say_verify(x, gnutls_session_get_verify_cert_status(
		    x->session));
	else if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		say_why(x, "the peer refused", gnutls_alert_get_name(
		    gnutls_alert_get(x->session)));
	else
		say_why(x, gnutls_strerror(rc), NULL);
	if (rc == GNUTLS_E_REHANDSHAKE)
		(void)gnutls_alert_send(x->session, GNUTLS_AL_FATAL,
		    GNUTLS_A_NO_RENEGOTIATION);
	else if (rc != GNUTLS_E_FATAL_ALERT_RECEIVED)
		(void)gnutls_alert_send_appropriate(x->session, rc);
	return TN_NET_FAILED;
}

const char *
tn_net_secret_why(const struct tn_net_secret *x)
{
	return x->why != NULL ? x->why : "it ended";
}

/* ---- who the client is ------------------------------------------------ */

/* The common name, or else the first alternative name. False: neither, or
 * one with a NUL in it, which looks like another one to whoever compares;
 * GnuTLS gives what it cannot take for text as "#" and hexadecimal. */
static bool
name_of(gnutls_x509_crt_t crt, char name[NAME_BYTES])
{
	size_t n = NAME_BYTES;
	int rc = gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME,
	    0, 0, name, &n);

	if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
		n = NAME_BYTES - 1;
		rc = gnutls_x509_crt_get_subject_alt_name(crt, 0, name, &n,
		    NULL);
		if (rc != GNUTLS_SAN_DNSNAME && rc != GNUTLS_SAN_RFC822NAME &&
		    rc != GNUTLS_SAN_URI)
			return false;
		name[n] = '\0';
	}
	return rc >= 0 && n > 0 && strlen(name) == n && name[0] != '#' &&
	    tn_utf8_valid(name, n);
}

static bool
set_name(struct tn_net_secret *x, const gnutls_datum_t *der)
{
	char name[NAME_BYTES] = "";
	gnutls_x509_crt_t crt;
	bool ok;

	if (gnutls_x509_crt_init(&crt) != 0)
		return false;
	ok = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) == 0 &&
	    name_of(crt, name);
	gnutls_x509_crt_deinit(crt);
	if (ok)
		x->certificate = tn_strdup(name);
	else
		say_why(x, "the client's certificate has no usable name", NULL);
	return ok;
}

static bool
know_client(struct tn_net_secret *x)
{
	gnutls_typed_vdata_st purpose = { GNUTLS_DT_KEY_PURPOSE_OID,
		(unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT, 0 };
	const gnutls_datum_t *list;
	unsigned count = 0, status = 0;
	int rc;

	if (!x->asks)
		return true;
	list = gnutls_certificate_get_peers(x->session, &count);
	if (list == NULL || count == 0) {
		if (x->required)
			say_why(x, "the client has no certificate", NULL);
		return !x->required;
	}
	rc = gnutls_certificate_verify_peers(x->session, &purpose, 1, &status);
	if (rc != 0)
		say_why(x, gnutls_strerror(rc), NULL);
	else if (status != 0)
		say_verify(x, status);
	return rc == 0 && status == 0 && set_name(x, &list[0]);
}

const char *
tn_net_secret_certificate(const struct tn_net_secret *x)
{
	return x->certificate;
}

/* ---- bytes ----------------------------------------------------------- */

/* GnuTLS says "again" also when it took a record that is none of ours (a
 * session ticket) and more lies there. */
static bool
goes_on(const struct tn_net_secret *x, int rc, size_t before)
{
	if (rc == GNUTLS_E_AGAIN)
		return x->in->n > 0 && x->in->n < before;
	return rc != GNUTLS_E_REHANDSHAKE && gnutls_error_is_fatal(rc) == 0;
}

enum tn_net_step
tn_net_secret_shake(struct tn_net_secret *x, struct tn_slice *in)
{
	size_t before;
	int rc;

	x->in = in;
	do {
		before = in->n;
		rc = gnutls_handshake(x->session);
	} while (rc < 0 && goes_on(x, rc, before));
	x->in = NULL;
	if (rc == GNUTLS_E_AGAIN)
		return TN_NET_MORE;
	if (rc != 0)
		return failed(x, rc);
	if (!know_client(x)) {
		(void)gnutls_alert_send(x->session, GNUTLS_AL_FATAL,
		    GNUTLS_A_BAD_CERTIFICATE);
		return TN_NET_FAILED;
	}
	return TN_NET_DONE;
}

enum tn_net_step
tn_net_secret_open(struct tn_net_secret *x, struct tn_slice *in,
    struct iovec buf, size_t *n)
{
	enum tn_net_step did = TN_NET_DONE;

	x->in = in;
	while (did == TN_NET_DONE && buf.iov_len - *n >= RECORD_BYTES) {
		size_t before = in->n;
		ssize_t rc = gnutls_record_recv(x->session,
		    (uint8_t *)buf.iov_base + *n, buf.iov_len - *n);

		if (rc > 0)
			*n += (size_t)rc;
		else if (rc == 0)
			did = TN_NET_ENDED;
		else if (!goes_on(x, (int)rc, before))
			did = rc == GNUTLS_E_AGAIN ? TN_NET_MORE :
			    failed(x, (int)rc);
	}
	x->in = NULL;
	return did;
}

struct tn_net_bytes *
tn_net_secret_plain(struct tn_net_secret *x)
{
	return &x->plain;
}

bool
tn_net_secret_seal(struct tn_net_secret *x, size_t ahead)
{
	uint8_t record[RECORD_BYTES];

	while (x->plain.n > 0 && x->out->n < ahead) {
		size_t n = 0;
		ssize_t rc;

		/* Chunks are small when they are many: fill the record. */
		while (x->plain.n > 0 && n < sizeof record) {
			struct tn_slice s = tn_net_bytes_front(&x->plain);
			size_t part = sizeof record - n;

			part = part < s.n ? part : s.n;
			memcpy(record + n, s.p, part);
			tn_net_bytes_drop(&x->plain, part);
			n += part;
		}
		rc = gnutls_record_send(x->session, record, n);
		if (rc != (ssize_t)n) {
			if (rc < 0)
				say_why(x, gnutls_strerror((int)rc), NULL);
			return false;
		}
	}
	return true;
}

void
tn_net_secret_bye(struct tn_net_secret *x)
{
	if (x->said_bye)
		return;
	x->said_bye = true;
	(void)gnutls_bye(x->session, GNUTLS_SHUT_WR);
}
