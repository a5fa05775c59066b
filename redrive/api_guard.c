/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/api_guard.h"

#include <string.h>
#include <strings.h>

#include "lib/text.h"

#define BEARER "Bearer "

/* Any port will do: the name is what a foreign page cannot choose. */
static bool
is_our_host(const struct conf_listen *listen, const char *host)
{
	static const char *const loopback[] = { "localhost", "127.0.0.1",
		"::1" };
	struct text_address address;

	if (host == NULL || text_parse_address(host, 0, &address) == -1)
		return false;
	for (size_t i = 0; i < array_len(loopback); i++) {
		if (strcasecmp(address.host, loopback[i]) == 0)
			return true;
	}
	return strcasecmp(address.host, listen->host) == 0;
}

/* "http://" and what the Host says, and nothing more. */
static bool
is_same_site(const char *origin, const char *host)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < array_len(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (strncasecmp(origin, schemes[i], len) == 0)
			return host != NULL &&
			    strcasecmp(origin + len, host) == 0;
	}
	return false;
}

static bool
is_token(const char *token, const char *authorization)
{
	const char *given;

	if (authorization == NULL ||
	    strncasecmp(authorization, BEARER, strlen(BEARER)) != 0)
		return false;
	given = authorization + strlen(BEARER);
	return text_equal_secret(token, strlen(token), given, strlen(given));
}

enum api_guard_verdict
api_guard(const struct conf_listen *listen, const char *token,
    const struct api_guard_request *request)
{
	bool tcp = listen->kind == CONF_LISTEN_TCP;

	if (tcp && !is_our_host(listen, request->host))
		return API_GUARD_HOST;
	if (request->origin != NULL &&
	    !is_same_site(request->origin, request->host))
		return API_GUARD_ORIGIN;
	if (tcp && token == NULL)
		return API_GUARD_NO_TOKEN;
	if (tcp && !is_token(token, request->authorization))
		return API_GUARD_TOKEN;
	return API_GUARD_OK;
}
