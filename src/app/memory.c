/* The memory budget of the program: how large it is, what comes down with it,
 * and what is done before the doors must close.
 *
 *   start   memory_max, else half of what the machine or container has; limits
 *           of rooms that are larger than their part of it are lowered; the
 *           allocator keeps little of what is freed
 *   look    (every 100 ms) what the process has and nobody counted is counted
 *           as the program's; doors that stay closed turn /readyz to 503
 *   press   (from 70 of 100 on; looked at with every block and every 100 ms)
 *           caches are dropped and a cut is asked for, which moves the tail's
 *           states and keys to the lake; not when a cut would free little,
 *           and at most once a second
 *
 * The thresholds and what is refused when stand in base/budget.c. Half of the
 * machine, because files are read through the page cache and other programs
 * live there, too. */
#include "app/run_int.h"

#include <stdio.h>
#include <string.h>

#define MIB (INT64_C(1) << 20)
#define LEAST_BYTES (64 * MIB)       /* A person may set. */
#define LEAST_CHOSEN (128 * MIB)     /* We choose. */
#define CONNECTION_BYTES (40 * 1024) /* libmicrohttpd's pool and ours. */
#define BLOCK_PARTS 1024
#define BLOCK_LEAST (64 * 1024)
#define HEAP_BYTES (64 * MIB)        /* Of the budget, for each heap. */
#define LOOK_MS 100
#define AGAIN_US INT64_C(1000000)
#define KEY_BYTES 48                 /* Of a key in its set. */
/* A cut must free at least so many parts of all to be asked for: writing
 * files has its price, too. When nothing is taken any more, less is enough. */
#define WORTH_PARTS 16
#define WORTH_PARTS_FULL 64

/* Limits that are lowered to a part of the budget. */
static const struct {
	enum tn_app_setting set;
	uint32_t parts;
	int64_t unit;                /* Bytes of one. */
} lowered[] = {
	{ TN_SET_PENDING_BYTES, 8, 1 },
	{ TN_SET_BACKLOG_BYTES, 8, 1 },
	{ TN_SET_RECENT_BYTES, 32, 1 },
	{ TN_SET_QUERY_BYTES, 4, 1 },
	{ TN_SET_GOLD_BYTES, 8, 1 },
	{ TN_SET_CACHE_BYTES, 32, 1 },
	{ TN_SET_CHUNK_BYTES, 64, 1 },
	{ TN_SET_ROW_BYTES, 32, 1 },
	{ TN_SET_CONNECTIONS, 8, CONNECTION_BYTES },
};

/* ---- start ----------------------------------------------------------- */

enum tn_status
tn_app_memory_check(const struct tn_app_settings *s, struct tn_diag *d)
{
	int64_t n = s->number[TN_SET_MEMORY];
	uint64_t block = tn_ingest_block_bytes(
	    (size_t)s->number[TN_SET_CHUNK_BYTES],
	    (size_t)s->number[TN_SET_ROW_BYTES]);
	uint64_t room = tn_log_block_bytes_max(
	    (uint64_t)s->number[TN_SET_SEGMENT_BYTES]);
	uint64_t parts, least;

	if (n != 0 && n < LEAST_BYTES) {
		tn_diag_hint(d, "0 takes half of the machine's memory");
		return tn_diag_set(d, TN_EINVAL, "setting_range",
		    "memory_max must be 0 or at least 64 MiB");
	}
	if (block <= room)
		return TN_OK;
	/* A block may take a fixed part of a segment. */
	parts = (uint64_t)s->number[TN_SET_SEGMENT_BYTES] / room;
	least = block * parts / (uint64_t)MIB + 1;
	tn_diag_hint(d, "raise log_segment_bytes to at least %llu MiB, or "
	    "lower ingest_chunk_bytes or row_bytes_max",
	    (unsigned long long)least);
	return tn_diag_set(d, TN_EINVAL, "segment_too_small",
	    "with ingest_chunk_bytes and row_bytes_max as they are, one part "
	    "of a body may take %llu KiB in the log, but a segment of "
	    "log_segment_bytes takes at most %llu KiB at once",
	    (unsigned long long)block / 1024, (unsigned long long)room / 1024);
}

static void
lower(struct tn_app_settings *s, size_t at, int64_t max)
{
	enum tn_app_setting i = lowered[at].set;
	int64_t most = max / lowered[at].parts / lowered[at].unit;
	bool chosen = strcmp(s->text[i], tn_app_setting_default(i)) != 0;

	if (s->number[i] <= most)
		return;
	if (chosen)
		tn_say(TN_WARN, "app", "%s is lowered to %lld: memory_max "
		    "does not allow more", tn_app_setting_name(i),
		    (long long)most);
	s->number[i] = most;
	snprintf(s->text[i], sizeof s->text[i], "%lld", (long long)most);
}

/* Free memory that the allocator keeps is in nobody's reach: with a small
 * budget it keeps little, with a large one it is quick. */
static void
keep_little(int64_t max)
{
	int64_t block = max / BLOCK_PARTS, heaps = max / HEAP_BYTES;

	block = block < BLOCK_LEAST ? BLOCK_LEAST : block;
	heaps = heaps < 1 ? 1 : heaps > INT16_MAX ? INT16_MAX : heaps;
	tn_os_memory_keep((size_t)block, (uint32_t)heaps);
}

