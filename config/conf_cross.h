/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Rules that hold across the whole file. */
#ifndef DLO_CONFIG_CONF_CROSS_H
#define DLO_CONFIG_CONF_CROSS_H

#include "config/conf_parse.h"

/* Reports what contradicts itself; fills trusted users and role brokers. */
void conf_cross_check(struct conf_parse *);

#endif
