/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A plugin in this process: loads it, shakes hands, hands it messages, and
 * takes its answers from whatever thread they come.
 *
 * A call lasts until the plugin has answered it and handle has returned; it
 * is known by its number, which no other call in this process may ever have,
 * so that an answer given twice finds nothing, and one by way of another
 * host (of the same shared object) finds its call. All functions here are for
 * one thread, the plugin's; the callbacks are not.
 */
#ifndef DLO_DOWNSTREAM_PLUGIN_HOST_H
#define DLO_DOWNSTREAM_PLUGIN_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "downstream/attempt.h"
#include "include/dlo/handler.h"
#include "lib/buf.h"
#include "lib/compiler.h"
#include "lib/log.h"

struct plugin_call;
struct plugin_host;

/* From any thread, one at a time. The texts are gone on return. */
struct plugin_host_cbs {
	/* The first answer to a call that was not cancelled. */
	void (*answered)(void *arg, void *owner, uint64_t call,
	    const struct dlo_verdict *);
};

/*
 * For the downstream of that name. Several threads may log at once, and after
 * plugin_host_close too: no `arg` that is gone then.
 */
typedef void plugin_host_log(void *arg, const char *downstream, enum log_level,
    const char *text, size_t len);

/*
 * Loads the shared object, which may run code of it (constructors), and
 * checks that it is a plugin. NULL: `why` has what is wrong.
 */
struct plugin_host *plugin_host_open(const char *path,
    struct buf *why) must_use;
/* Calls init; NULL, or what is wrong: then it may be tried again. */
const char *plugin_host_init(struct plugin_host *, const struct dlo_setup *,
    const struct plugin_host_cbs *, plugin_host_log *, void *arg) must_use;
/*
 * Calls shutdown if init went well; no more answers are told after it. The
 * shared object stays: a thread that is about to end may be in it still. So
 * does the table, and without a shutdown each message until it is answered.
 */
void plugin_host_close(struct plugin_host *);

/* Room for a frame of so many bytes, to be filled. */
struct plugin_call *plugin_call_new(size_t frame_bytes) must_use;
uint8_t *plugin_call_frame(struct plugin_call *);
/*
 * Hands over the message in the frame; the call is the host's from here on.
 * It may be answered before this returns. -1: that is no frame.
 */
int plugin_host_handle(struct plugin_host *, struct plugin_call *,
    void *owner) must_use;
/* Nobody waits for that answer any more; fine if it is there already. */
void plugin_host_cancel(struct plugin_host *, uint64_t call);

#endif
