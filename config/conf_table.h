/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The one table of configuration keys. The parser walks it; the samples and
 * dlo.yaml(5) are checked against it; a reload asks it what may change. A row
 * stands before the rows of the keys below it.
 *
 * Paths: `a.b` is key b in map a, `a.*` each value of the map a whose keys
 * are names, `a[]` each element of the list a. Offsets count from the
 * innermost element: a struct conf_pipeline for all rows of pipelines.*, and
 * from the struct conf outside of any element. A list or map of names is kept
 * as a pointer to its elements followed by their count (size_t); the name is
 * an element's first member. A reload may add and remove the elements of a
 * map of names, even where it is not CONF_LIVE.
 */
#ifndef DLO_CONFIG_CONF_TABLE_H
#define DLO_CONFIG_CONF_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"

enum conf_type {
	CONF_TYPE_MAP,	    /* of the keys below it */
	CONF_TYPE_NAMED,    /* map of names to elements */
	CONF_TYPE_LIST,	    /* of elements */
	CONF_TYPE_TEXT,	    /* const char * */
	CONF_TYPE_PATH,	    /* const char *, made absolute */
	CONF_TYPE_SECRET,   /* struct conf_secret */
	CONF_TYPE_BOOL,	    /* bool */
	CONF_TYPE_COUNT,    /* uint32_t */
	CONF_TYPE_NUMBER,   /* double */
	CONF_TYPE_DURATION, /* int64_t, milliseconds */
	CONF_TYPE_SIZE,	    /* uint64_t, bytes */
	CONF_TYPE_WORD,	    /* an enum */
	CONF_TYPE_NODE,	    /* struct conf_node, from amqp://HOST:PORT */
	CONF_TYPE_ADDRESS,  /* struct conf_address, from HOST:PORT */
	CONF_TYPE_LISTEN,   /* struct conf_listen */
	CONF_TYPE_LINK,	    /* const struct conf_downstream *, by its name */
	CONF_TYPE_ANY,	    /* const char *: any YAML, as JSON */
};

enum conf_flag {
	CONF_REQUIRED = 1, /* an error when the map that holds it has it not */
	CONF_OR_MAP = 2,   /* a map of the keys below it will do as well */
	CONF_EMPTY = 4,	   /* an empty text is fine */
	CONF_LIVE = 8,	   /* a reload may change it, and all below it */
	CONF_PRIVATE = 16, /* its value, and keys below, are never shown */
	CONF_GIVEN = 32,   /* a map that counts even when it is empty */
};

struct conf_tree;
struct conf_parse;

/* A word of a CONF_TYPE_WORD and the value it stands for. */
struct conf_word {
	const char *text; /* NULL ends a list of them */
	int value;
};

/* What is wrong with the text, as words that follow the key; NULL: nothing. */
typedef const char *conf_text_check(const char *text);
/* Runs for a key that is given, after the keys below it. */
typedef void conf_hook(struct conf_parse *, struct conf_tree *node,
    void *element);

struct conf_key {
	const char *path;
	enum conf_type type;
	unsigned flags; /* set of enum conf_flag */
	size_t offset;
	size_t size;	 /* lists and names: of an element, in bytes */
	double min, max; /* counts, numbers, durations (ms), sizes (bytes) */
	const char *def; /* the default, as YAML; NULL: none */
	const char *derived; /* how the default comes about, for people */
	const struct conf_word *words;
	conf_text_check *check; /* of a text, or of names */
	conf_hook *hook;
	const char *doc; /* one sentence; NULL: its parent tells enough */
};

/* All rows; the first is the whole file, with path "". */
extern const struct conf_key conf_table[];
extern const size_t conf_table_len;

/*
 * The next row directly below `parent`, after row `prev` (NULL: the first);
 * NULL: no more.
 */
const struct conf_key *conf_table_below(const struct conf_key *parent,
    const struct conf_key *prev);
/* The row's last name: "first" of pipelines.*.retry.first, "*", "[]". */
const char *conf_table_name(const struct conf_key *);
/* The row for a key of a map; NULL: it is not known there. */
const struct conf_key *conf_table_find(const struct conf_key *map,
    const char *name);
/* The row with that path; NULL: there is none. */
const struct conf_key *conf_table_row(const char *path);
/* Whether a reload may change it; of a map only the keys below it count. */
bool conf_table_live(const struct conf_key *);

#endif
