/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_secret.h"

#include <stdlib.h>
#include <string.h>

#include "lib/file.h"

/* One place for a secret. */
struct place {
	const char *path; /* its key */
	struct conf_secret *secret;
	bool needed; /* for the asked roles */
	bool amqp;   /* logs in there: a certificate does instead */
};

const char *
conf_secret_file(struct conf_parse *p, const char *path, const char **text)
{
	const char *problem;
	char *secret;

	problem = file_read_secret(path, &secret);
	*text = secret == NULL
	    ? NULL
	    : conf_pool_text(p->pool, secret, strlen(secret));
	file_free_secret(secret);
	return problem;
}

static void
read_env(struct conf_parse *p, const struct place *place)
{
	const char *name = place->secret->env, *text = getenv(name);
	struct conf_tree *given = conf_parse_at(p->root, place->path);

	if (text != NULL && text[0] != '\0') {
		place->secret->text =
		    conf_pool_text(p->pool, text, strlen(text));
		return;
	}
	conf_parse_error_at(p, p->root, place->path,
	    "environment variable %s is %s%s", name,
	    text == NULL ? "not set" : "empty",
	    given == NULL ? ", and this key is not given" : "");
}

static void
read_place(struct conf_parse *p, const struct place *place)
{
	struct conf_secret *secret = place->secret;
	const char *problem;

	if (secret->text != NULL && p->public)
		conf_parse_error_at(p, p->root, place->path,
		    "a password here needs a file that others cannot read "
		    "(chmod o-r), or {env: NAME} or {file: PATH}");
	/* Both are given: which one, that is the error. */
	if (!place->needed || (secret->env != NULL && secret->file != NULL))
		return;
	if (secret->env != NULL)
		read_env(p, place);
	if (secret->file != NULL) {
		problem = conf_secret_file(p, secret->file, &secret->text);
		if (problem != NULL)
			conf_parse_error_at(p, p->root, place->path, "%s: %s",
			    secret->file, problem);
	}
}

/* Whether that secret was given at all, in whatever way. */
static bool
is_given(const struct conf_secret *secret)
{
	return secret->text != NULL || secret->env != NULL ||
	    secret->file != NULL;
}

void
conf_secret_read(struct conf_parse *p)
{
	struct conf *conf = p->conf;
	unsigned roles = p->roles;
	struct place places[] = {
		{ "topology.broker.password", &conf->topology.broker.password,
		    (roles & CONF_ROLE_TOPOLOGY) != 0, true },
		{ "consumer.broker.password", &conf->consumer.broker.password,
		    (roles & CONF_ROLE_CONSUMER) != 0, true },
		{ "redrive.broker.password", &conf->redrive.broker.password,
		    (roles & CONF_ROLE_REDRIVE) != 0, true },
		{ "broker.password", &conf->broker.password, false, true },
		{ "broker.management.password",
		    &conf->broker.management.password,
		    (roles & CONF_ROLE_TOPOLOGY) != 0, false },
		{ "redrive.token", &conf->redrive.token,
		    (roles & (CONF_ROLE_REDRIVE | CONF_ROLE_OPERATOR)) != 0,
		    false },
	};
	bool external = conf->broker.mechanism == CONF_MECHANISM_EXTERNAL;
	size_t i;

	/* A daemon that declares does so as the topology's user. */
	if ((roles & ~(unsigned)CONF_ROLE_OPERATOR) != 0 &&
	    conf->topology.declare)
		places[0].needed = true;
	/* Who has no password of his own has the broker's. */
	for (i = 0; i < 3; i++)
		if (places[i].needed && !is_given(places[i].secret))
			places[3].needed = true;
	for (i = 0; i < array_len(places); i++) {
		if (external && places[i].amqp)
			places[i].needed = false;
		read_place(p, &places[i]);
	}
}
