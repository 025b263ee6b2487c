/* Functions of text. Positions and lengths count characters, never bytes; a
 * byte that is not part of valid UTF-8 counts as one character. Results grow
 * by at most TN_EXEC_REPEAT_MAX a value where a number decides (repeat, lpad,
 * rpad); concatenation by what it is given. */
#include "exec/expr_int.h"

#include <string.h>

/* ---- characters ------------------------------------------------------ */

static bool
ascii_only(struct tn_slice s)
{
	uint8_t high = 0;

	for (size_t i = 0; i < s.n; i++)
		high |= s.p[i];
	return high < 0x80;
}

static size_t
chars(struct tn_slice s)
{
	const uint8_t *p = s.p, *end = s.p + s.n;
	size_t count = 0, n;

	if (ascii_only(s))
		return s.n;
	for (; p < end; p += n, count++)
		(void)tn_exec_utf8(p, end, &n);
	return count;
}

/* Byte at which character ${k} (from 0) starts; s.n when there is none. */
static size_t
byte_of(struct tn_slice s, int64_t k)
{
	const uint8_t *p = s.p, *end = s.p + s.n;
	size_t n;

	if (k >= (int64_t)s.n)
		return s.n;
	for (; k > 0 && p < end; k--) {
		(void)tn_exec_utf8(p, end, &n);
		p += n;
	}
	return (size_t)(p - s.p);
}

static void
put_slice(struct tn_call *c, struct tn_slice s)
{
	tn_exec_put(c, s.p, s.n);
}

/* Bytes from..to of s. */
static struct tn_slice
part(struct tn_slice s, size_t from, size_t to)
{
	tn_assert(from <= to && to <= s.n);
	return (struct tn_slice){ s.p + from, to - from };
}

/* ---- numbers of text ------------------------------------------------- */

static void
row_length(struct tn_call *c, uint32_t row)
{
	((int32_t *)c->values)[row] = (int32_t)chars(tn_arg_text(c, 0, row));
}

static void
row_octets(struct tn_call *c, uint32_t row)
{
	((int32_t *)c->values)[row] = (int32_t)tn_arg_text(c, 0, row).n;
}

static void
row_ascii(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	size_t n;

	((int32_t *)c->values)[row] = s.n == 0 ? 0 :
	    (int32_t)tn_exec_utf8(s.p, s.p + s.n, &n);
}

static void
row_position(struct tn_call *c, uint32_t row)
{
	struct tn_slice part_ = tn_arg_text(c, 0, row);
	struct tn_slice s = tn_arg_text(c, 1, row);
	const uint8_t *at;
	int32_t *o = c->values;

	if (part_.n == 0) {
		o[row] = 1;
		return;
	}
	at = s.n == 0 ? NULL : memmem(s.p, s.n, part_.p, part_.n);
	o[row] = at == NULL ? 0 :
	    (int32_t)chars(part(s, 0, (size_t)(at - s.p))) + 1;
}

static void
row_starts(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice start = tn_arg_text(c, 1, row);

	((uint8_t *)c->values)[row] = start.n <= s.n &&
	    (start.n == 0 || memcmp(s.p, start.p, start.n) == 0);
}

/* ---- case ------------------------------------------------------------ */

static void
ascii_case(struct tn_call *c, struct tn_slice s, uint8_t *o)
{
	uint8_t first = c->fn == TN_FN_LOWER ? 'A' : 'a';

	for (size_t i = 0; i < s.n; i++)
		o[i] = (uint8_t)(s.p[i] ^
		    ((uint8_t)(s.p[i] - first) < 26) << 5);
	c->bytes_n += s.n;
}

static void
row_case(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	const uint8_t *p = s.p, *end = s.p + s.n;
	uint8_t *o = tn_exec_room(c, s.n * 2 + 4);
	bool inside = false;
	size_t n;

	if (o == NULL)
		return;
	if (c->fn != TN_FN_INITCAP && ascii_only(s)) {
		ascii_case(c, s, o);
		return;
	}
	for (; p < end; p += n) {
		uint32_t cp = tn_exec_utf8(p, end, &n);
		uint32_t to = c->fn == TN_FN_LOWER || inside ?
		    tn_exec_lower(cp) : tn_exec_upper(cp);

		if (c->fn == TN_FN_INITCAP)
			inside = tn_exec_alnum(cp);
		if (n == 1 && cp >= 0x80)
			*o++ = *p;
		else
			o += tn_exec_utf8_put(o, to);
	}
	c->bytes_n = (size_t)(o - c->bytes);
}

static void
row_reverse(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	const uint8_t *p = s.p, *end = s.p + s.n;
	uint8_t *o = tn_exec_room(c, s.n);
	size_t n;

	if (o == NULL || s.n == 0)
		return;
	c->bytes_n += s.n;
	for (o += s.n; p < end; p += n) {
		(void)tn_exec_utf8(p, end, &n);
		o -= n;
		memcpy(o, p, n);
	}
}

