/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "downstream/plugin_said.h"

#include <string.h>

/* The text behind `head` bytes of a word, which is then complete. */
static int
read_text(const uint8_t *bytes, size_t len, size_t head,
    struct plugin_said *out)
{
	uint16_t text_len;

	if (len < head + sizeof(text_len))
		return 0;
	memcpy(&text_len, bytes + head, sizeof(text_len));
	if (text_len > PLUGIN_WORKER_TEXT_MAX)
		return -1;
	head += sizeof(text_len);
	if (len - head < text_len)
		return 0;
	out->text = (const char *)bytes + head;
	out->text_len = text_len;
	return (int)(head + text_len);
}

int
plugin_said_read(const uint8_t *bytes, size_t len, struct plugin_said *out)
{
	switch (bytes[0]) {
	case PLUGIN_WORKER_ANSWERED:
	case PLUGIN_WORKER_READY:
		out->word = bytes[0];
		return 1;
	case PLUGIN_WORKER_FAILED:
		out->word = PLUGIN_WORKER_FAILED;
		return read_text(bytes, len, 1, out);
	case PLUGIN_WORKER_LOG:
		out->word = PLUGIN_WORKER_LOG;
		if (len < 2)
			return 0;
		if (bytes[1] > LOG_LEVEL_DEBUG)
			return -1;
		out->level = bytes[1];
		return read_text(bytes, len, 2, out);
	default:
		return -1;
	}
}
