/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A listening socket, from the text in the configuration. */
#ifndef DLO_LIB_LISTEN_H
#define DLO_LIB_LISTEN_H

#include <stdint.h>

#include "lib/compiler.h"

struct listen {
	int fd;	       /* does not block; -1: listens nowhere */
	uint16_t port; /* TCP: the one that was bound */
	char *path;    /* of a unix socket */
	int pin;       /* its file, so that no other is taken for it */
};

/*
 * Listens on `HOST:PORT`, `[V6]:PORT` (port 0: any), `unix:/PATH` or, for
 * `none`, nowhere. A name is resolved on the spot. A unix socket gets `mode`;
 * one that nobody answers on is replaced, one that answers is taken. -1: the
 * reason is in `*error`, which the caller frees.
 */
int listen_open(struct listen *, const char *address, unsigned mode,
    char **error) must_use;
/* Closes it; a unix socket's file goes if it is still the same one. */
void listen_close(struct listen *);

#endif
