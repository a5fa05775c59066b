/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/conf.h"
#include "downstream/http_client.h"
#include "lib/xalloc.h"

struct probe_http {
	struct probe_driver base;
	struct http_client *client;
	struct http_client_call *call; /* NULL: idle */
	unsigned expect;
	probe_driver_cb *cb;
	void *arg;
};

static void
http_cancel(struct probe_driver *driver)
{
	struct probe_http *http = container_of(driver, struct probe_http, base);

	if (http->call != NULL)
		http_client_cancel(http->call);
	http->call = NULL;
}

static void
http_answered(void *arg, const struct http_client_answer *answer)
{
	struct probe_http *http = arg;
	char why[64];

	http->call = NULL;
	if (answer->result != HTTP_CLIENT_ANSWER) {
		http->cb(http->arg, false, answer->error);
	} else if (answer->status != http->expect) {
		snprintf(why, sizeof(why), "HTTP %u instead of %u",
		    answer->status, http->expect);
		http->cb(http->arg, false, why);
	} else {
		http->cb(http->arg, true, NULL);
	}
}

static void
http_start(struct probe_driver *driver, int64_t timeout_ms, probe_driver_cb *cb,
    void *arg)
{
	struct probe_http *http = container_of(driver, struct probe_http, base);

	(void)timeout_ms;
	http->cb = cb;
	http->arg = arg;
	http->call =
	    http_client_start(http->client, NULL, NULL, 0, http_answered, http);
}

static void
http_free(struct probe_driver *driver)
{
	struct probe_http *http = container_of(driver, struct probe_http, base);

	http_client_free(http->client);
	free(http);
}

/* Whether both URLs have the same scheme, host and port, as written. */
static bool
same_place(const char *a, const char *b)
{
	size_t len;

	if (a == NULL || b == NULL)
		return false;
	len = strlen("https://");
	len += strcspn(a + len, "/?");
	return strncasecmp(a, b, len) == 0 &&
	    (b[len] == '\0' || b[len] == '/' || b[len] == '?');
}

struct probe_driver *
probe_http_new(struct loop *loop, const struct conf_downstream *conf)
{
	static const struct probe_driver_ops ops = {
		.start = http_start,
		.cancel = http_cancel,
		.free = http_free,
	};
	/* A connection that is kept open would hide that new ones fail. */
	struct http_client_params params = {
		.url = conf->probe.url,
		.connections = 1,
		.fresh = true,
		.ca = conf->http.ca,
		.cert = conf->http.cert,
		.key = conf->http.key,
	};
	struct probe_http *http = xcalloc(1, sizeof(*http));

	if (same_place(conf->http.url, conf->probe.url))
		params.socket = conf->http.socket;
	http->base.ops = &ops;
	http->client = http_client_new(loop, &params);
	http->expect = conf->probe.expect;
	return &http->base;
}
