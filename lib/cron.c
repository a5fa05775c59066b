/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/cron.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Between two 29ths of February there are up to eight years. */
#define DAYS_MAX (9 * 366)
#define MINUTE_S 60
#define HOUR_S	 3600
#define DAY_S	 86400

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may",
	"jun", "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu",
	"fri", "sat" };

/* One of the five fields. */
struct field {
	const char *why; /* what is wrong with it */
	unsigned least, most;
	const char *const *names; /* of `least` and on; NULL: none */
	size_t name_count;
};

static const struct field fields[] = {
	{ "the minute is 0 to 59", 0, 59, NULL, 0 },
	{ "the hour is 0 to 23", 0, 23, NULL, 0 },
	{ "the day of the month is 1 to 31", 1, 31, NULL, 0 },
	{ "the month is 1 to 12, or its name", 1, 12, month_names,
	    array_len(month_names) },
	{ "the day of the week is 0 to 7, or its name", 0, 7, weekday_names,
	    array_len(weekday_names) },
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Takes a number or a name off the text; -1: there is none. */
static int
take_value(const struct field *field, const char **text, unsigned *out)
{
	const char *p = *text;

	if (is_digit(*p)) {
		for (*out = 0; is_digit(*p) && *out < 1000; p++)
			*out = *out * 10 + (unsigned)(*p - '0');
		*text = p;
		return *out >= field->least && *out <= field->most ? 0 : -1;
	}
	for (size_t i = 0; i < field->name_count; i++) {
		size_t len = strlen(field->names[i]);

		if (strncasecmp(p, field->names[i], len) == 0) {
			*out = field->least + (unsigned)i;
			*text = p + len;
			return 0;
		}
	}
	return -1;
}

/* `*`, a number or a range, each perhaps with a step. */
static int
take_part(const struct field *field, const char **text, uint64_t *set)
{
	unsigned from = field->least, to = field->most, step = 1;
	bool one = false;

	if (**text == '*') {
		++*text;
	} else {
		if (take_value(field, text, &from) == -1)
			return -1;
		one = **text != '-';
		to = from;
		if (!one) {
			++*text;
			if (take_value(field, text, &to) == -1 || to < from)
				return -1;
		}
	}
	if (**text == '/') {
		static const struct field steps = { NULL, 1, 999, NULL, 0 };

		++*text;
		if (take_value(&steps, text, &step) == -1)
			return -1;
		if (one)
			to = field->most;
	}
	for (; from <= to; from += step)
		*set |= UINT64_C(1) << from;
	return 0;
}

static int
take_field(const struct field *field, const char **text, uint64_t *set)
{
	*set = 0;
	do {
		if (take_part(field, text, set) == -1)
			return -1;
	} while (**text == ',' && *++*text != '\0');
	return **text == ' ' || **text == '\0' ? 0 : -1;
}

int
cron_parse(const char *text, struct cron *out, const char **why)
{
	uint64_t sets[array_len(fields)];
	bool any[array_len(fields)];

	for (size_t i = 0; i < array_len(fields); i++) {
		text += strspn(text, " ");
		if (*text == '\0') {
			*why = "five fields are needed, such as 0 3 * * *";
			return -1;
		}
		any[i] = *text == '*';
		if (take_field(&fields[i], &text, &sets[i]) == -1) {
			*why = fields[i].why;
			return -1;
		}
	}
	if (text[strspn(text, " ")] != '\0') {
		*why = "five fields are needed, such as 0 3 * * *";
		return -1;
	}
	out->minutes = sets[0];
	out->hours = (uint32_t)sets[1];
	out->days = (uint32_t)sets[2];
	out->months = (uint16_t)sets[3];
	out->weekdays = (uint8_t)(sets[4] | sets[4] >> 7);
	out->weekdays &= 0x7f;
	out->any_day = any[2] || any[4];
	return 0;
}

static bool
has(uint64_t set, int n)
{
	return (set >> n & 1) != 0;
}

static bool
day_fits(const struct cron *cron, const struct tm *tm)
{
	bool day = has(cron->days, tm->tm_mday);
	bool weekday = has(cron->weekdays, tm->tm_wday);

	if (!has(cron->months, tm->tm_mon + 1))
		return false;
	return cron->any_day ? day && weekday : day || weekday;
}

/* The first minute that fits from `from_s` seconds into a day on; -1: none. */
static int
first_in_day(const struct cron *cron, int from_s)
{
	for (int hour = from_s / HOUR_S; hour < 24; hour++) {
		if (!has(cron->hours, hour))
			continue;
		for (int minute = 0; minute < 60; minute++) {
			int at_s = hour * HOUR_S + minute * MINUTE_S;

			if (at_s >= from_s && has(cron->minutes, minute))
				return at_s;
		}
	}
	return -1;
}

int64_t
cron_next_ms(const struct cron *cron, int64_t wall_ms)
{
	int64_t from_s = wall_ms / 1000 / MINUTE_S * MINUTE_S + MINUTE_S;
	int64_t day_s = from_s / DAY_S * DAY_S;
	int at_s = (int)(from_s - day_s);

	for (int i = 0; i < DAYS_MAX; i++) {
		time_t day = (time_t)day_s;
		struct tm tm;

		if (gmtime_r(&day, &tm) == NULL)
			break;
		at_s = day_fits(cron, &tm) ? first_in_day(cron, at_s) : -1;
		if (at_s >= 0)
			return (day_s + at_s) * 1000;
		day_s += DAY_S;
		at_s = 0;
	}
	return INT64_MAX;
}
