# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
check_SCRIPTS += \
	scripts/check-layers \
	tests/scripts/check-layers-red
EXTRA_DIST += $(check_SCRIPTS) \
	scripts/broker \
	scripts/deps \
	scripts/lint \
	scripts/lint-house \
	scripts/test
