/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the consumer tells whoever listens on `dlo.events`, one flat JSON
 * object each; docs/events.md describes them. They are news: transient, with
 * no confirm, on a channel of their own, and dropped when they cannot go at
 * once, so that what must not be lost never waits for them.
 */
#ifndef DLO_CONSUMER_EVENTS_H
#define DLO_CONSUMER_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "amqp/publisher.h"
#include "dlx/envelope.h"
#include "downstream/downstream.h"
#include "downstream/verdict.h"
#include "lib/loop.h"
#include "lib/metrics.h"

/* `breaker.*` is told this often, whether it changed or not. */
#define EVENTS_BEAT_MS 5000

struct events;

/* All of it must outlive the events, but for `instance`. */
struct events_env {
	struct loop *loop;
	struct rmq_publisher *publisher;
	const char *exchange;
	const char *user;     /* of the publisher's connection */
	const char *instance; /* "host:pid" */
	struct metrics *metrics;
	/* Bytes that wait to be sent on the publisher's connection. */
	size_t (*unsent)(void *arg);
	void *arg;
};

struct events *events_new(const struct events_env *);
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
