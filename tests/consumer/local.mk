# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
CONSUMER_TESTS_LDADD = $(CONSUMER_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += \
	tests/consumer/test_budget \
	tests/consumer/test_carry \
	tests/consumer/test_consumer \
	tests/consumer/test_dedup \
	tests/consumer/test_lanes \
	tests/consumer/test_events \
	tests/consumer/test_headers \
	tests/consumer/test_order \
	tests/consumer/test_policy \
	tests/consumer/test_recall \
	tests/consumer/test_reload \
	tests/consumer/test_rules \
	tests/consumer/test_trial
tests_consumer_test_budget_SOURCES = tests/consumer/test_budget.c tests/unit.h
tests_consumer_test_budget_LDADD = $(CONSUMER_TESTS_LDADD)
tests_consumer_test_carry_SOURCES = tests/consumer/test_carry.c tests/unit.h
tests_consumer_test_carry_LDADD = $(CONSUMER_TESTS_LDADD)
tests_consumer_test_consumer_SOURCES = tests/consumer/test_consumer.c \
	tests/unit.h
tests_consumer_test_consumer_LDADD = tests/sim/libsim.a \
	$(CONSUMER_TESTS_LDADD)
tests_consumer_test_dedup_SOURCES = tests/consumer/test_dedup.c \
	$(LETTER_SOURCES)
tests_consumer_test_dedup_LDADD = tests/sim/libsim.a $(CONSUMER_TESTS_LDADD)
tests_consumer_test_lanes_SOURCES = tests/consumer/test_lanes.c tests/unit.h
tests_consumer_test_lanes_LDADD = $(CONSUMER_TESTS_LDADD)
tests_consumer_test_events_SOURCES = tests/consumer/test_events.c \
	tests/sim/sim_loop.c tests/sim/sim_loop.h tests/unit.h
tests_consumer_test_events_LDADD = $(CONSUMER_TESTS_LDADD) $(JANSSON_LIBS)
tests_consumer_test_headers_SOURCES = tests/consumer/test_headers.c tests/unit.h
tests_consumer_test_headers_LDADD = $(CONSUMER_TESTS_LDADD)
tests_consumer_test_order_SOURCES = tests/consumer/test_order.c tests/unit.h
tests_consumer_test_order_LDADD = tests/sim/libsim.a $(CONSUMER_TESTS_LDADD)
tests_consumer_test_policy_SOURCES = tests/consumer/test_policy.c tests/unit.h
tests_consumer_test_policy_LDADD = $(CONSUMER_TESTS_LDADD)
tests_consumer_test_recall_SOURCES = tests/consumer/test_recall.c \
	$(LETTER_SOURCES)
tests_consumer_test_recall_LDADD = tests/sim/libsim.a $(CONSUMER_TESTS_LDADD)
tests_consumer_test_reload_SOURCES = tests/consumer/test_reload.c tests/unit.h
tests_consumer_test_reload_LDADD = tests/sim/libsim.a $(CONSUMER_TESTS_LDADD)
tests_consumer_test_rules_SOURCES = tests/consumer/test_rules.c tests/unit.h
tests_consumer_test_rules_LDADD = $(CONSUMER_TESTS_LDADD)
tests_consumer_test_trial_SOURCES = tests/consumer/test_trial.c \
	tests/sim/sim_loop.c tests/sim/sim_loop.h tests/unit.h
tests_consumer_test_trial_LDADD = $(CONSUMER_TESTS_LDADD)
