/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/xalloc.h"

#define SLOTS		64 /* of a family's hash table */
#define LABELS_MAX	8
#define VALUE_BYTES_MAX 128 /* a longer label value is cut */
#define OVERFLOW_VALUE	"other"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define DIGITS	"0123456789"

enum metrics_type {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM,
};

static const char *const type_names[] = { "counter", "gauge", "histogram" };

struct metrics_family {
	struct metrics_family *next;
	enum metrics_type type;
	char *name, *help;
	char *label_text;	  /* the names as given, joined by commas */
	char *labels[LABELS_MAX]; /* into label_split */
	char *label_split;
	size_t label_count;
	double *bounds;
	size_t bound_count;
	struct metrics_cell *cells, **cells_tail;
	struct metrics_cell *slots[SLOTS];
};

struct metrics_hook {
	struct metrics_hook *next;
	metrics_render_cb *cb;
	void *arg;
};

struct metrics {
	struct metrics_family *families, **families_tail;
	struct metrics_hook *hooks, **hooks_tail;
};

struct metrics *
metrics_new(void)
{
	struct metrics *metrics = xcalloc(1, sizeof(*metrics));

	metrics->families_tail = &metrics->families;
	metrics->hooks_tail = &metrics->hooks;
	return metrics;
}

static void
family_free(struct metrics_family *family)
{
	struct metrics_cell *cell;
	size_t i;

	while ((cell = family->cells) != NULL) {
		family->cells = cell->next;
		for (i = 0; i < family->label_count; i++)
			free(cell->labels[i]);
		free(cell->labels);
		free(cell->buckets);
		free(cell);
	}
	free(family->bounds);
	free(family->label_split);
	free(family->label_text);
	free(family->help);
	free(family->name);
	free(family);
}

void
metrics_free(struct metrics *metrics)
{
	struct metrics_family *family;
	struct metrics_hook *hook;

	if (metrics == NULL)
		return;
	while ((family = metrics->families) != NULL) {
		metrics->families = family->next;
		family_free(family);
	}
	while ((hook = metrics->hooks) != NULL) {
		metrics->hooks = hook->next;
		free(hook);
	}
	free(metrics);
}

static void
refuse(const char *name, const char *why)
{
	fprintf(stderr, "metric %s: %s\n", name, why);
	abort();
}

static bool
ends_in(const char *name, const char *tail)
{
	size_t len = strlen(name), tail_len = strlen(tail);

	return len >= tail_len && strcmp(name + len - tail_len, tail) == 0;
}

static bool
is_name(const char *name)
{
	return name[0] != '\0' && strchr(LETTERS, name[0]) != NULL &&
	    name[strspn(name, LETTERS DIGITS)] == '\0';
}

/* The rules of Prometheus, so far as a typing error can break them. */
static void
family_check(const struct metrics_family *family)
{
	static const char *const taken[] = { "_bucket", "_count", "_sum" };
	size_t i;

	if (!is_name(family->name))
		refuse(family->name, "not a name");
	if (family->help[0] == '\0')
		refuse(family->name, "has no help");
	if (ends_in(family->name, "_total") !=
	    (family->type == METRICS_COUNTER))
		refuse(family->name, "_total is for counters, and theirs");
	for (i = 0; i < array_len(taken); i++) {
		if (ends_in(family->name, taken[i]))
			refuse(family->name, "ends as a histogram's parts do");
	}
	for (i = 0; i < family->label_count; i++) {
		if (!is_name(family->labels[i]) ||
		    strncmp(family->labels[i], "__", 2) == 0 ||
		    strcmp(family->labels[i], "le") == 0)
			refuse(family->name, "has a bad label name");
	}
	for (i = 1; i < family->bound_count; i++) {
		if (!(family->bounds[i - 1] < family->bounds[i]))
			refuse(family->name, "has bounds that do not rise");
	}
}

static bool
same_shape(const struct metrics_family *a, const struct metrics_family *b)
{
	return a->type == b->type &&
	    strcmp(a->label_text, b->label_text) == 0 &&
	    a->bound_count == b->bound_count &&
	    (a->bound_count == 0 ||
		memcmp(a->bounds, b->bounds,
		    a->bound_count * sizeof(*a->bounds)) == 0);
}

static struct metrics_family *
family_new(enum metrics_type type, const char *name, const char *help,
    const char *labels, const double *bounds, size_t count)
{
	struct metrics_family *family = xcalloc(1, sizeof(*family));
	char *rest, *label;

	family->type = type;
	family->name = xstrdup(name);
	family->help = xstrdup(help);
	family->label_text = xstrdup(labels == NULL ? "" : labels);
	family->label_split = xstrdup(family->label_text);
	rest = family->label_split[0] == '\0' ? NULL : family->label_split;
	while ((label = strsep(&rest, ",")) != NULL) {
		if (family->label_count == LABELS_MAX)
			refuse(name, "has too many labels");
		family->labels[family->label_count++] = label;
	}
	family->bounds = xcalloc(count + 1, sizeof(*bounds));
	if (count > 0)
		memcpy(family->bounds, bounds, count * sizeof(*bounds));
	family->bound_count = count;
	family->cells_tail = &family->cells;
	family_check(family);
	return family;
}

