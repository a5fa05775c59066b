/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A broker on paper: what the management API would say of one in which all is
 * as the configuration wants, to be spoilt by the tests. The pipelines are
 * `orders`, whose quorum work queue is somebody else's and has the policy
 * dlo-orders, and `mails`, whose work queue is ours.
 */
#ifndef DLO_TESTS_CTL_RIG_H
#define DLO_TESTS_CTL_RIG_H

#include "ctl/report.h"
#include "ctl/sight.h"

struct rig {
	struct conf conf;
	struct topology *topology;
	json_t *parts[FOUND_PARTS];
	struct sight sight;
	struct report report;
};

void rig_init(struct rig *);
void rig_clear(struct rig *);

/* The row of that name, or NULL. */
json_t *rig_row(struct rig *, enum found_part, const char *name);
/* Merges an object, given as text with ' for ", into that row. */
void rig_patch(struct rig *, enum found_part, const char *name,
    const char *patch);
/* Adds a row, given in the same way. */
void rig_add(struct rig *, enum found_part, const char *row);
/* Takes a row out. */
void rig_drop(struct rig *, enum found_part, const char *name);
/* Takes bindings of that source, destination and key out. */
void rig_unbind(struct rig *, const char *source, const char *destination,
    const char *key);
/* What was told, as the sight that is judged. */
void rig_tell(struct rig *);
/* "code object" of each finding, a line each. */
void rig_findings(const struct rig *, struct buf *);
/* The first finding with that code; NULL: none. */
const struct report_finding *rig_finding(const struct rig *, const char *code);

/* JSON written with ' for ". */
json_t *rig_json(const char *text);

#endif
