/* to_char of timestamps by PostgreSQL's patterns, English names. A format is
 * read into steps once (again when it changes from row to row): a prefix FM
 * (no padding) or TM (no padding of names), the longest pattern that stands
 * there, a suffix TH or th. Letters of the pattern decide those of names:
 * MONTH, Month, month. What is no pattern, or stands in double quotes, is
 * copied. timestamptz is shown in UTC. */
#include "exec/expr_int.h"

#include <stdio.h>
#include <string.h>

/* In groups, each written by one function. */
enum what {
	W_HH24, W_HH12, W_MI, W_SS, W_SSSS, W_MS, W_US, W_FF,
	W_CLOCK_END = W_FF,
	W_YYYY, W_YYY, W_YY, W_Y, W_Y_YYY, W_IYYY, W_IYY, W_IY, W_I, W_CC,
	W_YEAR_END = W_CC,
	W_DAY, W_DY, W_DDD, W_DD, W_D, W_ID, W_IDDD, W_IW, W_WW, W_W, W_J,
	W_DAY_END = W_J,
	W_MM, W_MONTH, W_MON, W_RM, W_Q,
	W_MONTH_END = W_Q,
	W_AD, W_AD_DOTS, W_AM, W_AM_DOTS, W_FX, W_OF, W_TZH, W_TZM, W_TZ
};
static const struct key {
	const char *name;
	enum what what;
} keys[] = {      /* A longer one before its beginning. */
	{ "A.D.", W_AD_DOTS }, { "B.C.", W_AD_DOTS }, { "A.M.", W_AM_DOTS },
	{ "P.M.", W_AM_DOTS }, { "AD", W_AD }, { "BC", W_AD },
	{ "AM", W_AM }, { "PM", W_AM }, { "CC", W_CC }, { "DAY", W_DAY },
	{ "DDD", W_DDD }, { "DD", W_DD }, { "DY", W_DY }, { "D", W_D },
	{ "FF1", W_FF }, { "FF2", W_FF }, { "FF3", W_FF }, { "FF4", W_FF },
	{ "FF5", W_FF }, { "FF6", W_FF }, { "FX", W_FX }, { "HH24", W_HH24 },
	{ "HH12", W_HH12 }, { "HH", W_HH12 }, { "IDDD", W_IDDD },
	{ "ID", W_ID }, { "IW", W_IW }, { "IYYY", W_IYYY }, { "IYY", W_IYY },
	{ "IY", W_IY }, { "I", W_I }, { "J", W_J }, { "MI", W_MI },
	{ "MM", W_MM }, { "MONTH", W_MONTH }, { "MON", W_MON },
	{ "MS", W_MS }, { "OF", W_OF }, { "Q", W_Q }, { "RM", W_RM },
	{ "SSSSS", W_SSSS }, { "SSSS", W_SSSS }, { "SS", W_SS },
	{ "TZH", W_TZH }, { "TZM", W_TZM }, { "TZ", W_TZ }, { "US", W_US },
	{ "WW", W_WW }, { "W", W_W }, { "Y,YYY", W_Y_YYY },
	{ "YYYY", W_YYYY }, { "YYY", W_YYY }, { "YY", W_YY }, { "Y", W_Y },
};

static const char *const months[12] = { "January", "February", "March",
	"April", "May", "June", "July", "August", "September", "October",
	"November", "December" };
static const char *const days[7] = { "Sunday", "Monday", "Tuesday",
	"Wednesday", "Thursday", "Friday", "Saturday" };
static const char *const romans[12] = { "I", "II", "III", "IV", "V", "VI",
	"VII", "VIII", "IX", "X", "XI", "XII" };

enum letters { UPPER, LOWER, CAPITAL };

/* One item of a format. */
struct item {
	const struct key *key;
	enum letters letters;
	bool no_fill;           /* FM */
	bool no_fill_name;      /* TM */
	char suffix;            /* 'T', 't' or 0 */
};

struct out {
	struct tn_call *c;
	struct tn_time_parts p;
	int32_t year;           /* As shown: from 1, also before Christ. */
	int32_t iso_year;
	uint32_t iso_week;
	bool zoned;
};

