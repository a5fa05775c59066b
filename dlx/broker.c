/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Dead Letter Office authors */
#include "dlx/broker.h"

#include <stdlib.h>

#include "lib/xalloc.h"

struct rmq_link *
broker_link_new(struct loop *loop, struct stream_net *net,
    const struct conf_broker *broker, const char *name,
    const struct rmq_link_cbs *cbs, void *arg)
{
	struct rmq_node *nodes = xcalloc(broker->node_count, sizeof(*nodes));
	struct rmq_link_options options = {
		.nodes = nodes,
		.node_count = broker->node_count,
		.tls = {
			.ca = broker->tls.ca,
			.cert = broker->tls.cert,
			.key = broker->tls.key,
			.server_name = broker->tls.server_name,
		},
		.conn = {
			.mechanism =
			    broker->mechanism == CONF_MECHANISM_EXTERNAL
			    ? RMQ_MECHANISM_EXTERNAL
			    : RMQ_MECHANISM_PLAIN,
			.vhost = broker->vhost,
			.user = broker->user,
			.password = broker->password.text,
			.name = name,
			.heartbeat_s = (uint16_t)(broker->heartbeat_ms / 1000),
		},
		.password_file = broker->password.file,
		.connect_timeout_ms = broker->connect_timeout_ms,
	};
	struct rmq_link *link;

	for (size_t i = 0; i < broker->node_count; i++)
		nodes[i] = (struct rmq_node){
			.host = broker->nodes[i].host,
			.port = broker->nodes[i].port,
			.tls = broker->nodes[i].tls,
		};
	link = rmq_link_new(loop, net, &options, cbs, arg);
	free(nodes);
	return link;
}
