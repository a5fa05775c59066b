/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "consumer/pipeline_state.h"

const char *
pipeline_state_name(enum pipeline_state state)
{
	static const char *const names[] = {
		[PIPELINE_IDLE] = "idle",
		[PIPELINE_OPENING] = "opening",
		[PIPELINE_CONSUMING] = "consuming",
		[PIPELINE_CANCELLING] = "cancelling",
		[PIPELINE_PAUSED] = "paused",
		[PIPELINE_GIVING_BACK] = "giving-back",
		[PIPELINE_STOPPED] = "stopped",
	};

	return names[state];
}

#define TO(state) (1u << PIPELINE_##state)

bool
pipeline_state_may(enum pipeline_state from, enum pipeline_state to)
{
	static const unsigned char legal[] = {
		[PIPELINE_IDLE] = TO(OPENING) | TO(STOPPED),
		[PIPELINE_OPENING] =
		    TO(CONSUMING) | TO(PAUSED) | TO(GIVING_BACK) | TO(IDLE),
		[PIPELINE_CONSUMING] =
		    TO(CANCELLING) | TO(PAUSED) | TO(GIVING_BACK) | TO(IDLE),
		[PIPELINE_CANCELLING] = TO(PAUSED) | TO(GIVING_BACK) | TO(IDLE),
		[PIPELINE_PAUSED] = TO(OPENING) | TO(GIVING_BACK) | TO(IDLE),
		[PIPELINE_GIVING_BACK] = TO(IDLE),
		[PIPELINE_STOPPED] = 0,
	};

	return (legal[from] & 1u << to) != 0;
}
