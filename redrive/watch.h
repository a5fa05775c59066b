/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What holds a redrive job in check: the canary (may it go on?), the ramp (how
 * fast?), and the ledger of what it has sent, told of the same events and
 * asked with one voice. It logs their changes and counts what fails again.
 * Its owner calls watch_tick when watch_due_ms has come.
 */
#ifndef DLO_REDRIVE_WATCH_H
#define DLO_REDRIVE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "redrive/canary.h"

struct conf_redrive;
struct loop;
struct metrics_cell;
struct news;
struct watch;

/* What it points to must outlive the watch, but `job`. */
struct watch_options {
	struct loop *loop;
	const char *pipeline;
	const char *job; /* its id */
	const struct conf_redrive *conf;
	uint32_t rate;	 /* messages a second, at most */
	uint32_t canary; /* messages; 0: none */
	struct metrics_cell *failed_again;
};

struct watch *watch_new(const struct watch_options *);
/* NULL is fine. */
void watch_free(struct watch *);

/* See canary.h. */
enum canary_state watch_state(const struct watch *);
/* How many may be sent now; UINT64_MAX: all. */
uint64_t watch_credit(const struct watch *);
/* Messages a second, now. */
uint32_t watch_rate(const struct watch *);
/* A copy goes out, or did not arrive after all. */
void watch_sent(struct watch *, struct rmq_slice id);
void watch_unsent(struct watch *, struct rmq_slice id);
/* There are no more to send. */
void watch_exhausted(struct watch *);
/* A consumer's verdict; of another job it changes nothing. */
void watch_heard(struct watch *, const struct news *);
/* It is in the dead-letter queue again, with this job's id. */
void watch_dead(struct watch *, struct rmq_slice id);
/* The whole queue has been read for those. */
void watch_looked(struct watch *);
/* On: the job stands still, or is to: no clock runs. */
void watch_hold(struct watch *, bool on);
/* The downstream's breaker opened. */
void watch_broke(struct watch *);
/* When watch_tick is due (monotonic); INT64_MAX: after a change. */
int64_t watch_due_ms(const struct watch *);
void watch_tick(struct watch *);

/* Messages with a verdict, by what it was, and without one. */
uint64_t watch_good(const struct watch *);
uint64_t watch_bad(const struct watch *);
uint64_t watch_waiting(const struct watch *);

#endif
