/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The circuit breaker of one downstream: a pure state machine; times are
 * given, chance comes from a seed. Its owner reports what started and what
 * came of it, asks how much more may start, and calls breaker_tick when
 * breaker_due_ms has come.
 *
 *	closed ----- failures in a row, or their ratio ----> open
 *	open ------- its time has passed ------------------> half-open
 *	half-open -- good probe, or good trial message ----> closed (slowly)
 *	half-open -- bad probe, or bad trial message ------> open (for longer)
 *
 * Only a bad result opens it. Closing starts slowly: one attempt at once, and
 * each second twice as many, up to the limit. When more go bad than did with
 * one at a time, or many do in a row, the downstream has less room than the
 * limit: half as many then, and from there one more each second, until the
 * limit has been held for a second. In slow start a bad result opens it again
 * before the first good one, and so do a few in a row when halving brought no
 * good one, and the ratio.
 *
 * Results of attempts that began before it last opened say nothing new and
 * change nothing, nor do bad ones that began before the last halving. A result
 * that does not count neither closes, opens, nor interrupts a row; as a trial
 * it makes room for the next.
 */
#ifndef DLO_DOWNSTREAM_BREAKER_H
#define DLO_DOWNSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* The values are those of dlo_breaker_state. */
enum breaker_state {
	BREAKER_CLOSED = 0,
	BREAKER_HALF_OPEN = 1,
	BREAKER_OPEN = 2,
};

enum breaker_result {
	BREAKER_GOOD,
	BREAKER_BAD,
	BREAKER_NOTHING, /* cancelled, or says nothing of the downstream */
};

struct breaker_params {
	unsigned failures;   /* bad ones in a row that open it; ≥ 1 */
	double ratio;	     /* share of bad ones that opens it, (0, 1] … */
	unsigned minimum;    /* … of at least this many results … */
	int64_t window_ms;   /* … in this time */
	int64_t open_ms;     /* open for this long at first, … */
	int64_t open_max_ms; /* … doubling up to this */
	bool probed;	     /* half-open: a probe decides, not a message */
	unsigned limit;	     /* attempts at once when all is well; ≥ 1 */
};

#define BREAKER_SLOTS	    16	/* the window moves on in this many steps */
#define BREAKER_OPEN_JITTER 0.2 /* open for [0.8·d, d] */

/* How often one slice of the window's time was good and bad. */
struct breaker_slot {
	int64_t index; /* which slice: time / slice length */
	uint64_t good, bad;
};

#define BREAKER_STEP_MS 1000 /* limits of rate count by the second */

/*
 * Slow start halves on so many bad results in a step when they are a share
 * that is larger by so much than it was with one attempt at a time.
 */
#define BREAKER_CUT_LEAST 3
#define BREAKER_CUT_SHARE 0.1

/* The step of slow start that it is in; the flags outlive it. */
struct breaker_slow {
	bool on;
	bool proven;   /* something has gone well since it closed */
	bool cautious; /* too many went bad: up by one, not by doubling */
	bool vain;     /* halved, and nothing good since */
	unsigned good, bad;
	int64_t began_ms;
	double noise; /* share of bad ones with one attempt at a time */
};

/* Read it through the functions below. */
struct breaker {
	const char *name; /* for the log; not owned */
	struct breaker_params params;
	enum breaker_state state;
	uint64_t opened;  /* how often */
	uint32_t cuts;	  /* how often slow start was halved */
	unsigned allowed; /* attempts at once while closed */
	struct breaker_slow slow;
	unsigned under_way; /* of those that began since it last opened */
	unsigned row;	    /* bad results in a row */
	unsigned openings;  /* since the limit was last reached */
	int64_t open_until_ms;
	uint64_t seed;
	struct breaker_slot slots[BREAKER_SLOTS];
};

/* "closed", "half-open", "open". */
const char *breaker_state_name(enum breaker_state);

/* Closed, with all of the limit. `name` must outlive it. */
void breaker_init(struct breaker *, const char *name,
    const struct breaker_params *, uint64_t seed);

/* Another limit from now on; its state and what it has counted stay. */
void breaker_limit(struct breaker *, unsigned limit);

enum breaker_state breaker_state(const struct breaker *);
/* How many more attempts may start now. */
unsigned breaker_room(const struct breaker *);
/* When breaker_tick has something to do; -1: never. */
int64_t breaker_due_ms(const struct breaker *);
/* For how long it is still open; 0: it is not. */
int64_t breaker_open_ms(const struct breaker *, int64_t now_ms);
/* How often it has opened. */
uint64_t breaker_opened(const struct breaker *);

/* An attempt starts (there must be room): its ticket, for its end. */
uint64_t breaker_start(struct breaker *);
/* An attempt has ended. */
void breaker_finish(struct breaker *, uint64_t ticket, enum breaker_result,
    int64_t now_ms);
/*
 * A probe has answered. Counts only when half-open and `probed`: a bad one
 * opens it again, a good one closes it once the probe as a whole says
 * healthy.
 */
void breaker_probe(struct breaker *, bool good, bool healthy, int64_t now_ms);
/* Time has passed. */
void breaker_tick(struct breaker *, int64_t now_ms);

#endif
