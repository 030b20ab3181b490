// What the tests of the pool share: a pool's processes as seen from outside, and programs that a test may kill.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "multiprocessing/pool.hpp"
#include "process/process_test_support.hpp"

namespace multiprocessing::testing {

// Children of a process, of all its threads.
inline std::set<pid_t> children_of(pid_t parent) {
  std::set<pid_t> children;
  const std::string tasks = "/proc/" + std::to_string(parent) + "/task";
  DIR* folder = ::opendir(tasks.c_str());
  if (folder == nullptr) return children;
  while (const dirent* entry = ::readdir(folder)) {
    std::FILE* file = std::fopen((tasks + "/" + entry->d_name + "/children").c_str(), "re");
    int pid = 0;
    while (file != nullptr && std::fscanf(file, "%d", &pid) == 1) children.insert(pid);
    if (file != nullptr) std::fclose(file);
  }
  ::closedir(folder);
  return children;
}

// The process that forks and reaps the workers.
inline pid_t supervisor(Pool& pool) {
  return static_cast<pid_t>(pool.apply([] { return static_cast<int>(::getppid()); }));
}

inline std::set<pid_t> workers(Pool& pool) { return children_of(supervisor(pool)); }

inline std::set<std::string> names_in(const char* path) {
  std::set<std::string> names;
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return names;
  while (const dirent* entry = ::readdir(folder)) names.insert(entry->d_name);
  ::closedir(folder);
  return names;
}

// While it lives this process inherits whatever a dead program leaves behind, and so can tell when nothing is left.
class Heir {
 public:
  Heir() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~Heir() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }
  Heir(const Heir&) = delete;
  Heir& operator=(const Heir&) = delete;

  // Returns when no child is left: how long that took.
  static std::chrono::milliseconds wait_for_all() {
    const auto start = std::chrono::steady_clock::now();
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  }
};

// A program whose exceptions are an exit code, and no business of the test framework's copy in it.
struct Program : Host {
  template <class F>
  explicit Program(F main)
      : Host([&main] {
          try {
            return static_cast<int>(main());
          } catch (const std::exception& e) {
            std::fprintf(stderr, "the program ended with %s\n", e.what());
            return 77;
          }
        }) {}
};

// 0, 1, 2 …
inline std::vector<int> numbers(int count) {
  std::vector<int> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// A task that ends only with its worker.
inline int sleep_in_task(int) {
  for (;;) ::pause();
}

template <class T>
bool eventually(T condition) {  // the watchdog of the test is the limit
  while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return true;
}

// How calls ended that kill their workers: of themselves, or because the pool broke, which it may before the last of them
// is submitted; it then says `why`.
struct Ends {
  std::size_t died = 0;
  std::size_t broken = 0;
};
template <class F>
Ends ends_of_calls(Pool& pool, F f, int count, const std::string& why) {
  Ends ends;
  const auto note = [&ends, &why](const auto& call) {
    try {
      call();
    } catch (const WorkerDied&) {
      ++ends.died;
    } catch (const PoolBroken& error) {
      ++ends.broken;
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
  };
  std::vector<AsyncResult<int>> results;
  for (int i = 0; i < count; ++i) note([&] { results.push_back(pool.apply_async(f, i)); });
  for (const auto& result : results) note([&result] { result.get(); });
  return ends;
}

}  // namespace multiprocessing::testing
