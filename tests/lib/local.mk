# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
LIB_TESTS_LDADD = $(LIB_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += \
	tests/lib/test_backoff \
	tests/lib/test_buf \
	tests/lib/test_child \
	tests/lib/test_cli \
	tests/lib/test_cron \
	tests/lib/test_dial \
	tests/lib/test_http_server \
	tests/lib/test_listen \
	tests/lib/test_log \
	tests/lib/test_loop_libevent \
	tests/lib/test_metrics \
	tests/lib/test_notify \
	tests/lib/test_signals \
	tests/lib/test_stream_libevent \
	tests/lib/test_text
tests_lib_test_backoff_SOURCES = tests/lib/test_backoff.c tests/unit.h
tests_lib_test_backoff_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_buf_SOURCES = tests/lib/test_buf.c tests/unit.h
tests_lib_test_buf_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_child_SOURCES = tests/lib/test_child.c tests/unit.h
tests_lib_test_child_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_cron_SOURCES = tests/lib/test_cron.c tests/unit.h
tests_lib_test_cron_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_dial_SOURCES = tests/lib/test_dial.c tests/unit.h
tests_lib_test_dial_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_http_server_SOURCES = tests/lib/test_http_server.c tests/unit.h
tests_lib_test_http_server_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_listen_SOURCES = tests/lib/test_listen.c tests/unit.h
tests_lib_test_listen_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_log_SOURCES = tests/lib/test_log.c tests/unit.h
tests_lib_test_log_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_loop_libevent_SOURCES = tests/lib/test_loop_libevent.c tests/unit.h
tests_lib_test_loop_libevent_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_metrics_SOURCES = tests/lib/test_metrics.c tests/unit.h
tests_lib_test_metrics_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_notify_SOURCES = tests/lib/test_notify.c tests/unit.h
tests_lib_test_notify_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_signals_SOURCES = tests/lib/test_signals.c tests/unit.h
tests_lib_test_signals_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_stream_libevent_SOURCES = tests/lib/test_stream_libevent.c tests/unit.h tests/lib/certs.c \
	tests/lib/certs.h tests/lib/peer.c tests/lib/peer.h
tests_lib_test_stream_libevent_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_text_SOURCES = tests/lib/test_text.c tests/unit.h
tests_lib_test_text_LDADD = $(LIB_TESTS_LDADD)
tests_lib_test_cli_SOURCES = tests/lib/test_cli.c tests/unit.h
tests_lib_test_cli_LDADD = $(LIB_TESTS_LDADD)
