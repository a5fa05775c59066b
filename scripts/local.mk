# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
check_SCRIPTS += \
	scripts/check-docs \
	scripts/check-layers \
	tests/scripts/check-docs-red \
	tests/scripts/check-layers-red \
	tests/scripts/check-help \
	tests/scripts/check-manuals
EXTRA_DIST += $(check_SCRIPTS) \
	scripts/bench \
	scripts/bench_redrive.py \
	scripts/broker \
	scripts/build \
	scripts/coffee_shop.py \
	scripts/demo \
	scripts/deps \
	scripts/limited_shop.py \
	scripts/lint \
	scripts/lint-house \
	scripts/soak \
	scripts/soak_fuzz.py \
	scripts/soak_growth.py \
	scripts/soak_hands.py \
	scripts/soak_looks.py \
	scripts/soak_redrive.py \
	scripts/soak_shop.py \
	scripts/test
