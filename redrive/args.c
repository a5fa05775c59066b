/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "redrive/args.h"

#include <stdlib.h>
#include <string.h>

#include "config/conf.h"
#include "config/conf_scalar.h"
#include "dlx/envelope.h"
#include "lib/text.h"
#include "lib/xalloc.h"

/* Appends to the list, and lets `out` see it. */
static void
texts_add(struct args_texts *texts, const char *text, struct conf_texts *out)
{
	texts->items =
	    xrealloc(texts->items, (texts->count + 1) * sizeof(*texts->items));
	texts->items[texts->count++] = text;
	out->items = texts->items;
	out->count = texts->count;
}

/* Any filter flag takes the place of redrive.only. */
static struct conf_filter *
filter_of(void *arg)
{
	struct args *args = arg;

	args->once.filtered = true;
	return &args->once.filter;
}

static const char *
take_once(void *arg, const char *value)
{
	(void)value;
	((struct args *)arg)->is_once = true;
	return NULL;
}

static const char *
take_pipeline(void *arg, const char *value)
{
	struct args *args = arg;

	texts_add(&args->pipelines, value, &args->once.pipelines);
	return NULL;
}

static const char *
take_when_healthy(void *arg, const char *value)
{
	(void)value;
	((struct args *)arg)->once.when_healthy = true;
	return NULL;
}

static const char *
take_dry_run(void *arg, const char *value)
{
	(void)value;
	((struct args *)arg)->once.dry_run = true;
	return NULL;
}

static const char *
take_reason(void *arg, const char *value)
{
	struct args *args = arg;

	if (envelope_reason_parse(value, strlen(value)) == ENVELOPE_REASON_NONE)
		return "no such reason: rejected, attempts_exhausted, deadline,"
		       " expired, crash,\n  malformed, too_large, "
		       "broker_expired,"
		       " broker_rejected, broker_maxlen or\n"
		       "  broker_delivery_limit";
	texts_add(&args->reasons, value, &filter_of(args)->reasons);
	return NULL;
}

static const char *
take_class(void *arg, const char *value)
{
	struct args *args = arg;

	if (*value == '\0')
		return "a class is needed, such as http.503 or http";
	texts_add(&args->classes, value, &filter_of(args)->classes);
	return NULL;
}

static const char *
take_error(void *arg, const char *value)
{
	filter_of(arg)->error = value;
	return NULL;
}

static const char *
take_id(void *arg, const char *value)
{
	struct args *args = arg;

	texts_add(&args->ids, value, &filter_of(args)->ids);
	return NULL;
}

static const char *
take_age(int64_t *age_ms, const char *value)
{
	if (conf_scalar_duration(value, age_ms) == 0 && *age_ms > 0)
		return NULL;
	return "a duration is needed, such as 90s, 10m, 24h or 7d";
}

static const char *
take_older_than(void *arg, const char *value)
{
	return take_age(&filter_of(arg)->older_than_ms, value);
}

static const char *
take_newer_than(void *arg, const char *value)
{
	return take_age(&filter_of(arg)->newer_than_ms, value);
}

static const char *
take_routing_key(void *arg, const char *value)
{
	filter_of(arg)->routing_key = value;
	return NULL;
}

static const char *
take_header(void *arg, const char *value)
{
	struct args *args = arg;
	struct conf_filter *filter = filter_of(args);
	const char *equals = strchr(value, '=');
	size_t n = args->header_count;

	if (equals == NULL || equals == value)
		return "NAME=VALUE is needed";
	args->headers =
	    xrealloc(args->headers, (n + 1) * sizeof(*args->headers));
	args->header_names =
	    xrealloc(args->header_names, (n + 1) * sizeof(char *));
	args->header_names[n] = xstrndup(value, (size_t)(equals - value));
	args->headers[n].header = args->header_names[n];
	args->headers[n].value = equals + 1;
	args->header_count++;
	filter->headers = args->headers;
	filter->header_count = args->header_count;
	return NULL;
}

