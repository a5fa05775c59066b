/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/lib/peer.h"

#include "tests/unit.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "lib/loop_libevent.h"

static void
call(struct peer *peer, loop_cb *cb)
{
	if (cb != NULL)
		cb(peer->arg);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(input);
	struct peer *peer = arg;

	evbuffer_remove(input, buf_reserve(&peer->got, len), len);
	buf_claim(&peer->got, len);
	if (peer->echo)
		peer_write(peer, buf_peek(&peer->got) + peer->got.len - len,
		    len);
	call(peer, peer->on_read);
}

static void
on_shut(struct bufferevent *bev, void *arg)
{
	struct peer *peer = arg;

	if (peer->ctx != NULL)
		SSL_shutdown(bufferevent_openssl_get_ssl(bev));
	shutdown(bufferevent_getfd(bev), SHUT_WR);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct peer *peer = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED) {
		call(peer, peer->on_accept);
		return;
	}
	peer->ended = true;
	call(peer, peer->on_end);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *addr, int len, void *arg)
{
	struct peer *peer = arg;
	struct event_base *base = evconnlistener_get_base(listener);

	(void)addr;
	(void)len;
	assert_null(peer->bev);
	if (peer->ctx == NULL)
		peer->bev =
		    bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	else
		peer->bev = bufferevent_openssl_socket_new(base, fd,
		    SSL_new(peer->ctx), BUFFEREVENT_SSL_ACCEPTING,
		    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	assert_non_null(peer->bev);
	bufferevent_setcb(peer->bev, on_read, NULL, on_event, peer);
	bufferevent_enable(peer->bev, EV_READ);
	if (peer->ctx == NULL)
		call(peer, peer->on_accept);
}

void
peer_open(struct peer *peer, struct loop *loop, SSL_CTX *ctx)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	memset(peer, 0, sizeof(*peer));
	peer->loop = loop;
	peer->ctx = ctx;
	peer->listener = evconnlistener_new_bind(loop_libevent_base(loop),
	    on_accept, peer, LEV_OPT_CLOSE_ON_FREE, 8, (struct sockaddr *)&addr,
	    sizeof(addr));
	assert_non_null(peer->listener);
	assert_int_equal(getsockname(evconnlistener_get_fd(peer->listener),
			     (struct sockaddr *)&addr, &len),
	    0);
	peer->port = ntohs(addr.sin_port);
}

void
peer_close(struct peer *peer)
{
	if (peer->bev != NULL)
		bufferevent_free(peer->bev);
	evconnlistener_free(peer->listener);
	SSL_CTX_free(peer->ctx);
	buf_clear(&peer->got);
}

void
peer_write(struct peer *peer, const void *bytes, size_t len)
{
	bufferevent_write(peer->bev, bytes, len);
}

void
peer_shut(struct peer *peer)
{
	bufferevent_setcb(peer->bev, on_read, on_shut, on_event, peer);
	if (peer_unsent(peer) == 0)
		on_shut(peer->bev, peer);
}

void
peer_reset(struct peer *peer)
{
	const struct linger linger = { .l_onoff = 1 };

	assert_int_equal(setsockopt(bufferevent_getfd(peer->bev), SOL_SOCKET,
			     SO_LINGER, &linger, sizeof(linger)),
	    0);
	bufferevent_free(peer->bev);
	peer->bev = NULL;
}

void
peer_read_enable(struct peer *peer, bool on)
{
	if (on)
		bufferevent_enable(peer->bev, EV_READ);
	else
		bufferevent_disable(peer->bev, EV_READ);
}

size_t
peer_unsent(const struct peer *peer)
{
	return evbuffer_get_length(bufferevent_get_output(peer->bev));
}
