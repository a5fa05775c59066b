/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A message as the broker sent it, in one allocation: names, the raw bytes
 * of its properties, the body. Nothing of it is decoded: props.h reads the
 * properties, and copies carry the same bytes on.
 */
#ifndef DLO_AMQP_MESSAGE_H
#define DLO_AMQP_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that belong to somebody else; not NUL-terminated. */
struct rmq_slice {
	const uint8_t *ptr;
	size_t len;
};

struct rmq_message {
	struct rmq_slice exchange;
	struct rmq_slice routing_key;
	struct rmq_slice props; /* from the property flags on */
	struct rmq_slice body;
};

/* A slice of a C string (without its NUL); NULL gives an empty slice. */
struct rmq_slice rmq_slice_of(const char *text);
/* Memory that the message takes, in bytes. */
size_t rmq_message_bytes(const struct rmq_message *);
/* NULL is fine. */
void rmq_message_free(struct rmq_message *);

#endif
