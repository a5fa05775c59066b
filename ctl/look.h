/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Looks at the broker: through the management API when there is one, else by
 * AMQP, which shows only what exists. It blocks.
 */
#ifndef DLO_CTL_LOOK_H
#define DLO_CTL_LOOK_H

#include <stdbool.h>

#include "config/conf.h"
#include "ctl/api.h"
#include "ctl/sight.h"

struct look {
	struct sight sight;
	struct topology *topology;
	struct api *api; /* NULL: no management API */
};

/*
 * Fills it. With `patient`, waits some seconds for queues that have told
 * nothing of themselves yet, and looks twice at messages that seem stuck.
 * Returns CLI_OK, or an exit code after a line on stderr. To be closed in any
 * case.
 */
int look_open(struct look *, const struct conf *, bool patient) must_use;
/* Asks the management API, if there is one, again. */
int look_again(struct look *) must_use;
void look_close(struct look *);
/* Says why a command ends, and what to do about it (or NULL). */
void look_complain(const char *problem, const char *hint);

#endif
