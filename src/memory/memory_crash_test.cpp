// Deaths inside of the arena's operations: at every store boundary of every operation, a process is killed there,
// and then the arena must be whole, hold what it held before, and go on working.
//
// "Every store boundary" is meant literally: an operation is repeated with its process killed after the first undo
// entry, after the second … until it comes through, and the same for the words themselves, the commits, the undone
// words and the releases of the lock.  docs/formats/arena.md has the tables and says which planted faults this finds.
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "memory/arena.hpp"
#include "multiprocessing/errors.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"
#include "support/shared.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::memory {
namespace {

using namespace std::chrono_literals;
using testing::Child;
using testing::dies_at;
using testing::Watchdog;

constexpr std::array steps{"arena.logged", "arena.changed",       "arena.before_commit",       "arena.committed",
                           "arena.undone", "lock.before_release", "lock.taken_from_dead_owner"};
constexpr std::size_t large = 40'000;        // a run of 16 pages
constexpr std::uint32_t everything = 1'000;  // a position that all cargo here has passed

// What there is before each operation, held by the test's process and, like everything it holds, by its children.
struct Scene {
  Ref kept = Ref::create(Kind::block, 100);
  Ref shared = Ref::create(Kind::queue, 256);
  Word& where = *static_cast<Word*>(shared.address());  // of a run that `shared` owns
  Word& other = static_cast<Word*>(shared.address())[1];
  void clean() {
    drop_cargo(shared, everything);
    if (other.load() == where.load()) other.store(0);  // replace_run() was through
    free_run(where);
    free_run(other);
  }
};
Scene* scene = nullptr;

// Memory that was written to must come back as zeros.
void scribble(const Ref& object, std::size_t bytes) { std::memset(object.address(), 0xa5, bytes); }
void scribble_run(Word& where) { std::memset(Arena::get().at(where.load(), 1), 0xa5, run_bytes(where.load())); }

Ref make(std::size_t bytes) {
  Ref made = Ref::create(Kind::queue, bytes);
  scribble(made, bytes);
  std::memset(made.address(), 0, 3 * sizeof(Word));  // words for runs
  return made;
}

void add_run(const Ref& owner, int word, std::size_t bytes) {
  Word& where = static_cast<Word*>(owner.address())[word];
  allocate_run(owner, where, bytes);
  scribble_run(where);
}

void add_cargo(const Ref& carrier, const Ref& object, std::uint32_t position) {
  load_cargo(carrier, std::span(&object, 1), position);
}

// An object with all that an object can have: a large block, further runs, and messages that name other objects, one
// of which nobody else knows and which itself carries another.
Ref make_rich() {
  Ref rich = make(large);
  add_run(rich, 0, 3 * page_bytes);
  add_run(rich, 1, 300);
  const Ref inner = make(100);
  const Ref innermost = make(large);
  add_cargo(inner, innermost, 1);
  add_cargo(rich, inner, 1);
  add_cargo(rich, scene->kept, 2);
  add_run(innermost, 0, 2 * page_bytes);
  return rich;
}

using Action = std::function<void()>;

struct Operation {
  const char* name;
  std::function<Action()> prepare;  // in the child; what it returns is killed in the middle
  Child::Making making = Child::member;
  friend void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }
};

Ref mine;  // what the children's actions work on: global, so that the end of a lambda drops nothing

