/* Who may come in: one admin password (argon2id, libsodium's interactive
 * limits), API tokens (32 random bytes, kept as SHA-256), browser sessions
 * (in memory, 32 random bytes), the one-time setup code.
 *
 * A table of tokens and sessions is read on every request, so it is small,
 * in memory and under a plain lock that is never held over the disk or
 * argon2. Secrets are compared as hashes of equal length in constant time.
 *
 * Guessing: after five failures an address waits 1 s, then twice as long for
 * each more, at most 5 minutes; all addresses together share the same rule
 * with a limit of 50, which does not hold for an address that logged in
 * before: a stranger cannot lock the owner out. */
#include "governance/governance.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "net/net.h"
#include "os/os.h"

#define SESSIONS_MAX 1024
#define SESSION_IDLE_US (INT64_C(12) * 3600 * 1000000)
#define SESSION_LIFE_US (INT64_C(7) * 24 * 3600 * 1000000)
#define NAME_MAX_BYTES 100
#define SETUP_US (INT64_C(30) * 60 * 1000000)
#define GUESSERS_MAX 256
#define FREE_GUESSES 5
#define FREE_GUESSES_ALL 50
#define WAIT_MAX_S 300
#define NOTE_US (INT64_C(3600) * 1000000)
#define NOTES_MAX 16             /* Of one call: each is a sync. */
#define HASH_BYTES crypto_hash_sha256_BYTES
#define PASSWORD_MIN 8
#define PASSWORD_MAX 1024

struct session {
	uint8_t hash[HASH_BYTES];
	bool taken;
	int64_t made_us;
	int64_t used_us;
};
struct token {
	uint64_t id;
	uint8_t hash[HASH_BYTES];
	enum tn_governance_scope scope;
	int64_t expires_us;
	int64_t used_us;         /* Last use; 0: not since the start. */
	int64_t noted_us;        /* As the catalog has it. */
};
struct guesser {
	char address[64];
	uint32_t failures;
	int64_t next_us;         /* Not before. */
	bool known;              /* Has logged in. */
};
struct tn_governance_access {
	struct tn_net_lock *lock;
	struct tn_catalog *cat;
	char password[crypto_pwhash_STRBYTES];   /* "" when none. */
	struct session sessions[SESSIONS_MAX];
	struct token *tokens;
	uint32_t token_count;
	struct guesser guessers[GUESSERS_MAX];
	struct guesser all;
	uint8_t setup[HASH_BYTES];
	int64_t setup_until_us;  /* 0: none. */
	uint64_t passwords;      /* New ones since the start. */
	uint64_t changes;        /* Passwords, tokens revoked. */
};

static const char *const scope_names[] = { "none", "ingest", "read",
    "admin" };

static void
hash_of(struct tn_slice s, uint8_t out[HASH_BYTES])
{
	crypto_hash_sha256(out, s.p, s.n);
}

static enum tn_governance_scope
scope_of(const char *name)
{
	for (int i = 1; i < (int)TN_COUNT(scope_names); i++)
		if (strcmp(name, scope_names[i]) == 0)
			return (enum tn_governance_scope)i;
	return TN_SCOPE_NONE;
}

/* Tokens from the catalog, before other threads know us. */
static enum tn_status
load_tokens(struct tn_governance_access *x)
{
	struct tn_arena *a = tn_arena_new(4096);
	struct tn_catalog_token *list = NULL;
	uint32_t count = 0;
	enum tn_status st = tn_catalog_tokens(x->cat, a, &list, &count);

	x->tokens = tn_zalloc((count + 1) * sizeof *x->tokens);
	for (uint32_t i = 0; st == TN_OK && i < count; i++) {
		struct token *t = &x->tokens[x->token_count];
		size_t n = 0;
		if (sodium_hex2bin(t->hash, sizeof t->hash, list[i].hash,
		    strlen(list[i].hash), NULL, &n, NULL) != 0 ||
		    n != sizeof t->hash)
			continue;
		t->id = list[i].id;
		t->scope = scope_of(list[i].scope);
		t->expires_us = list[i].expires_us;
		t->noted_us = list[i].used_us;
		x->token_count++;
	}
	tn_arena_free(a);
	return st;
}

