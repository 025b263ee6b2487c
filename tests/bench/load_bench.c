/* load_bench: the load client of the benches. One thread, epoll, keep-alive
 * HTTP/1.1; events come from gen.c, every one new.
 *
 *   ingest   closed loop: each connection sends its next request when the
 *            answer to the last one is there; events/s, latency, and the
 *            processor time of the program that answers
 *   body     one request of many events, in chunks; rate and peak memory
 *   visible  open loop at a rate: latencies count from the time a request was
 *            due, so that a slow answer cannot hide the ones behind it. One
 *            more connection reads a merged view again and again; a request
 *            is visible when a view that came back names its LSN or a later
 *   query    one connection reads a view, closed loop
 *   post     one POST without body, timed
 *   start    run a program, time until /readyz says 200, its memory at rest
 *   events   ${n} events to stdout, for other loaders
 *
 * Every answer is checked: status 200 and all events accepted; anything else
 * ends the bench with exit code 1. Lines go to stdout, one a figure:
 * name, value, unit. */
#include "gen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 256
#define IN_MAX ((size_t)4 << 20)
#define CHUNK_EVENTS 400
#define SENT_MAX 1048576
#define POLL_US 1000             /* Between two looks at the view. */

struct options {
	int port, pid, conns;
	uint32_t events, step_us;
	double secs, rate;
	uint64_t seed, n;
	const char *path, *label;
	char **argv;                 /* Of start. */
};

/* What came back. */
struct answer {
	int code;
	uint64_t lsn, accepted, duplicates, quarantined;
};

struct conn {
	int fd;
	bool waiting;                /* For an answer. */
	bool want_out;
	char *out;
	size_t out_n, out_at;
	char *in;
	size_t in_n;
	int64_t due_us;              /* When its request was due. */
	uint32_t events;
};

/* Latencies in microseconds. */
struct samples {
	uint32_t *v;
	size_t n, cap;
};

struct bench {
	struct options o;
	struct gen gen;
	struct conn conn[CONNS_MAX + 1];
	int ep;
	uint64_t accepted, requests;
	struct samples acks, seen, views;
	struct { int64_t due_us; uint64_t lsn; } *sent;
	size_t sent_n, sent_at;      /* Answered, not yet visible. */
};
static struct bench b;

static void
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "load_bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- figures --------------------------------------------------------- */

static void
say(const char *what, double value, const char *unit)
{
	printf("%s%s%s\t%.*f\t%s\n", b.o.label, b.o.label[0] != '\0' ? " " :
	    "", what, value < 100 ? 3 : 0, value, unit);
	fflush(stdout);
}

static void
sample(struct samples *s, int64_t us)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 4096 : s->cap * 2;
		s->v = realloc(s->v, s->cap * sizeof *s->v);
	}
	s->v[s->n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX :
	    (uint32_t)us;
}

static int
by_size(const void *x, const void *y)
{
	uint32_t l = *(const uint32_t *)x, r = *(const uint32_t *)y;

	return l < r ? -1 : l > r;
}

static void
say_samples(const char *what, struct samples *s)
{
	static const struct { const char *name; double share; } at[] = {
		{ "p50", 0.50 }, { "p99", 0.99 }, { "max", 1.0 } };
	char name[64];

	if (s->n == 0)
		return;
	qsort(s->v, s->n, sizeof *s->v, by_size);
	for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
		size_t k = (size_t)((double)(s->n - 1) * at[i].share);
		snprintf(name, sizeof name, "%s %s", what, at[i].name);
		say(name, s->v[k] / 1000.0, "ms");
	}
}

/* Processor seconds of a process so far. */
static double
cpu_of(int pid)
{
	char path[64], line[1024];
	unsigned long user = 0, kernel = 0;
	FILE *f;
	char *p;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f == NULL || fgets(line, sizeof line, f) == NULL)
		die("no process %d", pid);
	fclose(f);
	p = strrchr(line, ')');
	if (p == NULL || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u "
	    "%*u %*u %lu %lu", &user, &kernel) != 2)
		die("%s is not understood", path);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* A line of /proc/PID/status in MB. */
static double
memory_of(int pid, const char *name)
{
	char path[64], line[256];
	double kb = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kb = atof(line + strlen(name));
	if (f != NULL)
		fclose(f);
	return kb / 1024;
}

