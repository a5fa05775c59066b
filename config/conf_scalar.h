/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the text of a YAML scalar means. Pure functions; -1 when the text is
 * no such thing. Numbers too large for the type become its largest value
 * (a double: infinity), so that a check of the range sees them.
 */
#ifndef DLO_CONFIG_CONF_SCALAR_H
#define DLO_CONFIG_CONF_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/compiler.h"

#define CONF_SCALAR_SPACE 32

/* Whether YAML takes the unquoted text for null, a boolean or a number. */
bool conf_scalar_untext(const char *text);
/* true or false, and nothing else. */
int conf_scalar_bool(const char *text, bool *out) must_use;
/* A whole number in decimal digits, without leading zeros: 6, -1. */
int conf_scalar_count(const char *text, int64_t *out) must_use;
/* A decimal number: 2, 0.5, -1, 1e3. */
int conf_scalar_number(const char *text, double *out) must_use;
/* 250ms 5s 10m 24h 7d, in milliseconds. */
int conf_scalar_duration(const char *text, int64_t *out_ms) must_use;
/* 512 64k 16m 1g, in bytes; units are powers of 1024. */
int conf_scalar_size(const char *text, int64_t *out_bytes) must_use;

/* The shortest text that means that number, duration or size. */
const char *conf_scalar_show_number(char out[CONF_SCALAR_SPACE], double);
const char *conf_scalar_show_duration(char out[CONF_SCALAR_SPACE], int64_t ms);
const char *conf_scalar_show_size(char out[CONF_SCALAR_SPACE], int64_t bytes);

#endif
