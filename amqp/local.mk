# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
AMQP_LIBS = amqp/librmq.a $(RABBITMQ_LIBS)