/* ---- connections ----------------------------------------------------- */

static int
dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static void
open_conn(struct conn *c, size_t out_bytes)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	c->fd = dial(b.o.port);
	if (c->fd < 0)
		die("connect to port %d: %s", b.o.port, strerror(errno));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->out = malloc(out_bytes + 4096);
	c->in = malloc(IN_MAX);
	epoll_ctl(b.ep, EPOLL_CTL_ADD, c->fd, &e);
}

static void
want_out(struct conn *c, bool on)
{
	struct epoll_event e = { .events = EPOLLIN | (on ? EPOLLOUT : 0),
	    .data.ptr = c };

	if (c->want_out == on)
		return;
	c->want_out = on;
	epoll_ctl(b.ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void
push_out(struct conn *c)
{
	while (c->out_at < c->out_n) {
		ssize_t k = write(c->fd, c->out + c->out_at,
		    c->out_n - c->out_at);
		if (k < 0 && errno == EAGAIN)
			break;
		if (k < 0)
			die("write: %s", strerror(errno));
		c->out_at += (size_t)k;
	}
	want_out(c, c->out_at < c->out_n);
}

/* Events first, at a place that leaves room for the head, then the head in
 * front of them: its Content-Length is known by then. */
static void
send_events(struct conn *c, uint32_t events, int64_t due_us)
{
	char head[512];
	size_t n = 0, head_n;

	for (uint32_t i = 0; i < events; i++)
		n += gen_event(&b.gen, c->out + sizeof head + n);
	head_n = (size_t)snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n"
	    "Host: 127.0.0.1:%d\r\nContent-Type: application/x-ndjson\r\n"
	    "Content-Length: %zu\r\n\r\n", b.o.path, b.o.port, n);
	memcpy(c->out + sizeof head - head_n, head, head_n);
	c->out_at = sizeof head - head_n;
	c->out_n = sizeof head + n;
	c->events = events;
	c->due_us = due_us;
	c->waiting = true;
	push_out(c);
}

static void
send_get(struct conn *c, const char *path, int64_t due_us)
{
	c->out_at = 0;
	c->out_n = (size_t)sprintf(c->out, "GET %.900s HTTP/1.1\r\n"
	    "Host: 127.0.0.1:%d\r\nAccept: application/json\r\n\r\n", path,
	    b.o.port);
	c->due_us = due_us;
	c->waiting = true;
	push_out(c);
}

/* ---- answers --------------------------------------------------------- */

static uint64_t
number_after(const char *p, size_t n, const char *name)
{
	const char *at = memmem(p, n, name, strlen(name));

	return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* True when a whole answer was there; it is taken out of the buffer. */
static bool
take_answer(struct conn *c, struct answer *a)
{
	char *end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
	size_t head, body, all;

	if (end == NULL)
		return false;
	head = (size_t)(end - c->in) + 4;
	body = number_after(c->in, head, "Content-Length: ");
	all = head + body;
	if (all >= IN_MAX)
		die("an answer of %zu bytes", all);
	if (c->in_n < all)
		return false;
	memset(a, 0, sizeof *a);
	c->in[c->in_n] = '\0';
	a->code = atoi(c->in + 9);
	if (a->code != 200)
		die("HTTP %d: %.*s", a->code, (int)body, c->in + head);
	a->lsn = number_after(c->in, head, "Tarn-LSN: ");
	if (a->lsn == 0)
		a->lsn = number_after(c->in + head, body, "\"lsn\":");
	a->accepted = number_after(c->in + head, body, "\"accepted\":");
	a->duplicates = number_after(c->in + head, body, "\"duplicates\":");
	a->quarantined = number_after(c->in + head, body,
	    "\"quarantined\":");
	memmove(c->in, c->in + all, c->in_n - all);
	c->in_n -= all;
	c->waiting = false;
	return true;
}

static bool
read_answer(struct conn *c, struct answer *a)
{
	ssize_t k = read(c->fd, c->in + c->in_n, IN_MAX - 1 - c->in_n);

	if (k == 0)
		die("the connection was closed");
	if (k < 0 && errno != EAGAIN)
		die("read: %s", strerror(errno));
	if (k > 0)
		c->in_n += (size_t)k;
	return take_answer(c, a);
}

static void
take_ack(struct conn *c, const struct answer *a)
{
	if (a->accepted != c->events)
		die("of %u events %llu were accepted, %llu duplicates, %llu "
		    "quarantined", c->events, (unsigned long long)a->accepted,
		    (unsigned long long)a->duplicates,
		    (unsigned long long)a->quarantined);
	b.accepted += a->accepted;
	b.requests++;
	sample(&b.acks, now_us() - c->due_us);
}

/* ---- ingest ---------------------------------------------------------- */

static void
say_ingest(double secs, double cpu)
{
	double millions = (double)b.accepted / 1e6;

	say("events", (double)b.accepted / secs, "events/s");
	if (b.o.pid > 0)
		say("cpu", cpu / millions, "CPU-s/M events");
	say_samples("answer", &b.acks);
}

static void
run_ingest(void)
{
	struct epoll_event es[64];
	struct answer a;
	double cpu = cpu_of(b.o.pid);
	int64_t start = now_us(), end = start + (int64_t)(b.o.secs * 1e6);
	int busy = b.o.conns;

	for (int i = 0; i < b.o.conns; i++) {
		open_conn(&b.conn[i], (size_t)b.o.events * GEN_EVENT_MAX);
		send_events(&b.conn[i], b.o.events, now_us());
	}
	while (busy > 0) {
		int n = epoll_wait(b.ep, es, 64, 10000);
		if (n == 0)
			die("no answer for 10 seconds");
		for (int i = 0; i < n; i++) {
			struct conn *c = es[i].data.ptr;
			if ((es[i].events & EPOLLOUT) != 0)
				push_out(c);
			if ((es[i].events & ~(unsigned)EPOLLOUT) == 0 ||
			    !read_answer(c, &a))
				continue;
			take_ack(c, &a);
			if (now_us() < end)
				send_events(c, b.o.events, now_us());
			else
				busy--;
		}
	}
	say_ingest((double)(now_us() - start) / 1e6, cpu_of(b.o.pid) - cpu);
}

/* ---- one long body --------------------------------------------------- */

static void
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);
		if (k < 0)
			die("write: %s", strerror(errno));
		p += k;
		n -= (size_t)k;
	}
}

