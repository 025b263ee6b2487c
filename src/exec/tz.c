/* Time zones from the system's tzdata: TZif files (RFC 8536) of version 2 and
 * later, their 64-bit block, and the POSIX rule in the footer for moments
 * after the last transition. Also POSIX offsets without a name, in which, as
 * in PostgreSQL, "+02" lies two hours WEST of Greenwich; and UTC: both need
 * neither a file nor a place.
 *
 * A file is read once and kept until exit in a list that only grows: readers
 * walk it without a lock, a lock orders those who add. Names may come from
 * rows, so the list must have room for every name there is, or what a sender
 * named first would decide which zones others have: each file has one name
 * that is looked up (no "//"), and its doubles are not: posix/ is the same
 * again, and right/ counts leap seconds, which PostgreSQL refuses, too.
 *
 * What can go wrong: no tzdata, an unknown name, a broken file, a full list
 * (TN_TZ_MAX is far above tzdata's 600): then there is no such zone. Names that
 * could leave the folder are not looked up. */
#include "exec/expr_int.h"

#include "net/net.h"
#include "os/os.h"

#include <stdatomic.h>
#include <string.h>

#define NAME_MAX_BYTES 64
#define FILE_MAX_BYTES (256u << 10)
#define SECONDS_DAY 86400

/* When a rule takes effect in a year. */
struct moment {
	char kind;       /* 'M' month.week.day, 'J' day 1..365, 'D' from 0 */
	int32_t month, week, day;
	int32_t seconds;        /* Local time, may be negative or past a day. */
};
struct rule {
	bool has_dst;
	int32_t std, dst;       /* Seconds east. */
	struct moment start, end;
};
struct tn_tz {
	const struct tn_tz *next;
	char name[NAME_MAX_BYTES + 1];
	int32_t first;          /* Offset before the first transition. */
	uint32_t count;
	int64_t *at;            /* Seconds since 1970, rising. */
	int32_t *offset;        /* From at[i] on. */
	bool has_rule;
	struct rule rule;
};

static _Atomic(const struct tn_tz *) zones;
static _Atomic(struct tn_net_lock *) zones_lock;

/* ---- the POSIX rule -------------------------------------------------- */

static bool
rule_number(struct tn_cursor *c, int32_t max, int32_t *v)
{
	const uint8_t *start = c->p;

	*v = 0;
	while (c->p < c->end && *c->p >= '0' && *c->p <= '9' && *v <= max)
		*v = *v * 10 + (*c->p++ - '0');
	return c->p > start && *v <= max;
}

static bool
rule_take(struct tn_cursor *c, char ch)
{
	if (c->p == c->end || *c->p != (uint8_t)ch)
		return false;
	c->p++;
	return true;
}

/* [+-]hh[:mm[:ss]] */
static bool
rule_time(struct tn_cursor *c, int32_t hours_max, int32_t *seconds)
{
	bool minus = rule_take(c, '-');
	int32_t h, m = 0, s = 0;

	if (!minus)
		(void)rule_take(c, '+');
	if (!rule_number(c, hours_max, &h))
		return false;
	if (rule_take(c, ':') && !rule_number(c, 59, &m))
		return false;
	if (rule_take(c, ':') && !rule_number(c, 59, &s))
		return false;
	*seconds = h * 3600 + m * 60 + s;
	if (minus)
		*seconds = -*seconds;
	return true;
}

static bool
rule_name(struct tn_cursor *c)
{
	const uint8_t *start = c->p;

	if (rule_take(c, '<')) {
		while (c->p < c->end && *c->p != '>')
			c->p++;
		return rule_take(c, '>');
	}
	while (c->p < c->end && ((*c->p | 0x20) >= 'a' &&
	    (*c->p | 0x20) <= 'z'))
		c->p++;
	return c->p - start >= 3;
}

static bool
rule_moment(struct tn_cursor *c, struct moment *m)
{
	m->seconds = 7200;
	if (rule_take(c, 'M')) {
		m->kind = 'M';
		if (!rule_number(c, 12, &m->month) || !rule_take(c, '.') ||
		    !rule_number(c, 5, &m->week) || !rule_take(c, '.') ||
		    !rule_number(c, 6, &m->day) || m->month == 0 ||
		    m->week == 0)
			return false;
	} else {
		m->kind = rule_take(c, 'J') ? 'J' : 'D';
		if (!rule_number(c, 365, &m->day))
			return false;
	}
	return !rule_take(c, '/') || rule_time(c, 167, &m->seconds);
}

