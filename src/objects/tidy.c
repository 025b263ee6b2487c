/* tidy: the keeper's periodic work, a bounded part of it each second, so that
 * puts do not wait:
 *
 *   forget    events that were told leave the index
 *   garbage   contents without a name for keep_us are removed; at start those
 *             of an erasure that a crash cut short, at once
 *   expire    names older than their bucket's retention go, with an event
 *   sweep     once after the start: files whose content the index does not
 *             know are removed; a crash between place and name leaves one
 *
 * The clock may lie: when it has gone on by two days more than the program has
 * run (or slept with the machine) between two looks, no garbage and no name goes
 * for wait_us. What it said is noted in the index now and then, "t", so that a
 * leap over a restart is seen and a restart ends no wait.
 *
 * What can go wrong: each of them fails by itself, is said when it fails in a
 * new way, and is tried again a second later. */
#include "objects/objects_int.h"

#include <stdio.h>
#include <string.h>

#define FORGET_MAX 1000
#define GARBAGE_MAX 100          /* Contents a second. */
#define LOOK_MAX 2000            /* Names a second. */
#define EXPIRE_MAX 100           /* Of them, taken away. */
#define EXPIRE_LEAST_US INT64_C(1000000)
#define EXPIRE_MOST_US INT64_C(60000000)
#define SWEEP_US INT64_C(20000)
#define LEAP_US (INT64_C(2) * 86400 * 1000000)
#define NOTE_US INT64_C(600000000)

/* ---- forget ------------------------------------------------------------ */

static enum tn_status
forget(struct tn_objects *o)
{
	uint32_t n = o->forget_count < FORGET_MAX ? o->forget_count :
	    FORGET_MAX;
	struct tn_log_change *c;
	uint8_t (*keys)[9];
	enum tn_status st;

	if (n == 0)
		return TN_OK;
	c = tn_zalloc(n * sizeof *c);
	keys = tn_alloc(n * sizeof *keys);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t seq = o->forget[o->forget_count - 1 - i];
		keys[i][0] = 'e';
		for (int k = 0; k < 8; k++)
			keys[i][1 + k] = (uint8_t)(seq >> (56 - 8 * k));
		c[i].key = (struct tn_slice){ keys[i], sizeof keys[i] };
		c[i].drop = true;
	}
	st = tn_log_table_commit(o->table, c, n);
	if (st == TN_OK)
		o->forget_count -= n;
	tn_os_crash_point("object_event_forgotten");
	tn_free(c);
	tn_free(keys);
	return st;
}

void
tn_objects_forget(struct tn_objects *o)
{
	while (o->forget_count > 0)
		if (forget(o) != TN_OK)
			return;         /* They are told twice: no harm. */
}

/* ---- the clock --------------------------------------------------------- */

#define CLOCK_KEY "t"

enum tn_status
tn_objects_load_clock(struct tn_objects *o)
{
	struct tn_arena *a = tn_arena_new(256);
	struct tn_slice v = { NULL, 0 };
	int64_t noted[2] = { 0, 0 };
	enum tn_status st = tn_log_table_get(o->table,
	    tn_slice_of(CLOCK_KEY), a, &v);

	(void)tn_os_leap(&o->seen);
	if (st == TN_OK && v.n == sizeof noted) {
		memcpy(noted, v.p, sizeof noted);
		o->seen.wall_us = noted[0];
		o->held_until_us = noted[1];
	}
	tn_arena_free(a);
	/* One that is damaged was said, and is written anew. */
	return st == TN_ENOTFOUND || st == TN_ECORRUPT ? TN_OK : st;
}

static enum tn_status
note_clock(struct tn_objects *o)
{
	int64_t noted[2] = { o->seen.wall_us, o->held_until_us };
	struct tn_log_change c = { .key = tn_slice_of(CLOCK_KEY),
	    .value = { (const uint8_t *)noted, sizeof noted } };
	enum tn_status st = tn_log_table_commit(o->table, &c, 1);

	if (st == TN_OK)
		o->next_note_us = o->seen.boot_us + NOTE_US;
	return st;
}

/* Until when nothing is old; true: that is to be noted now. */
static bool
hold(struct tn_objects *o)
{
	int64_t leap = tn_os_leap(&o->seen), wall = o->seen.wall_us;
	int64_t most = wall + o->opt.wait_us, until = o->held_until_us;

	if (leap > LEAP_US && o->opt.wait_us > 0) {
		tn_say(TN_WARN, "objects", "the clock went on by days more "
		    "than this program has run: retention waits");
		until = most;
	} else if (until > most) {
		until = most;            /* It went back. */
	} else if (until <= wall) {
		until = 0;
	}
	if (until == o->held_until_us)
		return o->seen.boot_us >= o->next_note_us;
	o->held_until_us = until;
	return true;
}

