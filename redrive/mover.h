/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Moves dead letters: takes them from a list as fast as the job may, publishes
 * a copy of each through the publisher and tells when it is safe to ack. It
 * owns each message from mover_add until it has told what became of it. What it
 * does not tell as moved must not be acked.
 *
 * A queue that refuses a copy (nack) is no failure: everything stops, then
 * after 1 s (doubling to 60 s) one message is tried, and on success the rest
 * follows.
 */
#ifndef DLO_REDRIVE_MOVER_H
#define DLO_REDRIVE_MOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "redrive/action.h"
#include "redrive/scan.h"

struct conf_pipeline;
struct mover;
struct job_env;
struct topology_pipeline_names;
struct watch;

/* Called from the loop, never inside a call of the mover's. */
struct mover_cbs {
	/* A copy is confirmed: ack it now. */
	void (*moved)(void *arg, struct chain_ref, enum action);
	/* This one cannot be published; it stays where it is. */
	void (*refused)(void *arg, const char *why);
	/* Nothing can be published there; this one and the rest stay. */
	void (*stuck)(void *arg, const char *why);
	/* After each of these, at each nack, and when a wait is over. */
	void (*progress)(void *arg);
};

/* All of it must outlive the mover. */
struct mover_options {
	const struct job_env *env;
	const struct conf_pipeline *conf;
	const struct topology_pipeline_names *names;
	const char *job;     /* its id */
	uint32_t rate;	     /* messages a second; see rate.h */
	struct watch *watch; /* what may be redriven; NULL: everything */
};

/* One dead letter to move. */
struct mover_letter {
	struct rmq_message *message;
	struct chain_ref ref;
	bool redelivered;
	enum action action;
};

struct mover *mover_new(const struct mover_options *, const struct mover_cbs *,
    void *arg);
/* Forgets everything, no callback any more; not from one. NULL is fine. */
void mover_free(struct mover *);

/* Queues a letter; its message is the mover's from here. */
void mover_add(struct mover *, const struct mover_letter *);
/* On: nothing is sent until it is off again; what was sent goes on. */
void mover_hold(struct mover *, bool on);
/* The watch may say something else now. */
void mover_wake(struct mover *);
/*
 * Drops what was not sent, and from now on what comes back unsent; what was
 * sent is awaited. Until mover_restart.
 */
void mover_drain(struct mover *);
/* Drops everything; how many were sent and have an unknown fate. */
size_t mover_forget(struct mover *);
/* Goes on after mover_drain or mover_forget, with a new window. */
void mover_restart(struct mover *);

/* Whether more letters are wanted. */
bool mover_has_room(const struct mover *);
/* Nothing queued, nothing sent without a verdict. */
bool mover_is_idle(const struct mover *);
/* Held, waiting for a full queue, or for the watch. */
bool mover_is_stalled(const struct mover *);
/* A queue is full and it is not yet time to try again. */
bool mover_must_wait(const struct mover *);
/* A queue is full, and has taken nothing since. */
bool mover_is_refused(const struct mover *);
/* Letters queued or sent. */
size_t mover_pending(const struct mover *);
/* The longest that a confirm took since mover_restart; 0: there was none. */
int64_t mover_slowest_ms(const struct mover *);

#endif
