#include "multiprocessing/shareable_list.hpp"

#include <random>
#include <thread>

#include "multiprocessing/detail/archive.hpp"
#include "shared_memory/list_layout.hpp"
#include "shared_memory/test_support.hpp"
#include "support/crash.hpp"

namespace multiprocessing {
namespace {

using testing::Child;

class ShareableListTest : public testing::NamesTest {};

TEST_F(ShareableListTest, ItemsAreOfTheTypesTheyWereGiven) {
  const std::vector<std::byte> bytes{std::byte{1}, std::byte{0}};
  const ShareableList list{1, 2.5, "text", true, nullptr, std::string("s"), bytes, std::monostate{}, 'c', 7UL};
  EXPECT_EQ(list.size(), 10U);
  EXPECT_EQ(list.get<std::int64_t>(0), 1);
  EXPECT_EQ(list.get<int>(0), 1);
  EXPECT_EQ(list.get<double>(1), 2.5);
  EXPECT_EQ(list.get<std::string>(2), "text");
  EXPECT_TRUE(list.get<bool>(3));
  EXPECT_EQ(list.get<std::nullptr_t>(4), nullptr);
  EXPECT_EQ(list.get<std::string>(5), "s");
  EXPECT_EQ(list.get<std::vector<std::byte>>(6), bytes);
  static_cast<void>(list.get<std::monostate>(7));
  EXPECT_EQ(list.get<std::int64_t>(8), 'c');
  EXPECT_EQ(list.get<unsigned long>(9), 7U);
}

TEST_F(ShareableListTest, AnItemReadAsAnotherTypeIsAMismatch) {
  const ShareableList list{1, 2.5, "text", true, nullptr};
  EXPECT_THROW(static_cast<void>(list.get<double>(0)), TypeMismatch);
  EXPECT_THROW(static_cast<void>(list.get<int>(1)), TypeMismatch);
  EXPECT_THROW(static_cast<void>(list.get<bool>(2)), TypeMismatch);
  EXPECT_THROW(static_cast<void>(list.get<int>(3)), TypeMismatch);
  EXPECT_THROW(static_cast<void>(list.get<std::string>(4)), TypeMismatch);
}

TEST_F(ShareableListTest, AnIntegerThatDoesNotFitIsOutOfRange) {
  const ShareableList list{300, -1};
  EXPECT_THROW(static_cast<void>(list.get<std::uint8_t>(0)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(list.get<unsigned>(1)), std::out_of_range);
  EXPECT_THROW(list.set(0, std::numeric_limits<std::uint64_t>::max()), std::out_of_range);
}

TEST_F(ShareableListTest, AnIndexBehindTheEndIsOutOfRange) {
  const ShareableList list{1};
  EXPECT_THROW(static_cast<void>(list.get<int>(1)), std::out_of_range);
  EXPECT_THROW(list.set(1, 1), std::out_of_range);
  const ShareableList empty(std::vector<ShareableItem>{});
  EXPECT_EQ(empty.size(), 0U);
  EXPECT_THROW(static_cast<void>(empty.get<int>(0)), std::out_of_range);
}

TEST_F(ShareableListTest, ATextHasTheRoomItBeganWithAndNotMore) {
  const ShareableList list{"1234567", "12345678", ""};
  list.set(0, "12345678");
  EXPECT_THROW(list.set(0, "123456789"), std::invalid_argument);
  EXPECT_EQ(list.get<std::string>(0), "12345678");
  list.set(1, "1234567890123456");
  EXPECT_EQ(list.get<std::string>(1), "1234567890123456");
  EXPECT_THROW(list.set(1, "12345678901234567"), std::invalid_argument);
  list.set(2, std::string("\0\n\0", 3));
  EXPECT_EQ(list.get<std::string>(2), std::string("\0\n\0", 3));
}

TEST_F(ShareableListTest, ItsTypesMayChange) {
  const ShareableList list{1, "text"};
  list.set(0, 2.5);
  list.set(1, nullptr);
  EXPECT_EQ(list.get<double>(0), 2.5);
  list.set(0, "eight!!!");
  EXPECT_EQ(list.get<std::string>(0), "eight!!!");
  EXPECT_THROW(list.set(0, "nine chars"), std::invalid_argument);
}

TEST_F(ShareableListTest, CountAndIndexLookForEqualItems) {
  const ShareableList list{1, "a", 1, 1.0, true};
  EXPECT_EQ(list.count(1), 2U);
  EXPECT_EQ(list.count("a"), 1U);
  EXPECT_EQ(list.count("b"), 0U);
  EXPECT_EQ(list.index("a"), 1U);
  EXPECT_EQ(list.index(true), 4U);
  EXPECT_THROW(static_cast<void>(list.index("b")), std::invalid_argument);
}

TEST_F(ShareableListTest, OthersAttachByName) {
  const ShareableList list({1, "fast"}, {.name = "settings"});
  EXPECT_EQ(list.name(), "settings");
  Child other{Child::plain, [] {
                const ShareableList same({.name = "settings"});
                MP_REQUIRE(same.size() == 2 && same.get<std::string>(1) == "fast");
                same.set(0, 2);
              }};
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(list.get<int>(0), 2);
}

TEST_F(ShareableListTest, ACopyIsAHandleOfTheSameList) {
  ShareableList list{1};
  const ShareableList copy = list;
  copy.set(0, 2);
  EXPECT_EQ(list.get<int>(0), 2);
  const ShareableList another(list.items());
  another.set(0, 3);
  EXPECT_EQ(list.get<int>(0), 2);
}

TEST_F(ShareableListTest, ItTravelsInMessages) {
  const ShareableList list{1, "a"};
  codec::Encoder out;
  codec::encode(out, list);
  codec::Decoder in(out.bytes());
  codec::decode<ShareableList>(in).set(1, "b");
  EXPECT_EQ(list.get<std::string>(1), "b");
}

TEST_F(ShareableListTest, OtherMemoryIsNoList) {
  const SharedMemory zeros({.name = "zeros", .create = true, .size = 10'000});
  const SharedMemory tiny({.name = "tiny", .create = true, .size = 1});
  EXPECT_THROW(ShareableList({.name = "zeros"}), TypeMismatch);
  EXPECT_THROW(ShareableList({.name = "tiny"}), TypeMismatch);
}

TEST_F(ShareableListTest, NobodyReadsHalfOfAnItem) {
  const std::string as(1'000, 'a');
  const std::string bs(1'000, 'b');
  const ShareableList list({as}, {.name = "torn"});
  const auto write_for_ever = [&] {
    const ShareableList mine({.name = "torn"});
    for (int i = 0;; ++i) mine.set(0, i % 2 == 0 ? bs : as);
  };
  Child one{Child::plain, write_for_ever};
  Child two{Child::plain, write_for_ever};
  for (int seen_as = 0, seen_bs = 0; seen_as < 10'000 || seen_bs < 10'000;) {
    const auto read = list.get<std::string>(0);
    ASSERT_TRUE(read == as || read == bs);
    ++(read == as ? seen_as : seen_bs);
  }
}

// Whatever a byte of the block becomes: an error or another value, and nobody crashes, reads outside, or waits for ever.
TEST_F(ShareableListTest, AScribbledBlockIsAnErrorAndNoCrash) {
  const auto use = [](const ShareableList& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      try {
        static_cast<void>(list.get(i));
        list.set(i, "x");
      } catch (const Error&) {
      }
    }
  };
  const std::vector<ShareableItem> items{1, "text", 2.5, std::string(100, 'x'), true, nullptr};
  std::mt19937 random(20'261'122);
  int refused = 0;
  for (int round = 0; round < 3'000; ++round) {
    const ShareableList list(items);
    const std::span<std::byte> memory = list.shm().span();
    constexpr std::size_t lock_at = offsetof(shared_memory::ListHeader, lock);
    for (int i = 0; i < 3; ++i) {
      std::size_t at = random() % (sizeof(shared_memory::ListHeader) + items.size() * sizeof(shared_memory::ListSlot));
      if (at >= lock_at && at < lock_at + 4) at = 0;  // it would seem to be held: another claim
      memory[at] = static_cast<std::byte>(random());
    }
    use(list);
    try {
      use(ShareableList({.name = list.name()}));
    } catch (const Error&) {
      ++refused;
    }
    list.unlink();
  }
  EXPECT_GT(refused, 100);
  EXPECT_LT(refused, 3'000);
}

TEST_F(ShareableListTest, OffsetsThatLeadOutsideAreRefused) {
  const ShareableList list{"text", 1};
  auto* const header = reinterpret_cast<shared_memory::ListHeader*>(list.shm().span().data());
  auto* const slots = reinterpret_cast<shared_memory::ListSlot*>(header + 1);
  const auto refuses = [&](std::uint64_t& field, std::uint64_t value) {
    const std::uint64_t before = field;
    field = value;
    EXPECT_THROW(ShareableList({.name = list.name()}), Error) << value;
    field = before;
  };
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{8}, list.shm().size(), ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    refuses(slots[1].at, value);
    refuses(slots[1].room, value == 8 ? 0 : value);
    refuses(header->bytes, value + 1);
  }
  refuses(header->count, 1'000);
  refuses(header->count, ~std::uint64_t{0});
  refuses(header->lock_bytes, 8);
  refuses(header->pids_inode, 1);
  EXPECT_EQ(ShareableList({.name = list.name()}).get<std::string>(0), "text");
}

TEST_F(ShareableListTest, ALengthBeyondItsRoomIsDamage) {
  const ShareableList list{"text"};
  auto* const slot =
      reinterpret_cast<shared_memory::ListSlot*>(list.shm().span().data() + sizeof(shared_memory::ListHeader));
  slot->versions[0].length = 17;
  EXPECT_THROW(static_cast<void>(list.get(0)), Error);
  slot->versions[0] = {shared_memory::ItemType::integer, 3};
  EXPECT_THROW(static_cast<void>(list.get(0)), Error);
  slot->versions[0] = {static_cast<shared_memory::ItemType>(77), 3};
  EXPECT_THROW(static_cast<void>(list.get(0)), Error);
}

TEST_F(ShareableListTest, ALockThatCanBeNoneIsDamageAndDoesNotEndTheProcess) {
  const ShareableList list{1};
  auto* const header = reinterpret_cast<shared_memory::ListHeader*>(list.shm().span().data());
  auto* const mutex = reinterpret_cast<pthread_mutex_t*>(&header->lock);
  const pthread_mutex_t before = *mutex;
  mutex->__data.__kind = 0x7f;
  EXPECT_THROW(static_cast<void>(list.get(0)), Error);
  *mutex = before;
  mutex->__data.__owner = std::numeric_limits<int>::max() - 1;  // "not recoverable", to the C library
  EXPECT_THROW(list.set(0, 2), Error);
  *mutex = before;
  EXPECT_EQ(list.get<int>(0), 1);
}

TEST_F(ShareableListTest, AManagerUnlinksWhatItMadeWhenItGoes) {
  std::string block_name;
  std::string list_name;
  {
    const SharedMemoryManager manager;
    const SharedMemory block = manager.shared_memory(100);
    const ShareableList list = manager.shareable_list({1, 2});
    block_name = block.name();
    list_name = list.name();
    EXPECT_EQ(SharedMemory({.name = block_name}).size(), 100U);
    EXPECT_EQ(ShareableList({.name = list_name}).get<int>(1), 2);
    block.unlink();  // earlier by hand: no matter
  }
  EXPECT_EQ(error_of([&] { SharedMemory({.name = list_name}); }), ENOENT);
  EXPECT_TRUE(entries().empty());
}

TEST_F(ShareableListTest, AManagerThatWasShutDownMakesNothing) {
  const SharedMemoryManager manager;
  const ShareableList list = manager.shareable_list({"a"});
  manager.shutdown();
  EXPECT_EQ(list.get<std::string>(0), "a");  // the memory is there for those who have it
  EXPECT_THROW(static_cast<void>(manager.shared_memory(1)), std::logic_error);
  EXPECT_TRUE(entries().empty());
}

TEST_F(ShareableListTest, AForksCopyOfAManagerUnlinksNothing) {
  const SharedMemoryManager manager;
  const SharedMemory block = manager.shared_memory(1);
  Child child{Child::plain, [&] { manager.shutdown(); }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(SharedMemory({.name = block.name()}).size(), 1U);
}

}  // namespace
}  // namespace multiprocessing
