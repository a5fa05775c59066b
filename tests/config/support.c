/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/config/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/conf_parse.h"
#include "lib/file.h"
#include "lib/xalloc.h"

int
support_setup(void **state)
{
	(void)state;
	if (setenv("DLO_PASSWORD", "xyzzy", 1) == -1 ||
	    unsetenv("DLO_TEST_UNSET") == -1)
		return -1;
	return 0;
}

char *
support_path(const char *name)
{
	const char *top = getenv("srcdir");

	return xasprintf("%s/%s", top == NULL ? "." : top, name);
}

void
support_read(const char *name, struct buf *out)
{
	char *path = support_path(name);
	const char *problem = file_read(path, 1 << 20, out, NULL);

	if (problem != NULL)
		fail_msg("%s: %s", path, problem);
	free(path);
}

void
support_show(const struct conf_errors *errors, struct buf *out)
{
	const struct conf_error *error;
	size_t i;

	for (i = 0; i < errors->count; i++) {
		error = &errors->items[i];
		buf_printf(out, "%u:%u: %s%s%s\n", error->line, error->column,
		    error->key, error->key[0] == '\0' ? "" : ": ",
		    error->problem);
	}
}

struct conf *
support_parse(const char *text)
{
	struct conf_errors errors = { 0 };
	struct buf shown = { 0 };
	struct conf *conf = conf_parse("/etc/dlo/dlo.yaml", text, strlen(text),
	    false, SUPPORT_ROLES, &errors);

	if (conf == NULL) {
		support_show(&errors, &shown);
		fail_msg("%s", buf_str(&shown));
	}
	assert_int_equal(errors.count, 0);
	conf_errors_clear(&errors);
	return conf;
}

void
support_refuse(const char *text, struct buf *out)
{
	struct conf_errors errors = { 0 };

	assert_null(conf_parse("dlo.yaml", text, strlen(text), false,
	    SUPPORT_ROLES, &errors));
	assert_true(errors.count > 0);
	support_show(&errors, out);
	conf_errors_clear(&errors);
}
