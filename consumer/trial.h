/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The trial of a suspect: of a message that may kill the process that tries
 * it. Nobody is left then to count the attempt; all that remains is the
 * broker's count of how often it took the message back (x-delivery-count of
 * quorum queues), which rises for the culprit as for all that was in the same
 * hands, and with each lost connection.
 *
 *	ordinary -- taken back SUSPECT_DELIVERIES times ----> suspect
 *	suspect --- on the ladder and back, its turn --------> on trial
 *	suspect --- not its turn: to the ladder again -------> suspect
 *	on trial -- a verdict, whichever --------------------> ordinary
 *	suspect, on trial -- the process died: to the ladder -> suspect
 *	            the same TRIAL_DEATHS times -------------> dead as crash
 *
 * The mark is the class of the copy on the ladder, whose count is anew: deaths
 * in a row, before anybody could send it there again, are one. In the
 * whole process it is one suspect's turn at a time; the others go back to the
 * ladder. When nothing else of its pipeline is under way the trial is sealed:
 * no pipeline is subscribed. It begins when no other suspect is in our hands
 * any more: so a process that dies of it charges the one that was tried.
 *
 * What has killed nobody by TRIAL_SEAL_MS is not worth stopping the others
 * for, and after each turn there is none for twice the time that it took.
 *
 * A process that lives knows that the loss of a channel was no death. It
 * remembers for the last few suspects how many there were.
 */
#ifndef DLO_CONSUMER_TRIAL_H
#define DLO_CONSUMER_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlx/envelope.h"
#include "lib/loop.h"

/* Taken back so often without an attempt on record, it is suspected. */
#define SUSPECT_DELIVERIES 3
/* So often, and nothing else is asked for beside it: see pipeline.h. */
#define WARY_DELIVERIES 2
/*
 * An operator may kill the process in the middle of a trial, and so may
 * another message that is no suspect yet, or when the ack has not arrived.
 */
#define TRIAL_DEATHS 3
/* For how long the pipelines are not subscribed, at most. */
#define TRIAL_SEAL_MS 10000
/* How many suspects' losses are remembered. */
#define TRIAL_LOSSES 64

/* Channels that went with a suspect while the process lived. */
struct trial_loss {
	uint64_t hash; /* of its id; 0: free */
	int64_t count;
};

/* Of one process; read it through the functions below. */
struct trial {
	struct loop *loop;
	void (*changed)(void *arg);
	void *arg;
	const void *suspect; /* whose turn it is; NULL: nobody's */
	int64_t taken_ms;
	int64_t sealed_ms;     /* -1: not yet */
	int64_t rest_until_ms; /* no trial before */
	int64_t alone_from_ms; /* the last other one has left by then */
	size_t suspects;       /* in our hands */
	unsigned receiving;    /* pipelines that may be delivered something */
	unsigned others;       /* put off since the last turn began */
	struct loop_timer *timer; /* each second of a turn */
	struct trial_loss losses[TRIAL_LOSSES];
	unsigned next_loss;
};

/*
 * `changed`: look at trial_is_sealed and trial_may_start again; from inside any
 * of the calls below, and from the loop.
 */
void trial_init(struct trial *, struct loop *, void (*changed)(void *arg),
    void *arg);
/* No callback after this. */
void trial_clear(struct trial *);

/* A suspect is in our hands; it is there no longer. */
void trial_enter(struct trial *);
void trial_leave(struct trial *);
/* How many more pipelines may be delivered something: 1, 0 or -1. */
void trial_receive(struct trial *, int more);

/* False: it is another's turn, or nobody's. `suspect` identifies it. */
bool trial_take(struct trial *, const void *suspect) must_use;
/* If it was this one's turn, that is over. */
void trial_yield(struct trial *, const void *suspect);
/* When to come again for one whose turn it is not, in milliseconds. */
int64_t trial_put_off_ms(struct trial *);
/* Nothing else of its pipeline is under way any more. */
void trial_seal(struct trial *);
/* No pipeline should be subscribed. */
bool trial_is_sealed(const struct trial *);
/* It has been for too long. */
bool trial_is_late(const struct trial *);
/* The one whose turn it is is alone in our hands, and will be. */
bool trial_may_start(const struct trial *);

/* The channel of a suspect has gone, but not the process. */
void trial_lost(struct trial *, const struct envelope *);
/* It is acked: what comes next with its id is another copy. */
void trial_settled(struct trial *, const struct envelope *);
/* How many processes have died with this copy in their hands, perhaps. */
int64_t trial_deaths(const struct trial *, const struct envelope *);

#endif
