/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* Every disease, given to a healthy broker on paper, and what is said of it. */
#include "ctl/doctor.h"

#include "ctl/compare.h"
#include "tests/ctl/rig.h"
#include "tests/unit.h"

#define POLICY(definition) \
	"{'policy': 'lim', 'effective_policy_definition': " definition "}"
#define CLEAR "rabbitmqctl clear_policy -p / lim"

struct disease {
	const char *what;
	const char *name;  /* the queue that has it */
	const char *patch; /* into its row */
	const char *found; /* all that is said */
	const char *fix;   /* words of the first fix; NULL: any */
	const char *version;
};

static const struct disease diseases[] = {
	{ "health", "orders", "{}", "", NULL, NULL },
	{ "a delivery limit by policy", "orders.dlq",
	    POLICY("{'delivery-limit': 20}"),
	    "delivery_limit queue orders.dlq\n", CLEAR, NULL },
	{ "one by an operator's policy", "orders.dlq",
	    "{'operator_policy': 'its'}", "", NULL, NULL },
	{ "a delivery limit by argument", "orders.dlq",
	    "{'arguments': {'x-delivery-limit': 20}}",
	    "different queue orders.dlq\ndelivery_limit queue orders.dlq\n",
	    "dlo topology apply", NULL },
	{ "a delivery limit of -1", "mails.parked",
	    "{'arguments': {'x-delivery-limit': -1}}",
	    "different queue mails.parked\n"
	    "delivery_limit queue mails.parked\n",
	    NULL, NULL },
	{ "a higher limit by policy", "orders.dlq",
	    POLICY("{'delivery-limit': 2147483648}"), "", NULL, NULL },
	{ "a length limit by policy", "orders.archive",
	    POLICY("{'max-length': 5}"), "length_limit queue orders.archive\n",
	    CLEAR, NULL },
	{ "one that drops", "dlo.jobs",
	    POLICY("{'max-length-bytes': 5, 'overflow': 'drop-head'}"),
	    "length_limit queue dlo.jobs\n", CLEAR, NULL },
	{ "drop-head alone", "orders.dlq", POLICY("{'overflow': 'drop-head'}"),
	    "drop_head queue orders.dlq\n", CLEAR, NULL },
	{ "dead letters with a TTL", "orders.dlq",
	    POLICY("{'message-ttl': 1000}"), "message_ttl queue orders.dlq\n",
	    CLEAR, NULL },
	{ "an archive with a shorter TTL", "mails.archive",
	    POLICY("{'message-ttl': 1000}"),
	    "message_ttl queue mails.archive\n", CLEAR, NULL },
	{ "an archive with a longer TTL", "mails.archive",
	    POLICY("{'message-ttl': 3600001}"), "", NULL, NULL },
	{ "a ladder that drops its head", "dlo.retry.orders.1",
	    POLICY("{'overflow': 'drop-head'}"),
	    "at_most_once queue dlo.retry.orders.1\n", CLEAR, NULL },
	{ "a ladder that hands on at most once", "dlo.retry.mails.0",
	    "{'arguments': {'x-dead-letter-strategy': 'at-most-once'}}",
	    "different queue dlo.retry.mails.0\n"
	    "at_most_once queue dlo.retry.mails.0\n",
	    NULL, NULL },
	{ "a ladder that is early", "dlo.retry.orders.1",
	    POLICY("{'message-ttl': 1}"),
	    "message_ttl queue dlo.retry.orders.1\n", CLEAR, NULL },
	{ "a ladder with a length limit", "dlo.retry.orders.1",
	    POLICY("{'max-length': 1}"),
	    "length_limit queue dlo.retry.orders.1\n", CLEAR, NULL },
	{ "stuck messages", "dlo.retry.orders.0", "{'messages': 9}",
	    "stuck_messages queue dlo.retry.orders.0\n", NULL, NULL },
	{ "a classic queue where a quorum queue is wanted", "orders.parked",
	    "{'type': 'classic'}", "classic_queue queue orders.parked\n", NULL,
	    NULL },
	{ "another argument", "dlo.jobs",
	    "{'arguments': {'x-single-active-consumer': false}}",
	    "different queue dlo.jobs\n", NULL, NULL },
	{ "one argument too many", "dlo.jobs",
	    "{'arguments': {'x-max-priority': 4}}",
	    "different queue dlo.jobs\n", NULL, NULL },
	{ "an argument that nobody compares", "dlo.jobs",
	    "{'arguments': {'x-queue-leader-locator': 'balanced'}}", "", NULL,
	    NULL },
	{ "a transient queue", "orders.dlq", "{'durable': false}",
	    "different queue orders.dlq\ntransient queue orders.dlq\n", NULL,
	    NULL },
	{ "a transient work queue", "orders",
	    "{'durable': false, 'type': 'classic'}",
	    "transient queue orders\nat_most_once queue orders\n", NULL, NULL },
	{ "a queue mode", "mails.dlq",
	    "{'arguments': {'x-queue-mode': 'lazy'}}",
	    "different queue mails.dlq\nqueue_mode queue mails.dlq\n", NULL,
	    NULL },
	{ "a queue mode by policy", "mails.dlq",
	    POLICY("{'queue-mode': 'lazy'}"), "queue_mode queue mails.dlq\n",
	    CLEAR, NULL },
	{ "a queue that expires", "orders.dlq", POLICY("{'expires': 5000}"),
	    "expires queue orders.dlq\n", CLEAR, NULL },

	{ "a work queue without a policy", "orders",
	    "{'effective_policy_definition': null, 'policy': null}",
	    "no_dead_lettering queue orders\n", NULL, NULL },
	{ "a work queue whose policy says nothing", "orders", POLICY("[]"),
	    "no_dead_lettering queue orders\n",
	    "the policy that dlo topology plan shows", NULL },
	{ "a work queue that dead-letters elsewhere", "mails",
	    "{'arguments': {'x-dead-letter-exchange': 'other'}}",
	    "different queue mails\nother_dead_lettering queue mails\n", NULL,
	    NULL },
	{ "a work queue that dead-letters at most once", "orders",
	    "{'effective_policy_definition':"
	    " {'dead-letter-strategy': 'at-most-once'}}",
	    "at_most_once queue orders\n", NULL, NULL },
	{ "a work queue whose overflow undoes at-least-once", "mails",
	    POLICY("{'overflow': 'drop-head'}"), "at_most_once queue mails\n",
	    NULL, NULL },
	{ "a full work queue that evicts", "orders",
	    "{'effective_policy_definition':"
	    " {'max-length': 9, 'overflow': 'drop-head'}}",
	    "drop_head queue orders\nat_most_once queue orders\n"
	    "limit_beside_dlx queue orders\n",
	    NULL, NULL },
	{ "the same on 4.1", "orders",
	    "{'arguments': {'x-delivery-limit': 5000},"
	    " 'effective_policy_definition':"
	    " {'max-length': 9, 'overflow': 'drop-head'}}",
	    "drop_head queue orders\nat_most_once queue orders\n", NULL,
	    "4.1.0" },
	{ "a full work queue that refuses", "orders",
	    "{'effective_policy_definition': {'max-length': 9}}", "", NULL,
	    NULL },
	{ "a TTL beside a dead-letter exchange", "mails",
	    POLICY("{'message-ttl': 9}"), "limit_beside_dlx queue mails\n",
	    CLEAR, NULL },
	{ "a low delivery limit on a work queue", "mails",
	    POLICY("{'delivery-limit': 20}"), "delivery_limit queue mails\n",
	    CLEAR, NULL },
	{ "none on 3.x is none", "orders", "{}", "", NULL, "3.13.7" },
	{ "none on 4.0 is 20", "orders", "{}", "delivery_limit queue orders\n",
	    "x-delivery-limit 2147483647", "4.0.5" },
	{ "4.3 counts failures only", "mails", POLICY("{'delivery-limit': 20}"),
	    "", NULL, "4.3.0" },
	{ "a dead-letter queue without a depth", "orders.dlq",
	    "{'messages': null}", "", NULL, NULL },
	{ "a ladder without a depth", "dlo.retry.orders.0",
	    "{'messages_ready': null}",
	    "unchecked depth of queue dlo.retry.orders.0\n", NULL, NULL },
};

