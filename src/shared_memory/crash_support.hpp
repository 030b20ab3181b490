// Programs that have a name and are killed.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <string>

#include "base/fd.hpp"
#include "multiprocessing/shared_memory.hpp"
#include "os/files.hpp"
#include "shared_memory/entry.hpp"
#include "shared_memory/test_support.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"

namespace multiprocessing::testing {

inline SharedMemory create(const std::string& name, bool persist = false) {
  return SharedMemory({.name = name, .create = true, .size = 10'000, .persist = persist});
}

class NamesCrash : public NamesTest {
 protected:
  static int attach_error(const std::string& name) {
    return error_of([&] { SharedMemory({.name = name}); });
  }

  // The memory behind a name, which is there as long as any process has it.
  [[nodiscard]] os::FileIdentity memory_of(const std::string& name) const {
    const base::Fd file(::open((directory() / name).c_str(), O_RDONLY | O_CLOEXEC));
    const auto record = shared_memory::read_record(file.get());
    return record ? record->memory() : os::FileIdentity{};
  }

  // A program that has the name, until it is killed.
  static Child program(const std::string& name, const std::function<void(const SharedMemory&)>& more = {}) {
    Shared<std::atomic<bool>> ready;
    Child child{Child::plain, [&] {
                  const SharedMemory block = create(name);
                  block.span()[0] = std::byte{1};
                  if (more) more(block);
                  *ready = true;
                  for (;;) ::pause();
                }};
    spin_until([&] { return ready->load(); });
    return child;
  }
  static void kill(Child& child) {
    child.signal(SIGKILL);
    EXPECT_EQ(child.wait(), -SIGKILL);
  }

  void expect_that_all_works(const std::string& name) {
    EXPECT_EQ(attach_error(name), ENOENT);
    {
      const SharedMemory block = create(name);
      EXPECT_EQ(attach_error(name), 0);
      block.unlink();
    }
    EXPECT_EQ(attach_error(name), ENOENT);
    EXPECT_TRUE(entries().empty()) << entries().front();
  }
};

}  // namespace multiprocessing::testing
