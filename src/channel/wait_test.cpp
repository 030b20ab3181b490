// wait() and queues as descriptors.
#include "multiprocessing/wait.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"
#include "channel/connection_test_support.hpp"
#include "channel/queue_test_support.hpp"
#include "os/os.hpp"
#include "support/crash.hpp"
#include "support/sanitizers.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Ends;
using testing::spin_until;
using testing::Watchdog;
using Positions = std::vector<std::size_t>;

bool readable(int fd) {
  pollfd look{fd, POLLIN, 0};
  return ::poll(&look, 1, 0) == 1;
}

TEST(WaitTest, NothingReadyIsAnEmptyResultAtTheDeadline) {
  Watchdog dog{60s};
  const Ends pipe;
  const Queue<int> queue;
  const auto expect_nothing = [](const std::vector<Waitable>& these) {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(wait(these, 20ms), Positions{});
    EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
    EXPECT_EQ(wait(these, 0ms), Positions{});
    EXPECT_EQ(wait(these, -1s), Positions{});
  };
  expect_nothing({pipe.left, pipe.right});
  expect_nothing({queue});
  expect_nothing({queue, pipe.left});
  EXPECT_EQ(wait(std::vector<Waitable>{}), Positions{});
}

TEST(WaitTest, AllThatIsReadyIsNamedAndNothingIsTaken) {
  Watchdog dog{60s};
  const Ends pipe;
  const Queue<int> full;
  const Queue<std::string> empty;
  full.put(1);
  pipe.left.send(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(wait({pipe.left, pipe.right, empty, full}), (Positions{1, 3}));
    EXPECT_EQ(wait({full, empty}), Positions{0});
    EXPECT_EQ(wait({pipe.right}), Positions{0});
    EXPECT_EQ(wait({full}), Positions{0});
    EXPECT_EQ(wait(std::vector<Waitable>{empty, full, pipe.right}, 1h), (Positions{1, 2}));
  }
  EXPECT_EQ(full.get(), 1);
  EXPECT_EQ(pipe.right.recv<int>(), 1);
  EXPECT_EQ(wait({pipe.right, full}, 0s), Positions{});
}

TEST(WaitTest, TheEndOfFileAndAClosedQueueAreReady) {
  Watchdog dog{60s};
  const Ends pipe;
  const Queue<int> queue;
  pipe.left.close();
  queue.close();
  EXPECT_EQ(wait({pipe.right}), Positions{0});
  EXPECT_EQ(wait({queue}), Positions{0});
  EXPECT_EQ(wait({pipe.right, queue}), (Positions{0, 1}));
}

TEST(WaitTest, QueuesOfEveryKindAreReadyWhenTheyHaveItems) {
  Watchdog dog{60s};
  const JoinableQueue<int> joinable;
  const SimpleQueue<int> simple;
  EXPECT_EQ(wait({joinable, simple}, 0s), Positions{});
  simple.put(1);
  EXPECT_EQ(wait({joinable, simple}), Positions{1});
  EXPECT_TRUE(readable(simple.fileno()));
  joinable.put(1);
  EXPECT_EQ(wait({joinable, simple}), (Positions{0, 1}));
  EXPECT_TRUE(readable(joinable.fileno()));
}

// A death of which nobody is told: it is found by looking.
TEST(WaitTest, AnItemThatADeadConsumerHadLeasedIsReadyAgain) {
  Watchdog dog{60s};
  const JoinableQueue<int> queue;
  const Ends pipe;
  queue.put(7);
  const int fd = queue.fileno();
  Child child{Child::member, [&] {
                MP_REQUIRE(queue.get() == 7);
                pipe.right.send(1);
                pipe.right.recv<int>();
              }};
  EXPECT_EQ(pipe.left.recv<int>(), 1);
  EXPECT_EQ(wait({queue}, 0s), Positions{});
  spin_until([&] { return !readable(fd); });
  child.signal(SIGKILL);
  EXPECT_EQ(wait({queue}), Positions{0});
  spin_until([&] { return readable(fd); });
  EXPECT_EQ(child.wait(), -SIGKILL);
  EXPECT_EQ(queue.get(), 7);
  queue.task_done();
}

