/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/setting.h"

#include <stdlib.h>
#include <string.h>

#include "lib/xalloc.h"

struct setting
setting_of(const struct found_queue *queue, const char *key)
{
	char *name = xasprintf("x-%s", key);
	struct setting s = { 0 };
	const char *text = found_text(queue->policies, key);
	int64_t number;

	s.text = found_text(queue->arguments, name);
	s.is_number = found_number(queue->arguments, name, &s.number);
	free(name);
	if (text != NULL &&
	    (s.text == NULL ||
		(strcmp(key, "overflow") == 0 &&
		    strcmp(queue->type, "quorum") == 0))) {
		s.text = text;
		s.by_policy = true;
	}
	if (found_number(queue->policies, key, &number) &&
	    (!s.is_number || number < s.number)) {
		s.is_number = true;
		s.number = number;
		s.by_policy = true;
	}
	return s;
}

bool
setting_is_set(const struct setting *s)
{
	return s->is_number || s->text != NULL;
}

static bool
is(const struct found_queue *queue, const char *key, const char *wanted)
{
	struct setting s = setting_of(queue, key);

	return s.text != NULL && strcmp(s.text, wanted) == 0;
}

bool
setting_is_safe(const struct found_queue *queue)
{
	return strcmp(queue->type, "quorum") == 0 &&
	    is(queue, "dead-letter-strategy", "at-least-once") &&
	    is(queue, "overflow", "reject-publish");
}

const char *
setting_policy(const struct found *found, const struct found_queue *queue,
    const char *key, bool *by_operator)
{
	const struct found_policy *policy = found_policy(found, queue->policy);
	const json_t *own =
	    policy == NULL ? NULL : json_object_get(policy->definition, key);

	/* Both may say it: then the one that works is meant. */
	*by_operator = *queue->operator_policy != '\0' &&
	    (own == NULL ||
		!json_equal((json_t *)(uintptr_t)own,
		    json_object_get(queue->policies, key)));
	return *by_operator ? queue->operator_policy : queue->policy;
}
