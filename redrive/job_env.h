/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What the jobs of one process share; the core owns it and all that it points
 * to, and outlives every job.
 */
#ifndef DLO_REDRIVE_JOB_ENV_H
#define DLO_REDRIVE_JOB_ENV_H

#include <stdint.h>

struct conf_texts;
struct loop;
struct rmq_publisher;
struct stash;
struct topology_names;

struct job_env {
	struct loop *loop;
	struct rmq_publisher *publisher;
	const struct conf_texts *trusted; /* users, as envelope_read wants */
	const struct topology_names *names;
	struct stash *stash;
	const char *user;	/* of the connection that publishes */
	uint32_t frame_max;	/* as negotiated there; 0: not yet */
	uint16_t scan_prefetch; /* of each channel of a scan */
	int64_t hold_max_ms;	/* a window is held no longer */
	int64_t settle_ms;	/* a stop waits no longer for confirms */
};

#endif