static void
run_body(void)
{
	size_t room = CHUNK_EVENTS * GEN_EVENT_MAX, n;
	char *chunk = malloc(room + 64), size[24];
	struct conn *c = &b.conn[0];
	double before = memory_of(b.o.pid, "RssAnon:"), peak = before, m;
	double cpu = cpu_of(b.o.pid);
	int64_t start = now_us();
	struct answer a;

	open_conn(c, 0);
	fcntl(c->fd, F_SETFL, 0);
	write_all(c->fd, c->out, (size_t)sprintf(c->out, "POST %.900s "
	    "HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: "
	    "application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
	    b.o.path, b.o.port));
	for (uint64_t left = b.o.n; left > 0; ) {
		uint32_t events = left < CHUNK_EVENTS ? (uint32_t)left :
		    CHUNK_EVENTS;
		n = 16;
		for (uint32_t i = 0; i < events; i++)
			n += gen_event(&b.gen, chunk + n);
		size_t k = (size_t)sprintf(size, "%zx\r\n", n - 16);
		memcpy(chunk + 16 - k, size, k);
		memcpy(chunk + n, "\r\n", 2);
		write_all(c->fd, chunk + 16 - k, n + 2 - 16 + k);
		left -= events;
		if (left % (CHUNK_EVENTS * 100) != 0)
			continue;
		m = memory_of(b.o.pid, "RssAnon:");
		peak = m > peak ? m : peak;
	}
	write_all(c->fd, "0\r\n\r\n", 5);
	while (!read_answer(c, &a))
		continue;
	c->events = (uint32_t)b.o.n;
	c->due_us = start;
	take_ack(c, &a);
	say("events", (double)b.o.n * 1e6 / (double)(now_us() - start),
	    "events/s");
	say("cpu", (cpu_of(b.o.pid) - cpu) * 1e6 / (double)b.o.n,
	    "CPU-s/M events");
	say("memory before", before, "MB");
	say("memory peak", peak, "MB");
	free(chunk);
}

