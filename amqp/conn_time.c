/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a connection does by the clock: heartbeats both ways, acks that wait
 * for company, and the limits of handshake, close and answers. Nothing here
 * reads a clock: what starts between two calls of the owner is stamped at the
 * next flush, which follows at once; the time of the last call may be long
 * ago.
 */
#include "amqp/conn.h"

#include "amqp/internal.h"

#define US_PER_S 1000000

/* Acks of a channel go out this far apart, unless they are many. */
#define ACK_EVERY_US 1000

/* A request unanswered for this long means that the peer is broken. */
#define REQUEST_TIMEOUT_US (60LL * US_PER_S)

void
rmq_conn_stamp(struct rmq_conn *conn)
{
	if (conn->phase_us == RMQ_UNSTAMPED)
		conn->phase_us = conn->now_us;
	rmq_request_stamp(conn);
}

/*
 * Each frame of acks is a command to a quorum queue's log, so that acks which
 * come one by one wait for company: never the first after a pause, never for
 * longer than a moment, never so many that the prefetch runs dry.
 */
void
rmq_conn_write_due_acks(struct rmq_conn *conn)
{
	struct rmq_channel *ch, *next;
	int64_t due_us;

	conn->acks_us = INT64_MAX;
	for (ch = TAILQ_FIRST(&conn->dirty); ch != NULL; ch = next) {
		next = TAILQ_NEXT(ch, entry);
		due_us = ch->acked_us + ACK_EVERY_US;
		if (ch->acks.due_count >= ch->ack_share ||
		    conn->now_us >= due_us)
			rmq_channel_write_acks(ch);
		else if (due_us < conn->acks_us)
			conn->acks_us = due_us;
	}
}

static int64_t
min_us(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Heartbeats run from the tune on. */
static bool
heart_beats(const struct rmq_conn *conn)
{
	return conn->heartbeat_s != 0 && conn->state >= RMQ_CONN_OPENING &&
	    conn->state != RMQ_CONN_CLOSED;
}

static int64_t
send_due_us(const struct rmq_conn *conn)
{
	return conn->sent_us + conn->heartbeat_s * (US_PER_S / 2LL);
}

static int64_t
silent_due_us(const struct rmq_conn *conn)
{
	return conn->seen_us + conn->heartbeat_s * (US_PER_S * 2LL);
}

/* Answers can be expected: the peer reads us, and we read the peer. */
static bool
answers_flow(const struct rmq_conn *conn)
{
	return conn->requests > 0 && conn->check_us != RMQ_UNSTAMPED &&
	    !conn->blocked && conn->reading;
}

int64_t
rmq_conn_deadline_us(const struct rmq_conn *conn)
{
	int64_t due = INT64_MAX;

	if (conn->state == RMQ_CONN_CLOSED)
		return due;
	if (conn->state != RMQ_CONN_OPEN && conn->phase_us != RMQ_UNSTAMPED)
		due = conn->phase_us + conn->timeout_us;
	else if (conn->state == RMQ_CONN_OPEN && answers_flow(conn))
		due = conn->check_us;
	due = min_us(due, conn->acks_us);
	if (heart_beats(conn)) {
		due = min_us(due, send_due_us(conn));
		if (conn->reading)
			due = min_us(due, silent_due_us(conn));
	}
	return due;
}

static void
end_silent(struct rmq_conn *conn, const char *what)
{
	struct rmq_close close;

	rmq_close_set(&close, RMQ_FAULT_SILENT, 0, 0, "%s", what);
	rmq_conn_end(conn, &close);
}

static void
tick_phase(struct rmq_conn *conn)
{
	struct rmq_close close;

	if (conn->phase_us == RMQ_UNSTAMPED ||
	    conn->now_us < conn->phase_us + conn->timeout_us)
		return;
	rmq_close_set(&close, RMQ_FAULT_SILENT, 0, 0,
	    "no answer in the %s phase within %lld ms",
	    rmq_conn_state_name(conn->state),
	    (long long)conn->timeout_us / 1000);
	rmq_conn_end(conn, &close);
}

static void
tick_requests(struct rmq_conn *conn)
{
	const struct rmq_request *request;
	struct rmq_close close;
	uint16_t channel;

	if (!answers_flow(conn) || conn->now_us < conn->check_us)
		return;
	request = rmq_request_overdue(conn, conn->now_us - REQUEST_TIMEOUT_US,
	    &channel);
	if (request == NULL)
		return;
	rmq_close_set(&close, RMQ_FAULT_SILENT, 0, 0,
	    "no %s on channel %u within %d s", rmq_codec_name(request->answer),
	    channel, (int)(REQUEST_TIMEOUT_US / US_PER_S));
	rmq_conn_end(conn, &close);
}

static void
tick_heart(struct rmq_conn *conn)
{
	if (conn->reading && conn->now_us >= silent_due_us(conn)) {
		end_silent(conn, "the broker missed two heartbeats");
		return;
	}
	if (conn->now_us < send_due_us(conn))
		return;
	conn->sent_us = conn->now_us;
	if (conn->out.len == 0)
		rmq_frame_end(&conn->out,
		    rmq_frame_begin(&conn->out, RMQ_FRAME_HEARTBEAT, 0));
	rmq_conn_wake(conn);
}

void
rmq_conn_tick(struct rmq_conn *conn, int64_t now_us)
{
	/*
	 * We send at half the interval, so a whole one without a call means
	 * that this process slept: the silence is not the peer's.
	 */
	if (heart_beats(conn) &&
	    now_us - conn->now_us > conn->heartbeat_s * (int64_t)US_PER_S)
		conn->seen_us = now_us;
	conn->now_us = now_us;
	conn->busy++;
	if (conn->state == RMQ_CONN_OPEN)
		tick_requests(conn);
	else if (conn->state != RMQ_CONN_CLOSED)
		tick_phase(conn);
	if (heart_beats(conn))
		tick_heart(conn);
	if (conn->now_us >= conn->acks_us)
		rmq_conn_wake(conn);
	conn->busy--;
}

void
rmq_conn_set_reading(struct rmq_conn *conn, bool on, int64_t now_us)
{
	conn->now_us = now_us;
	if (on && !conn->reading) {
		conn->seen_us = now_us;
		rmq_request_restart(conn);
	}
	conn->reading = on;
}
