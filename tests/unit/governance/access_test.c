/* access: passwords, the setup code, guessing, sessions and tokens, on a
 * clock of the test. */
#include "test.h"
#include "governance/governance.h"
#include "os/os.h"

#include <pthread.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

static struct tn_os_table table;
static int64_t mono_us, wall_us;

static int64_t
test_mono(void)
{
	return __atomic_load_n(&mono_us, __ATOMIC_RELAXED);
}

static int64_t
test_wall(void)
{
	return __atomic_load_n(&wall_us, __ATOMIC_RELAXED);
}

struct fixture {
	char dir[40];
	char path[80];
	struct tn_catalog *cat;
	struct tn_governance_access *x;
};

static int
setup(void **state)
{
	struct fixture *f = tn_zalloc(sizeof *f);
	struct tn_diag d;

	mono_us = 0;
	wall_us = 1000 * HOUR;
	table = tn_os_real;
	table.mono_us = test_mono;
	table.wall_us = test_wall;
	tn_os_use(&table);
	strcpy(f->dir, "/tmp/tarn-access-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return 1;
	snprintf(f->path, sizeof f->path, "%s/catalog.db", f->dir);
	if (tn_catalog_open(&f->cat, f->path, &d) != TN_OK ||
	    tn_governance_access_new(&f->x, f->cat) != TN_OK)
		return 1;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char command[80];
	int rc;

	tn_governance_access_free(f->x);
	tn_catalog_close(f->cat);
	snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
	rc = system(command);
	tn_free(f);
	tn_os_use(NULL);
	return rc;
}

static void
restart(struct fixture *f)
{
	struct tn_diag d;

	tn_governance_access_free(f->x);
	tn_catalog_close(f->cat);
	assert_int_equal(tn_catalog_open(&f->cat, f->path, &d), TN_OK);
	assert_int_equal(tn_governance_access_new(&f->x, f->cat), TN_OK);
}

static enum tn_status
login(struct fixture *f, const char *password, const char *address,
    char session[static 65], uint32_t *wait_s)
{
	return tn_governance_login(f->x, tn_slice_of(password), address,
	    session, wait_s);
}

static enum tn_governance_scope
scope_of(struct fixture *f, const char *session)
{
	return tn_governance_session(f->x, tn_slice_of(session));
}

/* ---- passwords and sessions ------------------------------------------ */

/* Goal: without a password nobody comes in; a weak one is refused; the right
 * one makes a session that outlives nothing it should not: logout, idleness,
 * a week, a new password, a restart. */
static void
sessions(void **state)
{
	struct fixture *f = *state;
	char one[65], two[65];
	struct tn_diag d;
	uint32_t wait_s;

	assert_false(tn_governance_has_password(f->x));
	assert_int_equal(login(f, "", "a", one, &wait_s), TN_EDENIED);
	assert_int_equal(tn_governance_set_password(f->x,
	    tn_slice_of("seven77"), &d), TN_EINVAL);
	assert_int_equal(tn_governance_set_password(f->x,
	    tn_slice_of("eight888"), &d), TN_OK);
	assert_true(tn_governance_has_password(f->x));
	restart(f);
	assert_true(tn_governance_has_password(f->x));
	assert_int_equal(login(f, "eight88", "a", one, &wait_s), TN_EDENIED);
	assert_int_equal(login(f, "eight888", "a", one, &wait_s), TN_OK);
	assert_int_equal(strlen(one), 64);
	assert_int_equal(scope_of(f, one), TN_SCOPE_ADMIN);
	assert_int_equal(login(f, "eight888", "b", two, &wait_s), TN_OK);
	assert_string_not_equal(one, two);
	tn_governance_logout(f->x, tn_slice_of(one));
	tn_governance_logout(f->x, tn_slice_of("no such session"));
	assert_int_equal(scope_of(f, one), TN_SCOPE_NONE);
	assert_int_equal(scope_of(f, two), TN_SCOPE_ADMIN);
	two[5] ^= 1;
	assert_int_equal(scope_of(f, two), TN_SCOPE_NONE);
	two[5] ^= 1;
	assert_int_equal(scope_of(f, ""), TN_SCOPE_NONE);
	/* Use keeps it alive, for a week. */
	for (int i = 0; i < 15; i++) {
		mono_us += 11 * HOUR;
		assert_int_equal(scope_of(f, two), TN_SCOPE_ADMIN);
	}
	mono_us += 4 * HOUR;
	assert_int_equal(scope_of(f, two), TN_SCOPE_NONE);
	assert_int_equal(login(f, "eight888", "b", two, &wait_s), TN_OK);
	mono_us += 12 * HOUR;
	assert_int_equal(scope_of(f, two), TN_SCOPE_NONE);
	assert_int_equal(login(f, "eight888", "b", two, &wait_s), TN_OK);
	assert_int_equal(tn_governance_set_password(f->x,
	    tn_slice_of("another one"), &d), TN_OK);
	assert_int_equal(scope_of(f, two), TN_SCOPE_NONE);
	assert_int_equal(login(f, "eight888", "b", one, &wait_s),
	    TN_EDENIED);
	assert_int_equal(login(f, "another one", "b", two, &wait_s), TN_OK);
	restart(f);
	assert_int_equal(scope_of(f, two), TN_SCOPE_NONE);
}

/* Goal: the setup code works once, within 30 minutes; a weak password does
 * not use it up; a new code replaces the old. */
static void
setup_code(void **state)
{
	struct fixture *f = *state;
	char old[40], code[40];
	struct tn_diag d;
	struct tn_slice good = tn_slice_of("good password");

	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(""), good, &d),
	    TN_EDENIED);
	tn_governance_setup_code(f->x, old);
	tn_governance_setup_code(f->x, code);
	assert_int_equal(strlen(code), 24);
	assert_string_not_equal(old, code);
	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(old), good,
	    &d), TN_EDENIED);
	assert_string_equal(d.code, "setup_code");
	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(code),
	    tn_slice_of("weak"), &d), TN_EINVAL);
	mono_us += 30 * MINUTE - 1;
	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(code), good,
	    &d), TN_OK);
	assert_true(tn_governance_has_password(f->x));
	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(code), good,
	    &d), TN_EDENIED);
	tn_governance_setup_code(f->x, code);
	mono_us += 30 * MINUTE;
	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(code), good,
	    &d), TN_EDENIED);
}