TEST(WaitTest, SentinelsAndPlainDescriptorsAreReadyWhenTheyPollReadable) {
  Watchdog dog{60s};
  const Ends gate;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const base::Fd read_end(ends[0]);
  base::Fd write_end(ends[1]);
  Child child{Child::member, [&] { gate.right.recv<int>(); }};
  EXPECT_EQ(wait({child.pidfd(), read_end.get()}, 10ms), Positions{});
  gate.left.send(1);
  EXPECT_EQ(wait({read_end.get(), child.pidfd()}), Positions{1});
  EXPECT_EQ(child.wait(), 0);
  write_end.reset();
  EXPECT_EQ(wait({Descriptor(read_end.get())}), Positions{0});
}

TEST(WaitTest, WhatIsClosedIsAnError) {
  Watchdog dog{60s};
  const Ends pipe;
  const Queue<int> queue;
  const auto error_of = [](const std::vector<Waitable>& these) {
    try {
      static_cast<void>(wait(these, 1h));
    } catch (const OsError& error) {
      return error.code().value();
    }
    return 0;
  };
  const int fd = ::dup(0);
  ::close(fd);
  EXPECT_EQ(error_of({fd}), EBADF);
  EXPECT_EQ(error_of({-1}), EBADF);
  EXPECT_EQ(error_of({queue, fd}), EBADF);
  pipe.left.close();
  EXPECT_EQ(error_of({pipe.left}), EBADF);
}

TEST(WaitTest, AConnectionThatIsClosedMeanwhileEndsTheWait) {
  Watchdog dog{60s};
  for (const bool mixed : {false, true}) {
    const Ends pipe;
    const Queue<int> queue;
    std::atomic<bool> started{false};
    std::thread waiting([&] {
      std::vector<Waitable> these{pipe.left};
      if (mixed) these.emplace_back(queue);
      started = true;
      EXPECT_THROW(static_cast<void>(wait(these)), OsError);
    });
    spin_until([&] { return started.load(); });
    pipe.left.close();
    waiting.join();
  }
}

// Each source in turn ends a wait that has begun, as far as a test can tell.
TEST(WaitTest, WhatComesLaterEndsTheWait) {
  Watchdog dog{60s};
  const Ends pipe;
  const Queue<int> first;
  const Queue<int> second;
  const std::vector<std::vector<Waitable>> lists{
      {pipe.right}, {first}, {second, first}, {pipe.right, first}, {first, pipe.right, second}};
  for (const auto& list : lists) {
    for (std::size_t which = 0; which < list.size(); ++which) {
      std::optional<Positions> found;
      std::thread waiting([&] { found = wait(list); });
      static_cast<void>(wait(list, 5ms));
      const bool is_pipe = list[which].queue() == nullptr;
      const bool is_first = !is_pipe && list[which].queue()->ref() == testing::ref_of(first);
      if (is_pipe) {
        pipe.left.send(1);
      } else {
        (is_first ? first : second).put(1);
      }
      waiting.join();
      EXPECT_EQ(found, Positions{which});
      if (is_pipe) {
        pipe.right.recv<int>();
      } else {
        EXPECT_EQ((is_first ? first : second).get(), 1);
      }
    }
  }
}

