/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The registry on a queue that gives back at once what is published to it:
 * what a request may say, how a job lives, what the next daemon finds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/conf.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/xalloc.h"
#include "redrive/board.h"
#include "redrive/registry.h"
#include "redrive/registry_job.h"
#include "tests/sim/sim_loop.h"
#include "tests/unit.h"

#define MESSAGES_MAX 200

struct message {
	char *body;
	uint64_t token; /* not confirmed yet; 0: it is */
	uint64_t tag;	/* 0: not delivered */
	bool gone;
};

struct rig {
	struct loop *loop;
	struct conf *conf;
	struct registry *registry;
	struct message queue[MESSAGES_MAX];
	size_t count;
	uint64_t tag;
	char run[REPORT_ID_SPACE]; /* the last job that was to run */
	int runs, pauses, resumes, cancels, entries;
	char entered[64]; /* the last entry's "what" */
	char who[64];	  /* and its "who" */
	bool inherited;
	char told[256]; /* the states that were told of, in their order */
};

static void
on_publish(void *arg, uint64_t token, const char *body, size_t len)
{
	struct rig *rig = arg;

	assert_true(rig->count < MESSAGES_MAX);
	rig->queue[rig->count++] =
	    (struct message){ .body = xstrndup(body, len), .token = token };
}

static void
on_ack(void *arg, uint64_t tag)
{
	struct rig *rig = arg;

	for (size_t i = 0; i < rig->count; i++) {
		if (rig->queue[i].tag == tag) {
			assert_false(rig->queue[i].gone);
			rig->queue[i].gone = true;
			return;
		}
	}
	fail_msg("ack of an unknown tag");
}

static void
on_leave(void *arg, const char *why)
{
	(void)arg;
	fail_msg("left: %s", why);
}

static void
on_active(void *arg, bool active)
{
	(void)arg, (void)active;
}

static void
on_run(void *arg, const struct registry_job *job)
{
	struct rig *rig = arg;

	memcpy(rig->run, job->id, sizeof(rig->run));
	rig->inherited = job->inherited;
	rig->runs++;
}

static void
on_pause(void *arg, const struct registry_job *job, const char *why)
{
	(void)job, (void)why;
	((struct rig *)arg)->pauses++;
}

static void
on_resume(void *arg, const struct registry_job *job)
{
	(void)job;
	((struct rig *)arg)->resumes++;
}

static void
on_cancel(void *arg, const struct registry_job *job)
{
	(void)job;
	((struct rig *)arg)->cancels++;
}

static bool
on_look(void *arg, const struct registry_job *job, struct job_report *report)
{
	(void)arg, (void)job, (void)report;
	return false;
}

static void
on_enter(void *arg, json_t *entry, const char *job, unsigned bit)
{
	struct rig *rig = arg;

	(void)job, (void)bit;
	rig->entries++;
	(void)snprintf(rig->entered, sizeof(rig->entered), "%s",
	    json_string_value(json_object_get(entry, "what")));
	(void)snprintf(rig->who, sizeof(rig->who), "%s",
	    json_string_value(json_object_get(entry, "who")));
	json_decref(entry);
}

static void
on_tell(void *arg, const struct registry_job *job)
{
	struct rig *rig = arg;
	size_t len = strlen(rig->told);

	(void)snprintf(rig->told + len, sizeof(rig->told) - len, "%s%s",
	    len > 0 ? " " : "",
	    job->state == REGISTRY_ENDED ? report_end_name(job->report.end)
					 : registry_state_name(job->state));
}

static const struct registry_cbs cbs = { on_publish, on_ack, on_leave,
	on_active, on_run, on_pause, on_resume, on_cancel, on_look, on_enter,
	on_tell };

/* Delivers and confirms until nothing is left to. */
static void
flow(struct rig *rig)
{
	struct board *board = registry_board(rig->registry);

	for (size_t i = 0; i < rig->count; i++) {
		struct message *m = &rig->queue[i];
		const struct board_delivery delivery = { .tag = rig->tag + 1,
			.body = m->body,
			.len = strlen(m->body),
			.user = "dlo",
			.trusted = true };

		if (m->tag == 0 && !m->gone) {
			m->tag = ++rig->tag;
			board_delivered(board, &delivery,
			    loop_now_ms(rig->loop));
		}
		if (m->token != 0)
			board_confirmed(board, m->token, true,
			    loop_now_ms(rig->loop));
		m->token = 0;
	}
}

