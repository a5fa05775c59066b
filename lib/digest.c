/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/xalloc.h"

struct digest {
	EVP_MD_CTX *ctx; /* NULL: refused */
	bool good;	 /* so far */
};

struct digest *
digest_new(void)
{
	struct digest *d = xcalloc(1, sizeof(*d));

	d->ctx = EVP_MD_CTX_new();
	return d;
}

void
digest_free(struct digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void
digest_start(struct digest *d)
{
	d->good = d->ctx != NULL &&
	    EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) == 1;
}

void
digest_add(struct digest *d, const void *bytes, size_t len)
{
	const uint64_t prefix = len;

	d->good = d->good &&
	    EVP_DigestUpdate(d->ctx, &prefix, sizeof(prefix)) == 1 &&
	    EVP_DigestUpdate(d->ctx, bytes, len) == 1;
}

int
digest_end(struct digest *d, uint8_t out[DIGEST_BYTES])
{
	d->good = d->good && EVP_DigestFinal_ex(d->ctx, out, NULL) == 1;
	return d->good ? 0 : -1;
}

int
digest_once(const void *bytes, size_t len, uint8_t out[DIGEST_BYTES])
{
	return EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) == 1 ? 0
									  : -1;
}
