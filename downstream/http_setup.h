/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a handle is told once, for all requests of its client: where to, in
 * what time, and whom to trust. Only the configuration says where a request
 * goes: no redirect, no proxy of the environment, no .netrc, no cookie.
 */
#ifndef DLO_DOWNSTREAM_HTTP_SETUP_H
#define DLO_DOWNSTREAM_HTTP_SETUP_H

#include <curl/curl.h>

#include "downstream/http_client.h"

/* libcurl copies the texts. */
void http_setup(CURL *, const struct http_client_params *);

#endif
