/* SHA-256 in pieces, against the examples of FIPS 180-4. */
#include "test.h"

#include "gov_help.h"
#include "governance/governance.h"

#include <sodium.h>

static void
check(const char *text, size_t piece, const char *want)
{
	struct tn_governance_digest *d = tn_governance_digest_new();
	size_t n = strlen(text);
	char hex[65];

	for (size_t at = 0; at < n; at += piece)
		tn_governance_digest_add(d, text + at,
		    n - at < piece ? n - at : piece);
	tn_governance_digest_end(d, hex);
	assert_string_equal(hex, want);
}

/* Goal: the standard's digests, however the bytes come. */
static void
known_digests(void **state)
{
	(void)state;
	check("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b"
	    "7852b855");
	for (size_t piece = 1; piece < 5; piece++)
		check("abc", piece, "ba7816bf8f01cfea414140de5dae2223b00361a3"
		    "96177a9cb410ff61f20015ad");
	check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 7,
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	tn_governance_digest_free(tn_governance_digest_new());
	tn_governance_digest_free(NULL);
}

/* Goal: GnuTLS and libsodium agree, for every length around a block's ends
 * and in pieces of any size. */
static void
both_engines(void **state)
{
	uint8_t bytes[700], sum[crypto_hash_sha256_BYTES];
	char got[65], want[65];

	(void)state;
	random_start();
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)random_below(256);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		struct tn_governance_digest *d = tn_governance_digest_new();
		size_t at = 0;

		while (at < n) {
			uint32_t most = random_below(3) == 0 ? 5 : 200;
			size_t piece = random_below(most) + 1;
			piece = piece < n - at ? piece : n - at;
			tn_governance_digest_add(d, bytes + at, piece);
			at += piece;
		}
		tn_governance_digest_end(d, got);
		(void)crypto_hash_sha256(sum, bytes, n);
		(void)sodium_bin2hex(want, sizeof want, sum, sizeof sum);
		assert_string_equal(got, want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(known_digests),
		cmocka_unit_test(both_engines) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
