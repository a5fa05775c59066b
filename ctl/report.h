/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * What a verb has to tell, and how it is written: text of at most 100 columns
 * for people, one JSON object for programs. Texts may hold whatever a broker
 * said; writing makes them harmless.
 */
#ifndef DLO_CTL_REPORT_H
#define DLO_CTL_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "dlx/topology.h"
#include "lib/buf.h"
#include "lib/compiler.h"

enum report_state {
	REPORT_EXISTS,
	REPORT_MISSING,
	REPORT_DIFFERENT,
	REPORT_UNKNOWN, /* not seen */
	REPORT_STALE,	/* a binding that must go */
	REPORT_CREATED, /* by us, now */
	REPORT_REMOVED,
	REPORT_FAILED, /* we could not make or remove it */
	REPORT_STATES
};
/* "exists", …; all are words that scripts may rely on. */
const char *report_state_name(enum report_state);

struct report_object {
	const struct topology_item *item; /* NULL: a stale binding */
	char *source, *name, *key;	  /* of a stale binding */
	bool to_queue;
	enum report_state state;
	char *problem; /* NULL: none */
};

enum report_severity {
	REPORT_NOTE,	/* good to know; no exit code of its own */
	REPORT_WARNING, /* can go wrong */
	REPORT_ERROR,	/* loses, multiplies or holds up messages */
};
const char *report_severity_name(enum report_severity);

struct report_finding {
	const char *code; /* one word, for scripts */
	enum report_severity severity;
	char *object, *problem, *fix;
	char *command; /* that does it; NULL: none */
};

/* Something that could not be seen, and why. */
struct report_unchecked {
	char *what, *why;
};

/* The policy that a work queue of somebody else's wants. */
struct report_policy {
	const char *pipeline, *queue;
	char *command; /* NULL: nothing is to be done */
	char *note;    /* NULL: none */
};

/* Zeroed memory is empty. */
struct report {
	struct report_object *objects;
	struct report_finding *findings;
	struct report_unchecked *unchecked;
	struct report_policy *policies;
	size_t object_count, finding_count, unchecked_count, policy_count;
};

/* An object in its state; `problem` (or NULL) is taken over. */
void report_object(struct report *, const struct topology_item *,
    enum report_state, char *problem);
void report_stale(struct report *, const char *source, const char *name,
    bool to_queue, const char *key);
/* The texts are taken over. */
void report_finding(struct report *, const char *code, enum report_severity,
    char *object, char *problem, char *fix);
/* The command of the last finding's fix, taken over. */
void report_command(struct report *, char *command);
void report_unchecked(struct report *, char *what, char *why);
void report_policy(struct report *, const char *pipeline, const char *queue,
    char *command, char *note);
void report_clear(struct report *);

size_t report_count(const struct report *, enum report_state);
/* Findings that are more than notes. */
size_t report_alarms(const struct report *);

/* Which parts of it a verb shows. */
enum report_part {
	REPORT_OBJECTS = 1,
	REPORT_CHANGES = 2, /* of the objects those that are not as usual */
	REPORT_FINDINGS = 4,
	REPORT_POLICIES = 8,
};
/* Appends it; `parts` is a set of enum report_part. */
void report_text(const struct report *, unsigned parts, struct buf *);
void report_json(const struct report *, unsigned parts, struct buf *);

/* Appends what the object is: "queue orders.dlq", harmless. */
void report_describe(const struct report_object *, struct buf *);
/* Appends text as UTF-8 in which nothing moves cursors, turns or hides. */
void report_clean(struct buf *, const char *text);

#endif
