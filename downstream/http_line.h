/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Header lines as http_client_start wants them, a NUL after each. Nothing
 * from the wire gets into a line unescaped: bytes outside 0x20-0x7E and `%`
 * are percent-encoded, and so are spaces at either end, which HTTP would
 * drop: two ids must never become one.
 */
#ifndef DLO_DOWNSTREAM_HTTP_LINE_H
#define DLO_DOWNSTREAM_HTTP_LINE_H

#include <stdint.h>

#include "downstream/attempt.h"
#include "lib/buf.h"

/* Ends a line that was put together by hand. */
void http_line_end(struct buf *lines);
/* Of bytes from the wire; without bytes there is none. */
void http_line_text(struct buf *lines, const char *name,
    const struct attempt_text *);
/* The value alone, for a line that was begun by hand. */
void http_line_value(struct buf *lines, const struct attempt_text *);
void http_line_number(struct buf *lines, const char *name, int64_t number);
/* Of bytes that are known to be good ones. */
void http_line_raw(struct buf *lines, const char *name,
    const struct attempt_text *);

#endif
