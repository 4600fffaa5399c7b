/* SPDX-License-Identifier: Apache-2.0 */
/* Signal names and numbers. */
// link: oci
#include "tests/unit/unit.h"

#include "oci/signals.h"

TEST(names_parse_with_and_without_sig_in_any_case)
{
	CHECK_EQ(signal_parse("SIGTERM"), 15);
	CHECK_EQ(signal_parse("TERM"), 15);
	CHECK_EQ(signal_parse("term"), 15);
	CHECK_EQ(signal_parse("sigKill"), 9);
	CHECK_EQ(signal_parse("HUP"), 1);
	CHECK_EQ(signal_parse("SYS"), 31);
	CHECK_EQ(signal_parse("IOT"), 6);
	CHECK_EQ(signal_parse("CLD"), 17);
}

TEST(numbers_from_1_to_64_parse)
{
	char text[8];

	for (int i = 1; i <= 64; i++) {
		snprintf(text, sizeof(text), "%d", i);
		CHECK_EQ(signal_parse(text), i);
	}
	CHECK_EQ(signal_parse("0"), -1);
	CHECK_EQ(signal_parse("65"), -1);
	CHECK_EQ(signal_parse("9x"), -1);
	CHECK_EQ(signal_parse("-9"), -1);
	CHECK_EQ(signal_parse("4294967305"), -1);
}

TEST(real_time_names_parse)
{
	CHECK_EQ(signal_parse("RTMIN"), 34);
	CHECK_EQ(signal_parse("SIGRTMIN+3"), 37);
	CHECK_EQ(signal_parse("RTMIN+30"), 64);
	CHECK_EQ(signal_parse("RTMIN+31"), -1);
	CHECK_EQ(signal_parse("RTMAX"), 64);
	CHECK_EQ(signal_parse("rtmax-30"), 34);
	CHECK_EQ(signal_parse("RTMAX-31"), -1);
	CHECK_EQ(signal_parse("RTMIN-1"), -1);
	CHECK_EQ(signal_parse("RTMIN+"), -1);
	CHECK_EQ(signal_parse("RTMIN+999999999999"), -1);
}

TEST(what_is_no_signal_is_refused)
{
	CHECK_EQ(signal_parse(""), -1);
	CHECK_EQ(signal_parse("SIG"), -1);
	CHECK_EQ(signal_parse("NOSUCH"), -1);
	CHECK_EQ(signal_parse("SIGSIGTERM"), -1);
}

TEST(every_number_has_a_name_that_parses_back)
{
	for (int i = 1; i <= 64; i++)
		if (i != 32 && i != 33) /* these have none */
			CHECK_EQ(signal_parse(signal_name(i)), i);
	CHECK_STR(signal_name(37), "SIGRTMIN+3");
	CHECK_STR(signal_name(0), "SIG0");
	CHECK_STR(signal_name(65), "SIG0");
}
