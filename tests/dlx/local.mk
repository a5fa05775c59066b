# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
TESTS_DLX_LIBS = $(DLX_LIBS) $(AMQP_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += \
	tests/dlx/test_envelope_read \
	tests/dlx/test_envelope_write \
	tests/dlx/test_ladder \
	tests/dlx/test_startup \
	tests/dlx/test_topology \
	tests/dlx/test_topology_run
LETTER_SOURCES = tests/dlx/dump.c tests/dlx/dump.h tests/dlx/letter.c \
	tests/dlx/letter.h tests/unit.h
tests_dlx_test_envelope_read_SOURCES = tests/dlx/test_envelope_read.c \
	$(LETTER_SOURCES)
tests_dlx_test_envelope_read_LDADD = $(TESTS_DLX_LIBS)
tests_dlx_test_envelope_write_SOURCES = tests/dlx/test_envelope_write.c \
	$(LETTER_SOURCES)
tests_dlx_test_envelope_write_LDADD = $(TESTS_DLX_LIBS)
tests_dlx_test_ladder_SOURCES = tests/dlx/test_ladder.c tests/unit.h
tests_dlx_test_ladder_LDADD = $(TESTS_DLX_LIBS)
tests_dlx_test_startup_SOURCES = tests/dlx/test_startup.c tests/unit.h
tests_dlx_test_startup_LDADD = $(TESTS_DLX_LIBS)
tests_dlx_test_topology_SOURCES = tests/dlx/test_topology.c \
	tests/dlx/dump.c tests/dlx/dump.h tests/unit.h
tests_dlx_test_topology_LDADD = $(TESTS_DLX_LIBS)
tests_dlx_test_topology_run_SOURCES = tests/dlx/test_topology_run.c \
	tests/dlx/fake_broker.c tests/dlx/fake_broker.h \
	tests/sim/sim_loop.c tests/sim/sim_loop.h tests/unit.h
tests_dlx_test_topology_run_LDADD = $(TESTS_DLX_LIBS)
noinst_PROGRAMS += tests/dlx/topology_tool
tests_dlx_topology_tool_SOURCES = tests/dlx/topology_tool.c
tests_dlx_topology_tool_LDADD = $(DLX_LIBS) $(CONFIG_LIBS) $(AMQP_LIBS) \
	$(LIB_LIBS)