static bool
parse_rule(struct tn_slice s, struct rule *r)
{
	struct tn_cursor c = { .p = s.p, .end = s.p + s.n };

	memset(r, 0, sizeof *r);
	if (!rule_name(&c) || !rule_time(&c, 24, &r->std))
		return false;
	r->std = -r->std;                /* POSIX counts to the west. */
	if (c.p == c.end)
		return true;
	r->has_dst = true;
	r->dst = r->std + 3600;
	if (!rule_name(&c))
		return false;
	if (c.p < c.end && *c.p != ',') {
		if (!rule_time(&c, 24, &r->dst))
			return false;
		r->dst = -r->dst;
	}
	return rule_take(&c, ',') && rule_moment(&c, &r->start) &&
	    rule_take(&c, ',') && rule_moment(&c, &r->end) && c.p == c.end;
}

static bool
leap(int32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local seconds since 1970 at which the moment falls in a year. */
static int64_t
moment_in(const struct moment *m, int32_t year)
{
	int64_t jan1 = tn_record_days(year, 1, 1);
	int64_t day;

	if (m->kind == 'D') {
		day = jan1 + m->day;
	} else if (m->kind == 'J') {
		day = jan1 + m->day - 1 + (leap(year) && m->day >= 60);
	} else {
		int64_t first = tn_record_days(year, (uint32_t)m->month, 1);
		int64_t next = m->month == 12 ?
		    tn_record_days(year + 1, 1, 1) :
		    tn_record_days(year, (uint32_t)m->month + 1, 1);
		int64_t dow = tn_exec_isodow(first) % 7;

		day = first + (m->day - dow + 7) % 7 + (m->week - 1) * 7;
		if (day >= next)
			day -= 7;
	}
	return day * SECONDS_DAY + m->seconds;
}

static int32_t
rule_offset(const struct rule *r, int64_t at)
{
	int64_t start, end;
	int32_t year;
	uint32_t month, day;

	if (!r->has_dst)
		return r->std;
	tn_record_civil(tn_floor_div(at + r->std, SECONDS_DAY), &year, &month,
	    &day);
	start = moment_in(&r->start, year) - r->std;
	end = moment_in(&r->end, year) - r->dst;
	if (start < end)
		return at >= start && at < end ? r->dst : r->std;
	return at >= end && at < start ? r->std : r->dst;
}

/* ---- TZif ------------------------------------------------------------ */

static uint64_t
big(struct tn_cursor *c, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | tn_cursor_u8(c);
	return v;
}

struct tzif_head {
	uint8_t version;
	uint32_t isut, isstd, leaps, times, types, chars;
};

static bool
tzif_head(struct tn_cursor *c, struct tzif_head *h)
{
	struct tn_slice magic = tn_cursor_bytes(c, 4);

	if (c->failed || memcmp(magic.p, "TZif", 4) != 0)
		return false;
	h->version = tn_cursor_u8(c);
	(void)tn_cursor_bytes(c, 15);
	h->isut = (uint32_t)big(c, 4);
	h->isstd = (uint32_t)big(c, 4);
	h->leaps = (uint32_t)big(c, 4);
	h->times = (uint32_t)big(c, 4);
	h->types = (uint32_t)big(c, 4);
	h->chars = (uint32_t)big(c, 4);
	return !c->failed && h->times <= 10000 && h->types >= 1 &&
	    h->types <= 256 && h->chars <= 10000 && h->leaps <= 10000 &&
	    h->isstd <= 256 && h->isut <= 256;
}

static bool
tzif_body(struct tn_cursor *c, const struct tzif_head *h, struct tn_tz *z)
{
	struct tn_slice index;
	int32_t offsets[256];

	z->count = h->times;
	z->at = tn_alloc(h->times * sizeof *z->at + 1);
	z->offset = tn_alloc(h->times * sizeof *z->offset + 1);
	for (uint32_t i = 0; i < h->times; i++)
		z->at[i] = (int64_t)big(c, 8);
	index = tn_cursor_bytes(c, h->times);
	for (uint32_t i = 0; i < h->types; i++) {
		offsets[i] = (int32_t)big(c, 4);
		(void)big(c, 2);
	}
	(void)tn_cursor_bytes(c, h->chars + h->leaps * 12ul + h->isstd +
	    h->isut);
	if (c->failed)
		return false;
	z->first = offsets[0];
	for (uint32_t i = 0; i < h->times; i++) {
		if (index.p[i] >= h->types ||
		    (i > 0 && z->at[i] <= z->at[i - 1]))
			return false;
		z->offset[i] = offsets[index.p[i]];
	}
	for (uint32_t i = 0; i < h->types; i++)
		if (offsets[i] < -26 * 3600 || offsets[i] > 26 * 3600)
			return false;
	return true;
}

static bool
parse_tzif(struct tn_slice file, struct tn_tz *z)
{
	struct tn_cursor c = { .p = file.p, .end = file.p + file.n };
	struct tzif_head h;
	struct tn_slice footer;

	if (!tzif_head(&c, &h) || h.version < '2')
		return false;
	(void)tn_cursor_bytes(&c, h.times * 5ul + h.types * 6ul + h.chars +
	    h.leaps * 8ul + h.isstd + h.isut);
	if (!tzif_head(&c, &h) || !tzif_body(&c, &h, z))
		return false;
	footer = (struct tn_slice){ c.p, (size_t)(c.end - c.p) };
	if (footer.n < 2 || footer.p[0] != '\n' ||
	    footer.p[footer.n - 1] != '\n')
		return false;
	footer.p++;
	footer.n -= 2;
	z->has_rule = footer.n > 0;
	return !z->has_rule || parse_rule(footer, &z->rule);
}

/* ---- the list -------------------------------------------------------- */

static struct tn_net_lock *
the_lock(void)
{
	struct tn_net_lock *l = atomic_load(&zones_lock);
	struct tn_net_lock *mine;

	if (l != NULL)
		return l;
	mine = tn_net_lock_new();
	if (atomic_compare_exchange_strong(&zones_lock, &l, mine))
		return mine;
	tn_net_lock_free(mine);
	return l;
}

static const struct tn_tz *
find(const char *name, uint32_t *count)
{
	const struct tn_tz *z = atomic_load(&zones);

	for (*count = 0; z != NULL; z = z->next, (*count)++)
		if (strcmp(z->name, name) == 0)
			return z;
	return NULL;
}

static void
zone_free(struct tn_tz *z)
{
	if (z == NULL)
		return;
	tn_free(z->at);
	tn_free(z->offset);
	tn_free(z);
}

static struct tn_tz *
read_zone(const char *name)
{
	struct tn_tz *z = tn_zalloc(sizeof *z);
	/* With all its room at once: never read short for want of memory. */
	struct tn_buf path = { 0 }, file = { .p = tn_alloc(FILE_MAX_BYTES),
	    .cap = FILE_MAX_BYTES, .max = FILE_MAX_BYTES };
	bool ok = false;

	memcpy(z->name, name, strlen(name) + 1);
	tn_buf_printf(&path, "%s/%s", TN_TZ_DIR, name);
	ok = tn_os_read_file(tn_buf_cstr(&path), &file, FILE_MAX_BYTES) ==
	    TN_OK && parse_tzif((struct tn_slice){ file.p, file.n }, z);
	tn_buf_fini(&path);
	tn_buf_fini(&file);
	if (ok)
		return z;
	zone_free(z);
	return NULL;
}

static const struct tn_tz *
add(const char *name)
{
	struct tn_net_lock *l = the_lock();
	const struct tn_tz *known;
	struct tn_tz *z;
	uint32_t count;

	z = read_zone(name);
	if (z == NULL)
		return NULL;
	tn_net_lock_take(l);
	known = find(name, &count);
	if (known == NULL && count < TN_TZ_MAX) {
		z->next = atomic_load(&zones);
		atomic_store(&zones, z);
		known = z;
		z = NULL;
	}
	tn_net_lock_drop(l);
	zone_free(z);
	return known;
}

static bool
begins_with(struct tn_slice s, const char *word)
{
	size_t n = strlen(word);

	return s.n >= n && strncasecmp((const char *)s.p, word, n) == 0;
}

/* Letters, digits, and _ + - / inside; no way out of the folder, and no second
 * name for a file. */
static bool
good_name(struct tn_slice s)
{
	if (s.n == 0 || s.n > NAME_MAX_BYTES || s.p[0] == '/' ||
	    begins_with(s, "posix/") || begins_with(s, "right/"))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t ch = s.p[i];

		if (ch == '/' && (i + 1 == s.n || s.p[i + 1] == '/'))
			return false;
		if (((ch | 0x20) < 'a' || (ch | 0x20) > 'z') &&
		    (ch < '0' || ch > ':') &&
		    (ch == 0 || strchr("_+-/", ch) == NULL))
			return false;
	}
	return true;
}

