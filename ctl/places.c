/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "ctl/places.h"

#include <stdlib.h>
#include <string.h>

#include "dlx/topology.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* What follows the prefix and its dot; NULL: another name. */
static const char *
own_part(const struct conf *conf, const char *name)
{
	const char *prefix = conf->topology.prefix;
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 && name[len] == '.'
	    ? name + len + 1
	    : NULL;
}

/* The pipeline whose name is the first `len` bytes. */
static const struct conf_pipeline *
pipeline_of(const struct conf *conf, const char *name, size_t len)
{
	char *text = xstrndup(name, len);
	const struct conf_pipeline *found = conf_pipeline_find(conf, text);

	free(text);
	return found;
}

static unsigned
levels_of(const struct conf *conf, const struct conf_pipeline *pipeline)
{
	struct topology_pipeline_names names;
	unsigned levels;

	topology_pipeline_names_init(&names, conf, pipeline);
	levels = names.levels;
	topology_pipeline_names_clear(&names);
	return levels;
}

/* "retry.P" is the foot of a ladder, "retry.P.0" a level of it. */
static struct place
ladder_place(const struct conf *conf, const char *own)
{
	struct place place = { PLACE_NONE, NULL };
	const char *name;
	int64_t level;
	size_t len;

	if (strncmp(own, "retry.", strlen("retry.")) != 0)
		return place;
	name = own + strlen("retry.");
	len = strcspn(name, ".");
	place.pipeline = pipeline_of(conf, name, len);
	place.kind = PLACE_FOOT;
	if (name[len] == '\0')
		return place;
	place.kind = PLACE_OTHER;
	if (place.pipeline != NULL &&
	    text_parse_int(name + len + 1, 0, LADDER_LEVELS_MAX - 1, &level) ==
		0 &&
	    level < (int64_t)levels_of(conf, place.pipeline))
		place.kind = PLACE_LADDER;
	return place;
}

struct place
places_queue(const struct conf *conf, const char *name)
{
	const char *own = own_part(conf, name);
	struct place place = { PLACE_NONE, NULL };

	for (size_t i = 0; i < conf->pipeline_count; i++) {
		const struct conf_pipeline *p = &conf->pipelines[i];

		if (strcmp(name, p->queue) == 0)
			return (struct place){ PLACE_WORK, p };
		if (strcmp(name, p->dead_letter.queue) == 0)
			return (struct place){ PLACE_DEAD, p };
		if (strcmp(name, p->dead_letter.parked) == 0)
			return (struct place){ PLACE_PARKED, p };
		if (strcmp(name, p->dead_letter.archive) == 0)
			return (struct place){ PLACE_ARCHIVE, p };
	}
	if (own == NULL)
		return place;
	if (strcmp(own, "jobs") == 0)
		place.kind = PLACE_JOBS;
	else if (strcmp(own, "verdicts") == 0 || strcmp(own, "audit") == 0)
		place.kind = PLACE_OTHER;
	else
		place = ladder_place(conf, own);
	return place;
}

struct place
places_exchange(const struct conf *conf, const char *name)
{
	const char *own = own_part(conf, name);

	if (own == NULL)
		return (struct place){ PLACE_NONE, NULL };
	if (strcmp(own, "dead") == 0)
		return (struct place){ PLACE_DEAD, NULL };
	if (strcmp(own, "redrive") == 0)
		return (struct place){ PLACE_REDRIVE, NULL };
	if (strcmp(own, "events") == 0 || strcmp(own, "control") == 0)
		return (struct place){ PLACE_OTHER, NULL };
	return ladder_place(conf, own);
}

const struct conf_pipeline *
places_key(const struct conf *conf, const char *key)
{
	const char *dot = strchrnul(key, '.');

	if (*dot != '\0' && strcmp(dot, ".parked") != 0 &&
	    strcmp(dot, ".archive") != 0)
		return NULL;
	return pipeline_of(conf, key, (size_t)(dot - key));
}
