/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "config/conf_reload.h"

#include "config/conf_change.h"
#include "lib/log.h"

static void
log_errors(const struct conf_errors *errors)
{
	struct buf line = { 0 };

	for (size_t i = 0; i < errors->count; i++) {
		buf_reset(&line);
		conf_errors_show(errors, i, &line);
		log_error("reload_error", LOG_STR("text", buf_str(&line)));
	}
	buf_clear(&line);
}

struct conf *
conf_reload(const struct conf *former, enum conf_role role,
    conf_reload_check_cb *check)
{
	struct conf_errors errors = { 0 };
	struct conf *conf = conf_load(former->path, role, &errors);
	bool valid;

	if (conf != NULL && check != NULL)
		check(conf, &errors);
	valid = errors.count == 0;
	if (valid)
		conf_change_refused(former, conf, role, &errors);
	log_errors(&errors);
	if (!valid)
		log_error("reload_failed", LOG_UINT("errors", errors.count),
		    LOG_STR("text", "nothing has changed"));
	else if (errors.count > 0)
		log_error("reload_refused", LOG_UINT("keys", errors.count),
		    LOG_STR("text",
			"nothing has changed; these keys need a restart"));
	if (errors.count > 0) {
		conf_free(conf);
		conf = NULL;
	}
	conf_errors_clear(&errors);
	return conf;
}
