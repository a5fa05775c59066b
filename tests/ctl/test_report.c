/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/* What is written: policies to set, text for people, JSON for programs. */
#include "ctl/report.h"

#include <stdlib.h>

#include "ctl/advice.h"
#include "ctl/compare.h"
#include "ctl/doctor.h"
#include "ctl/stale.h"
#include "lib/xalloc.h"
#include "tests/ctl/rig.h"
#include "tests/unit.h"

#define COLUMNS 100

static void
quotes_for_a_shell(void **state)
{
	static const struct {
		const char *word, *quoted;
	} cases[] = {
		{ "orders-1.x", "orders-1.x" },
		{ "/", "/" },
		{ "", "''" },
		{ "a b", "'a b'" },
		{ "$(reboot)", "'$(reboot)'" },
		{ "it's", "'it'\\''s'" },
		{ "^a\\.b$", "'^a\\.b$'" },
		{ "~root", "'~root'" },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct buf out = { 0 };

		advice_quote(&out, cases[i].word);
		assert_string_equal(buf_str(&out), cases[i].quoted);
		buf_clear(&out);
	}
}

/* The advice for `orders` after a patch, and its note. */
static char *
advise(const char *patch, char **note)
{
	char *command;
	struct rig rig;

	rig_init(&rig);
	json_object_del(rig_row(&rig, FOUND_QUEUES, "orders"),
	    "effective_policy_definition");
	rig_patch(&rig, FOUND_QUEUES, "orders", patch);
	rig_tell(&rig);
	command = advice_policy(&rig.sight, rig.conf.pipelines, note);
	rig_clear(&rig);
	return command;
}

#define DEAD \
	"\"dead-letter-exchange\": \"dlo.dead\",\n" \
	"  \"dead-letter-routing-key\": \"orders\""
#define SAFE \
	",\n  \"dead-letter-strategy\": \"at-least-once\"" \
	",\n  \"overflow\": \"reject-publish\"}'"
#define HEAD(priority) \
	"rabbitmqctl set_policy -p / --apply-to queues --priority " priority \
	" dlo-orders \\\n  '^orders$' \\\n  '{"

static void
advises_a_policy(void **state)
{
	static const struct {
		const char *patch, *command, *note;
	} cases[] = {
		/* As it is in the rig: another policy would add nothing. */
		{ "{'effective_policy_definition':"
		  " {'dead-letter-exchange': 'dlo.dead',"
		  "  'dead-letter-routing-key': 'orders',"
		  "  'dead-letter-strategy': 'at-least-once',"
		  "  'overflow': 'reject-publish'}}",
		    NULL, NULL },
		{ "{'policy': '', 'effective_policy_definition': {}}",
		    HEAD("0") DEAD SAFE, NULL },
		{ "{'policy': '', 'type': 'classic',"
		  " 'effective_policy_definition': {}}",
		    HEAD("0") DEAD "}'", NULL },
		/* Its policy's words are kept, and it wins over it. */
		{ "{'effective_policy_definition': {}}", HEAD("4") DEAD SAFE,
		    "takes the place of dlo-orders" },
		{ "{'policy': ''}", HEAD("0") DEAD SAFE, "could not be seen" },
		{ "{'arguments': {'x-dead-letter-exchange': 'dlo.dead'}}", NULL,
		    "only declaring it anew does" },
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		char *note, *command = advise(cases[i].patch, &note);

		if (cases[i].command == NULL)
			assert_null(command);
		else
			assert_string_equal(command, cases[i].command);
		if (cases[i].note == NULL)
			assert_null(note);
		else
			assert_non_null(strstr(note, cases[i].note));
		free(command);
		free(note);
	}
}

static void
a_policy_keeps_what_the_present_one_says(void **state)
{
	char *note, *command;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_add(&rig, FOUND_POLICIES,
	    "{'name': 'all', 'priority': -2, 'definition': {'max-length': 5}}");
	rig_patch(&rig, FOUND_QUEUES, "orders", "{'policy': 'all'}");
	json_object_set_new(rig_row(&rig, FOUND_QUEUES, "orders"),
	    "effective_policy_definition", rig_json("{'max-length': 5}"));
	rig_tell(&rig);
	command = advice_policy(&rig.sight, rig.conf.pipelines, &note);
	assert_string_equal(command,
	    HEAD("-1") "\"max-length\": 5,\n  " DEAD SAFE);
	free(command);
	free(note);
	rig_clear(&rig);
}

