/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <stdio.h>

#include "config/conf.h"
#include "consumer/program.h"
#include "consumer/rules.h"
#include "downstream/plugin_check.h"
#include "downstream/plugin_worker.h"
#include "lib/buf.h"
#include "lib/cli.h"
#include "lib/log.h"

static const struct cli_program program = {
	.name = "dlo-consumer",
	.summary =
	    "Hands messages from RabbitMQ queues to downstreams; retries,"
	    "\ndead-letters, and stops consuming while they are down."
	    "\nWith -tv it shows what becomes of failures, rule by rule.",
	.usage = "[-tv] [-c FILE] [--listen ADDR|none]",
};

/* Takes --listen over what the file says. Returns -1 or an exit code. */
static int
choose_listen(const struct cli *cli, const struct conf *conf,
    struct conf_listen *listen)
{
	const char *why;

	*listen = conf->consumer.listen;
	if (cli->listen == NULL ||
	    conf_listen_parse(cli->listen, listen, &why) == 0)
		return -1;
	return cli_usage_error(&program, "--listen %s: %s", cli->listen, why);
}

static int
run(const struct cli *cli, const struct conf *conf)
{
	struct conf_listen listen;
	int code = choose_listen(cli, conf, &listen);

	if (code >= 0)
		return code;
	log_open(cli->verbose ? LOG_LEVEL_DEBUG : conf->log.level,
	    conf->log.format);
	return program_run(conf, &listen, cli->verbose);
}

/* -tv: what becomes of failures. */
static void
tell_rules(const struct conf *conf)
{
	struct buf out = { 0 };

	rules_show(conf, &out);
	fputs(buf_str(&out), stdout);
	buf_clear(&out);
}

int
main(int argc, char **argv)
{
	struct conf_errors errors = { 0 };
	struct conf *conf;
	struct cli cli;
	const char *path;
	int code = plugin_worker_main(argc, argv);

	if (code >= 0)
		return code;
	code = cli_parse(&program, &cli, argc, argv);
	if (code >= 0)
		return code;
	path = cli.config != NULL ? cli.config : conf_default_path();
	if (cli.check)
		return conf_check_tell(path, CONF_ROLE_CONSUMER, plugin_check,
		    cli.verbose ? tell_rules : NULL);
	conf = conf_load(path, CONF_ROLE_CONSUMER, &errors);
	if (conf != NULL)
		plugin_check(conf, &errors);
	if (conf == NULL || errors.count > 0) {
		conf_errors_print(&errors, stderr);
		code = CLI_CONFIG;
	} else {
		code = run(&cli, conf);
	}
	conf_errors_clear(&errors);
	conf_free(conf);
	return code;
}
