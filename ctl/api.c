/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/api.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/build.h"
#include "lib/xalloc.h"

/* Some hundred thousand queues. */
#define ANSWER_BYTES_MAX (64 << 20)

enum {
	STATUS_OK_MIN = 200,
	STATUS_OK_MAX = 299,
	STATUS_UNAUTHORIZED = 401,
	STATUS_FORBIDDEN = 403,
	STATUS_NOT_FOUND = 404,
};

struct api {
	CURL *easy;
	char *base;  /* URL up to and with "/api/" */
	char *vhost; /* escaped */
	struct buf answer;
	char error[CURL_ERROR_SIZE];
};

/* Settings fail for lack of memory, or by a mistake of ours. */
static void
check(CURLcode code)
{
	if (code != CURLE_OK)
		abort();
}

#define SET(api, option, value) \
	check(curl_easy_setopt((api)->easy, option, value))

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct api *api = arg;
	size_t len = size * count;

	if (len > ANSWER_BYTES_MAX - api->answer.len)
		return CURL_WRITEFUNC_ERROR;
	buf_add(&api->answer, bytes, len);
	return len;
}

static char *
escape(struct api *api, const char *text)
{
	char *escaped = curl_easy_escape(api->easy, text, 0);
	char *copy;

	if (escaped == NULL)
		abort();
	copy = xstrdup(escaped);
	curl_free(escaped);
	return copy;
}