static void
examine(struct rig *rig, struct buf *found)
{
	rig_tell(rig);
	compare_objects(&rig->sight, &rig->report);
	doctor_findings(&rig->sight, &rig->report);
	rig_findings(rig, found);
}

static void
check_disease(const struct disease *disease)
{
	struct buf found = { 0 };
	struct rig rig;

	rig_init(&rig);
	if (disease->version != NULL)
		json_object_set_new(rig.parts[FOUND_OVERVIEW],
		    "rabbitmq_version", json_string(disease->version));
	rig_patch(&rig, FOUND_QUEUES, disease->name, disease->patch);
	examine(&rig, &found);
	if (strcmp(buf_str(&found), disease->found) != 0)
		fail_msg("%s: found\n%sand not\n%s", disease->what,
		    buf_str(&found), disease->found);
	for (size_t i = 0; i < rig.report.finding_count; i++) {
		assert_true(rig.report.findings[i].problem[0] != '\0');
		assert_true(rig.report.findings[i].fix[0] != '\0');
	}
	if (disease->fix != NULL) {
		const struct report_finding *first = rig.report.findings;

		if (strstr(first->command != NULL ? first->command : first->fix,
			disease->fix) == NULL)
			fail_msg("%s: the fix is %s", disease->what,
			    first->fix);
	}
	buf_clear(&found);
	rig_clear(&rig);
}

