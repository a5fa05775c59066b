# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
DOWNSTREAM_TEST_LIBS = $(DOWNSTREAM_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/downstream/test_breaker
tests_downstream_test_breaker_SOURCES = tests/downstream/test_breaker.c \
	tests/unit.h
tests_downstream_test_breaker_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_exec_json
tests_downstream_test_exec_json_SOURCES = tests/downstream/test_exec_json.c \
	tests/downstream/fields.h tests/unit.h
tests_downstream_test_exec_json_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_exec_verdict
tests_downstream_test_exec_verdict_SOURCES = \
	tests/downstream/test_exec_verdict.c tests/unit.h
tests_downstream_test_exec_verdict_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_handler_exec
tests_downstream_test_handler_exec_SOURCES = \
	tests/downstream/test_handler_exec.c tests/unit.h
tests_downstream_test_handler_exec_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_handler_http
tests_downstream_test_handler_http_SOURCES = \
	tests/downstream/test_handler_http.c tests/downstream/fields.h \
	tests/downstream/peer.c tests/downstream/peer.h tests/unit.h
tests_downstream_test_handler_http_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_probe
tests_downstream_test_probe_SOURCES = tests/downstream/test_probe.c \
	tests/downstream/peer.c tests/downstream/peer.h \
	tests/sim/sim_loop.c tests/sim/sim_loop.h \
	tests/sim/sim_net.c tests/sim/sim_net.h tests/unit.h
tests_downstream_test_probe_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_verdict
tests_downstream_test_verdict_SOURCES = tests/downstream/test_verdict.c \
	tests/unit.h
tests_downstream_test_verdict_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_http_headers
tests_downstream_test_http_headers_SOURCES = \
	tests/downstream/test_http_headers.c tests/downstream/fields.h \
	tests/unit.h
tests_downstream_test_http_headers_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_downstream
tests_downstream_test_downstream_SOURCES = \
	tests/downstream/test_downstream.c \
	tests/sim/sim_loop.c tests/sim/sim_loop.h tests/unit.h
tests_downstream_test_downstream_LDADD = $(DOWNSTREAM_TEST_LIBS)

check_PROGRAMS += tests/downstream/test_plugin_parts
tests_downstream_test_plugin_parts_SOURCES = \
	tests/downstream/test_plugin_parts.c tests/unit.h
tests_downstream_test_plugin_parts_LDADD = $(DOWNSTREAM_TEST_LIBS)

# Runs itself as the worker.
check_PROGRAMS += tests/downstream/test_handler_plugin
tests_downstream_test_handler_plugin_SOURCES = \
	tests/downstream/test_handler_plugin.c tests/unit.h
tests_downstream_test_handler_plugin_LDADD = $(DOWNSTREAM_TEST_LIBS)

ACROBATS = tests/downstream/acrobat.so tests/downstream/acrobat_of_old.so \
	tests/downstream/acrobat_bare.so tests/downstream/no_plugin.so
check_DATA += $(ACROBATS)
CLEANFILES += $(ACROBATS)
EXTRA_DIST += tests/downstream/acrobat.c tests/downstream/no_plugin.c \
	tests/downstream/plugin.cc
tests/downstream/acrobat.so tests/downstream/acrobat_of_old.so \
	tests/downstream/acrobat_bare.so: include/dlo/handler.h
tests/downstream/acrobat_of_old.so: tests/downstream/acrobat.c
	$(PLUGIN_MAKE) -DACROBAT_ABI=0 $(srcdir)/tests/downstream/acrobat.c
tests/downstream/acrobat_bare.so: tests/downstream/acrobat.c
	$(PLUGIN_MAKE) -DACROBAT_BARE $(srcdir)/tests/downstream/acrobat.c
