# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
LIB_LIBS = lib/libbase.a $(LIBEVENT_LIBS) $(OPENSSL_LIBS)
noinst_LIBRARIES += lib/libbase.a
lib_libbase_a_SOURCES = \
	lib/buf.c \
	lib/buf.h \
	lib/compiler.h \
	lib/loop.c \
	lib/loop.h \
	lib/stream.h \
	lib/xalloc.c \
	lib/xalloc.h
