/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What the control API shows of the pipelines. */
#ifndef DLO_REDRIVE_VIEW_H
#define DLO_REDRIVE_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/compiler.h"
#include "redrive/looks.h"

struct conf;
struct conf_filter;
struct conf_pipeline;
struct redrive;

/*
 * All pipelines at a glance, the caller's to json_decref:
 *	{"role":"active","redrive":true,"pipelines":[{"name","queue","dead",
 *	 "oldest","parked","archived","downstream","healthy","breaker","job"}]}
 * What nobody knows is null.
 */
json_t *view_pipelines(struct redrive *, const struct conf *) must_use;

enum view_queue { VIEW_DEAD, VIEW_PARKED, VIEW_ARCHIVE };

struct view_look {
	enum view_queue queue;
	const struct conf_filter *filter; /* must outlive the look */
	uint64_t limit;			  /* 0: none */
};

/* Why there is no look. */
struct view_refusal {
	bool busy; /* else it is the connection or the role */
	const char *code, *text, *hint;
};

/* NULL: see the refusal. */
struct look *view_look(struct redrive *, const struct conf_pipeline *,
    const struct view_look *, const struct look_cbs *, void *arg,
    struct view_refusal *) must_use;

#endif
