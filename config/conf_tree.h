/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The YAML document as a tree that remembers where each piece stood. It knows
 * nothing of our keys. Anchors, aliases, tags, repeated keys, second
 * documents and too much depth are errors here, so that nothing in the tree
 * can expand. Nodes belong to the pool.
 */
#ifndef DLO_CONFIG_CONF_TREE_H
#define DLO_CONFIG_CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"
#include "config/conf_pool.h"
#include "lib/buf.h"

enum conf_tree_kind {
	CONF_TREE_SCALAR,
	CONF_TREE_LIST,
	CONF_TREE_MAP,
};

struct conf_tree {
	enum conf_tree_kind kind;
	unsigned line, column;		 /* where the value begins, from 1 */
	unsigned key_line, key_column;	 /* where its key does; or the same */
	const char *key;		 /* NULL: the root, or in a list */
	size_t index;			 /* in its parent, from 0 */
	struct conf_tree *parent;	 /* NULL: the root */
	struct conf_tree *first, **tail; /* children */
	size_t count;			 /* of children */
	struct conf_tree *next;		 /* the parent's next child */
	const char *text;		 /* scalar; UTF-8 */
	bool plain;			 /* scalar without quotes */
	bool bad;	   /* an error has been said: take it for absent */
	const char *meant; /* the key that was mistyped, as it seems */
};

/*
 * Reads a document of `len` bytes. NULL: there is none, or it is not YAML;
 * otherwise the root, even when `errors` has grown.
 */
struct conf_tree *conf_tree_read(const void *bytes, size_t len,
    struct conf_pool *, struct conf_errors *errors) must_use;
/* The child under that key; NULL when there is none or `node` is NULL. */
struct conf_tree *conf_tree_get(const struct conf_tree *node, const char *key);
/* Appends the path of the node: pipelines.orders.redrive.when[1] */
void conf_tree_path(const struct conf_tree *node, struct buf *out);

#endif