static struct registry *
start(struct rig *rig, const char *instance)
{
	const struct registry_env env = { rig->loop, rig->conf, instance };

	rig->registry = registry_new(&env, &cbs, rig);
	board_joined(registry_board(rig->registry));
	flow(rig);
	assert_true(registry_is_active(rig->registry));
	return rig->registry;
}

/* It dies, and another one starts. */
static void
take_over(struct rig *rig, const char *instance)
{
	registry_free(rig->registry);
	for (size_t i = 0; i < rig->count; i++)
		rig->queue[i].tag = rig->queue[i].token = 0;
	start(rig, instance);
}

static struct conf *
make_conf(void)
{
	static const char text[] = "{version: 1, broker: {password: x}, "
				   "downstreams: {d: {noop: {}}}, pipelines: {"
				   "orders: {queue: orders, downstream: d}, "
				   "bills: {queue: bills, downstream: d}}}\n";
	struct conf_errors errors = { 0 };
	char path[] = "/tmp/dlo-registry-XXXXXX";
	int fd = mkstemp(path);
	struct conf *conf;

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(close(fd), 0);
	conf = conf_load(path, CONF_ROLE_REDRIVE, &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_clear(&errors);
	assert_int_equal(unlink(path), 0);
	assert_non_null(conf);
	return conf;
}

static struct rig *
rig_new(void)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));

	rig->loop = sim_loop_new(1);
	rig->conf = make_conf();
	start(rig, "here:1");
	return rig;
}

static void
rig_free(struct rig *rig)
{
	registry_free(rig->registry);
	for (size_t i = 0; i < rig->count; i++)
		free(rig->queue[i].body);
	conf_free(rig->conf);
	loop_free(rig->loop);
	free(rig);
}

static const struct registry_source source = { "ann", "test" };

static enum registry_refusal
create(struct rig *rig, const char *text, struct registry_answer *answer)
{
	json_t *body = json_loads(text, 0, NULL);

	assert_non_null(body);
	registry_create(rig->registry, body, &source, answer);
	json_decref(body);
	flow(rig);
	return answer->refusal;
}

static void
what_a_request_may_say(void **state)
{
	static const struct {
		const char *body;
		enum registry_refusal refusal;
		const char *text;
	} cases[] = {
		{ "{}", REGISTRY_INVALID, "pipeline: needed" },
		{ "{\"pipeline\": \"x\"}", REGISTRY_NO_PIPELINE,
		    "there is no pipeline x" },
		{ "{\"pipeline\": \"orders\", \"rte\": 1}", REGISTRY_INVALID,
		    "rte: no such key" },
		{ "{\"pipeline\": \"orders\", \"rate\": 1.5}", REGISTRY_INVALID,
		    "rate: a whole number in its range is needed" },
		{ "{\"pipeline\": \"orders\", \"dry_run\": 1}",
		    REGISTRY_INVALID, "dry_run: true or false is needed" },
		{ "{\"pipeline\": \"orders\", \"action\": \"burn\"}",
		    REGISTRY_INVALID,
		    "action: must be redrive, delete, restore, park or "
		    "unpark" },
		{ "{\"pipeline\": \"orders\", \"filter\": {\"age\": 1}}",
		    REGISTRY_INVALID, "filter.age: no such filter" },
		{ "{\"pipeline\": \"orders\", \"filter\": {\"id\": []}}",
		    REGISTRY_INVALID,
		    "filter.id: an empty list matches nothing" },
		{ "{\"pipeline\": \"orders\", \"filter\": {\"reason\": "
		  "[\"bored\"]}}",
		    REGISTRY_INVALID, "filter.reason: no such reason" },
		{ "{\"pipeline\": \"orders\", \"filter\": {\"older_than\": "
		  "\"soon\"}}",
		    REGISTRY_INVALID,
		    "filter.older_than: a duration is needed, such as 90s, "
		    "10m, 24h or 7d" },
		{ "{\"pipeline\": \"orders\", \"filter\": {\"header\": {\"k\": "
		  "1}}}",
		    REGISTRY_INVALID, "filter.header: values are texts" },
		{ "{\"pipeline\": \"orders\"}", REGISTRY_DONE, "" },
		{ "{\"pipeline\": \"bills\", \"rate\": 7, \"max\": 8, "
		  "\"canary\": 0, \"force\": true, \"request\": \"r\"}",
		    REGISTRY_DONE, "" },
	};
	struct rig *rig = rig_new();
	struct registry_answer answer;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_int_equal(create(rig, cases[i].body, &answer),
		    cases[i].refusal);
		assert_string_equal(answer.text, cases[i].text);
	}
	rig_free(rig);
}

