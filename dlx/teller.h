/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What is told to whoever listens on `dlo.events`, one flat JSON object each;
 * docs/events.md describes them. They are news: transient, with no confirm, on
 * a channel of their own, and dropped when they cannot go at once, so that
 * what must not be lost never waits for them.
 */
#ifndef DLO_DLX_TELLER_H
#define DLO_DLX_TELLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/publisher.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/metrics.h"

struct teller;

/* All of it must outlive the teller, but for `instance`. */
struct teller_env {
	struct loop *loop;
	struct rmq_publisher *publisher;
	const char *exchange;
	const char *user;	  /* of the publisher's connection */
	const char *app;	  /* the program */
	const char *instance;	  /* "host:pid" */
	const char *const *kinds; /* "outcome"; their place is their number */
	size_t kind_count;
	struct metrics *metrics;
	/* Bytes that wait to be sent on the publisher's connection. */
	size_t (*unsent)(void *arg);
	void *arg;
};

struct teller *teller_new(const struct teller_env *);
/* NULL is fine. */
void teller_free(struct teller *);

/*
 * Begins an event with what all have in common; add to it, and teller_tell it
 * before the next.
 */
struct buf *teller_begin(struct teller *, unsigned kind);
/* Ends the event and sends it as KIND.NAME, if it can go now. */
void teller_tell(struct teller *, unsigned kind, const char *name);

void teller_add_int(struct buf *, const char *key, int64_t value);
void teller_add_bool(struct buf *, const char *key, bool value);
void teller_add_number(struct buf *, const char *key, double value);
/* Text is cut, and what is not UTF-8 is replaced. */
void teller_add_text(struct buf *, const char *key, struct rmq_slice text);
void teller_add_str(struct buf *, const char *key, const char *text);
/* Leaves an empty one out. */
void teller_add_some(struct buf *, const char *key, struct rmq_slice text);
void teller_add_time(struct buf *, const char *key, int64_t wall_ms);
/* The id may be any bytes. JSON cannot say some of them: these go as hex. */
void teller_add_id(struct buf *, struct rmq_slice id);

#endif
