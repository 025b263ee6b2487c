/* Texts before the parser: bytes are checked, tokens found, places counted.
 *
 * The tokens follow PostgreSQL's lexer as far as their ends go (strings with
 * '' and E'\'', "identifiers", $tag$ strings, nested comments, operators), so
 * that a text that parses is cut up alike. They serve three ends: refuse
 * identifiers that PostgreSQL would cut silently, give the text of a CHECK
 * as written, and print a definition that does not change with blanks or
 * comments. A broken text gives some tokens and then END; the parser is the
 * one that complains. */
#include "sql/sql_int.h"

#include <stdio.h>
#include <string.h>

#define COMMENTS_MAX 50    /* Inside one another. */

static bool
is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word_start(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    c >= 0x80;
}

static bool
is_word(uint8_t c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

static bool
is_operator(uint8_t c)
{
	return c != 0 && strchr("+-*/<>=~!@#%^&|`?", c) != NULL;
}

static uint8_t
peek(const struct tn_sql_text *t, uint32_t i)
{
	return i < t->n ? (uint8_t)t->p[i] : 0;
}

/* Past a comment that nests, from its slash. *deepest grows to the number
 * of comments inside one another. */
static uint32_t
skip_block(const struct tn_sql_text *t, uint32_t i, uint32_t *deepest)
{
	uint32_t depth = 0;

	while (i < t->n) {
		if (t->p[i] == '/' && peek(t, i + 1) == '*') {
			depth++;
			if (depth > *deepest)
				*deepest = depth;
			i += 2;
		} else if (t->p[i] == '*' && peek(t, i + 1) == '/') {
			depth--;
			i += 2;
			if (depth == 0)
				return i;
		} else {
			i++;
		}
	}
	return t->n;
}

static uint32_t
skip_blanks(const struct tn_sql_text *t, uint32_t i, uint32_t *deepest)
{
	while (i < t->n) {
		if (is_blank((uint8_t)t->p[i])) {
			i++;
		} else if (t->p[i] == '-' && peek(t, i + 1) == '-') {
			while (i < t->n && t->p[i] != '\n' && t->p[i] != '\r')
				i++;
		} else if (t->p[i] == '/' && peek(t, i + 1) == '*') {
			i = skip_block(t, i, deepest);
		} else {
			break;
		}
	}
	return i;
}

/* Past a quoted thing from its first quote; the quote doubled is part. */
static uint32_t
skip_quoted(const struct tn_sql_text *t, uint32_t i, bool backslash)
{
	char quote = t->p[i++];

	while (i < t->n) {
		if (backslash && t->p[i] == '\\' && i + 1 < t->n) {
			i += 2;
		} else if (t->p[i] != quote) {
			i++;
		} else if (peek(t, i + 1) == (uint8_t)quote) {
			i += 2;
		} else {
			return i + 1;
		}
	}
	return t->n;
}

/* Past a $tag$ string, or just the dollar if it is none. */
static uint32_t
skip_dollar(const struct tn_sql_text *t, uint32_t i)
{
	uint32_t tag_end = i + 1;
	uint32_t tag_n, k;

	while (is_word(peek(t, tag_end)) && peek(t, tag_end) != '$')
		tag_end++;
	if (peek(t, tag_end) != '$' || is_digit(peek(t, i + 1)))
		return i + 1;
	tag_n = tag_end + 1 - i;
	for (k = tag_end + 1; k + tag_n <= t->n; k++)
		if (memcmp(t->p + k, t->p + i, tag_n) == 0)
			return k + tag_n;
	return t->n;
}

static uint32_t
skip_number(const struct tn_sql_text *t, uint32_t i)
{
	for (; i < t->n; i++) {
		uint8_t c = (uint8_t)t->p[i];

		if ((c == '+' || c == '-') &&
		    (t->p[i - 1] | 32) == 'e' && is_digit(peek(t, i + 1)))
			continue;
		if (!is_word(c) && c != '.')
			break;
	}
	return i;
}

/* End of a run of signs; it ends before a comment. */
static uint32_t
skip_signs(const struct tn_sql_text *t, uint32_t i)
{
	uint32_t from = i;

	while (is_operator(peek(t, i))) {
		if (i > from && t->p[i] == '-' && peek(t, i + 1) == '-')
			break;
		if (i > from && t->p[i] == '/' && peek(t, i + 1) == '*')
			break;
		i++;
	}
	return i;
}

/* A trailing plus or minus belongs to what follows unless the operator has
 * an unusual character. */
static uint32_t
skip_operator(const struct tn_sql_text *t, uint32_t i)
{
	uint32_t from = i;
	bool unusual = false;

	for (uint32_t end = skip_signs(t, i); i < end; i++)
		unusual |= strchr("~!@#%^&|`?", t->p[i]) != NULL;
	while (!unusual && i > from + 1 &&
	    (t->p[i - 1] == '+' || t->p[i - 1] == '-'))
		i--;
	return i;
}

static struct tn_sql_token
word(const struct tn_sql_text *t, uint32_t i)
{
	struct tn_sql_token tok = { .kind = TN_SQL_TOK_WORD, .at = i };
	uint32_t end = i;

	while (is_word(peek(t, end)))
		end++;
	if (end - i == 1 && peek(t, end) == '\'' &&
	    strchr("eEbBxXnN", t->p[i]) != NULL) {
		tok.kind = TN_SQL_TOK_STRING;
		end = skip_quoted(t, end, (t->p[i] | 32) == 'e');
	} else if (end - i == 1 && (t->p[i] | 32) == 'u' &&
	    peek(t, end) == '&' &&
	    (peek(t, end + 1) == '\'' || peek(t, end + 1) == '"')) {
		tok.kind = TN_SQL_TOK_STRING;
		end = skip_quoted(t, end + 1, false);
	}
	tok.n = end - i;
	return tok;
}

struct tn_sql_token
tn_sql_token_next(const struct tn_sql_text *t, uint32_t *at, uint32_t end)
{
	uint32_t deepest = 0, i = skip_blanks(t, *at, &deepest);
	struct tn_sql_token tok = { .kind = TN_SQL_TOK_OTHER, .at = i };
	uint8_t c = peek(t, i);

	if (end > t->n)
		end = t->n;
	if (i >= end) {
		tok.kind = TN_SQL_TOK_END;
		*at = end;
		return tok;
	}
	if (is_word_start(c)) {
		tok = word(t, i);
	} else if (c == '\'') {
		tok.kind = TN_SQL_TOK_STRING;
		tok.n = skip_quoted(t, i, false) - i;
	} else if (c == '"') {
		tok.kind = TN_SQL_TOK_QUOTED;
		tok.n = skip_quoted(t, i, false) - i;
	} else if (c == '$') {
		tok.n = skip_dollar(t, i) - i;
		tok.kind = tok.n > 1 ? TN_SQL_TOK_STRING : TN_SQL_TOK_OTHER;
	} else if (is_digit(c) || (c == '.' && is_digit(peek(t, i + 1)))) {
		tok.n = skip_number(t, i + 1) - i;
	} else if (is_operator(c)) {
		tok.n = skip_operator(t, i) - i;
	} else {
		tok.n = c == ':' && peek(t, i + 1) == ':' ? 2 : 1;
	}
	*at = i + tok.n;
	return tok;
}

/* Columns count characters, as editors do. */
void
tn_sql_text_place(const struct tn_sql_text *t, uint32_t at,
    struct tn_diag *d)
{
	uint32_t i;

	if (d == NULL)
		return;
	(void)snprintf(d->file, sizeof d->file, "%s", t->name);
	d->line = 1;
	d->column = 1;
	for (i = 0; i < at && i < t->n; i++) {
		if (t->p[i] == '\n') {
			d->line++;
			d->column = 1;
		} else if (((uint8_t)t->p[i] & 0xc0) != 0x80) {
			d->column++;
		}
	}
}

static enum tn_status
refuse(const struct tn_sql_text *t, uint32_t at, struct tn_diag *d,
    const char *code, const char *message)
{
	tn_sql_text_place(t, at, d);
	return tn_diag_set(d, TN_EINVAL, code, "%s", message);
}

/* Where UTF-8 ends being valid: the longest good prefix by halving. */
static uint32_t
utf8_bad_at(const struct tn_sql_text *t)
{
	uint32_t i = 0;

	while (i < t->n) {
		uint8_t c = (uint8_t)t->p[i];
		uint32_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

		if (i + n > t->n || !tn_utf8_valid(t->p + i, n))
			return i;
		i += n;
	}
	return i;
}

/* Names that PostgreSQL would cut; and comments in comments and runs of
 * signs, over which its lexer takes time that grows with the square of their
 * number (measured: 3.4 s and 8.4 s for 64 KiB of them). */
static enum tn_status
check_tokens(const struct tn_sql_text *t, struct tn_diag *d)
{
	uint32_t at = 0, deepest = 0;
	struct tn_sql_token tok;

	do {
		uint32_t before = at, quotes;
		bool name;

		(void)skip_blanks(t, at, &deepest);
		if (deepest > COMMENTS_MAX)
			return refuse(t, before, d, "too_deep",
			    "comments are nested too deeply");
		tok = tn_sql_token_next(t, &at, t->n);
		if (skip_signs(t, tok.at) - tok.at > TN_SQL_NAME_MAX)
			return refuse(t, tok.at, d, "too_deep",
			    "there are too many signs in a row");
		quotes = tok.kind == TN_SQL_TOK_QUOTED ? 2 : 0;
		name = quotes != 0 || tok.kind == TN_SQL_TOK_WORD;
		if (name && tok.n > TN_SQL_NAME_MAX + quotes) {
			tn_diag_hint(d, "Use a name of at most %d bytes.",
			    TN_SQL_NAME_MAX);
			return refuse(t, tok.at, d, "name_too_long",
			    "the name is too long");
		}
	} while (tok.kind != TN_SQL_TOK_END);
	return TN_OK;
}

enum tn_status
tn_sql_text_check(struct tn_arena *a, const char *name, struct tn_slice in,
    struct tn_sql_text *out, struct tn_diag *d)
{
	const uint8_t *nul;
	uint32_t bad;
	char *p;

	*out = (struct tn_sql_text){ .name = tn_arena_strdup(a, name),
	    .p = "" };
	if (in.n > TN_SQL_TEXT_MAX) {
		tn_sql_text_place(out, 0, d);
		tn_diag_hint(d, "Split it: one file may hold %d KiB.",
		    TN_SQL_TEXT_MAX / 1024);
		return tn_diag_set(d, TN_EINVAL, "text_too_long",
		    "the text has %zu bytes, more than %d", in.n,
		    TN_SQL_TEXT_MAX);
	}
	if (in.n == 0)
		return TN_OK;
	p = tn_arena_alloc(a, in.n + 1);
	memcpy(p, in.p, in.n);
	p[in.n] = '\0';
	/* The byte order mark some editors write is a blank to us. */
	if (in.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		memcpy(p, "   ", 3);
	out->p = p;
	out->n = (uint32_t)in.n;
	nul = memchr(p, 0, in.n);
	if (nul != NULL)
		return refuse(out, (uint32_t)(nul - (const uint8_t *)p), d,
		    "bad_text", "there is a NUL byte in the text");
	bad = utf8_bad_at(out);
	if (bad < out->n) {
		tn_diag_hint(d, "Save the file as UTF-8.");
		return refuse(out, bad, d, "bad_text",
		    "the text is not UTF-8");
	}
	return check_tokens(out, d);
}

static bool
tok_is(const struct tn_sql_text *t, struct tn_sql_token tok, const char *s)
{
	return tok.n == strlen(s) && memcmp(t->p + tok.at, s, tok.n) == 0;
}

/* No blank stands after these ... */
static bool
hugs_right(const struct tn_sql_text *t, struct tn_sql_token tok)
{
	return tok_is(t, tok, "(") || tok_is(t, tok, ".") ||
	    tok_is(t, tok, "::") || tok_is(t, tok, "[");
}

/* ... or before these. */
static bool
hugs_left(const struct tn_sql_text *t, struct tn_sql_token tok)
{
	return tok_is(t, tok, ")") || tok_is(t, tok, ".") ||
	    tok_is(t, tok, "::") || tok_is(t, tok, ",") ||
	    tok_is(t, tok, "]");
}

const char *
tn_sql_text_canonical(struct tn_arena *a, const struct tn_sql_text *t,
    uint32_t from, uint32_t end)
{
	/* A token gets at most one separator, so twice the size is enough. */
	char *out = tn_arena_alloc(a, 2 * (size_t)(end - from) + 2);
	size_t n = 0;
	struct tn_sql_token last = { .kind = TN_SQL_TOK_END };
	struct tn_sql_token tok = tn_sql_token_next(t, &from, end);
	uint32_t i;

	while (tok.kind != TN_SQL_TOK_END) {
		bool both = last.kind == TN_SQL_TOK_STRING &&
		    tok.kind == TN_SQL_TOK_STRING;

		if (both)
			out[n++] = '\n';
		else if (last.kind != TN_SQL_TOK_END &&
		    !hugs_right(t, last) && !hugs_left(t, tok))
			out[n++] = ' ';
		for (i = 0; i < tok.n; i++) {
			char c = t->p[tok.at + i];
			bool upper = tok.kind == TN_SQL_TOK_WORD &&
			    c >= 'A' && c <= 'Z';

			out[n++] = upper ? (char)(c + 32) : c;
		}
		last = tok;
		tok = tn_sql_token_next(t, &from, end);
	}
	out[n] = '\0';
	return out;
}

bool
tn_sql_text_begins(struct tn_slice text, const char *word)
{
	struct tn_sql_text t = { "", (const char *)text.p,
	    (uint32_t)text.n };
	struct tn_sql_token tok;
	uint32_t at = 0;

	if (text.n > TN_SQL_TEXT_MAX)
		return false;
	tok = tn_sql_token_next(&t, &at, t.n);
	return tok.kind == TN_SQL_TOK_WORD && tok.n == strlen(word) &&
	    strncasecmp(t.p + tok.at, word, tok.n) == 0;
}

const char *
tn_sql_text_inside(struct tn_arena *a, const struct tn_sql_text *t,
    uint32_t at)
{
	uint32_t depth = 0;
	uint32_t from = 0;
	struct tn_sql_token tok = tn_sql_token_next(t, &at, t->n);

	while (tok.kind != TN_SQL_TOK_END) {
		if (tok_is(t, tok, "(")) {
			if (depth++ == 0)
				from = at;
		} else if (tok_is(t, tok, ")") && depth > 0) {
			if (--depth == 0)
				break;
		}
		tok = tn_sql_token_next(t, &at, t->n);
	}
	if (tok.kind == TN_SQL_TOK_END)
		return "";
	while (from < tok.at && is_blank((uint8_t)t->p[from]))
		from++;
	while (tok.at > from && is_blank((uint8_t)t->p[tok.at - 1]))
		tok.at--;
	return tn_arena_strndup(a, t->p + from, tok.at - from);
}
