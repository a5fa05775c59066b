/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * One queue. Arguments that are not as wanted are a difference already; here
 * is what a setting does, whoever made it: argument or policy.
 */
#include "ctl/doctor_queue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/advice.h"
#include "ctl/setting.h"
#include "dlx/ladder.h"
#include "lib/xalloc.h"

/* As good as none; what we declare. */
#define NO_DELIVERY_LIMIT 2147483647
/* Below it outages can use a delivery limit up. */
#define DELIVERY_LIMIT_LOW 1000

/* Why a queue's policies or depth are not known. */
#define NOT_TOLD \
	"the broker has not told: it does so every few seconds, and not " \
	"without its statistics"

/* What the rules below look at. */
struct patient {
	const struct sight *sight;
	const struct topology_item *item;
	const struct found_queue *queue;
	const struct conf_pipeline *pipeline; /* NULL: of none */
	struct report *report;
};

static void
find(struct patient *p, const char *code, enum report_severity severity,
    char *problem, char *fix)
{
	report_finding(p->report, code, severity,
	    xasprintf("queue %s", p->queue->name), problem, fix);
}

/*
 * The same about a setting that is to be taken away: from its policy, or from
 * its arguments.
 */
static void
find_for(struct patient *p, const char *code, enum report_severity severity,
    char *problem, const char *key)
{
	struct setting s = setting_of(p->queue, key);
	const char *name;
	bool by_operator;

	if (!s.by_policy) {
		find(p, code, severity, problem,
		    p->item->foreign
			? xasprintf("declare it without x-%s", key)
			: xstrdup("stop the daemons, see that no message is in "
				  "it, delete it, and dlo topology apply"));
		return;
	}
	name = setting_policy(&p->sight->found, p->queue, key, &by_operator);
	find(p, code, severity, problem,
	    xasprintf("take %s out of %spolicy %s, narrow its pattern, or "
		      "remove it:",
		key, by_operator ? "operator " : "", name));
	report_command(p->report, advice_clear(p->sight, name, by_operator));
}

/* "message-ttl 5000 (policy)": for problems. */
static char *
show(const struct patient *p, const char *key)
{
	struct setting s = setting_of(p->queue, key);
	const char *by = s.by_policy ? "a policy" : "its argument";

	if (s.text != NULL)
		return xasprintf("%s is %s by %s", key, s.text, by);
	return xasprintf("%s is %" PRId64 " by %s", key, s.number, by);
}

/* A finding about one setting: what it is, and then what that does. */
static void
find_setting(struct patient *p, const char *code, enum report_severity severity,
    const char *key, const char *harm)
{
	char *is = show(p, key);

	find_for(p, code, severity, xasprintf("%s: %s", is, harm), key);
	free(is);
}

static bool
is_quorum(const struct patient *p)
{
	return strcmp(p->queue->type, "quorum") == 0;
}

static bool
rejects_when_full(const struct patient *p)
{
	struct setting overflow = setting_of(p->queue, "overflow");

	return overflow.text != NULL &&
	    strncmp(overflow.text, "reject-publish",
		strlen("reject-publish")) == 0;
}

/* The length limit that is set; NULL: none. */
static const char *
length_limit(const struct patient *p)
{
	static const char *const keys[] = { "max-length", "max-length-bytes" };

	for (size_t i = 0; i < array_len(keys); i++) {
		struct setting limit = setting_of(p->queue, keys[i]);

		if (limit.is_number)
			return keys[i];
	}
	return NULL;
}

/* Facts 7 and 22: what no queue of a pipeline should have. */
static void
check_any(struct patient *p)
{
	struct setting expires = setting_of(p->queue, "expires");
	struct setting mode = setting_of(p->queue, "queue-mode");

	if (expires.is_number)
		find_setting(p, "expires", REPORT_ERROR, "expires",
		    "unused for so long, it goes with all its messages");
	if (setting_is_set(&mode))
		find_setting(p, "queue_mode", REPORT_WARNING, "queue-mode",
		    "RabbitMQ 4.3 refuses it");
	if (!p->queue->durable && !p->queue->exclusive)
		find(p, "transient", REPORT_ERROR,
		    xstrdup("it is not durable: a restart of the broker "
			    "removes it, and RabbitMQ 4.3 refuses it"),
		    xstrdup("declare it durable"));
}

