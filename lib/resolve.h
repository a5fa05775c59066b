/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Host names to addresses, as the system's own resolver sees them
 * (nsswitch, /etc/hosts, DNS). getaddrinfo(3) blocks, so each name is asked
 * for in a thread of its own, which holds nothing of ours: a lookup that hangs
 * is simply left to end by itself. Numeric addresses need no thread.
 */
#ifndef DLO_LIB_RESOLVE_H
#define DLO_LIB_RESOLVE_H

#include <netdb.h>

#include "lib/loop.h"

struct resolve;

/*
 * `list`: addresses for TCP with port 0, at least one, valid until
 * resolve_close; or NULL and the reason.
 */
typedef void resolve_cb(void *arg, const struct addrinfo *list,
    const char *error);

/* Calls `cb` once, from the loop; never NULL. */
struct resolve *resolve_open(struct loop *, const char *host, resolve_cb *,
    void *arg);
/* To be called before or after the answer; NULL is fine. */
void resolve_close(struct resolve *);

#endif
