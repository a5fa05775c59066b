/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * From `host, port` to a connected TCP socket: resolves the name, then tries
 * its addresses in turn, each with its share of the time that is left.
 */
#ifndef DLO_LIB_DIAL_H
#define DLO_LIB_DIAL_H

#include <stdint.h>

#include "lib/loop.h"

struct dial;

/*
 * `fd`: connected, not blocking, TCP_NODELAY, now the callee's; or -1 and the
 * reason, which names the host and every address that was tried.
 */
typedef void dial_cb(void *arg, int fd, const char *error);

/* Calls `cb` once, from the loop; never NULL. `host` is copied. */
struct dial *dial_open(struct loop *, const char *host, uint16_t port,
    int64_t timeout_ms, dial_cb *, void *arg);
/* To be called before or after the answer; NULL is fine. */
void dial_close(struct dial *);

#endif
