/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_scalar.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first, as they are shown. */
static const struct unit durations[] = {
	{ "d", 86400000 },
	{ "h", 3600000 },
	{ "m", 60000 },
	{ "s", 1000 },
	{ "ms", 1 },
};

static const struct unit sizes[] = {
	{ "g", INT64_C(1) << 30 },
	{ "m", 1 << 20 },
	{ "k", 1 << 10 },
	{ "", 1 },
};

/* Length of a decimal number at the start of `text`, 0 for none. */
static size_t
number_len(const char *text)
{
	size_t whole = strspn(text, DIGITS), len = whole, exponent, digits;

	if (text[len] == '.') {
		digits = strspn(text + len + 1, DIGITS);
		if (whole + digits == 0)
			return 0;
		len += 1 + digits;
	}
	if (len > 0 && (text[len] == 'e' || text[len] == 'E')) {
		exponent = len + 1;
		exponent += strspn(text + exponent, "+-") == 1;
		digits = strspn(text + exponent, DIGITS);
		if (digits > 0)
			len = exponent + digits;
	}
	return len;
}

bool
conf_scalar_untext(const char *text)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL",
		"true", "True", "TRUE", "false", "False", "FALSE", ".inf",
		".Inf", ".INF", ".nan", ".NaN", ".NAN" };
	size_t i, len;

	for (i = 0; i < array_len(words); i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	if (strncmp(text, "0x", 2) == 0)
		return text[2 + strspn(text + 2, DIGITS "abcdefABCDEF")] ==
		    '\0';
	if (strncmp(text, "0o", 2) == 0)
		return text[2 + strspn(text + 2, "01234567")] == '\0';
	text += *text == '-' || *text == '+';
	len = number_len(text);
	return (len > 0 && text[len] == '\0') || strcmp(text, ".inf") == 0;
}

int
conf_scalar_bool(const char *text, bool *out)
{
	*out = strcmp(text, "true") == 0;
	return *out || strcmp(text, "false") == 0 ? 0 : -1;
}

/* Reads `len` digits; what is too large becomes INT64_MAX. */
static int
read_count(const char *text, size_t len, int64_t factor, int64_t *out)
{
	int64_t value = 0;
	size_t i;

	if (len == 0 || (len > 1 && text[0] == '0'))
		return -1;
	for (i = 0; i < len; i++) {
		if (value > (INT64_MAX - 9) / 10) {
			*out = INT64_MAX;
			return 0;
		}
		value = value * 10 + (text[i] - '0');
	}
	*out = value > INT64_MAX / factor ? INT64_MAX : value * factor;
	return 0;
}

int
conf_scalar_count(const char *text, int64_t *out)
{
	const char *digits = text + (*text == '-');
	size_t len = strspn(digits, DIGITS);

	if (digits[len] != '\0' || read_count(digits, len, 1, out) == -1)
		return -1;
	if (digits != text)
		*out = -*out;
	return 0;
}

int
conf_scalar_number(const char *text, double *out)
{
	const char *digits = text + (*text == '-');
	size_t len = number_len(digits);

	if (len == 0 || digits[len] != '\0')
		return -1;
	*out = strtod(text, NULL);
	return 0;
}

static int
read_unit(const char *text, const struct unit *units, size_t count,
    int64_t *out)
{
	size_t len = strspn(text, DIGITS), i;

	for (i = 0; i < count; i++)
		if (strcmp(text + len, units[i].name) == 0)
			return read_count(text, len, units[i].factor, out);
	return -1;
}

int
conf_scalar_duration(const char *text, int64_t *out_ms)
{
	return read_unit(text, durations, array_len(durations), out_ms);
}

int
conf_scalar_size(const char *text, int64_t *out_bytes)
{
	return read_unit(text, sizes, array_len(sizes), out_bytes);
}

static const char *
show_unit(char *out, int64_t value, const struct unit *units)
{
	while (value % units->factor != 0)
		units++;
	snprintf(out, CONF_SCALAR_SPACE, "%lld%s",
	    (long long)(value / units->factor), units->name);
	return out;
}

const char *
conf_scalar_show_number(char out[CONF_SCALAR_SPACE], double number)
{
	snprintf(out, CONF_SCALAR_SPACE, "%.10g", number);
	return out;
}

const char *
conf_scalar_show_duration(char out[CONF_SCALAR_SPACE], int64_t ms)
{
	/* 0 of any unit, and of days it looks odd. */
	return show_unit(out, ms, ms == 0 ? &durations[3] : durations);
}

const char *
conf_scalar_show_size(char out[CONF_SCALAR_SPACE], int64_t bytes)
{
	return show_unit(out, bytes, bytes == 0 ? &sizes[3] : sizes);
}
