/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What becomes of a message: may it be handed over, and what follows from
 * the handler's verdict. Pure: time and chance are given, nothing is changed.
 *
 * A message whose next attempt could only come after its deadline is dead at
 * once: waiting would bring nothing but a later notice. Where more than one
 * reason holds, the one that makes a redrive pointless wins: a rejection,
 * then the publisher's expiration, then used-up attempts, then our deadline.
 *
 * Rules of retry.rules apply to failures: a handler's ok stays ok. The first
 * whose class is a dotted prefix of the failure's says what its outcome is and
 * how it is retried; what it does not say stays as it is. How many attempts a
 * message may have depends on what the last one failed with, and counts all
 * of them.
 *
 * A failure of class `crash` or below it means that a worker died with the
 * message in its hands. It gets one more attempt, alone; when that ends in a
 * crash too it is dead, whatever a rule or retry.attempts says, since each
 * crash harms what is beside it. Attempts that a crash used up make it dead
 * as a crash, so that no redrive takes it by itself.
 */
#ifndef DLO_CONSUMER_POLICY_H
#define DLO_CONSUMER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/conf.h"
#include "dlx/envelope.h"
#include "downstream/verdict.h"

struct policy {
	const struct conf_retry *retry;
	uint64_t max_body_bytes;
	bool retries; /* features.retry; false: one attempt, then dead */
	bool ordered; /* every delay is waited in memory */
};

enum policy_act {
	POLICY_ATTEMPT, /* hand it over */
	POLICY_ACK,	/* done */
	POLICY_HOLD,	/* wait in memory for delay_ms, then attempt */
	POLICY_LADDER,	/* let the broker bring it back after delay_ms */
	POLICY_DEAD,	/* for `reason` */
};
/* "attempt", "ack", "hold", "ladder", "dead". */
const char *policy_act_name(enum policy_act);

struct policy_decision {
	enum policy_act act;
	int64_t delay_ms;	     /* hold, ladder; else 0 */
	enum envelope_reason reason; /* dead; else NONE */
	/* After an attempt: the outcome that counts for the message, ... */
	enum outcome outcome;
	/* ... and the rule that was looked at for it; NULL: none matches. */
	const struct conf_rule *rule;
};

/* Whether the last that is known of a message is a crash. */
bool policy_crashed(const struct envelope *);
/* Before an attempt: POLICY_ATTEMPT or POLICY_DEAD. `now_ms`: wall clock. */
struct policy_decision policy_admit(const struct policy *,
    const struct envelope *, uint64_t body_bytes, int64_t now_ms);
/* What counts for a message: the outcome, or what a rule makes of it. */
enum outcome policy_outcome(const struct policy *, const struct verdict *);
/*
 * After an attempt that the envelope does not count yet: anything but
 * POLICY_ATTEMPT. `unit_random` is in [0, 1).
 */
struct policy_decision policy_judge(const struct policy *,
    const struct envelope *, const struct verdict *, int64_t now_ms,
    double unit_random);

#endif
