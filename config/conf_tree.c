/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * Built from libyaml's events, which carry line and column; its documents
 * would drop anchors and repeated keys unseen. What can be passed over is
 * noted and reading goes on; what cannot (no YAML, too deep, a key that is
 * no text) ends it.
 */
#include "config/conf_tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/conf_errors.h"
#include "lib/xalloc.h"

/* Our own keys need seven levels; a plugin's may need some more. */
#define DEPTH_MAX 32

struct reader {
	yaml_parser_t parser;
	const unsigned char *bytes;
	size_t len;
	struct conf_pool *pool;
	struct conf_errors *errors;
	struct conf_tree *root;
	struct conf_tree *open; /* the innermost open map or list */
	unsigned depth;
	unsigned documents;
	/* In a map: the key whose value comes next. */
	const char *key;
	unsigned key_line, key_column;
	bool done;
};

static unsigned
mark_line(const yaml_mark_t *mark)
{
	return (unsigned)mark->line + 1;
}

static unsigned
mark_column(const yaml_mark_t *mark)
{
	return (unsigned)mark->column + 1;
}

static void
stop(struct reader *r, const yaml_mark_t *mark, const char *problem)
{
	conf_errors_add(r->errors, mark_line(mark), mark_column(mark), "", "%s",
	    problem);
	r->done = true;
}

/* An error about the event just read, under the path it would have. */
static void
complain(struct reader *r, const yaml_mark_t *mark, const char *problem)
{
	struct buf path = { 0 };

	if (r->open != NULL)
		conf_tree_path(r->open, &path);
	if (r->key != NULL)
		buf_printf(&path, "%s%s", path.len == 0 ? "" : ".", r->key);
	conf_errors_add(r->errors, mark_line(mark), mark_column(mark),
	    buf_str(&path), "%s", problem);
	buf_clear(&path);
}

/* A new node below the open one, or the root. */
static struct conf_tree *
add_node(struct reader *r, const yaml_event_t *event, enum conf_tree_kind kind)
{
	struct conf_tree *node = conf_pool_get(r->pool, sizeof(*node));

	node->kind = kind;
	node->line = node->key_line = mark_line(&event->start_mark);
	node->column = node->key_column = mark_column(&event->start_mark);
	node->tail = &node->first;
	node->parent = r->open;
	if (r->key != NULL) {
		node->key = r->key;
		node->key_line = r->key_line;
		node->key_column = r->key_column;
		r->key = NULL;
	}
	if (r->open == NULL) {
		r->root = node;
	} else {
		node->index = r->open->count++;
		*r->open->tail = node;
		r->open->tail = &node->next;
	}
	return node;
}

static bool
awaits_key(const struct reader *r)
{
	return r->open != NULL && r->open->kind == CONF_TREE_MAP &&
	    r->key == NULL;
}

static void
open_node(struct reader *r, const yaml_event_t *event, enum conf_tree_kind kind)
{
	if (awaits_key(r))
		stop(r, &event->start_mark, "a key must be text");
	else if (r->depth == DEPTH_MAX)
		stop(r, &event->start_mark, "nested too deep");
	else {
		r->open = add_node(r, event, kind);
		r->depth++;
	}
}

static int
by_key(const void *left, const void *right)
{
	const struct conf_tree *const *l = left, *const *r = right;
	int order = strcmp((*l)->key, (*r)->key);

	if (order != 0)
		return order;
	return (*l)->index < (*r)->index ? -1 : 1;
}

/* Of several values under one key the first counts. */
static void
refuse_repeats(struct reader *r, struct conf_tree *map)
{
	struct conf_tree **sorted, **link, *node, *kept;
	struct buf path = { 0 };
	size_t i = 0;

	if (map->count < 2)
		return;
	sorted = xcalloc(map->count, sizeof(struct conf_tree *));
	for (node = map->first; node != NULL; node = node->next)
		sorted[i++] = node;
	qsort(sorted, map->count, sizeof(struct conf_tree *), by_key);
	kept = sorted[0];
	for (i = 1; i < map->count; i++) {
		node = sorted[i];
		if (strcmp(kept->key, node->key) != 0) {
			kept = node;
			continue;
		}
		conf_tree_path(node, &path);
		conf_errors_add(r->errors, node->key_line, node->key_column,
		    buf_str(&path), "given twice, first in line %u",
		    kept->key_line);
		buf_reset(&path);
		node->key = NULL;
	}
	for (link = &map->first; *link != NULL;) {
		if ((*link)->key != NULL) {
			link = &(*link)->next;
			continue;
		}
		*link = (*link)->next;
		map->count--;
	}
	map->tail = link;
	buf_clear(&path);
	free(sorted);
}

static void
close_node(struct reader *r)
{
	struct conf_tree *node = r->open;

	if (node->kind == CONF_TREE_MAP)
		refuse_repeats(r, node);
	r->open = node->parent;
	r->depth--;
}

static void
take_key(struct reader *r, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	if (strlen(text) != event->data.scalar.length) {
		stop(r, &event->start_mark, "a key contains a NUL character");
		return;
	}
	r->key = conf_pool_text(r->pool, text, strlen(text));
	r->key_line = mark_line(&event->start_mark);
	r->key_column = mark_column(&event->start_mark);
}

