/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The walk: each row of the table is decoded once for each place it can stand
 * at, from what is given there or from its default. A node that is absent or
 * bad takes the same way with NULL, so that every default is filled in.
 */
#include "config/conf_parse.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf_cross.h"
#include "config/conf_errors.h"
#include "config/conf_listen.h"
#include "config/conf_secret.h"
#include "config/conf_value.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* How lists and maps of names are kept in a struct conf. */
struct elements {
	void *items;
	size_t count;
};

static void decode(struct conf_parse *, const struct conf_key *,
    struct conf_tree *, char *element);
static void add_error(struct conf_parse *, unsigned line, unsigned column,
    const struct conf_tree *, const char *rest, const char *fmt, va_list)
    printf_like(6, 0);

/* A default of nothing: what zeroed memory says already. */
static bool
is_hollow(const char *def)
{
	return strcmp(def, "[]") == 0 || strcmp(def, "{}") == 0;
}

static void
add_error(struct conf_parse *p, unsigned line, unsigned column,
    const struct conf_tree *node, const char *rest, const char *fmt, va_list ap)
{
	struct buf path = { 0 };
	char *problem = xvasprintf(fmt, ap);

	conf_tree_path(node, &path);
	if (rest[0] != '\0')
		buf_printf(&path, "%s%s", path.len == 0 ? "" : ".", rest);
	conf_errors_add(p->errors, line, column, buf_str(&path), "%s", problem);
	buf_clear(&path);
	free(problem);
}

void
conf_parse_error(struct conf_parse *p, struct conf_tree *node, const char *fmt,
    ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_error(p, node->line, node->column, node, "", fmt, ap);
	va_end(ap);
	node->bad = true;
}

void
conf_parse_error_key(struct conf_parse *p, const struct conf_tree *node,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_error(p, node->key_line, node->key_column, node, "", fmt, ap);
	va_end(ap);
}

/* The child named by the start of a dotted path. */
static struct conf_tree *
child_at(const struct conf_tree *node, const char *path)
{
	char *name = xstrndup(path, strcspn(path, "."));
	struct conf_tree *child = conf_tree_get(node, name);

	free(name);
	return child;
}

/* What follows the first name of a dotted path. */
static const char *
path_rest(const char *path)
{
	path += strcspn(path, ".");
	return path + (*path == '.');
}

void
conf_parse_error_at(struct conf_parse *p, struct conf_tree *node,
    const char *path, const char *fmt, ...)
{
	struct conf_tree *child;
	va_list ap;

	while (*path != '\0' && (child = child_at(node, path)) != NULL) {
		node = child;
		path = path_rest(path);
	}
	va_start(ap, fmt);
	if (*path == '\0')
		add_error(p, node->line, node->column, node, "", fmt, ap);
	else
		add_error(p, node->key_line, node->key_column, node, path, fmt,
		    ap);
	va_end(ap);
	if (*path == '\0')
		node->bad = true;
}

struct conf_tree *
conf_parse_at(struct conf_tree *node, const char *path)
{
	while (node != NULL && !node->bad && *path != '\0') {
		node = child_at(node, path);
		path = path_rest(path);
	}
	return node == NULL || node->bad ? NULL : node;
}

void
conf_nearest_try(struct conf_nearest *nearest, const char *candidate)
{
	size_t len = strlen(candidate);
	unsigned edits;

	if (len > strlen(nearest->word) + 3 || strlen(nearest->word) > len + 3)
		return;
	edits = text_distance(nearest->word, candidate);
	/* Of a short word more than a third is another word. */
	if (edits > 3 || edits > (len + 2) / 3)
		return;
	if (nearest->best != NULL && nearest->edits <= edits)
		return;
	nearest->best = candidate;
	nearest->edits = edits;
}

static void
refuse_unknown(struct conf_parse *p, const struct conf_key *map,
    struct conf_tree *node)
{
	struct conf_nearest nearest = { .word = node->key };
	const struct conf_key *key = NULL;

	if ((map->flags & CONF_PRIVATE) != 0) {
		/* What stands there may be the secret itself. */
		conf_parse_error(p, node->parent, "must be %s",
		    map->type == CONF_TYPE_SECRET ? conf_value_noun(map)
						  : "text or {file: PATH}");
		return;
	}
	while ((key = conf_table_below(map, key)) != NULL)
		conf_nearest_try(&nearest, conf_table_name(key));
	node->meant = nearest.best;
	if (nearest.best != NULL)
		conf_parse_error_key(p, node,
		    "unknown key; did you mean \"%s\"?", nearest.best);
	else
		conf_parse_error_key(p, node, "unknown key");
}

/* A key that is there under a mistyped name is not missing as well. */
static bool
is_missing(const struct conf_tree *map, const char *name)
{
	const struct conf_tree *child;

	for (child = map->first; child != NULL; child = child->next)
		if (child->meant != NULL && strcmp(child->meant, name) == 0)
			return false;
	return !map->bad;
}

/* The keys of a map; `node` NULL: their defaults. */
static void
decode_map(struct conf_parse *p, const struct conf_key *map,
    struct conf_tree *node, char *element)
{
	const struct conf_key *key = NULL;
	struct conf_tree *child = node == NULL ? NULL : node->first;
	const char *name;

	for (; child != NULL; child = child->next)
		if (!node->bad && conf_table_find(map, child->key) == NULL)
			refuse_unknown(p, map, child);
	while ((key = conf_table_below(map, key)) != NULL) {
		name = conf_table_name(key);
		child = conf_tree_get(node, name);
		if (child == NULL && node != NULL &&
		    (key->flags & CONF_REQUIRED) != 0 && is_missing(node, name))
			conf_parse_error_at(p, node, name, "is missing");
		decode(p, key, child, element);
	}
}

