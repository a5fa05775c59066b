# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
TESTS_AMQP_LIBS = $(AMQP_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/amqp/test_props
tests_amqp_test_props_SOURCES = tests/amqp/test_props.c tests/unit.h
tests_amqp_test_props_LDADD = $(TESTS_AMQP_LIBS)
