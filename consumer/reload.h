/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * HUP: the file is read and checked anew, with its secrets. What is wrong
 * with it, or needs a restart, is logged line by line and nothing changes;
 * else the consumer goes over to it. One reload at a time: however often it
 * is asked for meanwhile, one more follows, with what the file says then.
 */
#ifndef DLO_CONSUMER_RELOAD_H
#define DLO_CONSUMER_RELOAD_H

#include <stdbool.h>

#include "config/conf.h"
#include "consumer/consumer.h"
#include "lib/daemon.h"

/* Zeroed but for the first four, it is ready. */
struct reload {
	struct daemon *daemon;
	struct consumer *consumer;
	const struct conf *first; /* of the start; not owned */
	bool verbose;		  /* log.level does not count */
	struct conf *current;	  /* in force; NULL: the first is */
	struct conf *next;	  /* being gone over to */
	bool again;
	bool ended;
};

/* As the daemon's core is asked to. */
void reload_begin(struct reload *);
/* As the consumer says. */
void reload_done(struct reload *, const struct roster_change *);
/* It drains: no more of it. */
void reload_end(struct reload *);
/* After the consumer is freed. */
void reload_clear(struct reload *);

#endif
