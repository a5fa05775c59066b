/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/limit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "downstream/http_client.h"
#include "downstream/http_curl.h"
#include "lib/buf.h"
#include "lib/xalloc.h"

#define TIMEOUT_MS 10000

enum {
	STATUS_OK = 200,
	STATUS_UNAUTHORIZED = 401,
	STATUS_FORBIDDEN = 403,
};

struct limit {
	struct http_client *client;
	struct http_client_call *call; /* NULL: it is not asking */
	limit_cb *cb;
	void *arg;
};

static void
add_escaped(struct buf *out, const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);

	if (escaped == NULL)
		abort();
	buf_add_str(out, escaped);
	curl_free(escaped);
}

/* "http://user:password@host/api/queues/vhost/queue?…" */
static void
make_url(struct buf *out, const struct conf_broker *broker, const char *queue)
{
	const char *base = broker->management.url;
	const char *host = strstr(base, "://") + strlen("://");
	size_t len = strlen(base);

	while (base[len - 1] == '/')
		len--;
	buf_add(out, base, (size_t)(host - base));
	add_escaped(out, broker->user);
	buf_add_u8(out, ':');
	add_escaped(out, broker->password.text);
	buf_add_u8(out, '@');
	buf_add(out, host, len - (size_t)(host - base));
	buf_add_str(out, "/api/queues/");
	add_escaped(out, broker->vhost);
	buf_add_u8(out, '/');
	add_escaped(out, queue);
	buf_add_str(out, "?columns=type,arguments,effective_policy_definition");
}

struct limit *
limit_new(struct loop *loop, const struct conf_broker *broker,
    const char *queue, limit_cb *cb, void *arg)
{
	struct http_client_params params = {
		.timeout_ms = TIMEOUT_MS,
		.connect_timeout_ms = broker->connect_timeout_ms,
		.connections = 1,
		.fresh = true,
		.ca = broker->tls.ca,
		.cert = broker->tls.cert,
		.key = broker->tls.key,
	};
	struct buf url = { 0 };
	struct limit *limit;

	if (broker->management.url == NULL || broker->password.text == NULL)
		return NULL;
	limit = xcalloc(1, sizeof(*limit));
	limit->cb = cb;
	limit->arg = arg;
	make_url(&url, broker, queue);
	params.url = buf_str(&url);
	limit->client = http_client_new(loop, &params);
	buf_clear(&url);
	return limit;
}

void
limit_free(struct limit *limit)
{
	if (limit == NULL)
		return;
	http_client_free(limit->client);
	free(limit);
}

static const json_t *
argument_of(const json_t *queue, const char *key)
{
	return json_object_get(json_object_get(queue, "arguments"), key);
}

static const json_t *
policy_of(const json_t *queue, const char *key)
{
	return json_object_get(json_object_get(queue,
				   "effective_policy_definition"),
	    key);
}

static bool
is_limited(const json_t *queue)
{
	return argument_of(queue, "x-max-length") != NULL ||
	    argument_of(queue, "x-max-length-bytes") != NULL ||
	    policy_of(queue, "max-length") != NULL ||
	    policy_of(queue, "max-length-bytes") != NULL;
}

/* Of a quorum queue the policy's overflow counts, of others the argument. */
static bool
drops(const json_t *queue)
{
	static const char rejects[] = "reject-publish";
	const char *type = json_string_value(json_object_get(queue, "type"));
	const json_t *argument = argument_of(queue, "x-overflow");
	const json_t *policy = policy_of(queue, "overflow");
	const char *overflow;

	if (argument == NULL ||
	    (policy != NULL && type != NULL && strcmp(type, "quorum") == 0))
		overflow = json_string_value(policy);
	else
		overflow = json_string_value(argument);
	/* There is a reject-publish-dlx, too. */
	return is_limited(queue) &&
	    (overflow == NULL ||
		strncmp(overflow, rejects, strlen(rejects)) != 0);
}

static void
judge(struct limit *limit, const struct http_client_answer *answer)
{
	json_t *queue = json_loadb(answer->body, answer->body_bytes, 0, NULL);

	if (json_is_object(queue))
		limit->cb(limit->arg,
		    drops(queue) ? LIMIT_DROPS : LIMIT_HARMLESS, "");
	else
		limit->cb(limit->arg, LIMIT_UNKNOWN,
		    "the management API's answer is not understood");
	json_decref(queue);
}

static void
on_answer(void *arg, const struct http_client_answer *answer)
{
	struct limit *limit = arg;
	char why[64];

	limit->call = NULL;
	if (answer->result != HTTP_CLIENT_ANSWER) {
		limit->cb(limit->arg, LIMIT_UNKNOWN, answer->error);
	} else if (answer->status == STATUS_UNAUTHORIZED ||
	    answer->status == STATUS_FORBIDDEN) {
		limit->cb(limit->arg, LIMIT_UNKNOWN,
		    "the management API lets only users with the tag "
		    "management in");
	} else if (answer->status != STATUS_OK) {
		(void)snprintf(why, sizeof(why),
		    "the management API answers %u", answer->status);
		limit->cb(limit->arg, LIMIT_UNKNOWN, why);
	} else {
		judge(limit, answer);
	}
}

void
limit_ask(struct limit *limit)
{
	if (limit->call == NULL)
		limit->call = http_client_start(limit->client, NULL, NULL, 0,
		    on_answer, limit);
}

void
limit_cancel(struct limit *limit)
{
	if (limit->call != NULL)
		http_client_cancel(limit->call);
	limit->call = NULL;
}
