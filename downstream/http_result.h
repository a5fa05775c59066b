/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What libcurl's code for the end of a transfer means to us. */
#ifndef DLO_DOWNSTREAM_HTTP_RESULT_H
#define DLO_DOWNSTREAM_HTTP_RESULT_H

#include <curl/curl.h>

#include "downstream/http_client.h"

/* `error` is what libcurl says of it, or "". */
enum http_client_result http_result(CURL *, CURLcode, const char *error);

#endif