/* A report with everything in it, and names that want to do harm. */
static void
fill(struct rig *rig)
{
	rig_init(rig);
	rig_add(rig, FOUND_BINDINGS,
	    "{'source': 'dlo.dead',"
	    " 'destination': 'x\\u001b[2J\\u009b\\nq\\u202e\\u007f',"
	    " 'destination_type': 'queue', 'routing_key': 'orders',"
	    " 'properties_key': 'orders'}");
	rig_drop(rig, FOUND_QUEUES, "dlo.retry.orders.1");
	rig_patch(rig, FOUND_QUEUES, "orders.dlq",
	    "{'policy': 'a\\u0007b', 'effective_policy_definition':"
	    " {'delivery-limit': 20, 'message-ttl': 5, 'max-length': 2,"
	    "  'overflow': 'drop-head'}}");
	rig_tell(rig);
	compare_objects(&rig->sight, &rig->report);
	stale_objects(&rig->sight, &rig->report);
	doctor_findings(&rig->sight, &rig->report);
	advice_policies(&rig->sight, &rig->report);
	report_unchecked(&rig->report, xstrdup("a"), xstrdup("b\033[0m"));
}

static void
text_is_narrow_and_harmless(void **state)
{
	struct buf out = { 0 };
	struct rig rig;
	size_t wide = 0;

	(void)state;
	fill(&rig);
	report_text(&rig.report,
	    REPORT_OBJECTS | REPORT_FINDINGS | REPORT_POLICIES, &out);
	for (const char *at = buf_str(&out); *at != '\0'; at++) {
		wide = *at == '\n' ? 0 : wide + 1;
		if (wide > COLUMNS)
			fail_msg("wide: %.*s", COLUMNS, at + 1 - wide);
		if (*at != '\n' && (unsigned char)*at < 0x20)
			fail_msg("control character: %.20s", at);
	}
	assert_null(strstr(buf_str(&out), "\xc2\x9b"));
	assert_null(strstr(buf_str(&out), "\xe2\x80\xae"));
	assert_non_null(
	    strstr(buf_str(&out), "x\\x1b[2J\\x9b\\x0aq\\u202e\\x7f"));
	assert_non_null(strstr(buf_str(&out), "a\\x07b"));
	buf_clear(&out);
	rig_clear(&rig);
}

static void
json_has_lists_under_their_names(void **state)
{
	static const struct {
		const char *list, *keys[6];
	} lists[] = {
		{ "objects", { "kind", "name", "state" } },
		{ "findings",
		    { "code", "severity", "object", "problem", "fix" } },
		{ "policies", { "pipeline", "queue", "needed" } },
		{ "unchecked", { "what", "why" } },
	};
	struct buf out = { 0 };
	struct rig rig;
	json_t *root, *row;

	(void)state;
	fill(&rig);
	report_json(&rig.report,
	    REPORT_OBJECTS | REPORT_FINDINGS | REPORT_POLICIES, &out);
	/* Harmless on a terminal as well. */
	for (const char *at = buf_str(&out); *at != '\0'; at++)
		assert_true(*at == '\n' || (*at >= 0x20 && *at < 0x7f));
	root = json_loadb((const char *)buf_peek(&out), out.len, 0, NULL);
	assert_non_null(root);
	for (size_t i = 0; i < array_len(lists); i++) {
		const json_t *list = json_object_get(root, lists[i].list);

		assert_true(json_array_size(list) > 0);
		for (size_t k = 0; k < json_array_size(list); k++) {
			row = json_array_get(list, k);
			for (size_t j = 0; lists[i].keys[j] != NULL; j++)
				assert_non_null(
				    json_object_get(row, lists[i].keys[j]));
		}
	}
	row = json_array_get(json_object_get(root, "objects"), 3);
	assert_string_equal(found_text(row, "name"), "orders.dlq");
	assert_string_equal(found_text(json_object_get(row, "arguments"),
				"x-overflow"),
	    "reject-publish");
	json_decref(root);
	buf_clear(&out);
	rig_clear(&rig);
}

static void
changes_leave_out_what_is_as_it_was(void **state)
{
	struct buf out = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_tell(&rig);
	compare_objects(&rig.sight, &rig.report);
	rig.report.objects[0].state = REPORT_CREATED;
	report_text(&rig.report, REPORT_CHANGES, &out);
	assert_true(strncmp(buf_str(&out), "created   exchange dlo.events\n",
			strlen("created   exchange dlo.events\n")) == 0);
	assert_null(strstr(buf_str(&out), "exists    "));
	buf_clear(&out);
	rig_clear(&rig);
}

