/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The states of a pipeline, and the moves between them. Ordered ones are never
 * cancelling and never paused.
 *
 *	idle -------- connected, and the policy allows it ---> opening
 *	opening ----- the broker consented ------------------> consuming
 *	consuming --- breaker open, or another prefetch due -> cancelling
 *	consuming --- ordered, and a larger prefetch due ----> idle
 *	cancelling -- the broker consented ------------------> paused
 *	opening, consuming - cancelled by the broker --------> paused
 *	paused ------ the policy allows it ------------------> opening
 *	opening, consuming, cancelling, paused
 *	    --------- held for too long, or draining --------> giving-back
 *	giving-back - all is settled: channel closed --------> idle
 *	any but idle, stopped -- the channel has gone -------> idle
 *	any but idle, stopped -- ordered, cancelled by the broker -> idle
 *	idle -------- draining, and all is quiet ------------> stopped
 */
#ifndef DLO_CONSUMER_PIPELINE_STATE_H
#define DLO_CONSUMER_PIPELINE_STATE_H

#include <stdbool.h>

enum pipeline_state {
	PIPELINE_IDLE,
	PIPELINE_OPENING,
	PIPELINE_CONSUMING,
	PIPELINE_CANCELLING,
	PIPELINE_PAUSED,
	PIPELINE_GIVING_BACK,
	PIPELINE_STOPPED,
};
/* "idle", "opening", "consuming", … */
const char *pipeline_state_name(enum pipeline_state);
/* Whether that move is above. */
bool pipeline_state_may(enum pipeline_state from, enum pipeline_state to);

#endif
