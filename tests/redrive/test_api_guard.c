/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Who may use the control API. */
#include "redrive/api_guard.h"

#include "tests/unit.h"

static const struct conf_listen on_tcp = {
	.kind = CONF_LISTEN_TCP,
	.host = "10.1.2.3",
	.port = 8672,
};
static const struct conf_listen on_unix = {
	.kind = CONF_LISTEN_UNIX,
	.path = "/run/dlo/redrive.sock",
};

#define TOKEN "s3cret"
#define GOOD  "Bearer " TOKEN

static void
lets_in_who_may(void **state)
{
	static const struct {
		const struct conf_listen *listen;
		const char *token;
		struct api_guard_request asked;
		enum api_guard_verdict verdict;
	} cases[] = {
		{ &on_unix, NULL, { NULL, NULL, NULL }, API_GUARD_OK },
		{ &on_unix, TOKEN, { "anything", NULL, NULL }, API_GUARD_OK },
		{ &on_unix, NULL, { "localhost", "http://evil", NULL },
		    API_GUARD_ORIGIN },
		{ &on_unix, NULL, { "localhost", "http://localhost", NULL },
		    API_GUARD_OK },
		{ &on_tcp, TOKEN, { "10.1.2.3:8672", NULL, GOOD },
		    API_GUARD_OK },
		{ &on_tcp, TOKEN, { "10.1.2.3", NULL, GOOD }, API_GUARD_OK },
		{ &on_tcp, TOKEN, { "LOCALHOST:1", NULL, GOOD }, API_GUARD_OK },
		{ &on_tcp, TOKEN, { "[::1]:8672", NULL, GOOD }, API_GUARD_OK },
		{ &on_tcp, TOKEN, { "127.0.0.1:8672", NULL, "bearer s3cret" },
		    API_GUARD_OK },
		{ &on_tcp, TOKEN, { "evil.example:8672", NULL, GOOD },
		    API_GUARD_HOST },
		{ &on_tcp, TOKEN, { "localhost.evil", NULL, GOOD },
		    API_GUARD_HOST },
		{ &on_tcp, TOKEN, { "", NULL, GOOD }, API_GUARD_HOST },
		{ &on_tcp, TOKEN, { NULL, NULL, GOOD }, API_GUARD_HOST },
		{ &on_tcp, TOKEN, { "localhost", "null", GOOD },
		    API_GUARD_ORIGIN },
		{ &on_tcp, TOKEN, { "localhost:1", "http://localhost:2", GOOD },
		    API_GUARD_ORIGIN },
		{ &on_tcp, TOKEN, { "localhost:1", "HTTP://LOCALHOST:1", GOOD },
		    API_GUARD_OK },
		{ &on_tcp, NULL, { "localhost", NULL, GOOD },
		    API_GUARD_NO_TOKEN },
		{ &on_tcp, NULL, { "localhost", NULL, "Bearer " },
		    API_GUARD_NO_TOKEN },
		{ &on_tcp, TOKEN, { "localhost", NULL, NULL },
		    API_GUARD_TOKEN },
		{ &on_tcp, TOKEN, { "localhost", NULL, TOKEN },
		    API_GUARD_TOKEN },
		{ &on_tcp, TOKEN, { "localhost", NULL, "Basic " TOKEN },
		    API_GUARD_TOKEN },
		{ &on_tcp, TOKEN, { "localhost", NULL, "Bearer s3cre" },
		    API_GUARD_TOKEN },
		{ &on_tcp, TOKEN, { "localhost", NULL, "Bearer s3cret " },
		    API_GUARD_TOKEN },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		enum api_guard_verdict verdict =
		    api_guard(cases[i].listen, cases[i].token, &cases[i].asked);

		if (verdict != cases[i].verdict)
			fail_msg("case %zu: %d, not %d", i, verdict,
			    cases[i].verdict);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lets_in_who_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
