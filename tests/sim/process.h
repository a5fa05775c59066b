/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A daemon in the simulator: started, drained, or killed as by kill -9; when
 * it ends with an error it is started again, as by systemd. It has a network
 * of its own, so that its connections can be cut alone.
 */
#ifndef DLO_TESTS_PROCESS_H
#define DLO_TESTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/conf.h"
#include "lib/loop.h"
#include "tests/sim/fakes.h"
#include "tests/sim/model.h"
#include "tests/sim/sim_net.h"

enum process_kind { PROCESS_CONSUMER, PROCESS_REDRIVE };

struct process;

/* Everything that it points to must outlive the process. */
struct process_env {
	struct loop *loop;
	struct model *model;
	struct fakes *fakes;
	const struct conf *conf;
};

/* Not running yet. */
struct process *process_new(enum process_kind, const struct process_env *);
/* It must have been killed, and its connections be gone. */
void process_free(struct process *);
/* Starts it, after `delay_ms`. */
void process_start(struct process *, int64_t delay_ms);
/* True if it ran: now it does not, and its bytes ended anywhere. */
bool process_kill(struct process *);
/* Asks it to end well; a start that is pending is called off. */
void process_drain(struct process *);
/*
 * A consumer goes over to another configuration; false: it cannot now, or has
 * that already. It starts again with that of its env.
 */
bool process_reload(struct process *, const struct conf *);
/* True when it does not run, or has ended by itself. */
bool process_is_over(const struct process *);
/* How it ended by itself; 0 if it did not. */
int process_exit_code(const struct process *);
/* How often it ended with an error, and was started again. */
unsigned process_failures(const struct process *);
/* How often a message killed it, and it was started again. */
unsigned process_deaths(const struct process *);
struct sim_net *process_net(struct process *);

#endif
