/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What rows of the table do once their keys are read: choices between keys,
 * defaults that come from other keys, and rules between keys. `element` is
 * what the row's offsets count from.
 */
#ifndef DLO_CONFIG_CONF_HOOKS_H
#define DLO_CONFIG_CONF_HOOKS_H

#include "config/conf_parse.h"

/* {env: …} or {file: …}, not both. */
void conf_hooks_secret(struct conf_parse *, struct conf_tree *, void *element);
/* A certificate needs its key. */
void conf_hooks_tls(struct conf_parse *, struct conf_tree *, void *element);
/* User and password stand together, or neither does. */
void conf_hooks_management(struct conf_parse *, struct conf_tree *,
    void *element);
/* Reads a header's value from its file. */
void conf_hooks_header(struct conf_parse *, struct conf_tree *, void *element);
/* HTTP header names do not differ in case. */
void conf_hooks_headers(struct conf_parse *, struct conf_tree *, void *element);
/* One kind of handler, and its own rules; the breaker's times. */
void conf_hooks_downstream(struct conf_parse *, struct conf_tree *,
    void *element);
/* The program of a command is a path when it has a slash. */
void conf_hooks_exec(struct conf_parse *, struct conf_tree *, void *element);
/* Where its path stands; limits are for processes. */
void conf_hooks_plugin(struct conf_parse *, struct conf_tree *, void *element);
/* One kind of probe. */
void conf_hooks_probe(struct conf_parse *, struct conf_tree *, void *element);
/* What stands beside a then must have an effect. */
void conf_hooks_rule(struct conf_parse *, struct conf_tree *, void *element);
/* Derived names, triggers and rules; cap and first; healthy needs a probe. */
void conf_hooks_pipeline(struct conf_parse *, struct conf_tree *,
    void *element);
void conf_hooks_declare(struct conf_parse *, struct conf_tree *, void *element);
void conf_hooks_order_header(struct conf_parse *, struct conf_tree *,
    void *element);
/* healthy, {every: …} or {cron: …}. */
void conf_hooks_trigger(struct conf_parse *, struct conf_tree *, void *element);
/* A filter that is given has no default reasons. */
void conf_hooks_only(struct conf_parse *, struct conf_tree *, void *element);
void conf_hooks_redrives_above(struct conf_parse *, struct conf_tree *,
    void *element);

#endif
