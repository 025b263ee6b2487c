/* UTF-8 characters, their case, and what counts as a letter. Case is the
 * simple mapping of one character to one (no German double s), by a table, so
 * that results do not hang on the machine's locale. */
#include "exec/expr_int.h"

#include "exec/case_table.h"

/* Are the ${n} bytes after the first there, and continue it? */
static bool
continued(const uint8_t *p, const uint8_t *end, size_t n)
{
	if ((size_t)(end - p) <= n)
		return false;
	for (size_t i = 1; i <= n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return false;
	return true;
}

uint32_t
tn_exec_utf8(const uint8_t *p, const uint8_t *end, size_t *n)
{
	uint32_t cp = p[0];
	size_t more = cp >= 0xf0 ? 3 : cp >= 0xe0 ? 2 : 1;

	*n = 1;
	if (cp < 0xc2 || cp > 0xf4 || !continued(p, end, more))
		return cp;
	*n = more + 1;
	cp &= 0x3fu >> more;
	for (size_t i = 1; i <= more; i++)
		cp = cp << 6 | (p[i] & 0x3fu);
	return cp;
}

size_t
tn_exec_utf8_put(uint8_t *p, uint32_t cp)
{
	if (cp < 0x80) {
		p[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		p[0] = (uint8_t)(0xc0 | cp >> 6);
		p[1] = (uint8_t)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		p[0] = (uint8_t)(0xe0 | cp >> 12);
		p[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		p[2] = (uint8_t)(0x80 | (cp & 0x3f));
		return 3;
	}
	p[0] = (uint8_t)(0xf0 | (cp >> 18 & 7));
	p[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
	p[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	p[3] = (uint8_t)(0x80 | (cp & 0x3f));
	return 4;
}

static uint32_t
mapped(const struct case_range *r, size_t count, uint32_t cp)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r[mid].last < cp)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == count || cp < r[low].first ||
	    (cp - r[low].first) % r[low].step != 0)
		return cp;
	return (uint32_t)((int64_t)cp + r[low].delta);
}

uint32_t
tn_exec_lower(uint32_t cp)
{
	if (cp < 0x80)
		return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
	return mapped(lower_ranges, TN_COUNT(lower_ranges), cp);
}

uint32_t
tn_exec_upper(uint32_t cp)
{
	if (cp < 0x80)
		return cp >= 'a' && cp <= 'z' ? cp - 32 : cp;
	return mapped(upper_ranges, TN_COUNT(upper_ranges), cp);
}

/* Above ASCII everything is a letter but the blocks of signs that texts
 * really contain: Latin-1 signs, punctuation, currency, arrows, mathematics,
 * boxes, dingbats, CJK punctuation, emoji. */
bool
tn_exec_alnum(uint32_t cp)
{
	static const uint32_t signs[][2] = {
		{ 0x80, 0xa9 }, { 0xab, 0xb4 }, { 0xb6, 0xb9 },
		{ 0xbb, 0xbf }, { 0xd7, 0xd7 }, { 0xf7, 0xf7 },
		{ 0x2000, 0x206f }, { 0x20a0, 0x20cf }, { 0x2190, 0x2bff },
		{ 0x3000, 0x3004 }, { 0x3008, 0x3020 }, { 0xfe10, 0xfe6f },
		{ 0xff01, 0xff0f }, { 0x1f000, 0x1faff },
	};

	if (cp < 0x80)
		return (cp >= '0' && cp <= '9') ||
		    ((cp | 32) >= 'a' && (cp | 32) <= 'z');
	for (size_t i = 0; i < TN_COUNT(signs); i++)
		if (cp >= signs[i][0] && cp <= signs[i][1])
			return false;
	return true;
}

size_t
tn_exec_lower_text(struct tn_slice s, uint8_t *out)
{
	const uint8_t *p = s.p, *end = s.p + s.n;
	uint8_t *o = out;
	size_t n;

	while (p < end) {
		if (*p < 0x80) {
			*o++ = (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p + 32 :
			    *p);
			p++;
			continue;
		}
		uint32_t cp = tn_exec_utf8(p, end, &n);

		if (n == 1)              /* Not UTF-8: as it is. */
			*o++ = *p;
		else
			o += tn_exec_utf8_put(o, tn_exec_lower(cp));
		p += n;
	}
	return (size_t)(o - out);
}
