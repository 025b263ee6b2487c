/* Regular expressions by PCRE2: ~ and ~*, regexp_replace, regexp_substr.
 *
 * A pattern in PostgreSQL's advanced form is rewritten where the two differ
 * (\y \Y \m \M \Z \u, the *** prefixes); what still differs is that PCRE2
 * takes the first alternative that matches, not the longest. Compiled
 * patterns are kept a thread, CACHE of them, the one used longest ago makes
 * room; one that is used much is compiled to machine code.
 *
 * Matching is bounded (MATCH_LIMIT steps, HEAP_KIB of memory): what needs
 * more is a row error, and after LIMIT_ROWS of them in one evaluation the
 * remaining rows fail without trying. A text that is not UTF-8 is an error
 * too. PCRE2 sees only whole valid texts. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "exec/expr_int.h"

#include <pcre2.h>
#include <stdio.h>
#include <string.h>
#include <threads.h>

#define CACHE 32
#define PATTERN_MAX (32u << 10)
#define MATCH_LIMIT 1000000
#define HEAP_KIB (16u << 10)
#define LIMIT_ROWS 16
#define JIT_AFTER 64          /* Uses before machine code pays. */
#define GROUPS_MAX 10         /* Whole match and \1 .. \9. */

struct re {
	uint8_t *pattern;
	size_t pattern_n;
	uint32_t options;
	pcre2_code *code;
	uint32_t groups;
	uint64_t used;        /* Tick of the last lookup. */
	uint64_t runs;
};
struct cache {
	struct re slots[CACHE];
	pcre2_compile_context *compile;
	pcre2_match_context *match;
	pcre2_match_data *data;
	uint64_t tick;
};

/* What one evaluation keeps. */
struct job {
	struct cache *cache;
	bool made;
	struct tn_slice pattern, flags;   /* What re was made from. */
	struct re *re;                    /* NULL: error says why. */
	bool global;
	uint32_t limit_rows;
	char error[120];
};

/* ---- the cache of a thread ------------------------------------------- */

static tss_t cache_key;
static once_flag cache_once = ONCE_FLAG_INIT;

static void
re_fini(struct re *r)
{
	pcre2_code_free(r->code);
	tn_free(r->pattern);
	memset(r, 0, sizeof *r);
}

static void
cache_free(void *arg)
{
	struct cache *c = arg;

	if (c == NULL)
		return;
	for (size_t i = 0; i < CACHE; i++)
		re_fini(&c->slots[i]);
	pcre2_match_data_free(c->data);
	pcre2_match_context_free(c->match);
	pcre2_compile_context_free(c->compile);
	tn_free(c);
}

static void
cache_key_new(void)
{
	int r = tss_create(&cache_key, cache_free);

	tn_assert(r == thrd_success);
}

static struct cache *
cache_get(void)
{
	struct cache *c;
	int r;

	call_once(&cache_once, cache_key_new);
	c = tss_get(cache_key);
	if (c != NULL)
		return c;
	c = tn_zalloc(sizeof *c);
	c->compile = pcre2_compile_context_create(NULL);
	c->match = pcre2_match_context_create(NULL);
	c->data = pcre2_match_data_create(GROUPS_MAX, NULL);
	tn_assert(c->compile != NULL && c->match != NULL && c->data != NULL);
	pcre2_set_match_limit(c->match, MATCH_LIMIT);
	pcre2_set_heap_limit(c->match, HEAP_KIB);
	r = tss_set(cache_key, c);
	tn_assert(r == thrd_success);
	return c;
}

/* ---- PostgreSQL's form to PCRE2's ------------------------------------ */

static const struct {
	char letter;
	const char *to;
} escapes[] = {
	{ 'y', "\\b" }, { 'Y', "\\B" }, { 'm', "\\b(?=\\w)" },
	{ 'M', "\\b(?<=\\w)" }, { 'Z', "\\z" },
};

static size_t
hex_run(struct tn_slice s, size_t at, size_t max)
{
	size_t n = 0;

	while (n < max && at + n < s.n &&
	    strchr("0123456789abcdefABCDEF", s.p[at + n]) != NULL &&
	    s.p[at + n] != 0)
		n++;
	return n;
}

/* The escape at s.p[at] (a backslash, one more byte follows); returns how
 * many bytes it took. */
