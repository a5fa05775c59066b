/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The configurations of a world, and reloads of its consumers from one to
 * another at random times, each for itself.
 */
#ifndef DLO_TESTS_RELOADS_H
#define DLO_TESTS_RELOADS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"
#include "lib/loop.h"
#include "tests/sim/process.h"

/* What is the same in all configurations of a world. */
struct reloads_kind {
	bool calm;    /* the breaker never opens */
	bool ordered; /* strictly */
	bool outage;  /* attempts never run out; not to be reloaded */
	bool more;    /* with dedup and rules */
};

/* The one that everything starts with; kept for ever. */
const struct conf *reloads_base(const struct reloads_kind *);

struct reloads;

/* Nothing happens before reloads_start. */
struct reloads *reloads_new(struct loop *, struct process *const *consumers,
    size_t count, const struct reloads_kind *);
void reloads_free(struct reloads *);
void reloads_start(struct reloads *);
/* From now on only back to the base. */
void reloads_end(struct reloads *);
/* How many were begun. */
unsigned reloads_count(const struct reloads *);

#endif