static void
decode_name(struct conf_parse *p, const struct conf_key *key,
    const struct conf_tree *node, char *element)
{
	const char *problem = key->check(node->key);

	memcpy(element, &node->key, sizeof(node->key));
	if (problem != NULL)
		conf_parse_error_key(p, node, "%s", problem);
}

/* The elements of a list or of a map of names. */
static void
decode_elements(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, char *element)
{
	const struct conf_key *each = conf_table_below(key, NULL);
	struct elements elements = { .count = node->count };
	struct conf_tree *child;
	char *item;

	if ((double)node->count < key->min || (double)node->count > key->max) {
		conf_parse_error(p, node,
		    node->count == 0 ? "is empty"
				     : "has too many (at most %.0f)",
		    key->max);
		return;
	}
	item = conf_pool_get(p->pool, node->count * key->size);
	elements.items = node->count == 0 ? NULL : item;
	memcpy(element + key->offset, &elements, sizeof(elements));
	for (child = node->first; child != NULL; child = child->next) {
		if (key->type == CONF_TYPE_NAMED)
			decode_name(p, key, child, item);
		decode(p, each, child, item);
		item += key->size;
	}
}

/* What the default says, by the same way as what is given. */
static void
decode_default(struct conf_parse *p, const struct conf_key *key, char *element)
{
	struct conf_tree scalar = { .text = key->def, .plain = true };
	struct conf_tree *node = &scalar;
	size_t errors = p->errors->count;

	if (key->def == NULL || is_hollow(key->def))
		return;
	if (key->def[0] == '[' || key->def[0] == '{')
		node = conf_tree_read(key->def, strlen(key->def), p->pool,
		    p->errors);
	if (node->kind == CONF_TREE_SCALAR)
		conf_value_set(p, key, node, element + key->offset);
	else if (node->kind == CONF_TREE_MAP)
		decode_map(p, key, node, element);
	else
		decode_elements(p, key, node, element);
	/* The table is wrong otherwise; every test would show it. */
	assert(p->errors->count == errors);
}

static void
decode_given(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, char *element)
{
	bool map_ok =
	    key->type == CONF_TYPE_MAP || (key->flags & CONF_OR_MAP) != 0;

	if (node->kind == CONF_TREE_SCALAR || key->type == CONF_TYPE_ANY)
		conf_value_set(p, key, node, element + key->offset);
	else if (node->kind == CONF_TREE_MAP && map_ok)
		decode_map(p, key, node, element);
	else if ((node->kind == CONF_TREE_MAP &&
		     key->type == CONF_TYPE_NAMED) ||
	    (node->kind == CONF_TREE_LIST && key->type == CONF_TYPE_LIST))
		decode_elements(p, key, node, element);
	else
		conf_parse_error(p, node, "must be %s", conf_value_noun(key));
}

static void
decode(struct conf_parse *p, const struct conf_key *key, struct conf_tree *node,
    char *element)
{
	bool map_given;

	if (node != NULL && node->bad)
		node = NULL;
	if (node != NULL)
		decode_given(p, key, node, element);
	else
		decode_default(p, key, element);
	/* The keys below get their defaults unless the map gave them. */
	map_given = node != NULL && node->kind == CONF_TREE_MAP;
	if (!map_given && key->type != CONF_TYPE_NAMED &&
	    key->type != CONF_TYPE_LIST)
		decode_map(p, key, NULL, element);
	if (node == NULL || node->bad)
		return;
	if (key->hook != NULL)
		key->hook(p, node, element);
}

/* The folder of the file, for relative paths. */
static const char *
folder_of(struct conf_pool *pool, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return ".";
	return conf_pool_text(pool, path, (size_t)(slash - path));
}

/* Nothing, or nothing but comments. */
static bool
is_empty(const struct conf_tree *root)
{
	return root == NULL ||
	    (root->kind == CONF_TREE_SCALAR && root->plain &&
		root->text[0] == '\0');
}

struct conf *
conf_parse(const char *path, const void *bytes, size_t len, bool public,
    unsigned roles, struct conf_errors *errors)
{
	struct conf_pool *pool = conf_pool_new();
	struct conf *conf = conf_pool_get(pool, sizeof(*conf));
	struct conf_parse p = {
		.conf = conf,
		.pool = pool,
		.errors = errors,
		.folder = folder_of(pool, path),
		.roles = roles,
		.public = public,
	};

	conf->pool = pool;
	conf->path = conf_pool_text(pool, path, strlen(path));
	if (errors->path == NULL)
		errors->path = xstrdup(path);
	p.root = conf_tree_read(bytes, len, pool, errors);
	conf->root = p.root;
	if (is_empty(p.root) && errors->count == 0)
		conf_errors_add(errors, 1, 1, "",
		    "is empty; must have at least downstreams and pipelines");
	else if (p.root != NULL)
		decode(&p, conf_table, p.root, (char *)conf);
	if (conf->redrive.listen.kind == CONF_LISTEN_NONE &&
	    conf_parse_at(p.root, "redrive.listen") == NULL)
		conf_listen_redrive(&conf->redrive.listen);
	if (p.root != NULL && p.root->kind == CONF_TREE_MAP) {
		conf_secret_read(&p);
		conf_cross_check(&p);
	}
	if (errors->count == 0)
		return conf;
	conf_errors_sort(errors);
	conf_free(conf);
	return NULL;
}