struct racer {
	struct fixture *f;
	const char *code;
	enum tn_status st;
};

static void *
race(void *arg)
{
	struct racer *r = arg;
	struct tn_diag d;

	r->st = tn_governance_setup(r->f->x, tn_slice_of(r->code),
	    tn_slice_of("the password"), &d);
	return NULL;
}

/* Goal: of two people with the same code just one sets the password. */
static void
setup_race(void **state)
{
	struct fixture *f = *state;
	struct racer r[2];
	pthread_t t[2];
	char code[40];

	tn_governance_setup_code(f->x, code);
	for (int i = 0; i < 2; i++) {
		r[i] = (struct racer){ f, code, TN_OK };
		assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_true((r[0].st == TN_OK) != (r[1].st == TN_OK));
	assert_true(r[0].st == TN_EDENIED || r[1].st == TN_EDENIED);
}

/* ---- guessing -------------------------------------------------------- */

/* Goal: five guesses are free, then the wait doubles from 1 s to 5 minutes;
 * waiting guesses do not count; other addresses are free until fifty. */
static void
back_off(void **state)
{
	static const uint32_t waits[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256,
	    300, 300 };
	struct fixture *f = *state;
	char session[65], address[20];
	uint32_t wait_s;

	for (int i = 0; i < 4; i++)
		assert_int_equal(login(f, "x", "a", session, &wait_s),
		    TN_EDENIED);
	for (size_t i = 0; i < TN_COUNT(waits); i++) {
		assert_int_equal(login(f, "x", "a", session, &wait_s),
		    TN_EDENIED);
		assert_int_equal(login(f, "x", "a", session, &wait_s),
		    TN_EFULL);
		assert_in_range(wait_s, waits[i], waits[i] + 1);
		mono_us += waits[i] * SECOND - 1;
		assert_int_equal(login(f, "x", "a", session, &wait_s),
		    TN_EFULL);
		mono_us += 1;
	}
	/* 15 so far; others have 34 more, then all wait. */
	for (int i = 0; i < 34; i++) {
		snprintf(address, sizeof address, "%d", i);
		assert_int_equal(login(f, "x", address, session, &wait_s),
		    TN_EDENIED);
	}
	assert_int_equal(login(f, "x", "new", session, &wait_s), TN_EDENIED);
	assert_int_equal(login(f, "x", "newer", session, &wait_s), TN_EFULL);
	mono_us += 1 * SECOND;
	assert_int_equal(login(f, "x", "newer", session, &wait_s),
	    TN_EDENIED);
	assert_int_equal(login(f, "x", "newest", session, &wait_s),
	    TN_EFULL);
	assert_in_range(wait_s, 2, 3);
}

/* Goal: an address longer than an entry keeps is slowed down like others. */
static void
long_address(void **state)
{
	struct fixture *f = *state;
	char session[65], address[200];
	uint32_t wait_s;

	memset(address, '1', sizeof address);
	address[sizeof address - 1] = '\0';
	for (int i = 0; i < 5; i++)
		assert_int_equal(login(f, "x", address, session, &wait_s),
		    TN_EDENIED);
	assert_int_equal(login(f, "x", address, session, &wait_s), TN_EFULL);
}

/* Goal: a flood of guesses from everywhere does not lock out an address that
 * logged in before, and the flood itself stays slow. */
static void
owner_comes_in(void **state)
{
	struct fixture *f = *state;
	char session[65], address[20];
	uint32_t wait_s, taken = 0;
	struct tn_diag d;

	assert_int_equal(tn_governance_set_password(f->x,
	    tn_slice_of("good password"), &d), TN_OK);
	assert_int_equal(login(f, "good password", "home", session, &wait_s),
	    TN_OK);
	/* Argon2 is slow: the flood guesses far too long passwords. */
	char *guess = tn_alloc(2000);
	memset(guess, 'x', 2000);
	guess[1999] = '\0';
	for (int i = 0; i < 2000; i++) {
		snprintf(address, sizeof address, "f%d", i);
		taken += login(f, guess, address, session, &wait_s) ==
		    TN_EDENIED;
	}
	tn_free(guess);
	assert_int_equal(taken, 50);
	assert_int_equal(login(f, "good password", "away", session, &wait_s),
	    TN_EFULL);
	assert_int_equal(login(f, "good password", "home", session, &wait_s),
	    TN_OK);
}

/* ---- tokens ---------------------------------------------------------- */

/* Goal: a token has just its scope until it ends or is revoked, also after a
 * restart. */
static void
tokens(void **state)
{
	struct fixture *f = *state;
	char read[64], ingest[64], admin[64];
	uint64_t ids[3];

	assert_int_equal(tn_governance_token_create(f->x, "r",
	    TN_SCOPE_READ, 0, read, &ids[0]), TN_OK);
	assert_int_equal(tn_governance_token_create(f->x, "i",
	    TN_SCOPE_INGEST, wall_us + HOUR, ingest, &ids[1]), TN_OK);
	assert_int_equal(tn_governance_token_create(f->x, "a",
	    TN_SCOPE_ADMIN, 0, admin, &ids[2]), TN_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tn_governance_bearer(f->x,
		    tn_slice_of(read)), TN_SCOPE_READ);
		assert_int_equal(tn_governance_bearer(f->x,
		    tn_slice_of(ingest)), TN_SCOPE_INGEST);
		assert_int_equal(tn_governance_bearer(f->x,
		    tn_slice_of(admin)), TN_SCOPE_ADMIN);
		restart(f);
	}
	assert_memory_equal(read, "trn_", 4);
	assert_int_equal(strlen(read), 47);
	read[20] ^= 1;
	assert_int_equal(tn_governance_bearer(f->x, tn_slice_of(read)),
	    TN_SCOPE_NONE);
	read[20] ^= 1;
	assert_int_equal(tn_governance_bearer(f->x, tn_slice_of("trn_")),
	    TN_SCOPE_NONE);
	assert_int_equal(tn_governance_bearer(f->x,
	    (struct tn_slice){ NULL, 0 }), TN_SCOPE_NONE);
	wall_us += HOUR;
	assert_int_equal(tn_governance_bearer(f->x, tn_slice_of(ingest)),
	    TN_SCOPE_NONE);
	assert_int_equal(tn_governance_token_revoke(f->x, ids[0]), TN_OK);
	assert_int_equal(tn_governance_token_revoke(f->x, ids[0]),
	    TN_ENOTFOUND);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tn_governance_bearer(f->x,
		    tn_slice_of(read)), TN_SCOPE_NONE);
		assert_int_equal(tn_governance_bearer(f->x,
		    tn_slice_of(admin)), TN_SCOPE_ADMIN);
		restart(f);
	}
}

