# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
DOWNSTREAM_LIBS = downstream/libdownstream.a $(CURL_LIBS) $(JANSSON_LIBS)
noinst_LIBRARIES += downstream/libdownstream.a
downstream_libdownstream_a_SOURCES = \
	downstream/attempt.h \
	downstream/breaker.c \
	downstream/breaker.h \
	downstream/builtin.c \
	downstream/builtin.h \
	downstream/downstream.c \
	downstream/downstream.h \
	downstream/exec_command.c \
	downstream/exec_command.h \
	downstream/exec_env.c \
	downstream/exec_env.h \
	downstream/exec_json.c \
	downstream/exec_json.h \
	downstream/exec_once.c \
	downstream/exec_pool.c \
	downstream/exec_pool.h \
	downstream/exec_stream.c \
	downstream/exec_verdict.c \
	downstream/exec_verdict.h \
	downstream/handler.c \
	downstream/handler.h \
	downstream/handler_exec.c \
	downstream/handler_exec.h \
	downstream/handler_http.c \
	downstream/handler_noop.c \
	downstream/http_carry.c \
	downstream/http_carry.h \
	downstream/http_client.c \
	downstream/http_client.h \
	downstream/http_curl.c \
	downstream/http_curl.h \
	downstream/http_event.c \
	downstream/http_event.h \
	downstream/http_headers.c \
	downstream/http_headers.h \
	downstream/http_line.c \
	downstream/http_line.h \
	downstream/http_result.c \
	downstream/http_result.h \
	downstream/http_setup.c \
	downstream/http_setup.h \
	downstream/http_verdict.c \
	downstream/http_verdict.h \
	downstream/probe.c \
	downstream/probe.h \
	downstream/probe_http.c \
	downstream/probe_tcp.c \
	downstream/trace.c \
	downstream/trace.h \
	downstream/verdict.c \
	downstream/verdict.h
