/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
/*
 * A libFuzzer target: any bytes as a configuration. Start it with
 * tests/config/samples/good and broken as seeds.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct conf_errors errors = { 0 };
	struct conf *conf =
	    conf_parse("dlo.yaml", bytes, len, false, 0, &errors);

	assert((conf == NULL) == (errors.count > 0));
	conf_errors_clear(&errors);
	conf_free(conf);
	return 0;
}
