/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include <jansson.h>
#include <stdlib.h>

#include "config/conf.h"
#include "ctl/verbs.h"
#include "lib/cli.h"
#include "lib/log.h"
#include "lib/xalloc.h"

static int
load_and_run(struct verbs_line *line)
{
	const char *path =
	    line->cli.config != NULL ? line->cli.config : conf_default_path();
	struct conf_errors errors = { 0 };
	struct conf *conf;
	int code = CLI_CONFIG;

	if (line->verb == NULL)
		return conf_check_main(path, CONF_ROLE_TOPOLOGY);
	conf = conf_load(path, line->verb->roles, &errors);
	if (conf == NULL) {
		conf_errors_print(&errors, stderr);
	} else {
		log_open(line->cli.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
		    conf->log.format);
		line->call.conf = conf;
		code = line->verb->run(&line->call);
	}
	conf_errors_clear(&errors);
	conf_free(conf);
	return code;
}

int
main(int argc, char **argv)
{
	struct verbs_line line;
	int code;

	/* JSON that runs out of memory ends the process as all else does. */
	json_set_alloc_funcs(xmalloc, free);
	code = verbs_parse(&line, argc, argv);
	if (code < 0)
		code = load_and_run(&line);
	verbs_clear(&line);
	return code;
}
