# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# A folder of unit tests for each layer; each test is a program of its own.
if HAVE_CMOCKA
include tests/lib/local.mk
include tests/amqp/local.mk
include tests/config/local.mk
include tests/dlx/local.mk
include tests/downstream/local.mk
include tests/consumer/local.mk
include tests/redrive/local.mk
include tests/ctl/local.mk
include tests/sim/local.mk
endif
include tests/integration/local.mk
