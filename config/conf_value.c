/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * The pieces of a struct conf are reached by offset, so values are put there
 * with memcpy: no pointer of a wrong type is ever made.
 */
#include "config/conf_value.h"

#include <string.h>

#include "config/conf_json.h"
#include "config/conf_scalar.h"
#include "config/conf_valid.h"

static const char *
noun_of(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_MAP:
	case CONF_TYPE_NAMED:
		return "a map of keys";
	case CONF_TYPE_LIST:
		return "a list";
	case CONF_TYPE_TEXT:
		return "text";
	case CONF_TYPE_PATH:
		return "a path";
	case CONF_TYPE_SECRET:
		return "{env: NAME}, {file: PATH} or text";
	case CONF_TYPE_BOOL:
		return "true or false";
	case CONF_TYPE_COUNT:
		return "a whole number";
	case CONF_TYPE_NUMBER:
		return "a number";
	case CONF_TYPE_DURATION:
		return "a duration such as 250ms, 5s, 10m, 24h or 7d";
	case CONF_TYPE_SIZE:
		return "a size such as 512, 64k, 16m or 1g";
	case CONF_TYPE_WORD:
		return "a word";
	case CONF_TYPE_NODE:
		return "amqp://HOST:PORT or amqps://HOST:PORT";
	case CONF_TYPE_ADDRESS:
		return "HOST:PORT or [IPV6]:PORT";
	case CONF_TYPE_LISTEN:
		return "HOST:PORT, unix:PATH or none";
	case CONF_TYPE_LINK:
		return "the name of a downstream";
	case CONF_TYPE_ANY:
		break;
	}
	return "anything";
}

const char *
conf_value_noun(const struct conf_key *key)
{
	return noun_of(key->type);
}

static void
refuse_range(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node)
{
	char low[CONF_SCALAR_SPACE], high[CONF_SCALAR_SPACE];

	if (key->type == CONF_TYPE_DURATION) {
		conf_scalar_show_duration(low, (int64_t)key->min);
		conf_scalar_show_duration(high, (int64_t)key->max);
	} else if (key->type == CONF_TYPE_SIZE) {
		conf_scalar_show_size(low, (int64_t)key->min);
		conf_scalar_show_size(high, (int64_t)key->max);
	} else {
		conf_scalar_show_number(low, key->min);
		conf_scalar_show_number(high, key->max);
	}
	if (strcmp(low, high) == 0)
		conf_parse_error(p, node, "out of range: must be %s", low);
	else
		conf_parse_error(p, node, "out of range: must be %s to %s", low,
		    high);
}

/* Counts, durations and sizes are read alike. */
static int
read_integer(enum conf_type type, const char *text, int64_t *out)
{
	if (type == CONF_TYPE_DURATION)
		return conf_scalar_duration(text, out);
	if (type == CONF_TYPE_SIZE)
		return conf_scalar_size(text, out);
	return conf_scalar_count(text, out);
}

static void
set_integer(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, void *slot)
{
	int64_t value;
	uint32_t count;

	if (read_integer(key->type, node->text, &value) == -1) {
		conf_parse_error(p, node, "must be %s", noun_of(key->type));
	} else if ((double)value < key->min || (double)value > key->max) {
		refuse_range(p, key, node);
	} else if (key->type == CONF_TYPE_COUNT) {
		count = (uint32_t)value;
		memcpy(slot, &count, sizeof(count));
	} else {
		memcpy(slot, &value, sizeof(value));
	}
}

static void
set_number(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, void *slot)
{
	double value;

	if (conf_scalar_number(node->text, &value) == -1)
		conf_parse_error(p, node, "must be %s", noun_of(key->type));
	else if (value < key->min || value > key->max)
		refuse_range(p, key, node);
	else
		memcpy(slot, &value, sizeof(value));
}

static void
set_bool(struct conf_parse *p, struct conf_tree *node, void *slot)
{
	bool value;

	if (conf_scalar_bool(node->text, &value) == -1)
		conf_parse_error(p, node, "must be true or false");
	else
		memcpy(slot, &value, sizeof(value));
}

static void
refuse_word(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node)
{
	struct conf_nearest nearest = { .word = node->text };
	const struct conf_word *word;
	struct buf known = { 0 };

	for (word = key->words; word->text != NULL; word++) {
		conf_nearest_try(&nearest, word->text);
		buf_printf(&known, "%s%s", known.len == 0 ? "" : ", ",
		    word->text);
	}
	if (nearest.best != NULL)
		conf_parse_error(p, node,
		    "must be one of: %s; did you mean \"%s\"?", buf_str(&known),
		    nearest.best);
	else
		conf_parse_error(p, node, "must be one of: %s%s",
		    buf_str(&known),
		    key->flags & CONF_OR_MAP ? "; or a map of keys" : "");
	buf_clear(&known);
}

static void
set_word(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, void *slot)
{
	const struct conf_word *word;

	for (word = key->words; word->text != NULL; word++)
		if (strcmp(word->text, node->text) == 0)
			break;
	if (word->text == NULL)
		refuse_word(p, key, node);
	else
		memcpy(slot, &word->value, sizeof(word->value));
}

