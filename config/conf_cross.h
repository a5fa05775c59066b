/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Rules that hold across the whole file. */
#ifndef DLO_CONFIG_CONF_CROSS_H
#define DLO_CONFIG_CONF_CROSS_H

#include "config/conf_parse.h"

/* Reports what contradicts itself; fills trusted users and role brokers. */
void conf_cross_check(struct conf_parse *);

/*
 * What all delays of one message can add up to. Each can be as long as the
 * cap: a handler may ask for that (Retry-After). None ends after the deadline.
 */
int64_t conf_cross_delays_ms(const struct conf_retry *);

#endif
