/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_change.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf_errors.h"
#include "config/conf_table.h"
#include "config/conf_tree.h"
#include "lib/xalloc.h"

/* How lists and maps of names are kept in a struct conf. */
struct elements {
	const char *items;
	size_t count;
};

static bool differs(const struct conf_key *, const char *a, const char *b);

static bool
texts_differ(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a != b;
	return strcmp(a, b) != 0;
}

static const char *
text_at(const char *member)
{
	const char *text;

	memcpy(&text, member, sizeof(text));
	return text;
}

static struct elements
elements_at(const char *member)
{
	struct elements elements;

	memcpy(&elements, member, sizeof(elements));
	return elements;
}

/* What was read from elsewhere is known by its place. */
static bool
secrets_differ(const char *a_text, const char *b_text)
{
	const size_t offset = offsetof(struct conf_secret, text);
	const struct conf_secret *a = (const void *)(a_text - offset);
	const struct conf_secret *b = (const void *)(b_text - offset);

	if (texts_differ(a->env, b->env) || texts_differ(a->file, b->file))
		return true;
	return a->env == NULL && a->file == NULL &&
	    texts_differ(a->text, b->text);
}

static bool
nodes_differ(const struct conf_node *a, const struct conf_node *b)
{
	return texts_differ(a->host, b->host) || a->port != b->port ||
	    a->tls != b->tls;
}

static bool
addresses_differ(const struct conf_address *a, const struct conf_address *b)
{
	return texts_differ(a->host, b->host) || a->port != b->port;
}

static bool
listens_differ(const struct conf_listen *a, const struct conf_listen *b)
{
	return a->kind != b->kind || a->port != b->port ||
	    strcmp(a->host, b->host) != 0 || strcmp(a->path, b->path) != 0;
}

/* In their order: a list's matters, and so may that of names. */
static bool
elements_differ(const struct conf_key *key, const char *a, const char *b)
{
	const struct conf_key *each = conf_table_below(key, NULL);
	struct elements as = elements_at(a), bs = elements_at(b);

	if (as.count != bs.count)
		return true;
	for (size_t i = 0; i < as.count; i++) {
		const char *one = as.items + i * key->size;
		const char *other = bs.items + i * key->size;

		if (key->type == CONF_TYPE_NAMED &&
		    texts_differ(text_at(one), text_at(other)))
			return true;
		if (differs(each, one, other))
			return true;
	}
	return false;
}

/* The value of the row itself, not of those below it. */
static bool
values_differ(const struct conf_key *key, const char *a, const char *b)
{
	a += key->offset;
	b += key->offset;
	switch (key->type) {
	case CONF_TYPE_MAP:
		return false;
	case CONF_TYPE_NAMED:
	case CONF_TYPE_LIST:
		return elements_differ(key, a, b);
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_ANY: /* as JSON */
		return texts_differ(text_at(a), text_at(b));
	case CONF_TYPE_SECRET:
		return secrets_differ(a, b);
	case CONF_TYPE_BOOL:
		return memcmp(a, b, sizeof(bool)) != 0;
	case CONF_TYPE_COUNT:
		return memcmp(a, b, sizeof(uint32_t)) != 0;
	case CONF_TYPE_NUMBER:
		return memcmp(a, b, sizeof(double)) != 0;
	case CONF_TYPE_DURATION:
		return memcmp(a, b, sizeof(int64_t)) != 0;
	case CONF_TYPE_SIZE:
		return memcmp(a, b, sizeof(uint64_t)) != 0;
	case CONF_TYPE_WORD:
		return memcmp(a, b, sizeof(int)) != 0;
	case CONF_TYPE_NODE:
		return nodes_differ((const void *)a, (const void *)b);
	case CONF_TYPE_ADDRESS:
		return addresses_differ((const void *)a, (const void *)b);
	case CONF_TYPE_LISTEN:
		return listens_differ((const void *)a, (const void *)b);
	case CONF_TYPE_LINK:
		/* The name is the first member of what it points to. */
		return texts_differ(text_at(text_at(a)), text_at(text_at(b)));
	}
	abort();
}

/* Whether its rows are to be walked with the same element. */
static bool
has_keys(const struct conf_key *key)
{
	return key->type != CONF_TYPE_NAMED && key->type != CONF_TYPE_LIST;
}

/* The row's value and those of all rows below it. */
static bool
differs(const struct conf_key *key, const char *a, const char *b)
{
	const struct conf_key *below = NULL;

	if (values_differ(key, a, b))
		return true;
	while (has_keys(key) && (below = conf_table_below(key, below)) != NULL)
		if (differs(below, a, b))
			return true;
	return false;
}

bool
conf_change_downstream(const struct conf_downstream *a,
    const struct conf_downstream *b)
{
	return differs(conf_table_row("downstreams.*"), (const char *)a,
		   (const char *)b) ||
	    a->kind != b->kind || a->probe.kind != b->probe.kind ||
	    texts_differ(a->http.pem_digest, b->http.pem_digest);
}

bool
conf_change_pipeline(const struct conf_pipeline *a,
    const struct conf_pipeline *b)
{
	return differs(conf_table_row("pipelines.*"), (const char *)a,
		   (const char *)b) ||
	    a->redrive.only.has_redrives_above !=
	    b->redrive.only.has_redrives_above;
}

