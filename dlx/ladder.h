/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The delay ladder's arithmetic; pure. A delay is a number of units of
 * 100 ms whose bits are the levels: a message waits in the queue of each
 * level whose bit is set, 2^L units there, highest level first. The routing
 * key spells the bits, lowest first, so that a ladder can grow upwards
 * without changing the meaning of a key.
 */
#ifndef DLO_DLX_LADDER_H
#define DLO_DLX_LADDER_H

#include <stdint.h>

/* Fixed for ever: messages wait in queues that were declared with it. */
#define LADDER_UNIT_MS 100
/* At most this many bits of a delay are set: at most as many hops. */
#define LADDER_BITS_KEPT 4
/* Level 25 waits 38 days; a TTL (32 bits of ms) holds no level 26. */
#define LADDER_LEVELS_MAX 26
/* The longest delay: 72 days; longer ones are cut to it. */
#define LADDER_UNITS_MAX (15u << (LADDER_LEVELS_MAX - LADDER_BITS_KEPT))
/* A word a level with a dot between, and the NUL. */
#define LADDER_KEY_SPACE (2 * LADDER_LEVELS_MAX)

struct ladder_route {
	unsigned level;		    /* of the exchange to publish to */
	char key[LADDER_KEY_SPACE]; /* "0.1.1" is 6 units */
};

/*
 * The delay in units, at least 1: rounded up to a unit, then up to its four
 * highest bits. Never early, at most 12.5 % and a unit late (but cut to
 * LADDER_UNITS_MAX).
 */
uint32_t ladder_units(int64_t delay_ms);
/* What `units` come to, in milliseconds. */
int64_t ladder_delay_ms(uint32_t units);
/* How many levels (0 to n - 1) delays of up to `cap_ms` need. */
unsigned ladder_levels(int64_t cap_ms);
/* How long one stay at that level lasts, in milliseconds. */
int64_t ladder_level_ttl_ms(unsigned level);
/* Where to publish for a delay of `units` (as of ladder_units). */
void ladder_route(struct ladder_route *, uint32_t units);

#endif
