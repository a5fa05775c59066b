/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * May we publish where retries and dead letters go, and as the user we say
 * that we are? Better asked at start than found out by the first failure. The
 * broker tells only by a publish, so each exchange gets an empty message with
 * a routing key that no queue is bound by: it comes back, or is refused.
 */
#ifndef DLO_DLX_RIGHTS_H
#define DLO_DLX_RIGHTS_H

#include <stddef.h>

#include "amqp/publisher.h"

struct rights;

/* What was found; `exchange` is the first that is refused, NULL: none. */
struct rights_result {
	const char *exchange;
	/* 403: no right; 404: no such exchange; 406: we are another user */
	unsigned code;
	const char *text;
};
typedef void rights_done_cb(void *arg, const struct rights_result *);

/*
 * Asks for each of `count` exchanges, whose names must outlive the question;
 * `user` goes along as user_id, as with every copy.
 * `done` comes once, never inside this call; free it then or at any time.
 */
struct rights *rights_new(struct rmq_publisher *, const char *user,
    const char *const *exchanges, size_t count, rights_done_cb *done,
    void *arg);
/* No callback after this; NULL is fine. */
void rights_free(struct rights *);

#endif
