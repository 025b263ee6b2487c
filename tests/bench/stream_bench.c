/* stream_bench: what byte streams cost. A server that echoes in a process of
 * its own, clients in this one, both by room net, over loopback.
 *
 *   stream_bench echo [conns=1] [window=1000] [bytes=64] [secs=2]
 *       messages a second; each connection keeps ${window} on their way
 *   stream_bench idle [conns=4000]
 *       heap of the server for each connection that is open and silent
 *
 * With tls=CERT,KEY,CA for both. Lines: name, value, unit. System calls for
 * each message: strace -c -f stream_bench ... */
#include "net/net.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 16000

struct peer {
	struct tn_net_stream *s;
	uint64_t got;
};

/* Of the server, when asked with SIGHUP. */
struct report {
	uint64_t heap, cpu_us;
};

static struct {
	uint32_t conns, window, bytes;
	double secs;
	char tls[3][256];
	struct tn_net_loop *loop;
	struct peer peers[CONNS_MAX];
	uint32_t open;
	uint64_t got;
	int port, pipe[2];
	struct tn_net_tls *secret;
	struct tn_net_timer *timer;
} b = { .conns = 1, .window = 1000, .bytes = 64, .secs = 2 };

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
use_files(bool server)
{
	struct tn_net_tls_opts o = { .ca_file = b.tls[2] };
	struct tn_diag d = { .line = 0 };

	if (b.tls[0][0] == '\0')
		return;
	if (server)
		o = (struct tn_net_tls_opts){ .cert_file = b.tls[0],
			.key_file = b.tls[1] };
	if (tn_net_tls_new(&b.secret, &o, &d) != TN_OK) {
		(void)fprintf(stderr, "%s\n", d.message);
		exit(1);
	}
}

/* ---- server ---------------------------------------------------------- */

static void
echo(void *arg, struct tn_slice in)
{
	tn_net_stream_write(arg, in);
}

static void
gone(void *arg, enum tn_status why)
{
	(void)arg;
	(void)why;
}

static void
accepted(void *arg, struct tn_net_stream *s)
{
	static const struct tn_net_stream_calls calls = { echo, NULL, gone };

	(void)arg;
	tn_net_stream_start(s, &calls, s);
}

static void
tell(int signum, void *arg)
{
	struct mallinfo2 m = mallinfo2();
	struct report r = { .heap = m.uordblks + m.hblkhd };
	struct rusage u;

	(void)signum;
	(void)arg;
	(void)getrusage(RUSAGE_SELF, &u);
	r.cpu_us = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	if (write(b.pipe[1], &r, sizeof r) != sizeof r)
		_exit(1);
}

static void
serve(void)
{
	struct tn_net_listener_opts o = { .address = "127.0.0.1:0",
		.connections_max = CONNS_MAX, .accepted = accepted };
	struct tn_net_listener *l;
	int port;

	b.loop = tn_net_loop_new();
	use_files(true);
	o.tls = b.secret;
	if (tn_net_listener_new(&l, b.loop, &o, NULL) != TN_OK)
		_exit(1);
	tn_net_loop_on_signal(b.loop, SIGHUP, tell, NULL);
	port = tn_net_listener_port(l);
	if (write(b.pipe[1], &port, sizeof port) != sizeof port)
		_exit(1);
	tn_net_loop_run(b.loop);
}

/* ---- clients --------------------------------------------------------- */

static void
send_some(struct peer *p, uint32_t messages)
{
	static uint8_t zeros[1 << 16];
	size_t n = (size_t)messages * b.bytes;

	while (n > 0) {
		size_t part = n < sizeof zeros ? n : sizeof zeros;

		tn_net_stream_write(p->s, (struct tn_slice){ zeros, part });
		n -= part;
	}
}

/* As many new ones as came back whole. */
static void
came_back(void *arg, struct tn_slice in)
{
	struct peer *p = arg;
	uint64_t before = p->got / b.bytes;

	p->got += in.n;
	send_some(p, (uint32_t)(p->got / b.bytes - before));
	b.got += in.n;
}