static size_t
put_escape(struct tn_buf *o, struct tn_slice s, size_t at, bool bracket)
{
	char ch = (char)s.p[at + 1];
	size_t digits = ch == 'u' ? 4 : ch == 'U' ? 8 : 0;

	if (digits > 0 && hex_run(s, at + 2, digits) == digits) {
		tn_buf_str(o, "\\x{");
		tn_buf_add(o, s.p + at + 2, digits);
		tn_buf_str(o, "}");
		return 2 + digits;
	}
	for (size_t i = 0; !bracket && i < TN_COUNT(escapes); i++) {
		if (escapes[i].letter == ch) {
			tn_buf_str(o, escapes[i].to);
			return 2;
		}
	}
	tn_buf_add(o, s.p + at, 2);
	return 2;
}

/* One member of a bracket: an escape, a class [:alpha:], or a byte. */
static size_t
put_member(struct tn_buf *o, struct tn_slice s, size_t at)
{
	size_t n = 1;

	if (s.p[at] == '\\' && at + 1 < s.n)
		return put_escape(o, s, at, true);
	if (s.p[at] == '[' && at + 1 < s.n && s.p[at + 1] == ':') {
		while (at + n < s.n && s.p[at + n] != ']')
			n++;
		n += at + n < s.n;
	}
	tn_buf_add(o, s.p + at, n);
	return n;
}

/* Bytes of a [...] from its [ on; a ] that comes first is a member. */
static size_t
put_bracket(struct tn_buf *o, struct tn_slice s, size_t at)
{
	size_t i = at + 1;

	tn_buf_char(o, '[');
	if (i < s.n && s.p[i] == '^')
		tn_buf_char(o, (char)s.p[i++]);
	if (i < s.n && s.p[i] == ']') {
		tn_buf_str(o, "\\]");
		i++;
	}
	while (i < s.n && s.p[i] != ']')
		i += put_member(o, s, i);
	if (i < s.n)
		tn_buf_char(o, (char)s.p[i++]);
	return i - at;
}

static void
rewrite(struct tn_buf *o, struct tn_slice s)
{
	size_t i = 0;

	while (i < s.n) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i += put_escape(o, s, i, false);
		else if (s.p[i] == '[')
			i += put_bracket(o, s, i);
		else
			tn_buf_char(o, (char)s.p[i++]);
	}
}

/* ---- compiling ------------------------------------------------------- */

static struct re *
slot_for(struct cache *c, struct tn_slice pattern, uint32_t options)
{
	struct re *oldest = &c->slots[0];

	c->tick++;
	for (size_t i = 0; i < CACHE; i++) {
		struct re *r = &c->slots[i];

		if (r->code != NULL && r->options == options &&
		    r->pattern_n == pattern.n &&
		    memcmp(r->pattern, pattern.p, pattern.n) == 0) {
			r->used = c->tick;
			return r;
		}
		if (r->used < oldest->used)
			oldest = r;
	}
	re_fini(oldest);
	oldest->used = c->tick;
	return oldest;
}

/* PostgreSQL's words for the usual mistakes, PCRE2's for the rest. */
static void
compile_error(struct job *j, int code)
{
	char text[90] = "";
	const char *why = text;

	if (code == PCRE2_ERROR_MISSING_CLOSING_PARENTHESIS ||
	    code == PCRE2_ERROR_UNMATCHED_CLOSING_PARENTHESIS)
		why = "parentheses () not balanced";
	else if (code == PCRE2_ERROR_MISSING_SQUARE_BRACKET)
		why = "brackets [] not balanced";
	else if (code == PCRE2_ERROR_QUANTIFIER_INVALID)
		why = "quantifier operand invalid";
	else if (code == PCRE2_ERROR_END_BACKSLASH)
		why = "invalid escape \\ sequence";
	else
		pcre2_get_error_message(code, (PCRE2_UCHAR *)text,
		    sizeof text);
	snprintf(j->error, sizeof j->error, "invalid regular expression: %s",
	    why);
}

