# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
LIB_LIBS = lib/libbase.a $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS)
noinst_LIBRARIES += lib/libbase.a
lib_libbase_a_SOURCES = \
	lib/backoff.c \
	lib/backoff.h \
	lib/buf.c \
	lib/buf.h \
	lib/child.c \
	lib/child.h \
	lib/child_spawn.c \
	lib/child_spawn.h \
	lib/cli.c \
	lib/cli.h \
	lib/compiler.h \
	lib/cron.c \
	lib/cron.h \
	lib/daemon.c \
	lib/daemon.h \
	lib/dial.c \
	lib/dial.h \
	lib/digest.c \
	lib/digest.h \
	lib/file.c \
	lib/file.h \
	lib/http_parts.h \
	lib/http_request.c \
	lib/http_server.c \
	lib/http_server.h \
	lib/js.c \
	lib/js.h \
	lib/listen.c \
	lib/listen.h \
	lib/log.c \
	lib/log.h \
	lib/loop.c \
	lib/loop.h \
	lib/loop_libevent.c \
	lib/loop_libevent.h \
	lib/metrics.c \
	lib/metrics.h \
	lib/notify.c \
	lib/notify.h \
	lib/resolve.c \
	lib/resolve.h \
	lib/signals.c \
	lib/signals.h \
	lib/stream.c \
	lib/stream.h \
	lib/stream_libevent.c \
	lib/stream_libevent.h \
	lib/stream_tls.c \
	lib/stream_tls.h \
	lib/text.c \
	lib/text.h \
	lib/text_json.c \
	lib/text_utf8.c \
	lib/timers.c \
	lib/timers.h \
	lib/xalloc.c \
	lib/xalloc.h