static void
one_job_a_pipeline(void **state)
{
	struct rig *rig = rig_new();
	struct registry_answer answer, second;
	char text[64];

	(void)state;
	assert_int_equal(create(rig, "{\"pipeline\": \"orders\"}", &answer),
	    REGISTRY_DONE);
	assert_string_equal(rig->run, answer.job);
	assert_int_equal(create(rig, "{\"pipeline\": \"orders\"}", &second),
	    REGISTRY_BUSY);
	assert_string_equal(second.job, answer.job);
	(void)snprintf(text, sizeof(text), "already running: job %s",
	    answer.job);
	assert_string_equal(second.text, text);
	assert_false(registry_automatic(rig->registry,
	    conf_pipeline_find(rig->conf, "orders"), "healthy"));
	assert_true(registry_automatic(rig->registry,
	    conf_pipeline_find(rig->conf, "bills"), "every"));
	assert_int_equal(registry_count(rig->registry), 2);
	rig_free(rig);
}

static void
the_next_daemon_knows_all_of_it(void **state)
{
	static const struct job_report some = { .moved[ACTION_REDRIVE] = 5,
		.passes = 1,
		.seen = 9,
		.elapsed_ms = 100 };
	struct job_report rest = { .moved[ACTION_REDRIVE] = 4,
		.passes = 2,
		.seen = 4,
		.elapsed_ms = 50,
		.end = JOB_COMPLETE };
	struct rig *rig = rig_new();
	const struct registry_job *job;
	struct registry_answer answer;

	(void)state;
	(void)create(rig,
	    "{\"pipeline\": \"orders\", \"request\": \"mine\", \"rate\": 3, "
	    "\"filter\": {\"class\": [\"http\"], \"newer_than\": \"2h\", "
	    "\"header\": {\"k\": \"v\"}, \"redrives_above\": 0}}",
	    &answer);
	registry_let_go(rig->registry, answer.job, &some);
	flow(rig);
	take_over(rig, "there:2");
	assert_int_equal(rig->runs, 2);
	assert_true(rig->inherited);
	job = registry_find(rig->registry, answer.job);
	assert_non_null(job);
	assert_string_equal(job->request, "mine");
	assert_string_equal(job->who, "ann");
	assert_string_equal(job->from, "test");
	assert_int_equal(job->rate, 3);
	assert_int_equal(job->state, REGISTRY_RUNNING);
	assert_int_equal(job->epoch, 2);
	assert_string_equal(job->filter->classes.items[0], "http");
	assert_int_equal(job->filter->newer_than_ms, 2 * 3600 * 1000);
	assert_string_equal(job->filter->headers[0].value, "v");
	assert_true(job->filter->has_redrives_above);
	/* The same wish is the same job. */
	assert_int_equal(create(rig,
			     "{\"pipeline\": \"orders\", \"request\": "
			     "\"mine\"}",
			     &answer),
	    REGISTRY_DONE);
	assert_string_equal(answer.job, job->id);
	registry_ended(rig->registry, answer.job, &rest, NULL);
	flow(rig);
	take_over(rig, "here:3");
	job = registry_find(rig->registry, answer.job);
	assert_int_equal(job->state, REGISTRY_ENDED);
	assert_int_equal(job->report.end, JOB_COMPLETE);
	assert_int_equal(job->report.moved[ACTION_REDRIVE], 9);
	assert_int_equal(job->report.passes, 3);
	assert_int_equal(job->report.elapsed_ms, 150);
	/* Its end was not entered before; nothing runs. */
	assert_string_equal(rig->entered, "job_ended");
	assert_int_equal(rig->runs, 2);
	assert_null(registry_current(rig->registry, "orders"));
	rig_free(rig);
}

static void
what_becomes_of_a_job_is_told(void **state)
{
	static const struct job_report done = { .end = JOB_COMPLETE };
	struct rig *rig = rig_new();
	struct registry_answer answer, other;

	(void)state;
	(void)create(rig, "{\"pipeline\": \"orders\"}", &answer);
	registry_pause(rig->registry, answer.job, &source, &other);
	registry_resume(rig->registry, answer.job, &source, &other);
	/* That its start is in the audit changes nothing of it. */
	registry_entered(rig->registry, answer.job, REGISTRY_AUDIT_START);
	registry_ended(rig->registry, answer.job, &done, NULL);
	flow(rig);
	assert_string_equal(rig->told,
	    "queued running paused running complete");
	/* Another one writes what it owns now, and has no news. */
	take_over(rig, "there:2");
	assert_string_equal(rig->told,
	    "queued running paused running complete");
	rig_free(rig);
}

