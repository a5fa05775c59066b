/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A stream dials (dial.c) and is up at once or after the TLS handshake.
 * Output is collected and goes out once a turn. TLS is a bufferevent's work.
 * Plain TCP is read and written here: libevent 2.1 reads a socket 4 KiB at a
 * time, which costs a system call for every few messages. TLS bufferevents
 * defer their callbacks, or they may report the end before the last bytes.
 */
#include "lib/stream_libevent.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/dial.h"
#include "lib/log.h"
#include "lib/loop_libevent.h"
#include "lib/stream_tls.h"
#include "lib/text.h"
#include "lib/xalloc.h"

#define CHUNK_BYTES (128 * 1024) /* read at once at most */
#define LINGER_MS   1000

/*
 * DIALING → HANDSHAKE (TLS), UP, DOWN, CLOSED; HANDSHAKE → UP, DOWN, CLOSED;
 * UP → DOWN, LINGERING, CLOSED; DOWN → CLOSED; LINGERING → CLOSED. From
 * LINGERING on nothing is called.
 */
enum stream_state {
	STREAM_DIALING,
	STREAM_HANDSHAKE,
	STREAM_UP,
	STREAM_DOWN,
	STREAM_LINGERING,
	STREAM_CLOSED,
};

static const struct {
	const char *name;
	unsigned next;
} states[] = {
	[STREAM_DIALING] = { "dialing",
	    1 << STREAM_HANDSHAKE | 1 << STREAM_UP | 1 << STREAM_DOWN |
		1 << STREAM_CLOSED },
	[STREAM_HANDSHAKE] = { "handshake",
	    1 << STREAM_UP | 1 << STREAM_DOWN | 1 << STREAM_CLOSED },
	[STREAM_UP] = { "up",
	    1 << STREAM_DOWN | 1 << STREAM_LINGERING | 1 << STREAM_CLOSED },
	[STREAM_DOWN] = { "down", 1 << STREAM_CLOSED },
	[STREAM_LINGERING] = { "lingering", 1 << STREAM_CLOSED },
	[STREAM_CLOSED] = { "closed", 0 },
};

struct stream_libevent {
	struct stream stream;
	LIST_ENTRY(stream_libevent) entry;
	struct loop *loop;
	enum stream_state state;
	const struct stream_cbs *cbs;
	void *arg;
	char *peer; /* "HOST port PORT" */
	int64_t timeout_ms, deadline_us;
	struct loop_timer *timer; /* handshake; linger */
	struct dial *dial;
	SSL *ssl; /* NULL: plain; the bufferevent's once there is one */
	struct bufferevent *bev; /* TLS */
	int fd;			 /* plain, or -1 */
	struct loop_fd *watch;	 /* plain */
	struct evbuffer *out;	 /* written and not yet handed over */
	char *refused;		 /* why it was not even tried */
	struct loop_task flush, resume, reap;
	bool read_on;
	bool mute; /* plain: the peer hears no more, but may have spoken */
};

struct net {
	struct stream_net net;
	struct loop *loop;
	uint8_t *chunk; /* what plain streams read into */
	LIST_HEAD(, stream_libevent) streams;
};

static struct stream_libevent *
self(struct stream *stream)
{
	return container_of(stream, struct stream_libevent, stream);
}

static void
stream_enter(struct stream_libevent *stream, enum stream_state next)
{
	log_debug("stream", LOG_STR("peer", stream->peer),
	    LOG_STR("from", states[stream->state].name),
	    LOG_STR("to", states[next].name));
	if (!(states[stream->state].next & 1U << next))
		abort();
	stream->state = next;
}

/* Whether there is a socket to read and write. */
static bool
is_open(const struct stream_libevent *stream)
{
	return stream->state == STREAM_UP || stream->state == STREAM_LINGERING;
}

/* Waits for what the state calls for; TLS writes by itself. */
static void
stream_want(struct stream_libevent *stream)
{
	bool reads = stream->state == STREAM_LINGERING ||
	    (stream->state == STREAM_UP && stream->read_on);
	bool writes = is_open(stream) && evbuffer_get_length(stream->out) > 0;

	if (stream->watch != NULL)
		loop_fd_want(stream->loop, stream->watch,
		    (reads ? LOOP_READ : 0U) | (writes ? LOOP_WRITE : 0U));
	else if (stream->bev != NULL && reads)
		bufferevent_enable(stream->bev, EV_READ);
	else if (stream->bev != NULL)
		bufferevent_disable(stream->bev, EV_READ);
}