static struct re *
compile(struct job *j, struct tn_slice pattern, uint32_t options)
{
	struct re *r = slot_for(j->cache, pattern, options);
	uint32_t asked = options;
	struct tn_slice s = pattern;
	struct tn_buf b = { 0 };
	PCRE2_SIZE at;
	int code;

	if (r->code != NULL)
		return r;
	if (s.n >= 4 && memcmp(s.p, "***=", 4) == 0)
		options |= PCRE2_LITERAL;
	if (s.n >= 4 && (memcmp(s.p, "***=", 4) == 0 ||
	    memcmp(s.p, "***:", 4) == 0))
		s = (struct tn_slice){ s.p + 4, s.n - 4 };
	if (options & PCRE2_LITERAL) {
		options &= PCRE2_LITERAL | PCRE2_CASELESS | PCRE2_UTF;
		tn_buf_add(&b, s.p, s.n);
	} else {
		rewrite(&b, s);
	}
	if (b.failed)
		tn_alloc_fail(s.n);
	r->code = pcre2_compile(b.p == NULL ? (PCRE2_SPTR)"" : b.p, b.n,
	    options, &code, &at, j->cache->compile);
	tn_buf_fini(&b);
	if (r->code == NULL) {
		compile_error(j, code);
		r->used = 0;
		return NULL;
	}
	r->pattern = tn_alloc(pattern.n + 1);
	memcpy(r->pattern, pattern.p, pattern.n);
	r->pattern_n = pattern.n;
	r->options = asked;
	pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
	return r;
}

/* Flags of regexp_replace; false on one that is not known. */
static bool
read_flags(struct job *j, struct tn_slice s, uint32_t *options)
{
	j->global = false;
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case 'g': j->global = true; break;
		case 'i': *options |= PCRE2_CASELESS; break;
		case 'c': *options &= ~PCRE2_CASELESS; break;
		case 'n':
		case 'm':
			*options |= PCRE2_MULTILINE;
			*options &= ~PCRE2_DOTALL;
			break;
		case 'p': *options &= ~PCRE2_DOTALL; break;
		case 's':
			*options |= PCRE2_DOTALL;
			*options &= ~PCRE2_MULTILINE;
			break;
		case 'w': *options |= PCRE2_MULTILINE; break;
		case 'x': *options |= PCRE2_EXTENDED; break;
		case 'q': *options |= PCRE2_LITERAL; break;
		case 't':
			break;
		default:
			snprintf(j->error, sizeof j->error,
			    "invalid regular expression option: \"%.*s\"",
			    s.p[i] < 0x80 ? 1 : 0, (const char *)s.p + i);
			return false;
		}
	}
	return true;
}

/* Make j->re fit the row's pattern. */
static bool
prepare(struct tn_call *c, struct job *j, uint32_t row)
{
	struct tn_slice pattern = tn_arg_text(c, 1, row);
	struct tn_slice flags = { NULL, 0 };
	uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_DOTALL |
	    PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;

	if (c->fn == TN_FN_REGEXP_REPLACE)
		flags = tn_arg_text(c, 3, row);
	if (!j->made || !tn_slice_eq(j->pattern, pattern) ||
	    !tn_slice_eq(j->flags, flags)) {
		j->made = true;
		j->pattern = pattern;
		j->flags = flags;
		j->re = NULL;
		if (c->fn == TN_FN_REGEX_I)
			options |= PCRE2_CASELESS;
		if (pattern.n > PATTERN_MAX)
			snprintf(j->error, sizeof j->error, "invalid regular "
			    "expression: regular expression is too complex");
		else if (read_flags(j, flags, &options))
			j->re = compile(j, pattern, options);
	}
	if (j->re == NULL)
		tn_exec_fail(c, row, "%s", j->error);
	return j->re != NULL;
}

/* ---- matching -------------------------------------------------------- */

/* 1 match, 0 none, -1 the row failed. */
static int
run(struct tn_call *c, struct job *j, uint32_t row, struct tn_slice s,
    size_t start)
{
	PCRE2_SPTR p = s.p == NULL ? (PCRE2_SPTR)"" : s.p;
	uint32_t options = PCRE2_NO_UTF_CHECK;
	int r;

	if (j->limit_rows >= LIMIT_ROWS) {
		tn_exec_fail(c, row, "regular expression failed: "
		    "too many texts reached the match limit");
		return -1;
	}
	if (++j->re->runs == JIT_AFTER)      /* Without it: interpreted. */
		(void)pcre2_jit_compile(j->re->code, PCRE2_JIT_COMPLETE);
	r = pcre2_match(j->re->code, p, s.n, start, options, j->cache->data,
	    j->cache->match);
	if (r == PCRE2_ERROR_JIT_STACKLIMIT)
		r = pcre2_match(j->re->code, p, s.n, start,
		    options | PCRE2_NO_JIT, j->cache->data, j->cache->match);
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	if (r >= 0)
		return 1;
	j->limit_rows++;
	tn_exec_fail(c, row, "regular expression failed: %s",
	    r == PCRE2_ERROR_MATCHLIMIT || r == PCRE2_ERROR_HEAPLIMIT ||
	    r == PCRE2_ERROR_DEPTHLIMIT ? "match limit exceeded" :
	    "internal error");
	return -1;
}

