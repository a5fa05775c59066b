/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The header lines of a request: those of the configuration, those that tell
 * of the attempt, those of the message that are to be forwarded, and with
 * `format: cloudevents` those of an event (http_event.h). Where the
 * configuration has a header of its own, that one is sent.
 *
 * What the message brings along is bounded: a header that is too long is
 * left out, and logged. Cut, it would be another value.
 */
#ifndef DLO_DOWNSTREAM_HTTP_HEADERS_H
#define DLO_DOWNSTREAM_HTTP_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

#include "downstream/attempt.h"
#include "lib/buf.h"

/* Bytes of one header that comes from the message, as it is sent … */
#define HTTP_HEADERS_LINE_MAX 4096
/* … and of all of them: many servers take no more than 16 KiB in all. */
#define HTTP_HEADERS_FORWARD_MAX 8192

struct conf_http;

/* What is the same for each request. */
struct http_headers {
	struct buf fixed;   /* lines, a NUL after each */
	struct buf forward; /* names, a NUL after each */
	bool has_content_type;
	bool has_content_encoding;
	bool has_traceparent;
	bool event;
};

/* Copies what it needs of the configuration. */
void http_headers_init(struct http_headers *, const struct conf_http *);
void http_headers_clear(struct http_headers *);
/* Appends all lines for http_client_start. */
void http_headers_write(const struct http_headers *, const struct attempt *,
    struct buf *lines);

#endif
