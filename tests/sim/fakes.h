/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A downstream for the simulator: a handler and a probe on virtual time that
 * share one mood. Which messages are poison depends on the message alone.
 */
#ifndef DLO_TESTS_FAKES_H
#define DLO_TESTS_FAKES_H

#include <stdbool.h>
#include <stdint.h>

#include "downstream/handler.h"
#include "downstream/probe.h"
#include "lib/loop.h"

struct fakes;

struct fakes_hooks {
	/* An attempt has come to its end; cancelled ones are not told. */
	void (*attempt)(void *arg, uint32_t lineage, enum outcome);
	/* One begins in a process that has another under way; or NULL. */
	void (*overlapped)(void *arg, uint32_t lineage);
	/* Whether to try that message kills the process; NULL: never. */
	bool (*kills)(void *arg, uint32_t lineage);
	void *arg;
};

struct fakes *fakes_new(struct loop *, const struct fakes_hooks *);
void fakes_free(struct fakes *);
/* Share of attempts that fail while the downstream is up. */
void fakes_set_failing(struct fakes *, double share);
/* Share of messages that are rejected at each attempt. */
void fakes_set_rejecting(struct fakes *, double share);
/* Down: every attempt and every probe fails. */
void fakes_set_down(struct fakes *, bool down);

/*
 * `die`: as of kill -9, from the loop; that frees the handler. `arg`, its
 * argument, is the process, for `overlapped` too.
 */
struct handler *fakes_handler_new(struct fakes *, void (*die)(void *arg),
    void *arg);
struct probe_driver *fakes_driver_new(struct fakes *);

#endif
