/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/unit.h"

#include <stdio.h>

#include "dlx/startup.h"

static void
check(const char *what, struct startup_fault fault, int exit_code)
{
	if (fault.exit_code != exit_code)
		fail_msg("%s: %d, not %d", what, fault.exit_code, exit_code);
	assert_true((fault.hint == NULL) == (exit_code == CLI_OK));
}

static void
connections(void **state)
{
	static const struct {
		enum rmq_fault fault;
		uint16_t code;
		int exit_code;
	} cases[] = {
		{ RMQ_FAULT_NONE, 0, CLI_OK },
		{ RMQ_FAULT_IO, 0, CLI_OK },
		{ RMQ_FAULT_SILENT, 0, CLI_OK },
		{ RMQ_FAULT_AUTH, 403, CLI_DENIED },
		{ RMQ_FAULT_VHOST, 530, CLI_DENIED },
		{ RMQ_FAULT_SERVER, 320, CLI_OK },
		{ RMQ_FAULT_SERVER, 541, CLI_OK },
		{ RMQ_FAULT_PROTOCOL, 0, CLI_OK },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct rmq_close why = { .fault = cases[i].fault,
			.code = cases[i].code };

		check(rmq_fault_name(why.fault), startup_connection(&why),
		    cases[i].exit_code);
	}
}

static void
channels(void **state)
{
	(void)state;
	check("one too few", startup_channels(1, 2), CLI_FAILED);
	check("just enough", startup_channels(2, 2), CLI_OK);
}

static void
queues(void **state)
{
	static const struct {
		uint16_t code;
		const char *text;
		int exit_code;
	} cases[] = {
		{ 403, "ACCESS_REFUSED - access to queue", CLI_DENIED },
		{ 403, "queue 'q' in vhost '/' in exclusive use", CLI_FAILED },
		{ 404, "", CLI_FAILED },
		{ 405, "", CLI_FAILED },
		{ 406, "", CLI_FAILED },
		{ 320, "", CLI_OK },
		{ 541, "", CLI_OK },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct rmq_close why = { .fault = RMQ_FAULT_SERVER,
			.code = cases[i].code };

		snprintf(why.text, sizeof(why.text), "%s", cases[i].text);
		check("queue", startup_queue(&why), cases[i].exit_code);
	}
}

static void
topologies(void **state)
{
	struct topology_problem problems[] = {
		{ .fault = TOPOLOGY_UNKNOWN },
		{ .fault = TOPOLOGY_MISSING },
		{ .fault = TOPOLOGY_DENIED },
	};
	struct topology_result result = { .finished = true,
		.problems = problems };

	(void)state;
	result.usable = true;
	result.problem_count = 1;
	check("unknown", startup_topology(&result), CLI_OK);
	result.usable = false;
	result.problem_count = 2;
	check("missing", startup_topology(&result), CLI_FAILED);
	result.problem_count = 3;
	check("denied", startup_topology(&result), CLI_DENIED);
}

static void
rights(void **state)
{
	const struct rights_result fine = { NULL, 0, NULL };
	const struct rights_result denied = { "dlo.dead", 403, "no" };
	const struct rights_result missing = { "dlo.dead", 404, "no" };
	const struct rights_result other = { "dlo.dead", 406, "no" };

	(void)state;
	check("fine", startup_rights(&fine), CLI_OK);
	check("denied", startup_rights(&denied), CLI_DENIED);
	check("missing", startup_rights(&missing), CLI_FAILED);
	check("another user", startup_rights(&other), CLI_DENIED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections),
		cmocka_unit_test(channels),
		cmocka_unit_test(queues),
		cmocka_unit_test(topologies),
		cmocka_unit_test(rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
