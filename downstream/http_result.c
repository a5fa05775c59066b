/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_result.h"

#include <string.h>

#include "downstream/http_curl.h"

static curl_off_t
time_of(CURL *easy, CURLINFO info)
{
	curl_off_t time_us;

	EASY_GET(easy, info, &time_us);
	return time_us;
}

/* What was going on when the time was up. */
static enum http_client_result
result_of_timeout(CURL *easy)
{
	long connects;

	if (time_of(easy, CURLINFO_PRETRANSFER_TIME_T) > 0)
		return HTTP_CLIENT_TIMEOUT;
	EASY_GET(easy, CURLINFO_NUM_CONNECTS, &connects);
	if (connects > 0)
		return HTTP_CLIENT_TLS;
	if (time_of(easy, CURLINFO_NAMELOOKUP_TIME_T) > 0)
		return HTTP_CLIENT_CONNECT;
	return HTTP_CLIENT_DNS;
}

/*
 * With TLS 1.3 our handshake is over before the peer has looked at our
 * certificate: its refusal is an alert in the place of the answer.
 */
static enum http_client_result
result_of_break(const char *error)
{
	return strstr(error, "SSL") != NULL && strstr(error, "alert") != NULL
	    ? HTTP_CLIENT_TLS
	    : HTTP_CLIENT_BROKEN;
}

enum http_client_result
http_result(CURL *easy, CURLcode code, const char *error)
{
	switch (code) {
	case CURLE_OK:
		return HTTP_CLIENT_ANSWER;
	case CURLE_OPERATION_TIMEDOUT:
		return result_of_timeout(easy);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HTTP_CLIENT_DNS;
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_INTERFACE_FAILED:
		return HTTP_CLIENT_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_USE_SSL_FAILED:
		return HTTP_CLIENT_TLS;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return result_of_break(error);
	default:
		return HTTP_CLIENT_BROKEN;
	}
}