static int64_t
used_at(struct fixture *f, uint64_t id)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_catalog_token *list;
	int64_t used = -1;
	uint32_t n;

	assert_int_equal(tn_catalog_tokens(f->cat, a, &list, &n), TN_OK);
	for (uint32_t i = 0; i < n; i++)
		if (list[i].id == id)
			used = list[i].used_us;
	tn_arena_free(a);
	return used;
}

/* Goal: the catalog learns of a token's use at once the first time, then at
 * most once an hour, also over a restart; a few tokens a call. */
static void
tokens_used(void **state)
{
	struct fixture *f = *state;
	char token[40][64];
	uint64_t id[40];
	int64_t first;
	int noted = 0;

	for (int i = 0; i < 40; i++)
		assert_int_equal(tn_governance_token_create(f->x, "t",
		    TN_SCOPE_READ, i == 39 ? wall_us : 0, token[i], &id[i]),
		    TN_OK);
	tn_governance_tokens_note(f->x);
	assert_int_equal(used_at(f, id[0]), 0);
	first = wall_us;
	(void)tn_governance_bearer(f->x, tn_slice_of(token[0]));
	(void)tn_governance_bearer(f->x, tn_slice_of(token[39]));
	assert_int_equal(used_at(f, id[0]), 0);
	tn_governance_tokens_note(f->x);
	assert_int_equal(used_at(f, id[0]), first);
	assert_int_equal(used_at(f, id[39]), 0);         /* Ended: not used. */
	for (int minutes = 10; minutes <= 70; minutes += 10) {
		wall_us = first + minutes * MINUTE;
		if (minutes == 30)
			restart(f);
		(void)tn_governance_bearer(f->x, tn_slice_of(token[0]));
		tn_governance_tokens_note(f->x);
		assert_int_equal(used_at(f, id[0]), minutes < 60 ? first :
		    first + HOUR);
	}
	for (int i = 1; i < 39; i++)
		(void)tn_governance_bearer(f->x, tn_slice_of(token[i]));
	tn_governance_tokens_note(f->x);
	for (int i = 1; i < 39; i++)
		noted += used_at(f, id[i]) != 0;
	assert_in_range(noted, 1, 20);
	for (int i = 0; i < 5; i++)
		tn_governance_tokens_note(f->x);
	for (int i = 1; i < 39; i++)
		assert_int_equal(used_at(f, id[i]), wall_us);
}

