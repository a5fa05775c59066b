# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
# Run by scripts/test against a real broker, not by make check.
EXTRA_DIST += \
	tests/integration/api_case.py \
	tests/integration/authority.py \
	tests/integration/broker.py \
	tests/integration/downstream.py \
	tests/integration/event_ear.py \
	tests/integration/harness.py \
	tests/integration/hostile.py \
	tests/integration/nghttpd.py \
	tests/integration/program.py \
	tests/integration/redrive_case.py \
	tests/integration/run.py \
	tests/integration/test_cluster.py \
	tests/integration/test_consumer_broker.py \
	tests/integration/test_consumer_crash.py \
	tests/integration/test_consumer_events.py \
	tests/integration/test_consumer_exec.py \
	tests/integration/test_consumer_hostile.py \
	tests/integration/test_consumer_http.py \
	tests/integration/test_consumer_life.py \
	tests/integration/test_consumer_order.py \
	tests/integration/test_consumer_outcomes.py \
	tests/integration/test_consumer_plugin.py \
	tests/integration/test_consumer_reload.py \
	tests/integration/test_consumer_rules.py \
	tests/integration/test_consumer_start.py \
	tests/integration/test_engine.py \
	tests/integration/test_external.py \
	tests/integration/test_facts.py \
	tests/integration/test_guide.py \
	tests/integration/test_harness.py \
	tests/integration/test_redrive_actions.py \
	tests/integration/test_redrive_api.py \
	tests/integration/test_redrive_audit.py \
	tests/integration/test_redrive_bounds.py \
	tests/integration/test_redrive_canary.py \
	tests/integration/test_redrive_daemon.py \
	tests/integration/test_redrive_jobs.py \
	tests/integration/test_redrive_once.py \
	tests/integration/test_redrive_reload.py \
	tests/integration/test_topology.py \
	tests/integration/test_topology_verbs.py \
	tests/integration/wire.py
