/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The lines that a stream worker gets and gives. Pure.
 *
 *	{"id","pipeline","attempt","redrives","routing_key","exchange",
 *	 "content_type","headers":{},"length":N}    then N bytes of body
 *	{"outcome":"ok|retry|reject","class","error","delay_ms"}
 */
#ifndef DLO_DOWNSTREAM_EXEC_JSON_H
#define DLO_DOWNSTREAM_EXEC_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "downstream/attempt.h"
#include "downstream/verdict.h"
#include "lib/buf.h"

/* A longer answer is none. */
#define EXEC_JSON_ANSWER_MAX 65536

/*
 * Appends the line, newline included. The id is percent-encoded as
 * everywhere else, so that no two ids become one; in other texts what is not
 * UTF-8 becomes U+FFFD. Of headers those that are text, numbers or booleans.
 */
void exec_json_request(const struct attempt *, struct buf *out);
/*
 * Reads an answer (without its newline) to the attempt. Only `outcome` is
 * needed; a class is cleaned, a delay counts only with a retry. False: it is
 * none, and the verdict is a retry of class exec.protocol that says why.
 */
bool exec_json_answer(const void *line, size_t len, const struct attempt *,
    struct verdict *) must_use;

#endif