static const char *
take_redrives_above(void *arg, const char *value)
{
	struct conf_filter *filter = filter_of(arg);
	int64_t n;

	if (text_parse_int(value, 0, INT32_MAX, &n) == -1)
		return "a whole number is needed";
	filter->has_redrives_above = true;
	filter->redrives_above = (uint32_t)n;
	return NULL;
}

static const struct cli_option options[] = {
	{ "once", 0, NULL, "redrive once, then exit", take_once },
	{ "pipeline", 0, "P", "only this one (repeat for more)",
	    take_pipeline },
	{ "when-healthy", 0, NULL,
	    "only if the probe says that the downstream is healthy",
	    take_when_healthy },
	{ "dry-run", 0, NULL, "say what would be done, move nothing",
	    take_dry_run },
	{ "reason", 0, "R", "why it is dead (repeat for more)", take_reason },
	{ "class", 0, "C", "what failed: http.503, or http (repeat for more)",
	    take_class },
	{ "error", 0, "TEXT", "text in the error", take_error },
	{ "id", 0, "ID", "this message (repeat for more)", take_id },
	{ "older-than", 0, "AGE", "dead for longer: 90s, 10m, 24h, 7d",
	    take_older_than },
	{ "newer-than", 0, "AGE", "dead for less", take_newer_than },
	{ "routing-key", 0, "GLOB", "first routing key; * and ?",
	    take_routing_key },
	{ "header", 0, "K=V", "carries this header (repeat for more)",
	    take_header },
	{ "redrives-above", 0, "N", "redriven more often than that",
	    take_redrives_above },
};

static const struct cli_program program = {
	.name = "dlo-redrive",
	.summary =
	    "Moves dead letters back to their work queues: when a downstream\n"
	    "is healthy again, on a timer, or once. Of the filter options, "
	    "all\n"
	    "that are given must hold; without any, redrive.only of the file\n"
	    "holds.",
	.usage = "[-tv] [-c FILE] [--listen ADDR|none]\n"
		 "[-v] [-c FILE] --once [--pipeline P]... [--when-healthy] "
		 "[--dry-run] [FILTER]...",
	.options = options,
	.option_count = array_len(options),
};

int
args_parse(struct args *args, int argc, char *const *argv)
{
	struct cli_program with_arg = program;
	const struct once_options *once = &args->once;
	int code;

	memset(args, 0, sizeof(*args));
	with_arg.arg = args;
	code = cli_parse(&with_arg, &args->cli, argc, argv);
	if (code >= 0)
		return code;
	if (!args->is_once &&
	    (once->filtered || once->when_healthy || once->dry_run ||
		once->pipelines.count > 0))
		return cli_usage_error(&program,
		    "pipelines, filters, --when-healthy and --dry-run need "
		    "--once");
	if (args->is_once && args->cli.listen != NULL)
		return cli_usage_error(&program,
		    "--once listens nowhere: leave --listen out");
	return -1;
}

int
args_apply(const struct args *args, const struct conf *conf,
    struct conf_listen *listen)
{
	const struct conf_texts *pipelines = &args->once.pipelines;
	const char *why;

	for (size_t i = 0; i < pipelines->count; i++) {
		if (conf_pipeline_find(conf, pipelines->items[i]) == NULL)
			return cli_usage_error(&program,
			    "--pipeline: there is no pipeline %s in %s",
			    pipelines->items[i], conf->path);
	}
	*listen = conf->redrive.listen;
	if (args->is_once)
		*listen = (struct conf_listen){ .kind = CONF_LISTEN_NONE };
	else if (args->cli.listen != NULL &&
	    conf_listen_parse(args->cli.listen, listen, &why) == -1)
		return cli_usage_error(&program, "--listen %s: %s",
		    args->cli.listen, why);
	return -1;
}

void
args_clear(struct args *args)
{
	for (size_t i = 0; i < args->header_count; i++)
		free(args->header_names[i]);
	free(args->header_names);
	free(args->headers);
	free(args->pipelines.items);
	free(args->reasons.items);
	free(args->classes.items);
	free(args->ids.items);
	memset(args, 0, sizeof(*args));
}
