/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/lib/certs.h"

#include "tests/unit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY 86400L

static void
write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, key,
			     passphrase == NULL ? NULL : EVP_aes_128_cbc(),
			     (const unsigned char *)passphrase,
			     passphrase == NULL ? 0 : (int)strlen(passphrase),
			     NULL, NULL),
	    1);
	assert_int_equal(fclose(file), 0);
}

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension;

	extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	assert_non_null(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

static void
set_cn(X509_NAME *name, const char *cn)
{
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)cn, -1, -1, 0);
}

/* `san`: subjectAltName, NULL for a CA; from ten days ago. */
static void
write_cert(const char *path, EVP_PKEY *key, EVP_PKEY *ca_key, const char *san,
    long expires)
{
	X509 *cert = X509_new();
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), san == NULL ? 1 : 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -10 * DAY);
	X509_gmtime_adj(X509_getm_notAfter(cert), expires);
	X509_set_pubkey(cert, key);
	set_cn(X509_get_issuer_name(cert), "Test CA");
	set_cn(X509_get_subject_name(cert), san == NULL ? "Test CA" : "Leaf");
	if (san == NULL)
		add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	else
		add_extension(cert, NID_subject_alt_name, san);
	assert_true(X509_sign(cert, ca_key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, cert), 1);
	assert_int_equal(fclose(file), 0);
	X509_free(cert);
}

void
certs_open(struct certs *certs)
{
	static const char here[] = "DNS:localhost,IP:127.0.0.1";
	EVP_PKEY *ca = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *file;

	strcpy(certs->dir, "/tmp/dlo-test-certs-XXXXXX");
	assert_non_null(mkdtemp(certs->dir));
#define name(member) \
	snprintf(certs->member, sizeof(certs->member), "%s/%s.pem", \
	    certs->dir, #member)
	name(ca);
	name(other_ca);
	name(good);
	name(wrong);
	name(expired);
	name(key);
	name(other_key);
	name(locked_key);
	name(garbage);
#undef name
	write_cert(certs->ca, ca, ca, NULL, DAY);
	write_cert(certs->other_ca, other, other, NULL, DAY);
	write_cert(certs->good, key, ca, here, DAY);
	write_cert(certs->wrong, key, ca, "DNS:elsewhere.example", DAY);
	write_cert(certs->expired, key, ca, here, -DAY);
	write_key(certs->key, key, NULL);
	write_key(certs->other_key, other, NULL);
	write_key(certs->locked_key, key, "passphrase");
	file = fopen(certs->garbage, "w");
	assert_non_null(file);
	fputs("not a certificate\n", file);
	assert_int_equal(fclose(file), 0);
	EVP_PKEY_free(ca);
	EVP_PKEY_free(other);
	EVP_PKEY_free(key);
}

void
certs_close(struct certs *certs)
{
	assert_int_equal(unlink(certs->ca), 0);
	assert_int_equal(unlink(certs->other_ca), 0);
	assert_int_equal(unlink(certs->good), 0);
	assert_int_equal(unlink(certs->wrong), 0);
	assert_int_equal(unlink(certs->expired), 0);
	assert_int_equal(unlink(certs->key), 0);
	assert_int_equal(unlink(certs->other_key), 0);
	assert_int_equal(unlink(certs->locked_key), 0);
	assert_int_equal(unlink(certs->garbage), 0);
	assert_int_equal(rmdir(certs->dir), 0);
}

SSL_CTX *
certs_server(const char *cert, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, key,
			     SSL_FILETYPE_PEM),
	    1);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, cert), 1);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return ctx;
}
