# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
TESTS_CTL_LIBS = $(CTL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += \
	tests/ctl/test_doctor \
	tests/ctl/test_look \
	tests/ctl/test_report \
	tests/ctl/test_table \
	tests/ctl/test_verbs
CTL_RIG_SOURCES = tests/ctl/rig.c tests/ctl/rig.h tests/unit.h
tests_ctl_test_doctor_SOURCES = tests/ctl/test_doctor.c $(CTL_RIG_SOURCES)
tests_ctl_test_doctor_LDADD = $(TESTS_CTL_LIBS)
tests_ctl_test_look_SOURCES = tests/ctl/test_look.c tests/unit.h
tests_ctl_test_look_LDADD = $(TESTS_CTL_LIBS)
tests_ctl_test_report_SOURCES = tests/ctl/test_report.c $(CTL_RIG_SOURCES)
tests_ctl_test_report_LDADD = $(TESTS_CTL_LIBS)
tests_ctl_test_verbs_SOURCES = tests/ctl/test_verbs.c tests/unit.h
tests_ctl_test_verbs_LDADD = $(TESTS_CTL_LIBS)
tests_ctl_test_table_SOURCES = tests/ctl/test_table.c tests/unit.h
tests_ctl_test_table_LDADD = $(TESTS_CTL_LIBS)
