# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
dist_man_MANS = \
	man/dlo.8 \
	man/dlo-consumer.8 \
	man/dlo-redrive.8 \
	man/dlo.yaml.5
