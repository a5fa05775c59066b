/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/startup.h"

#include <string.h>

/* AMQP reply codes. */
enum {
	CODE_DENIED = 403,
	CODE_NOT_FOUND = 404,
	CODE_LOCKED = 405,
	CODE_PRECONDITION = 406,
};

static const struct startup_fault none = { CLI_OK, NULL };

struct startup_fault
startup_connection(const struct rmq_close *why)
{
	switch (why->fault) {
	case RMQ_FAULT_AUTH:
		return (struct startup_fault){ CLI_DENIED,
			"check broker.user and broker.password, or the "
			"certificate with mechanism: external" };
	case RMQ_FAULT_VHOST:
		return (struct startup_fault){ CLI_DENIED,
			"check that broker.vhost exists and that the user has "
			"permissions in it" };
	default:
		return none;
	}
}

struct startup_fault
startup_channels(size_t allowed, size_t wanted)
{
	if (allowed >= wanted)
		return none;
	return (struct startup_fault){ CLI_FAILED,
		"raise channel_max in the broker's configuration, or give "
		"the pipelines to more processes" };
}

struct startup_fault
startup_queue(const struct rmq_close *why)
{
	static const struct startup_fault in_use = { CLI_FAILED,
		"see who else uses the queue, and how it is declared" };

	switch (why->code) {
	case CODE_DENIED:
		/* Said of another's exclusive consumer too. */
		if (strstr(why->text, "exclusive use") != NULL)
			return in_use;
		return (struct startup_fault){ CLI_DENIED,
			"grant the user read permission on the queue" };
	case CODE_NOT_FOUND:
		return (struct startup_fault){ CLI_FAILED,
			"declare the queue, or mend its name" };
	case CODE_LOCKED:
	case CODE_PRECONDITION:
		return in_use;
	default:
		return none;
	}
}

struct startup_fault
startup_topology(const struct topology_result *result)
{
	if (result->usable)
		return none;
	for (size_t i = 0; i < result->problem_count; i++)
		if (result->problems[i].fault == TOPOLOGY_DENIED)
			return (struct startup_fault){ CLI_DENIED,
				"grant configure permission, set "
				"topology.broker to a user who has it, or "
				"declare the objects yourself" };
	return (struct startup_fault){ CLI_FAILED,
		"see the topology_problem lines: declare what is missing, "
		"delete or rename what is different" };
}

struct startup_fault
startup_rights(const struct rights_result *result)
{
	if (result->exchange == NULL)
		return none;
	if (result->code == CODE_DENIED)
		return (struct startup_fault){ CLI_DENIED,
			"grant the user write permission on the exchange" };
	if (result->code == CODE_PRECONDITION)
		return (struct startup_fault){ CLI_DENIED,
			"set broker.user to the user that the broker knows us "
			"as: it is sent with each message" };
	return (struct startup_fault){ CLI_FAILED,
		"declare the exchange, or set topology.declare: true" };
}
