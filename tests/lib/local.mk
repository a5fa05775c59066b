# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
check_PROGRAMS += tests/lib/test_buf
tests_lib_test_buf_SOURCES = tests/lib/test_buf.c tests/unit.h
tests_lib_test_buf_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
