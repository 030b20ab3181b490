// Transaction: several words of the arena change together, or not at all, whoever dies when.
//
//   Transaction change(arena);          // the arena's lock is held
//   change.set(entry.pins, 3);
//   change.set(header.free_object, 0);
//   change.commit();                    // one store; without it the destructor undoes
//
// died …                              what the next holder of the lock does (recover())
// before the log's count is stored    nothing to undo for that word: it has its old value
// after the count, before the word    writes the old value over the old value
// after the word                      writes the old value back
// in the middle of recover()          the same again: undoing twice is undoing once
// after commit (count = 0)            nothing: the change stands
//
// The order of the stores is that of the program (release stores): a process that is killed has executed all before
// the kill and nothing after, and the lock's hand-over orders them for the successor.
#pragma once

#include <cstdint>

#include "memory/layout.hpp"

namespace multiprocessing::memory {

class Transaction {
 public:
  explicit Transaction(ArenaHeader& arena) noexcept : arena_(arena) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() { recover(arena_); }  // a no-op after commit()

  void set(Word& word, std::uint64_t value) noexcept;
  void commit() noexcept;

  // Undoes whatever a dead (or failed) transaction has left.
  static void recover(ArenaHeader& arena) noexcept;

 private:
  ArenaHeader& arena_;
};

}  // namespace multiprocessing::memory