/* From now on nothing is heard of the socket; it is closed when reaped. */
static void
stream_stop(struct stream_libevent *stream)
{
	loop_timer_stop(stream->loop, stream->timer);
	loop_undefer(stream->loop, &stream->flush);
	loop_undefer(stream->loop, &stream->resume);
	dial_close(stream->dial);
	stream->dial = NULL;
	stream_want(stream);
	if (stream->bev != NULL) {
		bufferevent_setcb(stream->bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(stream->bev, EV_WRITE);
	}
}

/* Says why, once; takes the text. */
static void
stream_down(struct stream_libevent *stream, char *why)
{
	stream_enter(stream, STREAM_DOWN);
	stream_stop(stream);
	stream->cbs->down(stream->arg, why);
	free(why);
}

static void
stream_closed(struct stream_libevent *stream)
{
	stream_enter(stream, STREAM_CLOSED);
	stream_stop(stream);
	loop_defer(stream->loop, &stream->reap);
}

static void
stream_up(struct stream_libevent *stream)
{
	stream_enter(stream, STREAM_UP);
	loop_timer_stop(stream->loop, stream->timer);
	stream_want(stream);
	loop_defer(stream->loop, &stream->flush);
	stream->cbs->up(stream->arg);
}

/* The peer or the network ended it; `error`: errno, 0 for an orderly end. */
static void
stream_ended(struct stream_libevent *stream, int error)
{
	if (stream->state == STREAM_LINGERING)
		stream_closed(stream);
	else if (error == 0)
		stream_down(stream,
		    xasprintf("%s closed the connection", stream->peer));
	else
		stream_down(stream,
		    xasprintf("%s: %s", stream->peer, strerror(error)));
}

/* The goodbye, as far as the socket takes it at once. */
static void
say_goodbye(struct stream_libevent *stream)
{
	if (stream->ssl == NULL) {
		shutdown(stream->fd, SHUT_WR);
		return;
	}
	SSL_shutdown(stream->ssl);
	ERR_clear_error();
	shutdown(bufferevent_getfd(stream->bev), SHUT_WR);
}

static void
plain_read(struct stream_libevent *stream)
{
	uint8_t *chunk =
	    container_of(stream->stream.net, struct net, net)->chunk;
	ssize_t n = recv(stream->fd, chunk, CHUNK_BYTES, 0);

	if (n == 0)
		stream_ended(stream, 0);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		stream_ended(stream, errno);
	else if (n > 0 && stream->state == STREAM_UP)
		stream->cbs->data(stream->arg, chunk, (size_t)n);
}

static void
plain_write(struct stream_libevent *stream)
{
	int error;

	if (!stream->mute && evbuffer_get_length(stream->out) > 0 &&
	    evbuffer_write(stream->out, stream->fd) == -1) {
		error = errno;
		/* Its last words may wait to be read: that ends it. */
		if ((error == EPIPE || error == ECONNRESET) &&
		    stream->read_on) {
			stream->mute = true;
		} else if (error != EAGAIN && error != EINTR) {
			stream_ended(stream, error);
			return;
		}
	}
	if (stream->mute)
		evbuffer_drain(stream->out, evbuffer_get_length(stream->out));
	stream_want(stream);
	if (stream->state == STREAM_LINGERING &&
	    evbuffer_get_length(stream->out) == 0)
		say_goodbye(stream);
}

static void
plain_ready(void *arg, unsigned ready)
{
	struct stream_libevent *stream = arg;

	if (ready & LOOP_READ)
		plain_read(stream);
	if ((ready & LOOP_WRITE) && is_open(stream))
		plain_write(stream);
}

/* Gives what has been read, as long as it is wanted. */
static void
tls_deliver(struct stream_libevent *stream)
{
	struct evbuffer *input = bufferevent_get_input(stream->bev);
	struct evbuffer_iovec vec;

	while (stream->state == STREAM_UP && stream->read_on &&
	    evbuffer_peek(input, -1, NULL, &vec, 1) > 0 && vec.iov_len > 0) {
		stream->cbs->data(stream->arg, vec.iov_base, vec.iov_len);
		evbuffer_drain(input, vec.iov_len);
	}
	if (stream->state == STREAM_LINGERING)
		evbuffer_drain(input, evbuffer_get_length(input));
}

static void
tls_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	tls_deliver(arg);
}

