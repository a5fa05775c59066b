# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
check_SCRIPTS += \
	scripts/check-layers \
	tests/scripts/check-layers-red
EXTRA_DIST += $(check_SCRIPTS) \
	scripts/bench \
	scripts/broker \
	scripts/build \
	scripts/coffee_shop.py \
	scripts/demo \
	scripts/deps \
	scripts/lint \
	scripts/lint-house \
	scripts/soak \
	scripts/test
