/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The listen address that depends on the machine. */
#ifndef DLO_CONFIG_CONF_LISTEN_H
#define DLO_CONFIG_CONF_LISTEN_H

#include "config/conf.h"

/*
 * dlo-redrive's socket when none is configured: redrive.sock in
 * $RUNTIME_DIRECTORY, else in /run/dlo where we may, else in
 * $XDG_RUNTIME_DIR/dlo. The folder may be missing.
 */
void conf_listen_redrive(struct conf_listen *out);

#endif
