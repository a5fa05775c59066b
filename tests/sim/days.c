/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Does the consumer grow with time?
 *
 *	days [--hours N] [--seed N]
 *
 * One consumer with three pipelines lives for simulated days of messages and
 * troubles, but none that ends it. At the end of each hour there is peace;
 * when all has settled each message of that hour must have been processed or
 * be dead, and then the bytes that are allocated are counted. What the last
 * rush has left in buffers comes and goes with the hours, so that the least
 * counts: in the last quarter of the time it may be GROWTH_BYTES more than in
 * the one before at most. The first half is for filling pools.
 */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf.h"
#include "lib/log.h"
#include "lib/xalloc.h"
#include "tests/sim/fakes.h"
#include "tests/sim/letters.h"
#include "tests/sim/model.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_loop.h"
#include "tests/sim/trouble.h"

#define SECOND_US     INT64_C(1000000)
#define TROUBLE_US    (50 * 60 * SECOND_US)
#define PEACE_US      (4 * 3600 * SECOND_US)
#define MESSAGES      6000 /* an hour */
#define GROWTH_BYTES  (64 * 1024)
#define MIN_HOURS     400 /* pools are full after some 150 */
#define MAX_HOURS     (366 * 24)
#define MESSAGE_SPACE 4096

static const char *const queues[] = { "orders", "keyed", "strict" };
static const char *const letters[] = { "orders.dlq", "keyed.dlq",
	"strict.dlq" };

struct day {
	struct loop *loop;
	struct model *model;
	struct fakes *fakes;
	struct process *consumer;
	struct trouble *trouble;
	struct loop_timer *producer;
	unsigned next;	     /* of this hour */
	bool done[MESSAGES]; /* processed, dead, or gone with its queue */
	uint64_t attempts, processed; /* in all */
	unsigned violations;
};

static void
violated(void *arg, const char *what)
{
	struct day *day = arg;

	if (day->violations++ < 10)
		printf("# at %lld s: %s\n",
		    (long long)loop_now_ms(day->loop) / 1000, what);
}

/* That it is safe by then is what test_sim looks at. */
static void
on_acked(void *arg, uint32_t lineage, const char *queue, unsigned safe)
{
	(void)arg, (void)lineage, (void)queue, (void)safe;
}

static void
on_deleted(void *arg, uint32_t lineage)
{
	((struct day *)arg)->done[lineage] = true;
}

static void
on_attempt(void *arg, uint32_t lineage, enum outcome outcome)
{
	struct day *day = arg;

	day->attempts++;
	if (outcome != OUTCOME_OK)
		return;
	day->processed++;
	day->done[lineage] = true;
}

static const struct model_hooks model_hooks = {
	.acked = on_acked,
	.violation = violated,
	.deleted = on_deleted,
};

static void
produce(void *arg)
{
	struct day *day = arg;
	const char *queue = queues[sim_below(day->loop, array_len(queues))];
	uint8_t body[MESSAGE_SPACE] = { 0 };
	struct buf props = { 0 };
	size_t len = 4 + (size_t)sim_below(day->loop, sizeof(body) - 4);

	body[2] = (uint8_t)(day->next >> 8);
	body[3] = (uint8_t)day->next;
	letter_write((enum letter)sim_below(day->loop, LETTER_DEEP), day->next,
	    day->loop, &props);
	if (model_publish_raw(day->model, queue, body, len, buf_peek(&props),
		props.len))
		day->next++;
	buf_clear(&props);
	if (day->next < MESSAGES)
		loop_timer_start_us(day->loop, day->producer,
		    (int64_t)sim_below(day->loop, 2 * TROUBLE_US / MESSAGES));
}

static size_t
depth_of_dead(const struct day *day)
{
	size_t depth = 0;

	for (size_t i = 0; i < array_len(letters); i++)
		depth += model_depth(day->model, letters[i]);
	return depth;
}

static bool
is_settled(void *arg)
{
	const struct day *day = arg;

	return day->next == MESSAGES &&
	    model_total(day->model) == depth_of_dead(day);
}

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

static void
note_dead(void *arg, const struct model_sight *sight)
{
	((struct day *)arg)->done[sight->lineage] = true;
}

/* Runs until so much time has passed, or `done` says so: then true. */
static bool
run_for(struct day *day, int64_t us, bool (*done)(void *arg))
{
	return sim_loop_run_until(day->loop, loop_now_us(day->loop) + us, done,
	    day);
}

static void
check_ledger(struct day *day)
{
	unsigned lost = 0;
	char what[64];

	for (size_t i = 0; i < array_len(letters); i++)
		model_each(day->model, letters[i], note_dead, day);
	for (unsigned i = 0; i < MESSAGES; i++)
		lost += !day->done[i];
	snprintf(what, sizeof(what), "%u messages are lost", lost);
	if (lost > 0)
		violated(day, what);
}

/* What is allocated when it is over; the dead letters are taken away. */
static size_t
live_an_hour(struct day *day)
{
	day->next = 0;
	memset(day->done, 0, sizeof(day->done));
	trouble_start(day->trouble);
	fakes_set_failing(day->fakes, loop_random_unit(day->loop) * 0.5);
	loop_timer_start(day->loop, day->producer, 0);
	(void)run_for(day, TROUBLE_US, never);
	trouble_end(day->trouble);
	fakes_set_failing(day->fakes, 0.05);
	if (!run_for(day, PEACE_US, is_settled))
		violated(day, "it does not settle");
	check_ledger(day);
	for (size_t i = 0; i < array_len(letters); i++)
		model_delete_queue(day->model, letters[i]);
	/* Whatever waits for a while before it lets go. */
	(void)run_for(day, 600 * SECOND_US, never);
	return mallinfo2().uordblks;
}

