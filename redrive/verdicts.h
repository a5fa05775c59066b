/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Listens on `dlo.verdicts` while it has a connection: each message is read
 * (news.h), told, and acked. What is not believed is acked too and said once a
 * minute at most. A channel that goes is opened anew, after a while.
 */
#ifndef DLO_REDRIVE_VERDICTS_H
#define DLO_REDRIVE_VERDICTS_H

#include "lib/loop.h"
#include "redrive/news.h"

struct conf_texts;
struct rmq_conn;
struct verdicts;

/* From the loop, never inside a call; gone on return. */
typedef void verdicts_cb(void *arg, const struct news *);

/* `queue` and `trusted` must outlive it. */
struct verdicts *verdicts_new(struct loop *, const char *queue,
    const struct conf_texts *trusted, verdicts_cb *, void *arg);
/* NULL is fine. */
void verdicts_free(struct verdicts *);
/* The connection is up, or gone (NULL; its channels are closed). */
void verdicts_link(struct verdicts *, struct rmq_conn *);

#endif