/* ---- cutting --------------------------------------------------------- */

static bool
among(const uint8_t *p, size_t n, struct tn_slice set)
{
	return n <= set.n && memmem(set.p, set.n, p, n) != NULL;
}

/* Bytes at the front that are characters of ${set}. */
static size_t
front(struct tn_slice s, struct tn_slice set)
{
	const uint8_t *p = s.p, *end = s.p + s.n;
	size_t n;

	while (p < end) {
		(void)tn_exec_utf8(p, end, &n);
		if (!among(p, n, set))
			break;
		p += n;
	}
	return (size_t)(p - s.p);
}

/* Where the characters of ${set} at the back begin. */
static size_t
back(struct tn_slice s, struct tn_slice set)
{
	size_t at = s.n;

	while (at > 0) {
		size_t start = at - 1, n;

		while (start > 0 && at - start < 4 &&
		    (s.p[start] & 0xc0) == 0x80)
			start--;
		(void)tn_exec_utf8(s.p + start, s.p + at, &n);
		if (n != at - start)
			start = at - 1;
		if (!among(s.p + start, at - start, set))
			break;
		at = start;
	}
	return at;
}

static void
row_trim(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice set = tn_arg_text(c, 1, row);
	size_t from = 0;

	if (c->fn != TN_FN_RTRIM)
		from = front(s, set);
	s = part(s, from, s.n);
	if (c->fn != TN_FN_LTRIM)
		s.n = back(s, set);
	put_slice(c, s);
}

static void
row_substring(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	int64_t start = tn_arg_i32(c, 1, row);
	int64_t length = c->count > 2 ? tn_arg_i32(c, 2, row) : 0;
	int64_t end = c->count > 2 ? start + length : INT64_MAX;
	size_t from;

	if (length < 0) {
		tn_exec_fail(c, row, "negative substring length not allowed");
		return;
	}
	if (start < 1)
		start = 1;
	if (end <= start)
		return;
	from = byte_of(s, start - 1);
	s = part(s, from, s.n);
	put_slice(c, part(s, 0, byte_of(s, end - start)));
}

static void
row_left_right(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	int64_t k = tn_arg_i32(c, 1, row);
	int64_t total = k < 0 || c->fn == TN_FN_RIGHT ? (int64_t)chars(s) : 0;
	size_t at;

	if (c->fn == TN_FN_LEFT) {
		k = k < 0 ? total + k : k;
		put_slice(c, part(s, 0, k <= 0 ? 0 : byte_of(s, k)));
		return;
	}
	k = k < 0 ? -k : total - k;      /* Characters left out in front. */
	at = k <= 0 ? 0 : byte_of(s, k);
	put_slice(c, part(s, at, s.n));
}

/* ---- growing --------------------------------------------------------- */

static void
too_long(struct tn_call *c, uint32_t row)
{
	tn_exec_fail(c, row, "requested length too large");
}

/* ${count} characters of ${fill}, over and over. */
static void
put_fill(struct tn_call *c, struct tn_slice fill, size_t count)
{
	size_t each = chars(fill);

	for (; count >= each; count -= each)
		put_slice(c, fill);
	put_slice(c, part(fill, 0, byte_of(fill, (int64_t)count)));
}

static void
row_pad(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	int64_t want = tn_arg_i32(c, 1, row);
	struct tn_slice fill = tn_arg_text(c, 2, row);
	int64_t have = (int64_t)chars(s);

	if (want < 0)
		want = 0;
	if (have >= want || fill.n == 0) {
		put_slice(c, part(s, 0, have <= want ? s.n :
		    byte_of(s, want)));
		return;
	}
	if (want > (int64_t)(TN_EXEC_REPEAT_MAX / 4)) {
		too_long(c, row);
		return;
	}
	if (c->fn == TN_FN_RPAD)
		put_slice(c, s);
	put_fill(c, fill, (size_t)(want - have));
	if (c->fn == TN_FN_LPAD)
		put_slice(c, s);
}

static void
row_repeat(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	int64_t times = tn_arg_i32(c, 1, row);

	if (times <= 0 || s.n == 0)
		return;
	if ((uint64_t)times * s.n > TN_EXEC_REPEAT_MAX) {
		too_long(c, row);
		return;
	}
	for (int64_t i = 0; i < times; i++)
		put_slice(c, s);
}

static void
row_replace(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice from = tn_arg_text(c, 1, row);
	struct tn_slice to = tn_arg_text(c, 2, row);

	while (from.n > 0 && s.n >= from.n && !c->text_full) {
		const uint8_t *at = memmem(s.p, s.n, from.p, from.n);
		size_t skip;

		if (at == NULL)
			break;
		skip = (size_t)(at - s.p);
		put_slice(c, part(s, 0, skip));
		put_slice(c, to);
		s = part(s, skip + from.n, s.n);
	}
	put_slice(c, s);
}

