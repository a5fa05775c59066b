/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* The streams of the programs: lib/stream.h on bufferevents. */
#ifndef DLO_LIB_STREAM_LIBEVENT_H
#define DLO_LIB_STREAM_LIBEVENT_H

#include "lib/loop.h"
#include "lib/stream.h"

/* Streams on a loop made by loop_libevent_new. */
struct stream_net *stream_libevent_new(struct loop *);
/*
 * Cuts every stream that is still there (those already closed too) without a
 * callback; NULL is fine. Not from a callback; before loop_free.
 */
void stream_libevent_free(struct stream_net *);

#endif
