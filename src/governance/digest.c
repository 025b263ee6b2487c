/* digest: SHA-256 (FIPS 180-4) of contents in pieces, by GnuTLS, which takes
 * the processor's instructions for it (some four times libsodium's speed): a
 * cut hashes each file of bronze that it writes. */
#include "governance/governance.h"

#include <gnutls/crypto.h>
#include <stdio.h>

struct tn_governance_digest {
	gnutls_hash_hd_t state;
};

struct tn_governance_digest *
tn_governance_digest_new(void)
{
	struct tn_governance_digest *d = tn_zalloc(sizeof *d);

	int rc = gnutls_hash_init(&d->state, GNUTLS_DIG_SHA256);

	/* It fails only for want of the few bytes of a context; how many, and
	 * by which code, depends on the processor's own SHA. */
	if (rc != 0)
		tn_alloc_fail(sizeof *d);
	return d;
}

void
tn_governance_digest_add(struct tn_governance_digest *d, const void *p,
    size_t n)
{
	int rc = gnutls_hash(d->state, p, n);

	tn_assert(rc == 0);
}

void
tn_governance_digest_end(struct tn_governance_digest *d,
    char hex[static 65])
{
	uint8_t sum[32];

	gnutls_hash_output(d->state, sum);
	for (size_t i = 0; i < sizeof sum; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	tn_governance_digest_free(d);
}

void
tn_governance_digest_free(struct tn_governance_digest *d)
{
	if (d != NULL)
		gnutls_hash_deinit(d->state, NULL);
	tn_free(d);
}
