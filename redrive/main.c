/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <stdio.h>

#include "config/conf.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "redrive/args.h"
#include "redrive/program.h"

static int
run(const struct args *args, const struct conf *conf)
{
	const struct once_options *once = args->is_once ? &args->once : NULL;
	struct conf_listen listen;
	int code = args_apply(args, conf, &listen);

	if (code >= 0)
		return code;
	log_open(args->cli.verbose ? LOG_LEVEL_DEBUG : conf->log.level,
	    conf->log.format);
	if (once != NULL && !once->dry_run && !conf->features.redrive) {
		printf("nothing moved: features.redrive is off in %s\n",
		    conf->path);
		return CLI_DRIFT;
	}
	return program_run(conf, &listen, once, args->cli.verbose);
}

static int
load_and_run(const struct args *args)
{
	const char *path =
	    args->cli.config != NULL ? args->cli.config : conf_default_path();
	struct conf_errors errors = { 0 };
	struct conf *conf;
	int code;

	if (args->cli.check)
		return conf_check_main(path, CONF_ROLE_REDRIVE);
	conf = conf_load(path, CONF_ROLE_REDRIVE, &errors);
	if (conf == NULL) {
		conf_errors_print(&errors, stderr);
		code = CLI_CONFIG;
	} else {
		code = run(args, conf);
	}
	conf_errors_clear(&errors);
	conf_free(conf);
	return code;
}

int
main(int argc, char **argv)
{
	struct args args;
	int code = args_parse(&args, argc, argv);

	if (code < 0)
		code = load_and_run(&args);
	args_clear(&args);
	return code;
}
