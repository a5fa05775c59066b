/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The two homes of a plugin, for handler_plugin.c alone. */
#ifndef DLO_DOWNSTREAM_HANDLER_PLUGIN_H
#define DLO_DOWNSTREAM_HANDLER_PLUGIN_H

#include "downstream/handler.h"

struct conf_plugin;

/* In processes; `name` is the downstream's. Copies both. */
struct handler *plugin_outside_new(struct loop *, const char *name,
    const struct conf_plugin *);
/*
 * In this process. It is loaded and started at once; while it does not start,
 * each attempt is a retry, plugin.init, and now and then it is tried again.
 */
struct handler *plugin_inside_new(struct loop *, const char *name,
    const struct conf_plugin *);

#endif
