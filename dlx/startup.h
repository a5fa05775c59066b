/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Which faults end a daemon that is starting, with what exit code, and what
 * an operator can do about each. Pure. Everything else is tried again; and
 * once it runs, so is all of this.
 */
#ifndef DLO_DLX_STARTUP_H
#define DLO_DLX_STARTUP_H

#include "amqp/conn.h"
#include "dlx/rights.h"
#include "dlx/topology_run.h"
#include "lib/cli.h"

struct startup_fault {
	int exit_code;	  /* CLI_OK: none, try again */
	const char *hint; /* for people */
};

/* A connection that was not let in. */
struct startup_fault startup_connection(const struct rmq_close *);
/* A connection that may have `allowed` channels, where `wanted` are needed. */
struct startup_fault startup_channels(size_t allowed, size_t wanted);
/* A work queue that we may not consume from. */
struct startup_fault startup_queue(const struct rmq_close *);
/* What is wrong with the topology. */
struct startup_fault startup_topology(const struct topology_result *);
/* An exchange that we may not publish to. */
struct startup_fault startup_rights(const struct rights_result *);

#endif