/* ---- visible --------------------------------------------------------- */

/* A view up to ${lsn} was read. LSNs of answers on several connections do
 * not come in order, so all that wait are looked at. */
static void
take_view(uint64_t lsn)
{
	size_t kept = 0;

	for (size_t i = 0; i < b.sent_n; i++)
		if (b.sent[i].lsn <= lsn)
			sample(&b.seen, now_us() - b.sent[i].due_us);
		else
			b.sent[kept++] = b.sent[i];
	b.sent_n = kept;
}

static struct conn *
idle_conn(void)
{
	for (int i = 0; i < b.o.conns; i++)
		if (!b.conn[i].waiting)
			return &b.conn[i];
	return NULL;
}

static void
take_events(struct conn *viewer, struct epoll_event *es, int n)
{
	struct answer a;

	for (int i = 0; i < n; i++) {
		struct conn *c = es[i].data.ptr;
		if ((es[i].events & EPOLLOUT) != 0)
			push_out(c);
		if ((es[i].events & ~(unsigned)EPOLLOUT) == 0 ||
		    !read_answer(c, &a))
			continue;
		if (c == viewer) {
			sample(&b.views, now_us() - c->due_us);
			take_view(a.lsn);
			continue;
		}
		take_ack(c, &a);
		if (b.sent_n == SENT_MAX)
			die("the view does not follow");
		b.sent[b.sent_n].due_us = c->due_us;
		b.sent[b.sent_n++].lsn = a.lsn;
	}
}

static void
run_visible(const char *view)
{
	struct conn *viewer = &b.conn[b.o.conns], *c;
	struct epoll_event es[64];
	int64_t start = now_us(), end = start + (int64_t)(b.o.secs * 1e6);
	int64_t looked = 0, t;
	double gap_us = b.o.events * 1e6 / b.o.rate, cpu = cpu_of(b.o.pid);
	uint64_t sent = 0;

	b.sent = malloc(SENT_MAX * sizeof *b.sent);
	for (int i = 0; i <= b.o.conns; i++)
		open_conn(&b.conn[i], (size_t)b.o.events * GEN_EVENT_MAX);
	for (t = now_us(); t < end || b.sent_n > 0 || b.requests < sent;
	    t = now_us()) {
		int64_t due = start + (int64_t)((double)sent * gap_us);
		c = t < end && due <= t ? idle_conn() : NULL;
		if (c != NULL) {
			send_events(c, b.o.events, due);
			sent++;
		}
		if (!viewer->waiting && t - looked >= POLL_US) {
			looked = t;
			send_get(viewer, view, t);
		}
		if (t > end + 10000000)
			die("not all became visible");
		take_events(viewer, es, epoll_wait(b.ep, es, 64,
		    c != NULL ? 0 : 1));
	}
	say_ingest((double)(t - start) / 1e6, cpu_of(b.o.pid) - cpu);
	say_samples("visible", &b.seen);
	say_samples("view", &b.views);
}

/* ---- query, post ----------------------------------------------------- */

static void
run_query(void)
{
	struct conn *c = &b.conn[0];
	struct answer a;

	open_conn(c, 0);
	fcntl(c->fd, F_SETFL, 0);
	for (uint64_t i = 0; i < b.o.n; i++) {
		send_get(c, b.o.path, now_us());
		while (!read_answer(c, &a))
			continue;
		sample(&b.views, now_us() - c->due_us);
	}
	say_samples("view", &b.views);
}

static void
run_post(void)
{
	struct conn *c = &b.conn[0];
	struct answer a;
	int64_t start;

	open_conn(c, 0);
	fcntl(c->fd, F_SETFL, 0);
	start = now_us();
	write_all(c->fd, c->out, (size_t)sprintf(c->out, "POST %.900s "
	    "HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\n\r\n",
	    b.o.path, b.o.port));
	while (!read_answer(c, &a))
		continue;
	say("time", (double)(now_us() - start) / 1e6, "s");
	if (b.o.n > 0)
		say("rows", (double)b.o.n * 1e6 / (double)(now_us() - start),
		    "rows/s");
}

/* ---- start ----------------------------------------------------------- */