/* A failure is said when it is a new one; the next look tries again. */
static bool
is_believed(struct tn_objects *o)
{
	enum tn_status st = hold(o) ? note_clock(o) : TN_OK;

	if (st != TN_OK && st != o->tidy_said)
		tn_say(TN_WARN, "objects", "noting the clock: %s",
		    tn_status_text(st));
	if (st != TN_OK)
		o->tidy_said = st;
	return o->held_until_us == 0;
}

/* ---- garbage ----------------------------------------------------------- */

struct garbage {
	int64_t before_us;
	uint32_t count;
	int64_t gone_us[GARBAGE_MAX];
	uint8_t sha[GARBAGE_MAX][SHA_BYTES];
};

static bool
gather(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct garbage *g = arg;
	uint64_t us = 0;

	(void)value;
	if (key.n != 9 + SHA_BYTES)
		return true;
	for (size_t i = 1; i < 9; i++)
		us = us << 8 | key.p[i];
	/* In order of time: what follows is younger. */
	if ((int64_t)us > g->before_us || g->count == GARBAGE_MAX)
		return false;
	g->gone_us[g->count] = (int64_t)us;
	memcpy(g->sha[g->count], key.p + 9, SHA_BYTES);
	g->count++;
	return true;
}

void
tn_objects_keep(struct tn_objects *o, int64_t keep_us)
{
	if (o != NULL)
		__atomic_store_n(&o->opt.keep_us, keep_us, __ATOMIC_RELAXED);
}

static enum tn_status
remove_garbage(struct tn_objects *o)
{
	struct garbage *g = tn_zalloc(sizeof *g);
	enum tn_status st;

	g->before_us = tn_os_wall_us() -
	    __atomic_load_n(&o->opt.keep_us, __ATOMIC_RELAXED);
	st = tn_log_table_each(o->table, tn_slice_of("g"), gather, g);
	for (uint32_t i = 0; st == TN_OK && i < g->count; i++)
		st = tn_objects_remove_content(o, g->sha[i], g->gone_us[i]);
	tn_free(g);
	return st;
}

/* ---- expire ------------------------------------------------------------ */

struct expired {
	struct tn_objects *o;
	struct tn_arena *a;
	struct tn_slice keys[EXPIRE_MAX];    /* Of the index. */
	uint32_t count, looked;
	int64_t now_us;
	struct tn_buf last;
};

static bool
look(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct expired *x = arg;
	const uint8_t *slash = memchr(key.p, '/', key.n);
	struct tn_slice bucket;
	struct name n;
	int64_t keep;

	tn_buf_clear(&x->last);
	tn_buf_add(&x->last, key.p, key.n);
	x->looked++;
	if (slash == NULL || !tn_objects_name_get(value, &n))
		return x->looked < LOOK_MAX;
	bucket = (struct tn_slice){ key.p + 1, (size_t)(slash - key.p - 1) };
	keep = tn_objects_rules_of(&x->o->rules, bucket);
	if (keep > 0 && n.uploaded_us < x->now_us - keep)
		x->keys[x->count++] = tn_objects_copy(x->a, key);
	return x->looked < LOOK_MAX && x->count < EXPIRE_MAX;
}

/* A delete like any other, but nobody waits for it. */
static void
expire_one(struct tn_objects *o, struct tn_slice key)
{
	struct op *op = tn_objects_op_new(o, OP_DELETE, NULL, NULL);
	const uint8_t *slash = memchr(key.p, '/', key.n);

	op->bucket = tn_objects_copy(op->a, (struct tn_slice){ key.p + 1,
	    (size_t)(slash - key.p - 1) });
	op->key = tn_objects_copy(op->a, (struct tn_slice){ slash + 1,
	    (size_t)(key.p + key.n - slash - 1) });
	op->source = tn_arena_strdup(op->a, "retention");
	op->r.status = tn_objects_get_name(o, op->a, op->bucket, op->key,
	    &op->name);
	if (op->r.status == TN_OK)
		op->r.status = tn_objects_drop_name(op);
	tn_objects_to_loop(op);
}

/* How soon to look again: a tenth of the shortest retention. */
static int64_t
expire_pause(const struct tn_objects *o)
{
	int64_t us = EXPIRE_MOST_US;

	for (uint32_t i = 0; i < o->rules.count; i++)
		if (o->rules.rules[i].keep_us / 10 < us)
			us = o->rules.rules[i].keep_us / 10;
	return us < EXPIRE_LEAST_US ? EXPIRE_LEAST_US : us;
}