enum tn_status
tn_governance_access_new(struct tn_governance_access **out,
    struct tn_catalog *cat)
{
	struct tn_governance_access *x = tn_zalloc(sizeof *x);
	struct tn_arena *a = tn_arena_new(1024);
	const char *password = NULL;
	int ready = sodium_init();
	enum tn_status st;

	*out = NULL;
	tn_assert(ready >= 0);
	x->cat = cat;
	x->lock = tn_net_lock_new();
	st = tn_catalog_get(cat, "admin_password", a, &password);
	if (st == TN_OK)
		snprintf(x->password, sizeof x->password, "%s", password);
	if (st == TN_ENOTFOUND)
		st = TN_OK;
	if (st == TN_OK)
		st = load_tokens(x);
	tn_arena_free(a);
	if (st != TN_OK) {
		tn_governance_access_free(x);
		return st;
	}
	*out = x;
	return TN_OK;
}

void
tn_governance_access_free(struct tn_governance_access *x)
{
	if (x == NULL)
		return;
	tn_net_lock_free(x->lock);
	tn_free(x->tokens);
	sodium_memzero(x, sizeof *x);
	tn_free(x);
}

bool
tn_governance_has_password(struct tn_governance_access *x)
{
	bool has;

	tn_net_lock_take(x->lock);
	has = x->password[0] != '\0';
	tn_net_lock_drop(x->lock);
	return has;
}

static bool
good_length(struct tn_slice password)
{
	return password.n >= PASSWORD_MIN && password.n <= PASSWORD_MAX;
}

static enum tn_status
weak_password(struct tn_diag *d)
{
	return tn_diag_set(d, TN_EINVAL, "weak_password",
	    "the password must have %d to %d bytes", PASSWORD_MIN,
	    PASSWORD_MAX);
}

enum tn_status
tn_governance_set_password(struct tn_governance_access *x,
    struct tn_slice password, struct tn_diag *d)
{
	char hash[crypto_pwhash_STRBYTES];
	enum tn_status st;

	if (!good_length(password))
		return weak_password(d);
	if (crypto_pwhash_str(hash, (const char *)password.p, password.n,
	    crypto_pwhash_OPSLIMIT_INTERACTIVE,
	    crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
		return tn_diag_set(d, TN_ENOMEM, "memory",
		    "not enough memory to hash the password (64 MiB)");
	st = tn_catalog_set(x->cat, "admin_password", hash);
	if (st != TN_OK)
		return tn_diag_set(d, st, "catalog",
		    "the password could not be stored: %s",
		    tn_status_text(st));
	tn_net_lock_take(x->lock);
	memcpy(x->password, hash, sizeof hash);
	memset(x->sessions, 0, sizeof x->sessions);
	x->passwords++;
	x->changes++;
	tn_net_lock_drop(x->lock);
	sodium_memzero(hash, sizeof hash);
	return TN_OK;
}

void
tn_governance_setup_code(struct tn_governance_access *x, char out[static 40])
{
	/* 32 letters without 0, O, 1, I: five bits each, 20 of them. */
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	uint8_t random[20];
	size_t n = 0;

	tn_os_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++) {
		if (i > 0 && i % 4 == 0)
			out[n++] = '-';
		out[n++] = letters[random[i] & 31];
	}
	out[n] = '\0';
	tn_net_lock_take(x->lock);
	hash_of((struct tn_slice){ (const uint8_t *)out, n }, x->setup);
	x->setup_until_us = tn_os_mono_us() + SETUP_US;
	tn_net_lock_drop(x->lock);
}

enum tn_status
tn_governance_setup(struct tn_governance_access *x, struct tn_slice code,
    struct tn_slice password, struct tn_diag *d)
{
	uint8_t hash[HASH_BYTES];
	int64_t until = 0;
	enum tn_status st;

