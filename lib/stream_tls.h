/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The TLS side of a client's stream: what is trusted, and what went wrong. */
#ifndef DLO_LIB_STREAM_TLS_H
#define DLO_LIB_STREAM_TLS_H

#include <openssl/types.h>

#include "lib/compiler.h"
#include "lib/stream.h"

/*
 * A client session that verifies the peer and its name (`server_name`, else
 * `host`), TLS 1.2 or later; the caller frees it. The files are read now.
 * NULL: `*error` says which file or name is wrong; the caller frees that.
 */
SSL *stream_tls_new(const struct stream_tls *, const char *host,
    char **error) must_use;
/*
 * Why the session ended with OpenSSL's `code` (0: none is known); the caller
 * frees the text.
 */
char *stream_tls_why(SSL *, unsigned long code) must_use;

#endif