static void
set_user(struct api *api, const struct conf_broker *broker)
{
	const struct conf_management *management = &broker->management;

	SET(api, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	if (management->user != NULL) {
		SET(api, CURLOPT_USERNAME, management->user);
		SET(api, CURLOPT_PASSWORD, management->password.text);
	} else {
		SET(api, CURLOPT_USERNAME, broker->user);
		SET(api, CURLOPT_PASSWORD, broker->password.text);
	}
}

static void
set_tls(struct api *api, const struct conf_tls *tls)
{
	SET(api, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(api, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(api, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (tls->ca != NULL) {
		SET(api, CURLOPT_CAINFO, tls->ca);
		/* Else the system's authorities would be trusted as well. */
		SET(api, CURLOPT_CAPATH, NULL);
	}
	if (tls->cert != NULL) {
		SET(api, CURLOPT_SSLCERT, tls->cert);
		SET(api, CURLOPT_SSLKEY, tls->key);
		/* Else OpenSSL would ask for one at the terminal. */
		SET(api, CURLOPT_KEYPASSWD, "");
	}
}

struct api *
api_open(const struct conf_broker *broker, int64_t answer_ms)
{
	struct api *api = xcalloc(1, sizeof(*api));
	size_t len = strlen(broker->management.url);

	check(curl_global_init(CURL_GLOBAL_DEFAULT));
	api->easy = curl_easy_init();
	if (api->easy == NULL)
		abort();
	while (len > 0 && broker->management.url[len - 1] == '/')
		len--;
	api->base = xasprintf("%.*s/api/", (int)len, broker->management.url);
	api->vhost = escape(api, broker->vhost);
	SET(api, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(api, CURLOPT_FOLLOWLOCATION, 0L);
	/* Else http_proxy and the like decide who is told the password. */
	SET(api, CURLOPT_PROXY, "");
	SET(api, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(api, CURLOPT_NOSIGNAL, 1L);
	SET(api, CURLOPT_CONNECTTIMEOUT_MS, (long)broker->connect_timeout_ms);
	SET(api, CURLOPT_TIMEOUT_MS, (long)answer_ms);
	SET(api, CURLOPT_USERAGENT, "dlo/" PACKAGE_VERSION);
	SET(api, CURLOPT_WRITEFUNCTION, on_body);
	SET(api, CURLOPT_WRITEDATA, api);
	SET(api, CURLOPT_ERRORBUFFER, api->error);
	set_user(api, broker);
	set_tls(api, &broker->tls);
	return api;
}

void
api_close(struct api *api)
{
	if (api == NULL)
		return;
	curl_easy_cleanup(api->easy);
	curl_global_cleanup();
	buf_clear(&api->answer);
	free(api->base);
	free(api->vhost);
	free(api);
}

/* The broker's own words, if these are some. */
static char *
problem_of(const struct api *api, const char *url, long status)
{
	json_t *answer = json_loadb((const char *)buf_peek(&api->answer),
	    api->answer.len, 0, NULL);
	const char *reason = found_text(answer, "reason");
	char *text = reason != NULL
	    ? xasprintf("%s: %ld: %s", url, status, reason)
	    : xasprintf("%s: HTTP status %ld", url, status);

	json_decref(answer);
	return text;
}

/* Carries out a request; its answer is in api->answer. */
static enum api_result
perform(struct api *api, const char *method, const char *url, char **problem)
{
	long status = 0;
	CURLcode code;

	buf_reset(&api->answer);
	api->error[0] = '\0';
	SET(api, CURLOPT_URL, url);
	SET(api, CURLOPT_CUSTOMREQUEST, method);
	code = curl_easy_perform(api->easy);
	if (code == CURLE_WRITE_ERROR) {
		*problem = xasprintf("%s: larger than %d MiB", url,
		    ANSWER_BYTES_MAX >> 20);
		return API_STRANGE;
	}
	if (code != CURLE_OK) {
		*problem = xasprintf("%s: %s", url,
		    api->error[0] != '\0' ? api->error
					  : curl_easy_strerror(code));
		return API_UNREACHABLE;
	}
	check(curl_easy_getinfo(api->easy, CURLINFO_RESPONSE_CODE, &status));
	if (status >= STATUS_OK_MIN && status <= STATUS_OK_MAX)
		return API_OK;
	*problem = problem_of(api, url, status);
	switch (status) {
	case STATUS_UNAUTHORIZED:
	case STATUS_FORBIDDEN:
		return API_DENIED;
	case STATUS_NOT_FOUND:
		return API_GONE;
	default:
		return API_STRANGE;
	}
}

static enum api_result
strange(const char *url, char **problem)
{
	*problem = xasprintf("%s: not what a broker says", url);
	return API_STRANGE;
}

/* An answer as JSON, read with these flags of jansson's. */
static enum api_result
ask(struct api *api, const char *url, size_t flags, json_t **answer,
    char **problem)
{
	enum api_result result = perform(api, "GET", url, problem);

	if (result != API_OK)
		return result;
	*answer = json_loadb((const char *)buf_peek(&api->answer),
	    api->answer.len, flags, NULL);
	return *answer != NULL ? API_OK : strange(url, problem);
}

enum api_result
api_get(struct api *api, enum found_part part, struct found *found,
    char **problem)
{
	bool all = part == FOUND_OVERVIEW;
	char *url = xasprintf("%s%s%s%s?columns=%s", api->base,
	    found_part_path(part), all ? "" : "/", all ? "" : api->vhost,
	    found_part_columns(part));
	json_t *answer;
	enum api_result result =
	    ask(api, url, JSON_ALLOW_NUL, &answer, problem);

	if (result == API_OK && found_take(found, part, answer) == -1)
		result = strange(url, problem);
	free(url);
	return result;
}

enum api_result
api_get_arguments(struct api *api, enum found_part part, const char *name,
    struct found *found, char **problem)
{
	char *escaped = escape(api, name);
	char *url = xasprintf("%s%s/%s/%s?columns=arguments", api->base,
	    found_part_path(part), api->vhost, escaped);
	json_t *answer;
	enum api_result result = ask(api, url, 0, &answer, problem);

	if (result == API_OK &&
	    found_take_arguments(found, part, name, answer) == -1)
		result = strange(url, problem);
	free(url);
	free(escaped);
	return result;
}

enum api_result
api_unbind(struct api *api, const struct found_binding *binding, char **problem)
{
	char *source = escape(api, binding->source);
	char *destination = escape(api, binding->destination);
	char *properties = escape(api, binding->properties_key);
	char *url =
	    xasprintf("%sbindings/%s/e/%s/%c/%s/%s", api->base, api->vhost,
		source, binding->to_queue ? 'q' : 'e', destination, properties);
	enum api_result result = perform(api, "DELETE", url, problem);

	free(url);
	free(source);
	free(destination);
	free(properties);
	return result;
}
