/* The generator: a template with fixed places, filled with digits. About
 * 170 bytes an event and some 40 ns, so that the client leaves the two cores
 * of the reference machine to the program that is measured.
 *
 *   {"event_id":"8-4-4-4-12 hex digits","ts":"2026-03-01T08:00:00.000Z",
 *    "employee_id":"E01234","office":"berlin","door":"D-123",
 *    "direction":"in","temp_c":21.5}
 *
 * Half a million ids of employees would be a wrong office: there are 4000
 * people, 6 offices and 120 doors. */
#include "gen.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PEOPLE 4000
#define DOORS 120
#define DAY_MS INT64_C(86400000)
#define FIRST_MS (INT64_C(20513) * DAY_MS)      /* 2026-03-01 */

#define COLUMNS \
    "  ts timestamptz NOT NULL,\n" \
    "  employee_id text NOT NULL,\n" \
    "  office text NOT NULL,\n" \
    "  door text NOT NULL,\n" \
    "  direction text NOT NULL CHECK (direction IN ('in', 'out')),\n" \
    "  temp_c double precision CHECK (temp_c BETWEEN -40 AND 60)\n"

/* badge_all has no key: nothing of it is remembered until the cut, which
 * shows what a body costs in memory. */
const char gen_pipeline[] =
    "CREATE TABLE badge (\n"
    "  event_id text PRIMARY KEY,\n"
    COLUMNS
    ") WITH (event_time = 'ts', dedupe_window = '7 days');\n"
    "CREATE TABLE badge_all (\n"
    "  event_id text,\n"
    COLUMNS
    ") WITH (event_time = 'ts');\n"
    "CREATE MATERIALIZED VIEW visits_hourly AS\n"
    "SELECT office, date_bin('1 hour', ts, 'epoch') AS hour,\n"
    "  count(*) AS visits,\n"
    "  count(*) FILTER (WHERE direction = 'in') AS entries,\n"
    "  avg(temp_c) AS temp_c\n"
    "FROM badge GROUP BY office, hour;\n";

static const char *const offices[] = { "berlin", "muenchen", "wien",
	"hamburg", "zuerich", "paris" };

static uint64_t
rnd(struct gen *g)
{
	uint64_t z = g->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void
gen_init(struct gen *g, uint64_t seed, uint32_t step_us)
{
	memset(g, 0, sizeof *g);
	g->state = seed;
	g->first_ms = FIRST_MS;
	g->step_us = step_us;
	g->day = -1;
}

static char *
put(char *p, const char *s, size_t n)
{
	memcpy(p, s, n);
	return p + n;
}
#define PUT(p, s) put(p, s, sizeof (s) - 1)

/* ${digits} decimal digits, zeros in front. */
static char *
put_digits(char *p, uint32_t v, int digits)
{
	for (int i = digits; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + digits;
}

static char *
put_hex(char *p, uint64_t v, int digits)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < digits; i++, v >>= 4)
		*p++ = hex[v & 15];
	return p;
}

static char *
put_id(char *p, uint64_t a, uint64_t b)
{
	p = put_hex(p, a, 8);
	*p++ = '-';
	p = put_hex(p, a >> 32, 4);
	p = PUT(p, "-4");
	p = put_hex(p, a >> 48, 3);
	p = PUT(p, "-a");
	p = put_hex(p, b >> 48, 3);
	*p++ = '-';
	return put_hex(p, b, 12);
}

static char *
put_time(struct gen *g, char *p)
{
	int64_t ms = g->first_ms + (int64_t)(g->next * g->step_us / 1000);
	uint32_t in_day = (uint32_t)(ms % DAY_MS), s = in_day / 1000;

	if (ms / DAY_MS != g->day) {
		time_t t = (time_t)(ms / 1000);
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(g->date, sizeof g->date, "%Y-%m-%dT", &tm);
		g->day = ms / DAY_MS;
	}
	p = put(p, g->date, 11);
	p = put_digits(p, s / 3600, 2);
	*p++ = ':';
	p = put_digits(p, s / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, s % 60, 2);
	*p++ = '.';
	p = put_digits(p, in_day % 1000, 3);
	*p++ = 'Z';
	return p;
}

size_t
gen_event(struct gen *g, char *to)
{
	uint64_t a = rnd(g), b = rnd(g), c = rnd(g);
	const char *office = offices[c % 6];
	char *p = to;

	p = PUT(p, "{\"event_id\":\"");
	p = put_id(p, a, b);
	p = PUT(p, "\",\"ts\":\"");
	p = put_time(g, p);
	p = PUT(p, "\",\"employee_id\":\"E");
	p = put_digits(p, (uint32_t)(c >> 8) % PEOPLE, 5);
	p = PUT(p, "\",\"office\":\"");
	p = put(p, office, strlen(office));
	p = PUT(p, "\",\"door\":\"D-");
	p = put_digits(p, (uint32_t)(c >> 32) % DOORS, 3);
	p = (c >> 40 & 1) != 0 ? PUT(p, "\",\"direction\":\"in") :
	    PUT(p, "\",\"direction\":\"out");
	p = PUT(p, "\",\"temp_c\":");
	p = put_digits(p, 18 + (uint32_t)(c >> 41) % 8, 2);
	*p++ = '.';
	p = put_digits(p, (uint32_t)(c >> 48) % 10, 1);
	p = PUT(p, "}\n");
	g->next++;
	return (size_t)(p - to);
}
