/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Certificates made on the spot, as PEM files in a folder that goes with
 * certs_close.
 */
#ifndef DLO_TESTS_LIB_CERTS_H
#define DLO_TESTS_LIB_CERTS_H

#include <openssl/types.h>

struct certs {
	char dir[64];
	char ca[96];	   /* trusted */
	char other_ca[96]; /* another one, of the same name */
	char good[96];	   /* localhost and 127.0.0.1, by the CA */
	char wrong[96];	   /* elsewhere.example, by the CA */
	char expired[96];  /* localhost, until yesterday, by the CA */
	char key[96];	   /* of the three above */
	char other_key[96];
	char locked_key[96]; /* the key under a passphrase */
	char garbage[96];    /* not PEM */
};

void certs_open(struct certs *);
void certs_close(struct certs *);
/* A server's context; the caller frees it. */
SSL_CTX *certs_server(const char *cert, const char *key);

#endif
