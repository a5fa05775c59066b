/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * JSON trees where jansson stops: out of memory ends the process, and bytes
 * that JSON cannot say have a form too. Values put into an object or list
 * belong to it.
 */
#ifndef DLO_LIB_JS_H
#define DLO_LIB_JS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"

/* Puts `value` (taken) under `key`. */
void js_set(json_t *object, const char *key, json_t *value);
/* Appends `value` (taken). */
void js_append(json_t *list, json_t *value);
/* For people: what is not UTF-8, and NUL, is U+FFFD. */
void js_clean(struct buf *out, const void *bytes, size_t len);
/* The same as a value. NULL: no key. */
void js_set_text(json_t *object, const char *key, const char *text);
void js_set_clean(json_t *object, const char *key, const void *bytes,
    size_t len);
void js_set_int(json_t *object, const char *key, int64_t value);
void js_set_bool(json_t *object, const char *key, bool value);
/* A time in ms since the epoch, as `2026-01-31T12:00:00.000Z`; 0: no key. */
void js_set_time(json_t *object, const char *key, int64_t wall_ms);

/*
 * Without loss: under `key` if the bytes are UTF-8 without a NUL, else in
 * base64 under `key_base64`.
 */
void js_set_bytes(json_t *object, const char *key, const void *bytes,
    size_t len);
/* Always in base64, under `key_base64`. */
void js_set_base64(json_t *object, const char *key, const void *bytes,
    size_t len);
/* Whether there is one of the two forms. */
bool js_has_bytes(const json_t *object, const char *key);
/* Appends what js_set_bytes put there; -1: there is none, or no base64. */
int js_get_bytes(const json_t *object, const char *key,
    struct buf *out) must_use;

/* Appends the tree as one line, without its end. */
void js_write(struct buf *out, const json_t *value);

#endif
