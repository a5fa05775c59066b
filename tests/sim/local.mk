# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
SIM_SOURCES = \
	tests/sim/fakes.c \
	tests/sim/fakes.h \
	tests/sim/letters.c \
	tests/sim/letters.h \
	tests/sim/model.c \
	tests/sim/model.h \
	tests/sim/model_internal.h \
	tests/sim/model_wire.c \
	tests/sim/process.c \
	tests/sim/process.h \
	tests/sim/reloads.c \
	tests/sim/reloads.h \
	tests/sim/sim_loop.c \
	tests/sim/sim_loop.h \
	tests/sim/sim_net.c \
	tests/sim/sim_net.h \
	tests/sim/trouble.c \
	tests/sim/trouble.h \
	tests/sim/world.c \
	tests/sim/world.h

check_LIBRARIES += tests/sim/libsim.a
tests_sim_libsim_a_SOURCES = $(SIM_SOURCES)

check_PROGRAMS += tests/sim/test_sim
tests_sim_test_sim_SOURCES = tests/sim/test_sim.c
tests_sim_test_sim_LDADD = tests/sim/libsim.a $(REDRIVE_LIBS) \
	$(CONSUMER_LIBS)

# What scripts/soak days runs.
EXTRA_PROGRAMS += tests/sim/days
tests_sim_days_SOURCES = tests/sim/days.c
tests_sim_days_LDADD = $(tests_sim_test_sim_LDADD)

# No test, but it must not rot.
check-local: tests/sim/days$(EXEEXT)
CLEANFILES += tests/sim/days$(EXEEXT)
