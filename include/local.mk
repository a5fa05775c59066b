# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# What plugins are made with. They link against nothing of ours.
dlodir = $(includedir)/dlo
dlo_HEADERS = include/dlo/handler.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = include/dlo-handler.pc
