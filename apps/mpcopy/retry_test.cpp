#include "retry.hpp"

#include <gtest/gtest.h>

#include <string>

#include "temporary_name.hpp"

namespace mpcopy {
namespace {

Batch two_folders() {
  return {.run = 7,
          .folders = {{"a", "ta", {}}, {"b", "tb", {}}},
          .items = {{.serial = 1, .folder = 0, .name = "one"},
                    {.serial = 2, .folder = 1, .kind = Kind::link, .name = "two"}}};
}

TEST(AfterDeath, EachItemIsTriedAgainByItselfUnderTheSameTemporaryName) {
  const Retry retry = after_death(two_folders());
  ASSERT_EQ(retry.again.size(), 2U);
  EXPECT_TRUE(retry.given_up.empty());
  const Batch& second = retry.again[1];
  EXPECT_EQ(source_path(second.folders[0], second.items[0]), "b/two");
  EXPECT_EQ(target_path(second.folders[0], second.items[0]), "tb/two");
  EXPECT_EQ(second.items[0].kind, Kind::link);
  EXPECT_EQ(temporary_name(second.run, second.items[0].serial), temporary_name(7, 2));
}

TEST(AfterDeath, AFileThatKillsEveryWorkerIsGivenUpInTheEnd) {
  Retry retry = after_death(two_folders());
  std::uint32_t deaths = 1;
  while (!retry.again.empty()) {
    retry = after_death(Batch(retry.again[0]));
    ++deaths;
  }
  EXPECT_EQ(deaths, kMaxDeaths);
  ASSERT_EQ(retry.given_up.size(), 1U);
  EXPECT_EQ(retry.given_up[0].name, "one");
}

TEST(Job, AFileOfTheCommandLineMayBeRenamed) {
  const Batch batch{.folders = {{"", "to", "new"}}, .items = {{.name = "old"}}};
  EXPECT_EQ(source_path(batch.folders[0], batch.items[0]), "old");
  EXPECT_EQ(target_path(batch.folders[0], batch.items[0]), "to/new");
}

}  // namespace
}  // namespace mpcopy
