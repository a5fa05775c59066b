/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/options.h"
#include "ctl/verb_jobs.h"
#include "ctl/verb_letters.h"
#include "ctl/verb_topology.h"
#include "lib/buf.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* Edits up to which a mistyped verb is taken for a known one. */
#define HINT_EDITS 3

/* It asks dlo-redrive. */
#define ASKS .roles = CONF_ROLE_OPERATOR

static const struct verb topology[] = {
	{ "plan", "what would be declared, and what is there",
	    "Shows every exchange, queue and binding that the configuration "
	    "wants,\n"
	    "whether it is in the broker, and the policies that work queues "
	    "want\n"
	    "which are not ours to declare. Changes nothing.",
	    .takes = &options_json, .roles = CONF_ROLE_TOPOLOGY,
	    .run = verb_topology_plan },
	{ "apply", "declare what is missing, remove stale bindings",
	    "Declares what is missing, and removes bindings of our own "
	    "exchanges that\n"
	    "the configuration does not know. Deletes no queue and no "
	    "exchange.",
	    .takes = &options_declare, .roles = CONF_ROLE_TOPOLOGY,
	    .run = verb_topology_apply },
	{ "check", "drift and dangerous settings, each with its fix",
	    "Compares the broker with the configuration, and looks for "
	    "settings that\n"
	    "lose, multiply or hold up messages. Exits with 2 when anything "
	    "is found,\n"
	    "or could not be checked.",
	    .takes = &options_json, .roles = CONF_ROLE_TOPOLOGY,
	    .run = verb_topology_check },
};

static const struct verb verbs[] = {
	{ "status", "pipelines, depths, breakers, probes, jobs",
	    "Shows each pipeline at a glance: how many dead letters it has, "
	    "how its\n"
	    "downstream is, and its job if there is one.",
	    .takes = &options_json, ASKS, .run = verb_status },
	{ "topology", "what dlo keeps in the broker: plan, apply, check",
	    "What Dead Letter Office keeps in the broker.", .below = topology,
	    .below_count = array_len(topology) },
	{ "groups", "dead letters grouped by what they died of",
	    "Groups a pipeline's dead letters by reason, class and error, "
	    "numbers and ids\n"
	    "in the error blanked. Leaves them as they are.",
	    "P", 1, .takes = &options_look, ASKS, .run = verb_groups },
	{ "peek", "look at dead letters without touching them",
	    "Shows a pipeline's dead letters, the oldest in the queue first. "
	    "Leaves them,\n"
	    "and their order, as they are.",
	    "P", 1, .takes = &options_peek, ASKS, .run = verb_peek },
	{ "redrive", "back to the work queue",
	    "Moves dead letters back to their work queue: first a canary, "
	    "then a ramp;\n"
	    "it stops when they fail again.",
	    "P", 1, .takes = &options_redrive, ASKS, .run = verb_redrive },
	{ "jobs", "jobs of the last days", "Lists the jobs, the newest first.",
	    .takes = &options_json, ASKS, .run = verb_jobs },
	{ "job", "one job", "Shows one job.", "ID", 1, .takes = &options_json,
	    ASKS, .run = verb_job },
	{ "pause", "stop a job for now",
	    "Pauses a job: it gives back what it holds, until it is resumed.",
	    "ID", 1, .takes = &options_json, ASKS, .run = verb_pause },
	{ "resume", "let a job go on", "Lets a paused job go on.", "ID", 1,
	    .takes = &options_json, ASKS, .run = verb_resume },
	{ "cancel", "end a job",
	    "Ends a job: it pulls no more, waits for what it sent, and gives "
	    "back the rest.",
	    "ID", 1, .takes = &options_json, ASKS, .run = verb_cancel },
	{ "delete", "to the archive",
	    "Moves dead letters to the archive, where they can be restored "
	    "from until\n"
	    "its time is over.",
	    "P", 1, .takes = &options_move, ASKS, .run = verb_delete },
	{ "restore", "from the archive",
	    "Moves archived letters back to the dead-letter queue.", "P", 1,
	    .takes = &options_move, ASKS, .run = verb_restore },
	{ "park", "out of the way of automatic jobs",
	    "Moves dead letters to the parked queue, where no job takes them "
	    "from by itself.",
	    "P", 1, .takes = &options_move, ASKS, .run = verb_park },
	{ "unpark", "back from there",
	    "Moves parked letters back to the dead-letter queue.", "P", 1,
	    .takes = &options_move, ASKS, .run = verb_unpark },
	{ "export", "dead letters as JSON lines, without loss",
	    "Writes dead letters to stdout, one JSON object a line, with all "
	    "properties,\n"
	    "header types and the body. Leaves them as they are.",
	    "P", 1, .takes = &options_look, ASKS, .run = verb_export },
	{ "edit", "change one letter and redrive it",
	    "Opens one dead letter in $VISUAL or $EDITOR. The edited copy "
	    "goes to the work\n"
	    "queue under an id of its own, the original to the archive.",
	    "P", 1, .takes = &options_letter, ASKS, .run = verb_edit },
	{ "import", "exported letters back into the dead-letter queue",
	    "Reads from stdin what export has written, and puts it into the "
	    "dead-letter queue.",
	    "P", 1, .takes = &options_json, ASKS, .run = verb_import },
	{ "feature", "turn redriving on or off",
	    "Turns a feature on or off at run time, until it is turned "
	    "again. `redrive`: off,\n"
	    "no job runs.",
	    "NAME on|off", 2, .takes = &options_json, ASKS,
	    .run = verb_feature },
	{ "audit", "who did what, and whether that record is whole",
	    "Lists what operators and jobs did, the oldest first, and checks "
	    "that every\n"
	    "entry follows the one before. Exits with 2 when one does not.",
	    .takes = &options_audit, ASKS, .run = verb_audit },
};

