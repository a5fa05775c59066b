/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Follows a job to its end, with a bar on a terminal. */
#ifndef DLO_CTL_WAIT_H
#define DLO_CTL_WAIT_H

#include <jansson.h>

#include "ctl/remote.h"
#include "lib/compiler.h"

/*
 * Asks for the job until it has ended. CLI_OK: `ended` is the caller's to
 * json_decref. A daemon that cannot be asked for a while is asked again.
 */
int wait_for(struct remote *, const char *id, json_t **ended) must_use;

#endif
