/* catalog: snapshots of the past, their list and expiry, garbage: against a
 * model of random publications, holders and expiries. */
#include "test.h"
#include "catalog_help.h"

#include <pthread.h>
#include <sqlite3.h>

#define FILES_MAX 300
#define HELD_MAX 5

struct model {
	uint64_t id[FILES_MAX];
	uint64_t added[FILES_MAX], dropped[FILES_MAX];  /* Sequence; 0: not. */
	bool gone[FILES_MAX];
	uint32_t count;              /* Of files, and of snapshots. */
	uint64_t floor;              /* Oldest that can be read. */
	uint32_t drops[FILES_MAX + 1];   /* Of a snapshot. */
};

/* Snapshot s was published at (s - 1) * 10 us with lsn s - 1, and added file
 * s - 1. */
static uint64_t
floor_at(const struct model *m, int64_t before)
{
	uint64_t floor = m->floor;

	while (floor < m->count && (int64_t)floor * 10 < before)
		floor++;
	return floor;
}

static bool
sees(const struct model *m, uint64_t sequence, uint32_t file)
{
	return m->added[file] <= sequence && (m->dropped[file] == 0 ||
	    m->dropped[file] > sequence);
}

/* Goal of each look: just the files that were visible then, all numbers. */
static void
check_snapshot(const struct model *m, const struct tn_catalog_snapshot *s)
{
	uint32_t want = 0;

	for (uint32_t i = 0; i < m->count; i++)
		want += sees(m, s->sequence, i);
	assert_int_equal(s->count, want);
	assert_int_equal(s->lsn, s->sequence - 1);
	assert_int_equal(s->published_us, (s->sequence - 1) * 10);
	for (uint32_t i = 0; i < s->count; i++) {
		struct tn_catalog_file f = make_file(s->files[i].version);
		assert_true(sees(m, s->sequence, s->files[i].version));
		f.id = s->files[i].id;
		f.added = m->added[s->files[i].version];
		assert_memory_equal(&f, &s->files[i], sizeof f);
	}
}

static const struct tn_catalog_snapshot *
random_past(struct tn_catalog *c, const struct model *m)
{
	const struct tn_catalog_snapshot *s = NULL;
	uint64_t want = 1 + random_below(m->count);
	enum tn_catalog_when when = (enum tn_catalog_when)random_below(4);
	int64_t value = when == TN_CATALOG_SEQUENCE ? (int64_t)want :
	    when == TN_CATALOG_TIME ? ((int64_t)want - 1) * 10 +
	    random_below(10) : (int64_t)want - 1;
	enum tn_status st = tn_catalog_snapshot_at(c, when, value, &s);
	bool none = want < m->floor && when != TN_CATALOG_LSN_FROM;

	assert_int_equal(st, none ? TN_ENOTFOUND : TN_OK);
	if (none) {
		assert_null(s);
		return NULL;
	}
	assert_int_equal(s->sequence, want < m->floor ? m->floor : want);
	check_snapshot(m, s);
	return s;
}

static void
check_garbage(struct tn_catalog *c, struct model *m,
    const struct tn_catalog_snapshot **held, int64_t before)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_file *files;
	uint64_t oldest;
	uint32_t count, want = 0;

	m->floor = oldest = floor_at(m, before);
	for (int k = 0; k < HELD_MAX; k++)
		if (held[k] != NULL && held[k]->sequence < oldest)
			oldest = held[k]->sequence;
	for (uint32_t i = 0; i < m->count; i++)
		want += !m->gone[i] && m->dropped[i] != 0 &&
		    m->dropped[i] <= oldest;
	assert_int_equal(tn_catalog_garbage(c, &(struct tn_catalog_old){
	    before, 0, NULL }, a, &files, &count),
	    TN_OK);
	assert_int_equal(count, want);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t k = files[i].version;
		assert_true(m->dropped[k] != 0 && m->dropped[k] <= oldest);
		if (random_below(2) == 0) {
			assert_int_equal(tn_catalog_forget(c, &files[i].id,
			    1), TN_OK);
			m->gone[k] = true;
		}
	}
	/* Who holds one still reads the same. */
	for (int k = 0; k < HELD_MAX; k++)
		if (held[k] != NULL)
			check_snapshot(m, held[k]);
	tn_arena_free(a);
}

