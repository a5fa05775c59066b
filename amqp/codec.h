/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * librabbitmq as a codec of methods: the only use that is made of it. What it
 * decodes lives in the connection's pool until the frame has been handled.
 */
#ifndef DLO_AMQP_CODEC_H
#define DLO_AMQP_CODEC_H

#include "lib/build.h"

#ifdef HAVE_RABBITMQ_C_AMQP_H
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

#include "amqp/conn.h"
#include "amqp/message.h"

/* Writes a whole method frame. `args_bytes`: of the table in it. */
void rmq_codec_write(struct rmq_conn *, uint16_t channel, amqp_method_number_t,
    void *method, size_t args_bytes);
/* Decodes the fields of a method without tables; NULL: they lie. */
void *rmq_codec_read(struct rmq_conn *, amqp_method_number_t,
    struct rmq_slice fields) must_use;
/* A table of our own making, for a method. */
amqp_table_t rmq_codec_table(struct rmq_conn *, struct rmq_slice table);

amqp_bytes_t rmq_codec_bytes(struct rmq_slice);
amqp_bytes_t rmq_codec_text(const char *);
/* As a C string, cut to the space there is. */
void rmq_codec_copy(char *to, size_t space, amqp_bytes_t from);
/* For messages: "basic.deliver", or "60.60" for what we do not know. */
const char *rmq_codec_name(amqp_method_number_t);

#endif
