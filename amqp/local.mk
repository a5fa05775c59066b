# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
AMQP_LIBS = amqp/librmq.a $(RABBITMQ_LIBS)
noinst_LIBRARIES += amqp/librmq.a
amqp_librmq_a_SOURCES = \
	amqp/channel.h \
	amqp/conn.h \
	amqp/link.h \
	amqp/message.c \
	amqp/message.h \
	amqp/props.c \
	amqp/props.h \
	amqp/publisher.h
