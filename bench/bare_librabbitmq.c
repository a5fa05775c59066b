/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The yardstick: a blocking librabbitmq loop that consumes and acks many
 * messages at once, and does nothing else.
 *
 *	bare_librabbitmq PORT QUEUE COUNT PREFETCH
 */
#include "lib/build.h"

#ifdef HAVE_RABBITMQ_C_AMQP_H
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include <stdio.h>
#include <stdlib.h>

#include "bench/meter.h"

static void
check_reply(amqp_rpc_reply_t reply, const char *what)
{
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return;
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static amqp_connection_state_t
open_connection(int port, const char *queue, uint16_t prefetch)
{
	amqp_connection_state_t conn = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(conn);

	if (socket == NULL ||
	    amqp_socket_open(socket, "127.0.0.1", port) != AMQP_STATUS_OK) {
		fprintf(stderr, "cannot connect to port %d\n", port);
		exit(1);
	}
	check_reply(amqp_login(conn, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN,
			"guest", "guest"),
	    "login");
	amqp_channel_open(conn, 1);
	check_reply(amqp_get_rpc_reply(conn), "channel.open");
	amqp_basic_qos(conn, 1, 0, prefetch, 0);
	check_reply(amqp_get_rpc_reply(conn), "basic.qos");
	amqp_basic_consume(conn, 1, amqp_cstring_bytes(queue), amqp_empty_bytes,
	    0, 0, 0, amqp_empty_table);
	check_reply(amqp_get_rpc_reply(conn), "basic.consume");
	return conn;
}

int
main(int argc, char **argv)
{
	amqp_connection_state_t conn;
	amqp_envelope_t envelope;
	unsigned long count, prefetch, got, every;
	struct meter meter;

	if (argc != 5)
		return 64;
	count = strtoul(argv[3], NULL, 10);
	prefetch = strtoul(argv[4], NULL, 10);
	/* Often enough that the window never runs dry. */
	every = prefetch >= 8 ? prefetch / 8 : 1;
	conn = open_connection((int)strtol(argv[1], NULL, 10), argv[2],
	    (uint16_t)prefetch);
	meter_start(&meter);
	for (got = 1; got <= count; got++) {
		amqp_maybe_release_buffers(conn);
		check_reply(amqp_consume_message(conn, &envelope, NULL, 0),
		    "consume");
		if ((got % every == 0 || got == count) &&
		    amqp_basic_ack(conn, 1, envelope.delivery_tag, 1) != 0)
			return 1;
		amqp_destroy_envelope(&envelope);
	}
	meter_stop(&meter, count);
	check_reply(amqp_connection_close(conn, AMQP_REPLY_SUCCESS),
	    "connection.close");
	amqp_destroy_connection(conn);
	return 0;
}