static void
tls_written(struct bufferevent *bev, void *arg)
{
	struct stream_libevent *stream = arg;

	if (stream->state == STREAM_LINGERING &&
	    evbuffer_get_length(bufferevent_get_output(bev)) == 0)
		say_goodbye(stream);
}

/* What OpenSSL complained of; the bufferevent mixes other codes in. */
static unsigned long
tls_code(struct bufferevent *bev)
{
	unsigned long code;

	do
		code = bufferevent_get_openssl_error(bev);
	while (code != 0 && ERR_GET_LIB(code) == 0);
	return code;
}

static char *
tls_error(const struct stream_libevent *stream, int error)
{
	unsigned long code = tls_code(stream->bev);
	char *tls_why, *why;

	if (code == 0 && error != 0 &&
	    SSL_get_verify_result(stream->ssl) == X509_V_OK)
		return xasprintf("%s: %s", stream->peer, strerror(error));
	tls_why = stream_tls_why(stream->ssl, code);
	why = xasprintf("TLS with %s: %s%s", stream->peer, tls_why,
	    ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER
		? " (is that a TLS port?)"
		: "");
	free(tls_why);
	return why;
}

static void
tls_event(struct bufferevent *bev, short what, void *arg)
{
	struct stream_libevent *stream = arg;
	int error = errno;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		stream_up(stream);
	else if (stream->state == STREAM_LINGERING)
		stream_closed(stream);
	else if (what & BEV_EVENT_ERROR)
		stream_down(stream, tls_error(stream, error));
	else if (stream->state == STREAM_HANDSHAKE)
		stream_down(stream,
		    xasprintf("%s closed the connection in the TLS handshake "
			      "(is that a TLS port?)",
			stream->peer));
	else
		stream_ended(stream, 0);
}

/* The handshake, or the linger, takes too long. */
static void
on_timer(void *arg)
{
	char duration[TEXT_DURATION_SPACE];
	struct stream_libevent *stream = arg;

	if (stream->state == STREAM_LINGERING) {
		stream_closed(stream);
		return;
	}
	text_duration(duration, stream->timeout_ms);
	stream_down(stream,
	    xasprintf("TLS with %s: no handshake within %s (is that a TLS "
		      "port?)",
		stream->peer, duration));
}

