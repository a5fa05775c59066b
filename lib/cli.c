/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "lib/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/build.h"
#include "lib/text.h"

/* Edits up to which a mistyped option is taken for a known one. */
#define HINT_EDITS 2

static const char *
take_config(void *arg, const char *value)
{
	if (*value == '\0')
		return "a file name is needed";
	((struct cli *)arg)->config = value;
	return NULL;
}

static const char *
take_listen(void *arg, const char *value)
{
	((struct cli *)arg)->listen = value;
	return NULL;
}

static const char *
take_check(void *arg, const char *value)
{
	(void)value;
	((struct cli *)arg)->check = true;
	return NULL;
}

static const char *
take_verbose(void *arg, const char *value)
{
	(void)value;
	((struct cli *)arg)->verbose = true;
	return NULL;
}

/* The last two have no `take`: they end the parse. */
static const struct cli_option shared[] = {
	{ "config", 'c', "FILE",
	    "the configuration (default: $DLO_CONFIG,\n"
	    "else " SYSCONFDIR "/dlo.yaml)",
	    take_config },
	{ "check", 't', NULL, "check the configuration and exit", take_check },
	{ "verbose", 'v', NULL, "log at debug level", take_verbose },
	{ "listen", 0, "ADDR|none",
	    "listen there instead: HOST:PORT or unix:PATH", take_listen },
	{ "help", 'h', NULL, "show this and exit", NULL },
	{ "version", 0, NULL, "show the version and exit", NULL },
};

struct parse {
	const struct cli_program *program;
	struct cli *out;
	char *const *argv; /* the next argument */
};

/* Whether that shared option is one of this program's. */
static bool
has_shared(const struct cli_program *program, const struct cli_option *option)
{
	if (option->take == take_listen)
		return !program->has_verbs && !program->is_verb;
	return option->take != take_check || !program->is_verb;
}

int
cli_usage_error(const struct cli_program *program, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "%s: ", program->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\nTry `%s --help`.\n", program->name);
	return CLI_USAGE;
}

static void
print_option(const struct cli_option *option)
{
	const char *line = option->help, *end;
	char left[64];

	(void)snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
	    option->letter != 0 ? '-' : ' ',
	    option->letter != 0 ? option->letter : ' ',
	    option->letter != 0 ? ", " : "  ", option->name,
	    option->value != NULL ? " " : "",
	    option->value != NULL ? option->value : "");
	printf("  %-26s", left);
	while ((end = strchr(line, '\n')) != NULL) {
		printf("  %.*s\n%28s", (int)(end - line), line, "");
		line = end + 1;
	}
	printf("  %s\n", line);
}

static void
print_help(const struct cli_program *program)
{
	const char *line = program->usage, *end;
	const char *lead = "usage:";

	for (;;) {
		end = strchrnul(line, '\n');
		printf("%-6s %s %.*s\n", lead, program->name, (int)(end - line),
		    line);
		if (*end == '\0')
			break;
		line = end + 1;
		lead = "";
	}
	printf("\n%s\n\n", program->summary);
	for (size_t i = 0; i < program->option_count; i++)
		print_option(&program->options[i]);
	for (size_t i = 0; i < array_len(shared); i++) {
		if (has_shared(program, &shared[i]))
			print_option(&shared[i]);
	}
}

/* Its own options, then the shared ones; NULL: one that it has not. */
static const struct cli_option *
option_at(const struct cli_program *program, size_t i)
{
	const struct cli_option *option;

	if (i < program->option_count)
		return &program->options[i];
	option = &shared[i - program->option_count];
	return has_shared(program, option) ? option : NULL;
}

/* The option of that name (`len` bytes) or that letter, or NULL. */
static const struct cli_option *
find(const struct cli_program *program, const char *name, size_t len,
    char letter)
{
	const size_t count = program->option_count + array_len(shared);

	for (size_t i = 0; i < count; i++) {
		const struct cli_option *option = option_at(program, i);

		if (option == NULL)
			continue;
		if (name == NULL ? option->letter == letter
				 : strlen(option->name) == len &&
			    memcmp(option->name, name, len) == 0)
			return option;
	}
	return NULL;
}

