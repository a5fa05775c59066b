/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The program's other life: a process that runs a plugin. It is the same
 * program executed again, so both ends always agree.
 *
 * Frames come on stdin (plugin_frame.h): a setup, then messages and cancels;
 * its end is the end. Answers go into the shared page (plugin_page.h), behind
 * descriptor PLUGIN_WORKER_PAGE. On stdout it says, by the first byte:
 *
 *	A			look at the page
 *	R			init went well, messages may come
 *	F LENGTH TEXT		it did not, and why; the process ends
 *	L LEVEL LENGTH TEXT	for the log
 *
 * LEVEL is a byte (enum log_level), LENGTH two, as this machine has them.
 */
#ifndef DLO_DOWNSTREAM_PLUGIN_WORKER_H
#define DLO_DOWNSTREAM_PLUGIN_WORKER_H

#include <stdint.h>

#include "downstream/plugin_frame.h"

#define PLUGIN_WORKER_RUN   "--plugin-worker"
#define PLUGIN_WORKER_CHECK "--plugin-check"
#define PLUGIN_WORKER_PAGE  3

enum plugin_worker_word {
	PLUGIN_WORKER_ANSWERED = 'A',
	PLUGIN_WORKER_READY = 'R',
	PLUGIN_WORKER_FAILED = 'F',
	PLUGIN_WORKER_LOG = 'L',
};

/* Of a text on stdout at most. */
#define PLUGIN_WORKER_TEXT_MAX 1024

/* Inside of a setup frame; the texts follow: path, downstream, config. */
struct plugin_worker_setup {
	uint64_t memory_bytes; /* that the plugin may take; 0: no limit */
	int64_t cpu_ms;	       /* CPU time a message; 0: no limit */
	uint32_t workers;
	uint32_t lens[3]; /* each with its NUL */
};

/*
 * To be called first of all in main: runs the plugin when the command line
 * says so, and returns its exit code; -1: it does not say so.
 */
int plugin_worker_main(int argc, char **argv) must_use;

#endif
