/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * ordered ACTION MAX[!] OPTION...: dlo-redrive --once with an order that its
 * command line cannot give (!: by force); for the integration tests.
 */
#include <stdlib.h>

#include "config/conf.h"
#include "lib/log.h"
#include "redrive/args.h"
#include "redrive/program.h"

#define USAGE 64

static int
run(struct args *args)
{
	const struct conf_listen nowhere = { .kind = CONF_LISTEN_NONE };
	struct conf_errors errors = { 0 };
	struct conf *conf =
	    conf_load(args->cli.config, CONF_ROLE_REDRIVE, &errors);
	int code;

	if (conf == NULL) {
		conf_errors_print(&errors, stderr);
		conf_errors_clear(&errors);
		return USAGE;
	}
	conf_errors_clear(&errors);
	log_open(conf->log.level, conf->log.format);
	/* A filter or everything: `only` is of automatic jobs. */
	args->once.filtered = true;
	code = program_run(conf, &nowhere, &args->once, false);
	conf_free(conf);
	return code;
}

int
main(int argc, char **argv)
{
	struct args args;
	enum action action;
	char *end;
	int code;

	if (argc < 3 || action_parse(argv[1], &action) == -1)
		return USAGE;
	code = args_parse(&args, argc - 2, argv + 2);
	args.once.order.action = action;
	args.once.order.max = strtoull(argv[2], &end, 10);
	args.once.order.force = *end == '!';
	if (code < 0)
		code = run(&args);
	args_clear(&args);
	return code;
}
