/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_setup.h"

#include <string.h>
#include <strings.h>

#include "downstream/http_curl.h"
#include "lib/build.h"

static void
set_route(CURL *easy, const struct http_client_params *params)
{
	EASY_SET(easy, CURLOPT_URL, params->url);
	EASY_SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	EASY_SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	/* Else http_proxy and the like decide. */
	EASY_SET(easy, CURLOPT_PROXY, "");
	EASY_SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	if (params->socket != NULL)
		EASY_SET(easy, CURLOPT_UNIX_SOCKET_PATH, params->socket);
	if (params->fresh) {
		EASY_SET(easy, CURLOPT_FRESH_CONNECT, 1L);
		EASY_SET(easy, CURLOPT_FORBID_REUSE, 1L);
	}
}

static void
set_times(CURL *easy, const struct http_client_params *params)
{
	EASY_SET(easy, CURLOPT_NOSIGNAL, 1L);
	/* Else a cancel waits for the thread that resolves the name. */
	EASY_SET(easy, CURLOPT_QUICK_EXIT, 1L);
	EASY_SET(easy, CURLOPT_TIMEOUT_MS, (long)params->timeout_ms);
	EASY_SET(easy, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)params->connect_timeout_ms);
}

static void
set_tls(CURL *easy, const struct http_client_params *params)
{
	bool tls = strncasecmp(params->url, "https:", 6) == 0;

	/* HTTP/2 if the peer's TLS offers it; never by Upgrade. */
	EASY_SET(easy, CURLOPT_HTTP_VERSION,
	    (long)(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	EASY_SET(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	EASY_SET(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	EASY_SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (params->ca != NULL) {
		EASY_SET(easy, CURLOPT_CAINFO, params->ca);
		/* Else the system's authorities would be trusted as well. */
		EASY_SET(easy, CURLOPT_CAPATH, NULL);
	}
	if (params->cert != NULL) {
		EASY_SET(easy, CURLOPT_SSLCERT, params->cert);
		EASY_SET(easy, CURLOPT_SSLKEY, params->key);
		/* Else OpenSSL would ask for one at the terminal. */
		EASY_SET(easy, CURLOPT_KEYPASSWD, "");
	}
}

static void
set_method(CURL *easy, const struct http_client_params *params)
{
	EASY_SET(easy, CURLOPT_USERAGENT, "dlo/" PACKAGE_VERSION);
	if (params->method == NULL) {
		EASY_SET(easy, CURLOPT_HTTPGET, 1L);
		return;
	}
	EASY_SET(easy, CURLOPT_POST, 1L);
	if (strcmp(params->method, "POST") != 0)
		EASY_SET(easy, CURLOPT_CUSTOMREQUEST, params->method);
}

void
http_setup(CURL *easy, const struct http_client_params *params)
{
	set_route(easy, params);
	set_times(easy, params);
	set_tls(easy, params);
	set_method(easy, params);
}
