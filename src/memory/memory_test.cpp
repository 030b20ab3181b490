// What objects, the heap and the family promise while nobody dies in the middle (deaths: memory_crash_test.cpp).
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "memory/arena.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::memory {
namespace {

using namespace std::chrono_literals;
using testing::arena_damage;
using testing::Child;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

class ArenaTest : public ::testing::Test {
 protected:
  ~ArenaTest() override {
    collect_orphans();
    EXPECT_EQ(arena_damage(), "");
    EXPECT_EQ(stats().members, before_.members);
    EXPECT_EQ(stats().objects, before_.objects);
  }
  Watchdog dog_{100s};
  Stats before_ = stats();
};

using Objects = ArenaTest;
using Runs = ArenaTest;
using Cargo = ArenaTest;
using Family = ArenaTest;
using Guests = ArenaTest;

Word& word_of(const Ref& object, int which = 0) { return static_cast<Word*>(object.address())[which]; }

bool is_zero(const Ref& object, std::size_t bytes) {
  const auto* memory = static_cast<const char*>(object.address());
  for (std::size_t i = 0; i < bytes; ++i) {
    if (memory[i] != 0) return false;
  }
  return true;
}

TEST_F(Objects, AreZeroedAndApartFromEachOtherWhateverTheirSize) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<Ref, std::size_t>> made;
    for (const std::size_t bytes :
         {0, 1, 63, 64, 65, 128, 1'000, 2'047, 2'048, 2'049, 4'096, 4'097, 100'000, 5'000'000}) {
      made.emplace_back(Ref::create(Kind::block, bytes), bytes);
      EXPECT_TRUE(is_zero(made.back().first, bytes)) << bytes;
      std::memset(made.back().first.address(), static_cast<int>(made.size()), bytes);
    }
    for (std::size_t i = 0; i < made.size(); ++i) {
      const auto* memory = static_cast<const char*>(made[i].first.address());
      for (std::size_t at = 0; at < made[i].second; ++at) ASSERT_EQ(memory[at], static_cast<char>(i + 1));
    }
    EXPECT_EQ(arena_damage(), "");
  }
}

