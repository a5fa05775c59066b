/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/report.h"
#include "ctl/visit.h"
#include "lib/cli.h"
#include "lib/loop_libevent.h"
#include "lib/xalloc.h"

/* A queue tells of itself every five seconds, by the broker's defaults. */
#define TELLS_AGAIN_MS 1000
#define TELLS_WAIT_MS  15000
#define ANSWER_WAIT_MS 60000
/* Longer than a queue takes to count anew. */
#define COUNTS_AGAIN_MS 6000

const struct look_waits look_brisk = { .answer_ms = ANSWER_WAIT_MS },
			look_patient = { .answer_ms = ANSWER_WAIT_MS,
				.told_ms = TELLS_WAIT_MS };

void
look_complain(const char *problem, const char *hint)
{
	struct buf line = { 0 };

	report_clean(&line, problem);
	(void)fprintf(stderr, "dlo: %s\n", buf_str(&line));
	if (hint != NULL)
		(void)fprintf(stderr, "dlo: %s\n", hint);
	buf_clear(&line);
}

/* All parts; API_OK, or the first that could not be had. */
static enum api_result
ask_all(struct look *look, char **problem)
{
	enum api_result result = API_OK;

	for (int part = 0; part < FOUND_PARTS && result == API_OK; part++)
		result = api_get(look->api, (enum found_part)part,
		    &look->sight.found, problem);
	return result;
}

/* Of what is ours and there. */
static enum api_result
ask_arguments(struct look *look, char **problem)
{
	const struct topology *topology = look->topology;
	struct found *found = &look->sight.found;
	enum api_result result = API_OK;

	for (size_t i = 0; result == API_OK && i < topology->count; i++) {
		const struct topology_item *item = &topology->items[i];

		if (item->kind == TOPOLOGY_EXCHANGE &&
		    found_exchange(found, item->name) != NULL)
			result = api_get_arguments(look->api, FOUND_EXCHANGES,
			    item->name, found, problem);
		else if (item->kind == TOPOLOGY_QUEUE &&
		    found_queue(found, item->name) != NULL)
			result = api_get_arguments(look->api, FOUND_QUEUES,
			    item->name, found, problem);
	}
	return result;
}

static bool
all_told(const struct sight *sight)
{
	for (size_t i = 0; i < sight->topology->count; i++) {
		const struct topology_item *item = &sight->topology->items[i];
		const struct found_queue *queue = item->kind == TOPOLOGY_QUEUE
		    ? found_queue(&sight->found, item->name)
		    : NULL;

		if (queue != NULL && (!queue->told || !queue->counted))
			return false;
	}
	return true;
}

static void
on_pause(void *arg)
{
	loop_stop(arg);
}

static void
pause_ms(struct loop *loop, int64_t delay_ms)
{
	struct loop_timer *timer = loop_timer_new(loop, on_pause, loop);

	loop_timer_start(loop, timer, delay_ms);
	loop_run(loop);
	loop_timer_free(loop, timer);
}

/* Waits for queues that have told nothing yet, for some time. */
static enum api_result
wait_told(struct look *look, int64_t told_ms, char **problem)
{
	struct loop *loop = loop_libevent_new();
	int64_t deadline_ms = loop_now_ms(loop) + told_ms;
	enum api_result result = API_OK;

	while (result == API_OK && !all_told(&look->sight) &&
	    loop_now_ms(loop) < deadline_ms) {
		pause_ms(loop, TELLS_AGAIN_MS);
		result = api_get(look->api, FOUND_QUEUES, &look->sight.found,
		    problem);
	}
	loop_free(loop);
	return result;
}

/* Messages on their way look stuck; those that are so twice are. */
static enum api_result
wait_moving(struct look *look, char **problem)
{
	struct found later = { 0 };
	enum api_result result;
	struct loop *loop;

	if (!found_has_stuck(&look->sight.found))
		return API_OK;
	loop = loop_libevent_new();
	pause_ms(loop, COUNTS_AGAIN_MS);
	loop_free(loop);
	result = api_get(look->api, FOUND_QUEUES, &later, problem);
	if (result == API_OK)
		found_settle(&look->sight.found, &later);
	found_clear(&later);
	return result;
}

static enum api_result
ask(struct look *look, int64_t told_ms, char **problem)
{
	enum api_result result = ask_all(look, problem);

	if (told_ms > 0 && result == API_OK)
		result = wait_told(look, told_ms, problem);
	if (told_ms > 0 && result == API_OK)
		result = wait_moving(look, problem);
	if (result == API_OK)
		result = ask_arguments(look, problem);
	return result;
}

/* Existence alone. */
static int
look_by_amqp(struct look *look)
{
	struct visit visit;

	visit_run(look->sight.conf, TOPOLOGY_CHECK, &visit);
	look->sight.items = visit.items;
	if (visit.exit_code != CLI_OK)
		look_complain(visit.problem, visit.hint);
	free(visit.problem);
	return visit.exit_code;
}

static int
look_by_api(struct look *look, const struct conf_broker *broker,
    const struct look_waits *waits)
{
	char *problem = NULL;
	enum api_result result;

	look->api = api_open(broker, waits->answer_ms);
	result = ask(look, waits->told_ms, &problem);
	if (result == API_OK) {
		look->sight.managed = true;
		return CLI_OK;
	}
	found_clear(&look->sight.found);
	if (result == API_DENIED) {
		look_complain(problem,
		    "check broker.management, and that its user has the tag "
		    "management and a permission in the virtual host");
		free(problem);
		return CLI_DENIED;
	}
	look->sight.why_not = problem;
	return look_by_amqp(look);
}

int
look_open(struct look *look, const struct conf *conf,
    const struct look_waits *waits)
{
	const struct conf_broker *broker =
	    conf_broker_for(conf, CONF_ROLE_TOPOLOGY);

	memset(look, 0, sizeof(*look));
	look->topology = topology_new(conf, CONF_ROLE_TOPOLOGY);
	look->sight.topology = look->topology;
	look->sight.conf = conf;
	look->sight.vhost = broker->vhost;
	if (broker->management.url != NULL)
		return look_by_api(look, broker, waits);
	look->sight.why_not =
	    xstrdup("broker.management is not configured: AMQP shows only "
		    "what exists");
	return look_by_amqp(look);
}

int
look_again(struct look *look)
{
	char *problem = NULL;

	if (!look->sight.managed || ask(look, 0, &problem) == API_OK)
		return CLI_OK;
	look_complain(problem, "all was declared, but is not seen");
	free(problem);
	return CLI_UNREACHABLE;
}

void
look_close(struct look *look)
{
	visit_free_items(look->sight.items, look->topology->count);
	found_clear(&look->sight.found);
	free(look->sight.why_not);
	api_close(look->api);
	topology_free(look->topology);
}