void
tn_app_memory_setup(struct tn_app_settings *s)
{
	int64_t n = s->number[TN_SET_MEMORY];
	uint64_t all = tn_os_memory_bytes();

	if (n == 0) {
		n = all > INT64_MAX ? INT64_MAX / 2 : (int64_t)(all / 2);
		n = n < LEAST_CHOSEN ? LEAST_CHOSEN : n;
		s->number[TN_SET_MEMORY] = n;
		snprintf(s->text[TN_SET_MEMORY],
		    sizeof s->text[TN_SET_MEMORY], "%lld", (long long)n);
	} else if (all != 0 && (uint64_t)n > all) {
		tn_say(TN_WARN, "app", "memory_max is more than the %llu MiB "
		    "that the machine or container has",
		    (unsigned long long)(all / MIB));
	}
	for (size_t i = 0; i < TN_COUNT(lowered); i++)
		lower(s, i, n);
	keep_little(n);
	tn_budget_setup((uint64_t)n);
	tn_budget_seen(tn_os_anonymous_bytes());
}

void
tn_app_memory_help(struct tn_buf *out)
{
	tn_buf_str(out, "\nOf memory_max, these take at most a part each and "
	    "are lowered to it at start:\n ");
	for (size_t i = 0; i < TN_COUNT(lowered); i++)
		tn_buf_printf(out, " %s 1/%u%s",
		    tn_app_setting_name(lowered[i].set),
		    (unsigned)lowered[i].parts,
		    i + 1 < TN_COUNT(lowered) ? "," :
		    " (40 KiB each).\n");
	tn_buf_str(out, "Rows of a cut are written earlier and files merged "
	    "in smaller pieces when it is small.\n");
}

/* ---- pressure -------------------------------------------------------- */

/* What a cut would take out of memory, about: states, their copies, keys. */
static bool
is_worth(struct app *a)
{
	bool full = tn_budget_level() == TN_BUDGET_FULL;
	uint64_t freed = 3 * tn_budget_used(TN_BUDGET_FOLDS) +
	    tn_speed_rows(a->speed) * KEY_BYTES;

	return tn_speed_rows(a->speed) > 0 && freed >= tn_budget_max() /
	    (full ? WORTH_PARTS_FULL : WORTH_PARTS);
}

void
tn_app_memory_press(struct app *a)
{
	int64_t now = tn_os_mono_us();
	int64_t last = __atomic_load_n(&a->memory_cut_us, __ATOMIC_RELAXED);

	if (tn_budget_level() == TN_BUDGET_CALM || a->batch == NULL ||
	    !is_worth(a))
		return;
	if ((last != 0 && now - last < AGAIN_US) ||
	    !__atomic_compare_exchange_n(&a->memory_cut_us, &last, now,
	    false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	tn_app_engine_cut(a, "memory");
}

static void
say_level(struct app *a)
{
	enum tn_budget_level level = tn_budget_level();
	struct tn_diag d = { .line = 0 };

	if (level == TN_BUDGET_FULL && !a->memory_full) {
		(void)tn_budget_refuse(&d);
		tn_say(TN_WARN, "app", "no events are taken for now: %s",
		    d.message);
		a->memory_full = true;
	} else if (level <= TN_BUDGET_PRESSED && a->memory_full) {
		tn_say(TN_INFO, "app", "events are taken again");
		a->memory_full = false;
	}
}

/* Doors that stay closed are for a person to look at. */
static void
tell_health(struct app *a)
{
	int64_t now = tn_os_mono_us(), disk_us = tn_app_disk_look(a);
	int64_t long_us = a->set.number[TN_SET_MEMORY_FULL];

	if (tn_budget_level() != TN_BUDGET_FULL)
		a->memory_full_us = 0;
	else if (a->memory_full_us == 0)
		a->memory_full_us = now;
	if (a->http == NULL)
		return;
	if (a->memory_full_us != 0 && now - a->memory_full_us >= long_us)
		tn_http_set_closed(a->http, a->memory_full_us,
		    "memory is full");
	else if (disk_us != 0 && now - disk_us >= long_us)
		tn_http_set_closed(a->http, disk_us, "the disk is full up to "
		    "disk_reserve");
	else
		tn_http_set_closed(a->http, 0, NULL);
}

static void
look(void *arg)
{
	struct app *a = arg;

	tn_budget_seen(tn_os_anonymous_bytes());
	say_level(a);
	tell_health(a);
	if (tn_budget_level() == TN_BUDGET_CALM)
		return;
	tn_serving_shrink(a->serving);
	tn_governance_recent_drop(a->recent);
	tn_app_memory_press(a);
}

void
tn_app_memory_watch(struct app *a)
{
	a->memory_timer = tn_net_timer_new(a->loop, look, a);
	tn_net_timer_start(a->memory_timer, LOOK_MS, LOOK_MS);
}

void
tn_app_memory_replayed(struct app *a)
{
	struct tn_batch_request r = { .kind = TN_BATCH_CUT,
	    .reason = "start" };
	struct tn_batch_report out;

	if (tn_budget_level() == TN_BUDGET_CALM || a->memory_stuck ||
	    !is_worth(a))
		return;
	memset(&out, 0, sizeof out);
	/* A cut that fails says so itself; the log is then folded as it is. */
	a->memory_stuck = tn_batch_run(a->batch, &r, &out) != TN_OK;
	tn_buf_fini(&out.text);
	tn_ingest_flush(a->ingest);     /* The keys are ours again. */
}
