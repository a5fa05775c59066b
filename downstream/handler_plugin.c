/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/handler_plugin.h"

#include "config/conf.h"

struct handler *
handler_plugin_new(struct loop *loop, const char *name,
    const struct conf_plugin *conf)
{
	return conf->workers > 0 ? plugin_outside_new(loop, name, conf)
				 : plugin_inside_new(loop, name, conf);
}