static void
take_scalar(struct reader *r, const yaml_event_t *event, bool bad)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct conf_tree *node;

	if (awaits_key(r)) {
		take_key(r, event);
		return;
	}
	if (strlen(text) != len) {
		complain(r, &event->start_mark, "contains a NUL character");
		bad = true;
	}
	node = add_node(r, event, CONF_TREE_SCALAR);
	node->text = conf_pool_text(r->pool, text, len);
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->bad = bad;
}

static void
take_alias(struct reader *r, const yaml_event_t *event)
{
	complain(r, &event->start_mark, "aliases are not allowed");
	if (awaits_key(r))
		r->done = true;
	else {
		struct conf_tree *node = add_node(r, event, CONF_TREE_SCALAR);

		node->text = "";
		node->bad = true;
	}
}

/* Says so if the node has what only clever YAML has; true: it does. */
static bool
refuse_clever(struct reader *r, const yaml_event_t *event,
    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor != NULL)
		complain(r, &event->start_mark, "anchors are not allowed");
	if (tag != NULL)
		complain(r, &event->start_mark, "tags are not allowed");
	return anchor != NULL || tag != NULL;
}

static void
take_event(struct reader *r, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->documents++ > 0)
			stop(r, &event->start_mark,
			    "a second document is not allowed");
		break;
	case YAML_SCALAR_EVENT:
		take_scalar(r, event,
		    refuse_clever(r, event, event->data.scalar.anchor,
			event->data.scalar.tag));
		break;
	case YAML_ALIAS_EVENT:
		take_alias(r, event);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse_clever(r, event, event->data.mapping_start.anchor,
		    event->data.mapping_start.tag);
		open_node(r, event, CONF_TREE_MAP);
		break;
	case YAML_SEQUENCE_START_EVENT:
		refuse_clever(r, event, event->data.sequence_start.anchor,
		    event->data.sequence_start.tag);
		open_node(r, event, CONF_TREE_LIST);
		break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		close_node(r);
		break;
	case YAML_STREAM_END_EVENT:
		r->done = true;
		break;
	default: /* start of the stream, end of a document */
		break;
	}
}

/* The reader gives an offset, no mark: columns count characters. */
static void
refuse_bytes(struct reader *r, const char *problem)
{
	size_t i, end = r->parser.problem_offset;
	unsigned line = 1, column = 1;

	for (i = 0; i < end && i < r->len; i++) {
		if (r->bytes[i] == '\n') {
			line++;
			column = 1;
		} else if ((r->bytes[i] & 0xc0) != 0x80)
			column++;
	}
	conf_errors_add(r->errors, line, column, "", "not YAML: %s", problem);
}

/* libyaml's words, and what they mostly mean in practice. */
static void
refuse_syntax(struct reader *r)
{
	const yaml_parser_t *parser = &r->parser;
	const yaml_mark_t *mark = &parser->problem_mark;
	const char *problem =
	    parser->problem == NULL ? "cannot be read" : parser->problem;
	const char *hint = "";

	if (strstr(problem, "cannot start any token") != NULL)
		hint = "; a tab? YAML indents with spaces, and texts that "
		       "begin with @, ` or % need quotes";
	if (parser->error == YAML_READER_ERROR)
		refuse_bytes(r, problem);
	else if (parser->context != NULL && parser->context_mark.line > 0)
		conf_errors_add(r->errors, mark_line(mark), mark_column(mark),
		    "", "not YAML: %s (%s from line %u)%s", problem,
		    parser->context, mark_line(&parser->context_mark), hint);
	else
		conf_errors_add(r->errors, mark_line(mark), mark_column(mark),
		    "", "not YAML: %s%s", problem, hint);
	r->done = true;
}

struct conf_tree *
conf_tree_read(const void *bytes, size_t len, struct conf_pool *pool,
    struct conf_errors *errors)
{
	struct reader r = {
		.bytes = bytes,
		.len = len,
		.pool = pool,
		.errors = errors,
	};
	yaml_event_t event;

	if (!yaml_parser_initialize(&r.parser))
		abort(); /* out of memory, nothing else */
	yaml_parser_set_input_string(&r.parser, r.bytes, len);
	while (!r.done) {
		if (!yaml_parser_parse(&r.parser, &event)) {
			refuse_syntax(&r);
			r.root = NULL;
			break;
		}
		take_event(&r, &event);
		yaml_event_delete(&event);
	}
	/* Stopped in the middle: what is missing would only confuse. */
	if (r.open != NULL)
		r.root = NULL;
	yaml_parser_delete(&r.parser);
	return r.root;
}

struct conf_tree *
conf_tree_get(const struct conf_tree *node, const char *key)
{
	struct conf_tree *child;

	if (node == NULL || node->kind != CONF_TREE_MAP)
		return NULL;
	for (child = node->first; child != NULL; child = child->next)
		if (strcmp(child->key, key) == 0)
			return child;
	return NULL;
}

void
conf_tree_path(const struct conf_tree *node, struct buf *out)
{
	if (node->parent == NULL)
		return;
	conf_tree_path(node->parent, out);
	if (node->key != NULL)
		buf_printf(out, "%s%s", out->len == 0 ? "" : ".", node->key);
	else
		buf_printf(out, "[%zu]", node->index);
}
