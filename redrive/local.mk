# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
REDRIVE_LIBS = redrive/libredrive.a
noinst_LIBRARIES += redrive/libredrive.a
redrive_libredrive_a_SOURCES = \
	redrive/census.c \
	redrive/census.h \
	redrive/filter.c \
	redrive/filter.h \
	redrive/judge.c \
	redrive/judge.h \
	redrive/rate.c \
	redrive/rate.h \
	redrive/stash.c \
	redrive/stash.h \
	redrive/trigger.c \
	redrive/trigger.h