	if (!good_length(password))
		return weak_password(d);
	hash_of(code, hash);
	/* Used up before the slow part: two at once cannot both have it. */
	tn_net_lock_take(x->lock);
	if (x->setup_until_us > tn_os_mono_us() &&
	    sodium_memcmp(hash, x->setup, sizeof hash) == 0) {
		until = x->setup_until_us;
		x->setup_until_us = 0;
	}
	tn_net_lock_drop(x->lock);
	if (until == 0) {
		tn_diag_hint(d, "restart tarn to get a new link, or set "
		    "TARN_ADMIN_PASSWORD_FILE");
		return tn_diag_set(d, TN_EDENIED, "setup_code",
		    "this one-time link is wrong, used up or older than 30 "
		    "minutes");
	}
	st = tn_governance_set_password(x, password, d);
	if (st == TN_OK)
		return TN_OK;
	/* Nothing was set: the code is good again, unless a new one came. */
	tn_net_lock_take(x->lock);
	if (x->setup_until_us == 0)
		x->setup_until_us = until;
	tn_net_lock_drop(x->lock);
	return st;
}

/* ---- guessing -------------------------------------------------------- */

/* True when ${a} should give up its entry rather than ${b}. */
static bool
replace_rather(const struct guesser *a, const struct guesser *b)
{
	if (a->known != b->known)
		return b->known;
	return a->next_us < b->next_us;
}

/* The entry of an address; strangers are replaced first, and of them the one
 * that may go on soonest. */
static struct guesser *
guesser_of(struct tn_governance_access *x, const char *address)
{
	struct guesser *oldest = &x->guessers[0];
	char name[sizeof oldest->address];

	snprintf(name, sizeof name, "%s", address);
	for (int i = 0; i < GUESSERS_MAX; i++) {
		struct guesser *g = &x->guessers[i];
		if (strcmp(g->address, name) == 0)
			return g;
		if (replace_rather(g, oldest))
			oldest = g;
	}
	memset(oldest, 0, sizeof *oldest);
	memcpy(oldest->address, name, sizeof name);
	return oldest;
}

static void
count_failure(struct guesser *g, uint32_t allowed, int64_t now_us)
{
	uint32_t over, wait_s = 1;

	g->failures++;
	if (g->failures < allowed) {
		g->next_us = now_us;
		return;
	}
	over = g->failures - allowed;
	while (over-- > 0 && wait_s < WAIT_MAX_S)
		wait_s *= 2;
	if (wait_s > WAIT_MAX_S)
		wait_s = WAIT_MAX_S;
	g->next_us = now_us + (int64_t)wait_s * 1000000;
}

/* Seconds to wait, 0 when a guess is allowed now. A guess is counted as
 * failed before it is checked, so that parallel guesses do not slip by. */
static uint32_t
take_guess(struct tn_governance_access *x, const char *address)
{
	int64_t now = tn_os_mono_us(), until;
	struct guesser *g;

	tn_net_lock_take(x->lock);
	g = guesser_of(x, address);
	until = g->next_us;
	if (!g->known && x->all.next_us > until)
		until = x->all.next_us;
	if (until <= now) {
		count_failure(g, FREE_GUESSES, now);
		count_failure(&x->all, FREE_GUESSES_ALL, now);
	}
	tn_net_lock_drop(x->lock);
	return until <= now ? 0 : (uint32_t)((until - now) / 1000000 + 1);
}

static void
forgive(struct tn_governance_access *x, const char *address)
{
	struct guesser *g = guesser_of(x, address);

	g->failures = 0;
	g->next_us = 0;
	g->known = true;
	x->all.failures = 0;
	x->all.next_us = 0;
}

/* ---- sessions -------------------------------------------------------- */

static void
new_session(struct tn_governance_access *x, char session[static 65])
{
	uint8_t random[32];
	struct session *slot = &x->sessions[0];

	tn_os_random(random, sizeof random);
	sodium_bin2hex(session, 65, random, sizeof random);
	sodium_memzero(random, sizeof random);
	for (int i = 0; i < SESSIONS_MAX && slot->taken; i++) {
		struct session *s = &x->sessions[i];
		if (!s->taken || s->used_us < slot->used_us)
			slot = s;
	}
	hash_of((struct tn_slice){ (const uint8_t *)session, 64 },
	    slot->hash);
	slot->taken = true;
	slot->made_us = tn_os_mono_us();
	slot->used_us = slot->made_us;
}

enum tn_status
tn_governance_login(struct tn_governance_access *x,
    struct tn_slice password, const char *address, char session[static 65],
    uint32_t *wait_s)
{
	char hash[crypto_pwhash_STRBYTES];
	bool good;

	*wait_s = take_guess(x, address);
	if (*wait_s > 0)
		return TN_EFULL;
	tn_net_lock_take(x->lock);
	memcpy(hash, x->password, sizeof hash);
	tn_net_lock_drop(x->lock);
	good = hash[0] != '\0' && password.n <= PASSWORD_MAX &&
	    crypto_pwhash_str_verify(hash, (const char *)password.p,
	    password.n) == 0;
	if (!good)
		return TN_EDENIED;
	tn_net_lock_take(x->lock);
	/* Not when the password was changed meanwhile. */
	good = memcmp(hash, x->password, sizeof hash) == 0;
	if (good) {
		forgive(x, address);
		new_session(x, session);
	}
	tn_net_lock_drop(x->lock);
	sodium_memzero(hash, sizeof hash);
	return good ? TN_OK : TN_EDENIED;
}

static struct session *
find_session(struct tn_governance_access *x, struct tn_slice text)
{
	uint8_t hash[HASH_BYTES];

	if (text.n != 64)
		return NULL;
	hash_of(text, hash);
	for (int i = 0; i < SESSIONS_MAX; i++)
		if (x->sessions[i].taken &&
		    sodium_memcmp(hash, x->sessions[i].hash,
		    sizeof hash) == 0)
			return &x->sessions[i];
	return NULL;
}

enum tn_governance_scope
tn_governance_session(struct tn_governance_access *x, struct tn_slice text)
{
	int64_t now = tn_os_mono_us();
	enum tn_governance_scope scope = TN_SCOPE_NONE;
	struct session *s;

	tn_net_lock_take(x->lock);
	s = find_session(x, text);
	if (s != NULL && now - s->used_us < SESSION_IDLE_US &&
	    now - s->made_us < SESSION_LIFE_US) {
		s->used_us = now;
		scope = TN_SCOPE_ADMIN;
	}
	tn_net_lock_drop(x->lock);
	return scope;
}

void
tn_governance_logout(struct tn_governance_access *x, struct tn_slice text)
{
	struct session *s;

	tn_net_lock_take(x->lock);
	s = find_session(x, text);
	if (s != NULL)
		memset(s, 0, sizeof *s);
	tn_net_lock_drop(x->lock);
}

/* ---- tokens ---------------------------------------------------------- */

static bool
has_expired(const struct token *t, int64_t now_us)
{
	return t->expires_us != 0 && t->expires_us <= now_us;
}

enum tn_governance_scope
tn_governance_bearer_pass(struct tn_governance_access *x,
    struct tn_slice text, struct tn_governance_pass *pass)
{
	uint8_t hash[HASH_BYTES];
	enum tn_governance_scope scope = TN_SCOPE_NONE;
	int64_t now = tn_os_wall_us();

