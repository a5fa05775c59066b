/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Whether a job may go on: the canary first, then the watch on what fails
 * again. Pure: it is told what was sent, what the consumers say, and the time.
 *
 *	sending -- so many are sent, or there are no more -----> waiting
 *	waiting -- a verdict on each, few bad -----------------> open
 *	waiting -- a verdict on each, or too many bad ---------> spoilt
 *	waiting -- no verdict on some within the time-out -----> looking
 *	looking -- the queue was read: too many are back ------> spoilt
 *	looking -- no: for the first time ---------------------> sending, anew
 *	looking -- no: again, or it was open ------------------> silent
 *	looking -- meanwhile the verdicts came ----------------> open
 *	open ----- more of the judged are bad than may be -----> spoilt
 *	open ----- no verdict on any within the time-out ------> looking
 *
 * Only verdicts open it, never time. Without a canary it is open from the
 * start and needs no verdicts; those that come count all the same.
 */
#ifndef DLO_REDRIVE_CANARY_H
#define DLO_REDRIVE_CANARY_H

#include <stdbool.h>
#include <stdint.h>

#include "redrive/ledger.h"

enum canary_state {
	CANARY_SENDING, /* as many as canary_credit says */
	CANARY_WAITING, /* for the verdicts on the canary */
	CANARY_LOOKING, /* wants to know what is back in the queue */
	CANARY_OPEN,	/* all may go */
	CANARY_SPOILT,	/* the end: too many fail again */
	CANARY_SILENT,	/* the end: nobody says how they fare */
};
/* "sending", "waiting", "looking", "open", "spoilt", "silent". */
const char *canary_state_name(enum canary_state);

/*
 * So many verdicts, at least, make a share of bad ones; but for the canary's,
 * where it is as many as were sent.
 */
#define CANARY_LEAST 20

/* Canaries take the steps below this one. */
#define CANARY_STEPS 2

struct canary_params {
	uint32_t canary; /* messages; 0: none */
	int64_t timeout_ms;
	double abort_above; /* share of bad verdicts that ends it */
};

/* Read it through the functions below. */
struct canary {
	struct canary_params params;
	struct ledger *ledger;
	enum canary_state state;
	uint32_t round;	   /* which canary, from 0; steps below CANARY_STEPS */
	uint64_t sent;	   /* messages of this canary */
	uint64_t awaited;  /* ids of them */
	uint64_t answered; /* verdicts on those */
	bool opened;	   /* it was open before */
	uint64_t judged;   /* when it began to look */
	/* The time-out's clock. */
	int64_t left_ms, since_ms;
	bool held;
};

/* The ledger must outlive it. */
void canary_init(struct canary *, const struct canary_params *, struct ledger *,
    int64_t now_ms);

/* How many more may be sent now; UINT64_MAX: all. */
uint64_t canary_credit(const struct canary *);
/* One goes out; `step` is the ramp's. */
void canary_sent(struct canary *, struct rmq_slice id, uint32_t step,
    int64_t now_ms);
/* It did not arrive: another may take its place. */
void canary_unsent(struct canary *, struct rmq_slice id);
/* There are no more to send. */
void canary_exhausted(struct canary *, int64_t now_ms);
/*
 * The consumer's verdict on one. False: nothing that we wait for. True: it
 * counts, and *step is what canary_sent said of it (below CANARY_STEPS: a
 * canary's).
 */
bool canary_heard(struct canary *, struct rmq_slice id, bool good,
    uint32_t *step, int64_t now_ms);
/* It is in the dead-letter queue again. True: it counts as bad from now. */
bool canary_dead(struct canary *, struct rmq_slice id, int64_t now_ms);
/* Looking: the whole queue has been read, canary_dead told. */
void canary_looked(struct canary *, int64_t now_ms);
/* On: the time-out's clock stands still. */
void canary_hold(struct canary *, bool on, int64_t now_ms);
/* When canary_tick is due; INT64_MAX: after a change. */
int64_t canary_due_ms(const struct canary *);
void canary_tick(struct canary *, int64_t now_ms);

#endif
