/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Channel 0: login, tuning, opening, blocking, closing.
 *
 *	we                        broker
 *	protocol header     ->
 *	                    <-    connection.start
 *	start-ok            ->
 *	                    <-    tune        (or close 403: wrong password)
 *	tune-ok, open       ->
 *	                    <-    open-ok     (or close 530: no such vhost)
 */
#include <stdlib.h>
#include <string.h>

#include "amqp/internal.h"
#include "amqp/props.h"
#include "lib/xalloc.h"

#define FRAME_MAX_MIN 4096 /* any peer must allow that much */

void
rmq_handshake_begin(struct rmq_conn *conn)
{
	buf_add(&conn->out, "AMQP\0\0\11\1", 8);
}

void
rmq_handshake_forget(struct rmq_conn *conn)
{
	if (conn->password != NULL)
		explicit_bzero(conn->password, strlen(conn->password));
	free(conn->vhost);
	free(conn->user);
	free(conn->password);
	free(conn->name);
	conn->vhost = conn->user = conn->password = conn->name = NULL;
}

/* What we can do; without it the broker would not send it. */
static void
add_capabilities(struct buf *table)
{
	static const char *const names[] = { "publisher_confirms",
		"exchange_exchange_bindings", "basic.nack",
		"consumer_cancel_notify", "connection.blocked",
		"authentication_failure_close" };
	struct buf nested = { 0 };
	size_t i;

	for (i = 0; i < array_len(names); i++)
		rmq_table_add_bool(&nested, names[i], true);
	rmq_table_add_table(table, "capabilities",
	    (struct rmq_slice){ buf_peek(&nested), nested.len });
	buf_clear(&nested);
}

static void
add_text(struct buf *table, const char *name, const char *text)
{
	rmq_table_add_text(table, name, text, strlen(text));
}

static const char *
mechanism_name(const struct rmq_conn *conn)
{
	return conn->mechanism == RMQ_MECHANISM_PLAIN ? "PLAIN" : "EXTERNAL";
}

/* What the mechanism says of us; nothing where the certificate does. */
static void
add_response(const struct rmq_conn *conn, struct buf *response)
{
	if (conn->mechanism != RMQ_MECHANISM_PLAIN)
		return;
	buf_add_u8(response, 0);
	buf_add_str(response, conn->user);
	buf_add_u8(response, 0);
	buf_add_str(response, conn->password);
}

static void
send_start_ok(struct rmq_conn *conn)
{
	struct buf properties = { 0 }, response = { 0 };
	amqp_connection_start_ok_t method = {
		.mechanism = rmq_codec_text(mechanism_name(conn)),
		.locale = rmq_codec_text("en_US"),
	};

	add_text(&properties, "product", "Dead Letter Office");
	add_text(&properties, "version", PACKAGE_VERSION);
	add_text(&properties, "platform", "C");
	add_text(&properties, "connection_name",
	    conn->name == NULL ? "dlo" : conn->name);
	add_capabilities(&properties);
	method.client_properties = rmq_codec_table(conn,
	    (struct rmq_slice){ buf_peek(&properties), properties.len });
	add_response(conn, &response);
	method.response.bytes = buf_peek(&response);
	method.response.len = response.len;
	rmq_codec_write(conn, 0, AMQP_CONNECTION_START_OK_METHOD, &method,
	    properties.len + response.len);
	if (response.len > 0)
		explicit_bzero(buf_peek(&response), response.len);
	buf_clear(&response);
	buf_clear(&properties);
}

/* Whether `word` is one of the space-separated words of `list`. */
static bool
has_word(amqp_bytes_t list, const char *word)
{
	const char *at = list.bytes, *end = at + list.len, *space;
	size_t len = strlen(word);

	while (at < end) {
		space = memchr(at, ' ', (size_t)(end - at));
		if (space == NULL)
			space = end;
		if ((size_t)(space - at) == len && memcmp(at, word, len) == 0)
			return true;
		at = space + 1;
	}
	return false;
}

/* The server's properties in connection.start; false: its lengths lie. */
static bool
find_properties(struct rmq_slice fields, struct rmq_slice *table)
{
	if (fields.len < 6)
		return false;
	table->len = (size_t)fields.ptr[2] << 24 | (size_t)fields.ptr[3] << 16 |
	    (size_t)fields.ptr[4] << 8 | fields.ptr[5];
	table->ptr = fields.ptr + 6;
	return table->len <= fields.len - 6;
}