/* Facts 8 and 41: a full queue. */
static void
check_length(struct patient *p, bool work)
{
	const char *key = length_limit(p);

	if (key == NULL)
		return;
	if (!rejects_when_full(p))
		find_setting(p, work ? "drop_head" : "length_limit",
		    REPORT_ERROR, key,
		    work ? "when full it drops its oldest message for each "
			   "new one, and confirms: a redrive evicts live "
			   "messages"
			 : "when full it drops its oldest message for each "
			   "new one, and confirms");
	else if (!work)
		find_setting(p, "length_limit", REPORT_WARNING, key,
		    "when full it takes no dead letters, and consumption "
		    "stops");
}

/* Fact 8: what must keep all that it is given. */
static void
check_kept(struct patient *p, int64_t ttl_ms)
{
	struct setting limit = setting_of(p->queue, "delivery-limit");
	struct setting ttl = setting_of(p->queue, "message-ttl");

	if (limit.is_number && limit.number < 0)
		find_setting(p, "delivery_limit", REPORT_ERROR,
		    "delivery-limit",
		    "3.x drops every message at its first return");
	else if (limit.is_number && limit.number < NO_DELIVERY_LIMIT)
		find_setting(p, "delivery_limit", REPORT_ERROR,
		    "delivery-limit",
		    "looking at its messages counts, and then drops them");
	else if (!limit.is_number && is_quorum(p) &&
	    !found_is_before(&p->sight->found, 4, 0))
		find_for(p, "delivery_limit", REPORT_ERROR,
		    xstrdup("it has the delivery limit of RabbitMQ 4, 20: "
			    "looking at its messages counts, and then drops "
			    "them"),
		    "delivery-limit");
	check_length(p, false);
	if (is_quorum(p) && length_limit(p) == NULL && !rejects_when_full(p))
		find_for(p, "drop_head", REPORT_WARNING,
		    xstrdup("its overflow is drop-head: any length limit "
			    "would drop its oldest messages"),
		    "overflow");
	if (ttl.is_number && (ttl_ms == 0 || ttl.number < ttl_ms))
		find_setting(p, "message_ttl", REPORT_ERROR, "message-ttl",
		    ttl_ms == 0 ? "what is older is dropped"
				: "it is shorter than the configuration says");
}

/* Facts 4 and 5: the ladder's queues. */
static void
check_ladder(struct patient *p)
{
	struct setting ttl = setting_of(p->queue, "message-ttl");

	if (is_quorum(p) && !setting_is_safe(p->queue))
		find_for(p, "at_most_once", REPORT_ERROR,
		    xstrdup("it dead-letters at most once, which loses "
			    "retries: that takes dead-letter-strategy "
			    "at-least-once and overflow reject-publish"),
		    rejects_when_full(p) ? "dead-letter-strategy" : "overflow");
	if (ttl.by_policy)
		find_setting(p, "message_ttl", REPORT_ERROR, "message-ttl",
		    "retries come early");
	if (length_limit(p) != NULL)
		find_setting(p, "length_limit",
		    rejects_when_full(p) ? REPORT_WARNING : REPORT_ERROR,
		    length_limit(p),
		    rejects_when_full(p)
			? "when full it takes no retries"
			: "when full it hands its oldest message on early");
	if (!p->queue->counted)
		report_unchecked(p->report,
		    xasprintf("depth of queue %s", p->queue->name),
		    xstrdup(NOT_TOLD));
	else if (p->queue->stuck > 0)
		find(p, "stuck_messages", REPORT_WARNING,
		    xasprintf("%" PRId64
			      " messages are neither ready nor unacked: due, "
			      "and not handed on yet, or not to be",
			p->queue->stuck),
		    xstrdup("mend what is missing or full below; the broker "
			    "tries again every three minutes"));
}

