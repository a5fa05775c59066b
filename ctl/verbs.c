/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/verb_topology.h"
#include "lib/buf.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* Edits up to which a mistyped verb is taken for a known one. */
#define HINT_EDITS 3

static const char *
take_json(void *arg, const char *value)
{
	(void)value;
	((struct verb_call *)arg)->json = true;
	return NULL;
}

static const char *
take_dry_run(void *arg, const char *value)
{
	(void)value;
	((struct verb_call *)arg)->dry_run = true;
	return NULL;
}

#define JSON \
	{ \
		"json", 0, NULL, "one JSON object instead of text", take_json \
	}

static const struct cli_option looking[] = { JSON };
static const struct cli_option changing[] = {
	{ "dry-run", 0, NULL, "change nothing: as plan", take_dry_run },
	JSON,
};

static const struct verb topology[] = {
	{ "plan", "what would be declared, and what is there",
	    "Shows every exchange, queue and binding that the configuration "
	    "wants,\n"
	    "whether it is in the broker, and the policies that work queues "
	    "want\n"
	    "which are not ours to declare. Changes nothing.",
	    .options = looking, .option_count = array_len(looking),
	    .roles = CONF_ROLE_TOPOLOGY, .run = verb_topology_plan },
	{ "apply", "declare what is missing, remove stale bindings",
	    "Declares what is missing, and removes bindings of our own "
	    "exchanges that\n"
	    "the configuration does not know. Deletes no queue and no "
	    "exchange.",
	    .options = changing, .option_count = array_len(changing),
	    .roles = CONF_ROLE_TOPOLOGY, .run = verb_topology_apply },
	{ "check", "drift and dangerous settings, each with its fix",
	    "Compares the broker with the configuration, and looks for "
	    "settings that\n"
	    "lose, multiply or hold up messages. Exits with 2 when anything "
	    "is found,\n"
	    "or could not be checked.",
	    .options = looking, .option_count = array_len(looking),
	    .roles = CONF_ROLE_TOPOLOGY, .run = verb_topology_check },
};

static const struct verb verbs[] = {
	{ "topology", "what dlo keeps in the broker: plan, apply, check",
	    "What Dead Letter Office keeps in the broker.", .below = topology,
	    .below_count = array_len(topology) },
};

static const struct verb root = {
	.summary = "The operator's command of Dead Letter Office.",
	.below = verbs,
	.below_count = array_len(verbs),
};

/* What cli.h wants to know of a verb or group; texts to be freed. */
struct page {
	struct cli_program program;
	char *name, *summary;
};

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
	page->program = (struct cli_program){
		.name = page->name,
		.summary = page->summary,
		.usage = verb->below_count > 0 ? "[-v] [-c FILE] VERB ..."
					       : "[-v] [-c FILE] [OPTION]...",
		.options = verb->options,
		.option_count = verb->option_count,
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
	return parse_below(line, "dlo", &root, argv + (argc > 0));
}
