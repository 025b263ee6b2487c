/* SHA-256 in pieces, against the examples of FIPS 180-4. */
#include "test.h"

#include "governance/governance.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(known_digests) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