static enum tn_status
expire(struct tn_objects *o)
{
	struct expired x = { .o = o, .now_us = tn_os_wall_us() };
	struct tn_slice from = { o->expire_from.p, o->expire_from.n };
	enum tn_status st;

	if (o->rules.count == 0 || o->crowded || (from.n == 0 &&
	    tn_os_mono_us() < o->next_expire_us))
		return TN_OK;
	x.a = tn_arena_new(16384);
	st = tn_log_table_from(o->table, tn_slice_of("n"), from.n > 0 ? from :
	    tn_slice_of("n"), look, &x);
	for (uint32_t i = 0; i < x.count; i++)
		expire_one(o, x.keys[i]);
	tn_buf_clear(&o->expire_from);
	if (x.looked >= LOOK_MAX || x.count >= EXPIRE_MAX) {
		/* The next key after the last one. */
		tn_buf_add(&o->expire_from, x.last.p, x.last.n);
		tn_buf_char(&o->expire_from, '\0');
	} else {
		o->next_expire_us = tn_os_mono_us() + expire_pause(o);
	}
	tn_buf_fini(&x.last);
	tn_arena_free(x.a);
	return st;
}

/* ---- sweep ------------------------------------------------------------- */

/* Is it a content that the index knows? */
static bool
is_known(struct tn_objects *o, struct tn_arena *a, const char *name)
{
	uint8_t sha[SHA_BYTES];
	struct content c;

	return tn_objects_unhex(tn_slice_of(name), sha) &&
	    tn_objects_get_content(o, a, sha, &c) != TN_ENOTFOUND;
}

static enum tn_status
sweep_names(struct tn_objects *o, const char *folder)
{
	struct tn_arena *a = tn_arena_new(4096);
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_os_list(folder, &names, &count);

	for (size_t i = 0; i < count; i++) {
		char *path = tn_arena_printf(a, "%s/%s", folder, names[i]);
		if (st == TN_OK && tn_os_kind(path) == TN_OS_FILE &&
		    !is_known(o, a, names[i])) {
			st = tn_os_unlink(path);
			tn_counter_add(o->swept, st == TN_OK);
		}
		tn_free(names[i]);
	}
	tn_free(names);
	tn_arena_free(a);
	return st;
}

/* The 256 folders in one of the 256. */
static enum tn_status
sweep_folder(struct tn_objects *o)
{
	struct tn_buf path = { 0 };
	char **names = NULL;
	size_t count = 0, n;
	enum tn_status st;

	tn_buf_printf(&path, "%s/%02x", o->root, (unsigned)o->sweep_at);
	n = path.n;
	st = tn_os_kind(tn_buf_cstr(&path)) == TN_OS_DIR ?
	    tn_os_list(tn_buf_cstr(&path), &names, &count) : TN_OK;
	for (size_t i = 0; i < count; i++) {
		path.n = n;
		tn_buf_printf(&path, "/%s", names[i]);
		if (st == TN_OK && tn_os_kind(tn_buf_cstr(&path)) ==
		    TN_OS_DIR)
			st = sweep_names(o, tn_buf_cstr(&path));
		tn_free(names[i]);
	}
	tn_free(names);
	tn_buf_fini(&path);
	return st;
}

static enum tn_status
sweep(struct tn_objects *o)
{
	int64_t end = tn_os_mono_us() + SWEEP_US;
	enum tn_status st = TN_OK;

	while (st == TN_OK && o->sweep_at < 256 && tn_os_mono_us() < end) {
		st = sweep_folder(o);
		/* One that fails must not hold up the others. */
		o->sweep_at++;
	}
	return st;
}

/* ---- the whole --------------------------------------------------------- */

void
tn_objects_tidy(struct tn_objects *o)
{
	static const struct {
		enum tn_status (*act)(struct tn_objects *o);
		const char *words;
	} acts[] = {
		{ forget, "forgetting events" },
		{ remove_garbage, "removing contents without a name" },
		{ expire, "taking away what is too old" },
		{ sweep, "looking for files without a name" },
	};
	bool believed = is_believed(o);

	for (size_t i = 0; i < TN_COUNT(acts); i++) {
		bool by_clock = acts[i].act == remove_garbage ||
		    acts[i].act == expire;
		enum tn_status st = by_clock && !believed ? TN_OK :
		    acts[i].act(o);
		if (st != TN_OK && st != o->tidy_said)
			tn_say(TN_WARN, "objects", "%s: %s", acts[i].words,
			    tn_status_text(st));
		if (st != TN_OK)
			o->tidy_said = st;
	}
}

static bool
count_one(void *arg, struct tn_slice key, struct tn_slice value)
{
	struct tn_objects *o = arg;
	struct bucket b;

	(void)key;
	if (tn_objects_bucket_get(value, &b)) {
		tn_counter_add(o->objects, (int64_t)b.objects);
		tn_counter_add(o->bytes, (int64_t)b.bytes);
	}
	return true;
}

enum tn_status
tn_objects_count(struct tn_objects *o)
{
	tn_counter_set(o->objects, 0);
	tn_counter_set(o->bytes, 0);
	return tn_log_table_each(o->table, tn_slice_of("b"), count_one, o);
}
