/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A queue's setting as it works: what its argument and its policies make of it
 * together. Pure.
 */
#ifndef DLO_CTL_SETTING_H
#define DLO_CTL_SETTING_H

#include <stdbool.h>
#include <stdint.h>

#include "ctl/found.h"

struct setting {
	bool is_number;
	int64_t number;
	const char *text; /* NULL: it is a number, or not set */
	bool by_policy;	  /* a policy decides, not the argument */
};

/*
 * `key` as policies write it ("message-ttl"). Of two numbers the lower one
 * works; of two texts the argument, but for the overflow of a quorum queue,
 * where the policy does.
 */
struct setting setting_of(const struct found_queue *, const char *key);
/* Whether it is set, as a number or text. */
bool setting_is_set(const struct setting *);
/* Whether what a quorum queue dead-letters is never lost. */
bool setting_is_safe(const struct found_queue *);
/*
 * The policy that decides a setting which is by_policy; *by_operator says of
 * which sort.
 */
const char *setting_policy(const struct found *, const struct found_queue *,
    const char *key, bool *by_operator);

#endif