/* ---- reading the format ---------------------------------------------- */

/* Names of days and months may be asked for with one capital. */
static bool
may_be_capital(const char *name)
{
	return strcmp(name, "DAY") == 0 || strcmp(name, "DY") == 0 ||
	    strncmp(name, "MON", 3) == 0;
}

static bool
key_fits(const char *name, const char *f, size_t n, enum letters *letters)
{
	size_t len = strlen(name);
	bool fits[3] = { true, true, may_be_capital(name) };

	if (n < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool letter = name[i] >= 'A' && name[i] <= 'Z';
		char small = letter ? (char)(name[i] + 32) : name[i];

		fits[UPPER] &= f[i] == name[i];
		fits[LOWER] &= f[i] == small;
		fits[CAPITAL] &= f[i] == (i == 0 ? name[i] : small);
	}
	*letters = fits[UPPER] ? UPPER : fits[LOWER] ? LOWER : CAPITAL;
	return fits[*letters];
}

/* Takes an item from the front; key NULL when a plain byte stands there.
 * Returns the bytes taken. */
static size_t
read_item(const char *f, size_t n, struct item *it)
{
	size_t at = 0;

	memset(it, 0, sizeof *it);
	if (n >= 2 && (memcmp(f, "FM", 2) == 0 || memcmp(f, "fm", 2) == 0)) {
		it->no_fill = true;
		at = 2;
	} else if (n >= 2 && (memcmp(f, "TM", 2) == 0 ||
	    memcmp(f, "tm", 2) == 0)) {
		it->no_fill_name = true;
		at = 2;
	}
	for (size_t i = 0; i < TN_COUNT(keys) && it->key == NULL; i++)
		if (key_fits(keys[i].name, f + at, n - at, &it->letters))
			it->key = &keys[i];
	if (it->key == NULL)
		return at;
	at += strlen(it->key->name);
	if (n - at >= 2 && (memcmp(f + at, "TH", 2) == 0 ||
	    memcmp(f + at, "th", 2) == 0)) {
		it->suffix = f[at];
		at += 2;
	}
	return at;
}

/* ---- writing --------------------------------------------------------- */

static void
put_suffix(struct out *o, const struct item *it, const char *digits)
{
	static const char *const small[4] = { "th", "st", "nd", "rd" };
	static const char *const big[4] = { "TH", "ST", "ND", "RD" };
	size_t n = strlen(digits);
	int last = digits[n - 1] - '0';
	bool teen = n >= 2 && digits[n - 2] == '1';

	if (it->suffix == 0)
		return;
	if (last > 3 || last < 0 || teen)
		last = 0;
	tn_exec_put(o->c, it->suffix == 'T' ? big[last] : small[last], 2);
}

static void
put_number(struct out *o, const struct item *it, int64_t v, int width)
{
	uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
	char text[32] = "";
	size_t at = sizeof text - 1;

	tn_assert(width >= 0 && width <= 6);
	do {
		text[--at] = (char)('0' + left % 10);
		left /= 10;
		width--;
	} while (left > 0 || (width > 0 && !it->no_fill));
	if (v < 0)
		text[--at] = '-';
	tn_exec_put(o->c, text + at, sizeof text - 1 - at);
	put_suffix(o, it, text + at);
}

/* A name in the letters asked for, padded with blanks. */
static void
put_name(struct out *o, const struct item *it, const char *name, size_t cut,
    size_t width)
{
	char text[16];
	size_t n = strlen(name);

	if (cut > 0)
		n = cut;
	tn_assert(n < sizeof text && width < sizeof text);
	memset(text, ' ', sizeof text);
	for (size_t i = 0; i < n; i++) {
		char ch = name[i];

		if (it->letters == UPPER && ch >= 'a' && ch <= 'z')
			ch = (char)(ch - 32);
		if (it->letters == LOWER && ch >= 'A' && ch <= 'Z')
			ch = (char)(ch + 32);
		text[i] = ch;
	}
	if (!it->no_fill && !it->no_fill_name && n < width)
		n = width;
	tn_exec_put(o->c, text, n);
}

