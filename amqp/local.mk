# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
AMQP_LIBS = amqp/librmq.a $(RABBITMQ_LIBS)
noinst_LIBRARIES += amqp/librmq.a
amqp_librmq_a_SOURCES = \
	amqp/ack.c \
	amqp/channel.c \
	amqp/channel.h \
	amqp/codec.c \
	amqp/codec.h \
	amqp/confirm.c \
	amqp/conn.c \
	amqp/conn.h \
	amqp/conn_time.c \
	amqp/consumer.c \
	amqp/content.c \
	amqp/declare.c \
	amqp/dispatch.c \
	amqp/frame.c \
	amqp/handshake.c \
	amqp/internal.h \
	amqp/isolate.c \
	amqp/isolate.h \
	amqp/link.c \
	amqp/link.h \
	amqp/message.c \
	amqp/message.h \
	amqp/props.c \
	amqp/props.h \
	amqp/publish.c \
	amqp/publisher.c \
	amqp/publisher.h \
	amqp/request.c