TEST(WaitTest, ItemsOfOtherProcessesEndTheWait) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const Queue<int> other;
  const Ends pipe;
  Child child{Child::member, [&] {
                for (int i = 0; i < 200; ++i) {
                  queue.put(i);
                  MP_REQUIRE(pipe.right.recv<int>() == i);
                }
              }};
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(i % 2 == 0 ? wait({queue, other}) : wait({queue, pipe.left}), Positions{0});
    EXPECT_EQ(queue.get_nowait(), i);
    pipe.left.send(i);
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST(WaitTest, ManyQueuesAreMoreThanTheKernelWatchesAtOnce) {
  Watchdog dog{60s};
  std::list<Queue<int>> queues(os::most_futexes + 20);
  const Ends pipe;
  std::vector<Waitable> these(queues.begin(), queues.end());
  for (const bool mixed : {false, true}) {
    if (mixed) these.emplace_back(pipe.left);
    std::optional<Positions> found;
    std::thread waiting([&] { found = wait(these); });
    static_cast<void>(wait({queues.back()}, 5ms));
    queues.back().put(1);
    waiting.join();
    EXPECT_EQ(found, Positions{queues.size() - 1});
    EXPECT_EQ(queues.back().get(), 1);
  }
}

// --- Queue::fileno() ------------------------------------------------------------------------------------------------

TEST(QueueDescriptorTest, FollowsTheQueue) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const int fd = queue.fileno();
  EXPECT_EQ(queue.fileno(), fd);
  EXPECT_FALSE(readable(fd));
  for (int i = 0; i < 50; ++i) {
    queue.put(1);
    queue.put(2);
    spin_until([&] { return readable(fd); });
    EXPECT_EQ(queue.get(), 1);
    EXPECT_EQ(queue.get(), 2);
    spin_until([&] { return !readable(fd); });
  }
  queue.close();
  spin_until([&] { return readable(fd); });
}

TEST(QueueDescriptorTest, IsRightAtOnceWhenItIsMade) {
  const Queue<int> full;
  full.put(1);
  EXPECT_TRUE(readable(full.fileno()));
  const Queue<int> closed;
  closed.close();
  EXPECT_TRUE(readable(closed.fileno()));
  const Queue<int> empty;
  EXPECT_FALSE(readable(empty.fileno()));
}

TEST(QueueDescriptorTest, WorksInTheProgramsOwnEpollLoop) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const base::Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event interest{};
  interest.events = EPOLLIN;
  ASSERT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, queue.fileno(), &interest), 0);
  Child child{Child::member, [&] {
                for (int i = 0; i < 1'000; ++i) queue.put(i);
                queue.close();
              }};
  int expected = 0;
  for (bool open = true; open;) {
    epoll_event event{};
    ASSERT_EQ(::epoll_wait(epoll.get(), &event, 1, -1), 1);
    while (const auto item = queue.try_get()) EXPECT_EQ(*item, expected++);
    open = !queue.closed() || !queue.empty();
  }
  EXPECT_EQ(expected, 1'000);
  EXPECT_EQ(child.wait(), 0);
}

TEST(QueueDescriptorTest, BecomesUnreadableWhenAnotherProcessTakesTheLastItem) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const int fd = queue.fileno();
  queue.put(1);
  spin_until([&] { return readable(fd); });
  Child child{Child::member, [&] { MP_REQUIRE(queue.get() == 1); }};
  EXPECT_EQ(child.wait(), 0);
  spin_until([&] { return !readable(fd); });
}

TEST(QueueDescriptorTest, GoesWithTheLastHandleOfTheProcess) {
  Watchdog dog{60s};
  spin_until([] { return memory::stats().objects == 0; });  // what earlier tests had watched
  const std::size_t descriptors = testing::open_descriptors();
  for (int i = 0; i < 3; ++i) {
    std::vector<Queue<int>> queues(4);
    for (const Queue<int>& queue : queues) static_cast<void>(queue.fileno());
    EXPECT_EQ(testing::open_descriptors(), descriptors + queues.size());
    queues.clear();
    spin_until([] { return memory::stats().objects == 0; });
    EXPECT_EQ(testing::open_descriptors(), descriptors);
  }
}

TEST(QueueDescriptorTest, IsMadeAnewWhenTheProgramHasClosedIt) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const int first = queue.fileno();
  ::close(first);
  const base::Fd file(::dup(0));  // takes the number: nothing of ours may be written to it
  EXPECT_EQ(file.get(), first);
  queue.put(1);
  const int second = queue.fileno();
  EXPECT_NE(second, first);
  spin_until([&] { return readable(second); });
  EXPECT_EQ(queue.get(), 1);
  spin_until([&] { return !readable(second); });
}

