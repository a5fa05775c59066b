/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/http_verdict.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "downstream/builtin.h"

#define DELAY_MAX_S (365 * 86400)

static const char *
class_of(enum http_client_result result)
{
	switch (result) {
	case HTTP_CLIENT_DNS:
		return "http.dns";
	case HTTP_CLIENT_CONNECT:
		return "http.connect";
	case HTTP_CLIENT_TLS:
		return "http.tls";
	case HTTP_CLIENT_TIMEOUT:
		return "http.timeout";
	case HTTP_CLIENT_BROKEN:
		return "http.broken";
	case HTTP_CLIENT_ANSWER:
		break;
	}
	abort();
}

int64_t
http_verdict_retry_after_ms(const char *value, int64_t wall_ms)
{
	int64_t delay_s = 0, date_s;
	size_t digits;

	value += strspn(value, " \t");
	digits = strspn(value, "0123456789");
	if (digits > 0 &&
	    value[digits + strspn(value + digits, " \t")] == '\0') {
		while (digits-- > 0 && delay_s < DELAY_MAX_S)
			delay_s = delay_s * 10 + (*value++ - '0');
	} else {
		if ((date_s = curl_getdate(value, NULL)) < 0)
			return -1;
		/* Rounded up: never earlier than asked for. */
		delay_s = date_s - wall_ms / 1000;
	}
	if (delay_s <= 0)
		return -1;
	return (delay_s < DELAY_MAX_S ? delay_s : DELAY_MAX_S) * 1000;
}

void
http_verdict(struct verdict *v, const struct http_client_answer *answer,
    int64_t wall_ms)
{
	char class[VERDICT_CLASS_SPACE];
	bool answered = answer->result == HTTP_CLIENT_ANSWER;

	if (answered)
		(void)snprintf(class, sizeof(class), "http.%u", answer->status);
	else
		(void)snprintf(class, sizeof(class), "%s",
		    class_of(answer->result));
	verdict_init(v, builtin_outcome(CONF_KIND_HTTP, class), "%s", class);
	if (v->outcome == OUTCOME_OK)
		return;
	if (!answered) {
		verdict_set_error(v, answer->error, strlen(answer->error));
		return;
	}
	verdict_set_error(v, answer->body, answer->body_bytes);
	/* Of a reject too: a rule may have it tried again. */
	if (answer->retry_after != NULL)
		v->delay_ms =
		    http_verdict_retry_after_ms(answer->retry_after, wall_ms);
}
