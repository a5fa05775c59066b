# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
CONSUMER_LIBS = consumer/libconsumer.a $(DOWNSTREAM_LIBS) $(DLX_LIBS) \
	$(CONFIG_LIBS) $(AMQP_LIBS) $(LIB_LIBS)
noinst_LIBRARIES += consumer/libconsumer.a
consumer_libconsumer_a_SOURCES = \
	consumer/consumer.h \
	consumer/meter.c \
	consumer/meter.h \
	consumer/policy.c \
	consumer/policy.h
