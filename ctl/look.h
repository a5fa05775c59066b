/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Looks at the broker: through the management API when there is one, else by
 * AMQP, which shows only what exists. It blocks.
 */
#ifndef DLO_CTL_LOOK_H
#define DLO_CTL_LOOK_H

#include <stdint.h>

#include "config/conf.h"
#include "ctl/api.h"
#include "ctl/sight.h"

/* How long it waits. */
struct look_waits {
	int64_t answer_ms; /* for each answer of the management API */
	/*
	 * For queues that have told nothing of themselves yet; 0: not at all,
	 * nor are messages that seem stuck looked at twice.
	 */
	int64_t told_ms;
};

extern const struct look_waits look_brisk, look_patient;

struct look {
	struct sight sight;
	struct topology *topology;
	struct api *api; /* NULL: no management API */
};

/*
 * Fills it. A queue that keeps silent for too long is not told of in there.
 * Returns CLI_OK, or an exit code after a line on stderr. To be closed in any
 * case.
 */
int look_open(struct look *, const struct conf *,
    const struct look_waits *) must_use;
/* Asks the management API, if there is one, again. */
int look_again(struct look *) must_use;
void look_close(struct look *);
/* Says why a command ends, and what to do about it (or NULL). */
void look_complain(const char *problem, const char *hint);

#endif
