/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What became of each message that a job has moved, by its dlo-id: 16 bytes
 * an id. Only the first answer counts, but a dead letter is bad whatever was
 * heard before. Pure.
 */
#ifndef DLO_REDRIVE_LEDGER_H
#define DLO_REDRIVE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/message.h"

#define LEDGER_NO_STEP UINT32_MAX

struct ledger;

/* `seed`: so that nobody can write ids that meet in one place. */
struct ledger *ledger_new(uint64_t seed);
/* NULL is fine. */
void ledger_free(struct ledger *);

/*
 * A copy with this id goes out, in that step of the ramp. True: its verdict is
 * awaited from now on (it was not before).
 */
bool ledger_sent(struct ledger *, struct rmq_slice id, uint32_t step);
/*
 * It did not arrive after all; what was answered stays answered. True: no
 * verdict is awaited any more.
 */
bool ledger_unsent(struct ledger *, struct rmq_slice id);
/*
 * The consumer's verdict. False: unknown, or there was one before. True:
 * counted, and *step says in which step it was sent.
 */
bool ledger_judge(struct ledger *, struct rmq_slice id, bool good,
    uint32_t *step);
/*
 * It is dead again, sent by us as far as we know or not. True: it did not
 * count as bad before, and *step says in which step it was sent if its verdict
 * was awaited (else LEDGER_NO_STEP).
 */
bool ledger_dead(struct ledger *, struct rmq_slice id, uint32_t *step);

/* Ids without a verdict, with a good one, with a bad one. */
uint64_t ledger_waiting(const struct ledger *);
uint64_t ledger_good(const struct ledger *);
uint64_t ledger_bad(const struct ledger *);

#endif
