// What the tests of connections share.
#pragma once

#include <dirent.h>
#include <sys/resource.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "memory/family.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/errors.hpp"
#include "support/arena_check.hpp"

namespace multiprocessing::testing {

// The two ends, with names that closures can capture (structured bindings cannot be, before clang 16).
struct Ends {
  explicit Ends(PipeOptions options = {}) : Ends(Pipe(options)) {}
  Connection left;
  Connection right;

 private:
  explicit Ends(std::pair<Connection, Connection> pair) : left(std::move(pair.first)), right(std::move(pair.second)) {}
};

// The errno of the OsError that `action` throws; 0: it throws none.
template <class Action>
int error_of(Action action) {
  try {
    action();
  } catch (const OsError& error) {
    return error.code().value();
  }
  return 0;
}

[[nodiscard]] inline std::size_t open_descriptors() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), &::closedir);
  std::size_t count = 0;
  while (::readdir(folder.get()) != nullptr) ++count;
  return count;
}

// When it goes, everything must be as it was when it was made.
class NothingLeft {
 public:
  NothingLeft() : before_(settled()), descriptors_(open_descriptors()) {}
  ~NothingLeft() {
    EXPECT_EQ(arena_damage(), "");
    const memory::Stats after = memory::stats();
    EXPECT_EQ(after.members, before_.members);
    EXPECT_EQ(after.objects, before_.objects);
    EXPECT_EQ(open_descriptors(), descriptors_);
  }
  NothingLeft(const NothingLeft&) = delete;
  NothingLeft& operator=(const NothingLeft&) = delete;

 private:
  static memory::Stats settled() {
    static_cast<void>(memory::self());
    return memory::stats();
  }
  memory::Stats before_;
  std::size_t descriptors_;
};

// The most descriptors this process may have, for a scope: as many as it has now and `more`.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(std::size_t more) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(lowest_free) + more;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace multiprocessing::testing