static bool
is_ready(void)
{
	static const char get[] = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Connection: close\r\n\r\n";
	int fd = dial(b.o.port);
	char in[64];
	ssize_t k;

	if (fd < 0)
		return false;
	write_all(fd, get, sizeof get - 1);
	k = read(fd, in, sizeof in);
	close(fd);
	return k > 12 && memcmp(in + 9, "200", 3) == 0;
}

static void
run_start(void)
{
	int64_t start = now_us();
	struct timespec pause = { 0, 500000 };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open("/dev/null", O_WRONLY);
		dup2(fd, 1);
		execv(b.o.argv[0], b.o.argv);
		_exit(127);
	}
	while (!is_ready()) {
		if (now_us() - start > 60000000 ||
		    waitpid(pid, &status, WNOHANG) != 0)
			die("%s does not come up", b.o.argv[0]);
		nanosleep(&pause, NULL);
	}
	say("start", (double)(now_us() - start) / 1e3, "ms");
	sleep((unsigned)b.o.secs);
	say("memory at rest", memory_of(pid, "VmRSS:"), "MB");
	say("of it its own", memory_of(pid, "RssAnon:"), "MB");
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	if (status != 0)
		die("it ended with status %d", status);
}

/* ---- events ---------------------------------------------------------- */

static void
run_events(void)
{
	char line[GEN_EVENT_MAX];

	for (uint64_t i = 0; i < b.o.n; i++)
		if (fwrite(line, gen_event(&b.gen, line), 1, stdout) != 1)
			die("cannot write the events");
}

/* ---- command line ---------------------------------------------------- */

static void
take_option(const char *name, const char *value)
{
	struct options *o = &b.o;

	if (strcmp(name, "port") == 0)
		o->port = atoi(value);
	else if (strcmp(name, "pid") == 0)
		o->pid = atoi(value);
	else if (strcmp(name, "conns") == 0)
		o->conns = atoi(value);
	else if (strcmp(name, "events") == 0)
		o->events = (uint32_t)atoi(value);
	else if (strcmp(name, "step_us") == 0)
		o->step_us = (uint32_t)atoi(value);
	else if (strcmp(name, "secs") == 0)
		o->secs = atof(value);
	else if (strcmp(name, "rate") == 0)
		o->rate = atof(value);
	else if (strcmp(name, "n") == 0)
		o->n = strtoull(value, NULL, 10);
	else if (strcmp(name, "seed") == 0)
		o->seed = strtoull(value, NULL, 10);
	else if (strcmp(name, "path") == 0)
		o->path = value;
	else if (strcmp(name, "label") == 0)
		o->label = value;
	else
		die("no option %s", name);
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	char *eq;
	int i;

	b.o = (struct options){ .conns = 1, .events = 1000, .step_us = 5000,
	    .secs = 5, .rate = 20000, .seed = (uint64_t)now_us(),
	    .path = "/api/v1/streams/badge", .label = "" };
	for (i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
		eq = strchr(argv[i], '=');
		if (eq == NULL)
			die("%s is not name=value", argv[i]);
		*eq = '\0';
		take_option(argv[i], eq + 1);
	}
	b.o.argv = i < argc ? argv + i + 1 : NULL;
	if (b.o.conns < 1 || b.o.conns > CONNS_MAX)
		die("conns is 1 to %d", CONNS_MAX);
	gen_init(&b.gen, b.o.seed, b.o.step_us);
	b.ep = epoll_create1(EPOLL_CLOEXEC);
	if (strcmp(mode, "pipeline") == 0)
		fputs(gen_pipeline, stdout);
	else if (strcmp(mode, "ingest") == 0)
		run_ingest();
	else if (strcmp(mode, "body") == 0)
		run_body();
	else if (strcmp(mode, "visible") == 0)
		run_visible("/api/v1/views/visits_hourly?office=berlin"
		    "&limit=24");
	else if (strcmp(mode, "query") == 0)
		run_query();
	else if (strcmp(mode, "post") == 0)
		run_post();
	else if (strcmp(mode, "start") == 0 && b.o.argv != NULL)
		run_start();
	else if (strcmp(mode, "events") == 0)
		run_events();
	else
		die("ingest, body, visible, query, post, start, events or "
		    "pipeline");
	return 0;
}