static void
knows_every_disease(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(diseases); i++)
		check_disease(&diseases[i]);
}

static void
assert_found(struct rig *rig, const char *expected)
{
	struct buf found = { 0 };

	examine(rig, &found);
	assert_string_equal(buf_str(&found), expected);
	buf_clear(&found);
	rig_clear(rig);
}

static void
names_the_policy_that_does_it(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_patch(&rig, FOUND_QUEUES, "orders.dlq",
	    "{'policy': 'fine', 'operator_policy': 'mean',"
	    " 'effective_policy_definition': {'delivery-limit': 5}}");
	rig_add(&rig, FOUND_POLICIES,
	    "{'name': 'fine', 'priority': 0,"
	    " 'definition': {'delivery-limit': 9}}");
	rig_tell(&rig);
	compare_objects(&rig.sight, &rig.report);
	doctor_findings(&rig.sight, &rig.report);
	assert_non_null(strstr(rig_finding(&rig, "delivery_limit")->command,
	    "rabbitmqctl clear_operator_policy -p / mean"));
	rig_clear(&rig);
}

static void
says_what_is_not_told(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	json_object_del(rig_row(&rig, FOUND_QUEUES, "orders.dlq"),
	    "effective_policy_definition");
	assert_found(&rig, "unchecked policies of queue orders.dlq\n");
}

static void
what_moves_is_not_stuck(void **state)
{
	struct found later = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_tell(&rig);
	assert_false(found_has_stuck(&rig.sight.found));
	rig_patch(&rig, FOUND_QUEUES, "dlo.retry.orders.0", "{'messages': 20}");
	rig_patch(&rig, FOUND_QUEUES, "dlo.retry.orders.1", "{'messages': 20}");
	rig_patch(&rig, FOUND_QUEUES, "dlo.retry.mails.0", "{'messages': 20}");
	rig_tell(&rig);
	assert_true(found_has_stuck(&rig.sight.found));
	rig_patch(&rig, FOUND_QUEUES, "dlo.retry.orders.0", "{'messages': 12}");
	rig_patch(&rig, FOUND_QUEUES, "dlo.retry.orders.1", "{'messages': 7}");
	rig_drop(&rig, FOUND_QUEUES, "dlo.retry.mails.0");
	assert_int_equal(found_take(&later, FOUND_QUEUES,
			     json_deep_copy(rig.parts[FOUND_QUEUES])),
	    0);
	found_settle(&rig.sight.found, &later);
	assert_int_equal(found_queue(&rig.sight.found, "dlo.retry.orders.0")
			     ->stuck,
	    5);
	assert_int_equal(found_queue(&rig.sight.found, "dlo.retry.orders.1")
			     ->stuck,
	    0);
	assert_int_equal(found_queue(&rig.sight.found, "dlo.retry.mails.0")
			     ->stuck,
	    0);
	found_clear(&later);
	rig_clear(&rig);
}

static void
finds_alternate_exchanges(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_patch(&rig, FOUND_EXCHANGES, "dlo.redrive",
	    "{'arguments': {'alternate-exchange': 'amq.fanout'}}");
	assert_found(&rig,
	    "different exchange dlo.redrive\n"
	    "alternate_exchange exchange dlo.redrive\n");

	rig_init(&rig);
	rig_patch(&rig, FOUND_EXCHANGES, "dlo.retry.mails.0",
	    "{'policy': 'ae'}");
	rig_patch(&rig, FOUND_EXCHANGES, "dlo.dead", "{'policy': 'other'}");
	rig_add(&rig, FOUND_POLICIES,
	    "{'name': 'ae', 'definition': {'alternate-exchange': 'x'}}");
	rig_add(&rig, FOUND_POLICIES,
	    "{'name': 'other', 'definition': {'federation-upstream': 'x'}}");
	assert_found(&rig, "alternate_exchange exchange dlo.retry.mails.0\n");
}

