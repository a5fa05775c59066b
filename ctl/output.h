/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What verbs write on stdout, and the words that they share. */
#ifndef DLO_CTL_OUTPUT_H
#define DLO_CTL_OUTPUT_H

#include <jansson.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"

/* Writes it; CLI_FAILED when that does not go. */
int output_text(const struct buf *) must_use;
/* The same, as one line of JSON. */
int output_json(const json_t *) must_use;

/* A member's text; NULL: there is none, or it is no text. */
const char *output_member(const json_t *object, const char *key);
/* A member's number; 0: there is none. */
int64_t output_number(const json_t *object, const char *key);

#define OUTPUT_AGE_SPACE 24
/*
 * How long ago a member's time (ISO 8601) was, as `2h 5m`; "-": nobody knows.
 */
const char *output_age(char out[OUTPUT_AGE_SPACE], const json_t *object,
    const char *key);

#endif
