// The contract with the kernel, as the layers above rely on it.
#include "os/os.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/fd.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::os {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::Shared;
using testing::spin_until;
using testing::Watchdog;

using FutexWord = std::atomic<std::uint32_t>;

TEST(Futex, ReturnsAtOnceWhenTheWordHasChanged) {
  FutexWord word{1};
  EXPECT_EQ(futex_wait(word, 0, Deadline::never()), -EAGAIN);
}

TEST(Futex, KeepsItsDeadline) {
  Watchdog dog{60s};
  FutexWord word{0};
  for (const Deadline deadline : {Deadline::after(20ms), Deadline::passed()}) {
    EXPECT_EQ(futex_wait(word, 0, deadline), -ETIMEDOUT);
    EXPECT_TRUE(deadline.is_over());
  }
}

TEST(Futex, WakesAcrossProcesses) {
  Watchdog dog{60s};
  Shared<FutexWord> word;
  Child child{Child::plain, [&] {
                while (word->load() == 0) futex_wait(*word, 0, Deadline::never());
              }};
  word->store(1);
  futex_wake(*word, 1);
  EXPECT_EQ(child.wait(), 0);
}

struct Memfd {
  base::Fd fd{memfd_create("test")};
  void* where = nullptr;
  std::size_t bytes;
  explicit Memfd(std::size_t size) : bytes(size) {
    EXPECT_EQ(set_size(fd.get(), bytes), 0);
    EXPECT_EQ(map_shared(fd.get(), bytes, &where), 0);
  }
  ~Memfd() { unmap_guarded(where, bytes); }
  [[nodiscard]] char* data() const { return static_cast<char*>(where); }
};

TEST(Memory, IsSharedWithChildren) {
  Memfd memory(2 * page_bytes);
  Child child{Child::plain, [&] { std::strcpy(memory.data(), "hello"); }};
  EXPECT_EQ(child.wait(), 0);
  EXPECT_STREQ(memory.data(), "hello");
}

TEST(Memory, HasAGuardPageOnEitherSide) {
  Memfd memory(2 * page_bytes);
  for (char* outside : {memory.data() - 1, memory.data() + 2 * page_bytes}) {
    Child child{Child::plain, [&] {
                  ::signal(SIGSEGV, SIG_DFL);  // sanitizers catch it
                  *const_cast<volatile char*>(outside) = 1;
                }};
    EXPECT_EQ(child.wait(), -SIGSEGV);
  }
}

TEST(Memory, CannotBeResizedOnceSealed) {
  Memfd memory(2 * page_bytes);
  EXPECT_EQ(seal_size(memory.fd.get()), 0);
  EXPECT_EQ(set_size(memory.fd.get(), page_bytes), -EPERM);
  EXPECT_EQ(set_size(memory.fd.get(), 4 * page_bytes), -EPERM);
  EXPECT_EQ(seal_size(memory.fd.get()), -EPERM);
}

TEST(Memory, ReadsAsZeroAfterDiscard) {
  Memfd memory(4 * page_bytes);
  std::memset(memory.data(), 1, 4 * page_bytes);
  EXPECT_EQ(discard(memory.data() + page_bytes, 2 * page_bytes), 0);
  EXPECT_EQ(memory.data()[0], 1);
  EXPECT_EQ(memory.data()[page_bytes], 0);
  EXPECT_EQ(memory.data()[3 * page_bytes - 1], 0);
  EXPECT_EQ(memory.data()[3 * page_bytes], 1);
}

TEST(Memory, CanBePopulatedAhead) {
  Memfd memory(4 * page_bytes);
  EXPECT_EQ(populate(memory.data(), 4 * page_bytes), 0);
  EXPECT_EQ(memory.data()[3 * page_bytes], 0);
}

TEST(Memory, PastTheFileSizeLimitIsAnErrorAndNotADeadlySignal) {
  Child child{Child::plain, [] {
                const rlimit limit{page_bytes, page_bytes};
                MP_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
                const base::Fd fd(memfd_create("test"));
                MP_REQUIRE(set_size(fd.get(), 1 << 20) == -EFBIG);
                MP_REQUIRE(set_size(fd.get(), page_bytes) == 0);
                sigset_t pending;
                sigset_t blocked;
                MP_REQUIRE(::sigpending(&pending) == 0 && !sigismember(&pending, SIGXFSZ));
                MP_REQUIRE(::pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0 && !sigismember(&blocked, SIGXFSZ));
              }};
  EXPECT_EQ(child.wait(), 0);
}

