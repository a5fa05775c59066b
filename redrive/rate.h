/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * How fast: a token bucket that holds at most a tenth of a second's worth (and
 * at least one), so that no second is much above the rate and what a late
 * timer lost is caught up. Pure; exact in integers.
 */
#ifndef DLO_REDRIVE_RATE_H
#define DLO_REDRIVE_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* For rate_init and rate_set: as fast as can be. */
#define RATE_UNLIMITED UINT32_MAX

struct rate {
	uint32_t per_s;	    /* at least 1 */
	int64_t millionths; /* of a message that may go */
	int64_t at_us;	    /* when that was so; monotonic */
};

/* Starts with one message to go at once. */
void rate_init(struct rate *, uint32_t per_s, int64_t now_us);
/* Another rate from now on. */
void rate_set(struct rate *, uint32_t per_s, int64_t now_us);
/* Takes one message's worth if there is one. */
bool rate_take(struct rate *, int64_t now_us);
/* How long until rate_take says yes; 0: now. */
int64_t rate_wait_us(const struct rate *, int64_t now_us);

#endif