/* Takes the new family, or frees it for the one of that name. */
static struct metrics_family *
family_register(struct metrics *metrics, struct metrics_family *family)
{
	struct metrics_family *other;

	for (other = metrics->families; other != NULL; other = other->next) {
		if (strcmp(other->name, family->name) != 0)
			continue;
		if (!same_shape(other, family))
			refuse(family->name, "is there in another shape");
		family_free(family);
		return other;
	}
	*metrics->families_tail = family;
	metrics->families_tail = &family->next;
	if (family->label_count == 0)
		metrics_cell(family);
	return family;
}

struct metrics_family *
metrics_counter(struct metrics *metrics, const char *name, const char *help,
    const char *labels)
{
	return family_register(metrics,
	    family_new(METRICS_COUNTER, name, help, labels, NULL, 0));
}

struct metrics_family *
metrics_gauge(struct metrics *metrics, const char *name, const char *help,
    const char *labels)
{
	return family_register(metrics,
	    family_new(METRICS_GAUGE, name, help, labels, NULL, 0));
}

struct metrics_family *
metrics_histogram(struct metrics *metrics, const char *name, const char *help,
    const char *labels, const double *bounds, size_t count)
{
	return family_register(metrics,
	    family_new(METRICS_HISTOGRAM, name, help, labels, bounds, count));
}

struct metrics_family *
metrics_histogram_seconds(struct metrics *metrics, const char *name,
    const char *help, const char *labels)
{
	static const double bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025,
		0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 };

	return metrics_histogram(metrics, name, help, labels, bounds,
	    array_len(bounds));
}

/* FNV-1a over the values and their NULs. */
static unsigned
values_slot(const char *const *values, size_t count)
{
	uint32_t hash = 2166136261;
	const char *p;
	size_t i;

	for (i = 0; i < count; i++) {
		for (p = values[i]; *p != '\0'; p++)
			hash = (hash ^ (uint8_t)*p) * 16777619;
		hash *= 16777619;
	}
	return (hash ^ hash >> 16) % SLOTS;
}

static bool
cell_has(const struct metrics_cell *cell, const char *const *values,
    size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcmp(cell->labels[i], values[i]) != 0)
			return false;
	}
	return true;
}

static struct metrics_cell *
cell_find(const struct metrics_family *family, const char *const *values)
{
	struct metrics_cell *cell;

	cell = family->slots[values_slot(values, family->label_count)];
	while (cell != NULL && !cell_has(cell, values, family->label_count))
		cell = cell->next_hash;
	return cell;
}

static struct metrics_cell *
cell_new(struct metrics_family *family, const char *const *values)
{
	struct metrics_cell *cell = xcalloc(1, sizeof(*cell)), **slot;
	size_t i;

	cell->family = family;
	cell->labels = xcalloc(family->label_count + 1, sizeof(char *));
	for (i = 0; i < family->label_count; i++)
		cell->labels[i] = xstrdup(values[i]);
	if (family->type == METRICS_HISTOGRAM)
		cell->buckets =
		    xcalloc(family->bound_count + 1, sizeof(*cell->buckets));
	slot = &family->slots[values_slot(values, family->label_count)];
	cell->next_hash = *slot;
	*slot = cell;
	*family->cells_tail = cell;
	family->cells_tail = &cell->next;
	return cell;
}

/* Whether the last label has as many values as it may beside the others. */
static bool
is_full(const struct metrics_family *family, const char *const *values)
{
	const struct metrics_cell *cell;
	unsigned n = 0;

	for (cell = family->cells; cell != NULL; cell = cell->next)
		n += cell_has(cell, values, family->label_count - 1);
	return n >= METRICS_VALUES_MAX;
}

/* A new cell, or the one that takes what has no room; values are clean. */
static struct metrics_cell *
cell_add(struct metrics_family *family, const char **values)
{
	size_t last = family->label_count - 1;
	struct metrics_cell *other;
	const char *value;

	if (family->label_count == 0)
		return cell_new(family, values);
	value = values[last];
	values[last] = OVERFLOW_VALUE;
	other = cell_find(family, values);
	if (other == NULL || !other->overflow) {
		if (!is_full(family, values)) {
			values[last] = value;
			return cell_new(family, values);
		}
		if (other == NULL)
			other = cell_new(family, values);
		other->overflow = true;
	}
	return other;
}

struct metrics_cell *
metrics_cell_get(struct metrics_family *family, const char *const *values,
    size_t count)
{
	struct metrics_cell *cell;
	const char *clean[LABELS_MAX] = { NULL };
	struct buf bufs[LABELS_MAX] = { 0 };
	size_t i, len;

	if (count != family->label_count)
		refuse(family->name, "asked with another number of labels");
	cell = cell_find(family, values);
	if (cell != NULL) {
		cell->hidden = false;
		return cell;
	}
	for (i = 0; i < count; i++) {
		len = strlen(values[i]);
		text_utf8_clean(&bufs[i], values[i],
		    text_utf8_cut(values[i], len, VALUE_BYTES_MAX));
		clean[i] = buf_str(&bufs[i]);
	}
	cell = cell_find(family, clean);
	if (cell == NULL)
		cell = cell_add(family, clean);
	cell->hidden = false;
	for (i = 0; i < count; i++)
		buf_clear(&bufs[i]);
	return cell;
}