static struct conf *
day_conf(void)
{
	static const char text[] =
	    "version: 1\n"
	    "broker: {user: guest, password: guest}\n"
	    "downstreams:\n"
	    "  web: {http: {url: \"http://sim/\"},\n"
	    "    probe: {tcp: {address: \"sim:1\"}}}\n"
	    "  line: {http: {url: \"http://sim/\"}}\n"
	    "pipelines:\n"
	    "  orders:\n"
	    "    queue: {name: orders, declare: {type: quorum}}\n"
	    "    downstream: web\n"
	    "    dedup: message_id\n"
	    "    retry: {cap: 1m,\n"
	    "      rules: [{class: http.connect, attempts: 4}]}\n"
	    "  keyed:\n"
	    "    queue: {name: keyed, declare: {type: quorum}}\n"
	    "    downstream: web\n"
	    "    order: {key: {header: keep}}\n"
	    "    retry: {cap: 5s, deadline: 1m}\n"
	    "  strict:\n"
	    "    queue: {name: strict, declare: {type: quorum}}\n"
	    "    downstream: line\n"
	    "    order: strict\n"
	    "    retry: {cap: 5s, deadline: 1m}\n"
	    "consumer: {hold_max: 3m, drain_timeout: 20s}\n";
	struct conf_errors errors = { 0 };
	char path[] = "day-XXXXXX.yaml";
	struct conf *conf;
	int fd = mkstemps(path, 5);

	if (fd == -1 || write(fd, text, sizeof(text) - 1) < 0)
		abort();
	close(fd);
	conf = conf_load(path, CONF_ROLE_CONSUMER, &errors);
	unlink(path);
	if (conf == NULL) {
		conf_errors_print(&errors, stderr);
		exit(1);
	}
	conf_errors_clear(&errors);
	return conf;
}

static void
day_open(struct day *day, uint64_t seed, const struct conf *conf)
{
	const struct fakes_hooks hooks = { .attempt = on_attempt, .arg = day };
	struct process_env env;
	struct trouble_env trouble;

	day->loop = sim_loop_new(seed);
	day->model = model_new(day->loop, &model_hooks, day);
	day->fakes = fakes_new(day->loop, &hooks);
	fakes_set_rejecting(day->fakes, 0.05);
	env = (struct process_env){ day->loop, day->model, day->fakes, conf };
	day->consumer = process_new(PROCESS_CONSUMER, &env);
	process_start(day->consumer, 0);
	trouble = (struct trouble_env){
		.loop = day->loop,
		.model = day->model,
		.fakes = day->fakes,
		.processes = &day->consumer,
		.process_count = 1,
		.work_queue = queues[0],
		.spares_processes = true,
	};
	day->trouble = trouble_new(&trouble);
	day->producer = loop_timer_new(day->loop, produce, day);
	(void)run_for(day, 60 * SECOND_US, never);
}

static size_t
least(const size_t *bytes, unsigned from, unsigned to)
{
	size_t found = bytes[from];

	for (unsigned i = from; i < to; i++)
		if (bytes[i] < found)
			found = bytes[i];
	return found;
}

/* Exit code. */
static int
judge(const struct day *day, const size_t *bytes, unsigned hours)
{
	unsigned from = hours / 2, middle = from + (hours - from) / 2;
	size_t before = least(bytes, from, middle);
	size_t after = least(bytes, middle, hours);
	bool good = after <= before + GROWTH_BYTES && day->violations == 0 &&
	    process_failures(day->consumer) == 0;

	printf("# %u hours, %llu attempts, %llu of them ok, %llu connections\n"
	       "%s: %zu bytes at least in hours %u to %u, %+lld after that "
	       "(allowed %d); %u violations, %u failures\n",
	    hours, (unsigned long long)day->attempts,
	    (unsigned long long)day->processed,
	    (unsigned long long)model_load(day->model)->connections,
	    good ? "PASS" : "FAIL", before, from + 1, middle,
	    (long long)after - (long long)before, GROWTH_BYTES, day->violations,
	    process_failures(day->consumer));
	return good ? 0 : 1;
}

static void
sink_nothing(void *arg, const char *line, size_t len)
{
	(void)arg, (void)line, (void)len;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hours", required_argument, NULL, 'h' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	static struct day day;
	static size_t bytes[MAX_HOURS];
	unsigned long hours = 480;
	uint64_t seed = 1;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h')
			hours = strtoul(optarg, NULL, 10);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else
			return 64;
	}
	if (hours < MIN_HOURS || hours > MAX_HOURS)
		return 64;
	log_set_sink(sink_nothing, NULL);
	day_open(&day, seed, day_conf());
	for (unsigned i = 0; i < hours; i++) {
		bytes[i] = live_an_hour(&day);
		printf("# hour %u: %zu bytes\n", i + 1, bytes[i]);
		fflush(stdout);
	}
	return judge(&day, bytes, (unsigned)hours);
}
