/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A filter as JSON, with the keys and values of redrive.only in dlo.yaml:
 *	{"reason": ["deadline"], "class": ["http"], "error": "text",
 *	 "id": ["m-1"], "older_than": "10m", "newer_than": "24h",
 *	 "routing_key": "order.*", "header": {"k": "v"}, "redrives_above": 1}
 * A single reason, class or id may stand without brackets. Pure.
 */
#ifndef DLO_REDRIVE_FILTER_JSON_H
#define DLO_REDRIVE_FILTER_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "config/conf.h"
#include "lib/compiler.h"

/* Its texts are those of `json`. */
struct filter_json {
	struct conf_filter filter;
	json_t *json;
	const char **texts; /* of all its lists */
	struct conf_match *headers;
};

/*
 * Reads it; NULL asks for nothing. -1: `problem` says what is wrong, for
 * people. To be cleared in any case.
 */
int filter_json_read(struct filter_json *, json_t *, char *problem,
    size_t space) must_use;
void filter_json_clear(struct filter_json *);
/* The other way round; the caller's to json_decref. */
json_t *filter_json_of(const struct conf_filter *) must_use;

#endif