int signal_told[2];

TEST(QueueDescriptorTest, ItsThreadTakesNoSignals) {
  Watchdog dog{60s};
  const Queue<int> queue;
  const int fd = queue.fileno();
  ASSERT_EQ(::pipe(signal_told), 0);
  const auto before = ::signal(SIGUSR1, [](int) {
    const pid_t me = ::gettid();
    static_cast<void>(!::write(signal_told[1], &me, sizeof me));
  });
  sigset_t usr1;
  sigset_t old;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, &old);
  ::kill(::getpid(), SIGUSR1);  // for any thread that does not block it: there must be none
  queue.put(1);
  spin_until([&] { return readable(fd); });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  pid_t taker = 0;
  EXPECT_EQ(::read(signal_told[0], &taker, sizeof taker), static_cast<ssize_t>(sizeof taker));
  EXPECT_EQ(taker, ::gettid());
  ::signal(SIGUSR1, before);
  for (const int end : signal_told) ::close(end);
}

TEST(QueueDescriptorTest, AForkedChildHasItsOwn) {
  if (testing::under_tsan) GTEST_SKIP() << "no threads in a child that was forked by a threaded program";
  Watchdog dog{60s};
  for (const Child::Making making : {Child::member, Child::plain}) {
    const Queue<int> queue;
    const Queue<int> answers;
    const int parents = queue.fileno();
    Child child{making, [&] {
                  MP_REQUIRE(::fcntl(parents, F_GETFD) == -1);  // closed at the fork
                  MP_REQUIRE(wait({queue, answers}, 0s).empty());
                  const int own = queue.fileno();
                  MP_REQUIRE(!readable(own));
                  answers.put(1);
                  spin_until([&] { return readable(own); });
                  MP_REQUIRE(queue.get() == 2);
                  spin_until([&] { return !readable(own); });
                  answers.put(3);
                }};
    EXPECT_EQ(answers.get(), 1);
    EXPECT_FALSE(readable(parents));
    queue.put(2);
    EXPECT_EQ(answers.get(), 3);
    EXPECT_EQ(child.wait(), 0);
    spin_until([&] { return !readable(parents); });
    queue.put(4);
    spin_until([&] { return readable(parents); });
  }
  memory::collect_orphans();
}

TEST(QueueDescriptorTest, Faults28_ForksWhileDescriptorsComeAndGoHarmNobody) {
  if (testing::under_asan || testing::under_tsan) GTEST_SKIP() << "no threads in a child that was forked by a threaded program";
  Watchdog dog{120s};
  const Queue<int> queue;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const Queue<int> own;
        static_cast<void>(own.fileno());
        own.put(1);
        EXPECT_EQ(wait({own, queue.fileno()}).front(), 0U);
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    Child child{Child::member, [&] {
                  const int fd = queue.fileno();
                  queue.put(1);
                  spin_until([&] { return readable(fd); });
                  MP_REQUIRE(queue.get() == 1);
                  spin_until([&] { return !readable(fd); });
                }};
    EXPECT_EQ(child.wait(), 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(QueueDescriptorTest, Faults26_WithoutADescriptorLeftThereIsAClearError) {
  if (testing::under_ubsan()) GTEST_SKIP() << "UBSan itself does not work without descriptors";
  const Queue<int> queue;
  {
    const testing::DescriptorLimit none(0);
    try {
      static_cast<void>(queue.fileno());
      ADD_FAILURE();
    } catch (const OsError& error) {
      EXPECT_EQ(error.code().value(), EMFILE);
      EXPECT_NE(std::string(error.what()).find("ulimit -n"), std::string::npos);
    }
  }
  EXPECT_FALSE(readable(queue.fileno()));
}

}  // namespace
}  // namespace multiprocessing
