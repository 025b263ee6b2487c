/* wrap: tn_try_alloc */
/* Byte streams with TLS: handshakes good and bad, who the client is, reload,
 * ends, bytes; a client of GnuTLS's own in a child process for what our side
 * does not do itself: TLS 1.2, resuming, renegotiation. Certificates are made
 * here. */
#include "stream_help.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static uint32_t allocs, fail_alloc;
void *__real_tn_try_alloc(size_t n);
void *__wrap_tn_try_alloc(size_t n);
void *
__wrap_tn_try_alloc(size_t n)
{
	return ++allocs == fail_alloc ? NULL : __real_tn_try_alloc(n);
}

/* ---- certificates ---------------------------------------------------- */

static char dir[64];

struct maker {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
};

static const char *
file(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];

	(void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

static void
save(const char *name, const char *kind, const gnutls_datum_t *pem)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s.%s", dir, name, kind);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(pem->data, 1, pem->size, f), pem->size);
	assert_int_equal(fclose(f), 0);
}

struct wish {
	const char *name;       /* Of the files. */
	const char *cn;         /* NULL: none. */
	size_t cn_bytes;        /* 0: all. */
	const char *dns;        /* NULL: none. */
	const char *purpose;    /* NULL: an authority. */
	int days;               /* Of life left. */
};

