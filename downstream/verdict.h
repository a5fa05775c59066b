/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a handler says of an attempt. Outcomes are a closed vocabulary; a lost
 * handler or a time-out is a retry.
 */
#ifndef DLO_DOWNSTREAM_VERDICT_H
#define DLO_DOWNSTREAM_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/compiler.h"

#define VERDICT_CLASS_SPACE 64
#define VERDICT_ERROR_MAX   512 /* bytes, as in dlo-error */

enum outcome {
	OUTCOME_OK,
	OUTCOME_RETRY,
	OUTCOME_REJECT,
};

struct verdict {
	enum outcome outcome;
	/*
	 * It speaks of the downstream and the breaker counts it: an ok as
	 * good, anything else as bad. A reject speaks of the message alone.
	 */
	bool counts;
	int64_t delay_ms;		   /* asked for; -1: none */
	char class[VERDICT_CLASS_SPACE];   /* `http.503`; never empty */
	char error[VERDICT_ERROR_MAX + 1]; /* clean UTF-8; may be empty */
};

/* "ok", "retry", "reject". */
const char *verdict_outcome_name(enum outcome);

/*
 * Sets everything: no error, no delay, and it counts unless it is a reject.
 * The class is formatted and cut to its space.
 */
void verdict_init(struct verdict *, enum outcome, const char *class_fmt, ...)
    printf_like(3, 4);
/*
 * Sets the class from bytes of anywhere: letters, digits and ._- stay, what
 * else there is becomes _, cut to its space. No bytes: it stays as it is.
 */
void verdict_set_class(struct verdict *, const char *bytes, size_t len);
/*
 * Sets the error from bytes of anywhere: what is not UTF-8 becomes U+FFFD,
 * runs of blanks and control characters one space, cut at VERDICT_ERROR_MAX
 * between characters.
 */
void verdict_set_error(struct verdict *, const void *bytes, size_t len);
/* The same from a string. */
void verdict_set_text(struct verdict *, const char *text);

#endif
