/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The loop of the programs: lib/loop.h on an event_base. */
#ifndef DLO_LIB_LOOP_LIBEVENT_H
#define DLO_LIB_LOOP_LIBEVENT_H

#include "lib/loop.h"

struct event_base;

/*
 * A loop on an event_base of its own; free it with loop_free. From then on
 * SIGPIPE is ignored (executed programs inherit that: who starts them sets it
 * back), and libevent's memory and complaints go our ways.
 */
struct loop *loop_libevent_new(void);
/* The event_base under a loop made by loop_libevent_new; not to be freed. */
struct event_base *loop_libevent_base(struct loop *);

#endif