/* Signed by ${by}, or by itself. */
static struct maker
make(const struct wish *w, const struct maker *by)
{
	static unsigned char serial = 1;
	struct maker m;
	gnutls_datum_t pem;
	time_t now = time(NULL);

	assert_int_equal(gnutls_x509_privkey_init(&m.key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(m.key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	assert_int_equal(gnutls_x509_crt_init(&m.crt), 0);
	(void)gnutls_x509_crt_set_version(m.crt, 3);
	serial++;
	(void)gnutls_x509_crt_set_serial(m.crt, &serial, 1);
	(void)gnutls_x509_crt_set_activation_time(m.crt, now - 864000);
	(void)gnutls_x509_crt_set_expiration_time(m.crt, now +
	    w->days * 86400);
	(void)gnutls_x509_crt_set_key(m.crt, m.key);
	if (w->cn != NULL)
		assert_int_equal(gnutls_x509_crt_set_dn_by_oid(m.crt,
		    GNUTLS_OID_X520_COMMON_NAME, 0, w->cn, (unsigned)
		    (w->cn_bytes != 0 ? w->cn_bytes : strlen(w->cn))), 0);
	if (w->dns != NULL)
		(void)gnutls_x509_crt_set_subject_alt_name(m.crt,
		    GNUTLS_SAN_DNSNAME, w->dns, (unsigned)strlen(w->dns),
		    GNUTLS_FSAN_SET);
	(void)gnutls_x509_crt_set_basic_constraints(m.crt, w->purpose == NULL,
	    -1);
	if (w->purpose != NULL)
		(void)gnutls_x509_crt_set_key_purpose_oid(m.crt, w->purpose,
		    0);
	(void)gnutls_x509_crt_set_key_usage(m.crt, w->purpose == NULL ?
	    GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE);
	assert_int_equal(gnutls_x509_crt_sign2(m.crt, by != NULL ? by->crt :
	    m.crt, by != NULL ? by->key : m.key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(m.crt, GNUTLS_X509_FMT_PEM,
	    &pem), 0);
	save(w->name, "crt", &pem);
	gnutls_free(pem.data);
	assert_int_equal(gnutls_x509_privkey_export2(m.key,
	    GNUTLS_X509_FMT_PEM, &pem), 0);
	save(w->name, "key", &pem);
	gnutls_free(pem.data);
	return m;
}

static void
unmake(struct maker m)
{
	gnutls_x509_crt_deinit(m.crt);
	gnutls_x509_privkey_deinit(m.key);
}

static int
make_all(void **state)
{
	const char *server = GNUTLS_KP_TLS_WWW_SERVER;
	const char *client = GNUTLS_KP_TLS_WWW_CLIENT;
	const struct wish leaves[] = {
		{ "server", "tarn.test", 0, "tarn.test", server, 10 },
		{ "alice", "alice", 0, NULL, client, 10 },
		{ "dns", NULL, 0, "meter-7.plant", client, 10 },
		{ "nul", "alice\0.evil", 11, NULL, client, 10 },
		{ "old", "alice", 0, NULL, client, -1 },
		{ "wrong-use", "alice", 0, NULL, server, 10 },
		{ "nameless", NULL, 0, NULL, client, 10 },
	};
	const struct wish foreign = { "mallory", "alice", 0, NULL, client, 10 };
	const struct wish next = { "server2", "tarn.test", 0, "tarn.test",
		server, 10 };
	struct maker ca, ca2;

	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/tarn-tls-XXXXXX");
	assert_non_null(mkdtemp(dir));
	ca = make(&(struct wish){ "ca", "Plant", 0, NULL, NULL, 10 }, NULL);
	ca2 = make(&(struct wish){ "ca2", "Other", 0, NULL, NULL, 10 }, NULL);
	for (size_t i = 0; i < TN_COUNT(leaves); i++)
		unmake(make(&leaves[i], &ca));
	unmake(make(&foreign, &ca2));
	unmake(make(&next, &ca2));
	unmake(ca);
	unmake(ca2);
	return 0;
}

static int
drop_all(void **state)
{
	char command[100];

	(void)state;
	(void)snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

static struct tn_net_tls *
server_tls(bool ask, bool required)
{
	struct tn_net_tls_opts o = { .cert_file = file("server.crt"),
		.key_file = file("server.key"), .client_required = required };
	struct tn_net_tls *t;

	if (ask)
		o.client_ca_file = file("ca.crt");
	assert_int_equal(tn_net_tls_new(&t, &o, NULL), TN_OK);
	return t;
}

/* ${who} NULL: without a certificate. */
static struct tn_net_tls *
client_tls(const char *who, const char *ca)
{
	char crt[64], key[64];
	struct tn_net_tls_opts o = { .ca_file = file(ca) };
	struct tn_net_tls *t;

	if (who != NULL) {
		(void)snprintf(crt, sizeof crt, "%s.crt", who);
		(void)snprintf(key, sizeof key, "%s.key", who);
		o.cert_file = file(crt);
		o.key_file = file(key);
	}
	assert_int_equal(tn_net_tls_new(&t, &o, NULL), TN_OK);
	return t;
}

/* ---- bytes ----------------------------------------------------------- */

static bool
done(const struct end *e)
{
	return e->closed == 1 || e->failed != TN_OK;
}

static void
stop_when_done(struct end *e)
{
	if (done(e) && (e->peer->s == NULL))
		tn_net_loop_stop(world.loop);
}

struct visit {
	struct end server, client;
};

static void
visit_init(struct visit *v, uint64_t bytes)
{
	*v = (struct visit){ .server = { .echo = true }, .client = {
		.pattern = true, .to_send = bytes, .close_when_done = true } };
	v->server.peer = &v->client;
	v->client.peer = &v->server;
	v->server.on_closed = stop_when_done;
	v->client.on_closed = stop_when_done;
}

static void
visit_run(struct visit *v, const struct tn_net_tls *there,
    const struct tn_net_tls *here, const char *name)
{
	world_open();
	assert_int_equal(world_listen(there, 5000), TN_OK);
	world.server = &v->server;
	world_connect(&v->client, here, name);
	world_run();
	if (v->server.s != NULL)
		tn_net_stream_close(v->server.s, 0);
	if (v->client.s != NULL)
		tn_net_stream_close(v->client.s, 0);
	world_close();
	assert_int_equal(v->server.closed, v->server.opened);
	assert_int_equal(v->client.closed, v->client.opened);
	assert_false(v->client.bad);
}

static void
test_echo(void **state)
{
	struct tn_net_tls *there = server_tls(false, false);
	struct tn_net_tls *here = client_tls(NULL, "ca.crt");
	struct visit v;

	(void)state;
	/* Goal: 10 MB come back through TLS as they went; both ends say
	 * goodbye. */
	visit_init(&v, 10u << 20);
	visit_run(&v, there, here, "tarn.test");
	assert_int_equal(v.client.got, 10u << 20);
	assert_int_equal(v.client.why, TN_END);
	assert_int_equal(v.server.why, TN_END);
	tn_net_tls_free(there);
	tn_net_tls_free(here);
	tn_net_tls_free(NULL);
}

static struct tn_net_timer *again;
static uint32_t pauses;

static void
unpause(void *arg)
{
	struct end *e = arg;

	if (e->s != NULL)
		tn_net_stream_pause(e->s, false);
}

static void
pause_each(struct end *e, struct tn_slice in)
{
	assert_true(in.n > 0);
	pauses++;
	tn_net_stream_pause(e->s, true);
	tn_net_timer_start(again, 0, 0);
}

static void
make_timer(struct end *e)
{
	again = tn_net_timer_new(world.loop, unpause, e);
}

static void
drop_timer(struct end *e)
{
	tn_net_timer_free(again);
	stop_when_done(e);
}

static void
test_pauses(void **state)
{
	struct tn_net_tls *there = server_tls(false, false);
	struct tn_net_tls *here = client_tls(NULL, "ca.crt");
	struct visit v;

	(void)state;
	/* Goal: a pause after every piece holds back what was received but
	 * not yet decrypted, in order. */
	pauses = 0;
	visit_init(&v, 3000000);
	v.client.on_open = make_timer;
	v.client.on_bytes = pause_each;
	v.client.on_closed = drop_timer;
	visit_run(&v, there, here, "tarn.test");
	assert_int_equal(v.client.got, 3000000);
	assert_true(pauses > 20);
	tn_net_tls_free(there);
	tn_net_tls_free(here);
}

/* ---- who is who ------------------------------------------------------ */

static char seen_name[64];

static void
look_at_name(struct end *e)
{
	const char *name = tn_net_stream_certificate(e->s);

	(void)snprintf(seen_name, sizeof seen_name, "%s",
	    name != NULL ? name : "(none)");
}

static void
test_client_certificates(void **state)
{
	static const struct {
		const char *who, *name;
		bool required;
		const char *seen;       /* NULL: sent away. */
	} cases[] = {
		{ NULL, "tarn.test", false, "(none)" },
		{ NULL, "tarn.test", true, NULL },
		{ "alice", "tarn.test", true, "alice" },
		{ "alice", "tarn.test", false, "alice" },
		{ "dns", "tarn.test", true, "meter-7.plant" },
		{ "mallory", "tarn.test", true, NULL },
		{ "mallory", "tarn.test", false, NULL },
		{ "nul", "tarn.test", false, NULL },
		{ "old", "tarn.test", false, NULL },
		{ "wrong-use", "tarn.test", false, NULL },
		{ "nameless", "tarn.test", false, NULL },
		{ "alice", "other.test", true, NULL },
	};

	(void)state;
	/* Goal: the owner learns the verified name; whoever shows a bad
	 * certificate, or none where one is required, never reaches it. */
	for (size_t i = 0; i < TN_COUNT(cases); i++) {
		struct tn_net_tls *there = server_tls(true, cases[i].required);
		struct tn_net_tls *here = client_tls(cases[i].who, "ca.crt");
		struct visit v;

		seen_name[0] = '\0';
		visit_init(&v, 1000);
		v.server.on_open = look_at_name;
		visit_run(&v, there, here, cases[i].name);
		if (v.server.opened != (cases[i].seen != NULL))
			fail_msg("%s, case %zu: %s", cases[i].who, i,
			    seen_name);
		assert_int_equal(v.client.got, cases[i].seen != NULL ? 1000 :
		    0);
		assert_string_equal(seen_name, cases[i].seen != NULL ?
		    cases[i].seen : "");
		assert_true(v.client.failed != TN_OK || v.client.closed == 1);
		tn_net_tls_free(there);
		tn_net_tls_free(here);
	}
}

static void
test_trust(void **state)
{
	struct tn_net_tls *there = server_tls(false, false);
	struct tn_net_tls *here = client_tls(NULL, "ca2.crt");
	struct visit v;

	(void)state;
	/* Goal: a server of an authority we do not trust gets nothing. */
	visit_init(&v, 1000);
	visit_run(&v, there, here, "tarn.test");
	assert_int_equal(v.client.failed, TN_EDENIED);
	assert_int_equal(v.server.opened, 0);
	tn_net_tls_free(there);
	tn_net_tls_free(here);
}

static void
test_files(void **state)
{
	const struct tn_net_tls_opts bad[] = {
		{ .cert_file = file("server.crt") },
		{ .key_file = file("server.key") },
		{ .client_ca_file = file("ca.crt") },
		{ .cert_file = file("server.crt"),
		    .key_file = file("server.key"), .client_required = true },
		{ .cert_file = "/nowhere", .key_file = "/nowhere" },
		{ .cert_file = file("server.crt"),
		    .key_file = file("alice.key") },
		{ .ca_file = file("server.key") },
	};

	(void)state;
	/* Goal: files that are missing, no certificates or do not fit are
	 * refused in words. */
	for (size_t i = 0; i < TN_COUNT(bad); i++) {
		struct tn_diag d = { .line = 0 };
		struct tn_net_tls *t;

		assert_int_equal(tn_net_tls_new(&t, &bad[i], &d), TN_EINVAL);
		assert_null(t);
		assert_string_equal(d.code, "bad_certificate");
		assert_true(strlen(d.message) > 10);
		assert_int_equal(tn_net_tls_new(&t, &bad[i], NULL), TN_EINVAL);
	}
}

static void
put(const char *from, const char *to)
{
	assert_int_equal(rename(file(from), file(to)), 0);
}

static void
test_reload(void **state)
{
	struct tn_net_tls *there = server_tls(false, false);
	struct tn_net_tls *old = client_tls(NULL, "ca.crt");
	struct tn_net_tls *new = client_tls(NULL, "ca2.crt");
	struct end first = { .to_send = 0 }, server = { .echo = true };
	struct end second = { .on_closed = stop_loop };
	struct visit v;

	(void)state;
	/* Goal: after reload new connections see the new certificate, an open
	 * one goes on with the old; bad files change nothing. */
	world_open();
	assert_int_equal(world_listen(there, 5000), TN_OK);
	world.server = &server;
	server.on_open = stop_loop;
	world_connect(&first, old, "tarn.test");
	world_run();
	put("server.crt", "kept.crt");
	put("server.key", "kept.key");
	assert_int_equal(tn_net_tls_reload(there, NULL), TN_EINVAL);
	put("server2.crt", "server.crt");
	put("server2.key", "server.key");
	assert_int_equal(tn_net_tls_reload(there, NULL), TN_OK);
	world_connect(&second, old, "tarn.test");
	world_run();
	assert_int_equal(second.failed, TN_EDENIED);
	first.pattern = true;
	first.to_send = 5000;
	first.close_when_done = true;
	first.on_closed = stop_loop;
	end_pump(&first);
	world_run();
	assert_int_equal(first.got, 5000);
	if (server.s != NULL)
		tn_net_stream_close(server.s, 0);
	world_close();
	visit_init(&v, 1000);
	visit_run(&v, there, new, "tarn.test");
	assert_int_equal(v.client.got, 1000);
	put("server.crt", "server2.crt");
	put("server.key", "server2.key");
	put("kept.crt", "server.crt");
	put("kept.key", "server.key");
	tn_net_tls_free(there);
	tn_net_tls_free(old);
	tn_net_tls_free(new);
}

/* ---- peers that do not speak TLS -------------------------------------- */

static int raw_fd;
static struct tn_net_watch *raw_watch;
static char raw_got[1000];
static size_t raw_n;

static void
raw_readable(void *arg)
{
	ssize_t n = read(raw_fd, raw_got + raw_n, sizeof raw_got - raw_n);

	(void)arg;
	if (n > 0) {
		raw_n += (size_t)n;
		return;
	}
	tn_net_watch_free(raw_watch);
	tn_net_loop_stop(world.loop);
}

static void
test_garbage(void **state)
{
	static const char *const says[] = { "GET / HTTP/1.1\r\n\r\n", "",
		"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
		"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00" };
	static const size_t bytes[] = { 18, 0, 10, 14 };
	struct tn_net_tls *there = server_tls(false, false);

	(void)state;
	/* Goal: what is no handshake, or is none in time, or ends, is sent
	 * away without the owner hearing of it. */
	for (size_t i = 0; i < 2 * TN_COUNT(says); i++) {
		size_t k = i / 2;

		world_open();
		assert_int_equal(world_listen(there, 30), TN_OK);
		raw_fd = world_raw();
		raw_n = 0;
		assert_int_equal(write(raw_fd, says[k], bytes[k]), bytes[k]);
		if (i % 2 == 1)
			assert_int_equal(shutdown(raw_fd, SHUT_WR), 0);
		raw_watch = tn_net_watch_new(world.loop, raw_fd, raw_readable,
		    NULL);
		world_run();
		assert_int_equal(world.accepted, 0);
		(void)close(raw_fd);
		world_close();
	}
	tn_net_tls_free(there);
}

static void
no_stream(void *arg, struct tn_net_stream *s, enum tn_status st)
{
	enum tn_status *to = arg;

	assert_null(s);
	*to = st;
	tn_net_loop_stop(world.loop);
}

static void
test_silent_server(void **state)
{
	struct tn_net_tls *here = client_tls(NULL, "ca.crt");
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof a;
	enum tn_status st = TN_OK;
	char address[40];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	/* Goal: a server that says nothing holds up a client for the time
	 * given and no longer. */
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	(void)snprintf(address, sizeof address, "127.0.0.1:%u",
	    ntohs(a.sin_port));
	world_open();
	tn_net_connect(world.loop, address, here, "tarn.test", 40, no_stream,
	    &st);
	world_run();
	assert_int_equal(st, TN_EUNREACHABLE);
	world_close();
	(void)close(fd);
	tn_net_tls_free(here);
}

/* ---- a foreign client ------------------------------------------------- */

enum { ECHO = 1, RESUME = 2, RENEGOTIATE = 4, CUT = 8, UPDATE = 16 };

static gnutls_session_t
child_connect(gnutls_certificate_credentials_t cred, const char *versions,
    gnutls_datum_t *resume)
{
	char priority[80];
	gnutls_session_t s;
	int fd = world_raw();

	(void)snprintf(priority, sizeof priority, "NORMAL:-VERS-ALL:%s",
	    versions);
	if (gnutls_init(&s, GNUTLS_CLIENT) != 0 ||
	    gnutls_priority_set_direct(s, priority, NULL) != 0)
		_exit(10);
	(void)gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	if (resume->data != NULL)
		(void)gnutls_session_set_data(s, resume->data, resume->size);
	gnutls_transport_set_int(s, fd);
	if (gnutls_handshake(s) != 0)
		_exit(11);
	return s;
}

static void
child_echo(gnutls_session_t s)
{
	char back[6];
	size_t got = 0;

	if (gnutls_record_send(s, "hello!", 6) != 6)
		_exit(12);
	while (got < 6) {
		ssize_t n = gnutls_record_recv(s, back + got, 6 - got);

		if (n <= 0 && n != GNUTLS_E_AGAIN)
			_exit(13);
		got += n > 0 ? (size_t)n : 0;
	}
	if (memcmp(back, "hello!", 6) != 0)
		_exit(14);
}

/* In a child process; its exit code says how it went. */
static void
child(const char *versions, int what)
{
	gnutls_certificate_credentials_t cred;
	gnutls_datum_t data = { NULL, 0 };
	gnutls_session_t s;
	char byte;

	if (gnutls_certificate_allocate_credentials(&cred) != 0 ||
	    gnutls_certificate_set_x509_key_file(cred, file("alice.crt"),
	    file("alice.key"), GNUTLS_X509_FMT_PEM) != 0)
		_exit(15);
	s = child_connect(cred, versions, &data);
	child_echo(s);
	if (what == RENEGOTIATE) {
		/* Refused: by an alert or by the end. */
		int rc = gnutls_handshake(s);

		_exit(rc < 0 ? 0 : 16);
	}
	if (what == UPDATE) {
		if (gnutls_session_key_update(s, GNUTLS_KU_PEER) != 0)
			_exit(17);
		child_echo(s);
	}
	if (what == RESUME) {
		if (gnutls_session_get_data2(s, &data) != 0)
			_exit(18);
		(void)gnutls_bye(s, GNUTLS_SHUT_WR);
		s = child_connect(cred, versions, &data);
		child_echo(s);
		if (!gnutls_session_is_resumed(s))
			_exit(19);
	}
	if (what == CUT)
		_exit(0);
	(void)gnutls_bye(s, GNUTLS_SHUT_WR);
	/* The other side says goodbye, too. */
	_exit(gnutls_record_recv(s, &byte, 1) == 0 ? 0 : 20);
}

static struct end foreign[3];
static uint32_t foreign_closed;

static void
one_more(struct end *e)
{
	look_at_name(e);
	assert_string_equal(seen_name, "alice");
	world.server = e + 1;
}

static void
one_less(struct end *e)
{
	(void)e;
	foreign_closed++;
}

static void
child_ended(void *arg)
{
	char byte;

	assert_int_equal(read(raw_fd, &byte, 1), 0);
	tn_net_watch_free(raw_watch);
	*(bool *)arg = true;
	tn_net_loop_stop(world.loop);
}

static void
visit_child(const struct tn_net_tls *there, const char *versions, int what)
{
	bool ended = false;
	int ends[2], status;
	pid_t pid;

	memset(foreign, 0, sizeof foreign);
	foreign_closed = 0;
	for (int i = 0; i < 3; i++)
		foreign[i] = (struct end){ .echo = true, .on_open = one_more,
			.on_closed = one_less };
	world_open();
	assert_int_equal(world_listen(there, 5000), TN_OK);
	world.server = &foreign[0];
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ends[0]);
		child(versions, what);
	}
	(void)close(ends[1]);
	raw_fd = ends[0];
	raw_watch = tn_net_watch_new(world.loop, raw_fd, child_ended, &ended);
	world_run();
	assert_true(ended);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(raw_fd);
	for (int i = 0; i < 3; i++)
		if (foreign[i].s != NULL)
			tn_net_stream_close(foreign[i].s, 0);
	world_close();
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s, %d: the child says %x", versions, what,
		    (unsigned)status);
	assert_int_equal(foreign_closed, what == RESUME ? 2 : 1);
	for (int i = 0; i < 3 && foreign[i].opened; i++) {
		bool orderly = what != CUT && what != RENEGOTIATE;

		if (foreign[i].why != TN_END)
			assert_false(orderly);
	}
}

static void
test_foreign(void **state)
{
	struct tn_net_tls *there = server_tls(true, true);

	(void)state;
	/* Goal: both versions, resumed with the client's name known again, a
	 * renegotiation refused, keys changed, an end without goodbye. */
	visit_child(there, "+VERS-TLS1.2", ECHO);
	visit_child(there, "+VERS-TLS1.3", ECHO);
	visit_child(there, "+VERS-TLS1.2", RESUME);
	visit_child(there, "+VERS-TLS1.3", RESUME);
	visit_child(there, "+VERS-TLS1.2", RENEGOTIATE);
	visit_child(there, "+VERS-TLS1.3", UPDATE);
	visit_child(there, "+VERS-TLS1.2", CUT);
	visit_child(there, "+VERS-TLS1.3", CUT);
	tn_net_tls_free(there);
}

/* ---- memory ----------------------------------------------------------- */

static void
test_no_memory(void **state)
{
	struct tn_net_tls *there = server_tls(false, false);
	struct tn_net_tls *here = client_tls(NULL, "ca.crt");
	uint32_t n = 0;

	(void)state;
	/* Goal: with the Nth allocation failing each end still hears once how
	 * it went. */
	do {
		struct visit v;

		allocs = 0;
		fail_alloc = ++n;
		visit_init(&v, 100000);
		visit_run(&v, there, here, "tarn.test");
		assert_true(v.client.got == 100000 || allocs >= n);
	} while (allocs >= n);
	fail_alloc = 0;
	assert_true(n > 10);
	tn_net_tls_free(there);
	tn_net_tls_free(here);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, make_all, drop_all);
}