static void
put_clock(struct out *o, const struct item *it)
{
	int64_t us = o->p.us, hour = us / TN_US_HOUR;
	int64_t fraction = us % TN_US_SECOND;
	int digits;

	switch (it->key->what) {
	case W_HH24: put_number(o, it, hour, 2); break;
	case W_HH12:
		put_number(o, it, hour % 12 == 0 ? 12 : hour % 12, 2);
		break;
	case W_MI: put_number(o, it, us / TN_US_MINUTE % 60, 2); break;
	case W_SS: put_number(o, it, us / TN_US_SECOND % 60, 2); break;
	case W_SSSS: put_number(o, it, us / TN_US_SECOND, 0); break;
	case W_MS: put_number(o, it, fraction / 1000, 3); break;
	case W_US: put_number(o, it, fraction, 6); break;
	default:
		tn_assert(it->key->what == W_FF);
		digits = it->key->name[2] - '0';
		for (int i = digits; i < 6; i++)
			fraction /= 10;
		put_number(o, it, fraction, digits);
	}
}

static void
put_year(struct out *o, const struct item *it)
{
	char text[32];
	int32_t y = o->year, iso = o->iso_year;

	switch (it->key->what) {
	case W_YYYY: put_number(o, it, y, 4); break;
	case W_YYY: put_number(o, it, y % 1000, 3); break;
	case W_YY: put_number(o, it, y % 100, 2); break;
	case W_Y: put_number(o, it, y % 10, 1); break;
	case W_IYYY: put_number(o, it, iso, 4); break;
	case W_IYY: put_number(o, it, iso % 1000, 3); break;
	case W_IY: put_number(o, it, iso % 100, 2); break;
	case W_I: put_number(o, it, iso % 10, 1); break;
	case W_CC:
		put_number(o, it, o->p.year > 0 ? (y - 1) / 100 + 1 :
		    o->p.year / 100 - 1, 2);
		break;
	default:
		tn_assert(it->key->what == W_Y_YYY);
		snprintf(text, sizeof text, "%d,%03d", y / 1000, y % 1000);
		tn_exec_put(o->c, text, strlen(text));
		put_suffix(o, it, text);
	}
}

static void
put_day(struct out *o, const struct item *it)
{
	int64_t yday = o->p.days - tn_record_days(o->p.year, 1, 1) + 1;
	uint32_t isodow = tn_exec_isodow(o->p.days);
	const char *day = days[isodow % 7];

	switch (it->key->what) {
	case W_DAY: put_name(o, it, day, 0, 9); break;
	case W_DY: put_name(o, it, day, 3, 3); break;
	case W_DDD: put_number(o, it, yday, 3); break;
	case W_DD: put_number(o, it, o->p.day, 2); break;
	case W_D: put_number(o, it, isodow % 7 + 1, 1); break;
	case W_ID: put_number(o, it, isodow, 1); break;
	case W_IDDD:
		put_number(o, it, (int64_t)(o->iso_week - 1) * 7 + isodow, 3);
		break;
	case W_IW: put_number(o, it, o->iso_week, 2); break;
	case W_WW: put_number(o, it, (yday - 1) / 7 + 1, 2); break;
	case W_W: put_number(o, it, (o->p.day - 1) / 7 + 1, 1); break;
	default:
		tn_assert(it->key->what == W_J);
		put_number(o, it, o->p.days + 2440588, 1);
	}
}

static void
put_month(struct out *o, const struct item *it)
{
	const char *month = months[o->p.month - 1];

	switch (it->key->what) {
	case W_MM: put_number(o, it, o->p.month, 2); break;
	case W_MONTH: put_name(o, it, month, 0, 9); break;
	case W_MON: put_name(o, it, month, 3, 3); break;
	case W_RM: put_name(o, it, romans[o->p.month - 1], 0, 4); break;
	default:
		tn_assert(it->key->what == W_Q);
		put_number(o, it, (o->p.month - 1) / 3 + 1, 1);
	}
}

