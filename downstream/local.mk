# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
DOWNSTREAM_LIBS = downstream/libdownstream.a $(CURL_LIBS)
noinst_LIBRARIES += downstream/libdownstream.a
downstream_libdownstream_a_SOURCES = \
	downstream/attempt.h \
	downstream/breaker.c \
	downstream/breaker.h \
	downstream/downstream.h \
	downstream/handler.c \
	downstream/handler.h \
	downstream/probe.h \
	downstream/verdict.c \
	downstream/verdict.h
