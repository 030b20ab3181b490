// Failing system calls and hostile surroundings: each gives an error that says what to do, or nothing at all; none
// leaves anything half made.
//
// A family has one arena, made on first use, so every claim here gets a process of its own that has not used it yet.
#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "memory/arena.hpp"
#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::os {
namespace {

using namespace std::chrono_literals;
using memory::Kind;
using memory::Ref;
using testing::arena_damage;
using testing::Child;
using testing::Shared;
using testing::Watchdog;

// In a family of its own.
void in_a_fresh_program(const std::function<void()>& body) {
  ASSERT_EQ(memory::Arena::if_made(), nullptr) << "run the tests of this program one by one";
  Watchdog dog{60s};
  Child child{Child::plain, body};
  EXPECT_EQ(child.wait(), 0);
}

int open_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  MP_REQUIRE(folder != nullptr);
  int count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// Address space in use, in pages: what was mapped in a failed attempt is unmapped again.
long mapped_pages() {
  long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  MP_REQUIRE(file != nullptr && std::fscanf(file, "%ld", &pages) == 1);
  std::fclose(file);
  return pages;
}

// Runs `body`, which must throw OsError(error) with this text in it.
void require_error(int error, std::string_view text, const std::function<void()>& body) {
  try {
    body();
  } catch (const OsError& caught) {
    MP_REQUIRE(caught.code().value() == error);
    if (std::string_view(caught.what()).find(text) == std::string_view::npos) {
      std::fprintf(stderr, "'%s' is not in '%s'\n", std::string(text).c_str(), caught.what());
      ::_exit(testing::failed);
    }
    return;
  }
  std::fprintf(stderr, "no error\n");
  ::_exit(testing::failed);
}

void require_that_all_works() {
  const memory::Stats before = memory::stats();
  {
    const Ref small = Ref::create(Kind::block, 100);
    const Ref large = Ref::create(Kind::block, 100'000);
    std::memset(large.address(), 1, 100'000);
    Child child{Child::member, [&] { MP_REQUIRE(static_cast<char*>(Ref::adopt(large.id()).address())[9] == 1); }};
    MP_REQUIRE(child.wait() == 0);
  }
  MP_REQUIRE(arena_damage().empty());
  MP_REQUIRE(memory::stats().members == before.members && memory::stats().objects == before.objects);
}

void without_an_arena(Call call, int error, int pass, std::string_view text) {
  in_a_fresh_program([=] {
    static_cast<void>(boot_ticks_now());
    const int descriptors = open_descriptors();
    const long pages = mapped_pages();
    faults::fail(call, error, pass, 1'000);
    for (int i = 0; i < 3; ++i) {
      require_error(error, text, [] { Ref::create(Kind::block, 1); });
      MP_REQUIRE(memory::Arena::if_made() == nullptr);
      MP_REQUIRE(open_descriptors() == descriptors);
      MP_REQUIRE(mapped_pages() < pages + 10'000);  // far less than the smallest arena, three times
    }
    faults::clear();
    require_that_all_works();
  });
}

TEST(MakingTheArena, ReportsThatNoMemoryFileIsToBeHad) {
  without_an_arena(Call::memfd_create, EMFILE, 0, "memfd_create 'arena': Too many open files");
}
TEST(MakingTheArena, ReportsThatItCannotGiveItASize) { without_an_arena(Call::ftruncate, EFBIG, 0, "ulimit -f"); }
TEST(MakingTheArena, ReportsThatThereIsNoAddressSpace) { without_an_arena(Call::mmap, ENOMEM, 0, "ulimit -v"); }

TEST(MakingTheArena, ReportsThatThereIsNoRoomForTheHandleCounts) {
  in_a_fresh_program([] {
    const int descriptors = open_descriptors();
    faults::fail(Call::mmap, ENOMEM, 1, 1);
    require_error(ENOMEM, "map 'handle counts'", [] { Ref::create(Kind::block, 1); });
    MP_REQUIRE(open_descriptors() == descriptors);
    require_that_all_works();
  });
}

TEST(MakingTheArena, TakesLessWhereLessIsGiven) {
  for (const Call call : {Call::mmap, Call::ftruncate}) {
    in_a_fresh_program([=] {
      faults::fail(call, call == Call::mmap ? ENOMEM : EFBIG, 0, 5);
      require_that_all_works();
      MP_REQUIRE(memory::Arena::get().header().bytes >= 32U << 20);
    });
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // its shadow is larger than any limit
void with_address_space(rlim_t more, const std::function<void()>& body) {
  in_a_fresh_program([&] {
    const rlim_t now = static_cast<rlim_t>(mapped_pages()) * page_bytes;
    const rlimit limit{now + more, now + more};
    MP_REQUIRE(::setrlimit(RLIMIT_AS, &limit) == 0);
    body();
  });
}

TEST(MakingTheArena, WorksUnderALimitOfTheAddressSpace) {
  for (const rlim_t mib : {2'000, 500, 100, 50}) with_address_space(mib << 20, require_that_all_works);
}

TEST(MakingTheArena, NamesTheLimitWhenEvenTheSmallestDoesNotFit) {
  with_address_space(20 << 20, [] {
    for (int i = 0; i < 3; ++i) require_error(ENOMEM, "ulimit -v", [] { Ref::create(Kind::block, 1); });
  });
}
#endif

TEST(MakingTheArena, IsNotKilledByTheFileSizeLimit) {
  in_a_fresh_program([] {
    const rlimit limit{100U << 20, 100U << 20};
    MP_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    require_that_all_works();
  });
  in_a_fresh_program([] {
    const rlimit limit{1U << 20, 1U << 20};
    MP_REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    require_error(EFBIG, "ulimit -f", [] { Ref::create(Kind::block, 1); });
  });
}

TEST(MakingTheArena, WorksWithoutStandardStreams) {
  in_a_fresh_program([] {
    for (const int fd : {0, 1, 2}) ::close(fd);
    require_that_all_works();
  });
}

TEST(MakingTheArena, WorksInAProgramThatClosesAllItsDescriptorsAfterwards) {
  in_a_fresh_program([] {
    const Ref kept = Ref::create(Kind::block, 100'000);
    for (int fd = 0; fd < 1'000; ++fd) ::close(fd);
    std::memset(kept.address(), 1, 100'000);
    require_that_all_works();
  });
}

TEST(MakingTheArena, ByManyThreadsAtOnceMakesOne) {
  in_a_fresh_program([] {
    std::atomic<int> ready{0};
    std::array<memory::Arena*, 8> made{};
    std::vector<std::thread> threads;
    for (auto& arena : made) {
      threads.emplace_back([&] {
        ++ready;
        testing::spin_until([&] { return ready == 8; });
        arena = &memory::Arena::get();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (auto* arena : made) MP_REQUIRE(arena == &memory::Arena::get());
  });
}

TEST(OutOfMemory, IsAnErrorThatChangesNothing) {
  in_a_fresh_program([] {
    const Ref kept = Ref::create(Kind::queue, 64);
    const memory::Stats before = memory::stats();
    require_error(ENOMEM, "allocate", [] { Ref::create(Kind::block, std::size_t{1} << 60); });
    require_error(ENOMEM, "allocate", [] { Ref::create(Kind::block, ~std::size_t{0}); });
    require_error(ENOMEM, "allocate", [&] {
      memory::allocate_run(kept, *static_cast<memory::Word*>(kept.address()), std::size_t{1} << 60);
    });
    MP_REQUIRE(memory::stats().objects == before.objects && memory::stats().heap_bytes == before.heap_bytes);
    require_that_all_works();
  });
}

TEST(GivingBack, ReadsAsZeroEvenWhereTheKernelRefusesToTakeThePages) {
  in_a_fresh_program([] {
    Ref dirty = Ref::create(Kind::block, 50'000);
    std::memset(dirty.address(), 1, 50'000);
    faults::fail(Call::madvise, EINVAL);
    dirty = Ref();
    MP_REQUIRE(arena_damage().empty());
    require_that_all_works();
  });
}

void with_a_failing_fork(Call call, int error, std::string_view text) {
  in_a_fresh_program([=] {
    const Ref kept = Ref::create(Kind::block, 100);
    const memory::Stats before = memory::stats();
    const int descriptors = open_descriptors();
    for (int i = 0; i < 10; ++i) {
      faults::fail(call, error);
      require_error(error, text, [] {
        if (memory::fork_member().pid == 0) ::_exit(testing::failed);
      });
      const memory::Stats after = memory::stats();
      MP_REQUIRE(after.members == before.members && after.objects == before.objects);
      MP_REQUIRE(open_descriptors() == descriptors);
      MP_REQUIRE(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD);
    }
    require_that_all_works();
  });
}

TEST(ForkMember, ThatCannotForkLeavesNothing) { with_a_failing_fork(Call::fork, EAGAIN, "ulimit -u"); }
TEST(ForkMember, ThatGetsNoPidfdLeavesNoProcess) { with_a_failing_fork(Call::pidfd_open, EMFILE, "ulimit -n"); }

TEST(ForkMember, WithoutTheSystemCallNamesTheToolThatMayLackIt) {
  with_a_failing_fork(Call::pidfd_open, ENOSYS, "valgrind");
}

TEST(ForkMember, WorksWithSigchldIgnored) {
  in_a_fresh_program([] {
    ::signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 10; ++i) {
      memory::Forked child = memory::fork_member();
      if (child.pid == 0) ::_exit(0);
      MP_REQUIRE(wait_ended(child.pidfd.get(), Deadline::never()));
      memory::reap_member(child.member);
    }
    faults::fail(Call::pidfd_open, EMFILE);
    require_error(EMFILE, "pidfd_open", [] { static_cast<void>(memory::fork_member()); });
    MP_REQUIRE(memory::stats().members == 1);
  });
}

TEST(ForkMember, WorksInAProgramThatReapsEverything) {
  in_a_fresh_program([] {
    std::atomic<bool> over{false};
    std::thread reaper([&] {
      while (!over) {
        if (::waitpid(-1, nullptr, WNOHANG) <= 0) ::sched_yield();
      }
    });
    for (int i = 0; i < 200; ++i) {
      memory::Forked child = memory::fork_member();
      if (child.pid == 0) ::_exit(0);
      MP_REQUIRE(wait_ended(child.pidfd.get(), Deadline::never()));
      memory::reap_member(child.member);
    }
    over = true;
    reaper.join();
    MP_REQUIRE(memory::stats().members == 1);
  });
}

// Whoever cannot look at a process must not take it for dead.
TEST(CollectingOrphans, TakesNothingFromTheLivingWhenDescriptorsRunOut) {
  in_a_fresh_program([] {
    set_subreaper();
    const Ref kept = Ref::create(Kind::block, 100'000);
    struct Board {
      std::atomic<bool> ready{false};
      std::atomic<bool> over{false};
      std::atomic<memory::MemberId> grandchild{0};
    };
    Shared<Board> board;
    Child child{Child::member, [&] {
                  const memory::Forked grandchild = memory::fork_member();
                  if (grandchild.pid == 0) {
                    const Ref own = Ref::create(Kind::block, 100'000);
                    std::memset(own.address(), 7, 100'000);
                    board->ready = true;
                    testing::spin_until([&] { return board->over.load(); });
                    MP_REQUIRE(static_cast<char*>(own.address())[99'999] == 7);
                    ::_exit(0);
                  }
                  testing::spin_until([&] { return board->ready.load(); });
                  board->grandchild = grandchild.member;
                }};
    MP_REQUIRE(child.wait() == 0);  // the grandchild lives on, and its guardian is dead
    const memory::Stats before = memory::stats();
    rlimit limit{};
    MP_REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const rlimit none{0, limit.rlim_max};
    MP_REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    memory::collect_orphans();
    MP_REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    MP_REQUIRE(memory::stats().members == before.members && memory::stats().objects == before.objects);
    board->over = true;
    int status = 0;
    MP_REQUIRE(::waitpid(-1, &status, 0) > 0 && status == 0);
    memory::collect_orphans();
    MP_REQUIRE(memory::stats().members == 1 && memory::stats().objects == 1);
  });
}

}  // namespace
}  // namespace multiprocessing::os