static void
put_mark(struct out *o, const struct item *it)
{
	bool late = o->p.us >= 12 * TN_US_HOUR, bc = o->p.year <= 0;

	switch (it->key->what) {
	case W_AM: put_name(o, it, late ? "PM" : "AM", 0, 0); break;
	case W_AM_DOTS: put_name(o, it, late ? "P.M." : "A.M.", 0, 0); break;
	case W_AD: put_name(o, it, bc ? "BC" : "AD", 0, 0); break;
	case W_AD_DOTS: put_name(o, it, bc ? "B.C." : "A.D.", 0, 0); break;
	case W_OF:
	case W_TZH: tn_exec_put(o->c, "+00", 3); break;
	case W_TZM: tn_exec_put(o->c, "00", 2); break;
	case W_TZ:
		if (o->zoned)
			put_name(o, it, "UTC", 0, 0);
		break;
	default:
		tn_assert(it->key->what == W_FX);
	}
}

static void
put_item(struct out *o, const struct item *it)
{
	enum what what = it->key->what;

	if (what <= W_CLOCK_END)
		put_clock(o, it);
	else if (what <= W_YEAR_END)
		put_year(o, it);
	else if (what <= W_DAY_END)
		put_day(o, it);
	else if (what <= W_MONTH_END)
		put_month(o, it);
	else
		put_mark(o, it);
}

/* ---- formats as steps ------------------------------------------------ */

/* An item, or one byte as it stands. */
struct step {
	struct item item;
	char byte;
};
struct format {
	bool made;
	struct tn_slice text;        /* What it was made from. */
	struct step *steps;
	size_t count;
};

static void
add_byte(struct format *f, char byte)
{
	f->steps[f->count++] = (struct step){ .byte = byte };
}

/* A quoted text from its opening quote on; returns the bytes taken. */
static size_t
add_quoted(struct format *f, const char *p, size_t n)
{
	size_t i = 1;

	while (i < n && p[i] != '"') {
		if (p[i] == '\\' && i + 1 < n)
			i++;
		add_byte(f, p[i]);
		i++;
	}
	return i < n ? i + 1 : i;
}

static void
make(struct format *f, struct tn_arena *a, struct tn_slice s)
{
	const char *p = (const char *)s.p;
	size_t i = 0;

	f->made = true;
	f->text = s;
	f->count = 0;
	f->steps = tn_arena_alloc(a, (s.n + 1) * sizeof *f->steps);
	while (i < s.n) {
		struct step step = { .byte = 0 };

		i += read_item(p + i, s.n - i, &step.item);
		if (step.item.key != NULL) {
			f->steps[f->count++] = step;
		} else if (i < s.n && p[i] == '"') {
			i += add_quoted(f, p + i, s.n - i);
		} else if (i < s.n) {
			i += p[i] == '\\' && i + 1 < s.n &&
			    p[i + 1] == '"';
			add_byte(f, p[i]);
			i++;
		}
	}
	tn_assert(f->count <= s.n);
}

static void
row_to_char(struct tn_call *c, uint32_t row)
{
	struct format *f = c->scratch;
	struct tn_slice s = tn_arg_text(c, 1, row);
	struct out o = { .c = c,
	    .zoned = c->args[0].c.type.id == TN_T_TIMESTAMPTZ };

	if (s.n == 0) {
		tn_exec_drop(c, row);        /* As PostgreSQL. */
		return;
	}
	if (!f->made || (!c->args[1].constant && !tn_slice_eq(f->text, s)))
		make(f, c->ev->a, s);
	tn_exec_parts(tn_arg_i64(c, 0, row), &o.p);
	o.iso_week = tn_exec_iso_week(o.p.days, &o.iso_year);
	o.year = o.p.year > 0 ? o.p.year : 1 - o.p.year;
	if (o.iso_year <= 0)
		o.iso_year = 1 - o.iso_year;
	for (size_t i = 0; i < f->count && !c->text_full; i++) {
		if (f->steps[i].item.key != NULL)
			put_item(&o, &f->steps[i].item);
		else
			tn_exec_put(c, &f->steps[i].byte, 1);
	}
}

void
tn_exec_k_to_char(struct tn_call *c, struct tn_vec *out)
{
	struct format f = { .made = false };

	c->scratch = &f;
	tn_exec_each(c, out, row_to_char);
	c->scratch = NULL;
}
