/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Runs worlds from seeds, as TAP. Any failure is repeated from its seed:
 *
 *	test_sim --seed N --verbose
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "tests/sim/world.h"

#define SEEDS_A_TEST 100

static void
sink_nothing(void *arg, const char *line, size_t len)
{
	(void)arg;
	(void)line;
	(void)len;
}

static void
print_report(const struct world_report *report)
{
	const struct trouble_count *trouble = &report->trouble;
	const struct model_load *load = &report->load;

	printf("# seed %" PRIu64 "%s: %u messages, %u processed (%u twice), "
	       "%u dead, %u attempts, %u kills, %u cuts, %u restarts, "
	       "%u hangs, %u deletions, %u reloads, %" PRIu64
	       " connections, %" PRIu64 " channels, %" PRIu64
	       " publishes, %.0f virtual s%s%s\n",
	    report->seed,
	    report->calm	  ? " (calm)"
		: report->ordered ? " (ordered)"
		: report->poison  ? " (poison)"
		: report->outage  ? " (outage)"
				  : "",
	    report->messages, report->processed, report->twice, report->dead,
	    report->attempts, trouble->kills, trouble->cuts, trouble->restarts,
	    trouble->hangs, trouble->deletions, report->reloads,
	    load->connections, load->channels, load->publishes,
	    (double)report->virtual_ms / 1000,
	    report->violation[0] == '\0' ? "" : ": VIOLATION ",
	    report->violation);
	if (report->poison || report->outage)
		printf("# %u culprits killed %u times, %u copies of suspects, "
		       "nothing was taken back more than %u times\n",
		    report->culprits, report->deaths, report->suspects,
		    report->most_returns);
	fflush(stdout);
}

/* Returns the number of seeds that broke a rule. */
static unsigned
run_seeds(uint64_t first, uint64_t count, bool verbose)
{
	struct world_report report;
	unsigned broken = 0;
	uint64_t seed;

	for (seed = first; seed < first + count; seed++) {
		bool good = world_run(seed, &report);

		broken += !good;
		if (!good || verbose)
			print_report(&report);
	}
	return broken;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	uint64_t first = 0, count = 500, done;
	unsigned broken = 0, test = 0;
	bool verbose = false;
	int option;

	while ((option = getopt_long(argc, argv, "s:n:f:v", options, NULL)) !=
	    -1) {
		if (option == 'v')
			verbose = true;
		else if (option == 'n')
			count = strtoull(optarg, NULL, 10);
		else if (option == 'f' || option == 's')
			first = strtoull(optarg, NULL, 10);
		else
			return 64;
		if (option == 's')
			count = 1;
	}
	if (verbose && count == 1)
		log_open(LOG_LEVEL_DEBUG, LOG_FORMAT_LOGFMT);
	else
		log_set_sink(sink_nothing, NULL);
	for (done = 0; done < count; done += SEEDS_A_TEST) {
		uint64_t left = count - done;
		unsigned bad = run_seeds(first + done,
		    left < SEEDS_A_TEST ? left : SEEDS_A_TEST, verbose);

		printf("%sok %u - worlds from seed %" PRIu64 "\n",
		    bad == 0 ? "" : "not ", ++test, first + done);
		fflush(stdout);
		broken += bad;
	}
	printf("1..%u\n", test);
	return broken == 0 ? 0 : 1;
}
