/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Writes the entries of `dlo.audit`, one after another, each confirmed before
 * the next. It knows where the chain is by reading the end of the stream when
 * this daemon becomes the active one: from the last chunk on, up to a marker
 * that it has published itself.
 */
#ifndef DLO_REDRIVE_AUDIT_LOG_H
#define DLO_REDRIVE_AUDIT_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/loop.h"

struct audit_log;
struct rmq_conn;

/* Called from the loop. */
struct audit_log_cbs {
	/* Publish this and tell audit_log_confirmed with the token. */
	void (
	    *publish)(void *arg, uint64_t token, const char *text, size_t len);
	/* An entry is in, with what audit_log_add got. */
	void (*entered)(void *arg, const char *job, unsigned bit);
};

/* `stream` and `cbs` must outlive it. */
struct audit_log *audit_log_new(struct loop *, const char *stream,
    const struct audit_log_cbs *, void *arg);
/* NULL is fine. */
void audit_log_free(struct audit_log *);

/* This daemon is active now: reads, then writes. */
void audit_log_open(struct audit_log *, struct rmq_conn *);
/*
 * It no longer is. What waits for a bit is dropped, since the next active one
 * enters it; the rest waits.
 */
void audit_log_close(struct audit_log *);
/* Enters this; takes the entry (NULL is nothing). */
void audit_log_add(struct audit_log *, json_t *entry, const char *job,
    unsigned bit);
/* True if the token was one of its own. */
bool audit_log_confirmed(struct audit_log *, uint64_t token, bool ok);
/* Entries that are not in yet. */
size_t audit_log_waiting(const struct audit_log *);

#endif
