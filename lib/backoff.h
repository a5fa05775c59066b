/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Capped exponential backoff with jitter; pure. */
#ifndef DLO_LIB_BACKOFF_H
#define DLO_LIB_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t first_ms; /* delay after the first failure */
	double factor;	  /* ≥ 1: each next one is this much longer */
	int64_t cap_ms;	  /* none is longer */
	double jitter;	  /* 0 to 1: drawn from [d·(1−jitter), d] */
};

/*
 * The delay after the `n`-th failure in a row (from 1; 0 counts as 1);
 * `unit_random` is in [0, 1), see loop_random_unit. Any `n` is fine.
 */
int64_t backoff_delay_ms(const struct backoff *, unsigned n,
    double unit_random);

#endif
