/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Which dead letters: a filter of the configuration or the command line
 * against what is known of one. Pure.
 */
#ifndef DLO_REDRIVE_FILTER_H
#define DLO_REDRIVE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

struct conf_filter;
struct envelope;

/*
 * Whether all that the filter asks for holds. `now_ms` (wall clock) gives
 * the age; one that nobody knows is neither older nor newer than anything.
 */
bool filter_match(const struct conf_filter *, const struct envelope *,
    int64_t now_ms);
/* Whether it asks for nothing: everything matches. */
bool filter_is_empty(const struct conf_filter *);

#endif