static void
set_text(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, void *slot)
{
	const char *text = node->text, *problem = NULL;

	if (text[0] == '\0' && (key->flags & CONF_EMPTY) == 0)
		problem = "is empty";
	else if (key->check != NULL)
		problem = key->check(text);
	if (problem != NULL) {
		conf_parse_error(p, node, "%s", problem);
		return;
	}
	if (key->type == CONF_TYPE_PATH && text[0] != '/')
		text = conf_pool_printf(p->pool, "%s/%s", p->folder, text);
	memcpy(slot, &text, sizeof(text));
}

static void
set_node(struct conf_parse *p, struct conf_tree *node, void *slot)
{
	struct text_address address;
	struct conf_node out = { 0 };
	const char *problem =
	    conf_valid_amqp_url(node->text, &address, &out.tls);

	if (problem != NULL) {
		conf_parse_error(p, node, "%s", problem);
		return;
	}
	out.host = conf_pool_text(p->pool, address.host, strlen(address.host));
	out.port = address.port;
	memcpy(slot, &out, sizeof(out));
}

static void
set_address(struct conf_parse *p, struct conf_tree *node, void *slot)
{
	struct text_address address;
	struct conf_address out = { 0 };

	if (text_parse_address(node->text, -1, &address) == -1 ||
	    address.port == 0) {
		conf_parse_error(p, node, "must be HOST:PORT or [IPV6]:PORT");
		return;
	}
	out.host = conf_pool_text(p->pool, address.host, strlen(address.host));
	out.port = address.port;
	memcpy(slot, &out, sizeof(out));
}

static void
set_listen(struct conf_parse *p, struct conf_tree *node, void *slot)
{
	struct conf_listen out;
	const char *why;

	if (conf_listen_parse(node->text, &out, &why) == -1)
		conf_parse_error(p, node, "%s", why);
	else
		memcpy(slot, &out, sizeof(out));
}

static void
set_link(struct conf_parse *p, struct conf_tree *node, void *slot)
{
	const struct conf_downstream *all = p->conf->downstreams;
	const struct conf_downstream **link = slot;
	struct conf_nearest nearest = { .word = node->text };
	size_t i, count = p->conf->downstream_count;

	for (i = 0; i < count; i++)
		if (strcmp(all[i].name, node->text) == 0) {
			*link = &all[i];
			return;
		}
	for (i = 0; i < count; i++)
		conf_nearest_try(&nearest, all[i].name);
	if (nearest.best != NULL)
		conf_parse_error(p, node,
		    "no such downstream; did you mean \"%s\"?", nearest.best);
	else if (count > 0) /* with none at all, that is the error */
		conf_parse_error(p, node, "no such downstream");
}

static void
set_any(struct conf_parse *p, struct conf_tree *node, void *slot)
{
	const char *json = conf_json(p, node);

	memcpy(slot, &json, sizeof(json));
}

/* Whether YAML's own types already say that it is the wrong one. */
static bool
is_wrong_kind(const struct conf_key *key, const struct conf_tree *node)
{
	switch (key->type) {
	case CONF_TYPE_BOOL:
	case CONF_TYPE_COUNT:
	case CONF_TYPE_NUMBER:
		return !node->plain;
	case CONF_TYPE_SIZE: /* 512 is a number, 64k is text */
	case CONF_TYPE_WORD: /* they are listed in any case */
	case CONF_TYPE_ANY:
		return false;
	default:
		return node->plain && conf_scalar_untext(node->text);
	}
}

static void
refuse_kind(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node)
{
	if (node->plain && node->text[0] == '\0')
		conf_parse_error(p, node, "has no value; must be %s",
		    noun_of(key->type));
	else if (!node->plain)
		conf_parse_error(p, node, "must be %s, without quotes",
		    noun_of(key->type));
	else if (key->type == CONF_TYPE_TEXT || key->type == CONF_TYPE_PATH ||
	    key->type == CONF_TYPE_SECRET)
		conf_parse_error(p, node, "must be %s; put it in quotes",
		    noun_of(key->type));
	else
		conf_parse_error(p, node, "must be %s", noun_of(key->type));
}

void
conf_value_set(struct conf_parse *p, const struct conf_key *key,
    struct conf_tree *node, void *slot)
{
	if (is_wrong_kind(key, node)) {
		refuse_kind(p, key, node);
		return;
	}
	switch (key->type) {
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_SECRET:
		set_text(p, key, node, slot);
		break;
	case CONF_TYPE_BOOL:
		set_bool(p, node, slot);
		break;
	case CONF_TYPE_COUNT:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_SIZE:
		set_integer(p, key, node, slot);
		break;
	case CONF_TYPE_NUMBER:
		set_number(p, key, node, slot);
		break;
	case CONF_TYPE_WORD:
		set_word(p, key, node, slot);
		break;
	case CONF_TYPE_NODE:
		set_node(p, node, slot);
		break;
	case CONF_TYPE_ADDRESS:
		set_address(p, node, slot);
		break;
	case CONF_TYPE_LISTEN:
		set_listen(p, node, slot);
		break;
	case CONF_TYPE_LINK:
		set_link(p, node, slot);
		break;
	case CONF_TYPE_MAP:
	case CONF_TYPE_NAMED:
	case CONF_TYPE_LIST:
		conf_parse_error(p, node, "must be %s", noun_of(key->type));
		break;
	case CONF_TYPE_ANY:
		set_any(p, node, slot);
		break;
	}
}
