// FAULTS 20, 25, 26 and 28 of queues: what cannot be sent, no memory, no descriptor, forks among threads.  Each is a clear
// error that leaves the queue as it was, or nothing at all; never SIGBUS.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "channel/connection_test_support.hpp"
#include "channel/queue_test_support.hpp"
#include "multiprocessing/queue.hpp"
#include "os/faults.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using os::Call;
using testing::arena_damage;
using testing::Child;
using testing::patterned;
using testing::Watchdog;

constexpr int skipped = 77;

// `action` throws an OsError with this code; its text.
template <class Action>
std::string error_text(int code, Action action) {
  try {
    action();
  } catch (const OsError& error) {
    return error.code().value() == code ? error.what() : std::string("another error: ") + error.what();
  }
  return "no error";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class QueueFaults : public ::testing::Test {
 protected:
  ~QueueFaults() override {
    os::faults::clear();
    EXPECT_EQ(arena_damage(), "");
  }

  // In a family of its own, whose arena is not made yet; in_child() uses MP_REQUIRE.
  static int in_a_fresh_program(const std::function<void()>& body) {
    EXPECT_EQ(memory::Arena::if_made(), nullptr) << "run the tests of this program one by one";
    Child child{Child::plain, body};
    return child.wait();
  }

 private:
  Watchdog dog_{120s};
};

// --- 20: an item that cannot be serialized ---------------------------------------------------------------------------

struct ThrowsBehindAHandle {
  Queue<int> handle;
  bool throws = false;
  template <class Archive>
  void save(Archive& archive) const {
    archive(handle, throws);
    if (throws) throw std::domain_error("no");
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(handle, throws);
  }
};

TEST_F(QueueFaults, Faults20_ASerializerThatThrowsHoldsNoHandle) {
  const Queue<ThrowsBehindAHandle> queue;
  const std::uint64_t objects = memory::stats().objects;
  EXPECT_THROW(queue.put({Queue<int>(), true}), std::domain_error);
  EXPECT_THROW(queue.put_many(std::vector<ThrowsBehindAHandle>{{Queue<int>(), true}}), std::domain_error);
  EXPECT_EQ(memory::stats().objects, objects);
  EXPECT_TRUE(queue.empty());
  queue.put({Queue<int>(3), false});
  EXPECT_EQ(queue.get().handle.maxsize(), 3U);
}

// --- 25: no memory ---------------------------------------------------------------------------------------------------

constexpr std::size_t in_a_ring = std::size_t{2} << 20;    // its segment is secured before the copy
constexpr std::size_t in_a_block = std::size_t{20} << 20;  // too large for a ring

TEST_F(QueueFaults, Faults25_ALargeItemForWhichThereIsNoMemoryIsNotPutAndLeavesNothing) {
  for (const std::size_t bytes : {in_a_ring, in_a_block}) {
    const Queue<std::string> queue;
    queue.put("before");
    const std::string large = patterned(1, bytes);
    const memory::Stats before = memory::stats();
    for (int i = 0; i < 3; ++i) {
      os::faults::fail(Call::madvise, ENOMEM);
      EXPECT_TRUE(has(error_text(ENOMEM, [&] { queue.put(large); }), "secure")) << bytes;
      os::faults::fail(Call::madvise, ENOMEM);
      EXPECT_TRUE(has(error_text(ENOMEM, [&] { queue.put_many(std::vector{large}); }), "secure")) << bytes;
      EXPECT_EQ(queue.qsize(), 1U);
      EXPECT_EQ(arena_damage(), "");
    }
    EXPECT_EQ(memory::stats().objects, before.objects);
    EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
    queue.put(large);
    EXPECT_EQ(queue.get(), "before");
    EXPECT_TRUE(queue.get() == large);
  }
}

TEST_F(QueueFaults, Faults25_AnItemForWhichThereIsNoMemoryHoldsNoHandle) {
  for (const std::size_t bytes : {in_a_ring, in_a_block}) {
    const Queue<std::pair<Queue<int>, std::string>> queue;
    const std::uint64_t objects = memory::stats().objects;
    os::faults::fail(Call::madvise, ENOMEM);
    EXPECT_TRUE(has(error_text(ENOMEM, [&] { queue.put({Queue<int>(), patterned(1, bytes)}); }), "secure")) << bytes;
    EXPECT_EQ(memory::stats().objects, objects);
  }
}

TEST_F(QueueFaults, Faults25_ALoanForWhichThereIsNoMemoryIsAClearErrorAndLeavesNothing) {
  const Queue<std::vector<std::uint64_t>> queue;
  const memory::Stats before = memory::stats();
  os::faults::fail(Call::madvise, ENOMEM);
  EXPECT_TRUE(has(error_text(ENOMEM, [&] { static_cast<void>(queue.loan(1'000'000)); }), "secure"));
  for (const std::size_t count : {std::size_t{1} << 58, ~std::size_t{0} / 8, ~std::size_t{0}}) {
    EXPECT_TRUE(has(error_text(ENOMEM, [&] { static_cast<void>(queue.loan(count)); }), "allocate")) << count;
  }
  EXPECT_EQ(memory::stats().objects, before.objects);
  EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
  queue.loan(1'000'000).publish();
  EXPECT_EQ(queue.view().size(), 1'000'000U);
}

// The memory of the family is used up in earnest, by items of every way to travel; what was put is there, and once
// something was taken there is room again.
TEST_F(QueueFaults, Faults25_AQueueThatFillsAllMemoryThrowsAndLosesNothing) {
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{100'000}, in_a_ring, in_a_block}) {
    const int status = in_a_fresh_program([bytes] {
      for (int refusals = 1;; ++refusals) {  // as many as make the arena as small as it gets: 32 MiB
        os::faults::fail(Call::mmap, ENOMEM, 0, refusals);
        Child trial{Child::plain, [] { MP_REQUIRE(memory::Arena::get().header().bytes != 0); }};
        if (trial.wait() == 0) continue;
        os::faults::fail(Call::mmap, ENOMEM, 0, refusals - 1);
        break;
      }
      const Queue<std::string> queue;
      MP_REQUIRE(memory::Arena::get().header().bytes < std::size_t{128} << 20);
      const std::string item = patterned(bytes, bytes);
      std::size_t put = 0;
      const std::string text = error_text(ENOMEM, [&] {
        for (;; ++put) queue.put(item);
      });
      if (!has(text, "allocate")) std::fprintf(stderr, "%s\n", text.c_str());
      MP_REQUIRE(has(text, "allocate"));
      MP_REQUIRE(put > 0 && queue.qsize() == put);
      for (std::size_t got = 0; got < put; ++got) MP_REQUIRE(queue.get() == item);
      MP_REQUIRE(queue.empty());
      queue.put(item);
      MP_REQUIRE(queue.get() == item);
      MP_REQUIRE(arena_damage().empty());
    });
    EXPECT_EQ(status, 0) << bytes;
  }
}

// As in a container that was started without --shm-size.
TEST_F(QueueFaults, Faults25_WhereDevShmIsSmallOrReadOnlyAllSizesTravel) {
  for (const unsigned long flags : {0UL, static_cast<unsigned long>(MS_RDONLY)}) {
    const int status = in_a_fresh_program([flags] {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("none", "/dev/shm", "tmpfs", flags, "size=64k") != 0) {
        ::_exit(skipped);
      }
      const Queue<std::string> queue;
      const auto pipe = Pipe();
      Child echo{Child::member, [&] {
                   for (const std::string& item : queue) pipe.second.send(item);
                 }};
      for (const std::size_t bytes : {std::size_t{10}, std::size_t{100'000}, in_a_ring, in_a_block}) {
        queue.put(patterned(1, bytes));
        MP_REQUIRE(pipe.first.recv<std::string>() == patterned(1, bytes));
      }
      queue.close();
      MP_REQUIRE(echo.wait() == 0);
    });
    if (status == skipped) GTEST_SKIP() << "this program may not mount";
    EXPECT_EQ(status, 0);
  }
}

// --- 26: no descriptor -----------------------------------------------------------------------------------------------

TEST_F(QueueFaults, Faults26_TheFirstQueueWithoutADescriptorIsAnErrorThatNamesTheLimit) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  const int status = in_a_fresh_program([] {
    {
      const testing::DescriptorLimit none(0);
      const std::string text = error_text(EMFILE, [] { static_cast<void>(Queue<int>()); });
      MP_REQUIRE(has(text, "ulimit -n"));
    }
    const Queue<int> queue;
    queue.put(1);
    MP_REQUIRE(queue.get() == 1);
  });
  EXPECT_EQ(status, 0);
}

TEST_F(QueueFaults, Faults26_NothingThatAQueueDoesNeedsADescriptor) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  const Queue<int> first;  // of this family: it makes the memory
  const testing::DescriptorLimit none(0);
  const Queue<std::string> queue;
  for (const std::size_t bytes : {std::size_t{10}, in_a_ring, in_a_block}) {
    queue.put(patterned(1, bytes));
    EXPECT_TRUE(queue.get(60s) == patterned(1, bytes));
  }
  EXPECT_THROW((void)queue.get(1ms), Empty);
}

// --- 28: forks while threads are at work -----------------------------------------------------------------------------

TEST_F(QueueFaults, Faults28_ForksWhileThreadsPutAndGetHarmNobody) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "a child can hang in a lock of the sanitizer";
  const Queue<std::string> busy(4);
  const Queue<std::string> replies;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (const std::size_t bytes : {std::size_t{10}, std::size_t{50'000}}) {
    threads.emplace_back([&, bytes] {
      while (!stop) {
        static_cast<void>(busy.try_put(patterned(1, bytes)));
        static_cast<void>(busy.try_get());
        const Queue<int> made;  // allocates and frees
        made.put(1);
      }
    });
  }
  for (int i = 0; i < 40; ++i) {
    Child child{Child::member, [&] {
                  for (int n = 0; n < 5; ++n) {
                    busy.put(patterned(2, 1'000), 60s);
                    const std::string item = busy.get(60s);
                    MP_REQUIRE(item == patterned(2, 1'000) || item == patterned(1, item.size()));
                  }
                  const Queue<int> own;
                  own.put(1);
                  replies.put("well");
                }};
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(replies.get(), "well");
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace multiprocessing
