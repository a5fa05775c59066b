# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
DOWNSTREAM_TEST_LIBS = $(DOWNSTREAM_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/downstream/test_breaker
tests_downstream_test_breaker_SOURCES = tests/downstream/test_breaker.c \
	tests/unit.h
tests_downstream_test_breaker_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_handler_http
tests_downstream_test_handler_http_SOURCES = \
	tests/downstream/test_handler_http.c tests/downstream/peer.c \
	tests/downstream/peer.h tests/unit.h
tests_downstream_test_handler_http_LDADD = $(DOWNSTREAM_TEST_LIBS)