static void
note_server_version(struct rmq_conn *conn, struct rmq_slice properties)
{
	struct rmq_header header;
	struct rmq_slice text;

	if (rmq_table_find(properties, "version", &header) &&
	    rmq_header_text(&header, &text))
		rmq_codec_copy(conn->server_version,
		    sizeof(conn->server_version), rmq_codec_bytes(text));
}

static void
refuse_mechanisms(struct rmq_conn *conn, amqp_bytes_t mechanisms)
{
	struct rmq_close close;
	char offered[200];

	rmq_codec_copy(offered, sizeof(offered), mechanisms);
	rmq_close_set(&close, RMQ_FAULT_AUTH, 0, 0,
	    "the broker does not offer %s, only: %s", mechanism_name(conn),
	    offered);
	rmq_conn_end(conn, &close);
}

static void
on_start(struct rmq_conn *conn, struct rmq_slice fields)
{
	amqp_connection_start_t *start = NULL;
	struct rmq_slice properties;

	/* The one method with a table: librabbitmq recurses into it. */
	if (find_properties(fields, &properties) &&
	    rmq_table_check(properties) == RMQ_PROPS_OK)
		start =
		    rmq_codec_read(conn, AMQP_CONNECTION_START_METHOD, fields);
	if (start == NULL) {
		rmq_conn_abort(conn, RMQ_CODE_SYNTAX_ERROR,
		    AMQP_CONNECTION_START_METHOD,
		    "connection.start does not decode");
		return;
	}
	if (start->version_major != 0 || start->version_minor != 9) {
		rmq_conn_abort(conn, RMQ_CODE_COMMAND_INVALID,
		    AMQP_CONNECTION_START_METHOD,
		    "the peer speaks AMQP %u-%u, not 0-9", start->version_major,
		    start->version_minor);
		return;
	}
	if (!has_word(start->mechanisms, mechanism_name(conn))) {
		refuse_mechanisms(conn, start->mechanisms);
		return;
	}
	note_server_version(conn, properties);
	rmq_conn_enter(conn, RMQ_CONN_LOGIN);
	send_start_ok(conn);
}

/* 0 is "no limit" on either side. */
static uint32_t
lower_limit(uint32_t ours, uint32_t theirs)
{
	return theirs == 0 || (ours != 0 && ours < theirs) ? ours : theirs;
}

/* 0 is "no wish": both must have none for there to be none. */
static uint16_t
agree_heartbeat(uint16_t ours, uint16_t theirs)
{
	if (ours == 0 || theirs == 0)
		return ours > theirs ? ours : theirs;
	return ours < theirs ? ours : theirs;
}

static void
on_tune(struct rmq_conn *conn, const amqp_connection_tune_t *tune)
{
	amqp_connection_tune_ok_t tune_ok;
	amqp_connection_open_t open = { .virtual_host =
					    rmq_codec_text(conn->vhost) };

	if (tune->frame_max != 0 && tune->frame_max < FRAME_MAX_MIN) {
		rmq_conn_abort(conn, RMQ_CODE_SYNTAX_ERROR,
		    AMQP_CONNECTION_TUNE_METHOD, "frame_max %u is too small",
		    tune->frame_max);
		return;
	}
	conn->frame_max = lower_limit(conn->frame_max, tune->frame_max);
	conn->channel_max =
	    (uint16_t)lower_limit(conn->channel_max, tune->channel_max);
	conn->heartbeat_s = agree_heartbeat(conn->heartbeat_s, tune->heartbeat);
	tune_ok.frame_max = conn->frame_max;
	tune_ok.channel_max = conn->channel_max;
	tune_ok.heartbeat = conn->heartbeat_s;
	rmq_codec_write(conn, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &tune_ok, 0);
	rmq_conn_enter(conn, RMQ_CONN_OPENING);
	rmq_codec_write(conn, 0, AMQP_CONNECTION_OPEN_METHOD, &open, 0);
	rmq_handshake_forget(conn);
}

static void
on_blocked(struct rmq_conn *conn, bool blocked, amqp_bytes_t reason)
{
	char text[256];

	rmq_codec_copy(text, sizeof(text), reason);
	if (conn->blocked && !blocked)
		rmq_request_restart(conn);
	conn->blocked = blocked;
	if (!conn->muted)
		conn->cbs->blocked(conn->arg, blocked, text);
}

