// The arena: that nothing leaks and nothing is owned twice is looked at after each death anyway (sweep.hpp); here is
// what the objects themselves promise.
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

#include "memory/arena.hpp"
#include "memory/transaction.hpp"
#include "multiprocessing/errors.hpp"
#include "support/shared.hpp"
#include "sweep/helper.hpp"
#include "sweep/sweep.hpp"

namespace multiprocessing::sweep {
namespace {

using memory::Arena;
using memory::Kind;
using memory::Ref;
using memory::Word;

constexpr std::size_t small = 200;
constexpr std::size_t large = 40'000;

bool is_zero(const Ref& object) {
  const auto* bytes = static_cast<const char*>(object.address());
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, object.bytes() - 1) == 0;
}

Word& word_of(const Ref& object, std::size_t number = 0) { return static_cast<Word*>(object.address())[number]; }

// Dies in the middle of a change to the arena, with its lock.
void die_in_a_transaction() {
  Arena& arena = Arena::get();
  const Arena::Locked locked(arena);
  memory::Transaction change(arena.header());
  change.set(arena.header().free_object, 0);
  change.set(arena.header().objects_alive, 1'000);
  change.set(arena.header().slabs[2], 0);
  change.set(arena.header().heap_used, 77);
  ::kill(::getpid(), SIGKILL);
}

// The survivors make what the dead one was making, write all over it, and let it go.
template <std::size_t bytes, std::size_t others = 3>
struct Create : Scenario {
  Ref made;
  void operation() override { made = Ref::create(Kind::block, bytes); }
  void survivors(const Death& /*death*/, Check& check) override {
    std::array<Ref, others> ours;
    for (Ref& object : ours) {
      object = Ref::create(Kind::block, bytes);
      check.that(is_zero(object), "a new object is not zero");
      std::memset(object.address(), 0xaa, bytes);
    }
  }
};

struct CreateAfterDeath : Create<small> {
  std::optional<Dead> owner{die_in_a_transaction};
};

// Of the class of which a page holds two: the scenario has filled all that there are.
struct CreateInNewSlab : Create<2'048, 1> {
  std::vector<Ref> before;
  CreateInNewSlab() {
    do before.push_back(Ref::create(Kind::block, 2'048));
    while (Arena::get().header().slabs[5].load() != 0);
  }
};

// The child is the last that holds the object, with two runs and a passenger.
struct DropLast : Scenario {
  Ref object = Ref::create(Kind::queue, small);
  explicit DropLast(std::size_t runs = 0, bool passenger = false) {
    for (std::size_t i = 0; i < runs; ++i) memory::allocate_run(object, word_of(object, i), large);
    if (passenger) {
      const Ref carried = Ref::create(Kind::block, large);
      memory::load_cargo(object, {&carried, 1}, 0);
    }
  }
  void together() override { object = Ref(); }
  void operation() override { object = Ref(); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.that(is_zero(Ref::create(Kind::block, large)), "a new object is not zero");
  }
};
struct DropLoaded : DropLast {
  DropLoaded() : DropLast(2, true) {}
};
struct DropShared : DropLast {
  void together() override { std::memset(object.address(), 0xaa, small); }
  void survivors(const Death& /*death*/, Check& check) override {
    check.that(word_of(object, 7) == 0xaaaa'aaaa'aaaa'aaaaU && word_of(object) == word_of(object, small / 8 - 1),
               "an object that somebody holds was changed");
  }
};

// A child that does not hold an object takes hold of it by its id.
struct Adopt : Scenario {
  testing::Shared<std::atomic<std::uint64_t>> id;
  Ref object;
  Ref taken;
  void together() override {
    object = Ref::create(Kind::block, small);
    id->store(object.id());
  }
  void operation() override { taken = Ref::adopt(id->load(), Kind::block); }
  void survivors(const Death& death, Check& check) override {
    if (!death.returned || death.reaped) return;
    object = Ref();
    try {
      check.that(Ref::adopt(id->load()).bytes() == small, "the object is not what it was");
    } catch (const Error&) {
      check.that(false, "an object was destroyed that a member held");
    }
  }
};

struct AllocateRun : Scenario {
  Ref owner = Ref::create(Kind::queue, small);
  void operation() override { memory::allocate_run(owner, word_of(owner), large); }
  void survivors(const Death& death, Check& check) override {
    const Arena::Locked undone(Arena::get());
    const std::uint64_t run = word_of(owner);
    check.effect(run != 0);
    check.that(run != 0 || !death.returned, "the run is not there");
    check.that(run == 0 || memory::run_bytes(run) >= large, "the run is too small");
  }
};

struct FreeRun : AllocateRun {
  FreeRun() {
    AllocateRun::operation();
    std::memset(Arena::get().at(word_of(owner), large), 0xaa, large);
  }
  void operation() override { memory::free_run(word_of(owner)); }
  void survivors(const Death& death, Check& check) override {
    {
      const Arena::Locked undone(Arena::get());
      check.effect(word_of(owner) == 0);
      check.that(word_of(owner) == 0 || !death.returned, "the run is still there");
    }
    check.that(is_zero(Ref::create(Kind::block, large)), "a new object is not zero");
    memory::free_run(word_of(owner));
  }
};

// Death of the one who reaps the dead; its work is done again from the beginning.
struct Reap : Scenario {
  std::optional<Dead> dead;
  testing::Shared<std::atomic<std::uint64_t>> id;
  Reap() {
    dead.emplace([this] {
      Ref object = Ref::create(Kind::queue, small);
      memory::allocate_run(object, word_of(object), large);
      memory::allocate_run(object, word_of(object, 1), small);
      memory::replace_run(word_of(object, 1), 0);  // into its limbo, for ever
      const Ref carried = Ref::create(Kind::block, small);
      memory::load_cargo(object, {&carried, 1}, 0);
      id->store(object.id());
      ::kill(::getpid(), SIGKILL);
    });
  }
  void operation() override { memory::reap_member(dead->id()); }
  void survivors(const Death& /*death*/, Check& check) override {
    dead->reap();
    try {
      std::ignore = Ref::adopt(id->load());
      check.that(false, "what only the dead one held is still there");
    } catch (const Error&) {
    }
  }
};

constexpr std::array operations{
    Operation::of<Create<small>>("create.block"),
    Operation::of<Create<large>>("create.run"),
    Operation::of<CreateInNewSlab>("create.new_slab"),
    Operation::of<CreateAfterDeath>("create.dead_owner"),
    Operation::of<DropLast>("drop.last"),
    Operation::of<DropLoaded>("drop.loaded"),
    Operation::of<DropShared>("drop.shared"),
    Operation::of<Adopt>("adopt.held"),
    Operation::of<AllocateRun>("allocate_run.free"),
    Operation::of<FreeRun>("free_run.taken"),
    Operation::of<Reap>("reap.dead"),
};

}  // namespace

std::span<const Operation> arena_operations() { return operations; }

}  // namespace multiprocessing::sweep
