// Memory by name: whoever dies leaves no name that is in the way, and takes none from those who live.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "multiprocessing/shareable_list.hpp"
#include "multiprocessing/shared_memory.hpp"
#include "sweep/sweep.hpp"

namespace multiprocessing::sweep {
namespace {

constexpr std::size_t bytes = 5'000;

struct NameScenario : Scenario {
  std::string name = "sweep-" + std::to_string(::getpid());

  SharedMemory create() const { return SharedMemory({.name = name, .create = true, .size = bytes}); }
  template <class F>
  static int error_of(F f) {
    try {
      f();
      return 0;
    } catch (const OsError& error) {
      return error.code().value();
    }
  }
  [[nodiscard]] int attach_error() const {
    return error_of([this] { SharedMemory({.name = name}); });
  }
  void expect_free(Check& check) const {
    check.that(attach_error() == ENOENT, "a name without a program is there");
    check.that(error_of([this] { create().unlink(); }) == 0, "a name that is free cannot be had");
  }
};

struct NameCreate : NameScenario {
  void operation() override { create(); }
  void survivors(const Death& /*death*/, Check& check) override { expect_free(check); }
};

// The one before it was killed, too.
struct NameCreateOverLeft : NameCreate {
  NameCreateOverLeft() {
    const pid_t pid = ::fork();
    if (pid == 0) {
      create();
      ::_exit(0);  // and clears nothing away
    }
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
};

struct NameAttach : NameScenario {
  SharedMemory block = create();
  ~NameAttach() override {
    error_of([this] { block.unlink(); });
  }
  void operation() override { SharedMemory({.name = name}).span()[0] = std::byte{1}; }
  void survivors(const Death& /*death*/, Check& check) override {
    check.that(attach_error() == 0, "a block is gone because one who attached to it died");
    check.that(error_of([this] { create(); }) == EEXIST, "a name was had twice");
  }
};

// By a fork, which is of the block's program.
struct NameUnlink : NameScenario {
  SharedMemory block = create();
  void operation() override { block.unlink(); }
  void survivors(const Death& death, Check& check) override {
    const bool gone = attach_error() == ENOENT;
    check.effect(gone);
    check.that(gone || !death.returned, "a name that was taken away is there");
    check.that(error_of([this] { block.unlink(); }) == (gone ? ENOENT : 0),
               "a name can neither be used nor be unlinked");
    expect_free(check);
  }
};

struct ListSet : Scenario {
  ShareableList list{"before", 1};
  ~ListSet() override { list.unlink(); }
  void operation() override { list.set(0, "after"); }
  void survivors(const Death& death, Check& check) override {
    const auto text = list.get<std::string>(0);
    check.that(text == "before" || text == "after", "an item is neither what it was nor what it became: " + text);
    check.that(text == "after" || !death.returned, "an item that was set is not");
    check.effect(text == "after");
    list.set(0, "later");
    check.that(list.get<std::string>(0) == "later" && list.get<int>(1) == 1, "a list is not as good as before");
  }
};

constexpr std::array operations{
    Operation::of<NameCreate>("name.create"), Operation::of<NameCreateOverLeft>("name.create.over_left"),
    Operation::of<NameAttach>("name.attach"), Operation::of<NameUnlink>("name.unlink"),
    Operation::of<ListSet>("list.set"),
};

}  // namespace

std::span<const Operation> shared_memory_operations() { return operations; }

}  // namespace multiprocessing::sweep
