// Kills a process at every step of an operation of a queue and lets the others go on.
//
//   struct PutSmall {
//     Queue<std::string> queue;                    // the constructor brings it into the state in question
//     void operation() { queue.put("new"); }       // what the killed child does
//     void survivors(const Kill& kill) { … }       // what this process does with the queue afterwards
//   };
//   sweep<PutSmall>();
//
// The scenario is made anew for each kill.  Every kill is tried twice, before and after the dead one was reaped:
// until then its last changes in the arena may be half done.  When the scenario is gone, all memory must be back.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channel/queue_test_support.hpp"
#include "support/arena_check.hpp"
#include "support/crash.hpp"

namespace multiprocessing::testing {

using Strings = std::vector<std::string>;

inline const std::vector<std::string> all_steps{"queue.put.tail_read",  "queue.put.copied",
                                                "queue.put.committed",  "queue.put.mirrored",
                                                "queue.link.allocated", "queue.link.formatted",
                                                "queue.link.committed", "queue.link.tail_moved",
                                                "queue.get.tail_read",  "queue.get.looked",
                                                "queue.get.copied",     "queue.get.committed",
                                                "queue.get.mirrored",   "queue.get.left_segment",
                                                "arena.logged",         "arena.changed",
                                                "arena.before_commit",  "arena.committed",
                                                "arena.undone",         "event.announced",
                                                "event.changed",        "lock.taken_from_dead_owner",
                                                "lock.before_release"};

enum class Item { absent, there, either };

struct Kill {
  std::string step;  // empty: the operation survived
  int nth = 0;
  [[nodiscard]] bool is(std::string_view name) const { return step == name; }
};

// What the table at the top of byte_queue.cpp says of an item whose put() was killed there.  A put that links a segment
// commits twice: what was written before it (nothing, in these tests), then the item.
inline Item after_put(const Kill& kill, int commits = 1) {
  if (kill.step.empty()) return Item::there;
  if (kill.is("queue.put.copied") || kill.step.starts_with("queue.link.")) return Item::absent;
  if (kill.is("queue.put.committed") || kill.is("queue.put.mirrored")) {
    return kill.nth < commits ? Item::absent : Item::there;
  }
  return Item::either;  // the other steps occur before and after the commit
}
// … of the item whose get() was killed there.
inline Item after_get(const Kill& kill) {
  if (kill.is("queue.get.copied")) return Item::there;
  if (kill.step.empty() || kill.is("queue.get.committed") || kill.is("queue.get.mirrored")) return Item::absent;
  return Item::either;
}

template <class T>
std::vector<T> drained(const Queue<T>& queue) {
  std::vector<T> items;
  while (auto item = queue.try_get()) items.push_back(std::move(*item));
  return items;
}

template <class T>
void expect_all_memory_accounted(const Queue<T>& queue) {
  const std::size_t spare = header_of(queue).spare.load() != 0 ? 1 : 0;
  EXPECT_EQ(owned_runs(queue), chain_length(queue) + spare);
}

// `actual` is `certain`, with `perhaps` in front of its last element or not.
inline void expect_items(const Strings& actual, Strings certain, const std::string& perhaps, Item item,
                         std::size_t where) {
  Strings with = certain;
  with.insert(with.begin() + static_cast<std::ptrdiff_t>(where), perhaps);
  if (item == Item::there) {
    EXPECT_TRUE(actual == with) << actual.size() << " items";
  }
  if (item == Item::absent) {
    EXPECT_TRUE(actual == certain) << actual.size() << " items";
  }
  if (item == Item::either) {
    EXPECT_TRUE(actual == with || actual == certain) << actual.size() << " items";
  }
}

// Kills, looks, repeats: each step, first, second … time it is passed, until the operation survives.
template <class Scenario>
void sweep(const std::vector<std::string>& steps = all_steps) {
  {
    Scenario warm_up;  // slab pages, once made, stay
    warm_up.operation();
  }
  int kills = 0;
  for (const std::string& step : steps) {
    for (const bool reap_first : {false, true}) {
      for (int nth = 1;; ++nth) {
        SCOPED_TRACE(step + " number " + std::to_string(nth) + (reap_first ? ", reaped" : ", not reaped"));
        const memory::Stats before = memory::stats();
        bool died = false;
        {
          Scenario scenario;
          Child child{Child::member, [&] {
                        os::steps::kill_at(step, nth);
                        scenario.operation();
                        os::steps::clear();
                        ::_exit(0);
                      }};
          const int status = child.wait_unreaped();
          died = status == -SIGKILL;
          if (!died) {
            ASSERT_EQ(status, 0);
          }
          if (reap_first) memory::reap_member(child.id());
          scenario.survivors(died ? Kill{step, nth} : Kill{});
          if (!reap_first) memory::reap_member(child.id());
          EXPECT_EQ(arena_damage(), "");
        }
        EXPECT_EQ(arena_damage(), "");
        EXPECT_EQ(memory::stats().members, before.members);
        EXPECT_EQ(memory::stats().objects, before.objects);
        EXPECT_EQ(memory::stats().heap_bytes, before.heap_bytes);
        if (::testing::Test::HasFailure()) return;
        if (!died) break;
        ++kills;
      }
    }
  }
  EXPECT_GT(kills, 0);
  std::printf("             %d kills\n", kills);
}

}  // namespace multiprocessing::testing
