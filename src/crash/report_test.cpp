// What a process that crashes tells, and what is made of it: also where it tells nonsense.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "crash/elf_file.hpp"
#include "crash/handler.hpp"
#include "crash/stack.hpp"
#include "crash/symbols.hpp"
#include "crash/traced_call.hpp"
#include "support/crash.hpp"
#include "support/temporary_folder.hpp"
#include "support/watchdog.hpp"

namespace tasks {  // as a user's: what is ours is left out of a stack

[[gnu::noinline]] void throw_at(int depth) {
  if (depth == 0) throw 42;
  throw_at(depth - 1);
  asm volatile("");  // no tail call
}

}  // namespace tasks

namespace multiprocessing::crash {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::TemporaryFolder;
using testing::Watchdog;
namespace fs = std::filesystem;

class CrashReport : public ::testing::Test {
 protected:
  CrashReport() {
    void* const area = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) std::abort();
    report = new (area) Report;
  }
  ~CrashReport() override { ::munmap(report, sizeof(Report)); }

  // A process with the handler that does this; it must die of the signal.
  template <class Body>
  void crash(int signal, Body body) {
    Child child(Child::plain, [&] {
      const rlimit none{0, 0};
      ::setrlimit(RLIMIT_CORE, &none);
      for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);  // a sanitizer's: as in a worker
      install_handler(*report);
      body();
    });
    pid = child.pid();
    EXPECT_EQ(child.wait(), -signal);
  }
  StackText text(int signal) const {
    const auto crash = read_report(*report, pid, signal);
    return crash ? text_of(crash->trace) : StackText{"no report", ""};
  }

  Watchdog dog{120s};
  Report* report;
  pid_t pid = 0;
  const TemporaryFolder folder;
};

void crash_in(const char* path) {
  void* const plugin = ::dlopen(path, RTLD_NOW);
  if (plugin == nullptr) ::_exit(98);
  using Crash = int (*)(const volatile int*);
  reinterpret_cast<Crash>(::dlsym(plugin, "crash_in_plugin"))(nullptr);
}

TEST_F(CrashReport, NamesCodeThatOnlyTheCrashedProcessHadLoaded) {
  crash(SIGSEGV, [] { crash_in(MP_PLUGIN); });
  EXPECT_EQ(::dlopen(MP_PLUGIN, RTLD_NOW | RTLD_NOLOAD), nullptr) << "loaded here too: this shows nothing";
  const StackText stack = text(SIGSEGV);
  EXPECT_NE(stack.all.find("#0 crash_in_plugin at "), std::string::npos) << stack.all;
  EXPECT_NE(stack.all.find("plugin.cpp:3\n"), std::string::npos) << stack.all;
  EXPECT_NE(stack.all.find("crash_in(char const*) at "), std::string::npos) << stack.all;
}

TEST_F(CrashReport, DoesNotNameCodeFromAFileThatIsAnotherByNow) {
  const ElfFile file(MP_PLUGIN);
  std::uint64_t offset = 0;
  while (file.function_at(offset) != "crash_in_plugin") ++offset;
  Trace trace{.frames = {{0, offset}}, .modules = {{MP_PLUGIN, "another's id"}}};
  EXPECT_EQ(text_of(trace).all.substr(0, 35), "#0 ?? in libcrash_test_plugin.so+0x");
  trace.modules[0].build_id = file.build_id();
  EXPECT_EQ(trace.modules[0].build_id.size(), 20U);
  EXPECT_NE(text_of(trace).all.find("crash_in_plugin"), std::string::npos) << text_of(trace).all;
}

TEST_F(CrashReport, LeavesHandlersAloneThatWereThereBefore) {
  Child child(Child::plain, [&] {
    ::signal(SIGSEGV, [](int) { ::_exit(17); });
    install_handler(*report);
    ::raise(SIGSEGV);
  });
  EXPECT_EQ(child.wait(), 17);
  EXPECT_EQ(report->signal.load(), 0);
}

TEST_F(CrashReport, OfAnotherProcessOrSignalIsNotBelieved) {
  crash(SIGFPE, [] { ::raise(SIGFPE); });
  EXPECT_TRUE(read_report(*report, pid, SIGFPE).has_value());
  EXPECT_FALSE(read_report(*report, pid, SIGKILL).has_value());
  EXPECT_FALSE(read_report(*report, pid + 1, SIGFPE).has_value());
}

