/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The five fields of a crontab, in UTC: minute, hour, day of the month, month,
 * day of the week. Each is `*`, numbers, ranges and steps joined by commas
 * (`1,8-17/3`); months and days may be named (`JAN`, `mon`), Sunday is 0 or 7.
 * As in crontab(5), a day fits if one of the two day fields does when both
 * are restricted (do not begin with `*`). Pure.
 */
#ifndef DLO_LIB_CRON_H
#define DLO_LIB_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/compiler.h"

/* A set of numbers: bit n. */
struct cron {
	uint64_t minutes; /* 0 to 59 */
	uint32_t hours;	  /* 0 to 23 */
	uint32_t days;	  /* 1 to 31 */
	uint16_t months;  /* 1 to 12 */
	uint8_t weekdays; /* 0 (Sunday) to 6 */
	bool any_day;	  /* one of the day fields is not restricted */
};

/* -1: it is none, and `*why` (static) says what is wrong. */
int cron_parse(const char *text, struct cron *out, const char **why) must_use;
/*
 * The first time after `wall_ms` (ms since the epoch) that fits; INT64_MAX:
 * there is none (the 30th of February).
 */
int64_t cron_next_ms(const struct cron *, int64_t wall_ms);

#endif
