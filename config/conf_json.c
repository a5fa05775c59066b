/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/conf_scalar.h"
#include "lib/text.h"

#define DIGITS "0123456789"
/* Enough for any double to come back as itself. */
#define REAL_DIGITS 17

static void
add_text(struct buf *out, const char *text)
{
	buf_add_u8(out, '"');
	text_json(out, text, strlen(text));
	buf_add_u8(out, '"');
}

static bool
is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

/* null, true or false; NULL: it is none of them. */
static const char *
word_of(const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL",
		NULL };
	static const char *const trues[] = { "true", "True", "TRUE", NULL };
	static const char *const falses[] = { "false", "False", "FALSE", NULL };

	if (is_one_of(text, nulls))
		return "null";
	if (is_one_of(text, trues))
		return "true";
	return is_one_of(text, falses) ? "false" : NULL;
}

/* 0x1f and 0o17, whose digits are known to be good; false: too large. */
static bool
add_based(struct buf *out, const char *text)
{
	uint64_t value;

	errno = 0;
	value = strtoull(text + 2, NULL, text[1] == 'x' ? 16 : 8);
	if (text[2] == '\0' || errno != 0)
		return false;
	buf_printf(out, "%" PRIu64, value);
	return true;
}

/* +007 is 7: JSON knows no plus and no zeros in front. */
static void
add_decimal(struct buf *out, const char *text)
{
	if (*text == '-')
		buf_add_u8(out, '-');
	text += *text == '-' || *text == '+';
	text += strspn(text, "0");
	buf_add_str(out, *text != '\0' ? text : "0");
}

static bool
add_real(struct buf *out, const char *text)
{
	double value = strtod(text, NULL);

	if (!isfinite(value))
		return false;
	buf_printf(out, "%.*g", REAL_DIGITS, value);
	return true;
}

/* What YAML takes for a number; false: JSON has none for it. */
static bool
add_number(struct buf *out, const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'o'))
		return add_based(out, text);
	if (strpbrk(text, DIGITS) == NULL)
		return false;
	if (digits[strspn(digits, DIGITS)] != '\0')
		return add_real(out, text);
	add_decimal(out, text);
	return true;
}

static void
add_scalar(struct conf_parse *p, struct conf_tree *node, struct buf *out)
{
	const char *word = word_of(node->text);

	if (!node->plain || !conf_scalar_untext(node->text))
		add_text(out, node->text);
	else if (word != NULL)
		buf_add_str(out, word);
	else if (!add_number(out, node->text))
		conf_parse_error(p, node,
		    "is no number that JSON has; put it in quotes");
}

static void
add_node(struct conf_parse *p, struct conf_tree *node, struct buf *out)
{
	bool map = node->kind == CONF_TREE_MAP;
	struct conf_tree *child;

	if (node->kind == CONF_TREE_SCALAR) {
		add_scalar(p, node, out);
		return;
	}
	buf_add_u8(out, map ? '{' : '[');
	for (child = node->first; child != NULL; child = child->next) {
		if (child != node->first)
			buf_add_u8(out, ',');
		if (map) {
			add_text(out, child->key);
			buf_add_u8(out, ':');
		}
		add_node(p, child, out);
	}
	buf_add_u8(out, map ? '}' : ']');
}

const char *
conf_json(struct conf_parse *p, struct conf_tree *node)
{
	struct buf json = { 0 };
	const char *text;

	add_node(p, node, &json);
	text = conf_pool_text(p->pool, buf_str(&json), json.len);
	/* It may hold passwords. */
	explicit_bzero(json.mem, json.space);
	buf_clear(&json);
	return text;
}