static const struct verb root = {
	.summary = "The operator's command of Dead Letter Office.",
	.below = verbs,
	.below_count = array_len(verbs),
};

/* What cli.h wants to know of a verb or group; texts to be freed. */
struct page {
	struct cli_program program;
	char *name, *summary, *usage;
};

static const char *
take_word(void *arg, const char *word)
{
	struct verb_call *call = arg;

	if (call->word_count == VERB_WORDS_MAX)
		return "unexpected argument";
	call->words[call->word_count++] = word;
	return NULL;
}

static void
page_init(struct page *page, const char *name, const struct verb *verb,
    struct verb_call *call)
{
	struct buf summary = { 0 };

	buf_add_str(&summary, verb->summary);
	for (size_t i = 0; i < verb->below_count; i++)
		buf_printf(&summary, "%s  %-10s %s", i == 0 ? "\n\n" : "\n",
		    verb->below[i].name, verb->below[i].help);
	page->name = xstrdup(name);
	page->summary = xstrdup(buf_str(&summary));
	page->usage = verb->below_count > 0
	    ? xstrdup("[-v] [-c FILE] VERB ...")
	    : xasprintf("%s%s[-v] [-c FILE] [OPTION]...",
		  verb->words != NULL ? verb->words : "",
		  verb->words != NULL ? " " : "");
	page->program = (struct cli_program){
		.name = page->name,
		.summary = page->summary,
		.usage = page->usage,
		.options = verb->takes != NULL ? verb->takes->items : NULL,
		.option_count = verb->takes != NULL ? verb->takes->count : 0,
		.take_word = verb->word_count > 0 ? take_word : NULL,
		.arg = call,
		.has_verbs = verb->below_count > 0,
		.is_verb = verb != &root,
	};
	buf_clear(&summary);
}

static void
page_clear(struct page *page)
{
	free(page->name);
	free(page->summary);
	free(page->usage);
}

static const struct verb *
find(const struct verb *group, const char *name)
{
	for (size_t i = 0; i < group->below_count; i++) {
		if (strcmp(group->below[i].name, name) == 0)
			return &group->below[i];
	}
	return NULL;
}

static int
refuse_verb(const struct page *page, const struct verb *group, const char *word)
{
	const char *best = NULL;
	unsigned best_edits = HINT_EDITS + 1;

	if (word == NULL)
		return cli_usage_error(&page->program, "a verb is needed");
	for (size_t i = 0; i < group->below_count; i++) {
		unsigned edits = text_distance(word, group->below[i].name);

		if (edits < best_edits) {
			best_edits = edits;
			best = group->below[i].name;
		}
	}
	if (best == NULL)
		return cli_usage_error(&page->program, "unknown verb: %s",
		    word);
	return cli_usage_error(&page->program,
	    "unknown verb: %s: did you mean %s?", word, best);
}

/* Returns -1 or an exit code. */
static int
check_words(const struct page *page, const struct verb *verb,
    const struct verb_call *call)
{
	if (call->word_count < verb->word_count)
		return cli_usage_error(&page->program, "%s is needed",
		    verb->words);
	if (call->word_count > verb->word_count)
		return cli_usage_error(&page->program,
		    "unexpected argument: %s", call->words[verb->word_count]);
	return -1;
}

/* What follows a group's or verb's name. */
static int
parse_below(struct verbs_line *line, const char *name, const struct verb *verb,
    char *const *argv)
{
	const struct verb *below;
	struct page page;
	char *full;
	int code;

	page_init(&page, name, verb, &line->call);
	code = cli_parse_more(&page.program, &line->cli, argv);
	if (code < 0 && verb->below_count == 0) {
		line->verb = verb;
		code = check_words(&page, verb, &line->call);
	} else if (code < 0 && line->cli.check) {
		if (*line->cli.rest != NULL)
			code = cli_usage_error(&page.program,
			    "no verb can stand beside --check: %s",
			    *line->cli.rest);
	} else if (code < 0) {
		const char *word = *line->cli.rest;

		below = word != NULL ? find(verb, word) : NULL;
		if (below == NULL) {
			code = refuse_verb(&page, verb, word);
		} else {
			full = xasprintf("%s %s", name, word);
			code =
			    parse_below(line, full, below, line->cli.rest + 1);
			free(full);
		}
	}
	page_clear(&page);
	return code;
}

int
verbs_parse(struct verbs_line *line, int argc, char *const *argv)
{
	memset(line, 0, sizeof(*line));
	line->call.rate = -1;
	line->call.max = -1;
	line->call.canary = -1;
	line->call.limit = -1;
	line->call.since_ms = -1;
	return parse_below(line, "dlo", &root, argv + (argc > 0));
}

void
verbs_clear(struct verbs_line *line)
{
	json_decref(line->call.filter);
	line->call.filter = NULL;
}
