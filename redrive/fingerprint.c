/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/fingerprint.h"

#include <stdbool.h>
#include <string.h>

#include "lib/text.h"

/* A word of hexadecimal letters alone that is as long as this is an id. */
#define HEX_MIN 12

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/*
 * Whether a word of letters and digits is particular: a number (with a unit
 * at most as short as itself), hex digits, or letters and digits mixed more
 * than once. `http2` and `retry` are not.
 */
static bool
is_particular(const char *word, size_t len)
{
	size_t digits = 0, hex = 0, changes = 0;

	for (size_t i = 0; i < len; i++) {
		digits += is_digit(word[i]);
		hex += is_hex(word[i]);
		changes += i > 0 && is_digit(word[i]) != is_digit(word[i - 1]);
	}
	if (digits == 0)
		return hex == len && len >= HEX_MIN;
	return is_digit(word[0]) || changes > 1 || (hex == len && len > 2) ||
	    digits > len / 2;
}

/* What may stand between the parts of one address, time, number or UUID. */
static bool
joins(char c)
{
	return c != '\0' && strchr("-.:_+/", c) != NULL;
}

/*
 * Appends; a `#` that only a joint parts from one before it swallows both.
 * False: there was no room for all of it.
 */
static bool
append(char *out, size_t *at, const char *text, size_t len)
{
	size_t room, cut;

	if (*text == '#' && *at >= 1 && out[*at - 1] == '#')
		return true;
	if (*text == '#' && *at >= 2 && joins(out[*at - 1]) &&
	    out[*at - 2] == '#') {
		(*at)--;
		return true;
	}
	room = FINGERPRINT_SPACE - 1 - *at;
	cut = text_utf8_cut(text, len, room);
	memcpy(out + *at, text, cut);
	*at += cut;
	return cut == len;
}

static size_t
word_len(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && (is_letter(p[n]) || is_digit(p[n])))
		n++;
	return n;
}

const char *
fingerprint_of(char out[FINGERPRINT_SPACE], const void *text, size_t len)
{
	const char *p = text;
	bool room = true;
	size_t at = 0, n;

	for (; len > 0 && room; p += n, len -= n) {
		n = word_len(p, len);
		if (n > 0) {
			room = is_particular(p, n) ? append(out, &at, "#", 1)
						   : append(out, &at, p, n);
			continue;
		}
		n = text_utf8_len(p, len);
		if (n > 0) {
			room = append(out, &at, p, n);
		} else {
			room = append(out, &at, "\xef\xbf\xbd", 3);
			n = 1;
		}
	}
	out[at] = '\0';
	return out;
}
