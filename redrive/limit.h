/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Whether a queue drops its oldest messages when it is full. It confirms what
 * is published all the same, and nobody sees its limit over AMQP: the
 * management API is asked, as the user that redrives.
 */
#ifndef DLO_REDRIVE_LIMIT_H
#define DLO_REDRIVE_LIMIT_H

#include "config/conf.h"
#include "lib/loop.h"

/* Asked again so often while a job runs: a policy may come at any time. */
#define LIMIT_EVERY_MS 60000

struct limit;

enum limit_answer {
	LIMIT_HARMLESS, /* no limit, or what is too much is refused */
	LIMIT_DROPS,
	LIMIT_UNKNOWN, /* `why` says why */
};

/* From the loop, never inside a call. */
typedef void limit_cb(void *arg, enum limit_answer, const char *why);

/*
 * NULL: there is no management API to ask, or no password to log in with.
 * `broker` and `queue` must outlive it.
 */
struct limit *limit_new(struct loop *, const struct conf_broker *broker,
    const char *queue, limit_cb *, void *arg);
/* NULL is fine; not from its callback. */
void limit_free(struct limit *);
/* Asks, unless it is asking. */
void limit_ask(struct limit *);
/* No answer to what was asked. */
void limit_cancel(struct limit *);

#endif
