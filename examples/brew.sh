#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# exec, mode once: a process a message. The order comes on stdin, the exit
# status is the answer, the last line of stderr the error. $COUNTER is where
# finished orders go.
set -eu

order=$(cat)
case $order in
*[[:cntrl:]]*)
	echo 'an order is one line' >&2
	exit 65
	;;
'' | *decaf*)
	# Not echo: it may take a backslash in the order for its own.
	printf 'no such coffee: %s\n' "$order" >&2
	exit 65 # EX_DATAERR, reject: it will never be one
	;;
esac
if [ ! -e "$COUNTER" ]; then
	echo 'the counter is closed' >&2
	exit 75 # EX_TEMPFAIL, retry: as any other status but 0 and 65
fi
# An order may come twice: whoever minds looks for its id.
printf '%s %s %s\n' "$DLO_ID" "$DLO_ATTEMPT" "$order" >>"$COUNTER"
