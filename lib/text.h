/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Text and its foreign forms: addresses, UTF-8, percent-encoding, times,
 * UUIDs. Pure functions; nothing is allocated but in a given buf.
 */
#ifndef DLO_LIB_TEXT_H
#define DLO_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/compiler.h"

#define TEXT_HOST_SPACE	    254 /* a DNS name has at most 253 bytes */
#define TEXT_ISO8601_SPACE  25
#define TEXT_UUID_SPACE	    37
#define TEXT_DURATION_SPACE 24
#define TEXT_SIZE_SPACE	    24

struct text_address {
	char host[TEXT_HOST_SPACE]; /* name or address, without brackets */
	uint16_t port;
};

/*
 * Reads `host:port` or `[v6]:port`. Without a port it is `default_port`,
 * or an error when that is negative. A host is needed. -1: not an address.
 */
int text_parse_address(const char *text, int default_port,
    struct text_address *out) must_use;
/* Reads a whole decimal number in [min, max]; -1: it is not one. */
int text_parse_int(const char *text, int64_t min, int64_t max,
    int64_t *out) must_use;

/*
 * Length of the valid UTF-8 character at the start of `bytes` (`len` ≥ 1),
 * 0 when there is none (overlong, surrogate, cut short, out of range).
 */
size_t text_utf8_len(const void *bytes, size_t len);
bool text_utf8_valid(const void *bytes, size_t len);
/* The longest prefix of at most `max` bytes that splits no character. */
size_t text_utf8_cut(const void *bytes, size_t len, size_t max);
/* Appends the text with U+FFFD for each byte that is not UTF-8. */
void text_utf8_clean(struct buf *out, const void *bytes, size_t len);
/* The code point of a valid character of `len` bytes. */
uint32_t text_utf8_code(const void *bytes, size_t len);
/* Whether it would move a cursor, turn text around or hide in it. */
bool text_is_unprintable(uint32_t code);

/*
 * Appends the inside of a JSON string (logfmt readers take the same escapes):
 * control and bidirectional characters are escaped, each byte that is not
 * UTF-8 is U+FFFD.
 */
void text_json(struct buf *out, const void *bytes, size_t len);

/* Appends `bytes`, percent-encoding all outside 0x20–0x7E and `%`. */
void text_percent(struct buf *out, const void *bytes, size_t len);

/* `2025-01-31T12:00:00.000Z`; years are kept within 0000–9999. */
const char *text_iso8601(char out[TEXT_ISO8601_SPACE], int64_t wall_ms);
/* A version 4 UUID from 128 random bits. */
const char *text_uuid4(char out[TEXT_UUID_SPACE], uint64_t high, uint64_t low);
/* For people: `250ms`, `1.5s`, `10m`, `2h 5m`, `7d`; below 0: `0ms`. */
const char *text_duration(char out[TEXT_DURATION_SPACE], int64_t ms);
/* For people: `512 B`, `1.5 KiB`, `16 MiB`. */
const char *text_size(char out[TEXT_SIZE_SPACE], uint64_t bytes);

/* Whether `prefix` is the text or its first words: a.b of a.b.c, not of a.bc.
 */
bool text_dotted_prefix(const char *prefix, const void *text, size_t len);

/* Equality in a time that tells nothing but the lengths. */
bool text_equal_secret(const void *a, size_t a_len, const void *b,
    size_t b_len);
/*
 * Edits (insert, delete, change, swap of neighbours) from one word to the
 * other; words above 64 bytes count as wholly different.
 */
unsigned text_distance(const char *a, const char *b);

#endif
