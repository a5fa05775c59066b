/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * lib/stream.h in memory: bytes take random time, arrive in pieces cut
 * anywhere, and a connection can be cut in the middle of any of them. One
 * listener: the model broker.
 */
#ifndef DLO_TESTS_SIM_NET_H
#define DLO_TESTS_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/loop.h"
#include "lib/stream.h"

struct sim_net;
struct sim_conn; /* the server's end of a connection */

struct sim_server {
	/* A client connected; the result is `conn_arg` from now on. */
	void *(*accept)(void *arg, struct sim_conn *);
	void (*data)(void *conn_arg, const uint8_t *bytes, size_t len);
	/* It is over; the sim_conn is void. */
	void (*gone)(void *conn_arg);
};

struct sim_net *sim_net_new(struct loop *, const struct sim_server *,
    void *arg);
struct stream_net *sim_net_streams(struct sim_net *);
/* Frees it once every stream is closed. */
void sim_net_free(struct sim_net *);
/* Off: nobody listens. */
void sim_net_listen(struct sim_net *, bool on);
/* Cuts each connection with this probability, at any byte. */
void sim_net_cut(struct sim_net *, double probability);

/*
 * Hangs each connection with this probability: no byte goes through any more,
 * and neither end is told.
 */
void sim_net_hang(struct sim_net *, double probability);

void sim_conn_write(struct sim_conn *, const void *bytes, size_t len);
/* What was written still arrives; then the client's stream is down. */
void sim_conn_close(struct sim_conn *);

#endif
