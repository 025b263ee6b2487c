/* budget: one ledger of the memory whose size comes from outside, with a hard
 * cap. Rooms say what they hold, by class; the ledger says what still fits.
 *
 *   take, try    ask first: refused beyond the ceiling of the class
 *   force, set   state that already is, or work that frees more than it takes
 *   give         back
 *
 * What a cut will need is kept free ahead of it (CUT_RESERVE), and what it then
 * holds (CUT) comes out of that: shown as reserve is only what it has not
 * taken, and the two together are the larger of what was kept and what it
 * holds. PROGRAM is what the process has beyond all that is counted: its own
 * few MiB and pages that the allocator keeps. It is measured (seen), rises at
 * once and falls slowly, for such pages come back.
 *
 * The order of pressure, in hundredths of the cap:
 *
 *    70  pressed: caches shrink, a cut is asked for early
 *    85  tight: questions that need much are refused, cuts write small slices
 *    95  full: the doors take no events (503, Retry-After)
 *   100  nothing is granted
 *
 * 70, because a cut takes seconds and what comes in meanwhile must fit below
 * 95. 85, because a person who asks again loses less than a sensor that cannot
 * deliver. 95, because what is on its way when the doors close must still fit.
 * Small grants (SMALL_BYTES) are given by every class up to the cap, and out of
 * what is kept for a cut: a page that shows ten rows works while large
 * questions are refused. They are few at a time, as the query threads are.
 *
 * All numbers are relaxed atomics: each is right by itself, and the sum of the
 * classes is the total whenever nobody is changing them. A mutex orders those
 * changes that touch two classes. */
#include "base/base_int.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { PRESSED = 70, TIGHT = 85, FULL = 95, ALL = 100 };

#define SMALL_BYTES (256u << 10)
#define TOLD 3               /* Classes named in a refusal. */
/* Of the cap: what the allocator may take until it is measured again. And the
 * most that is counted as the program's: a program that is larger (one with a
 * checker's shadow memory) works, too. */
#define SLACK_PARTS 32
#define PROGRAM_PARTS 4
#define FALL_PARTS 8         /* Of what it fell by, at each measure. */

static const struct {
	const char *name;
	uint32_t ceiling;        /* Hundredths of the cap. */
	const char *hint;        /* When it is the largest. */
} classes[TN_BUDGET_CLASSES] = {
	[TN_BUDGET_FOLDS] = { "folds", ALL, "a cut moves them to the lake; "
	    "group by fewer or coarser values, or raise memory_max" },
	[TN_BUDGET_CUT_RESERVE] = { "cut_reserve", ALL, "a cut that is under "
	    "way frees it; group by fewer or coarser values, or raise "
	    "memory_max" },
	[TN_BUDGET_REFERENCES] = { "references", ALL, "raise memory_max, or "
	    "keep fewer rows and versions in reference tables" },
	[TN_BUDGET_KEYS] = { "keys", ALL, "raise memory_max, or shorten "
	    "dedupe_window" },
	[TN_BUDGET_INGEST] = { "ingest", FULL, "send fewer or smaller bodies "
	    "at a time" },
	[TN_BUDGET_BACKLOG] = { "backlog", ALL, "send more slowly, or raise "
	    "memory_max" },
	[TN_BUDGET_RECENT] = { "recent_rows", PRESSED, "ask again in a "
	    "moment, or raise memory_max" },
	[TN_BUDGET_QUERIES] = { "queries", TIGHT, "ask for less at a time, or "
	    "raise memory_max" },
	[TN_BUDGET_GOLD] = { "gold_cache", PRESSED, "ask again in a moment, "
	    "or raise memory_max" },
	[TN_BUDGET_RESULTS] = { "result_cache", PRESSED, "ask again in a "
	    "moment, or raise memory_max" },
	[TN_BUDGET_LIVE] = { "live", TIGHT, "open fewer live pages, or raise "
	    "memory_max" },
	[TN_BUDGET_CUT] = { "cut", ALL, "a cut is under way; wait, or raise "
	    "memory_max" },
	[TN_BUDGET_CUTS] = { "jobs", ALL, "a compaction or a recompute is "
	    "under way; wait, or raise memory_max" },
	[TN_BUDGET_DOORS] = { "doors", ALL, "lower http_connections_max, or "
	    "raise memory_max" },
	[TN_BUDGET_PROGRAM] = { "program", ALL, "raise memory_max" },
};

