/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Memory of the messages in our hands, against consumer.max_inflight: over it
 * the consume connection is not read until enough is settled. Pure but for
 * its callback. Messages received in part count, but never keep the reading
 * off alone: only more reading completes them.
 */
#ifndef DLO_CONSUMER_BUDGET_H
#define DLO_CONSUMER_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t used_bytes;
	uint64_t max_bytes;
	bool full;
	/* Full or no longer: stop or resume reading. */
	void (*changed)(void *arg, bool full);
	/* Bytes of messages received in part. */
	uint64_t (*partial_bytes)(void *arg);
	void *arg;
};

/* A message comes in. */
void budget_take(struct budget *, uint64_t bytes);
/* It is gone. */
void budget_give(struct budget *, uint64_t bytes);
/* Another limit from now on. */
void budget_limit(struct budget *, uint64_t max_bytes);
/* The connection is another one: it is read in any case. */
void budget_reset(struct budget *);

#endif