TEST(Processes, AreReapedWithTheirExitCodeOrSignal) {
  Watchdog dog{60s};
  for (const int code : {0, 3, 255}) {
    Child child{Child::plain, [&] { ::_exit(code); }};
    EXPECT_EQ(child.wait(), code);
  }
  for (const int signal : {SIGKILL, SIGTERM}) {
    Child child{Child::plain, [&] {
                  ::signal(SIGTERM, SIG_DFL);
                  ::kill(::getpid(), signal);
                  for (;;) ::pause();
                }};
    EXPECT_EQ(child.wait(), -signal);
  }
}

TEST(Processes, AreNotReapedBeforeTheyEnd) {
  Watchdog dog{60s};
  Child child{Child::plain, [] {
                for (;;) ::pause();
              }};
  Ending ending;
  EXPECT_EQ(reap(child.pidfd(), ending), -EAGAIN);
  EXPECT_FALSE(wait_ended(child.pidfd(), Deadline::passed()));
  EXPECT_FALSE(wait_ended(child.pidfd(), Deadline::after(10ms)));
  child.signal(SIGKILL);
  EXPECT_EQ(child.wait(), -SIGKILL);
}

TEST(Processes, ReapedBySomeoneElseAreKnownToHaveEnded) {
  Watchdog dog{60s};
  const pid_t pid = fork();
  if (pid == 0) ::_exit(3);
  const base::Fd pidfd(pidfd_open(pid));
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_TRUE(wait_ended(pidfd.get(), Deadline::never()));
  Ending ending;
  EXPECT_EQ(reap(pidfd.get(), ending), -ECHILD);
  EXPECT_FALSE(ending.known);
}

TEST(Processes, OfThePastAreToldFromThoseOfThePresentByTheirStart) {
  Watchdog dog{60s};
  char state = 0;
  const std::uint64_t before = boot_ticks_now();
  Child child{Child::plain, [] {
                for (;;) ::pause();
              }};
  const std::uint64_t start = start_ticks(child.pid(), &state);
  EXPECT_NE(state, 'Z');
  EXPECT_GE(start + 1, before);
  EXPECT_LE(start, boot_ticks_now() + 1);
  child.signal(SIGKILL);
  wait_ended(child.pidfd(), Deadline::never());
  EXPECT_EQ(start_ticks(child.pid(), &state), start);
  EXPECT_EQ(state, 'Z');
  const pid_t pid = child.pid();
  child.wait();
  EXPECT_EQ(start_ticks(pid), 0U);
}

TEST(Processes, CountTheCpusTheyMayUse) {
  EXPECT_GE(available_cpus(), 1);
  Child child{Child::plain, [] {
                cpu_set_t set;
                MP_REQUIRE(::sched_getaffinity(0, sizeof set, &set) == 0);
                int first = 0;
                while (!CPU_ISSET(first, &set)) ++first;
                CPU_ZERO(&set);
                CPU_SET(first, &set);
                MP_REQUIRE(::sched_setaffinity(0, sizeof set, &set) == 0);
                MP_REQUIRE(available_cpus() == 1);
              }};
  EXPECT_EQ(child.wait(), 0);
}

TEST(Messages, ComeWholeOrNotAtAll) {
  int ends[2];
  ASSERT_EQ(message_socketpair(ends), 0);
  base::Fd left(ends[0]);
  const base::Fd right(ends[1]);
  char text[16] = {};
  EXPECT_EQ(receive_message(right.get(), text, sizeof text), -EAGAIN);
  EXPECT_EQ(send_message(left.get(), "one", 3), 3);
  EXPECT_EQ(send_message(left.get(), "three", 5), 5);
  EXPECT_EQ(receive_message(right.get(), text, sizeof text), 3);
  EXPECT_EQ(receive_message(right.get(), text, sizeof text), 5);
  left.reset();
  EXPECT_EQ(receive_message(right.get(), text, sizeof text), 0);
  EXPECT_EQ(send_message(right.get(), "x", 1), -EPIPE);  // and no SIGPIPE
}

TEST(Poll, SurvivesSignals) {
  Watchdog dog{60s};
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
  Child busy{Child::plain, [parent = ::getpid()] {
               for (int i = 0; i < 200; ++i) {
                 ::kill(parent, SIGUSR1);
                 ::sched_yield();
               }
             }};
  EXPECT_TRUE(wait_ended(busy.pidfd(), Deadline::never()));
  EXPECT_EQ(busy.wait(), 0);
}

}  // namespace
}  // namespace multiprocessing::os