static void
row_chr(struct tn_call *c, uint32_t row)
{
	int32_t cp = tn_arg_i32(c, 0, row);
	uint8_t *o;

	if (cp == 0) {
		tn_exec_fail(c, row, "null character not permitted");
	} else if (cp < 0) {
		tn_exec_fail(c, row, "character number must be positive");
	} else if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000)) {
		tn_exec_fail(c, row, "requested character too large for "
		    "encoding: %d", cp);
	} else {
		o = tn_exec_room(c, 4);
		if (o != NULL)
			c->bytes_n += tn_exec_utf8_put(o, (uint32_t)cp);
	}
}

static void
row_md5(struct tn_call *c, uint32_t row)
{
	static const char hex[] = "0123456789abcdef";
	struct tn_slice s = tn_arg_text(c, 0, row);
	uint8_t sum[16];
	char text[32];

	tn_exec_md5(s.p, s.n, sum);
	for (int i = 0; i < 16; i++) {
		text[2 * i] = hex[sum[i] >> 4];
		text[2 * i + 1] = hex[sum[i] & 15];
	}
	tn_exec_put(c, text, sizeof text);
}

/* ---- split_part ------------------------------------------------------ */

static size_t
fields(struct tn_slice s, struct tn_slice mark)
{
	const uint8_t *at = memmem(s.p, s.n, mark.p, mark.n);
	size_t count = 1;

	while (at != NULL) {
		count++;
		s = part(s, (size_t)(at - s.p) + mark.n, s.n);
		at = s.n == 0 ? NULL : memmem(s.p, s.n, mark.p, mark.n);
	}
	return count;
}

static void
row_split(struct tn_call *c, uint32_t row)
{
	struct tn_slice s = tn_arg_text(c, 0, row);
	struct tn_slice mark = tn_arg_text(c, 1, row);
	int64_t want = tn_arg_i32(c, 2, row);

	if (want == 0) {
		tn_exec_fail(c, row, "field position must not be zero");
		return;
	}
	if (mark.n == 0 || s.n == 0) {       /* One field, all of it. */
		if (want == 1 || want == -1)
			put_slice(c, s);
		return;
	}
	if (want < 0)
		want += (int64_t)fields(s, mark) + 1;
	for (; want > 0; want--) {
		const uint8_t *at = s.n < mark.n ? NULL :
		    memmem(s.p, s.n, mark.p, mark.n);
		size_t end = at == NULL ? s.n : (size_t)(at - s.p);

		if (want == 1)
			put_slice(c, part(s, 0, end));
		if (at == NULL)
			break;
		s = part(s, end + mark.n, s.n);
	}
}

/* ---- concatenation --------------------------------------------------- */

/* concat and concat_ws leave nulls out; || is null with one (its validity
 * was made by the caller). The separator is the first argument. */
static void
row_concat(struct tn_call *c, uint32_t row)
{
	bool separated = c->fn == TN_FN_CONCAT_WS;
	bool any = false;

	for (uint32_t k = separated; k < c->count; k++) {
		if (!tn_vec_valid(&c->args[k], row))
			continue;
		if (separated && any)
			put_slice(c, tn_arg_text(c, 0, row));
		put_slice(c, tn_arg_text(c, k, row));
		any = true;
	}
}

void
tn_exec_k_concat(struct tn_call *c, struct tn_vec *out)
{
	if (c->fn == TN_FN_CONCAT_WS) {
		c->valid = tn_exec_valid(c->ev, c->args, 1, c->n);
		if (c->constant && !tn_vec_valid(&c->args[0], 0)) {
			tn_exec_null(c->ev, c->type, out);
			return;
		}
	}
	tn_exec_each(c, out, row_concat);
}

void
tn_exec_k_text(struct tn_call *c, struct tn_vec *out)
{
	static const tn_row_fn rows[TN_FN_COUNT] = {
		[TN_FN_LENGTH] = row_length, [TN_FN_OCTET_LENGTH] = row_octets,
		[TN_FN_LOWER] = row_case, [TN_FN_UPPER] = row_case,
		[TN_FN_INITCAP] = row_case, [TN_FN_TRIM] = row_trim,
		[TN_FN_LTRIM] = row_trim, [TN_FN_RTRIM] = row_trim,
		[TN_FN_LPAD] = row_pad, [TN_FN_RPAD] = row_pad,
		[TN_FN_SUBSTRING] = row_substring,
		[TN_FN_LEFT] = row_left_right, [TN_FN_RIGHT] = row_left_right,
		[TN_FN_POSITION] = row_position, [TN_FN_REPLACE] = row_replace,
		[TN_FN_SPLIT_PART] = row_split,
		[TN_FN_STARTS_WITH] = row_starts, [TN_FN_REPEAT] = row_repeat,
		[TN_FN_REVERSE] = row_reverse, [TN_FN_ASCII] = row_ascii,
		[TN_FN_CHR] = row_chr, [TN_FN_MD5] = row_md5,
	};

	tn_assert(rows[c->fn] != NULL);
	tn_exec_each(c, out, rows[c->fn]);
}
