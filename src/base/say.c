/* say: one log line, one write() on standard error.
 *
 *   terminal:  2026-03-01T12:00:00.123Z warn  log: disk is 95 % full
 *   elsewhere: {"time":"...","level":"warn","component":"log","message":"..."}
 *
 * Nothing here allocates, so that running out of memory can be told. The line
 * is made on the stack: MESSAGE_BYTES of message (cut between characters) are
 * at most six times as long escaped, and the buffer holds that. In text,
 * control characters become '?': what a client sent cannot write lines or
 * terminal commands of its own. When standard error does not take the line
 * at once it is dropped; a log must not stop the program. */
#include "base/base_int.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	COMPONENT_BYTES = 40,
	MESSAGE_BYTES = 2000,
	LINE_BYTES = 13000,
};
static_assert((MESSAGE_BYTES + COMPONENT_BYTES) * 6 + 200 < LINE_BYTES,
    "an escaped line fits");

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static _Atomic int min_level = TN_INFO;
static _Atomic int as_json = -1;

void
tn_say_setup(enum tn_level min, int json)
{
	atomic_store_explicit(&min_level, (int)min, memory_order_relaxed);
	atomic_store_explicit(&as_json, json, memory_order_relaxed);
}

static bool
wants_json(void)
{
	int json = atomic_load_explicit(&as_json, memory_order_relaxed);

	if (json < 0) {
		json = isatty(STDERR_FILENO) ? 0 : 1;
		atomic_store_explicit(&as_json, json, memory_order_relaxed);
	}
	return json != 0;
}

/* RFC 3339 in UTC, milliseconds. */
static void
add_time(struct tn_buf *line)
{
	struct timespec now = { 0, 0 };
	struct tm tm;
	char text[32];

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	tn_buf_printf(line, "%s.%03dZ", text, (int)(now.tv_nsec / 1000000));
}

static void
add_plain(struct tn_buf *line, const char *s)
{
	size_t left = strlen(s);

	while (left > 0) {
		const uint8_t *u = (const uint8_t *)s;
		size_t n = tn_utf8_length(u, left);
		bool control = u[0] < 0x20 || u[0] == 0x7f ||
		    (u[0] == 0xc2 && n == 2 && u[1] < 0xa0);

		if (n == 0 || control)
			tn_buf_char(line, '?');
		else
			tn_buf_add(line, s, n);
		s += n > 0 ? n : 1;
		left -= n > 0 ? n : 1;
	}
}

static void
add_field(struct tn_buf *line, const char *name, const char *value)
{
	tn_buf_printf(line, ",\"%s\":\"", name);
	tn_buf_json(line, value, strlen(value));
	tn_buf_char(line, '"');
}

static void
put(const struct tn_buf *line)
{
	const uint8_t *p = line->p;
	size_t left = line->n;

	while (left > 0) {
		ssize_t n = write(STDERR_FILENO, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		left -= (size_t)n;
	}
}

void
tn_say(enum tn_level level, const char *component, const char *fmt, ...)
{
	uint8_t room[LINE_BYTES];
	/* Never grows: the bytes are on the stack. */
	struct tn_buf line = { .p = room, .cap = sizeof room,
	    .max = sizeof room - 1 };
	char message[MESSAGE_BYTES];
	char from[COMPONENT_BYTES];
	int saved = errno;
	va_list args;
	int n;

	if ((int)level < atomic_load_explicit(&min_level, memory_order_relaxed))
		return;
	va_start(args, fmt);
	n = vsnprintf(message, sizeof message, fmt, args);
	va_end(args);
	if (n < 0)
		message[0] = '\0';
	else if ((size_t)n >= sizeof message)
		message[tn_utf8_cut(message, sizeof message - 1)] = '\0';
	(void)snprintf(from, sizeof from, "%s", component);
	if (wants_json()) {
		tn_buf_str(&line, "{\"time\":\"");
		add_time(&line);
		tn_buf_char(&line, '"');
		add_field(&line, "level", level_names[level]);
		add_field(&line, "component", from);
		add_field(&line, "message", message);
		tn_buf_char(&line, '}');
	} else {
		add_time(&line);
		tn_buf_printf(&line, " %-5s ", level_names[level]);
		add_plain(&line, from);
		tn_buf_str(&line, ": ");
		add_plain(&line, message);
	}
	tn_buf_char(&line, '\n');
	tn_assert(line.p == room);
	put(&line);
	errno = saved;
}
