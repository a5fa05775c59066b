/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The built-in rules: which class of a handler's result is which outcome. The
 * one place that says it: handlers ask it, and it is what dlo-consumer -tv
 * shows below the rules of the configuration. A kind of handler whose answers
 * bring their outcome along has none.
 */
#ifndef DLO_DOWNSTREAM_BUILTIN_H
#define DLO_DOWNSTREAM_BUILTIN_H

#include <stddef.h>

#include "config/conf.h"
#include "downstream/verdict.h"

struct builtin_rule {
	/* Dotted prefix; xx at its end is any two digits: http.5xx. */
	const char *class;
	enum outcome outcome;
};

/* A list of them; the first that matches wins. */
struct builtin_rules {
	const struct builtin_rule *items;
	size_t count;
};

/* Those of a kind of handler; the last one matches all of its classes. */
struct builtin_rules builtin_rules(enum conf_kind);
/* What they say of a class of that kind, which must have some. */
enum outcome builtin_outcome(enum conf_kind, const char *class);

#endif
