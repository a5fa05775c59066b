/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The headers of a message that its request is to tell of, each as a text,
 * each name once: of two with one name the first counts. Tables, arrays and
 * the like are left out.
 */
#ifndef DLO_DOWNSTREAM_HTTP_CARRY_H
#define DLO_DOWNSTREAM_HTTP_CARRY_H

#include <stddef.h>

#include "downstream/attempt.h"

/* What comes after so many is left out, and counted. */
#define HTTP_CARRY_MAX 128
/* Enough for any number and any time. */
#define HTTP_CARRY_TEXT_SPACE 32

struct http_carried {
	struct attempt_text name;
	struct attempt_text value;
	char text[HTTP_CARRY_TEXT_SPACE]; /* a value that was none */
};

/* On the stack: values point into it, it must not be moved. */
struct http_carry {
	size_t count;
	size_t left_out; /* what came when it was full */
	struct http_carried items[HTTP_CARRY_MAX];
};

/* Nothing yet; the items are left as they are. */
void http_carry_init(struct http_carry *);
/* Takes one more header, if it has a text and a name that is new. */
void http_carry_add(struct http_carry *, const struct attempt_field *);

#endif
