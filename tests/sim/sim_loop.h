/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * lib/loop.h on virtual time: no clock, no descriptors, every random number
 * from one seed. Time moves only from one timer to the next, so a run is the
 * same each time and a day of waiting costs nothing.
 */
#ifndef DLO_TESTS_SIM_LOOP_H
#define DLO_TESTS_SIM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

/* The wall clock at virtual time 0: 2026-01-01T00:00:00Z. */
#define SIM_EPOCH_MS 1767225600000

struct loop *sim_loop_new(uint64_t seed);
/* Fires the next timer, then the turn's tasks; false: nothing is due. */
bool sim_loop_step(struct loop *);
/* Steps until `done` says so or `until_us` is past; true: done. */
bool sim_loop_run_until(struct loop *, int64_t until_us,
    bool (*done)(void *arg), void *arg);
/* A random number in [0, n). */
uint64_t sim_below(struct loop *, uint64_t n);
/* True with the given probability. */
bool sim_chance(struct loop *, double probability);

#endif
