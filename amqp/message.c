/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "amqp/message.h"

#include <stdlib.h>
#include <string.h>

struct rmq_slice
rmq_slice_of(const char *text)
{
	struct rmq_slice slice = { NULL, 0 };

	if (text != NULL) {
		slice.ptr = (const uint8_t *)text;
		slice.len = strlen(text);
	}
	return slice;
}

size_t
rmq_message_bytes(const struct rmq_message *message)
{
	return sizeof(*message) + message->exchange.len +
	    message->routing_key.len + message->props.len + message->body.len;
}

void
rmq_message_free(struct rmq_message *message)
{
	free(message);
}