/* Fact 9: what counts returns as failures. */
static void
check_work_limit(struct patient *p)
{
	struct setting limit = setting_of(p->queue, "delivery-limit");

	if (!found_is_before(&p->sight->found, 4, 3) || !is_quorum(p))
		return;
	if (limit.is_number && limit.number < DELIVERY_LIMIT_LOW)
		find_setting(p, "delivery_limit", REPORT_WARNING,
		    "delivery-limit",
		    "before RabbitMQ 4.3 each return of a message counts, so "
		    "outages kill what never failed");
	else if (!limit.is_number && !found_is_before(&p->sight->found, 4, 0))
		find(p, "delivery_limit", REPORT_WARNING,
		    xstrdup("it has the delivery limit of RabbitMQ 4, 20: "
			    "before 4.3 each return of a message counts, so "
			    "outages kill what never failed"),
		    xasprintf("declare it with x-delivery-limit %d",
			NO_DELIVERY_LIMIT));
}

/* The policy, in one line. */
static char *
policy_fix(const struct patient *p)
{
	char *note, *command;

	command = advice_policy(p->sight, p->pipeline, &note);
	if (command != NULL) {
		free(command);
		free(note);
		return xstrdup("set the policy that dlo topology plan shows");
	}
	return note != NULL ? note : xstrdup("dlo topology plan tells more");
}

/* Facts 4 and 13: what the broker itself dead-letters from a work queue. */
static void
check_work_dlx(struct patient *p)
{
	struct setting exchange = setting_of(p->queue, "dead-letter-exchange");
	struct setting ttl = setting_of(p->queue, "message-ttl");
	struct topology_names names;
	bool ours;

	if (exchange.text == NULL) {
		find(p, "no_dead_lettering", REPORT_WARNING,
		    xstrdup("it has no dead-letter exchange: what the broker "
			    "itself gives up there (expired, returned too "
			    "often) is gone"),
		    policy_fix(p));
		return;
	}
	topology_names_init(&names, p->sight->conf);
	ours = strcmp(exchange.text, names.dead) == 0;
	topology_names_clear(&names);
	if (!ours)
		find_setting(p, "other_dead_lettering", REPORT_WARNING,
		    "dead-letter-exchange",
		    "what the broker itself gives up there does not come to "
		    "the pipeline's dead-letter queue");
	if (!setting_is_safe(p->queue))
		find(p, "at_most_once", REPORT_WARNING,
		    xstrdup(is_quorum(p)
			    ? "it dead-letters at most once: at least once "
			      "takes dead-letter-strategy at-least-once and "
			      "overflow reject-publish"
			    : "a classic queue dead-letters at most once"),
		    is_quorum(p) ? policy_fix(p)
				 : xstrdup("make it a quorum queue"));
	if (!found_is_before(&p->sight->found, 4, 0))
		return;
	if (ttl.is_number)
		find_setting(p, "limit_beside_dlx", REPORT_WARNING,
		    "message-ttl",
		    "with a dead-letter exchange beside it one message with a "
		    "forged x-death can break the queue (3.x)");
	if (length_limit(p) != NULL && !rejects_when_full(p))
		find_setting(p, "limit_beside_dlx", REPORT_WARNING,
		    length_limit(p),
		    "with a dead-letter exchange beside it one message with a "
		    "forged x-death can break the queue (3.x)");
}

static void
check_work(struct patient *p)
{
	check_work_limit(p);
	check_length(p, true);
	check_work_dlx(p);
}

void
doctor_queue(const struct sight *sight, const struct topology_item *item,
    const struct found_queue *queue, struct report *report)
{
	struct place place = places_queue(sight->conf, item->name);
	struct patient p = { sight, item, queue, place.pipeline, report };

	if (!queue->told)
		report_unchecked(report,
		    xasprintf("policies of queue %s", queue->name),
		    xstrdup(NOT_TOLD));
	check_any(&p);
	switch (place.kind) {
	case PLACE_WORK:
		check_work(&p);
		break;
	case PLACE_LADDER:
		check_ladder(&p);
		break;
	case PLACE_DEAD:
	case PLACE_PARKED:
	case PLACE_JOBS:
		check_kept(&p, 0);
		break;
	case PLACE_ARCHIVE:
		check_kept(&p, place.pipeline->dead_letter.archive_ttl_ms);
		break;
	default:
		break;
	}
}
