/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * From bytes to struct conf: the tree, walked along the table. Also what the
 * parts of that walk share. A node with an error is marked bad and counts as
 * absent from then on, so that one mistake is one error.
 */
#ifndef DLO_CONFIG_CONF_PARSE_H
#define DLO_CONFIG_CONF_PARSE_H

#include "config/conf.h"
#include "config/conf_pool.h"
#include "config/conf_table.h"
#include "config/conf_tree.h"

struct conf_parse {
	struct conf *conf; /* being filled */
	struct conf_pool *pool;
	struct conf_errors *errors;
	struct conf_tree *root;
	const char *folder; /* that relative paths count from */
	unsigned roles;	    /* whose secrets to read */
	bool public;	    /* others may read the file */
};

/*
 * Reads a configuration of `len` bytes that stood at `path`; with `public`
 * set it must hold no password. NULL: see `errors`, as with conf_load.
 */
struct conf *conf_parse(const char *path, const void *bytes, size_t len,
    bool public, unsigned roles, struct conf_errors *errors) must_use;

/* An error about the value of a node. */
void conf_parse_error(struct conf_parse *, struct conf_tree *node,
    const char *fmt, ...) printf_like(3, 4);
/* An error about the key of a node, not its value; the node stays good. */
void conf_parse_error_key(struct conf_parse *, const struct conf_tree *node,
    const char *fmt, ...) printf_like(3, 4);
/*
 * An error about the key at `path` (names joined by dots) below a node:
 * where that stands, or the nearest that is there.
 */
void conf_parse_error_at(struct conf_parse *, struct conf_tree *node,
    const char *path, const char *fmt, ...) printf_like(4, 5);
/* The node at `path` below a node; NULL: absent or bad. */
struct conf_tree *conf_parse_at(struct conf_tree *node, const char *path);

/* The word nearest to another, among those tried. */
struct conf_nearest {
	const char *word;
	const char *best; /* NULL: none is near */
	unsigned edits;
};

void conf_nearest_try(struct conf_nearest *, const char *candidate);

#endif