static struct {
	_Atomic uint64_t max;    /* 0: no cap. */
	_Atomic uint64_t total;
	_Atomic uint64_t peak;
	_Atomic uint64_t used[TN_BUDGET_CLASSES];
	/* For changes of two classes at once. */
	pthread_mutex_t mutex;
	uint64_t kept;           /* For cuts, also what is taken of it. */
} ledger = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static uint64_t
load(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static uint64_t
part_of(uint64_t max, uint32_t hundredths)
{
	return max / 100 * hundredths;
}

/* ---- taking and giving ------------------------------------------------ */

static void
raise_peak(uint64_t total)
{
	uint64_t peak = load(&ledger.peak);

	while (total > peak && !atomic_compare_exchange_weak_explicit(
	    &ledger.peak, &peak, total, memory_order_relaxed,
	    memory_order_relaxed))
		;
}

static void
add(enum tn_budget_class c, uint64_t n)
{
	uint64_t total;

	atomic_fetch_add_explicit(&ledger.used[c], n, memory_order_relaxed);
	total = atomic_fetch_add_explicit(&ledger.total, n,
	    memory_order_relaxed) + n;
	raise_peak(total);
}

static void
sub(enum tn_budget_class c, uint64_t n)
{
	uint64_t was = atomic_fetch_sub_explicit(&ledger.used[c], n,
	    memory_order_relaxed);

	tn_assert(was >= n);            /* More back than was taken. */
	atomic_fetch_sub_explicit(&ledger.total, n, memory_order_relaxed);
}

static void
become(enum tn_budget_class c, uint64_t n)
{
	uint64_t was = load(&ledger.used[c]);

	if (n > was)
		add(c, n - was);
	else if (n < was)
		sub(c, was - n);
}

static bool
is_of_cut(enum tn_budget_class c)
{
	return c == TN_BUDGET_CUT_RESERVE || c == TN_BUDGET_CUT;
}

/* More (or less) kept, or held by the cut: what is not taken of it. */
static void
change_cut(enum tn_budget_class c, size_t n, bool more)
{
	uint64_t held;

	(void)pthread_mutex_lock(&ledger.mutex);
	held = load(&ledger.used[TN_BUDGET_CUT]);
	if (c == TN_BUDGET_CUT) {
		tn_assert(more || held >= n);
		held = more ? held + n : held - n;
	} else {
		tn_assert(more || ledger.kept >= n);
		ledger.kept = more ? ledger.kept + n : ledger.kept - n;
	}
	/* Down first: the sum of both is then never too high. */
	if (held > load(&ledger.used[TN_BUDGET_CUT])) {
		become(TN_BUDGET_CUT_RESERVE, ledger.kept > held ?
		    ledger.kept - held : 0);
		become(TN_BUDGET_CUT, held);
	} else {
		become(TN_BUDGET_CUT, held);
		become(TN_BUDGET_CUT_RESERVE, ledger.kept > held ?
		    ledger.kept - held : 0);
	}
	(void)pthread_mutex_unlock(&ledger.mutex);
}

void
tn_budget_force(enum tn_budget_class c, size_t n)
{
	tn_assert(c < TN_BUDGET_CLASSES);
	if (is_of_cut(c))
		change_cut(c, n, true);
	else
		add(c, n);
}

void
tn_budget_setup(uint64_t max)
{
	atomic_store_explicit(&ledger.max, max, memory_order_relaxed);
	become(TN_BUDGET_PROGRAM, 0);
	atomic_store_explicit(&ledger.peak, load(&ledger.total),
	    memory_order_relaxed);
}

void
tn_budget_seen(uint64_t bytes)
{
	uint64_t max = load(&ledger.max), was, counted, now = 0;

	if (max == 0)
		return;
	(void)pthread_mutex_lock(&ledger.mutex);
	was = load(&ledger.used[TN_BUDGET_PROGRAM]);
	counted = load(&ledger.total) - was -
	    load(&ledger.used[TN_BUDGET_CUT_RESERVE]);
	if (bytes > counted)
		now = bytes - counted;
	now += max / SLACK_PARTS;
	if (now > max / PROGRAM_PARTS)
		now = max / PROGRAM_PARTS;
	if (now < was)
		now = was - (was - now) / FALL_PARTS;
	become(TN_BUDGET_PROGRAM, now);
	(void)pthread_mutex_unlock(&ledger.mutex);
}

/* ${n} more where the holder then has ${held} of that class. */
static bool
grant(enum tn_budget_class c, size_t n, size_t held)
{
	uint64_t max = load(&ledger.max), total = load(&ledger.total);
	uint64_t limit = part_of(max, classes[c].ceiling);

	if (held <= SMALL_BYTES)
		limit = max + load(&ledger.used[TN_BUDGET_CUT_RESERVE]);

	do {
		if (max != 0 && (n > limit || total > limit - n))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&ledger.total, &total,
	    total + n, memory_order_relaxed, memory_order_relaxed));
	atomic_fetch_add_explicit(&ledger.used[c], n, memory_order_relaxed);
	raise_peak(total + n);
	return true;
}

