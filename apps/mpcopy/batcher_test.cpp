#include "batcher.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace mpcopy {
namespace {

std::vector<Batch> all_of(Batcher& batcher) {
  std::vector<Batch> batches;
  while (auto batch = batcher.next_large()) batches.push_back(std::move(*batch));
  while (auto batch = batcher.next_small()) batches.push_back(std::move(*batch));
  return batches;
}

TEST(Batcher, CollectsSmallFilesOfSeveralFoldersUpToItsCount) {
  Batcher batcher;
  for (std::size_t i = 0; i < 2 * kBatchItems + 1; ++i) {
    batcher.enter({std::to_string(i), "t", {}});
    batcher.add(Kind::file, "f", 1);
  }
  batcher.flush();
  const auto batches = all_of(batcher);
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[0].items.size(), kBatchItems);
  EXPECT_EQ(batches[2].items.size(), 1U);
}

TEST(Batcher, DividesAFolderOnlyWhenItHasMany) {
  Batcher batcher;
  for (const std::size_t files : {2 * kBatchItems, kMostBatchItems + 1}) {
    batcher.enter({"s", "t", {}});
    for (std::size_t i = 0; i < files; ++i) batcher.add(Kind::file, std::to_string(i), 1);
  }
  batcher.flush();
  const auto batches = all_of(batcher);
  ASSERT_EQ(batches.size(), 3U);
  EXPECT_EQ(batches[0].items.size(), 2 * kBatchItems);
  EXPECT_EQ(batches[1].items.size(), kMostBatchItems);
  EXPECT_EQ(batches[2].items.size(), 1U);
}

TEST(Batcher, CollectsNoMoreThanItsBytes) {
  Batcher batcher;
  batcher.enter({"s", "t", {}});
  for (int i = 0; i < 4; ++i) batcher.add(Kind::file, std::to_string(i), kBatchBytes / 2);
  EXPECT_EQ(all_of(batcher).size(), 2U);
}

TEST(Batcher, HandsOutALargeFileAlone) {
  Batcher batcher;
  batcher.enter({"s", "t", {}});
  for (std::size_t i = 0; i < kBatchItems; ++i) batcher.add(Kind::file, "small", 1);
  batcher.add(Kind::file, "large", kBatchBytes);
  batcher.flush();
  const auto batches = all_of(batcher);
  ASSERT_EQ(batches.size(), 2U);
  ASSERT_EQ(batches[0].items.size(), 1U);
  EXPECT_EQ(batches[0].items[0].name, "large");
}

TEST(Batcher, KeepsEachItemWithItsFolder) {
  Batcher batcher;
  for (const std::string folder : {"a", "b", "c"}) {
    batcher.enter({folder, "to/" + folder, {}});
    batcher.add(Kind::file, folder + "1", 1);
    batcher.add(Kind::file, folder + "-large", kBatchBytes);
    batcher.add(Kind::link, folder + "2", 0);
  }
  batcher.flush();
  std::set<std::uint64_t> serials;
  for (const Batch& batch : all_of(batcher)) {
    for (const Item& item : batch.items) {
      EXPECT_EQ(batch.folders.at(item.folder).source, item.name.substr(0, 1));
      serials.insert(item.serial);
    }
  }
  EXPECT_EQ(serials.size(), 9U);
}

TEST(Batcher, DoesNotRepeatAFolderWithinABatch) {
  Batcher batcher;
  batcher.enter({"s", "t", {}});
  for (int i = 0; i < 10; ++i) batcher.add(Kind::file, "f", 1);
  batcher.flush();
  EXPECT_EQ(batcher.next_small()->folders.size(), 1U);
}

TEST(Batcher, IsEmptyAgainAfterAFlushOfNothing) {
  Batcher batcher;
  batcher.flush();
  EXPECT_TRUE(batcher.empty());
  EXPECT_FALSE(batcher.next_small().has_value());
}

TEST(Batcher, KeepsHardLinksApartWithTheirFolders) {
  Batcher batcher;
  batcher.enter({"a", "ta", {}});
  batcher.add(Kind::hard_link, "one", 0, "ta/first");
  batcher.enter({"b", "tb", {}});
  batcher.add(Kind::file, "file", 1);
  batcher.add(Kind::hard_link, "two", 0, "ta/first");
  batcher.flush();
  EXPECT_EQ(batcher.next_small()->items.size(), 1U);
  const auto links = batcher.next_links();
  ASSERT_EQ(links->items.size(), 2U);
  EXPECT_EQ(links->folders.at(links->items[0].folder).source, "a");
  EXPECT_EQ(links->folders.at(links->items[1].folder).source, "b");
  EXPECT_EQ(links->items[1].other, "ta/first");
  EXPECT_TRUE(batcher.empty());
}

}  // namespace
}  // namespace mpcopy
