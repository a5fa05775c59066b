# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
DLX_LIBS = dlx/libdlx.a
noinst_LIBRARIES += dlx/libdlx.a
dlx_libdlx_a_SOURCES = \
	dlx/broker.c \
	dlx/broker.h \
	dlx/envelope.c \
	dlx/envelope.h \
	dlx/envelope_read.c \
	dlx/envelope_write.c \
	dlx/ladder.c \
	dlx/ladder.h \
	dlx/provision.c \
	dlx/provision.h \
	dlx/rights.c \
	dlx/rights.h \
	dlx/startup.c \
	dlx/startup.h \
	dlx/teller.c \
	dlx/teller.h \
	dlx/topology.c \
	dlx/topology.h \
	dlx/topology_args.c \
	dlx/topology_names.c \
	dlx/topology_run.c \
	dlx/topology_run.h \
	dlx/topology_run_log.c
