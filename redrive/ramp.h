/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * How fast a job may go: from a start twice as fast after each step, up to a
 * limit, and half as fast when failures show. Pure.
 *
 * Failures show when of the verdicts on what was sent in this step at least
 * RAMP_BAD_LEAST speak against the downstream, and more than a share: at
 * once, not at the step's end; what was sent before the halving cannot cause
 * another. A message that is refused for itself does not speak against the
 * downstream. The rate at which they showed is remembered: three quarters of
 * it is the limit from then on, so that a downstream that breaks above some
 * rate is not pushed there again and again. After RAMP_CALM_STEPS good steps
 * there it is raised by an eighth, after as many more by a quarter, and so on.
 *
 * A step without a verdict proves nothing and goes on, unless nobody is asked
 * for verdicts (blind).
 */
#ifndef DLO_REDRIVE_RAMP_H
#define DLO_REDRIVE_RAMP_H

#include <stdbool.h>
#include <stdint.h>

#define RAMP_BAD_LEAST	3
#define RAMP_CALM_STEPS 12

struct ramp_params {
	uint32_t start, limit; /* messages a second, at least 1 */
	int64_t step_ms;
	double bad_share; /* above it failures show */
	bool blind;	  /* steps need no verdict */
};

/* What a verdict says of the downstream. */
enum ramp_word {
	RAMP_GOOD,
	RAMP_BAD,
	RAMP_NEITHER, /* bad for the message itself */
};

/* Read it through the functions below. */
struct ramp {
	struct ramp_params params;
	uint32_t rate, cap;
	uint32_t step;	  /* its number, for what is sent in it */
	unsigned calm;	  /* good steps in a row at the cap */
	unsigned raise_8; /* eighths that raise it next */
	bool on;
	int64_t due_ms; /* the step's end */
	uint64_t sent, good, bad, heard;
};

/* Stands still at the start's rate; the first step has that number. */
void ramp_init(struct ramp *, const struct ramp_params *, uint32_t step);
/* It may get faster from now on, beginning at the start. */
void ramp_begin(struct ramp *, int64_t now_ms);
/* The job stands still: the next ramp_begin begins at the start again. */
void ramp_stop(struct ramp *);
/* Messages a second, now. */
uint32_t ramp_rate(const struct ramp *);
/* One is sent. */
void ramp_sent(struct ramp *);
/* A verdict on what was sent in that step. */
void ramp_heard(struct ramp *, uint32_t step, enum ramp_word, int64_t now_ms);
/* The downstream's breaker opened: failures show. */
void ramp_broke(struct ramp *, int64_t now_ms);
/* When ramp_tick is due; INT64_MAX: never. */
int64_t ramp_due_ms(const struct ramp *);
void ramp_tick(struct ramp *, int64_t now_ms);

/* How long so many messages take, if nothing goes wrong. */
int64_t ramp_duration_ms(const struct ramp_params *, uint64_t count);

#endif