static void
check_list(struct tn_catalog *c, const struct model *m)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_cut *cuts;
	uint32_t count, limit = 1 + random_below(30);
	uint64_t kept = m->count - m->floor + 1;

	assert_int_equal(tn_catalog_cuts(c, 0, limit, a, &cuts, &count),
	    TN_OK);
	assert_int_equal(count, kept < limit ? kept : limit);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t s = m->count - i;
		uint32_t files = 0;
		for (uint32_t k = 0; k < m->count; k++)
			files += sees(m, s, k);
		assert_int_equal(cuts[i].sequence, s);
		assert_int_equal(cuts[i].lsn, s - 1);
		assert_int_equal(cuts[i].added, 1);
		assert_int_equal(cuts[i].dropped, m->drops[s]);
		assert_int_equal(cuts[i].files, files);
	}
	assert_int_equal(tn_catalog_cuts(c, cuts[count - 1].sequence, 1, a,
	    &cuts, &count), TN_OK);
	assert_int_equal(count, kept > limit ? 1 : 0);
	tn_arena_free(a);
}

static void
check_paths(struct tn_catalog *c, const struct model *m)
{
	struct tn_arena *a = tn_arena_new(4096);
	const char **paths;
	uint32_t count, want = 0;

	for (uint32_t i = 0; i < m->count; i++)
		want += !m->gone[i];
	assert_int_equal(tn_catalog_paths(c, a, &paths, &count), TN_OK);
	assert_int_equal(count, want);
	for (uint32_t i = 1; i < count; i++)
		assert_true(strcmp(paths[i - 1], paths[i]) < 0);
	tn_arena_free(a);
}

static void
publish_random(struct tn_catalog *c, struct model *m)
{
	uint32_t victim = m->count == 0 ? 0 : random_below(m->count);
	uint64_t drop = 0, sequence = m->count + 1;

	if (m->count > 0 && random_below(3) > 0) {
		drop = m->id[victim];
		if (m->dropped[victim] == 0)
			m->dropped[victim] = sequence;
	}
	m->drops[sequence] = drop != 0;
	m->added[m->count] = sequence;
	assert_int_equal(publish_one(c, m->count, drop, &m->id[m->count]),
	    TN_OK);
	m->count++;
	if (m->floor == 0)
		m->floor = 1;
}

static void
expire_random(struct tn_catalog *c, struct model *m)
{
	uint64_t lsn = random_below(m->count + 5), floor = lsn + 1;
	uint32_t expired;

	if (floor > m->count)
		floor = m->count;        /* The newest stays. */
	if (lsn == 0 || floor < m->floor)
		floor = m->floor;
	assert_int_equal(tn_catalog_expire(c, INT64_MIN, lsn, &expired),
	    TN_OK);
	assert_int_equal(expired, floor - m->floor);
	m->floor = floor;
}

/* Goal: with random publications, drops, holders of the newest and of past
 * snapshots, expiries and restarts, each snapshot that can be read is what was
 * visible then, and garbage is just what none of them and no holder sees. */
static void
past_model(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	const struct tn_catalog_snapshot *held[HELD_MAX] = { NULL };
	struct model *m = tn_zalloc(sizeof *m);

	random_start();
	while (m->count < FILES_MAX - 1) {
		uint32_t k = random_below(HELD_MAX), what = random_below(4);
		tn_catalog_snapshot_put(held[k]);
		held[k] = what == 0 || m->count == 0 ? NULL : what == 1 ?
		    tn_catalog_snapshot(c) : random_past(c, m);
		publish_random(c, m);
		if (random_below(4) == 0)
			check_garbage(c, m, held, (int64_t)random_below(
			    m->count + 1) * 10 - (int64_t)random_below(400));
		if (random_below(20) == 0)
			expire_random(c, m);
		if (random_below(10) == 0)
			check_list(c, m);
		if (random_below(30) == 0)
			check_paths(c, m);
		if (random_below(60) == 0) {
			for (k = 0; k < HELD_MAX; k++) {
				tn_catalog_snapshot_put(held[k]);
				held[k] = NULL;
			}
			tn_catalog_close(c);
			c = open_catalog(*state);
		}
	}
	for (int k = 0; k < HELD_MAX; k++)
		tn_catalog_snapshot_put(held[k]);
	tn_free(m);
	tn_catalog_close(c);
}

/* Goal: two askers for one past snapshot share it; the newest is shared, too. */
static void
shared(void **state)
{
	struct tn_catalog *c = open_catalog(*state);
	const struct tn_catalog_snapshot *a, *b, *now;
	uint64_t id;

	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(publish_one(c, i, 0, &id), TN_OK);
	assert_int_equal(tn_catalog_snapshot_at(c, TN_CATALOG_SEQUENCE, 2,
	    &a), TN_OK);
	assert_int_equal(tn_catalog_snapshot_at(c, TN_CATALOG_LSN_TO, 1, &b),
	    TN_OK);
	assert_ptr_equal(a, b);
	now = tn_catalog_snapshot(c);
	tn_catalog_snapshot_put(b);
	assert_int_equal(a->count, 2);
	assert_int_equal(tn_catalog_snapshot_at(c, TN_CATALOG_LSN_TO, 99, &b),
	    TN_OK);
	assert_ptr_equal(b, now);
	tn_catalog_snapshot_put(a);
	tn_catalog_snapshot_put(b);
	tn_catalog_snapshot_put(now);
	assert_int_equal(tn_catalog_snapshot_at(c, TN_CATALOG_LSN_FROM, 99,
	    &a), TN_ENOTFOUND);
	tn_catalog_close(c);
}

