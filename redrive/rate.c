/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/rate.h"

#define ONE	  1000000 /* one message; so a microsecond adds per_s */
#define SECOND_US 1000000

static int64_t
most(const struct rate *rate)
{
	int64_t tenth = (int64_t)rate->per_s * ONE / 10;

	return tenth > ONE ? tenth : ONE;
}

/* What there is now. */
static int64_t
level(const struct rate *rate, int64_t now_us)
{
	int64_t passed_us = now_us - rate->at_us;
	int64_t sum;

	if (passed_us <= 0)
		return rate->millionths;
	/* A second fills any bucket: more would only overflow. */
	if (passed_us > SECOND_US)
		passed_us = SECOND_US;
	sum = rate->millionths + passed_us * rate->per_s;
	return sum < most(rate) ? sum : most(rate);
}

void
rate_init(struct rate *rate, uint32_t per_s, int64_t now_us)
{
	rate->per_s = per_s > 0 ? per_s : 1;
	rate->millionths = ONE;
	rate->at_us = now_us;
}

void
rate_set(struct rate *rate, uint32_t per_s, int64_t now_us)
{
	rate->millionths = level(rate, now_us);
	rate->at_us = now_us;
	rate->per_s = per_s > 0 ? per_s : 1;
	if (rate->millionths > most(rate))
		rate->millionths = most(rate);
}

bool
rate_take(struct rate *rate, int64_t now_us)
{
	rate->millionths = level(rate, now_us);
	rate->at_us = now_us;
	if (rate->millionths < ONE)
		return false;
	rate->millionths -= ONE;
	return true;
}

int64_t
rate_wait_us(const struct rate *rate, int64_t now_us)
{
	int64_t missing = ONE - level(rate, now_us);

	if (missing <= 0)
		return 0;
	return (missing + rate->per_s - 1) / rate->per_s;
}
