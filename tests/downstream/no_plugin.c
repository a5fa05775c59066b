/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* A shared object that is no plugin. */
extern const int no_plugin;
const int no_plugin = 1;
