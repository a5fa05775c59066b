# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# Commands for exec downstreams, and a plugin with its own Makefile;
# tests/integration/test_consumer_exec.py and test_consumer_plugin.py run them.
EXTRA_DIST += \
	examples/brew.py \
	examples/brew.sh \
	examples/brew_stream.py \
	examples/plugin/Makefile \
	examples/plugin/brew.c
