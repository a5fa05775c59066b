/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "bench/meter.h"

#include <stdio.h>
#include <time.h>

static int64_t
clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * (int64_t)1000000 + ts.tv_nsec / 1000;
}

void
meter_start(struct meter *meter)
{
	meter->wall_us = clock_us(CLOCK_MONOTONIC);
	meter->cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

void
meter_stop(const struct meter *meter, unsigned long messages)
{
	int64_t wall_us = clock_us(CLOCK_MONOTONIC) - meter->wall_us;
	int64_t cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID) - meter->cpu_us;

	printf("%.0f %.2f\n", (double)messages * 1e6 / (double)wall_us,
	    (double)cpu_us / (double)messages);
}