/* Goal: names of tokens have limits. */
static void
token_names(void **state)
{
	struct fixture *f = *state;
	char token[64], name[102];
	uint64_t id;

	memset(name, 'n', sizeof name);
	name[101] = '\0';
	assert_int_equal(tn_governance_token_create(f->x, "", TN_SCOPE_READ,
	    0, token, &id), TN_EINVAL);
	assert_int_equal(tn_governance_token_create(f->x, name,
	    TN_SCOPE_READ, 0, token, &id), TN_EINVAL);
	assert_int_equal(tn_governance_token_create(f->x, "\xff",
	    TN_SCOPE_READ, 0, token, &id), TN_EINVAL);
	name[100] = '\0';
	assert_int_equal(tn_governance_token_create(f->x, name,
	    TN_SCOPE_READ, 0, token, &id), TN_OK);
}

static bool
found_in(const char *dir, const char *secret)
{
	char **names = NULL, path[200];
	size_t count = 0, n = strlen(secret);
	bool found = false;

	assert_int_equal(tn_os_list(dir, &names, &count), TN_OK);
	for (size_t i = 0; i < count; i++) {
		struct tn_buf b = { 0 };
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		assert_int_equal(tn_os_read_file(path, &b, 1 << 26), TN_OK);
		found = found || memmem(b.p, b.n, secret, n) != NULL;
		tn_buf_fini(&b);
		tn_free(names[i]);
	}
	tn_free(names);
	return found;
}

