# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# Commands for exec downstreams; tests/integration/test_consumer_exec.py runs
# them.
EXTRA_DIST += \
	examples/brew.py \
	examples/brew.sh \
	examples/brew_stream.py
