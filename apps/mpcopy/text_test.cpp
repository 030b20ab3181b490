#include "text.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <clocale>
#include <string>

namespace mpcopy {
namespace {

TEST(Shown, LeavesOrdinaryPathsReadable) {
  EXPECT_EQ(shown("a b/c.txt"), "'a b/c.txt'");
  EXPECT_EQ(shown(""), "''");
}

TEST(Shown, EscapesWhatWouldSpoilAMessage) {
  EXPECT_EQ(shown("two\nlines"), "$'two\\nlines'");
  EXPECT_EQ(shown("it's"), "$'it\\'s'");
  EXPECT_EQ(shown("\x1b[31mred"), "$'\\033[31mred'");
}

TEST(Shown, ShowsTheLettersOfTheLocaleAndEscapesOtherBytes) {
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) GTEST_SKIP() << "no C.UTF-8 locale here";
  EXPECT_EQ(shown("копия"), "'копия'");
  EXPECT_EQ(shown("\xff\xd0"), "$'\\377\\320'");
  std::setlocale(LC_CTYPE, "C");
  EXPECT_EQ(shown("é"), "$'\\303\\251'");
}

TEST(Joined, PutsOneSlashBetween) {
  EXPECT_EQ(joined("a", "b"), "a/b");
  EXPECT_EQ(joined("a/", "b"), "a/b");
  EXPECT_EQ(joined("/", "b"), "/b");
  EXPECT_EQ(joined("", "b"), "b");
  EXPECT_EQ(joined("a", ""), "a/");
}

TEST(Grouped, SeparatesThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
}

TEST(CopyError, NamesActionPathAndReason) {
  EXPECT_STREQ(CopyError("cannot open", "a/b", EACCES).what(), "cannot open 'a/b': Permission denied");
}

}  // namespace
}  // namespace mpcopy
