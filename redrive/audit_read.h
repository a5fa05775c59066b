/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Reads `dlo.audit` for an operator, on any daemon, and judges its chain. A
 * stream says nothing of its end: a marker is published once the reading has
 * begun, and when it comes, all that was there before has been read.
 *
 * A message that does not say its offset comes from a queue that is no stream:
 * it is not acked, since that would delete it, and the reading ends.
 */
#ifndef DLO_REDRIVE_AUDIT_READ_H
#define DLO_REDRIVE_AUDIT_READ_H

#include <stdint.h>

#include "amqp/message.h"
#include "redrive/audit.h"

struct audit_read;
struct job_env;
struct rmq_conn;

enum audit_read_end {
	AUDIT_READ_WHOLE,
	AUDIT_READ_STALLED,   /* nothing more came, and the marker neither */
	AUDIT_READ_MISSING,   /* there is no such queue */
	AUDIT_READ_FORBIDDEN, /* its user may not read it */
	AUDIT_READ_NO_STREAM,
	AUDIT_READ_LOST, /* the channel has gone */
};

/* Called from the loop, never inside a call. */
struct audit_read_cbs {
	/* A message, but markers; its bytes are gone on return. */
	void (*entry)(void *arg, int64_t offset, enum audit_finding,
	    struct rmq_slice text);
	/* No more will come. */
	void (*ended)(void *arg, enum audit_read_end);
};

/*
 * From so long ago on, about (some more may come), or (0) from the first that
 * is kept. `env` and `cbs` must outlive it.
 */
struct audit_read *audit_read_new(const struct job_env *env,
    struct rmq_conn *conn, int64_t since_ms, const struct audit_read_cbs *cbs,
    void *arg);
/* Off: no more comes soon, until it is on again. */
void audit_read_pull(struct audit_read *, bool on);
/* No callback any more; also from one. NULL is fine. */
void audit_read_free(struct audit_read *);

#endif