/* A walk along both files for what must not differ. */
struct change {
	const char *foreign; /* section of the other daemon */
	struct conf_errors *errors;
	struct buf path;
};

/* One map of keys: the elements, and where it stands in the files. */
struct place {
	const char *element;
	const struct conf_tree *node; /* NULL: it is not given */
};

static void walk(struct change *, const struct conf_key *, struct place from,
    struct place to, const struct conf_tree *near);

/* `near`: the nearest that stands in the new file. */
static void
refuse(struct change *c, const struct conf_tree *node,
    const struct conf_tree *near)
{
	unsigned line = node != NULL ? node->line : near->key_line;
	unsigned column = node != NULL ? node->column : near->key_column;

	conf_errors_add(c->errors, line, column, buf_str(&c->path),
	    "has changed, which needs a restart");
}

static struct place
place_below(const struct conf_key *key, struct place map)
{
	struct place below = { map.element, NULL };

	if (map.node != NULL && map.node->kind == CONF_TREE_MAP)
		below.node = conf_tree_get(map.node, conf_table_name(key));
	return below;
}

static struct place
place_named(const struct conf_key *key, struct place names, const char *name)
{
	struct elements elements = elements_at(names.element + key->offset);

	for (size_t i = 0; i < elements.count; i++) {
		const char *item = elements.items + i * key->size;

		if (strcmp(text_at(item), name) == 0)
			return (struct place){ item,
				conf_tree_get(names.node, name) };
	}
	return (struct place){ NULL, NULL };
}

/* Elements come and go; those that stay are compared. */
static void
walk_named(struct change *c, const struct conf_key *key, struct place from,
    struct place to)
{
	struct elements elements = elements_at(to.element + key->offset);
	size_t len = c->path.len;

	for (size_t i = 0; i < elements.count; i++) {
		const char *name = text_at(elements.items + i * key->size);
		struct place old = place_named(key, from, name);
		struct place new = place_named(key, to, name);

		if (old.element == NULL)
			continue;
		buf_printf(&c->path, ".%s", name);
		walk(c, conf_table_below(key, NULL), old, new, new.node);
		c->path.len = len;
	}
}

/* Whether a row that may not change has done so. */
static bool
is_changed(const struct conf_key *key, struct place from, struct place to)
{
	if ((key->flags & CONF_GIVEN) != 0)
		return (from.node == NULL) != (to.node == NULL);
	/* It follows from another key, which has changed too. */
	if (key->derived != NULL && from.node == NULL && to.node == NULL)
		return false;
	return values_differ(key, from.element, to.element);
}

static void
visit(struct change *c, const struct conf_key *key, struct place from,
    struct place to, const struct conf_tree *near)
{
	if ((key->flags & CONF_LIVE) != 0)
		return;
	if (key->type == CONF_TYPE_NAMED)
		walk_named(c, key, from, to);
	else if (is_changed(key, from, to))
		refuse(c, to.node, near);
	else if (has_keys(key))
		walk(c, key, from, to, to.node != NULL ? to.node : near);
}

static void
walk(struct change *c, const struct conf_key *map, struct place from,
    struct place to, const struct conf_tree *near)
{
	const struct conf_key *key = NULL;
	size_t len = c->path.len;

	while ((key = conf_table_below(map, key)) != NULL) {
		if (strcmp(key->path, c->foreign) == 0)
			continue;
		buf_printf(&c->path, "%s%s", len == 0 ? "" : ".",
		    conf_table_name(key));
		visit(c, key, place_below(key, from), place_below(key, to),
		    near);
		c->path.len = len;
	}
}

/*
 * The broker keeps the order of what is returned to it only if all of it is
 * taken again before some is returned once more.
 */
static void
refuse_narrower(struct change *c, const struct conf *from,
    const struct conf *to)
{
	for (size_t i = 0; i < to->pipeline_count; i++) {
		const struct conf_pipeline *new = &to->pipelines[i];
		const struct conf_pipeline *old =
		    conf_pipeline_find(from, new->name);
		const struct conf_tree *map =
		    conf_tree_get(conf_tree_get(to->root, "pipelines"),
			new->name);

		if (old == NULL || new->order == CONF_ORDER_NONE ||
		    new->prefetch >= old->prefetch)
			continue;
		buf_reset(&c->path);
		buf_printf(&c->path, "pipelines.%s.prefetch", new->name);
		refuse(c, conf_tree_get(map, "prefetch"), map);
	}
}

void
conf_change_refused(const struct conf *from, const struct conf *to,
    enum conf_role role, struct conf_errors *errors)
{
	struct change c = {
		.foreign = role == CONF_ROLE_CONSUMER ? "redrive" : "consumer",
		.errors = errors,
	};
	const struct place old = { (const char *)from, from->root };
	const struct place new = { (const char *)to, to->root };

	if (errors->path == NULL)
		errors->path = xstrdup(to->path);
	walk(&c, conf_table, old, new, to->root);
	refuse_narrower(&c, from, to);
	conf_errors_sort(errors);
	buf_clear(&c.path);
}
