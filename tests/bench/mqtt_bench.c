/* mqtt_bench: a load client for any MQTT 3.1.1 broker. One thread, epoll, its
 * own few packets, so that most of the machine is left to the broker.
 *
 *   publish  every connection keeps inflight= messages unanswered (QoS 1, 2),
 *            or writes as much as its socket takes (QoS 0; one of QoS 1 is the
 *            last, so that all is done when its answer is there); with
 *            rate= an open loop: answers count from when one was due
 *   fanout   a publisher and a subscriber; at most inflight= on their way
 *   idle     connections that say nothing: anonymous memory of pid= for each
 *
 * Payloads are JSON of about 110 bytes, each with its own number. Any answer
 * but the expected ends the bench with exit code 1. One line to stdout:
 *
 *   publish, fanout: messages/s, p50 us, p99 us, CPU-s of pid= for 1 M,
 *   messages (p50 and p99: of acknowledgements; 0 where there are none)
 *   idle: bytes for a connection */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 20000
#define IN_BYTES 65536
#define OUT_BYTES 65536
#define SLOTS 1024               /* In flight of one connection, at most. */
#define US_MAX 2000000           /* Of the histogram of answers. */
#define SILENCE_US 10000000

enum { CONNACK = 2, PUBLISH = 3, PUBACK = 4, PUBREC = 5, PUBREL = 6,
	PUBCOMP = 7, SUBACK = 9 };

struct options {
	int port, pid, conns, qos, inflight;
	double secs, rate;
	const char *topic;
};
struct conn {
	int fd;
	bool ready;                  /* CONNACK or SUBACK came. */
	bool want_out;
	int inflight;
	uint16_t next_id;
	uint8_t head[256];           /* Of a PUBLISH, the identifier last. */
	size_t head_n;
	size_t in_n, out_n, out_at;
	uint8_t *in, *out;
	int64_t sent_us[SLOTS];      /* By identifier: since when it counts. */
};
static struct {
	struct options o;
	struct conn *conns;
	int ep;
	uint64_t number;             /* Of the next message. */
	uint64_t sent, done, came;
	uint64_t acks;               /* Counted in answers. */
	bool stop;                   /* Send no more. */
	bool eager;                  /* Send whenever a socket has room. */
	int64_t now_us, begin_us, heard_us;
	uint32_t *answers;           /* How many took so many microseconds. */
} b;

static void
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "mqtt_bench: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static int64_t
clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- about the broker ------------------------------------------------ */