bool
tn_budget_take(enum tn_budget_class c, size_t n)
{
	tn_assert(c < TN_BUDGET_CLASSES && !is_of_cut(c));
	return grant(c, n, n);
}

void
tn_budget_give(enum tn_budget_class c, size_t n)
{
	tn_assert(c < TN_BUDGET_CLASSES);
	if (is_of_cut(c))
		change_cut(c, n, false);
	else
		sub(c, n);
}

void
tn_budget_set(struct tn_budget_share *s, size_t bytes)
{
	if (bytes > s->bytes)
		tn_budget_force(s->class, bytes - s->bytes);
	else if (bytes < s->bytes)
		tn_budget_give(s->class, s->bytes - bytes);
	s->bytes = bytes;
}

bool
tn_budget_try(struct tn_budget_share *s, size_t bytes)
{
	tn_assert(!is_of_cut(s->class));
	if (bytes > s->bytes && !grant(s->class, bytes - s->bytes, bytes))
		return false;
	if (bytes < s->bytes)
		tn_budget_give(s->class, s->bytes - bytes);
	s->bytes = bytes;
	return true;
}

/* ---- reading ----------------------------------------------------------- */

uint64_t
tn_budget_max(void)
{
	return load(&ledger.max);
}

uint64_t
tn_budget_total(void)
{
	return load(&ledger.total);
}

uint64_t
tn_budget_peak(void)
{
	return load(&ledger.peak);
}

uint64_t
tn_budget_used(enum tn_budget_class c)
{
	tn_assert(c < TN_BUDGET_CLASSES);
	return load(&ledger.used[c]);
}

const char *
tn_budget_name(enum tn_budget_class c)
{
	tn_assert(c < TN_BUDGET_CLASSES);
	return classes[c].name;
}

enum tn_budget_level
tn_budget_level(void)
{
	uint64_t max = load(&ledger.max), total = load(&ledger.total);

	if (max == 0 || total < part_of(max, PRESSED))
		return TN_BUDGET_CALM;
	return total >= part_of(max, FULL) ? TN_BUDGET_FULL :
	    total >= part_of(max, TIGHT) ? TN_BUDGET_TIGHT :
	    TN_BUDGET_PRESSED;
}

size_t
tn_budget_room(void)
{
	uint64_t max = load(&ledger.max), total = load(&ledger.total);
	uint64_t full = part_of(max, FULL);

	if (max == 0)
		return SIZE_MAX;
	return total >= full ? 0 : (size_t)(full - total);
}

/* The classes that hold most, largest first. */
static void
largest(enum tn_budget_class top[TOLD])
{
	bool told[TN_BUDGET_CLASSES] = { false };

	for (int i = 0; i < TOLD; i++) {
		int best = -1;
		for (int c = 0; c < TN_BUDGET_CLASSES; c++)
			if (!told[c] && (best < 0 || load(&ledger.used[c]) >
			    load(&ledger.used[best])))
				best = c;
		told[best] = true;
		top[i] = (enum tn_budget_class)best;
	}
}

enum tn_status
tn_budget_refuse(struct tn_diag *d)
{
	enum tn_budget_class top[TOLD];
	uint64_t max = load(&ledger.max);

	largest(top);
	tn_diag_hint(d, "try again later; %s holds most: %s",
	    classes[top[0]].name, classes[top[0]].hint);
	return tn_diag_set(d, TN_EFULL, "memory_full",
	    "%.1f of the %.1f MiB of memory_max are in use (%s %.1f, %s "
	    "%.1f, %s %.1f MiB)", (double)load(&ledger.total) / (1 << 20),
	    (double)max / (1 << 20),
	    classes[top[0]].name,
	    (double)load(&ledger.used[top[0]]) / (1 << 20),
	    classes[top[1]].name,
	    (double)load(&ledger.used[top[1]]) / (1 << 20),
	    classes[top[2]].name,
	    (double)load(&ledger.used[top[2]]) / (1 << 20));
}