TEST_F(CrashReport, WithAnythingWrittenOverItIsReadWithoutHarm) {
  std::mt19937 engine(4711);
  const auto random = [&engine] { return static_cast<std::uint32_t>(engine()); };
  for (int round = 0; round < 300; ++round) {
    auto* const bytes = reinterpret_cast<unsigned char*>(report);
    for (std::size_t i = 0; i < sizeof(Report); ++i) bytes[i] = static_cast<unsigned char>(random());
    report->signal.store(SIGSEGV);
    report->pid = 1;
    if (round % 2 == 0) {  // plausible counts
      report->frames.store(random() % 65);
      report->modules.store(random() % 17);
      for (RawFrame& frame : report->frame) frame.module = random() % 18;
    }
    const auto crash = read_report(*report, 1, SIGSEGV);
    ASSERT_TRUE(crash.has_value());
    const Stack stack(crash->trace, "what", "heading");
    for (const char c : stack.text()) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  }
}

TEST_F(CrashReport, ThatNamesAPipeAsItsModuleDoesNotMakeTheReaderWait) {
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const Trace trace{.frames = {{0, 0x1000}, {0, 0x2000}}, .modules = {{pipe.string(), "id"}}};
  EXPECT_EQ(text_of(trace).all, "#0 ?? in pipe+0x1000\n#1 ?? in pipe+0x2000");
}

TEST_F(CrashReport, ADamagedFileHasNoSymbols) {
  std::ifstream in("/proc/self/exe", std::ios::binary);
  std::string bytes(20'000, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::mt19937 random(4711);
  const fs::path file = folder / "damaged";
  for (int round = 0; round < 200; ++round) {
    std::string damaged = bytes.substr(0, random() % bytes.size());
    for (int i = 0; i < 20 && damaged.size() > 64; ++i) {
      damaged[4 + random() % std::min<std::size_t>(damaged.size() - 4, 2000)] = static_cast<char>(random());
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
    const ElfFile elf(file.string());
    EXPECT_LE(elf.build_id().size(), 20U);
    static_cast<void>(elf.function_at(0x1234));
  }
}

// --- throws ------------------------------------------------------------------------------------------------------------

using tasks::throw_at;

TEST(TracedCall, LeavesTheStackOfTheThrowToWhoCatches) {
  Trace trace;
  try {
    traced([] { throw_at(2); });
  } catch (int) {
    trace = take_thrown();
  }
  const StackText stack = text_of(trace);
  EXPECT_NE(stack.all.find("#0 tasks::throw_at(int) at "), std::string::npos);
  EXPECT_NE(stack.all.find("\n(1 more)"), std::string::npos) << stack.all;
  EXPECT_TRUE(take_thrown().frames.empty()) << "taken twice";
}

TEST(TracedCall, LeavesNothingOfWhatWasCaughtInside) {
  traced([] {
    try {
      throw_at(1);
    } catch (int) {
    }
  });
  EXPECT_TRUE(take_thrown().frames.empty());
}

TEST(TracedCall, LetsAnythingThroughAndRunsDestructors) {
  struct Counts {
    explicit Counts(int& to) : count(to) {}
    ~Counts() { ++count; }
    int& count;
  };
  int destroyed = 0;
  int caught = 0;
  for (int i = 0; i < 1000; ++i) {
    try {
      traced([&destroyed, i] {
        const Counts one(destroyed);
        traced([&] {
          const Counts two(destroyed);
          if (i % 2 == 0) throw std::string("text");
          throw 42.0;
        });
      });
    } catch (const std::string&) {
      ++caught;
    } catch (double) {
      ++caught;
    }
  }
  EXPECT_EQ(caught, 1000);
  EXPECT_EQ(destroyed, 2000);
}

TEST(TracedCall, OfADeepStackKeepsTheInnermostFrames) {
  try {
    traced([] { throw_at(10'000); });
  } catch (int) {
    EXPECT_EQ(take_thrown().frames.size(), most_frames);
  }
}

TEST(FunctionName, IsThatOfTheSymbol) {
  EXPECT_EQ(function_name(reinterpret_cast<const void*>(&throw_at)), "tasks::throw_at(int)");
  EXPECT_EQ(function_name(nullptr), "");
}

}  // namespace
}  // namespace multiprocessing::crash
