/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Tables as text, so that a test can be read. */
#ifndef DLO_TESTS_DLX_DUMP_H
#define DLO_TESTS_DLX_DUMP_H

#include "amqp/message.h"
#include "lib/buf.h"

/*
 * Appends ` name=value` for each header: numbers as such, text as such, true
 * and false, anything else as its type letter and its value in hex.
 */
void dump_table(struct buf *out, struct rmq_slice table);

#endif
