#include "memory/transaction.hpp"

#include <cstdlib>

#include "os/faults.hpp"

namespace multiprocessing::memory {

void Transaction::set(Word& word, std::uint64_t value) noexcept {
  UndoLog& log = arena_.log;
  const std::uint64_t count = log.count.load(std::memory_order_relaxed);
  // Every transaction of heap.cpp and objects.cpp is far below the capacity, whatever the data (see
  // HeapTest.TheLongestTransactionFitsTheUndoLog); going on without the log would break promise 1.
  if (count >= UndoLog::capacity) std::abort();
  const auto where = static_cast<std::uint64_t>(reinterpret_cast<char*>(&word) - reinterpret_cast<char*>(&arena_));
  log.entries[count].where.store(where, std::memory_order_relaxed);
  log.entries[count].old.store(word.load(std::memory_order_relaxed), std::memory_order_relaxed);
  log.count.store(count + 1, std::memory_order_release);
  MULTIPROCESSING_STEP("arena.logged");
  word.store(value, std::memory_order_release);
  MULTIPROCESSING_STEP("arena.changed");
}

void Transaction::commit() noexcept {
  MULTIPROCESSING_STEP("arena.before_commit");
  arena_.log.count.store(0, std::memory_order_release);
  MULTIPROCESSING_STEP("arena.committed");
}

void Transaction::recover(ArenaHeader& arena) noexcept {
  std::uint64_t count = arena.log.count.load(std::memory_order_relaxed);
  if (count > UndoLog::capacity) std::abort();  // scribbled over: there is no state to go back to
  if (count == 0) return;
  while (count-- > 0) {
    const UndoEntry& entry = arena.log.entries[count];
    const std::uint64_t where = entry.where.load(std::memory_order_relaxed);
    if (where > arena.bytes - sizeof(Word) || where % sizeof(Word) != 0) std::abort();
    auto* word = reinterpret_cast<Word*>(reinterpret_cast<char*>(&arena) + where);
    word->store(entry.old.load(std::memory_order_relaxed), std::memory_order_release);
    MULTIPROCESSING_STEP("arena.undone");
  }
  arena.log.count.store(0, std::memory_order_release);
}

}  // namespace multiprocessing::memory
