/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What is known of the consumers' circuit breakers, by hearsay: each process
 * has one for each downstream and tells its state every 5 s. What was not
 * heard of for CIRCUITS_STALE_MS is forgotten: its process has ended, or
 * cannot be heard. Pure.
 *
 * One that is open says that nothing is to be sent. Half-open says so for
 * CIRCUITS_HALF_MS, in which a probe, or a message that waits, decides; after
 * that it waits for a message, and somebody has to send one.
 */
#ifndef DLO_REDRIVE_CIRCUITS_H
#define DLO_REDRIVE_CIRCUITS_H

#include <stdbool.h>
#include <stdint.h>

#include "redrive/news.h"

#define CIRCUITS_STALE_MS 15000
#define CIRCUITS_HALF_MS  6000

struct circuits;

struct circuits *circuits_new(void);
/* NULL is fine. */
void circuits_free(struct circuits *);
/*
 * A breaker's state, told at wall clock `news->at_ms`; what waited too long in
 * the broker is not believed. `now_ms` is monotonic, `wall_ms` is not.
 */
void circuits_heard(struct circuits *, const struct news *, int64_t now_ms,
    int64_t wall_ms);
/* Whether a breaker of this downstream says that nothing is to be sent. */
bool circuits_is_open(const struct circuits *, const char *downstream,
    int64_t now_ms);
/*
 * When circuits_is_open may have another answer without news; INT64_MAX:
 * never.
 */
int64_t circuits_due_ms(const struct circuits *, int64_t now_ms);

#endif
