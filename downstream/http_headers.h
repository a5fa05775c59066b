/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The header lines of a request: those of the configuration and those that
 * tell of the attempt. Nothing from the wire gets into a line unescaped: bytes
 * outside 0x20-0x7E and `%` are percent-encoded, and so are spaces at either
 * end, which HTTP would drop: two ids must never become one. Where the
 * configuration has a header of its own, that one is sent.
 */
#ifndef DLO_DOWNSTREAM_HTTP_HEADERS_H
#define DLO_DOWNSTREAM_HTTP_HEADERS_H

#include <stdbool.h>

#include "downstream/attempt.h"
#include "lib/buf.h"

struct conf_headers;

/* What is the same for each request. */
struct http_headers {
	struct buf fixed; /* lines, a NUL after each */
	bool has_content_type;
	bool has_content_encoding;
	bool has_traceparent;
};

/* Copies the configuration's headers. */
void http_headers_init(struct http_headers *, const struct conf_headers *);
void http_headers_clear(struct http_headers *);
/* Appends all lines for http_client_start. */
void http_headers_write(const struct http_headers *, const struct attempt *,
    struct buf *lines);

#endif
