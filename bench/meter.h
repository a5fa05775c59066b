/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* How long a measured stretch took, and what it cost this process. */
#ifndef DLO_BENCH_METER_H
#define DLO_BENCH_METER_H

#include <stdint.h>

struct meter {
	int64_t wall_us, cpu_us;
};

void meter_start(struct meter *);
/* Prints `RATE CPU`: messages a second, microseconds of CPU a message. */
void meter_stop(const struct meter *, unsigned long messages);

#endif
