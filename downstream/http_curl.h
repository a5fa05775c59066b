/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Checked calls of libcurl. None of the errors is expected of a correct
 * program with memory left: each ends the process, with its reason on stderr.
 */
#ifndef DLO_DOWNSTREAM_HTTP_CURL_H
#define DLO_DOWNSTREAM_HTTP_CURL_H

#include <curl/curl.h>
#include <stdbool.h>

/* `what` was done; when not `good`, `why` says why it was not. */
void http_curl_check(bool good, const char *what, const char *why);
void http_curl_easy(CURLcode, const char *what);
void http_curl_multi(CURLMcode, const char *what);

#define EASY_SET(easy, option, value) \
	http_curl_easy(curl_easy_setopt(easy, option, value), #option)
#define EASY_GET(easy, info, pointer) \
	http_curl_easy(curl_easy_getinfo(easy, info, pointer), #info)
#define MULTI_SET(multi, option, value) \
	http_curl_multi(curl_multi_setopt(multi, option, value), #option)

#endif