/* Goal: a catalog of before keeps its newest snapshot and when its LSN was
 * first cut; older ones, whose files may be gone, cannot be read. */
static void
migrated(void **state)
{
	struct tn_catalog *c;
	const struct tn_catalog_snapshot *s;
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_cut *cuts;
	sqlite3 *db = NULL;
	uint32_t count;

	assert_int_equal(sqlite3_open(db_path(*state), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, first_schema, NULL, NULL, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "INSERT INTO cut VALUES (2, 5, 30),"
	    " (3, 5, 40)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	c = open_catalog(*state);
	s = tn_catalog_snapshot(c);
	assert_int_equal(s->sequence, 3);
	assert_int_equal(s->cut_us, 30);
	tn_catalog_snapshot_put(s);
	assert_int_equal(tn_catalog_cuts(c, 0, 10, a, &cuts, &count), TN_OK);
	assert_int_equal(count, 1);
	assert_int_equal(cuts[0].sequence, 3);
	tn_arena_free(a);
	tn_catalog_close(c);
}

/* ---- readers beside expiry ------------------------------------------- */

struct racing {
	struct tn_catalog *c;
	uint32_t stop;               /* Atomic. */
	uint32_t wrong;              /* Atomic. */
	uint32_t read;
	uint64_t *forgotten;         /* Atomic: a byte each would do. */
};

/* A reader: what a snapshot names is not forgotten while it is held. */
static void *
race_reader(void *arg)
{
	struct racing *x = arg;

	while (__atomic_load_n(&x->stop, __ATOMIC_ACQUIRE) == 0) {
		const struct tn_catalog_snapshot *now =
		    tn_catalog_snapshot(x->c), *s = NULL;
		uint64_t want = now->sequence > 3 ? now->sequence - 3 : 1;
		tn_catalog_snapshot_put(now);
		if (tn_catalog_snapshot_at(x->c, TN_CATALOG_SEQUENCE,
		    (int64_t)want, &s) != TN_OK)
			continue;
		for (int look = 0; look < 3; look++)
			for (uint32_t i = 0; i < s->count; i++)
				if (__atomic_load_n(&x->forgotten[
				    s->files[i].version], __ATOMIC_ACQUIRE))
					__atomic_store_n(&x->wrong, 1,
					    __ATOMIC_RELEASE);
		x->read++;
		tn_catalog_snapshot_put(s);
	}
	return NULL;
}

/* Goal: while snapshots expire and their files are forgotten, a reader of the
 * past gets a snapshot whose files stay, or none. */
static void
race(void **state)
{
	enum { N = 200 };
	struct racing x = { .c = open_catalog(*state) };
	struct tn_arena *a = tn_arena_new(4096);
	pthread_t reader;
	uint64_t id[N] = { 0 };

	x.forgotten = tn_zalloc(N * sizeof *x.forgotten);
	assert_int_equal(pthread_create(&reader, NULL, race_reader, &x), 0);
	for (uint32_t i = 0; i < N; i++) {
		struct tn_catalog_file *files;
		uint32_t count;
		assert_int_equal(publish_one(x.c, i, i > 0 ? id[i - 1] : 0,
		    &id[i]), TN_OK);
		assert_int_equal(tn_catalog_garbage(x.c,
		    &(struct tn_catalog_old){ (int64_t)i * 10 - 19, 0, NULL }, a,
		    &files, &count), TN_OK);
		for (uint32_t k = 0; k < count; k++) {
			__atomic_store_n(&x.forgotten[files[k].version], 1,
			    __ATOMIC_RELEASE);
			assert_int_equal(tn_catalog_forget(x.c, &files[k].id,
			    1), TN_OK);
		}
		tn_arena_reset(a);
	}
	__atomic_store_n(&x.stop, 1, __ATOMIC_RELEASE);
	pthread_join(reader, NULL);
	assert_int_equal(x.wrong, 0);
	print_message("%u snapshots of the past were read\n", x.read);
	tn_free(x.forgotten);
	tn_arena_free(a);
	tn_catalog_close(x.c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FOLDER_TEST(past_model),
		FOLDER_TEST(shared),
		FOLDER_TEST(migrated),
		FOLDER_TEST(race),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
