/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What an HTTP answer, or the lack of one, says of a message. Pure. */
#ifndef DLO_DOWNSTREAM_HTTP_VERDICT_H
#define DLO_DOWNSTREAM_HTTP_VERDICT_H

#include <stdint.h>

#include "downstream/http_client.h"
#include "downstream/verdict.h"

/*
 * The outcome is what builtin_outcome says of the class. A Retry-After counts
 * whatever the outcome is, unless that is ok.
 * Classes: http.STATUS, http.dns, http.connect, http.tls, http.timeout,
 * http.broken. `wall_ms` is now, for a Retry-After that is a date.
 */
void http_verdict(struct verdict *, const struct http_client_answer *,
    int64_t wall_ms);
/*
 * The delay that a Retry-After asks for, in seconds or by its date; -1 when
 * it asks for none: not readable, zero, past. At most a year.
 */
int64_t http_verdict_retry_after_ms(const char *value, int64_t wall_ms);

#endif
