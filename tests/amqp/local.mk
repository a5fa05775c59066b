# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
TESTS_AMQP_LIBS = tests/amqp/librig.a $(AMQP_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)

check_LIBRARIES += tests/amqp/librig.a
tests_amqp_librig_a_SOURCES = \
	tests/amqp/rig.c \
	tests/amqp/rig.h \
	tests/amqp/wire.c \
	tests/amqp/wire.h \
	tests/unit.h

check_PROGRAMS += \
	tests/amqp/test_ack \
	tests/amqp/test_channel \
	tests/amqp/test_confirm \
	tests/amqp/test_conn \
	tests/amqp/test_hostile \
	tests/amqp/test_link \
	tests/amqp/test_props \
	tests/amqp/test_publisher \
	tests/amqp/test_split

tests_amqp_test_ack_SOURCES = tests/amqp/test_ack.c
tests_amqp_test_ack_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_channel_SOURCES = tests/amqp/test_channel.c
tests_amqp_test_channel_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_confirm_SOURCES = tests/amqp/test_confirm.c
tests_amqp_test_confirm_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_conn_SOURCES = tests/amqp/test_conn.c
tests_amqp_test_conn_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_hostile_SOURCES = tests/amqp/test_hostile.c
tests_amqp_test_hostile_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_link_SOURCES = \
	tests/amqp/test_link.c \
	tests/sim/sim_loop.c \
	tests/sim/sim_loop.h
tests_amqp_test_link_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_props_SOURCES = tests/amqp/test_props.c
tests_amqp_test_props_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_publisher_SOURCES = \
	tests/amqp/test_publisher.c \
	tests/sim/sim_loop.c \
	tests/sim/sim_loop.h
tests_amqp_test_publisher_LDADD = $(TESTS_AMQP_LIBS)
tests_amqp_test_split_SOURCES = tests/amqp/test_split.c
tests_amqp_test_split_LDADD = $(TESTS_AMQP_LIBS)

# Run by tests/integration/test_engine.py.
noinst_PROGRAMS += tests/amqp/live
tests_amqp_live_SOURCES = tests/amqp/live.c
tests_amqp_live_LDADD = $(AMQP_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)

# Run it by hand: tests/amqp/fuzz_conn -max_total_time=300 CORPUS
if FUZZING
noinst_PROGRAMS += tests/amqp/fuzz_conn
tests_amqp_fuzz_conn_SOURCES = tests/amqp/fuzz_conn.c
tests_amqp_fuzz_conn_LDADD = $(AMQP_LIBS) $(LIB_LIBS)
tests_amqp_fuzz_conn_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
