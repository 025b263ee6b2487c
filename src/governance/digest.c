/* digest: SHA-256 (FIPS 180-4) of contents, by libsodium. Here because one
 * room alone includes it. */
#include "governance/governance.h"

#include <sodium.h>
#include <stdio.h>

struct tn_governance_digest {
	crypto_hash_sha256_state state;
};

struct tn_governance_digest *
tn_governance_digest_new(void)
{
	struct tn_governance_digest *d = tn_zalloc(sizeof *d);

	(void)crypto_hash_sha256_init(&d->state);
	return d;
}

void
tn_governance_digest_add(struct tn_governance_digest *d, const void *p,
    size_t n)
{
	(void)crypto_hash_sha256_update(&d->state, p, n);
}

void
tn_governance_digest_end(struct tn_governance_digest *d,
    char hex[static 65])
{
	uint8_t sum[crypto_hash_sha256_BYTES];

	(void)crypto_hash_sha256_final(&d->state, sum);
	for (size_t i = 0; i < sizeof sum; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	tn_governance_digest_free(d);
}

void
tn_governance_digest_free(struct tn_governance_digest *d)
{
	tn_free(d);
}
