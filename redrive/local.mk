# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
REDRIVE_LIBS = redrive/libredrive.a $(DOWNSTREAM_LIBS) $(DLX_LIBS) \
	$(CONFIG_LIBS) $(AMQP_LIBS) $(LIB_LIBS)
noinst_LIBRARIES += redrive/libredrive.a
redrive_libredrive_a_SOURCES = \
	redrive/action.c \
	redrive/action.h \
	redrive/api.c \
	redrive/api.h \
	redrive/api_guard.c \
	redrive/api_guard.h \
	redrive/api_letters.c \
	redrive/api_mail.c \
	redrive/api_parts.h \
	redrive/args.c \
	redrive/args.h \
	redrive/audit.c \
	redrive/audit.h \
	redrive/audit_log.c \
	redrive/audit_log.h \
	redrive/board.c \
	redrive/board.h \
	redrive/board_wire.c \
	redrive/board_wire.h \
	redrive/canary.c \
	redrive/canary.h \
	redrive/census.c \
	redrive/census.h \
	redrive/chain.c \
	redrive/chain.h \
	redrive/circuits.c \
	redrive/circuits.h \
	redrive/depth.c \
	redrive/depth.h \
	redrive/duty.c \
	redrive/duty.h \
	redrive/filter.c \
	redrive/filter.h \
	redrive/filter_json.c \
	redrive/filter_json.h \
	redrive/fingerprint.c \
	redrive/fingerprint.h \
	redrive/groups.c \
	redrive/groups.h \
	redrive/handover.c \
	redrive/handover.h \
	redrive/job.c \
	redrive/job.h \
	redrive/job_env.h \
	redrive/job_internal.h \
	redrive/job_pause.c \
	redrive/job_report.c \
	redrive/jobs_link.c \
	redrive/jobs_link.h \
	redrive/judge.c \
	redrive/judge.h \
	redrive/lane.c \
	redrive/lane.h \
	redrive/ledger.c \
	redrive/ledger.h \
	redrive/letter_json.c \
	redrive/letter_json.h \
	redrive/looks.c \
	redrive/looks.h \
	redrive/mailing.c \
	redrive/mailing.h \
	redrive/mover.c \
	redrive/mover.h \
	redrive/news.c \
	redrive/news.h \
	redrive/office.c \
	redrive/office.h \
	redrive/once.c \
	redrive/once.h \
	redrive/print.c \
	redrive/print.h \
	redrive/program.c \
	redrive/program.h \
	redrive/ramp.c \
	redrive/ramp.h \
	redrive/rate.c \
	redrive/rate.h \
	redrive/redrive.c \
	redrive/redrive.h \
	redrive/registry.c \
	redrive/registry.h \
	redrive/registry_core.h \
	redrive/registry_job.c \
	redrive/registry_job.h \
	redrive/registry_life.c \
	redrive/registry_wish.c \
	redrive/report.c \
	redrive/report.h \
	redrive/scan.c \
	redrive/scan.h \
	redrive/sift.c \
	redrive/sift.h \
	redrive/stash.c \
	redrive/stash.h \
	redrive/survey.c \
	redrive/survey.h \
	redrive/tally.c \
	redrive/tally.h \
	redrive/trigger.c \
	redrive/trigger.h \
	redrive/uplink.c \
	redrive/uplink.h \
	redrive/verdicts.c \
	redrive/verdicts.h \
	redrive/view.c \
	redrive/view.h \
	redrive/watch.c \
	redrive/watch.h

bin_PROGRAMS += dlo-redrive
dlo_redrive_SOURCES = redrive/main.c
dlo_redrive_LDADD = $(REDRIVE_LIBS)