/* The known option that is most like a mistyped one, or NULL. */
static const char *
nearest(const struct cli_program *program, const char *text, size_t len)
{
	char name[64];
	const size_t count = program->option_count + array_len(shared);
	const char *best = NULL;
	unsigned best_edits = HINT_EDITS + 1;

	(void)snprintf(name, sizeof(name), "%.*s", (int)len, text);
	for (size_t i = 0; i < count; i++) {
		const struct cli_option *option = option_at(program, i);
		unsigned edits;

		if (option == NULL)
			continue;
		edits = text_distance(name, option->name);
		if (edits < best_edits) {
			best_edits = edits;
			best = option->name;
		}
	}
	return best;
}

/* Hands an option its value. Returns -1 or an exit code. */
static int
apply(struct parse *p, const struct cli_option *option, const char *value)
{
	bool common = option >= shared && option < shared + array_len(shared);
	const char *why;

	if (option->take == NULL) {
		if (strcmp(option->name, "help") == 0)
			print_help(p->program);
		else
			printf("%s %s\n", p->program->name, PACKAGE_VERSION);
		return CLI_OK;
	}
	why = option->take(common ? (void *)p->out : p->program->arg, value);
	if (why == NULL)
		return -1;
	return cli_usage_error(p->program, "--%s: %s", option->name, why);
}

static int
take_long(struct parse *p, const char *text)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] == '=' ? text + len + 1 : NULL;
	const struct cli_option *option = find(p->program, text, len, 0);

	if (option == NULL) {
		const char *known = nearest(p->program, text, len);

		if (known == NULL)
			return cli_usage_error(p->program,
			    "unknown option --%.*s", (int)len, text);
		return cli_usage_error(p->program,
		    "unknown option --%.*s: did you mean --%s?", (int)len, text,
		    known);
	}
	if (option->value == NULL && value != NULL)
		return cli_usage_error(p->program, "--%s takes no value",
		    option->name);
	if (option->value != NULL && value == NULL) {
		if (*p->argv == NULL)
			return cli_usage_error(p->program,
			    "--%s needs a value: %s", option->name,
			    option->value);
		value = *p->argv++;
	}
	return apply(p, option, value);
}

static int
take_letters(struct parse *p, const char *letters)
{
	for (const char *c = letters; *c != '\0'; c++) {
		const struct cli_option *option = find(p->program, NULL, 0, *c);
		const char *value = NULL;
		int code;

		if (option == NULL)
			return cli_usage_error(p->program, "unknown option -%c",
			    *c);
		if (option->value != NULL) {
			if (c[1] != '\0')
				value = c + 1;
			else if (*p->argv != NULL)
				value = *p->argv++;
			else
				return cli_usage_error(p->program,
				    "-%c needs a value: %s", *c, option->value);
		}
		code = apply(p, option, value);
		if (code >= 0 || value != NULL)
			return code;
	}
	return -1;
}

static int
apply_word(const struct cli_program *program, const char *word)
{
	const char *why = "unexpected argument";

	if (program->take_word != NULL)
		why = program->take_word(program->arg, word);
	if (why == NULL)
		return -1;
	return cli_usage_error(program, "%s: %s", why, word);
}

int
cli_parse_more(const struct cli_program *program, struct cli *out,
    char *const *argv)
{
	struct parse p = { program, out, argv };
	int code = -1;

	while (code < 0 && *p.argv != NULL) {
		const char *text = *p.argv++;

		if (text[0] == '-' && text[1] == '-' && text[2] != '\0')
			code = take_long(&p, text + 2);
		else if (text[0] == '-' && text[1] != '-' && text[1] != '\0')
			code = take_letters(&p, text + 1);
		else if (program->has_verbs) {
			p.argv--;
			break;
		} else {
			code = apply_word(program, text);
		}
	}
	out->rest = p.argv;
	return code;
}

int
cli_parse(const struct cli_program *program, struct cli *out, int argc,
    char *const *argv)
{
	*out = (struct cli){ 0 };
	return cli_parse_more(program, out, argv + (argc > 0));
}