TEST_F(Objects, AreAlignedForAnyWord) {
  for (const std::size_t bytes : {1, 100, 3'000}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Ref::create(Kind::block, bytes).address()) % 64, 0U);
  }
}

TEST_F(Objects, LiveAsLongAsTheirLastHandle) {
  Ref first = Ref::create(Kind::block, 10);
  const std::uint64_t id = first.id();
  Ref second = first;
  first = Ref();
  EXPECT_EQ(Ref::adopt(id), second);
  second = Ref();
  EXPECT_THROW(Ref::adopt(id), Error);
}

TEST_F(Objects, AreNeverTakenForTheirSuccessors) {
  std::uint64_t old = Ref::create(Kind::block, 10).id();
  for (int i = 0; i < 1'000; ++i) {
    const Ref next = Ref::create(Kind::block, 10);
    EXPECT_NE(next.id(), old);
    EXPECT_THROW(Ref::adopt(old), Error);
    old = next.id();
  }
}

TEST_F(Objects, OfAnotherKindAreRefused) {
  const Ref object = Ref::create(Kind::queue, 10);
  EXPECT_EQ(object.kind(), Kind::queue);
  EXPECT_THROW(Ref::adopt(object.id(), Kind::event), TypeMismatch);
  EXPECT_EQ(Ref::adopt(object.id(), Kind::queue), object);
}

TEST_F(Objects, NamedByNonsenseAreRefused) {
  for (const std::uint64_t id : {~0ULL, 0xffffffffULL, 1ULL << 63, 0x123456789abcdefULL}) {
    EXPECT_THROW(Ref::adopt(id), Error);
  }
}

TEST_F(Objects, GiveTheirMemoryBackToTheKernel) {
  const std::uint64_t size = 64 << 20;
  Ref large = Ref::create(Kind::block, size);
  std::memset(large.address(), 1, size);
  auto* memory = static_cast<unsigned char*>(large.address());
  large = Ref();
  std::vector<unsigned char> resident(size / page_bytes);
  ASSERT_EQ(::mincore(memory, size, resident.data()), 0);
  EXPECT_EQ(std::ranges::count_if(resident, [](unsigned char page) { return (page & 1) != 0; }), 0);
}

TEST_F(Objects, MayBeCopiedMadeAndDroppedByManyThreads) {
  const Ref common = Ref::create(Kind::block, 64);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Ref> mine;
      for (int i = 0; i < 2'000; ++i) {
        mine.push_back(i % 3 == 0 ? Ref::create(Kind::block, static_cast<std::size_t>(i * (t + 1))) : common);
        if (i % 3 == 1) mine.push_back(Ref::adopt(common.id()));
        if (mine.size() > 20) mine.erase(mine.begin(), mine.begin() + 10);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// The same race from both sides: the last handle of a process goes while another thread takes hold again.
TEST_F(Objects, SurviveADropAndAnAdoptAtTheSameTime) {
  const Ref kept_by_child = Ref::create(Kind::block, 64);
  const std::uint64_t id = kept_by_child.id();
  Child keeper{Child::member, [] {
                 for (;;) ::pause();
               }};
  const auto flicker = [&] {
    for (int i = 0; i < 5'000; ++i) static_cast<void>(Ref::adopt(id));
  };
  std::thread other(flicker);
  flicker();
  other.join();
  EXPECT_EQ(Ref::adopt(id), kept_by_child);
  keeper.signal(SIGKILL);
  EXPECT_EQ(keeper.wait(), -SIGKILL);
}

TEST_F(Runs, GoWithTheirOwner) {
  Ref owner = Ref::create(Kind::queue, 64);
  for (int i = 0; i < 4; ++i) allocate_run(owner, word_of(owner, i), 10'000);
  EXPECT_GE(stats().heap_bytes, before_.heap_bytes + 4 * 16'384);
  EXPECT_EQ(run_bytes(word_of(owner)), 16'384U);
  free_run(word_of(owner, 2));
  EXPECT_EQ(word_of(owner, 2), 0U);
  free_run(word_of(owner, 2));  // nothing there: nothing done
  EXPECT_EQ(arena_damage(), "");
}

TEST_F(Runs, AreMadeOnceByWhoeverIsFirst) {
  const Ref owner = Ref::create(Kind::queue, 64);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { allocate_run(owner, word_of(owner), 10'000); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(arena_damage(), "");
  free_run(word_of(owner));
}

TEST_F(Cargo, KeepsWhatItNamesAlive) {
  const Ref carrier = Ref::create(Kind::queue, 64);
  Ref object = Ref::create(Kind::block, 10);
  const std::uint64_t id = object.id();
  load_cargo(carrier, std::span(&object, 1), 5);
  object = Ref();
  EXPECT_TRUE(has_cargo(carrier));
  object = Ref::adopt(id);
  object = Ref();
  drop_cargo(carrier, 5);  // not yet passed
  object = Ref::adopt(id);
  object = Ref();
  drop_cargo(carrier, 6);
  EXPECT_FALSE(has_cargo(carrier));
  EXPECT_THROW(Ref::adopt(id), Error);
}

TEST_F(Cargo, PositionsWrap) {
  const Ref carrier = Ref::create(Kind::queue, 64);
  const Ref object = Ref::create(Kind::block, 10);
  load_cargo(carrier, std::span(&object, 1), 0xffffffffU);
  load_cargo(carrier, std::span(&object, 1), 3);
  drop_cargo(carrier, 0xffffffffU);
  EXPECT_TRUE(has_cargo(carrier));
  drop_cargo(carrier, 2);
  EXPECT_TRUE(has_cargo(carrier));
  drop_cargo(carrier, 4);
  EXPECT_FALSE(has_cargo(carrier));
}

TEST_F(Cargo, GoesWithItsCarrierThroughAnyNumberOfLevels) {
  Ref outer = Ref::create(Kind::queue, 64);
  for (int i = 0; i < 1'000; ++i) {
    Ref next = Ref::create(Kind::queue, 64);
    load_cargo(next, std::span(&outer, 1), 0);
    outer = std::move(next);
  }
  EXPECT_EQ(stats().objects, before_.objects + 1'001);
}

TEST_F(Family, ChildrenHoldWhatTheirParentHolds) {
  Ref object = Ref::create(Kind::block, 100);
  const std::uint64_t id = object.id();
  Shared<std::atomic<bool>> dropped;
  Child child{Child::member, [&] {
                spin_until([&] { return dropped->load(); });
                std::strcpy(static_cast<char*>(object.address()), "still here");
                MP_REQUIRE(Ref::adopt(id) == object);
              }};
  object = Ref();
  *dropped = true;
  EXPECT_EQ(child.wait(), 0);
  EXPECT_THROW(Ref::adopt(id), Error);
}

TEST_F(Family, ObjectsPassToParentsAndSiblings) {
  const Ref board = Ref::create(Kind::block, 64);
  Child giver{Child::member, [&] {
                const Ref gift = Ref::create(Kind::block, 50'000);
                std::memset(gift.address(), 7, 50'000);
                word_of(board) = gift.id();
                spin_until([&] { return word_of(board, 1) == 1; });
              }};
  Child taker{Child::member, [&] {
                spin_until([&] { return word_of(board) != 0; });
                const Ref gift = Ref::adopt(word_of(board));
                word_of(board, 1) = 1;
                MP_REQUIRE(static_cast<const char*>(gift.address())[49'999] == 7);
              }};
  EXPECT_EQ(giver.wait(), 0);
  EXPECT_EQ(taker.wait(), 0);
}

TEST_F(Family, ADeadChildLetsGoOfAll) {
  for (int i = 0; i < 20; ++i) {
    Child child{Child::member, [] {
                  static std::vector<Ref> mine;
                  for (int n = 0; n < 50; ++n)
                    mine.push_back(Ref::create(Kind::block, static_cast<std::size_t>(n * 500)));
                  ::kill(::getpid(), SIGKILL);
                }};
    EXPECT_EQ(child.wait(), -SIGKILL);
    EXPECT_EQ(stats().objects, before_.objects);
  }
  EXPECT_EQ(stats().members, before_.members);
}

TEST_F(Family, SlotsAreUsedAgain) {
  for (int i = 0; i < 300; ++i) {
    Child child{Child::member, [] {}};
    ASSERT_LE(child.id(), 3U);
    EXPECT_EQ(child.wait(), 0);
  }
}

TEST_F(Family, IsOneMemoryOverManyGenerations) {
  const Ref depth = Ref::create(Kind::block, 64);
  const pid_t root = ::getpid();
  const std::function<void(int)> descend = [&](int left) {
    ++word_of(depth);
    MP_REQUIRE(family_root() == root);
    if (left == 0) return;
    Child child{Child::member, [&] { descend(left - 1); }};
    MP_REQUIRE(child.wait() == 0);
  };
  Child child{Child::member, [&] { descend(10); }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(word_of(depth), 11U);
}

TEST_F(Family, MembersMayForkFromSeveralThreadsWhileOthersWork) {
  std::atomic<bool> over{false};
  std::thread busy([&] {
    while (!over) Ref::create(Kind::block, 10'000);
  });
  const auto fork_often = [] {
    for (int i = 0; i < 50; ++i) {
      Child child{Child::member, [] { Ref::create(Kind::block, 100); }};
      EXPECT_EQ(child.wait(), 0);
    }
  };
  std::thread other(fork_often);
  fork_often();
  other.join();
  over = true;
  busy.join();
}

// Several members see the same orphans at the same time, and slots are taken again at once.
TEST_F(Family, OrphansAreReapedOnce) {
  os::set_subreaper();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 3; ++i) {
      Child guardian{Child::member, [] {
                       Child orphan{Child::member, [] {
                                      static const Ref left = Ref::create(Kind::block, 10'000);
                                      ::kill(::getpid(), SIGKILL);
                                    }};
                       orphan.wait_unreaped();
                       ::_exit(0);
                     }};
      EXPECT_EQ(guardian.wait(), 0);
    }
    std::vector<Child> collectors;
    for (int i = 0; i < 4; ++i) {
      collectors.emplace_back(Child::member, [] {
        const Ref mine = Ref::create(Kind::block, 10'000);
        std::memset(mine.address(), 3, 10'000);
        collect_orphans();
        Child child{Child::member, [&] { MP_REQUIRE(static_cast<const char*>(mine.address())[5'000] == 3); }};
        MP_REQUIRE(child.wait() == 0);
        MP_REQUIRE(Ref::adopt(mine.id()) == mine);
      });
    }
    for (Child& collector : collectors) EXPECT_EQ(collector.wait(), 0);
    EXPECT_EQ(stats().members, before_.members);
    EXPECT_EQ(stats().objects, before_.objects);
  }
}

TEST_F(Guests, BecomeMembersWhenTheyUseTheArena) {
  const Ref object = Ref::create(Kind::block, 100);
  Child guest{Child::plain, [&] {
                std::strcpy(static_cast<char*>(object.address()), "guest");
                const Ref own = Ref::create(Kind::block, 100);
                MP_REQUIRE(self() != 0);
                MP_REQUIRE(Ref::adopt(object.id()) == object);
                Child child{Child::member, [&] { MP_REQUIRE(Ref::adopt(own.id()) == own); }};
                MP_REQUIRE(child.wait() == 0);
              }};
  EXPECT_EQ(guest.wait(), 0);
  EXPECT_STREQ(static_cast<char*>(object.address()), "guest");
}

TEST_F(Guests, TakeNothingFromTheirParentWhenTheyEnd) {
  Ref object = Ref::create(Kind::block, 100);
  Child guest{Child::plain, [&] { object = Ref(); }};
  EXPECT_EQ(guest.wait(), 0);
  EXPECT_EQ(Ref::adopt(object.id()), object);
}

TEST_F(Guests, KeepWhatTheyHaveWhenTheParentLetsGo) {
  Ref object = Ref::create(Kind::block, 100);
  Shared<std::array<std::atomic<bool>, 2>> step;
  Child guest{Child::plain, [&] {
                static_cast<void>(self());
                (*step)[0] = true;
                spin_until([&] { return (*step)[1].load(); });
                MP_REQUIRE(Ref::adopt(object.id()) == object);
              }};
  spin_until([&] { return (*step)[0].load(); });
  object = Ref();
  (*step)[1] = true;
  EXPECT_EQ(guest.wait(), 0);
}

TEST_F(Guests, MayBeMadeWhileOtherThreadsHoldEveryLock) {
  std::atomic<bool> over{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] {
      while (!over) {
        Ref::create(Kind::block, 5'000);
        Child child{Child::member, [] {}};
        child.wait();
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    Child guest{Child::plain, [] { Ref::create(Kind::block, 100); }};
    EXPECT_EQ(guest.wait(), 0);
  }
  over = true;
  for (std::thread& thread : busy) thread.join();
}

// A heap of its own in private memory: a header, page infos, and addresses that nobody touches.
class SmallHeap {
 public:
  explicit SmallHeap(std::uint64_t pages) : memory_(std::aligned_alloc(page_bytes, size(pages))) {
    std::memset(memory_, 0, size(pages));
    auto* header = new (memory_) ArenaHeader{};
    header->pages_at = 64 * 1024;
    header->heap_pages = pages;
    header->heap_at = (header->pages_at + pages * sizeof(PageInfo) + page_bytes - 1) / page_bytes * page_bytes;
    header->bytes = header->heap_at + pages * page_bytes;
    header->max_objects = 64;
    heap().format();
  }
  ~SmallHeap() { std::free(memory_); }
  SmallHeap(const SmallHeap&) = delete;
  SmallHeap& operator=(const SmallHeap&) = delete;

  ArenaHeader& header() { return *static_cast<ArenaHeader*>(memory_); }
  Heap heap() { return Heap(header()); }

 private:
  static std::size_t size(std::uint64_t pages) {
    return (64 * 1024 + pages * sizeof(PageInfo) + 2 * page_bytes) / page_bytes * page_bytes;
  }
  void* memory_;
};

TEST(HeapTest, TheLongestTransactionFitsTheUndoLog) {
  // Splitting the largest run down to one page, and joining it again, change a few words for each order.  Measured
  // for 2^18 pages, scaled up to all the orders there are.
  constexpr int order = 18;
  SmallHeap small(std::uint64_t{1} << order);
  Heap heap = small.heap();
  std::uint64_t split = 0;
  std::uint64_t page = 0;
  {
    Transaction change(small.header());
    page = heap.allocate_run(change, 1);
    split = small.header().log.count;
    change.commit();
  }
  Transaction change(small.header());
  heap.free_run(change, page);
  const std::uint64_t join = small.header().log.count;
  change.commit();
  EXPECT_GT(split, order);
  constexpr std::uint64_t around = 32;  // what objects.cpp adds to it
  EXPECT_LT(std::max(split, join) * orders / order + around, UndoLog::capacity);
}

TEST(HeapTest, EveryPageCanBeTakenAndComesBack) {
  for (const std::uint64_t pages : {1, 2, 3, 7, 64, 100, 1'023}) {
    SmallHeap small(pages);
    Heap heap = small.heap();
    const auto format = small.header().free_runs[0].load();
    std::vector<std::uint64_t> taken;
    for (std::uint64_t i = 0; i < pages; ++i) {
      Transaction change(small.header());
      taken.push_back(heap.allocate_run(change, page_bytes));
      change.commit();
    }
    {
      Transaction change(small.header());
      EXPECT_THROW(heap.allocate_run(change, 1), OsError);
    }
    EXPECT_EQ(std::set(taken.begin(), taken.end()).size(), pages);
    for (const std::uint64_t run : taken) {
      Transaction change(small.header());
      heap.free_run(change, run);
      change.commit();
    }
    EXPECT_EQ(small.header().heap_used, 0U);
    EXPECT_EQ(small.header().free_runs[0] == 0, format == 0);
  }
}

TEST(HeapTest, ScribbledOffsetsAreErrors) {
  SmallHeap small(64);
  Heap heap = small.heap();
  Transaction change(small.header());
  const std::uint64_t run = heap.allocate_run(change, 2 * page_bytes);
  const std::uint64_t block = heap.allocate_block(change, 100);
  const std::array<std::uint64_t, 8> bad_runs{0,     1,          run + 1,           run + page_bytes,
                                              block, block + 64, ~std::uint64_t{0}, small.header().bytes};
  for (const std::uint64_t bad : bad_runs) {
    EXPECT_THROW(heap.free_run(change, bad), Error) << bad;
    EXPECT_THROW(static_cast<void>(heap.run_bytes(bad)), Error) << bad;
  }
  for (const std::uint64_t bad : {std::uint64_t{0}, run, ~std::uint64_t{0}, block + 128}) {  // the last: a free block
    EXPECT_THROW(heap.free_block(change, bad), Error) << bad;
  }
  heap.free_block(change, block);
  EXPECT_THROW(heap.free_block(change, block), Error);
}

TEST(TransactionTest, ThatIsNotCommittedNeverWas) {
  SmallHeap small(64);
  ArenaHeader& header = small.header();
  header.members_end = 7;
  {
    Transaction change(header);
    change.set(header.members_end, 8);
    change.set(header.members_end, 9);
    change.set(header.objects_end, 1);
  }
  EXPECT_EQ(header.members_end, 7U);
  EXPECT_EQ(header.objects_end, 0U);
  EXPECT_EQ(header.log.count, 0U);
}

}  // namespace
}  // namespace multiprocessing::memory
