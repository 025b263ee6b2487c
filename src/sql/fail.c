/* Mistakes: the first is kept with its place, and the nearest known name is
 * offered. */
#include "sql/sql_int.h"

#include <stdio.h>
#include <string.h>

void *
tn_sql_fail(struct tn_sql_bind *b, uint32_t at, const char *code,
    const char *hint, const char *fmt, ...)
{
	char message[400];
	va_list ap;

	if (b->st != TN_OK)
		return NULL;
	b->st = strcmp(code, "unsupported") == 0 ? TN_EUNSUPPORTED :
	    TN_EINVAL;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	(void)tn_diag_set(b->d, b->st, code, "%s", message);
	tn_sql_text_place(b->text, at, b->d);
	if (hint != NULL)
		tn_diag_hint(b->d, "%s", hint);
	return NULL;
}

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Edits (insert, delete, replace, swap neighbours) between two names. */
static uint32_t
edits(const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
	uint32_t row[3][TN_SQL_NAME_MAX + 2];
	uint32_t *two = row[0], *one = row[1], *now = row[2], *swap;
	size_t i, j;

	if (an > TN_SQL_NAME_MAX || bn > TN_SQL_NAME_MAX)
		return UINT32_MAX;
	for (j = 0; j <= bn; j++)
		one[j] = (uint32_t)j;
	memcpy(two, one, sizeof row[0]);
	for (i = 1; i <= an; i++) {
		now[0] = (uint32_t)i;
		for (j = 1; j <= bn; j++) {
			uint8_t x = lower(a[i - 1]), y = lower(b[j - 1]);
			uint32_t best = one[j - 1] + (x != y);

			if (one[j] + 1 < best)
				best = one[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && x == lower(b[j - 2]) &&
			    y == lower(a[i - 2]) && two[j - 2] + 1 < best)
				best = two[j - 2] + 1;
			now[j] = best;
		}
		swap = two;
		two = one;
		one = now;
		now = swap;
	}
	return one[bn];
}

void
tn_sql_near_try(struct tn_sql_near *n, const char *name)
{
	size_t len = strlen(name);
	uint32_t d;
	uint32_t most = n->word.n <= 3 ? 1 : n->word.n <= 7 ? 2 : 3;

	d = edits(n->word.p, n->word.n, (const uint8_t *)name, len);
	/* A name that the word begins, or that begins the word, is near too
	 * ("temp" for "temp_c"). */
	if (d > most && n->word.n >= 3 && len >= 3 &&
	    memcmp(n->word.p, name, len < n->word.n ? len : n->word.n) == 0)
		d = most;
	if (d <= most && (n->best == NULL || d < n->distance)) {
		n->best = name;
		n->distance = d;
	}
}

const char *
tn_sql_near_hint(struct tn_sql_bind *b, const struct tn_sql_near *n,
    const char *other)
{
	if (n->best == NULL)
		return other;
	return tn_arena_printf(b->a, "Did you mean \"%s\"?", n->best);
}
