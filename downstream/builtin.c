/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/builtin.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"

#define LIST(items) \
	{ \
		items, array_len(items) \
	}

/*
 * What a fault of ours, of the network or of the downstream's moment can be is
 * tried again: a wrong token (401, 403, 407) is mended without the message.
 */
static const struct builtin_rule http_rules[] = {
	{ "http.2xx", OUTCOME_OK },
	{ "http.401", OUTCOME_RETRY },
	{ "http.403", OUTCOME_RETRY },
	{ "http.407", OUTCOME_RETRY },
	{ "http.408", OUTCOME_RETRY },
	{ "http.425", OUTCOME_RETRY },
	{ "http.429", OUTCOME_RETRY },
	{ "http.3xx", OUTCOME_REJECT },
	{ "http.4xx", OUTCOME_REJECT },
	{ "http.5xx", OUTCOME_RETRY },
	{ "http.connect", OUTCOME_RETRY },
	{ "http.dns", OUTCOME_RETRY },
	{ "http.tls", OUTCOME_RETRY },
	{ "http.timeout", OUTCOME_RETRY },
	{ "http.broken", OUTCOME_RETRY },
	/* What no status should be. */
	{ "http", OUTCOME_RETRY },
};

/* In stream mode the worker says the outcome; these are its failures. */
static const struct builtin_rule exec_rules[] = {
	{ "exec.0", OUTCOME_OK },
	{ "exec.65", OUTCOME_REJECT }, /* EX_DATAERR */
	{ "exec", OUTCOME_RETRY },
};

/* A plugin says the outcome; these are for what it does not say itself. */
static const struct builtin_rule plugin_rules[] = {
	{ "plugin.0", OUTCOME_OK },
	{ "crash", OUTCOME_RETRY },
	{ "plugin", OUTCOME_RETRY },
};

static const struct builtin_rule noop_rules[] = {
	{ "noop", OUTCOME_OK },
};

struct builtin_rules
builtin_rules(enum conf_kind kind)
{
	static const struct builtin_rules http = LIST(http_rules);
	static const struct builtin_rules exec = LIST(exec_rules);
	static const struct builtin_rules plugin = LIST(plugin_rules);
	static const struct builtin_rules noop = LIST(noop_rules);

	switch (kind) {
	case CONF_KIND_HTTP:
		return http;
	case CONF_KIND_NOOP:
		return noop;
	case CONF_KIND_EXEC:
		return exec;
	case CONF_KIND_PLUGIN:
		return plugin;
	}
	abort();
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
matches(const char *pattern, const char *class)
{
	size_t len = strlen(pattern), class_len = strlen(class);

	if (len < 2 || strcmp(pattern + len - 2, "xx") != 0)
		return text_dotted_prefix(pattern, class, class_len);
	return class_len == len && memcmp(class, pattern, len - 2) == 0 &&
	    is_digit(class[len - 2]) && is_digit(class[len - 1]);
}

enum outcome
builtin_outcome(enum conf_kind kind, const char *class)
{
	const struct builtin_rules rules = builtin_rules(kind);

	for (size_t i = 0; i < rules.count; i++)
		if (matches(rules.items[i].class, class))
			return rules.items[i].outcome;
	abort();
}
