/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "tests/dlx/dump.h"

#include <inttypes.h>

#include "amqp/props.h"

static void
dump_value(struct buf *out, const struct rmq_header *header)
{
	int64_t number;
	size_t i;

	if (header->type == 'S') {
		buf_add(out, header->value.ptr, header->value.len);
	} else if (header->type == 't') {
		buf_add_str(out, header->value.ptr[0] != 0 ? "true" : "false");
	} else if (header->type == 'l' && rmq_header_int(header, &number)) {
		buf_printf(out, "%" PRId64, number);
	} else {
		buf_printf(out, "%c:", header->type);
		for (i = 0; i < header->value.len; i++)
			buf_printf(out, "%02x", header->value.ptr[i]);
	}
}

void
dump_table(struct buf *out, struct rmq_slice table)
{
	struct rmq_header header;
	int ret;

	while ((ret = rmq_table_next(&table, &header)) == 1) {
		buf_add_u8(out, ' ');
		buf_add(out, header.name.ptr, header.name.len);
		buf_add_u8(out, '=');
		dump_value(out, &header);
	}
	if (ret == -1)
		buf_add_str(out, " !undecodable");
}
