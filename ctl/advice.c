/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/advice.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/setting.h"
#include "lib/js.h"
#include "lib/xalloc.h"

/* Characters that no shell looks at. */
#define PLAIN \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" \
	"%+,-./:=@_"
/* Characters that mean something in a pattern. */
#define SPECIAL "\\^$.|?*+()[]{}"

void
advice_quote(struct buf *out, const char *word)
{
	if (*word != '\0' && word[strspn(word, PLAIN)] == '\0') {
		buf_add_str(out, word);
		return;
	}
	buf_add_u8(out, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add_u8(out, (uint8_t)*word);
	}
	buf_add_u8(out, '\'');
}

char *
advice_clear(const struct sight *sight, const char *policy, bool by_operator)
{
	struct buf line = { 0 };
	char *text;

	buf_printf(&line, "rabbitmqctl clear_%spolicy -p ",
	    by_operator ? "operator_" : "");
	advice_quote(&line, sight->vhost);
	buf_add_u8(&line, ' ');
	advice_quote(&line, policy);
	text = xstrdup(buf_str(&line));
	buf_clear(&line);
	return text;
}

/* What a policy has to say, beside what the present one says. */
static json_t *
definition(const struct sight *sight, const struct conf_pipeline *pipeline,
    const struct found_policy *present, bool quorum)
{
	struct topology_names names;
	json_t *wanted = present == NULL || present->definition == NULL
	    ? json_object()
	    : json_copy((json_t *)(uintptr_t)present->definition);

	topology_names_init(&names, sight->conf);
	js_set_text(wanted, "dead-letter-exchange", names.dead);
	js_set_text(wanted, "dead-letter-routing-key", pipeline->name);
	if (quorum) {
		js_set_text(wanted, "dead-letter-strategy", "at-least-once");
		js_set_text(wanted, "overflow", "reject-publish");
	}
	topology_names_clear(&names);
	return wanted;
}

/* The definition as JSON, a member a line. */
static void
add_definition(struct buf *line, const json_t *wanted)
{
	struct buf text = { 0 };
	const char *key, *gap = "{";
	void *iter;

	for (iter = json_object_iter((json_t *)(uintptr_t)wanted); iter != NULL;
	     iter = json_object_iter_next((json_t *)(uintptr_t)wanted, iter)) {
		char *value = json_dumps(json_object_iter_value(iter),
		    JSON_ENCODE_ANY | JSON_COMPACT);

		key = json_object_iter_key(iter);
		buf_printf(&text, "%s\"%s\": %s", gap, key,
		    value != NULL ? value : "null");
		gap = ",\n  ";
		free(value);
	}
	buf_add_u8(&text, '}');
	advice_quote(line, buf_str(&text));
	buf_clear(&text);
}

static char *
policy_command(const struct sight *sight, const struct conf_pipeline *pipeline,
    const struct found_policy *present, bool quorum)
{
	json_t *wanted = definition(sight, pipeline, present, quorum);
	struct buf line = { 0 }, name = { 0 }, pattern = { 0 };
	const char *at;
	char *text;

	buf_printf(&name, "%s-%s", sight->conf->topology.prefix,
	    pipeline->name);
	buf_add_u8(&pattern, '^');
	for (at = pipeline->queue; *at != '\0'; at++) {
		if (strchr(SPECIAL, *at) != NULL)
			buf_add_u8(&pattern, '\\');
		buf_add_u8(&pattern, (uint8_t)*at);
	}
	buf_add_u8(&pattern, '$');
	buf_add_str(&line, "rabbitmqctl set_policy -p ");
	advice_quote(&line, sight->vhost);
	buf_printf(&line, " --apply-to queues --priority %" PRId64 " ",
	    present != NULL ? present->priority + 1 : 0);
	advice_quote(&line, buf_str(&name));
	buf_add_str(&line, " \\\n  ");
	advice_quote(&line, buf_str(&pattern));
	buf_add_str(&line, " \\\n  ");
	add_definition(&line, wanted);
	text = xstrdup(buf_str(&line));
	json_decref(wanted);
	buf_clear(&line);
	buf_clear(&name);
	buf_clear(&pattern);
	return text;
}

/* Whether the queue dead-letters where and as it should. */
static bool
is_covered(const struct sight *sight, const struct conf_pipeline *pipeline,
    const struct found_queue *queue)
{
	struct setting exchange = setting_of(queue, "dead-letter-exchange");
	struct setting key = setting_of(queue, "dead-letter-routing-key");
	struct topology_names names;
	bool covered;

	topology_names_init(&names, sight->conf);
	covered = exchange.text != NULL &&
	    strcmp(exchange.text, names.dead) == 0 && key.text != NULL &&
	    strcmp(key.text, pipeline->name) == 0 &&
	    (strcmp(queue->type, "quorum") != 0 || setting_is_safe(queue));
	topology_names_clear(&names);
	return covered;
}

char *
advice_policy(const struct sight *sight, const struct conf_pipeline *pipeline,
    char **note)
{
	const struct found_queue *queue =
	    sight->managed ? found_queue(&sight->found, pipeline->queue) : NULL;
	const struct found_policy *present = NULL;

	*note = NULL;
	if (queue == NULL) {
		*note = xstrdup(sight->managed
			? "it is not there yet: this is for a quorum queue"
			: "its type and its policy could not be seen: this is "
			  "for a quorum queue without one");
		return policy_command(sight, pipeline, NULL, true);
	}
	if (is_covered(sight, pipeline, queue))
		return NULL;
	if (found_text(queue->arguments, "x-dead-letter-exchange") != NULL ||
	    found_text(queue->arguments, "x-dead-letter-strategy") != NULL) {
		*note = xstrdup("its arguments say where and how it "
				"dead-letters, and a policy does not change "
				"that: only declaring it anew does");
		return NULL;
	}
	if (*queue->policy != '\0')
		present = found_policy(&sight->found, queue->policy);
	if (present != NULL)
		*note = xasprintf("a queue has one policy: this one takes the "
				  "place of %s, and says what that says",
		    present->name);
	else if (!queue->told)
		*note = xstrdup("whether it has a policy already could not be "
				"seen: a queue has only one");
	return policy_command(sight, pipeline, present,
	    strcmp(queue->type, "quorum") == 0);
}

void
advice_policies(const struct sight *sight, struct report *report)
{
	for (size_t i = 0; i < sight->conf->pipeline_count; i++) {
		const struct conf_pipeline *p = &sight->conf->pipelines[i];
		char *note, *command;

		if (p->declare)
			continue;
		command = advice_policy(sight, p, &note);
		report_policy(report, p->name, p->queue, command, note);
	}
}
