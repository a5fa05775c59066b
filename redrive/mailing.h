/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Letters that an operator brings along, as letter_json.h has them: put into
 * the dead-letter queue (import), or, edited, into the work queue. As for all
 * else: safe when confirmed without a return.
 *
 * A letter's dlo-* headers are believed if its user_id is a trusted one, as if
 * it had come from the broker: an import gives nobody a say who had none.
 */
#ifndef DLO_REDRIVE_MAILING_H
#define DLO_REDRIVE_MAILING_H

#include <jansson.h>
#include <stddef.h>

#include "lib/compiler.h"

struct conf_pipeline;
struct job_env;
struct mailing;
struct topology_pipeline_names;

enum mailing_where {
	MAILING_DEAD, /* the dead-letter queue */
	MAILING_WORK, /* the work queue, as an edited copy with an id of its own
		       */
};

/* All that it points to must outlive the mailing, but `letters`. */
struct mailing_options {
	const struct job_env *env;
	const struct conf_pipeline *conf;
	const struct topology_pipeline_names *names;
	enum mailing_where where;
	const json_t *letters; /* a list */
};

/*
 * All have their verdict: `count` of them are safe, from the first on;
 * `why` is NULL when that is all of them. From the loop; the mailing is gone on
 * return.
 */
typedef void mailing_cb(void *arg, size_t count, const char *why);

/*
 * Publishes them. NULL: nothing was done, and `*why` (static) says which of
 * the letters, `*which`, is wrong.
 */
struct mailing *mailing_new(const struct mailing_options *options,
    mailing_cb *cb, void *arg, const char **why, size_t *which) must_use;
/* No callback any more; what is under way may or may not arrive. */
void mailing_free(struct mailing *);

#endif
