/* status: names of results, what a user is told about a mistake, and the end
 * of the process when an asserted fact is false.
 *
 * A tn_diag is plain data of fixed size: texts that do not fit are cut at a
 * character's boundary. Nothing here allocates or can fail. */
#include "base/base_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
	[TN_OK] = "ok",
	[TN_END] = "end",
	[TN_EINVAL] = "invalid",
	[TN_ENOTFOUND] = "not found",
	[TN_EEXIST] = "exists already",
	[TN_ECONFLICT] = "conflict",
	[TN_EDENIED] = "denied",
	[TN_EFULL] = "full",
	[TN_ELIMIT] = "limit exceeded",
	[TN_ECORRUPT] = "corrupt",
	[TN_EUNSUPPORTED] = "unsupported",
	[TN_ENOSPC] = "no space",
	[TN_EIO] = "input/output error",
	[TN_ENOMEM] = "out of memory",
	[TN_ECLOSED] = "closed",
	[TN_EUNREACHABLE] = "unreachable",
};

const char *
tn_status_text(enum tn_status st)
{
	size_t i = (size_t)st;

	if (i >= TN_COUNT(names) || names[i] == NULL)
		return "unknown status";
	return names[i];
}

/* Format into a fixed field; what does not fit is cut between characters. */
static void TN_PRINTF(3, 0)
fill(char *field, size_t bytes, const char *fmt, va_list args)
{
	int n = vsnprintf(field, bytes, fmt, args);

	if (n < 0)
		field[0] = '\0';
	else if ((size_t)n >= bytes)
		field[tn_utf8_cut(field, bytes - 1)] = '\0';
}

enum tn_status
tn_diag_set(struct tn_diag *d, enum tn_status st, const char *code,
    const char *fmt, ...)
{
	va_list args;

	tn_assert(code != NULL);
	if (d == NULL)
		return st;
	(void)snprintf(d->code, sizeof d->code, "%s", code);
	va_start(args, fmt);
	fill(d->message, sizeof d->message, fmt, args);
	va_end(args);
	return st;
}

void
tn_diag_hint(struct tn_diag *d, const char *fmt, ...)
{
	va_list args;

	if (d == NULL)
		return;
	va_start(args, fmt);
	fill(d->hint, sizeof d->hint, fmt, args);
	va_end(args);
}

void
tn_assert_fail(const char *fact, const char *file, int line, const char *func)
{
	static _Thread_local bool failing;

	/* A false fact inside tn_say must not call tn_say for ever. */
	if (!failing) {
		failing = true;
		tn_say(TN_ERROR, "bug", "%s:%d: %s: this must be true: %s",
		    file, line, func, fact);
	}
	abort();
}
