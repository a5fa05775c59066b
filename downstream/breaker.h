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
 * Only a bad result opens it. Closing starts slowly: one attempt at once,
 * doubling with each good result up to the limit; until then one bad result
 * opens it again. Results of attempts that began before it last opened say
 * nothing new and change nothing. A result that does not count neither
 * closes, opens, nor interrupts a row; as a trial it makes room for the next.
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

/* Read it through the functions below. */
struct breaker {
	const char *name; /* for the log; not owned */
	struct breaker_params params;
	enum breaker_state state;
	uint64_t ticket;    /* how often it opened: marks the attempts */
	unsigned allowed;   /* attempts at once while closed */
	bool slow;	    /* slow start: allowed is on its way to limit */
	unsigned under_way; /* of those with the current ticket */
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
