/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * HUP: the file is read and checked anew. What is wrong with it, or needs a
 * restart, is logged line by line and nothing changes. Else the core drains as
 * at the end of the process, its jobs wait in the broker, and another begins
 * with what the file says; if that cannot start (a queue is missing), one with
 * the former configuration does, however long it has to try. However often a
 * reload is asked for while one is under way, one more follows.
 */
#ifndef DLO_REDRIVE_RELOAD_H
#define DLO_REDRIVE_RELOAD_H

#include <stdbool.h>

#include "config/conf.h"
#include "lib/compiler.h"
#include "lib/daemon.h"

/* Zeroed but for the first three, it is ready. */
struct reload {
	struct daemon *daemon;
	const struct conf *first; /* of the start; not owned */
	bool verbose;		  /* log.level does not count */
	struct conf *current;	  /* in force; NULL: the first is */
	struct conf *next;	  /* the core makes room for it */
	struct conf *former;	  /* comes back if `current` fails */
	bool trying;		  /* whether `current` starts is not known */
	bool again;
};

const struct conf *reload_in_force(const struct reload *);
/* As the daemon's core is asked to. True: the core is to drain. */
bool reload_begin(struct reload *) must_use;
/* The core has ended. True: open another, with what is in force now. */
bool reload_turn(struct reload *, bool failed) must_use;
/* The core is ready, or as ready as can be without a broker. */
void reload_settled(struct reload *, bool ready);
/* Whether another one was asked for meanwhile; asked once. */
bool reload_is_due(struct reload *) must_use;
/* After the core is freed. */
void reload_clear(struct reload *);

#endif