static bool
good_text(struct tn_call *c, uint32_t row, struct tn_slice s)
{
	if (tn_utf8_valid(s.p, s.n))
		return true;
	tn_exec_fail(c, row,
	    "invalid byte sequence for encoding \"UTF8\"");
	return false;
}

static void
row_match(struct tn_call *c, uint32_t row)
{
	struct job *j = c->scratch;
	struct tn_slice s = tn_arg_text(c, 0, row);

	if (good_text(c, row, s) && prepare(c, j, row))
		((uint8_t *)c->values)[row] = run(c, j, row, s, 0) == 1;
}

static void
row_substr(struct tn_call *c, uint32_t row)
{
	struct job *j = c->scratch;
	struct tn_slice s = tn_arg_text(c, 0, row);
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(j->cache->data);
	size_t group;
	int hit;

	if (!good_text(c, row, s) || !prepare(c, j, row))
		return;
	hit = run(c, j, row, s, 0);
	group = j->re->groups > 0;
	if (hit == 0 || (hit == 1 && at[2 * group] == PCRE2_UNSET))
		tn_exec_drop(c, row);
	else if (hit == 1 && at[2 * group + 1] > at[2 * group])
		tn_exec_put(c, s.p + at[2 * group],
		    at[2 * group + 1] - at[2 * group]);
}

/* ---- replacing ------------------------------------------------------- */

static void
put_group(struct tn_call *c, const struct job *j, struct tn_slice s,
    size_t group)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(j->cache->data);

	if (group <= j->re->groups && at[2 * group] != PCRE2_UNSET &&
	    at[2 * group + 1] > at[2 * group])
		tn_exec_put(c, s.p + at[2 * group],
		    at[2 * group + 1] - at[2 * group]);
}

/* \1 .. \9, \& and \\; any other backslash stands for itself. */
static void
put_replacement(struct tn_call *c, const struct job *j, struct tn_slice s,
    struct tn_slice by)
{
	for (size_t i = 0; i < by.n; i++) {
		uint8_t next = i + 1 < by.n ? by.p[i + 1] : 0;

		if (by.p[i] != '\\') {
			tn_exec_put(c, by.p + i, 1);
		} else if (next >= '1' && next <= '9') {
			put_group(c, j, s, next - '0');
			i++;
		} else if (next == '&') {
			put_group(c, j, s, 0);
			i++;
		} else {
			tn_exec_put(c, "\\", 1);
			i += next == '\\';
		}
	}
}

/* After an empty match the search goes on one character further. */
static size_t
next_start(struct tn_slice s, size_t from, size_t to)
{
	size_t n = 1;

	if (to > from)
		return to;
	if (to < s.n)
		(void)tn_exec_utf8(s.p + to, s.p + s.n, &n);
	return to + n;
}

static void
row_replace(struct tn_call *c, uint32_t row)
{
	struct job *j = c->scratch;
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice by = tn_arg_text(c, 2, row);
	size_t copied = 0, start = 0;

	if (!good_text(c, row, s) || !prepare(c, j, row))
		return;
	while (start <= s.n && !c->text_full) {
		const PCRE2_SIZE *at;
		size_t from, to;
		int hit = run(c, j, row, s, start);

		if (hit < 0)
			return;
		if (hit == 0)
			break;
		at = pcre2_get_ovector_pointer(j->cache->data);
		from = at[0];
		to = at[1];
		if (from < copied || to < from)      /* \K tricks. */
			break;
		tn_exec_put(c, s.p + copied, from - copied);
		put_replacement(c, j, s, by);
		copied = to;
		if (!j->global)
			break;
		start = next_start(s, from, to);
	}
	tn_exec_put(c, s.p + copied, s.n - copied);
}

void
tn_exec_k_regex(struct tn_call *c, struct tn_vec *out)
{
	struct job j = { .cache = cache_get() };
	tn_row_fn fn = c->fn == TN_FN_REGEXP_REPLACE ? row_replace :
	    c->fn == TN_FN_REGEXP_SUBSTR ? row_substr : row_match;

	c->scratch = &j;
	tn_exec_each(c, out, fn);
	c->scratch = NULL;
}
