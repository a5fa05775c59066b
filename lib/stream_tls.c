/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/stream_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

static const char *
reason(unsigned long code)
{
	const char *text;

	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	text = ERR_reason_error_string(code);
	return text == NULL ? "unknown error" : text;
}

/* `what` could not be done with `name`: the first error says why. */
static char *
file_error(const char *what, const char *name)
{
	char *error =
	    xasprintf("cannot %s %s: %s", what, name, reason(ERR_peek_error()));

	ERR_clear_error();
	return error;
}

/* Never asks at a terminal for the key's passphrase: there is none. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

/* NULL, or what is wrong. */
static char *
load_files(SSL_CTX *ctx, const struct stream_tls *tls)
{
	ERR_clear_error();
	if (tls->ca == NULL) {
		if (SSL_CTX_set_default_verify_paths(ctx) != 1)
			return file_error("read", "the system's CA files");
	} else if (SSL_CTX_load_verify_locations(ctx, tls->ca, NULL) != 1) {
		return file_error("read CA file", tls->ca);
	}
	if (tls->cert != NULL &&
	    SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
		return file_error("read certificate", tls->cert);
	if (tls->key != NULL &&
	    SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) != 1)
		return file_error("use key", tls->key);
	if (tls->cert != NULL && SSL_CTX_check_private_key(ctx) != 1)
		return file_error("use the key that is set for", tls->cert);
	return NULL;
}

static bool
is_address(const char *name)
{
	unsigned char addr[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, addr) == 1 ||
	    inet_pton(AF_INET6, name, addr) == 1;
}

/* The name, or the address, that the peer's certificate must have. */
static int
set_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char *sni;
	long ok;

	/* An empty name would match any. */
	if (name[0] == '\0')
		return -1;
	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1 ? 0 : -1;
	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(param, name, 0) != 1)
		return -1;
	sni = xstrdup(name); /* the macro would cast its const away */
	ok = SSL_set_tlsext_host_name(ssl, sni);
	free(sni);
	return ok == 1 ? 0 : -1;
}

static SSL_CTX *
ctx_new(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	/* No SSL_MODE_ENABLE_PARTIAL_WRITE: bufferevents lose bytes by it. */
	/* A peer that hangs up without TLS's goodbye: AMQP has its own. */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return ctx;
}

SSL *
stream_tls_new(const struct stream_tls *tls, const char *host, char **error)
{
	const char *name = tls->server_name ? tls->server_name : host;
	SSL_CTX *ctx = ctx_new();
	SSL *ssl;

	if (ctx == NULL) {
		*error = file_error("set up", "TLS");
		return NULL;
	}
	*error = load_files(ctx, tls);
	ssl = *error == NULL ? SSL_new(ctx) : NULL;
	SSL_CTX_free(ctx); /* the session holds it */
	if (ssl == NULL) {
		if (*error == NULL)
			*error = file_error("set up", "TLS");
		return NULL;
	}
	if (set_name(ssl, name) == -1) {
		*error =
		    xasprintf("cannot verify a peer by the name \"%s\"", name);
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

char *
stream_tls_why(SSL *ssl, unsigned long code)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	long verdict = SSL_get_verify_result(ssl);
	char *ip = NULL, *why;
	const char *name;

	if (verdict == X509_V_OK)
		return xstrdup(code == 0 ? "connection lost" : reason(code));
	name = X509_VERIFY_PARAM_get0_host(param, 0);
	if (name == NULL)
		name = ip = X509_VERIFY_PARAM_get1_ip_asc(param);
	why = xasprintf("certificate verify failed: %s (expected %s)",
	    X509_verify_cert_error_string(verdict), name);
	OPENSSL_free(ip);
	return why;
}
