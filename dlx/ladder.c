/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/ladder.h"

#include <assert.h>

/* The number of bits up to the highest set one; `units` above 0. */
static unsigned
bit_length(uint32_t units)
{
	return 32 - (unsigned)__builtin_clz(units);
}

uint32_t
ladder_units(int64_t delay_ms)
{
	uint64_t units;
	unsigned drop;

	if (delay_ms <= LADDER_UNIT_MS)
		return 1;
	units = ((uint64_t)delay_ms - 1) / LADDER_UNIT_MS + 1;
	if (units >= LADDER_UNITS_MAX)
		return LADDER_UNITS_MAX;
	if (units >> LADDER_BITS_KEPT == 0)
		return (uint32_t)units;
	/* May carry into a new highest bit: then it is the only one set. */
	drop = bit_length((uint32_t)units) - LADDER_BITS_KEPT;
	units += (1u << drop) - 1;
	return (uint32_t)(units >> drop << drop);
}

int64_t
ladder_delay_ms(uint32_t units)
{
	return (int64_t)units * LADDER_UNIT_MS;
}

unsigned
ladder_levels(int64_t cap_ms)
{
	return bit_length(ladder_units(cap_ms));
}

int64_t
ladder_level_ttl_ms(unsigned level)
{
	assert(level < LADDER_LEVELS_MAX);
	return ladder_delay_ms(1u << level);
}

void
ladder_route(struct ladder_route *route, uint32_t units)
{
	unsigned bits, i;
	char *at = route->key;

	assert(units > 0 && units <= LADDER_UNITS_MAX);
	bits = bit_length(units);
	for (i = 0; i < bits; i++) {
		if (i > 0)
			*at++ = '.';
		*at++ = (units >> i & 1) != 0 ? '1' : '0';
	}
	*at = '\0';
	route->level = bits - 1;
}
