# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
EXTRA_DIST += tests/config/samples
CONFIG_TESTS_LDADD = $(CONFIG_LIBS) $(LIB_LIBS) $(CMOCKA_LIBS)
CONFIG_TESTS_SUPPORT = \
	tests/config/support.c \
	tests/config/support.h \
	tests/unit.h
check_PROGRAMS += \
	tests/config/test_change \
	tests/config/test_conf \
	tests/config/test_docs \
	tests/config/test_load \
	tests/config/test_mutate \
	tests/config/test_samples \
	tests/config/test_scalar
tests_config_test_change_SOURCES = tests/config/test_change.c \
	$(CONFIG_TESTS_SUPPORT)
tests_config_test_change_LDADD = $(CONFIG_TESTS_LDADD)
tests_config_test_conf_SOURCES = tests/config/test_conf.c \
	$(CONFIG_TESTS_SUPPORT)
tests_config_test_conf_LDADD = $(CONFIG_TESTS_LDADD)
tests_config_test_docs_SOURCES = tests/config/test_docs.c \
	$(CONFIG_TESTS_SUPPORT)
tests_config_test_docs_LDADD = $(CONFIG_TESTS_LDADD)
tests_config_test_load_SOURCES = tests/config/test_load.c \
	$(CONFIG_TESTS_SUPPORT)
tests_config_test_load_LDADD = $(CONFIG_TESTS_LDADD)
tests_config_test_mutate_SOURCES = tests/config/test_mutate.c \
	$(CONFIG_TESTS_SUPPORT)
tests_config_test_mutate_LDADD = $(CONFIG_TESTS_LDADD)
tests_config_test_samples_SOURCES = tests/config/test_samples.c \
	$(CONFIG_TESTS_SUPPORT)
tests_config_test_samples_LDADD = $(CONFIG_TESTS_LDADD)
tests_config_test_scalar_SOURCES = tests/config/test_scalar.c tests/unit.h
tests_config_test_scalar_LDADD = $(CONFIG_TESTS_LDADD)
if FUZZING
noinst_PROGRAMS += tests/config/fuzz_conf
tests_config_fuzz_conf_SOURCES = tests/config/fuzz_conf.c
tests_config_fuzz_conf_LDADD = $(CONFIG_LIBS) $(LIB_LIBS)
tests_config_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
