# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
CONFIG_LIBS = config/libconf.a $(YAML_LIBS)
noinst_LIBRARIES += config/libconf.a
config_libconf_a_SOURCES = \
	config/conf.c \
	config/conf.h \
	config/conf_change.c \
	config/conf_change.h \
	config/conf_cross.c \
	config/conf_cross.h \
	config/conf_errors.c \
	config/conf_errors.h \
	config/conf_hooks.c \
	config/conf_hooks.h \
	config/conf_http.c \
	config/conf_http.h \
	config/conf_json.c \
	config/conf_json.h \
	config/conf_listen.c \
	config/conf_listen.h \
	config/conf_parse.c \
	config/conf_parse.h \
	config/conf_pool.c \
	config/conf_pool.h \
	config/conf_reload.c \
	config/conf_reload.h \
	config/conf_scalar.c \
	config/conf_scalar.h \
	config/conf_secret.c \
	config/conf_secret.h \
	config/conf_table.c \
	config/conf_table.h \
	config/conf_tree.c \
	config/conf_tree.h \
	config/conf_valid.c \
	config/conf_valid.h \
	config/conf_value.c \
	config/conf_value.h
dist_doc_DATA += config/dlo.full.yaml config/dlo.minimal.yaml
