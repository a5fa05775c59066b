# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
CONSUMER_LIBS = consumer/libconsumer.a $(DOWNSTREAM_LIBS) $(DLX_LIBS) \
	$(CONFIG_LIBS) $(AMQP_LIBS) $(LIB_LIBS)
noinst_LIBRARIES += consumer/libconsumer.a
consumer_libconsumer_a_SOURCES = \
	consumer/budget.c \
	consumer/budget.h \
	consumer/consumer.c \
	consumer/consumer.h \
	consumer/dedup.c \
	consumer/dedup.h \
	consumer/recall.c \
	consumer/recall.h \
	consumer/twin.c \
	consumer/twin.h \
	consumer/program.c \
	consumer/program.h \
	consumer/delivery.c \
	consumer/delivery.h \
	consumer/events.c \
	consumer/events.h \
	consumer/headers.c \
	consumer/headers.h \
	consumer/lanes.c \
	consumer/lanes.h \
	consumer/meter.c \
	consumer/meter.h \
	consumer/pipeline.c \
	consumer/pipeline.h \
	consumer/pipeline_state.c \
	consumer/pipeline_state.h \
	consumer/policy.c \
	consumer/policy.h \
	consumer/reload.c \
	consumer/reload.h \
	consumer/roster.c \
	consumer/roster.h \
	consumer/rules.c \
	consumer/rules.h \
	consumer/session.c \
	consumer/session.h \
	consumer/settle.c \
	consumer/settle.h \
	consumer/subscription.c \
	consumer/subscription.h \
	consumer/trial.c \
	consumer/trial.h \
	consumer/window.c \
	consumer/window.h \
	consumer/window_trial.c \
	consumer/window_trial.h

bin_PROGRAMS += dlo-consumer
dlo_consumer_SOURCES = consumer/main.c
dlo_consumer_LDADD = $(CONSUMER_LIBS)