/* "europe/berlin" as the files are written: a capital after each mark. */
static void
capitals(char *name)
{
	bool start = true;

	for (; *name != '\0'; name++) {
		if (start && *name >= 'a' && *name <= 'z')
			*name = (char)(*name - 32);
		else if (!start && *name >= 'A' && *name <= 'Z')
			*name = (char)(*name + 32);
		start = *name == '/' || *name == '_' || *name == '-';
	}
}

/* Abbreviations are fixed offsets, also where a file of that name has summer
 * time, as in PostgreSQL; here as the POSIX offset. */
static void
abbreviation(char *name)
{
	static const char *const known[][2] = {
		{ "CET", "-1" }, { "CEST", "-2" }, { "EET", "-2" },
		{ "EEST", "-3" }, { "MET", "-1" }, { "MEST", "-2" },
		{ "WET", "+0" }, { "WEST", "-1" }, { "EST", "+5" },
		{ "EDT", "+4" }, { "CST", "+6" }, { "CDT", "+5" },
		{ "MST", "+7" }, { "MDT", "+6" }, { "PST", "+8" },
		{ "PDT", "+7" }, { "HST", "+10" },
	};

	for (size_t i = 0; i < TN_COUNT(known); i++)
		if (strcasecmp(name, known[i][0]) == 0)
			strcpy(name, known[i][1]);
}