static void
operators_have_their_way(void **state)
{
	struct rig *rig = rig_new();
	struct registry_answer answer, other;

	(void)state;
	(void)create(rig, "{\"pipeline\": \"orders\"}", &answer);
	registry_pause(rig->registry, answer.job, &source, &other);
	registry_pause(rig->registry, answer.job, &source, &other);
	assert_int_equal(rig->pauses, 1);
	flow(rig);
	/* Paused it stays, wherever. */
	take_over(rig, "there:2");
	assert_int_equal(rig->runs, 1);
	registry_resume(rig->registry, answer.job, &source, &other);
	assert_int_equal(other.refusal, REGISTRY_DONE);
	assert_int_equal(rig->runs, 2);
	registry_feature(rig->registry, "redrive", false, &source, &other);
	assert_int_equal(rig->pauses, 2);
	flow(rig);
	assert_int_equal(create(rig, "{\"pipeline\": \"bills\"}", &other),
	    REGISTRY_OFF);
	/* A dry run moves nothing. */
	assert_int_equal(create(rig,
			     "{\"pipeline\": \"bills\", \"dry_run\": true}",
			     &other),
	    REGISTRY_DONE);
	assert_int_equal(rig->runs, 3);
	take_over(rig, "here:3");
	assert_false(registry_redrive_is_on(rig->registry));
	assert_int_equal(rig->runs, 4);
	registry_cancel(rig->registry, answer.job, &source, &other);
	flow(rig);
	assert_int_equal(registry_find(rig->registry, answer.job)->report.end,
	    JOB_CANCELLED);
	registry_cancel(rig->registry, answer.job, &source, &other);
	assert_int_equal(other.refusal, REGISTRY_TOO_LATE);
	registry_cancel(rig->registry, "nobody", &source, &other);
	assert_int_equal(other.refusal, REGISTRY_NO_JOB);
	registry_feature(rig->registry, "redrive", true, &source, &other);
	assert_true(registry_redrive_is_on(rig->registry));
	rig_free(rig);
}

/* A name that is not UTF-8 is no way around the audit. */
static void
any_name_is_entered(void **state)
{
	static const struct registry_source odd = { "ren\xe9", "test" };
	struct rig *rig = rig_new();
	struct registry_answer answer;

	(void)state;
	registry_feature(rig->registry, "redrive", false, &odd, &answer);
	assert_string_equal(rig->entered, "feature_off");
	assert_string_equal(rig->who, "ren\xef\xbf\xbd");
	rig_free(rig);
}

/* Whoever is not the active one passes on what is asked of it. */
static void
a_standby_passes_on(void **state)
{
	struct rig *rig = rig_new();
	const struct registry_env env = { rig->loop, rig->conf, "there:2" };
	struct registry *active = rig->registry;
	struct registry_answer answer;
	json_t *body = json_pack("{s:s}", "pipeline", "orders");

	(void)state;
	rig->registry = registry_new(&env, &cbs, rig);
	registry_create(rig->registry, body, &source, &answer);
	assert_int_equal(answer.refusal, REGISTRY_OFFLINE);
	board_joined(registry_board(rig->registry));
	registry_create(rig->registry, body, &source, &answer);
	assert_int_equal(answer.refusal, REGISTRY_PASSED_ON);
	assert_null(registry_find(rig->registry, answer.job));
	registry_free(rig->registry);
	rig->registry = active;
	flow(rig);
	/* Under the id that was promised. */
	assert_string_equal(rig->run, answer.job);
	assert_string_equal(registry_find(active, answer.job)->who, "ann");
	json_decref(body);
	rig_free(rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_request_may_say),
		cmocka_unit_test(one_job_a_pipeline),
		cmocka_unit_test(the_next_daemon_knows_all_of_it),
		cmocka_unit_test(what_becomes_of_a_job_is_told),
		cmocka_unit_test(operators_have_their_way),
		cmocka_unit_test(any_name_is_entered),
		cmocka_unit_test(a_standby_passes_on),
	};

	log_open(LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
