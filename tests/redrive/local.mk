# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
redrive_test_libs = $(REDRIVE_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/redrive/test_rate tests/redrive/test_trigger \
	tests/redrive/test_filter tests/redrive/test_letters \
	tests/redrive/test_canary tests/redrive/test_ramp \
	tests/redrive/test_news tests/redrive/test_api_guard
tests_redrive_test_rate_SOURCES = tests/redrive/test_rate.c tests/unit.h
tests_redrive_test_rate_LDADD = $(redrive_test_libs)
tests_redrive_test_trigger_SOURCES = tests/redrive/test_trigger.c tests/unit.h
tests_redrive_test_trigger_LDADD = $(redrive_test_libs)
tests_redrive_test_filter_SOURCES = tests/redrive/test_filter.c tests/unit.h
tests_redrive_test_filter_LDADD = $(redrive_test_libs)
tests_redrive_test_api_guard_SOURCES = tests/redrive/test_api_guard.c \
	tests/unit.h
tests_redrive_test_api_guard_LDADD = $(redrive_test_libs)
tests_redrive_test_letters_SOURCES = tests/redrive/test_letters.c tests/unit.h
tests_redrive_test_letters_LDADD = $(redrive_test_libs)
tests_redrive_test_canary_SOURCES = tests/redrive/test_canary.c tests/unit.h
tests_redrive_test_canary_LDADD = $(redrive_test_libs)
tests_redrive_test_ramp_SOURCES = tests/redrive/test_ramp.c tests/unit.h
tests_redrive_test_ramp_LDADD = $(redrive_test_libs)
tests_redrive_test_news_SOURCES = tests/redrive/test_news.c tests/unit.h
tests_redrive_test_news_LDADD = $(redrive_test_libs)

check_PROGRAMS += tests/redrive/test_redrive
tests_redrive_test_redrive_SOURCES = tests/redrive/test_redrive.c \
	tests/redrive/world.c tests/redrive/world.h tests/unit.h
tests_redrive_test_redrive_LDADD = tests/sim/libsim.a $(redrive_test_libs)

check_PROGRAMS += tests/redrive/test_job
tests_redrive_test_job_SOURCES = tests/redrive/test_job.c \
	tests/redrive/world.c tests/redrive/world.h tests/unit.h
tests_redrive_test_job_LDADD = tests/sim/libsim.a $(redrive_test_libs)

# For the integration tests.
noinst_PROGRAMS += tests/redrive/ordered
tests_redrive_ordered_SOURCES = tests/redrive/ordered.c
tests_redrive_ordered_LDADD = $(REDRIVE_LIBS)
check_PROGRAMS += tests/redrive/test_board
tests_redrive_test_board_SOURCES = tests/redrive/test_board.c tests/unit.h
tests_redrive_test_board_LDADD = $(redrive_test_libs)

check_PROGRAMS += tests/redrive/test_audit tests/redrive/test_registry
tests_redrive_test_audit_SOURCES = tests/redrive/test_audit.c tests/unit.h
tests_redrive_test_audit_LDADD = $(redrive_test_libs)
tests_redrive_test_registry_SOURCES = tests/redrive/test_registry.c \
	tests/unit.h
tests_redrive_test_registry_LDADD = tests/sim/libsim.a $(redrive_test_libs)

EXTRA_DIST += tests/redrive/fuzz_seeds.py

# scripts/soak fuzz runs them.
if FUZZING
noinst_PROGRAMS += tests/redrive/fuzz_api tests/redrive/fuzz_broker \
	tests/redrive/fuzz_letter
tests_redrive_fuzz_api_SOURCES = tests/redrive/fuzz_api.c \
	tests/redrive/world.c tests/redrive/world.h tests/unit.h
tests_redrive_fuzz_api_LDADD = tests/sim/libsim.a $(redrive_test_libs)
tests_redrive_fuzz_api_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_redrive_fuzz_broker_SOURCES = tests/redrive/fuzz_broker.c \
	tests/redrive/world.c tests/redrive/world.h tests/unit.h
tests_redrive_fuzz_broker_LDADD = tests/sim/libsim.a $(redrive_test_libs)
tests_redrive_fuzz_broker_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_redrive_fuzz_letter_SOURCES = tests/redrive/fuzz_letter.c
tests_redrive_fuzz_letter_LDADD = tests/sim/libsim.a $(redrive_test_libs)
tests_redrive_fuzz_letter_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
