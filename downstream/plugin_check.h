/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Whether plugins are any, found out before they are needed. */
#ifndef DLO_DOWNSTREAM_PLUGIN_CHECK_H
#define DLO_DOWNSTREAM_PLUGIN_CHECK_H

struct conf;
struct conf_errors;

/*
 * Loads each plugin of the configuration in a process of its own, without
 * init; what is wrong is added to `errors`. Takes as long as that takes.
 */
void plugin_check(const struct conf *, struct conf_errors *errors);

#endif