void
metrics_hide(struct metrics_cell *cell)
{
	cell->value = 0;
	cell->hidden = true;
}

void
metrics_observe(struct metrics_cell *cell, double value)
{
	const struct metrics_family *family = cell->family;
	size_t i = 0;

	while (i < family->bound_count && value > family->bounds[i])
		i++;
	cell->buckets[i]++;
	cell->value += value;
}

void
metrics_on_render(struct metrics *metrics, metrics_render_cb *cb, void *arg)
{
	struct metrics_hook *hook = xcalloc(1, sizeof(*hook));

	hook->cb = cb;
	hook->arg = arg;
	*metrics->hooks_tail = hook;
	metrics->hooks_tail = &hook->next;
}

void
metrics_off_render(struct metrics *metrics, metrics_render_cb *cb, void *arg)
{
	struct metrics_hook **at = &metrics->hooks, *hook;

	while ((hook = *at) != NULL && (hook->cb != cb || hook->arg != arg))
		at = &hook->next;
	if (hook == NULL)
		return;
	*at = hook->next;
	if (hook->next == NULL)
		metrics->hooks_tail = at;
	free(hook);
}

/* `quote`: label values escape quotes too, help lines do not. */
static void
add_escaped(struct buf *out, const char *text, bool quote)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n') {
			buf_add_str(out, "\\n");
			continue;
		}
		if (*text == '\\' || (*text == '"' && quote))
			buf_add_u8(out, '\\');
		buf_add_u8(out, (uint8_t)*text);
	}
}

/* The shortest form that reads back as the same number. */
static void
add_number(struct buf *out, double value)
{
	char text[32];

	if (value != value) {
		buf_add_str(out, "NaN");
	} else if (value - value != 0) {
		buf_add_str(out, value > 0 ? "+Inf" : "-Inf");
	} else {
		snprintf(text, sizeof(text), "%.15g", value);
		if (strtod(text, NULL) != value)
			snprintf(text, sizeof(text), "%.17g", value);
		buf_add_str(out, text);
	}
}

/* `le`: the upper bound of a histogram's bucket, or NULL. */
static void
add_series(struct buf *out, const struct metrics_cell *cell, const char *tail,
    const double *le)
{
	const struct metrics_family *family = cell->family;
	const char *sep = "{";
	size_t i;

	buf_add_str(out, family->name);
	buf_add_str(out, tail);
	for (i = 0; i < family->label_count; i++) {
		buf_printf(out, "%s%s=\"", sep, family->labels[i]);
		add_escaped(out, cell->labels[i], true);
		buf_add_u8(out, '"');
		sep = ",";
	}
	if (le != NULL) {
		buf_printf(out, "%sle=\"", sep);
		add_number(out, *le);
		buf_add_u8(out, '"');
	}
	if (family->label_count > 0 || le != NULL)
		buf_add_u8(out, '}');
	buf_add_u8(out, ' ');
}

static void
render_histogram(struct buf *out, const struct metrics_cell *cell)
{
	const struct metrics_family *family = cell->family;
	const double infinity = __builtin_inf();
	uint64_t count = 0;
	size_t i;

	for (i = 0; i <= family->bound_count; i++) {
		add_series(out, cell, "_bucket",
		    i < family->bound_count ? &family->bounds[i] : &infinity);
		count += cell->buckets[i];
		buf_printf(out, "%llu\n", (unsigned long long)count);
	}
	add_series(out, cell, "_sum", NULL);
	add_number(out, cell->value);
	buf_add_u8(out, '\n');
	add_series(out, cell, "_count", NULL);
	buf_printf(out, "%llu\n", (unsigned long long)count);
}

static void
render_family(struct buf *out, const struct metrics_family *family)
{
	const struct metrics_cell *cell;

	if (family->cells == NULL)
		return;
	buf_printf(out, "# HELP %s ", family->name);
	add_escaped(out, family->help, false);
	buf_printf(out, "\n# TYPE %s %s\n", family->name,
	    type_names[family->type]);
	for (cell = family->cells; cell != NULL; cell = cell->next) {
		if (cell->hidden)
			continue;
		if (family->type == METRICS_HISTOGRAM) {
			render_histogram(out, cell);
			continue;
		}
		add_series(out, cell, "", NULL);
		add_number(out, cell->value);
		buf_add_u8(out, '\n');
	}
}

void
metrics_render(struct metrics *metrics, struct buf *out)
{
	const struct metrics_family *family;
	const struct metrics_hook *hook;

	for (hook = metrics->hooks; hook != NULL; hook = hook->next)
		hook->cb(hook->arg);
	for (family = metrics->families; family != NULL; family = family->next)
		render_family(out, family);
}
