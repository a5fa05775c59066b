/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* W3C Trace Context headers: is it one, so that it may be passed on? Pure. */
#ifndef DLO_DOWNSTREAM_TRACE_H
#define DLO_DOWNSTREAM_TRACE_H

#include <stdbool.h>

#include "downstream/attempt.h"

/* `version-trace id-parent id-flags`, in lower case hex, ids not 0. */
bool trace_parent_valid(const struct attempt_text *);
/* Printable ASCII, at most 512 bytes, with a key and a value in it. */
bool trace_state_valid(const struct attempt_text *);

#endif
