// Looks at every word of the arena that means something and says what does not agree with the rest.
//
//   EXPECT_EQ(arena_damage(), "");
//
// What it proves, with the arena's lock held:
//   heap      its pages are tiled, without gap or overlap, by free runs, taken runs and slabs; inside of a run no page
//             claims a state of its own; heap_used is the sum of what is taken
//   free runs stand in exactly the list of their order, aligned, linked both ways; no two free buddies; they read as 0
//   slabs     stand in the list of their class when, and only when, they have a free block
//   owners    every taken run and block has exactly one: an object, a message's cargo node, or a member's limbo
//   objects   are alive, dying or in the list of free entries; those alive are held or pinned; pins equal the nodes
//             that name them; objects_alive is their number
//   members   only slots in use hold anything, and only objects that are there
//   log       is empty
#pragma once

#include <cstdint>
#include <string>

namespace multiprocessing::testing {

struct ArenaState {
  std::string damage;  // everything that is wrong, a line each; empty: nothing
  // Bytes in blocks and runs that somebody owns.  Not stats().heap_bytes, which counts whole slabs, and a slab stays when
  // its last block goes.
  std::uint64_t owned_bytes = 0;
};
[[nodiscard]] ArenaState look_at_arena();
[[nodiscard]] inline std::string arena_damage() { return look_at_arena().damage; }

}  // namespace multiprocessing::testing
