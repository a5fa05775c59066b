/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config/conf_errors.h"
#include "config/conf_parse.h"
#include "lib/file.h"
#include "lib/xalloc.h"

/* More than a thousand pipelines written out; a bomb stays small. */
#define FILE_BYTES_MAX (1 << 20)

const char *
conf_default_path(void)
{
	const char *path = getenv("DLO_CONFIG");

	return path != NULL && path[0] != '\0' ? path : SYSCONFDIR "/dlo.yaml";
}

struct conf *
conf_load(const char *path, unsigned roles, struct conf_errors *errors)
{
	struct conf *conf = NULL;
	struct buf buf = { 0 };
	const char *problem;
	bool public = false;

	errors->path = xstrdup(path);
	problem = file_read(path, FILE_BYTES_MAX, &buf, &public);
	if (problem != NULL)
		conf_errors_add(errors, 0, 0, "", "cannot be read: %s",
		    problem);
	else
		conf = conf_parse(path, buf_peek(&buf), buf.len, public, roles,
		    errors);
	/* It may hold passwords. */
	if (buf.mem != NULL)
		explicit_bzero(buf.mem, buf.space);
	buf_clear(&buf);
	return conf;
}

void
conf_free(struct conf *conf)
{
	if (conf != NULL)
		conf_pool_free(conf->pool);
}

const struct conf_broker *
conf_broker_for(const struct conf *conf, enum conf_role role)
{
	switch (role) {
	case CONF_ROLE_CONSUMER:
		return &conf->consumer_broker;
	case CONF_ROLE_REDRIVE:
		return &conf->redrive_broker;
	case CONF_ROLE_TOPOLOGY:
		return &conf->topology_broker;
	case CONF_ROLE_OPERATOR:
		break;
	}
	abort();
}

const struct conf_pipeline *
conf_pipeline_find(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->pipeline_count; i++)
		if (strcmp(conf->pipelines[i].name, name) == 0)
			return &conf->pipelines[i];
	return NULL;
}

int
conf_check_main(const char *path, unsigned roles)
{
	return conf_check_tell(path, roles, NULL, NULL);
}

int
conf_check_tell(const char *path, unsigned roles,
    void (*check)(const struct conf *, struct conf_errors *),
    void (*tell)(const struct conf *))
{
	struct conf_errors errors = { 0 };
	struct conf *conf = conf_load(path, roles, &errors);
	int code = EX_OK;

	if (conf != NULL && check != NULL)
		check(conf, &errors);
	if (errors.count == 0) {
		printf("%s: configuration is valid\n", path);
		if (tell != NULL)
			tell(conf);
	} else {
		conf_errors_print(&errors, stderr);
		code = EX_CONFIG;
	}
	conf_errors_clear(&errors);
	conf_free(conf);
	return code;
}
