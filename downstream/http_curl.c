/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_curl.h"

#include <stdio.h>
#include <stdlib.h>

void
http_curl_check(bool good, const char *what, const char *why)
{
	if (good)
		return;
	fprintf(stderr, "libcurl: %s: %s\n", what, why);
	abort();
}

void
http_curl_easy(CURLcode code, const char *what)
{
	http_curl_check(code == CURLE_OK, what, curl_easy_strerror(code));
}

void
http_curl_multi(CURLMcode code, const char *what)
{
	http_curl_check(code == CURLM_OK, what, curl_multi_strerror(code));
}
