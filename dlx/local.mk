# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
DLX_LIBS = dlx/libdlx.a
noinst_LIBRARIES += dlx/libdlx.a
dlx_libdlx_a_SOURCES = \
	dlx/envelope.h \
	dlx/ladder.c \
	dlx/ladder.h \
	dlx/topology.h \
	dlx/topology_run.h