static void
without_the_api_bindings_are_unknown(void **state)
{
	struct sight_item *items;
	struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_tell(&rig);
	items = xcalloc(rig.topology->count, sizeof(*items));
	for (size_t i = 0; i < rig.topology->count; i++)
		items[i].seen = !topology_is_binding(&rig.topology->items[i]);
	items[0].problem = items[1].problem = true;
	items[0].fault = TOPOLOGY_MISSING;
	items[1].fault = TOPOLOGY_UNKNOWN;
	items[0].text = items[1].text = (char[]){ "no" };
	rig.sight.managed = false;
	rig.sight.items = items;
	compare_objects(&rig.sight, &rig.report);
	assert_int_equal(rig.report.objects[0].state, REPORT_MISSING);
	assert_int_equal(rig.report.objects[1].state, REPORT_UNKNOWN);
	assert_int_equal(rig.report.objects[2].state, REPORT_EXISTS);
	assert_int_equal(rig.report.objects[4].state, REPORT_UNKNOWN);
	assert_int_equal(rig.report.unchecked_count, 1);
	assert_string_equal(rig.report.unchecked[0].what, "exchange dlo.dead");
	free(items);
	rig_clear(&rig);
}

static void
refuses_what_no_broker_says(void **state)
{
	static const struct {
		enum found_part part;
		const char *answer;
	} cases[] = {
		{ FOUND_OVERVIEW, "{}" },
		{ FOUND_OVERVIEW, "[]" },
		{ FOUND_QUEUES, "{}" },
		{ FOUND_QUEUES, "[{}]" },
		{ FOUND_QUEUES, "[{'name': 4, 'type': 'quorum'}]" },
		{ FOUND_QUEUES, "[[]]" },
		{ FOUND_EXCHANGES, "[{'name': 'x'}]" },
		{ FOUND_BINDINGS, "[{'source': 'x'}]" },
		{ FOUND_POLICIES, "[{}]" },
		{ FOUND_POLICIES, "'x'" },
	};
	struct found found = { 0 };

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_int_equal(found_take(&found, cases[i].part,
				     rig_json(cases[i].answer)),
		    -1);
	assert_int_equal(found_take(&found, FOUND_POLICIES, rig_json("[]")), 0);
	assert_null(found_policy(&found, "x"));
	found_clear(&found);
}

/* "orders" it is not, though C would say so. */
static void
a_name_with_a_nul_is_no_name_of_ours(void **state)
{
	json_t *answer = json_pack("[{s{so} ss# ss}]", "definition", "a",
	    json_null(), "name", "orders\0x", 8, "type", "quorum");
	json_t *nested = json_pack("[{ss s{ss#}}]", "name", "p", "definition",
	    "dead-letter-exchange", "dlo.dead\0x", 10);
	struct found found = { 0 };

	(void)state;
	assert_int_equal(found_take(&found, FOUND_QUEUES, answer), 0);
	assert_null(found_queue(&found, "orders"));
	assert_int_equal(found.unreadable[FOUND_QUEUES], 1);
	assert_int_equal(found_take(&found, FOUND_POLICIES, nested), 0);
	assert_null(found_policy(&found, "p"));
	assert_int_equal(found_take(&found, FOUND_QUEUES,
			     rig_json("[{'name': 'q', 'type': 'quorum'}]")),
	    0);
	assert_int_equal(found.unreadable[FOUND_QUEUES], 0);
	assert_int_equal(found_take_arguments(&found, FOUND_QUEUES, "q",
			     rig_json("{'arguments': {'x-a': 4}}")),
	    0);
	assert_int_equal(json_object_size(found_queue(&found, "q")->arguments),
	    1);
	assert_int_equal(found_take_arguments(&found, FOUND_QUEUES, "q",
			     rig_json("[]")),
	    -1);
	found_clear(&found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_for_a_shell),
		cmocka_unit_test(advises_a_policy),
		cmocka_unit_test(a_policy_keeps_what_the_present_one_says),
		cmocka_unit_test(text_is_narrow_and_harmless),
		cmocka_unit_test(json_has_lists_under_their_names),
		cmocka_unit_test(changes_leave_out_what_is_as_it_was),
		cmocka_unit_test(without_the_api_bindings_are_unknown),
		cmocka_unit_test(refuses_what_no_broker_says),
		cmocka_unit_test(a_name_with_a_nul_is_no_name_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
