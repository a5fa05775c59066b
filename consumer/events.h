/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the consumer tells on `dlo.events`; see dlx/teller.h. */
#ifndef DLO_CONSUMER_EVENTS_H
#define DLO_CONSUMER_EVENTS_H

#include <stdint.h>

#include "dlx/envelope.h"
#include "dlx/teller.h"
#include "downstream/downstream.h"
#include "downstream/verdict.h"

/* `breaker.*` is told this often, whether it changed or not. */
#define EVENTS_BEAT_MS 5000

struct events;

/* `app` and kinds are its own. */
struct events *events_new(const struct teller_env *);
/* NULL is fine. */
void events_free(struct events *);

/* What an attempt came to. */
struct events_attempt {
	const struct verdict *verdict;
	enum outcome outcome; /* the verdict's, or what a rule made of it */
	int64_t handler_ms;
	const char *next; /* "ack", "hold", "ladder", "dead", "redelivery" */
	int64_t delay_ms; /* hold, ladder; else 0 */
};

/*
 * An attempt of a redriven message has ended; others are not told of. The
 * envelope does not count the attempt yet.
 */
void events_outcome(struct events *, const char *pipeline,
    const struct envelope *, const struct events_attempt *);
/* A dead letter's copy is confirmed. */
void events_dead(struct events *, const char *pipeline,
    const struct envelope *);
/* The breaker's state. `from` is what it was if it changed just now, or NULL.
 */
void events_breaker(struct events *, const struct downstream *,
    const enum breaker_state *from);

#endif