	*pass = (struct tn_governance_pass){ 0, 0 };
	if (text.n < 5 || text.n > 63 || memcmp(text.p, "trn_", 4) != 0)
		return TN_SCOPE_NONE;
	hash_of(text, hash);
	tn_net_lock_take(x->lock);
	for (uint32_t i = 0; i < x->token_count; i++) {
		struct token *t = &x->tokens[i];
		if (sodium_memcmp(hash, t->hash, sizeof hash) != 0 ||
		    has_expired(t, now))
			continue;
		scope = t->scope;
		pass->token = t->id;
		t->used_us = now;
	}
	tn_net_lock_drop(x->lock);
	return scope;
}

enum tn_governance_scope
tn_governance_bearer(struct tn_governance_access *x, struct tn_slice text)
{
	struct tn_governance_pass pass;

	return tn_governance_bearer_pass(x, text, &pass);
}

struct tn_governance_pass
tn_governance_password_pass(struct tn_governance_access *x)
{
	struct tn_governance_pass pass = { 0, 0 };

	tn_net_lock_take(x->lock);
	pass.password = x->passwords + 1;
	tn_net_lock_drop(x->lock);
	return pass;
}

bool
tn_governance_pass_holds(struct tn_governance_access *x,
    const struct tn_governance_pass *pass)
{
	bool holds = pass->token == 0;
	int64_t now = tn_os_wall_us();

	if (holds && pass->password == 0)
		return true;
	tn_net_lock_take(x->lock);
	if (pass->password != 0)
		holds = pass->password == x->passwords + 1;
	for (uint32_t i = 0; i < x->token_count && !holds; i++)
		holds = x->tokens[i].id == pass->token &&
		    !has_expired(&x->tokens[i], now);
	tn_net_lock_drop(x->lock);
	return holds;
}

uint64_t
tn_governance_changes(struct tn_governance_access *x)
{
	uint64_t n;

	tn_net_lock_take(x->lock);
	n = x->changes;
	tn_net_lock_drop(x->lock);
	return n;
}

/* A token whose last use the catalog should learn; false: none. Counted as
 * noted at once, so that a catalog that fails is asked again in an hour. */
static bool
next_note(struct tn_governance_access *x, struct token *out)
{
	bool found = false;

	tn_net_lock_take(x->lock);
	for (uint32_t i = 0; i < x->token_count && !found; i++) {
		struct token *t = &x->tokens[i];
		found = t->used_us != 0 && (t->noted_us == 0 ||
		    t->used_us - t->noted_us >= NOTE_US);
		if (!found)
			continue;
		t->noted_us = t->used_us;
		*out = *t;
	}
	tn_net_lock_drop(x->lock);
	return found;
}

void
tn_governance_tokens_note(struct tn_governance_access *x)
{
	struct token t;

	for (int i = 0; i < NOTES_MAX && next_note(x, &t); i++) {
		enum tn_status st = tn_catalog_token_used(x->cat, t.id,
		    t.used_us);
		if (st != TN_OK)
			tn_say(TN_WARN, "access", "the last use of token %llu "
			    "could not be noted: %s", (unsigned long long)
			    t.id, tn_status_text(st));
	}
}

enum tn_status
tn_governance_token_create(struct tn_governance_access *x, const char *name,
    enum tn_governance_scope scope, int64_t expires_us,
    char token[static 64], uint64_t *id)
{
	uint8_t random[32];
	char hex[HASH_BYTES * 2 + 1];
	struct token made = { .scope = scope, .expires_us = expires_us };
	size_t name_bytes = strlen(name);
	struct tn_catalog_token t = { .name = name, .hash = hex,
	    .scope = scope_names[scope], .created_us = tn_os_wall_us(),
	    .expires_us = expires_us };
	enum tn_status st;

	tn_assert(scope > TN_SCOPE_NONE && scope <= TN_SCOPE_ADMIN);
	*id = 0;
	if (name_bytes == 0 || name_bytes > NAME_MAX_BYTES ||
	    !tn_utf8_valid(name, name_bytes))
		return TN_EINVAL;
	tn_os_random(random, sizeof random);
	memcpy(token, "trn_", 4);
	sodium_bin2base64(token + 4, 60, random, sizeof random,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof random);
	hash_of(tn_slice_of(token), made.hash);
	sodium_bin2hex(hex, sizeof hex, made.hash, sizeof made.hash);
	st = tn_catalog_token_add(x->cat, &t, id);
	if (st != TN_OK) {
		sodium_memzero(token, 64);
		return st;
	}
	made.id = *id;
	tn_net_lock_take(x->lock);
	x->tokens = tn_realloc(x->tokens, (x->token_count + 1) *
	    sizeof *x->tokens);
	x->tokens[x->token_count++] = made;
	tn_net_lock_drop(x->lock);
	return TN_OK;
}

enum tn_status
tn_governance_token_revoke(struct tn_governance_access *x, uint64_t id)
{
	enum tn_status st = tn_catalog_token_remove(x->cat, id);

	if (st != TN_OK)
		return st;
	tn_net_lock_take(x->lock);
	for (uint32_t i = 0; i < x->token_count; i++)
		if (x->tokens[i].id == id)
			x->tokens[i--] = x->tokens[--x->token_count];
	x->changes++;
	tn_net_lock_drop(x->lock);
	return TN_OK;
}
