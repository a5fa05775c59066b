/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/topology.h"

#include "amqp/props.h"

bool
topology_arg_next(const struct topology_item *item, size_t *at,
    struct topology_arg *arg)
{
	struct rmq_slice rest, text;
	struct rmq_header header;

	if (*at >= item->args.len)
		return false;
	rest.ptr = buf_peek(&item->args) + *at;
	rest.len = item->args.len - *at;
	if (rmq_table_next(&rest, &header) != 1)
		return false;
	*at = item->args.len - rest.len;
	*arg = (struct topology_arg){
		.name = (const char *)header.name.ptr,
		.name_len = header.name.len,
	};
	if (rmq_header_text(&header, &text)) {
		arg->text = (const char *)text.ptr;
		arg->text_len = text.len;
	} else if (header.type == 't') {
		arg->boolean = true;
		arg->number = header.value.ptr[0];
	} else if (!rmq_header_int(&header, &arg->number)) {
		return false;
	}
	return true;
}
