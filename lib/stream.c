/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/stream.h"

struct stream *
stream_connect(struct stream_net *net, const struct stream_target *target,
    const struct stream_cbs *cbs, void *arg)
{
	return net->connect(net, target, cbs, arg);
}

void
stream_write(struct stream *stream, const void *bytes, size_t len)
{
	stream->net->write(stream, bytes, len);
}

void
stream_read_enable(struct stream *stream, bool on)
{
	stream->net->read_enable(stream, on);
}

size_t
stream_unsent(const struct stream *stream)
{
	return stream->net->unsent(stream);
}

void
stream_close(struct stream *stream)
{
	if (stream != NULL)
		stream->net->close(stream);
}