// A member of the family, child of the caller, that dies with its hands full; not reaped as a member.
MemberId leave_a_dead_member(std::string_view step, int nth) {
  Child dead{Child::member, [&] {
               mine = make_rich();
               const Ref second = make(200);
               add_run(scene->shared, 0, 100'000);
               os::steps::kill_at(step, nth);
               free_run(scene->where);
               ::kill(::getpid(), SIGKILL);
             }};
  MP_REQUIRE(dead.wait_unreaped() == -SIGKILL);
  return dead.id();
}

Action reap_one_who_died_at(std::string_view step, int nth) {
  const MemberId dead = leave_a_dead_member(step, nth);
  return [dead] { reap_member(dead); };
}

const std::vector<Operation> operations{
    {"CreateSmall", [] { return [] { mine = Ref::create(Kind::block, 60); }; }},
    {"CreateInANewSlab",
     [] {
       static std::vector<Ref> fill;
       ArenaHeader& header = Arena::get().header();
       while (header.slabs[4].load() != 0) fill.push_back(Ref::create(Kind::block, 1'000));
       return [] { mine = Ref::create(Kind::block, 1'000); };
     }},
    {"CreateTheLastOfASlab",
     [] {
       static std::vector<Ref> fill{Ref::create(Kind::block, 2'000)};
       return [] { mine = Ref::create(Kind::block, 2'000); };
     }},
    {"CreateLarge", [] { return [] { mine = make(large); }; }},
    {"CreateBeyondAllMemory",
     [] {
       return [] {
         try {
           mine = Ref::create(Kind::block, std::size_t{1} << 60);
         } catch (const OsError&) {
         }
       };
     }},
    {"DropTheLastOfASmallOne",
     [] {
       mine = make(60);
       return [] { mine = Ref(); };
     }},
    {"DropTheLastOfALargeOne",
     [] {
       mine = make(large);
       return [] { mine = Ref(); };
     }},
    {"DropNotTheLast", [] { return [] { scene->kept = Ref(); }; }},
    {"Adopt",
     [] {
       const std::uint64_t id = scene->kept.id();
       scene->kept = Ref();
       return [id] { mine = Ref::adopt(id); };
     }},
    {"AllocateRun", [] { return [] { add_run(scene->shared, 0, 100'000); }; }},
    {"FreeRun",
     [] {
       add_run(scene->shared, 0, 100'000);
       return [] { free_run(scene->where); };
     }},
    {"ReplaceRun",
     [] {
       add_run(scene->shared, 0, 100'000);
       add_run(scene->shared, 1, 3'000);
       const std::uint64_t next = scene->other.load();
       return [next] {
         replace_run(scene->where, next);
         finish_limbo();
       };
     }},
    {"LoadCargo",
     [] {
       static const std::array<Ref, 3> cargo{make(60), make(large), scene->kept};
       return [] { load_cargo(scene->shared, cargo, 7); };
     }},
    {"DropCargo",
     [] {
       add_cargo(scene->shared, make(60), 1);
       add_cargo(scene->shared, scene->kept, 900);
       add_cargo(scene->shared, make_rich(), 2);
       return [] { drop_cargo(scene->shared, 500); };
     }},
    {"DestroyWithRunsAndCargo",
     [] {
       mine = make_rich();
       return [] { mine = Ref(); };
     }},
    {"ReapAMember", [] { return reap_one_who_died_at("no such step", 1); }},
    {"ReapOneThatDiedInAChange", [] { return reap_one_who_died_at("arena.changed", 3); }},
    {"ReapOneThatLeftARunInLimbo", [] { return reap_one_who_died_at("arena.committed", 1); }},
    {"CollectOrphans",
     [] {
       // The orphan's guardian makes it, and dies before it has reaped it.
       Child guardian{Child::member, [] {
                        leave_a_dead_member("arena.committed", 1);
                        ::kill(::getpid(), SIGKILL);
                      }};
       MP_REQUIRE(guardian.wait() == -SIGKILL);
       return [] { collect_orphans(); };
     }},
    {"ForkAMember",
     [] {
       return [] {
         Child child{Child::member, [] {}};
         child.wait();
       };
     }},
    {"JoinAsAGuest", [] { return [] { static_cast<void>(self()); }; }, Child::plain},
    {"CreateAsAGuest", [] { return [] { mine = make_rich(); }; }, Child::plain},
};

struct Holdings {
  std::size_t members;
  std::size_t objects;
  std::uint64_t owned_bytes;
  friend bool operator==(const Holdings&, const Holdings&) = default;
};
std::ostream& operator<<(std::ostream& out, const Holdings& all) {
  return out << all.members << " members, " << all.objects << " objects, " << all.owned_bytes << " bytes";
}

// Checks everything, and returns what there is.
Holdings look_around() {
  const testing::ArenaState arena = testing::look_at_arena();
  EXPECT_EQ(arena.damage, "");
  const Stats now = stats();
  return {now.members, now.objects, arena.owned_bytes};
}

// Ends and reaps the processes that killed ones have left behind: they are ours, for we are their subreaper.
void await_stray_children() {
  while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
  }
}

void everything_works() {
  Ref small = make(50);
  const Ref rich = make_rich();
  ASSERT_EQ(Ref::adopt(small.id()), small);
  add_run(scene->shared, 0, 50'000);
  add_cargo(scene->shared, small, 3);
  small = Ref();
  Child child{Child::member, [id = rich.id()] { mine = Ref::adopt(id); }};
  ASSERT_EQ(child.wait(), 0);
  scene->clean();
}

class ArenaCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    os::set_subreaper();
    scene = &scene_;
    before_ = look_around();
  }

  // A process has died in the middle of something, and was reaped by its guardian.
  void expect_recovered() {
    await_stray_children();
    collect_orphans();
    scene_.clean();
    EXPECT_EQ(look_around(), before_);
    everything_works();
    EXPECT_EQ(look_around(), before_);
  }

  Watchdog dog_{200s};
  Scene scene_;
  Holdings before_{};
};

class ArenaOperation : public ArenaCrash, public ::testing::WithParamInterface<Operation> {};

TEST_P(ArenaOperation, MayDieAtEveryStoreBoundary) {
  int deaths = 0;
  for (const char* step : steps) {
    for (int nth = 1; dies_at(step, nth, GetParam().prepare, GetParam().making); ++nth) {
      SCOPED_TRACE(std::string("killed at ") + step + " number " + std::to_string(nth));
      ++deaths;
      expect_recovered();
      if (HasFailure()) return;
    }
    expect_recovered();
    if (HasFailure()) return;
  }
  EXPECT_GE(deaths, 4);
}

// Two processes are ready before the arena is damaged, for forking one takes the lock and would repair it:
// `victim` dies at the nth store of its operation, `helper` in the middle of undoing that.
TEST_P(ArenaOperation, MayDieAndSoMayWhoeverRepairsIt) {
  for (int nth = 1;; nth += 3) {
    for (int undone = 1;; undone += 2) {
      SCOPED_TRACE("killed at change " + std::to_string(nth) + ", helper at undone word " + std::to_string(undone));
      int start[2];
      ASSERT_EQ(::pipe(start), 0);
      Child helper{Child::member, [&] {
                     ::close(start[1]);
                     char end_of_file;
                     while (::read(start[0], &end_of_file, 1) < 0) {
                     }
                     os::steps::kill_at("arena.undone", undone);
                     static_cast<void>(stats());
                   }};
      Child victim{GetParam().making, [&] {
                     ::close(start[1]);
                     const Action action = GetParam().prepare();
                     os::steps::kill_at("arena.changed", nth);
                     action();
                     ::_exit(0);
                   }};
      const bool died = victim.wait_unreaped() == -SIGKILL;
      ::close(start[1]);
      ::close(start[0]);
      const bool helper_died = helper.wait() == -SIGKILL;
      victim.reap_as_member();
      expect_recovered();
      if (HasFailure()) return;
      if (!died) return;
      if (!helper_died) break;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ArenaOperation, ::testing::ValuesIn(operations),
                         [](const auto& each) { return each.param.name; });

// Not in a scene, which the child would hold too: letting go of that takes the lock, and so undoes all in time.
TEST(ReapMember, UndoesBeforeItLooksWhatTheDeadOneHeld) {
  Watchdog dog{60s};
  const auto hold_one = [] {
    mine = Ref::create(Kind::block, 60);
    return [] { mine = Ref(); };
  };
  for (int nth = 1; dies_at("arena.changed", nth, hold_one); ++nth) {
    EXPECT_EQ(testing::arena_damage(), "") << "killed at change " << nth;
    EXPECT_EQ(stats().objects, 0U);
  }
}

TEST_F(ArenaCrash, AMakerMayDieAtEveryStepOfAFork) {
  for (const char* step : {"member.slot_taken", "member.forked", "member.before_gate", "member.child_forked"}) {
    SCOPED_TRACE(step);
    const bool died = dies_at(step, 1, [] {
      return [] {
        Child child{Child::member, [] {}};
        child.wait();
      };
    });
    EXPECT_EQ(died, std::string_view(step) != "member.child_forked");  // there it is the child that dies
    expect_recovered();
  }
}

TEST_F(ArenaCrash, AReaperMayDieAndSoMayItsReaper) {
  for (int nth = 1;; nth += 2) {
    SCOPED_TRACE("killed at change " + std::to_string(nth));
    // Three generations: the innermost dies with its hands full, the middle one in reaping it.
    const bool died = dies_at("arena.changed", nth, [nth] {
      const MemberId dead = leave_a_dead_member("arena.committed", 1);
      Child reaper{Child::member, [&] {
                     os::steps::kill_at("arena.changed", nth);
                     reap_member(dead);
                     ::_exit(0);
                   }};
      reaper.wait_unreaped();
      return [dead, half = reaper.id()] {
        reap_member(half);
        reap_member(dead);
      };
    });
    expect_recovered();
    if (!died || HasFailure()) return;
  }
}

// The race that adopt_orphan() is for:
//   1. A member sees an orphan, and is slow.
//   2. Another one reaps it; the slot goes to a new member.
//   3. The slow one goes on.  The new member must not lose what it holds.
TEST_F(ArenaCrash, ASlowCollectorDoesNotReapTheSlotsNextOwner) {
  Child guardian{Child::member, [] {
                   leave_a_dead_member("no such step", 1);
                   ::_exit(0);
                 }};
  ASSERT_EQ(guardian.wait(), 0);
  Child slow{Child::member, [] {
               os::steps::stop_at("member.orphan_seen");
               collect_orphans();
             }};
  testing::wait_stopped(slow);
  collect_orphans();
  const testing::Shared<std::atomic<bool>> over;
  std::vector<Child> next;  // enough to take every slot that is free now
  for (int i = 0; i < 2; ++i) {
    next.emplace_back(Child::member, [&] {
      mine = make(large);
      testing::spin_until([&] { return over->load(); });
      MP_REQUIRE(Ref::adopt(mine.id()) == mine);
      MP_REQUIRE(static_cast<const char*>(mine.address())[large - 1] == '\xa5');
    });
  }
  testing::spin_until([&] { return stats().objects == before_.objects + 2; });
  slow.signal(SIGCONT);
  EXPECT_EQ(slow.wait(), 0);
  *over = true;
  for (Child& child : next) EXPECT_EQ(child.wait(), 0);
  expect_recovered();
}

}  // namespace
}  // namespace multiprocessing::memory
