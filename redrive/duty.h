/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The active daemon's duty: what the registry says is to run is run on the
 * lanes, what the lanes want or have done goes to the registry. As long as
 * another daemon is the active one, nothing is run.
 */
#ifndef DLO_REDRIVE_DUTY_H
#define DLO_REDRIVE_DUTY_H

#include <stdbool.h>

#include "redrive/office.h"

struct duty;
struct job_report;
struct lane;
struct rmq_close;

/* Called from the loop, never inside a call. */
struct duty_cbs {
	/* This daemon is the active one now, or no longer. */
	void (*active)(void *arg, bool active);
	/* Told to stop, and nothing is held any more. */
	void (*idle)(void *arg);
	/* See registry_cbs. */
	void (*tell)(void *arg, const struct registry_job *);
	/* See jobs_link_cbs. */
	void (*down)(void *arg, const struct rmq_close *, bool tried_all);
	void (*refused)(void *arg);
	void (*stopped)(void *arg);
};

/* `cbs` must outlive it. Lanes are added next. */
struct duty *duty_new(const struct office_env *, const struct duty_cbs *,
    void *arg);
/* NULL is fine; before the lanes. Not from a callback. */
void duty_free(struct duty *);
void duty_add(struct duty *, struct lane *);
struct office *duty_office(const struct duty *);

/* A lane's callbacks. */
bool duty_fired(struct duty *, struct lane *, const char *trigger);
void duty_ended(struct duty *, struct lane *, const struct job_report *);
void duty_looked(struct duty *);

/*
 * Starts no job any more and stops those under way, which the next active
 * daemon goes on with; then `idle`, perhaps at once.
 */
void duty_drain(struct duty *);

#endif
