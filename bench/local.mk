# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# What scripts/bench runs.
noinst_PROGRAMS += \
	bench/bare_librabbitmq \
	bench/engine

bench_bare_librabbitmq_SOURCES = \
	bench/bare_librabbitmq.c \
	bench/meter.c \
	bench/meter.h
bench_bare_librabbitmq_LDADD = $(RABBITMQ_LIBS)
bench_engine_SOURCES = \
	bench/engine.c \
	bench/meter.c \
	bench/meter.h
bench_engine_LDADD = $(AMQP_LIBS) $(LIB_LIBS)

noinst_DATA += bench/noop_plugin.so
CLEANFILES += bench/noop_plugin.so
EXTRA_DIST += bench/noop_plugin.c