/* What a close of the connection means depends on how far we are. */
static enum rmq_fault
close_fault(const struct rmq_conn *conn, uint16_t code, const char *text)
{
	if (conn->state == RMQ_CONN_LOGIN && code == 403)
		return RMQ_FAULT_AUTH;
	if (conn->state != RMQ_CONN_OPENING)
		return RMQ_FAULT_SERVER;
	/* 530 is also a full connection limit and a refused tuning. */
	if (strstr(text, "limit") != NULL || strstr(text, "negotiate") != NULL)
		return RMQ_FAULT_SERVER;
	return code == 402 || code == 403 || code == 404 || code == 530
	    ? RMQ_FAULT_VHOST
	    : RMQ_FAULT_SERVER;
}

static void
on_close(struct rmq_conn *conn, const amqp_connection_close_t *method)
{
	amqp_connection_close_ok_t close_ok = { 0 };
	struct rmq_close close = { .code = method->reply_code,
		.class_id = method->class_id,
		.method_id = method->method_id };

	rmq_codec_copy(close.text, sizeof(close.text), method->reply_text);
	close.fault = close_fault(conn, close.code, close.text);
	rmq_codec_write(conn, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &close_ok, 0);
	rmq_conn_end(conn, &close);
}

static void
on_open_ok(struct rmq_conn *conn)
{
	rmq_conn_enter(conn, RMQ_CONN_OPEN);
	if (!conn->muted)
		conn->cbs->opened(conn->arg);
}

/* The only state in which this method may come; CLOSED: none. */
static enum rmq_conn_state
state_for(amqp_method_number_t number)
{
	switch (number) {
	case AMQP_CONNECTION_START_METHOD:
		return RMQ_CONN_STARTING;
	case AMQP_CONNECTION_TUNE_METHOD:
		return RMQ_CONN_LOGIN;
	case AMQP_CONNECTION_OPEN_OK_METHOD:
		return RMQ_CONN_OPENING;
	case AMQP_CONNECTION_BLOCKED_METHOD:
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		return RMQ_CONN_OPEN;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		return RMQ_CONN_CLOSING;
	default:
		return RMQ_CONN_CLOSED;
	}
}

static void
run_method(struct rmq_conn *conn, amqp_method_number_t number, void *method)
{
	struct rmq_close none = { 0 };

	switch (number) {
	case AMQP_CONNECTION_TUNE_METHOD:
		on_tune(conn, method);
		break;
	case AMQP_CONNECTION_OPEN_OK_METHOD:
		on_open_ok(conn);
		break;
	case AMQP_CONNECTION_BLOCKED_METHOD:
		on_blocked(conn, true,
		    ((amqp_connection_blocked_t *)method)->reason);
		break;
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		on_blocked(conn, false, amqp_empty_bytes);
		break;
	case AMQP_CONNECTION_CLOSE_METHOD:
		on_close(conn, method);
		break;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		rmq_conn_end(conn, &none);
		break;
	}
}

void
rmq_handshake_method(struct rmq_conn *conn, amqp_method_number_t number,
    struct rmq_slice fields)
{
	bool close = number == AMQP_CONNECTION_CLOSE_METHOD;
	void *method;

	if (!close && state_for(number) != conn->state) {
		/* Sent before the broker read our close. */
		if (conn->state == RMQ_CONN_CLOSING)
			return;
		rmq_conn_abort(conn, RMQ_CODE_COMMAND_INVALID, number,
		    "unexpected method %u.%u on channel 0", number >> 16,
		    number & 0xffff);
		return;
	}
	if (number == AMQP_CONNECTION_START_METHOD) {
		on_start(conn, fields);
		return;
	}
	method = rmq_codec_read(conn, number, fields);
	if (method == NULL)
		rmq_conn_abort(conn, RMQ_CODE_SYNTAX_ERROR, number,
		    "method %u.%u does not decode", number >> 16,
		    number & 0xffff);
	else
		run_method(conn, number, method);
}

void
rmq_handshake_send_close(struct rmq_conn *conn, uint16_t code, uint32_t method,
    const char *text)
{
	amqp_connection_close_t close = { .reply_code = code,
		.reply_text = rmq_codec_text(text),
		.class_id = (uint16_t)(method >> 16),
		.method_id = (uint16_t)method };

	rmq_codec_write(conn, 0, AMQP_CONNECTION_CLOSE_METHOD, &close, 0);
}
