# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
CTL_LIBS = ctl/libctl.a $(DLX_LIBS) $(CONFIG_LIBS) $(AMQP_LIBS) $(LIB_LIBS) \
	$(CURL_LIBS) $(JANSSON_LIBS)
noinst_LIBRARIES += ctl/libctl.a
ctl_libctl_a_SOURCES = \
	ctl/advice.c \
	ctl/advice.h \
	ctl/api.c \
	ctl/api.h \
	ctl/compare.c \
	ctl/compare.h \
	ctl/doctor.c \
	ctl/doctor.h \
	ctl/doctor_queue.c \
	ctl/doctor_queue.h \
	ctl/found.c \
	ctl/found.h \
	ctl/job_text.c \
	ctl/job_text.h \
	ctl/letters_path.c \
	ctl/letters_path.h \
	ctl/look.c \
	ctl/look.h \
	ctl/options.c \
	ctl/options.h \
	ctl/output.c \
	ctl/output.h \
	ctl/places.c \
	ctl/places.h \
	ctl/remote.c \
	ctl/remote.h \
	ctl/remote_show.c \
	ctl/remote_show.h \
	ctl/report.c \
	ctl/report.h \
	ctl/report_json.c \
	ctl/report_text.c \
	ctl/setting.c \
	ctl/setting.h \
	ctl/sight.h \
	ctl/stale.c \
	ctl/stale.h \
	ctl/table.c \
	ctl/table.h \
	ctl/verb_audit.c \
	ctl/verb_edit.c \
	ctl/verb_export.c \
	ctl/verb_feature.c \
	ctl/verb_groups.c \
	ctl/verb_import.c \
	ctl/verb_jobs.c \
	ctl/verb_jobs.h \
	ctl/verb_letters.h \
	ctl/verb_move.c \
	ctl/verb_peek.c \
	ctl/verb_status.c \
	ctl/verb_steer.c \
	ctl/verb_topology.c \
	ctl/verb_topology.h \
	ctl/verb_topology_apply.c \
	ctl/verb_topology_check.c \
	ctl/verb_topology_plan.c \
	ctl/verbs.c \
	ctl/verbs.h \
	ctl/visit.c \
	ctl/visit.h \
	ctl/wait.c \
	ctl/wait.h

bin_PROGRAMS += dlo
dlo_SOURCES = ctl/main.c
dlo_LDADD = $(CTL_LIBS)