static double
cpu_of(int pid)
{
	char path[64], text[1024];
	unsigned long user = 0, system = 0;
	FILE *f;
	size_t n;
	char *at;

	if (pid == 0)
		return 0;
	(void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f == NULL)
		die("no process %d", pid);
	n = fread(text, 1, sizeof text - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	at = strrchr(text, ')');
	if (at == NULL || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u "
	    "%*u %*u %*u %lu %lu", &user, &system) != 2)
		die("cannot read %s", path);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double
memory_of(int pid)
{
	char path[64], line[256];
	long kib = -1;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		(void)sscanf(line, "RssAnon: %ld", &kib);
	if (f != NULL)
		(void)fclose(f);
	if (kib < 0)
		die("no process %d", pid);
	return (double)kib * 1024;
}

/* ---- sending --------------------------------------------------------- */

static void
watch(struct conn *c, bool out)
{
	struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0),
	    .data.ptr = c };

	if (c->want_out == out)
		return;
	c->want_out = out;
	if (epoll_ctl(b.ep, EPOLL_CTL_MOD, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void
flush(struct conn *c)
{
	ssize_t n;

	if (c->out_at == c->out_n)
		return;
	n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at,
	    MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		die("send: %s", strerror(errno));
	if (n > 0) {
		c->out_at += (size_t)n;
		b.heard_us = b.now_us;
	}
	if (c->out_at == c->out_n)
		c->out_at = c->out_n = 0;
	watch(c, c->out_n > 0 || b.eager);
}

static uint8_t *
room(struct conn *c, size_t n)
{
	uint8_t *at;

	if (c->out_n + n > OUT_BYTES)
		die("too much to send");
	at = c->out + c->out_n;
	c->out_n += n;
	return at;
}

static void
answer(struct conn *c, uint8_t first, uint16_t id)
{
	uint8_t *p = room(c, 4);

	p[0] = first;
	p[1] = 2;
	p[2] = (uint8_t)(id >> 8);
	p[3] = (uint8_t)id;
}

/* Digits of the number go to the places of the zeros; the time of event moves
 * a second every thousand messages. */
static const char payload[] = "{\"ts\":\"2026-03-01T08:00:00.000Z\","
    "\"device\":\"sensor-000000\",\"n\":1000000000,\"temp_c\":21.50,"
    "\"humidity\":40.25}";
#define PAYLOAD_N (sizeof payload - 1)

static void
digits(uint8_t *last, uint64_t n, int count)
{
	for (; count > 0; count--, n /= 10)
		*last-- = (uint8_t)('0' + n % 10);
}

static void
put_payload(uint8_t *p)
{
	static size_t ms, device, number;
	uint64_t n = b.number++;

	if (ms == 0) {
		ms = (size_t)(strstr(payload, "000Z") - payload) + 2;
		device = (size_t)(strstr(payload, "000000") - payload) + 5;
		number = (size_t)(strstr(payload, "1000000000") - payload) + 9;
	}
	memcpy(p, payload, PAYLOAD_N);
	digits(p + ms, n, 3);
	digits(p + ms - 4, n / 1000 % 60, 2);
	digits(p + device, n % 5000, 4);
	digits(p + number, n, 9);
}

static size_t
varint(uint8_t *p, size_t n)
{
	size_t i = 0;

	do {
		p[i] = (uint8_t)(n % 128 | (n >= 128 ? 128 : 0));
		n /= 128;
		i++;
	} while (n > 0);
	return i;
}

static void
make_head(struct conn *c, const char *topic)
{
	size_t n = strlen(topic), id = b.o.qos > 0 ? 2 : 0;

	if (n > 200)
		die("topic too long");
	c->head[0] = (uint8_t)(PUBLISH << 4 | b.o.qos << 1);
	c->head_n = 1 + varint(c->head + 1, 2 + n + id + PAYLOAD_N);
	c->head[c->head_n++] = (uint8_t)(n >> 8);
	c->head[c->head_n++] = (uint8_t)n;
	memcpy(c->head + c->head_n, topic, n);
	c->head_n += n + id;
}

static bool
has_room(const struct conn *c)
{
	return c->out_n + c->head_n + PAYLOAD_N + 4096 <= OUT_BYTES;
}

static void
publish(struct conn *c, int64_t since_us)
{
	uint8_t *p = room(c, c->head_n + PAYLOAD_N);

	memcpy(p, c->head, c->head_n);
	p += c->head_n;
	if (b.o.qos > 0) {
		p[-2] = (uint8_t)(c->next_id >> 8);
		p[-1] = (uint8_t)c->next_id;
		c->sent_us[c->next_id % SLOTS] = since_us;
		c->next_id = c->next_id == UINT16_MAX ? 1 :
		    (uint16_t)(c->next_id + 1);
		c->inflight++;
	}
	put_payload(p);
	b.sent++;
}

/* ---- receiving ------------------------------------------------------- */

static void
acknowledged(struct conn *c, uint16_t id)
{
	int64_t us = b.now_us - c->sent_us[id % SLOTS];

	if (us < 0)
		us = 0;
	b.answers[us < US_MAX ? us : US_MAX - 1]++;
	b.acks++;
}

static void
received(struct conn *c, const uint8_t *p, size_t body, size_t n)
{
	uint16_t id = n >= body + 2 ? (uint16_t)(p[body] << 8 | p[body + 1]) :
	    0;

	switch (p[0] >> 4) {
	case CONNACK:
		if (p[body + 1] != 0)
			die("refused with %d", p[body + 1]);
		c->ready = true;
		break;
	case SUBACK:
		if (p[n - 1] >= 0x80)
			die("subscription refused");
		c->ready = true;
		break;
	case PUBREC:
		answer(c, PUBREL << 4 | 2, id);
		break;
	case PUBACK:
	case PUBCOMP:
		acknowledged(c, id);
		c->inflight--;
		b.done++;
		break;
	case PUBLISH:
		b.came++;
		if ((p[0] & 6) != 0) {
			size_t topic = (size_t)(p[body] << 8 | p[body + 1]);
			const uint8_t *at = p + body + 2 + topic;
			answer(c, PUBACK << 4, (uint16_t)(at[0] << 8 | at[1]));
		}
		break;
	default:
		die("unexpected packet %d", p[0] >> 4);
	}
}

/* One packet off ${p}; 0: more bytes are needed. */
static size_t
one_packet(struct conn *c, const uint8_t *p, size_t n)
{
	size_t rest = 0, at = 1;
	int shift = 0;

	do {
		if (at >= n)
			return 0;
		rest |= (size_t)(p[at] & 127) << shift;
		shift += 7;
	} while (p[at++] >= 128);
	if (at + rest > n)
		return 0;
	received(c, p, at, at + rest);
	return at + rest;
}

/* False: nothing more to read now. */
static bool
take_in(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_n, IN_BYTES - c->in_n, 0);
	size_t at = 0, used;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		die("connection lost: %s", n == 0 ? "end" : strerror(errno));
	c->in_n += (size_t)n;
	b.heard_us = b.now_us;
	do {
		used = one_packet(c, c->in + at, c->in_n - at);
		at += used;
		if (OUT_BYTES - c->out_n < 4096)
			flush(c);
	} while (used > 0);
	memmove(c->in, c->in + at, c->in_n - at);
	c->in_n -= at;
	return c->in_n < IN_BYTES && (size_t)n > 32768;
}

/* ---- modes: who sends when ------------------------------------------- */

static void
closed_loop(struct conn *c)
{
	while (!b.stop && (b.o.qos == 0 || c->inflight < b.o.inflight) &&
	    has_room(c))
		publish(c, b.now_us);
	flush(c);
}

/* Messages that are due, to connections in turn. */
static void
open_loop(void)
{
	static uint32_t next;
	uint64_t due = (uint64_t)((double)(b.now_us - b.begin_us) * 1e-6 *
	    b.o.rate);
	int full = 0;

	while (!b.stop && b.sent < due && full < b.o.conns) {
		struct conn *c = &b.conns[next++ % (uint32_t)b.o.conns];
		if (c->inflight >= b.o.inflight || !has_room(c)) {
			full++;
			continue;
		}
		full = 0;
		publish(c, b.begin_us + (int64_t)((double)b.sent * 1e6 /
		    b.o.rate));
	}
	for (int i = 0; i < b.o.conns; i++)
		if (b.conns[i].out_n > 0 && !b.conns[i].want_out)
			flush(&b.conns[i]);
}

/* ---- connections ----------------------------------------------------- */

static void
turn(int wait_ms, void (*each)(struct conn *c))
{
	static struct epoll_event e[256];
	int n = epoll_wait(b.ep, e, 256, wait_ms);

	b.now_us = clock_us();
	for (int i = 0; i < n; i++) {
		struct conn *c = e[i].data.ptr;
		if (e[i].events & EPOLLOUT)
			flush(c);
		while ((e[i].events & ~(uint32_t)EPOLLOUT) != 0 && take_in(c))
			;
		if (each != NULL)
			each(c);
		flush(c);
	}
	if (b.now_us - b.heard_us > SILENCE_US)
		die("no answer for %d s", SILENCE_US / 1000000);
}

static void
connect_one(struct conn *c, int i)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)b.o.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
	static const uint8_t head[] = { 0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4,
	    2, 0, 0 };
	char id[32];
	/* Of a thousand senders of QoS 0 not all memory is to be on its way. */
	int one = 1, send_bytes = OUT_BYTES, n = snprintf(id, sizeof id, "bench-%d-%d", (int)getpid(),
	    i);
	uint8_t *p;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
		die("connect: %s", strerror(errno));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &send_bytes,
	    sizeof send_bytes);
	(void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
	if (epoll_ctl(b.ep, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll_ctl: %s", strerror(errno));
	c->in = malloc(IN_BYTES);
	c->out = malloc(OUT_BYTES);
	if (c->in == NULL || c->out == NULL)
		die("memory");
	c->next_id = 1;
	p = room(c, sizeof head + 2 + (size_t)n);
	memcpy(p, head, sizeof head);
	p[1] = (uint8_t)(sizeof head + (size_t)n);
	p[sizeof head] = 0;
	p[sizeof head + 1] = (uint8_t)n;
	memcpy(p + sizeof head + 2, id, (size_t)n);
	flush(c);
}

static void
wait_ready(struct conn *c, int count)
{
	for (int i = 0; i < count; i++)
		while (!c[i].ready)
			turn(1000, NULL);
	for (int i = 0; i < count; i++)
		c[i].ready = false;
}

static void
connect_all(int count)
{
	for (int i = 0; i < count; i++) {
		connect_one(&b.conns[i], i);
		if (i % 64 == 63 || i + 1 == count)
			wait_ready(&b.conns[i / 64 * 64], i % 64 + 1);
	}
}

/* ---- modes ----------------------------------------------------------- */

static uint32_t
percentile(double part)
{
	uint64_t want = (uint64_t)((double)b.acks * part), seen = 0;

	for (uint32_t us = 0; us < US_MAX; us++) {
		seen += b.answers[us];
		if (seen > want)
			return us;
	}
	return 0;
}

static void
begin(void)
{
	b.now_us = b.heard_us = b.begin_us = clock_us();
}

static void
say(uint64_t messages, double cpu)
{
	double secs = (double)(clock_us() - b.begin_us) / 1e6;

	printf("%.0f\t%u\t%u\t%.2f\t%llu\n", (double)messages / secs,
	    (unsigned)percentile(0.5), (unsigned)percentile(0.99),
	    cpu * 1e6 / (double)messages, (unsigned long long)messages);
}

static void
forget_answers(void)
{
	memset(b.answers, 0, US_MAX * sizeof *b.answers);
	b.acks = 0;
}

/* Behind messages of QoS 0 one of QoS 1: its answer says that the broker is
 * done with all before it. */
static void
send_last(void)
{
	int qos = b.o.qos;

	b.o.qos = 1;
	for (int i = 0; i < b.o.conns; i++) {
		struct conn *c = &b.conns[i];
		while (!has_room(c))
			turn(10, NULL);
		make_head(c, b.o.topic);
		publish(c, b.now_us);
		flush(c);
	}
	b.o.qos = qos;
}

static void
run_publish(void)
{
	int64_t end_us;
	double cpu;

	for (int i = 0; i < b.o.conns; i++)
		make_head(&b.conns[i], b.o.topic);
	connect_all(b.o.conns);
	b.eager = b.o.qos == 0 && b.o.rate == 0;
	cpu = cpu_of(b.o.pid);
	begin();
	end_us = b.begin_us + (int64_t)(b.o.secs * 1e6);
	for (int i = 0; i < b.o.conns && b.o.rate == 0; i++)
		closed_loop(&b.conns[i]);
	while (b.now_us < end_us) {
		turn(b.o.rate > 0 ? 1 : 100, b.o.rate > 0 ? NULL :
		    closed_loop);
		if (b.o.rate > 0)
			open_loop();
	}
	b.stop = true;
	b.eager = false;
	if (b.o.qos == 0)
		send_last();
	while (b.done < (b.o.qos == 0 ? (uint64_t)b.o.conns : b.sent))
		turn(1000, NULL);
	if (b.o.qos == 0)
		forget_answers();
	say(b.sent, cpu_of(b.o.pid) - cpu);
}

static void
subscribe(struct conn *c)
{
	size_t n = strlen(b.o.topic);
	uint8_t *p = room(c, n + 7);

	p[0] = 0x82;
	p[1] = (uint8_t)(n + 5);
	p[2] = 0;
	p[3] = 1;
	p[4] = 0;
	p[5] = (uint8_t)n;
	memcpy(p + 6, b.o.topic, n);
	p[6 + n] = (uint8_t)b.o.qos;
	flush(c);
	wait_ready(c, 1);
}

static void
run_fanout(void)
{
	struct conn *from = &b.conns[0];
	int64_t end_us;
	double cpu;

	make_head(from, b.o.topic);
	connect_all(2);
	subscribe(&b.conns[1]);
	cpu = cpu_of(b.o.pid);
	begin();
	end_us = b.begin_us + (int64_t)(b.o.secs * 1e6);
	while (b.now_us < end_us || b.came < b.sent) {
		while (b.now_us < end_us && has_room(from) &&
		    b.sent - b.came < (uint64_t)b.o.inflight &&
		    (b.o.qos == 0 || from->inflight < b.o.inflight))
			publish(from, b.now_us);
		flush(from);
		turn(100, NULL);
	}
	forget_answers();
	say(b.came, cpu_of(b.o.pid) - cpu);
}

static void
run_idle(void)
{
	double before = memory_of(b.o.pid);

	connect_all(b.o.conns);
	printf("%.0f\n", (memory_of(b.o.pid) - before) / b.o.conns);
}

/* ---- options --------------------------------------------------------- */

static void
parse(char *arg)
{
	char *value = strchr(arg, '=');
	struct options *o = &b.o;

	if (value == NULL)
		die("%s: NAME=VALUE is wanted", arg);
	*value++ = '\0';
	if (strcmp(arg, "port") == 0)
		o->port = atoi(value);
	else if (strcmp(arg, "pid") == 0)
		o->pid = atoi(value);
	else if (strcmp(arg, "conns") == 0)
		o->conns = atoi(value);
	else if (strcmp(arg, "qos") == 0)
		o->qos = atoi(value);
	else if (strcmp(arg, "inflight") == 0)
		o->inflight = atoi(value);
	else if (strcmp(arg, "secs") == 0)
		o->secs = atof(value);
	else if (strcmp(arg, "rate") == 0)
		o->rate = atof(value);
	else if (strcmp(arg, "topic") == 0)
		o->topic = value;
	else
		die("no option %s", arg);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = { { "publish", run_publish }, { "fanout", run_fanout },
	    { "idle", run_idle } };
	struct rlimit files = { CONNS_MAX + 64, CONNS_MAX + 64 };

	b.o = (struct options){ .port = 1883, .conns = 1, .qos = 1,
	    .inflight = 1, .secs = 2, .topic = "bench/one" };
	for (int i = 2; i < argc; i++)
		parse(argv[i]);
	if (b.o.conns < 1 || b.o.conns > CONNS_MAX || b.o.qos < 0 ||
	    b.o.qos > 2 || b.o.inflight < 1 || b.o.inflight > SLOTS)
		die("an option is out of bounds");
	(void)setrlimit(RLIMIT_NOFILE, &files);
	b.conns = calloc((size_t)b.o.conns + 1, sizeof *b.conns);
	b.answers = calloc(US_MAX, sizeof *b.answers);
	b.ep = epoll_create1(0);
	if (b.conns == NULL || b.answers == NULL || b.ep < 0)
		die("memory");
	begin();
	for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
		if (strcmp(argv[1], modes[i].name) == 0) {
			modes[i].run();
			return 0;
		}
	die("publish, fanout or idle is wanted");
	return 1;
}