static void
connected(void *arg, struct tn_net_stream *s, enum tn_status st)
{
	static const struct tn_net_stream_calls calls = { came_back, NULL,
		gone };
	struct peer *p = arg;

	if (s == NULL) {
		(void)fprintf(stderr, "connect: %s\n", tn_status_text(st));
		exit(1);
	}
	p->s = s;
	tn_net_stream_start(s, &calls, p);
	if (++b.open == b.conns)
		tn_net_loop_stop(b.loop);
}

static void
time_over(void *arg)
{
	(void)arg;
	tn_net_loop_stop(b.loop);
}

static struct report
ask(pid_t server)
{
	struct report r = { .heap = 0 };

	(void)kill(server, SIGHUP);
	if (read(b.pipe[0], &r, sizeof r) != sizeof r)
		exit(1);
	return r;
}

static void
run_for(double secs)
{
	tn_net_timer_start(b.timer, (uint64_t)(secs * 1000), 0);
	tn_net_loop_run(b.loop);
}

static void
bench_echo(pid_t server)
{
	struct report first = ask(server), last;
	double t = now();

	for (uint32_t i = 0; i < b.conns; i++)
		send_some(&b.peers[i], b.window);
	run_for(b.secs);
	t = now() - t;
	last = ask(server);
	printf("echo %u x %u of %u bytes%s\t%.0f\tmessages/s\n", b.conns,
	    b.window, b.bytes, b.secret != NULL ? " tls" : "",
	    (double)b.got / b.bytes / t);
	printf("processor of the server\t%.2f\tus/message\n",
	    (double)(last.cpu_us - first.cpu_us) /
	    ((double)b.got / b.bytes + 1));
}

static bool
parse(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (sscanf(argv[i], "conns=%u", &b.conns) != 1 &&
		    sscanf(argv[i], "window=%u", &b.window) != 1 &&
		    sscanf(argv[i], "bytes=%u", &b.bytes) != 1 &&
		    sscanf(argv[i], "secs=%lf", &b.secs) != 1 &&
		    sscanf(argv[i], "tls=%255[^,],%255[^,],%255s", b.tls[0],
		    b.tls[1], b.tls[2]) != 3)
			return false;
	}
	return argc > 1 && b.conns > 0 && b.conns <= CONNS_MAX && b.bytes > 0;
}

int
main(int argc, char **argv)
{
	struct report before;
	char address[40];
	double t;
	pid_t server;

	if (!parse(argc, argv) || pipe(b.pipe) != 0) {
		(void)fprintf(stderr, "see the head of stream_bench.c\n");
		return 2;
	}
	server = fork();
	if (server == 0) {
		serve();
		_exit(0);
	}
	if (read(b.pipe[0], &b.port, sizeof b.port) != sizeof b.port)
		return 1;
	b.loop = tn_net_loop_new();
	b.timer = tn_net_timer_new(b.loop, time_over, NULL);
	use_files(false);
	before = ask(server);
	(void)snprintf(address, sizeof address, "127.0.0.1:%d", b.port);
	t = now();
	for (uint32_t i = 0; i < b.conns; i++)
		tn_net_connect(b.loop, address, b.secret, "tarn.test", 60000,
		    connected, &b.peers[i]);
	tn_net_loop_run(b.loop);
	t = now() - t;
	run_for(0.1);
	if (strcmp(argv[1], "idle") == 0) {
		printf("heap of a silent connection%s\t%.0f\tbytes\n",
		    b.secret != NULL ? ", tls" : "",
		    (double)(ask(server).heap - before.heap) / b.conns);
		printf("connections made%s\t%.0f\t1/s\n",
		    b.secret != NULL ? ", tls" : "", b.conns / t);
	} else {
		bench_echo(server);
	}
	(void)kill(server, SIGKILL);
	(void)waitpid(server, NULL, 0);
	return 0;
}
