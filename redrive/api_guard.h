/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Who may use the control API: see api.h. Pure. */
#ifndef DLO_REDRIVE_API_GUARD_H
#define DLO_REDRIVE_API_GUARD_H

#include "config/conf.h"

enum api_guard_verdict {
	API_GUARD_OK,
	API_GUARD_HOST,	    /* not meant for us */
	API_GUARD_ORIGIN,   /* another site's page asks */
	API_GUARD_NO_TOKEN, /* none is configured */
	API_GUARD_TOKEN,    /* none given, or a wrong one */
};

/* Headers of a request; NULL: not there. */
struct api_guard_request {
	const char *host, *origin, *authorization;
};

/* `token`: the one that is right; NULL: there is none. */
enum api_guard_verdict api_guard(const struct conf_listen *, const char *token,
    const struct api_guard_request *);

#endif
