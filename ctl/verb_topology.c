/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/verb_topology.h"

#include <stdio.h>

int
verb_topology_print(const struct verb_call *call, const struct report *report,
    unsigned parts)
{
	struct buf out = { 0 };
	bool written;

	if (call->json)
		report_json(report, parts, &out);
	else
		report_text(report, parts, &out);
	written = fwrite(buf_peek(&out), 1, out.len, stdout) == out.len &&
	    fflush(stdout) == 0;
	buf_clear(&out);
	if (written)
		return CLI_OK;
	perror("dlo: stdout");
	return CLI_FAILED;
}
