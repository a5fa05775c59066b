/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/probe.h"

#include <stdlib.h>

#include "config/conf.h"
#include "lib/xalloc.h"

struct probe_tcp {
	struct probe_driver base;
	struct stream_net *net;
	struct stream *stream; /* NULL: idle */
	char *host;
	uint16_t port;
	probe_driver_cb *cb;
	void *arg;
};

static void
tcp_cancel(struct probe_driver *driver)
{
	struct probe_tcp *tcp = container_of(driver, struct probe_tcp, base);

	stream_close(tcp->stream);
	tcp->stream = NULL;
}

static void
tcp_up(void *arg)
{
	struct probe_tcp *tcp = arg;

	tcp_cancel(&tcp->base);
	tcp->cb(tcp->arg, true, NULL);
}

static void
tcp_data(void *arg, const uint8_t *bytes, size_t len)
{
	(void)arg;
	(void)bytes;
	(void)len;
}

static void
tcp_down(void *arg, const char *why)
{
	struct probe_tcp *tcp = arg;

	tcp_cancel(&tcp->base);
	tcp->cb(tcp->arg, false, why);
}

static void
tcp_start(struct probe_driver *driver, int64_t timeout_ms, probe_driver_cb *cb,
    void *arg)
{
	static const struct stream_cbs cbs = {
		.up = tcp_up,
		.data = tcp_data,
		.down = tcp_down,
	};
	struct probe_tcp *tcp = container_of(driver, struct probe_tcp, base);
	const struct stream_target target = {
		.host = tcp->host,
		.port = tcp->port,
		.connect_timeout_ms = timeout_ms,
	};

	tcp->cb = cb;
	tcp->arg = arg;
	tcp->stream = stream_connect(tcp->net, &target, &cbs, tcp);
}

static void
tcp_free(struct probe_driver *driver)
{
	struct probe_tcp *tcp = container_of(driver, struct probe_tcp, base);

	tcp_cancel(driver);
	free(tcp->host);
	free(tcp);
}

struct probe_driver *
probe_tcp_new(struct stream_net *net, const struct conf_address *address)
{
	static const struct probe_driver_ops ops = {
		.start = tcp_start,
		.cancel = tcp_cancel,
		.free = tcp_free,
	};
	struct probe_tcp *tcp = xcalloc(1, sizeof(*tcp));

	tcp->base.ops = &ops;
	tcp->net = net;
	tcp->host = xstrdup(address->host);
	tcp->port = address->port;
	return &tcp->base;
}