/* Goal: no secret lies in clear in any file: token, password, session, setup
 * code; what is stored for the password is argon2id. */
static void
nothing_in_clear(void **state)
{
	struct fixture *f = *state;
	char token[64], session[65], code[40];
	struct tn_diag d;
	uint64_t id;
	uint32_t wait_s;

	tn_governance_setup_code(f->x, code);
	assert_int_equal(tn_governance_setup(f->x, tn_slice_of(code),
	    tn_slice_of("a plain password"), &d), TN_OK);
	assert_int_equal(tn_governance_token_create(f->x, "the name",
	    TN_SCOPE_READ, 0, token, &id), TN_OK);
	assert_int_equal(login(f, "a plain password", "a", session, &wait_s),
	    TN_OK);
	for (int i = 0; i < 2; i++) {
		assert_true(found_in(f->dir, "the name"));
		assert_true(found_in(f->dir, "$argon2id$"));
		assert_false(found_in(f->dir, token));
		assert_false(found_in(f->dir, token + 4));
		assert_false(found_in(f->dir, "a plain password"));
		assert_false(found_in(f->dir, session));
		assert_false(found_in(f->dir, code));
		restart(f);
	}
}

/* ---- threads --------------------------------------------------------- */

struct busy {
	struct fixture *f;
	const char *token;
	bool stop;
	int bad;
};

static void *
keep_asking(void *arg)
{
	struct busy *b = arg;

	while (!__atomic_load_n(&b->stop, __ATOMIC_RELAXED)) {
		if (tn_governance_bearer(b->f->x, tn_slice_of(b->token)) !=
		    TN_SCOPE_READ)
			__atomic_add_fetch(&b->bad, 1, __ATOMIC_RELAXED);
		(void)scope_of(b->f, "nobody");
	}
	return NULL;
}

/* Goal: asking for scopes while tokens come and go disturbs neither. */
static void
threads(void **state)
{
	struct fixture *f = *state;
	char token[64], other[64];
	struct busy b = { .f = f, .token = token };
	pthread_t t[2];
	uint64_t id;

	assert_int_equal(tn_governance_token_create(f->x, "r",
	    TN_SCOPE_READ, 0, token, &id), TN_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, keep_asking,
		    &b), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(tn_governance_token_create(f->x, "o",
		    TN_SCOPE_INGEST, 0, other, &id), TN_OK);
		assert_int_equal(tn_governance_bearer(f->x,
		    tn_slice_of(other)), TN_SCOPE_INGEST);
		assert_int_equal(tn_governance_token_revoke(f->x, id), TN_OK);
	}
	__atomic_store_n(&b.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(b.bad, 0);
}

#define ACCESS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ACCESS_TEST(sessions),
		ACCESS_TEST(setup_code),
		ACCESS_TEST(setup_race),
		ACCESS_TEST(back_off),
		ACCESS_TEST(long_address),
		ACCESS_TEST(owner_comes_in),
		ACCESS_TEST(tokens),
		ACCESS_TEST(tokens_used),
		ACCESS_TEST(token_names),
		ACCESS_TEST(nothing_in_clear),
		ACCESS_TEST(threads),
	};

	tn_say_setup(TN_ERROR + 1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
