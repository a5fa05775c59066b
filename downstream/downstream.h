/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One downstream of the configuration: its handler behind its breaker, and
 * its probe; shared by pipelines. Pipelines ask downstream_room before each
 * downstream_start, and listen: they are told at the end of the turn in which
 * the state changed or room came back, each time another one first. So that
 * all get their share, room that came back is there from then on, not before:
 * in the callback of a verdict there may be none yet.
 *
 * The breaker hears of a verdict before the pipeline does, so that the
 * pipeline's callback already sees what came of it.
 */
#ifndef DLO_DOWNSTREAM_DOWNSTREAM_H
#define DLO_DOWNSTREAM_DOWNSTREAM_H

#include <sys/queue.h>

#include "downstream/attempt.h"
#include "downstream/breaker.h"
#include "downstream/handler.h"
#include "downstream/probe.h"
#include "lib/loop.h"
#include "lib/metrics.h"
#include "lib/stream.h"

struct conf_downstream;
struct downstream;
struct downstream_call;

/*
 * Embed it. `cb`: look at downstream_state and downstream_room again; it may
 * start and cancel attempts, listen and unlisten.
 */
struct downstream_listener {
	void (*cb)(void *arg);
	void *arg;
	TAILQ_ENTRY(downstream_listener) entry;
};

/* Factories, for tests and the simulator. */
typedef struct handler *downstream_handler_fn(void *arg,
    const struct conf_downstream *);
typedef struct probe_driver *downstream_driver_fn(void *arg,
    const struct conf_downstream *);

/* Where it lives; copied. */
struct downstream_env {
	struct loop *loop;
	struct stream_net *net;
	struct metrics *metrics;
	/* NULL: what the configuration asks for. */
	downstream_handler_fn *handler_new;
	downstream_driver_fn *driver_new; /* called only if it has a probe */
	void *arg;
};

/*
 * `concurrency`: attempts at once of all its pipelines together, the limit of
 * the slow start (or the handler's capacity, if that is less). The
 * configuration may go.
 */
struct downstream *downstream_new(const struct downstream_env *,
    const struct conf_downstream *, unsigned concurrency);
/* Cancels what is under way; not from a callback. NULL is fine. */
void downstream_free(struct downstream *);
/* Another concurrency from now on; the breaker keeps its state. */
void downstream_limit(struct downstream *, unsigned concurrency);
/*
 * No attempt starts any more: there is no room, the probe ends and the gauges
 * go, so that another of that name can take its place, while what is under
 * way goes on to its verdict. `idle` comes from the loop, when nothing (more)
 * is under way and nobody listens, to free it.
 */
typedef void downstream_idle_cb(void *arg, struct downstream *);
void downstream_retire(struct downstream *, downstream_idle_cb *, void *arg);

const char *downstream_name(const struct downstream *);
enum breaker_state downstream_state(const struct downstream *);
/* For how long the breaker is still open; 0: it is not. */
int64_t downstream_open_ms(const struct downstream *);
/* How often the breaker has opened. */
uint64_t downstream_opened(const struct downstream *);
/* PROBE_HEALTHY when it has no probe. */
enum probe_health downstream_health(const struct downstream *);
/* How many more attempts may start now; 0 while the breaker is open. */
unsigned downstream_room(const struct downstream *);

/*
 * Starts an attempt; there must be room. Never NULL. The verdict comes as
 * handler.h says, the attempt must last until then.
 */
struct downstream_call *downstream_start(struct downstream *,
    const struct attempt *, handler_done_cb *, void *arg) must_use;
/* No callback after this; the breaker does not count it. */
void downstream_cancel(struct downstream_call *);

/* The listener's memory stays the caller's, until downstream_unlisten. */
void downstream_listen(struct downstream *, struct downstream_listener *);
void downstream_unlisten(struct downstream *, struct downstream_listener *);

/*
 * Told of each change of the breaker's state, from inside the call that made
 * it: it may look at the downstream, and no more.
 */
typedef void downstream_watch_cb(void *arg, struct downstream *,
    enum breaker_state from);
/* One watcher at most. */
void downstream_watch(struct downstream *, downstream_watch_cb *, void *arg);

#endif
