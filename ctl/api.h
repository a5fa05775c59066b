/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The broker's management API, one request after the other, each bounded in
 * time and size. It blocks: this is for commands, never for daemons. Passwords
 * appear in no text.
 */
#ifndef DLO_CTL_API_H
#define DLO_CTL_API_H

#include <stdint.h>

#include "config/conf.h"
#include "ctl/found.h"

struct api;

enum api_result {
	API_OK,
	API_DENIED,	 /* user, password, or a right */
	API_GONE,	 /* no such thing */
	API_UNREACHABLE, /* no answer */
	API_STRANGE,	 /* an answer that a broker would not give */
};

/*
 * The one of broker->management, whose URL must be there; `answer_ms`: how long
 * each answer may take.
 */
struct api *api_open(const struct conf_broker *, int64_t answer_ms);
/* NULL is fine. */
void api_close(struct api *);

/*
 * Asks for a part of the virtual host and gives it to `found`. What is wrong
 * otherwise is in *problem, which the caller frees.
 */
enum api_result api_get(struct api *, enum found_part, struct found *,
    char **problem) must_use;
/*
 * Asks for the arguments of one exchange or queue that was found. Lists come
 * without them: anybody's may be such that no list with them can be read.
 */
enum api_result api_get_arguments(struct api *, enum found_part,
    const char *name, struct found *, char **problem) must_use;
/* Removes a binding. */
enum api_result api_unbind(struct api *, const struct found_binding *,
    char **problem) must_use;

#endif