/* [+-]hh[:mm[:ss]] alone. */
static bool
fixed_offset(const char *name, int32_t *seconds)
{
	struct tn_cursor c = { .p = (const uint8_t *)name,
	    .end = (const uint8_t *)name + strlen(name) };

	if (!rule_time(&c, 24, seconds) || c.p != c.end)
		return false;
	*seconds = -*seconds;            /* POSIX counts to the west. */
	return true;
}

static const struct tn_tz *
find_or_add(const char *name)
{
	uint32_t count;
	const struct tn_tz *z = find(name, &count);

	return z != NULL ? z : add(name);
}

bool
tn_exec_tz(struct tn_slice s, struct tn_zone *out)
{
	char name[NAME_MAX_BYTES + 1];

	*out = (struct tn_zone){ NULL, 0 };
	if (!good_name(s))
		return false;
	memcpy(name, s.p, s.n);
	name[s.n] = '\0';
	if (strcasecmp(name, "UTC") == 0 || strcasecmp(name, "GMT") == 0 ||
	    strcasecmp(name, "Z") == 0)
		return true;
	abbreviation(name);
	if (name[0] == '+' || name[0] == '-')
		return fixed_offset(name, &out->fixed);
	out->file = find_or_add(name);
	if (out->file != NULL)
		return true;
	capitals(name);
	out->file = find_or_add(name);
	return out->file != NULL;
}

/* ---- offsets --------------------------------------------------------- */

static int32_t
offset_at(struct tn_zone zone, int64_t at)
{
	const struct tn_tz *z = zone.file;
	uint32_t low = 0, high;

	if (z == NULL)
		return zone.fixed;
	if (z->has_rule && (z->count == 0 || at >= z->at[z->count - 1]))
		return rule_offset(&z->rule, at);
	high = z->count;
	while (low < high) {             /* The first one after. */
		uint32_t mid = low + (high - low) / 2;

		if (z->at[mid] <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low == 0 ? z->first : z->offset[low - 1];
}

int32_t
tn_exec_tz_offset(struct tn_zone z, int64_t utc_us)
{
	return offset_at(z, tn_floor_div(utc_us, TN_US_SECOND));
}

int64_t
tn_exec_tz_to_utc(struct tn_zone z, int64_t local_us)
{
	int64_t local = tn_floor_div(local_us, TN_US_SECOND);
	int32_t before = offset_at(z, local - 2 * SECONDS_DAY);
	int32_t after = offset_at(z, local + 2 * SECONDS_DAY);
	bool after_fits = offset_at(z, local - after) == after;
	int64_t utc_us;
	/* In a gap neither fits and the old offset is taken, in an overlap
	 * both do and the new one is. */
	int32_t offset = after_fits ? after : before;

	if (__builtin_sub_overflow(local_us, offset * TN_US_SECOND, &utc_us))
		return local_us;         /* At the end of time. */
	return utc_us;
}
