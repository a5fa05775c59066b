/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/backoff.h"

/* first_ms · factor^(n−1) by repeated squaring; infinity is fine. */
static double
backoff_grow(const struct backoff *backoff, unsigned n)
{
	double delay = (double)backoff->first_ms;
	double step = backoff->factor;
	unsigned left;

	for (left = n > 0 ? n - 1 : 0; left > 0; left >>= 1) {
		if (left & 1)
			delay *= step;
		step *= step;
	}
	return delay;
}

int64_t
backoff_delay_ms(const struct backoff *backoff, unsigned n, double unit_random)
{
	double cap = (double)backoff->cap_ms, delay;
	int64_t whole;

	if (backoff->first_ms <= 0 || backoff->cap_ms <= 0)
		return 0;
	delay = backoff_grow(backoff, n);
	if (delay > cap)
		delay = cap;
	delay *= 1 - backoff->jitter * unit_random;
	if (delay >= cap)
		return backoff->cap_ms;
	/* Rounded up: never earlier than drawn. */
	whole = (int64_t)delay;
	return (double)whole < delay ? whole + 1 : whole;
}