static void
finds_what_is_missing(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_drop(&rig, FOUND_QUEUES, "orders.dlq");
	rig_unbind(&rig, "dlo.dead", "orders.dlq", "orders");
	rig_unbind(&rig, "dlo.retry.orders.1", "dlo.retry.orders.0", "*.0.#");
	rig_patch(&rig, FOUND_EXCHANGES, "dlo.events", "{'type': 'fanout'}");
	/* That of the queue says all about its binding. */
	assert_found(&rig,
	    "different exchange dlo.events\n"
	    "missing queue orders.dlq\n"
	    "missing binding dlo.retry.orders.1 -> dlo.retry.orders.0 "
	    "(*.0.#)\n");
}

#define BINDING(source, destination, type, key) \
	"{'source': '" source "', 'destination': '" destination "'," \
	" 'destination_type': '" type "', 'routing_key': '" key "'," \
	" 'properties_key': '" key "'}"

static void
finds_stale_bindings(void **state)
{
	static const char *const stale[] = {
		BINDING("dlo.redrive", "old", "queue", "orders"),
		BINDING("dlo.dead", "old.dlq", "queue", "orders"),
		BINDING("dlo.dead", "orders.dlq", "queue", "orders.archive"),
		BINDING("dlo.retry.orders", "old", "queue", ""),
		BINDING("dlo.retry.orders.0", "old", "exchange", "#"),
	};
	static const char *const fine[] = {
		/* What a higher cap, somebody's ears and others need. */
		BINDING("dlo.retry.orders.7", "dlo.retry.orders.6", "exchange",
		    "*.*.*.*.*.*.*.0.#"),
		BINDING("dlo.retry.orders.7", "dlo.retry.orders.7", "queue",
		    "*.*.*.*.*.*.*.1.#"),
		BINDING("dlo.events", "ears", "queue", "#"),
		BINDING("", "old", "queue", "old"),
		BINDING("shop", "orders", "queue", "new"),
		BINDING("dlo.dead.more", "x", "queue", "orders"),
	};
	struct rig rig;

	(void)state;
	rig_init(&rig);
	for (size_t i = 0; i < array_len(stale); i++)
		rig_add(&rig, FOUND_BINDINGS, stale[i]);
	for (size_t i = 0; i < array_len(fine); i++)
		rig_add(&rig, FOUND_BINDINGS, fine[i]);
	assert_found(&rig,
	    "stale_binding binding dlo.dead -> old.dlq (orders)\n"
	    "stale_binding binding dlo.dead -> orders.dlq (orders.archive)\n"
	    "stale_binding binding dlo.redrive -> old (orders)\n"
	    "stale_binding binding dlo.retry.orders -> old ()\n"
	    "stale_binding binding dlo.retry.orders.0 -> old (#)\n");
}

static void
leaves_other_pipelines_alone(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_add(&rig, FOUND_BINDINGS,
	    BINDING("dlo.dead", "faxes.dlq", "queue", "faxes"));
	rig_add(&rig, FOUND_BINDINGS,
	    BINDING("dlo.retry.faxes", "faxes", "queue", ""));
	rig_tell(&rig);
	compare_objects(&rig.sight, &rig.report);
	doctor_findings(&rig.sight, &rig.report);
	assert_int_equal(rig.report.finding_count, 2);
	assert_int_equal(report_alarms(&rig.report), 0);
	assert_string_equal(rig.report.findings[0].code, "orphan_binding");
	rig_clear(&rig);
}

static void
warns_of_classic_ladders(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig.conf.topology.queue_type = CONF_QUEUE_CLASSIC;
	rig_tell(&rig);
	doctor_findings(&rig.sight, &rig.report);
	assert_string_equal(rig_finding(&rig, "at_most_once")->object,
	    "topology.queue_type");
	rig_clear(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_every_disease),
		cmocka_unit_test(names_the_policy_that_does_it),
		cmocka_unit_test(says_what_is_not_told),
		cmocka_unit_test(what_moves_is_not_stuck),
		cmocka_unit_test(finds_alternate_exchanges),
		cmocka_unit_test(finds_what_is_missing),
		cmocka_unit_test(finds_stale_bindings),
		cmocka_unit_test(leaves_other_pipelines_alone),
		cmocka_unit_test(warns_of_classic_ladders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
