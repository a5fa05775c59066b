# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
CONFIG_LIBS = config/libconf.a $(YAML_LIBS) $(JANSSON_LIBS)
EXTRA_DIST += config/conf.h
