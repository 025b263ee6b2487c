/* Listening sockets that outlive the program: it starts itself anew, in the
 * same process, and its sockets stay open, so that nobody who connects
 * meanwhile is refused: the connection waits in the kernel's queue.
 *
 *   note     a socket listens, under a name that has its address
 *   keep     a copy of each, before they are closed
 *   pass     the copies are for the next program: an environment variable
 *            "PID:name=fd,name=fd" names them, as LISTEN_FDS of systemd does
 *   (exec)
 *   take     the socket of a name, in the order they were noted
 *   end      those that nobody took are closed
 *
 * What can go wrong: the variable is another process's, or names what is no
 * listening socket; then it is as if it were not there. Loop thread only. */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VARIABLE "TARN_LISTEN_FDS"
#define SOCKETS_MAX 8
#define NAME_BYTES 200

struct socket {
	char name[NAME_BYTES];
	int fd;                      /* -1: none. */
};
/* Sockets of a process, as its descriptors are. */
static struct socket noted[SOCKETS_MAX], kept[SOCKETS_MAX],
    handed[SOCKETS_MAX];
static bool is_read;

static void
put(struct socket *list, const char *name, int fd)
{
	for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
		if (list[i].name[0] != '\0')
			continue;
		memcpy(list[i].name, name, strnlen(name, NAME_BYTES - 1));
		list[i].fd = fd;
		return;
	}
}

void
tn_net_hand_note(const char *name, int fd)
{
	if (strlen(name) < NAME_BYTES && strpbrk(name, ",=") == NULL)
		put(noted, name, fd);
}

void
tn_net_hand_gone(int fd)
{
	for (uint32_t i = 0; i < SOCKETS_MAX; i++)
		if (noted[i].name[0] != '\0' && noted[i].fd == fd)
			noted[i].name[0] = '\0';
}

void
tn_net_hand_keep(void)
{
	for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
		int fd;
		if (noted[i].name[0] == '\0')
			continue;
		fd = fcntl(noted[i].fd, F_DUPFD_CLOEXEC, 3);
		if (fd >= 0)
			put(kept, noted[i].name, fd);
	}
}

/* Not before the last moment: no other child gets them. */
void
tn_net_hand_pass(void)
{
	struct tn_buf b = { 0 };
	uint32_t n = 0;

	tn_buf_printf(&b, "%ld:", (long)getpid());
	for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
		if (kept[i].name[0] == '\0' ||
		    fcntl(kept[i].fd, F_SETFD, 0) != 0)
			continue;
		tn_buf_printf(&b, "%s%s=%d", n++ > 0 ? "," : "",
		    kept[i].name, kept[i].fd);
	}
	(void)setenv(VARIABLE, tn_buf_cstr(&b), 1);
	tn_buf_fini(&b);
}

/* ---- the other side --------------------------------------------------- */

static bool
listens(int fd)
{
	int on = 0;
	socklen_t n = sizeof on;

	return fd > 2 && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on,
	    &n) == 0 && on != 0;
}

static void
read_variable(void)
{
	const char *text = getenv(VARIABLE);
	char *end = NULL;

	if (is_read)
		return;
	is_read = true;
	if (text == NULL || strtol(text, &end, 10) != (long)getpid() ||
	    *end != ':')
		return;
	for (const char *p = end + 1; *p != '\0'; ) {
		size_t n = strcspn(p, ",");
		const char *eq = memchr(p, '=', n);
		char name[NAME_BYTES];
		int fd = eq != NULL ? (int)strtol(eq + 1, NULL, 10) : -1;
		if (eq != NULL && eq - p < NAME_BYTES && eq > p &&
		    listens(fd)) {
			snprintf(name, sizeof name, "%.*s", (int)(eq - p), p);
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
			put(handed, name, fd);
		}
		p += n + (p[n] == ',');
	}
}

int
tn_net_hand_take(const char *name)
{
	read_variable();
	for (uint32_t i = 0; i < SOCKETS_MAX; i++)
		if (strcmp(handed[i].name, name) == 0) {
			handed[i].name[0] = '\0';
			return handed[i].fd;
		}
	return -1;
}

void
tn_net_hand_end(void)
{
	read_variable();
	for (uint32_t i = 0; i < SOCKETS_MAX; i++) {
		if (handed[i].name[0] != '\0')
			(void)close(handed[i].fd);
		handed[i].name[0] = '\0';
	}
	(void)unsetenv(VARIABLE);
}