static void
tls_start(struct stream_libevent *stream, int fd)
{
	stream->bev =
	    bufferevent_openssl_socket_new(loop_libevent_base(stream->loop), fd,
		stream->ssl, BUFFEREVENT_SSL_CONNECTING,
		BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (stream->bev == NULL)
		abort(); /* only without memory */
	bufferevent_setcb(stream->bev, tls_read, tls_written, tls_event,
	    stream);
	stream_enter(stream, STREAM_HANDSHAKE);
	loop_timer_start_us(stream->loop, stream->timer,
	    stream->deadline_us - loop_now_us(stream->loop));
}

static void
on_dialed(void *arg, int fd, const char *error)
{
	struct stream_libevent *stream = arg;

	if (fd == -1) {
		stream_down(stream, xstrdup(error));
		return;
	}
	dial_close(stream->dial);
	stream->dial = NULL;
	if (stream->ssl != NULL) {
		tls_start(stream, fd);
		return;
	}
	stream->fd = fd;
	stream->watch = loop_fd_new(stream->loop, fd, plain_ready, stream);
	stream_up(stream);
}

static void
stream_hand_over(struct stream_libevent *stream)
{
	if (stream->ssl == NULL)
		plain_write(stream);
	else
		bufferevent_write_buffer(stream->bev, stream->out);
}

static void
task_flush(void *arg)
{
	struct stream_libevent *stream = arg;

	if (is_open(stream))
		stream_hand_over(stream);
}

/* What could not be done inside a call. */
static void
task_resume(void *arg)
{
	struct stream_libevent *stream = arg;
	char *why = stream->refused;

	stream->refused = NULL;
	if (why != NULL)
		stream_down(stream, why);
	else if (stream->bev != NULL)
		tls_deliver(stream);
}

static void
task_reap(void *arg)
{
	struct stream_libevent *stream = arg;

	loop_undefer(stream->loop, &stream->flush);
	loop_undefer(stream->loop, &stream->resume);
	loop_undefer(stream->loop, &stream->reap);
	loop_timer_free(stream->loop, stream->timer);
	dial_close(stream->dial);
	loop_fd_free(stream->loop, stream->watch);
	if (stream->fd != -1)
		close(stream->fd);
	if (stream->bev != NULL)
		bufferevent_free(stream->bev);
	else
		SSL_free(stream->ssl);
	evbuffer_free(stream->out);
	LIST_REMOVE(stream, entry);
	free(stream->refused);
	free(stream->peer);
	free(stream);
}

static struct stream *
net_connect(struct stream_net *stream_net, const struct stream_target *target,
    const struct stream_cbs *cbs, void *arg)
{
	struct stream_libevent *stream = xcalloc(1, sizeof(*stream));
	struct net *net = container_of(stream_net, struct net, net);

	stream->stream.net = stream_net;
	stream->loop = net->loop;
	stream->cbs = cbs;
	stream->arg = arg;
	stream->read_on = true;
	stream->fd = -1;
	stream->peer =
	    xasprintf("%s port %u", target->host, (unsigned)target->port);
	stream->out = evbuffer_new();
	stream->timeout_ms = target->connect_timeout_ms;
	stream->deadline_us =
	    loop_now_us(net->loop) + target->connect_timeout_ms * 1000;
	stream->timer = loop_timer_new(net->loop, on_timer, stream);
	loop_task_init(&stream->flush, task_flush, stream);
	loop_task_init(&stream->resume, task_resume, stream);
	loop_task_init(&stream->reap, task_reap, stream);
	LIST_INSERT_HEAD(&net->streams, stream, entry);
	if (target->tls != NULL) {
		stream->ssl =
		    stream_tls_new(target->tls, target->host, &stream->refused);
		if (stream->ssl == NULL) {
			loop_defer(net->loop, &stream->resume);
			return &stream->stream;
		}
	}
	stream->dial = dial_open(net->loop, target->host, target->port,
	    target->connect_timeout_ms, on_dialed, stream);
	return &stream->stream;
}

static void
net_write(struct stream *base, const void *bytes, size_t len)
{
	struct stream_libevent *stream = self(base);

	if (stream->state >= STREAM_DOWN)
		return;
	evbuffer_add(stream->out, bytes, len);
	if (stream->state == STREAM_UP)
		loop_defer(stream->loop, &stream->flush);
}

static void
net_read_enable(struct stream *base, bool on)
{
	struct stream_libevent *stream = self(base);

	if (stream->read_on == on)
		return;
	stream->read_on = on;
	if (stream->state != STREAM_UP)
		return;
	stream_want(stream);
	if (on)
		loop_defer(stream->loop, &stream->resume);
}

static size_t
net_unsent(const struct stream *base)
{
	const struct stream_libevent *stream = (const void *)base;
	size_t len = evbuffer_get_length(stream->out);

	if (stream->bev != NULL)
		len += evbuffer_get_length(bufferevent_get_output(stream->bev));
	return len;
}

/*
 * Closing a socket with unread input resets the connection, and a reset can
 * take the last bytes away: so when there are any, the peer is heard out, for
 * a second at most.
 */
static void
net_close(struct stream *base)
{
	struct stream_libevent *stream = self(base);

	if (stream->state >= STREAM_LINGERING)
		return;
	if (stream->state == STREAM_UP && net_unsent(base) > 0) {
		stream_enter(stream, STREAM_LINGERING);
		loop_undefer(stream->loop, &stream->resume);
		loop_defer(stream->loop, &stream->flush);
		loop_timer_start(stream->loop, stream->timer, LINGER_MS);
		stream_want(stream);
		return;
	}
	if (stream->state == STREAM_UP)
		say_goodbye(stream);
	stream_closed(stream);
}

struct stream_net *
stream_libevent_new(struct loop *loop)
{
	struct net *net = xcalloc(1, sizeof(*net));

	net->net = (struct stream_net){ .connect = net_connect,
		.write = net_write,
		.read_enable = net_read_enable,
		.unsent = net_unsent,
		.close = net_close };
	net->loop = loop;
	net->chunk = xmalloc(CHUNK_BYTES);
	LIST_INIT(&net->streams);
	return &net->net;
}

void
stream_libevent_free(struct stream_net *stream_net)
{
	struct stream_libevent *stream;
	struct net *net;

	if (stream_net == NULL)
		return;
	net = container_of(stream_net, struct net, net);
	while ((stream = LIST_FIRST(&net->streams)) != NULL)
		task_reap(stream);
	free(net->chunk);
	free(net);
}
