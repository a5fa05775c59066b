/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Memory that a worker shares with us: which message it is at, and its
 * answers. So nothing of what it did is lost when it crashes. The worker may
 * write whatever its plugin's bugs make it write: each value is read once,
 * copied, and then judged.
 */
#ifndef DLO_DOWNSTREAM_PLUGIN_PAGE_H
#define DLO_DOWNSTREAM_PLUGIN_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "downstream/verdict.h"
#include "include/dlo/handler.h"
#include "lib/compiler.h"

/* Messages that a worker may have at once, and so answers. */
#define PLUGIN_PAGE_SLOTS 1024

/* An answer, on its way out. Only the first *_len bytes of a text are set. */
struct plugin_answer {
	uint64_t call;
	int64_t delay_ms;
	int32_t outcome;
	int32_t code;
	uint32_t class_len;
	uint32_t error_len;
	char class[VERDICT_CLASS_SPACE];
	char error[VERDICT_ERROR_MAX];
};

struct plugin_page {
	/* How many messages the plugin was handed in this life. */
	_Atomic uint64_t begun;
	/* How many answers were ever written. */
	_Atomic uint64_t answered;
	/* Whether we know that there are some: no need to tell again. */
	_Atomic uint32_t told;
	uint32_t reserved;
	struct plugin_answer answers[PLUGIN_PAGE_SLOTS];
};

/* What a plugin said, cut to its space. */
void plugin_answer_set(struct plugin_answer *, uint64_t call,
    const struct dlo_verdict *);

/*
 * A new one, zeroed; *fd is for the worker, to be closed by the caller. NULL:
 * errno.
 */
struct plugin_page *plugin_page_new(int *fd) must_use;
/* In the worker: what is behind that descriptor. NULL: errno. */
struct plugin_page *plugin_page_map(int fd) must_use;
/* NULL is fine. */
void plugin_page_free(struct plugin_page *);

/* In the worker, one thread at a time: there is room, the parent sees to it. */
void plugin_page_add(struct plugin_page *, uint64_t call,
    const struct dlo_verdict *);
/*
 * The next answer after *taken, which is counted on. 1: a copy of it is in
 * *answer; 0: there is none; -1: what stands there makes no sense.
 */
int plugin_page_take(struct plugin_page *, uint64_t *taken,
    struct plugin_answer *answer) must_use;

#endif
