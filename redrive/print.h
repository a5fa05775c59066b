/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What --once tells people, on stdout. */
#ifndef DLO_REDRIVE_PRINT_H
#define DLO_REDRIVE_PRINT_H

#include "lib/buf.h"
#include "redrive/once.h"

/*
 * Appends what became of one pipeline, as lines of at most 100 columns. Texts
 * from the broker and from messages are made harmless.
 */
void print_result(struct buf *, const struct once_result *);

#endif
