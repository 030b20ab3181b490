#include "exclude.hpp"

#include <gtest/gtest.h>

namespace mpcopy {
namespace {

TEST(Exclude, MatchesANameAtAnyDepth) {
  const Exclude exclude({"*.o", "core"});
  EXPECT_TRUE(exclude.matches("a.o", false));
  EXPECT_TRUE(exclude.matches("x/y/a.o", false));
  EXPECT_TRUE(exclude.matches("x/core", true));
  EXPECT_FALSE(exclude.matches("x/score", false));
  EXPECT_FALSE(exclude.matches("core/x", false));
}

TEST(Exclude, MatchesAPathFromItsBeginning) {
  const Exclude exclude({"doc/*.html", "/top"});
  EXPECT_TRUE(exclude.matches("doc/a.html", false));
  EXPECT_FALSE(exclude.matches("doc/b/a.html", false));
  EXPECT_FALSE(exclude.matches("x/doc/a.html", false));
  EXPECT_TRUE(exclude.matches("top", false));
  EXPECT_FALSE(exclude.matches("x/top", false));
}

TEST(Exclude, TwoStarsMatchSlashes) {
  const Exclude exclude({"doc/**/*.html"});
  EXPECT_TRUE(exclude.matches("doc/a/b/c.html", false));
  EXPECT_FALSE(exclude.matches("src/a/b/c.html", false));
}

TEST(Exclude, ASlashAtTheEndMeansDirectories) {
  const Exclude exclude({"build/"});
  EXPECT_TRUE(exclude.matches("x/build", true));
  EXPECT_FALSE(exclude.matches("x/build", false));
}

TEST(Exclude, MatchesBytesThatAreNoCharacters) {
  EXPECT_TRUE(Exclude({"a*b"}).matches("a\xff\xfe\nb", false));
  EXPECT_FALSE(Exclude({""}).matches("a", false));
}

}  // namespace
}  // namespace mpcopy
