#include "json_lines.hpp"

#include <gtest/gtest.h>

namespace mpcopy {
namespace {

TEST(JsonString, EscapesWhatJsonWants) {
  EXPECT_EQ(json_string("a b"), "\"a b\"");
  EXPECT_EQ(json_string("\"\\\n\x01"), "\"\\\"\\\\\\u000a\\u0001\"");
}

TEST(JsonString, LeavesUtf8AndReplacesOtherBytes) {
  EXPECT_EQ(json_string("копия €😀"), "\"копия €😀\"");
  EXPECT_EQ(json_string("\xff"
                        "a\xd0"),
            "\"\\ufffda\\ufffd\"");
  EXPECT_EQ(json_string("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80"),
            "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

}  // namespace
}  // namespace mpcopy
