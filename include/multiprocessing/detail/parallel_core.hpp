// What parallel.hpp's templates need: the work of one call, and the engine that forks for it.  Layer: parallel.
// How it works is told in src/parallel/team.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "multiprocessing/detail/archive_bytes.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::parallel {

using Index = std::uint64_t;

// Items [first, end).
struct Chunk {
  Index first = 0;
  Index end = 0;
};

// The items of one call and what is to be done with them.  Lives on the caller's stack; children have it by the fork.
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  virtual ~Work() = default;

  // In a child.  `at` says which item it is at, for the case of its death or an exception.
  virtual void run(Chunk chunk, std::atomic<Index>& at, codec::Encoder& out) = 0;
  // In the caller, when all is done, in the order of the items: what run() has written for that chunk.
  virtual void take(Chunk chunk, codec::Decoder& in) = 0;
  // "parallel_map of f, item 5"
  [[nodiscard]] virtual std::string describe(Index at, Chunk chunk) const = 0;

  bool writes = true;  // run() writes to `out`
};

// Forks, and returns when all items are done and the children are gone.  Throws what the first failed item threw,
// WorkerDied, OsError; the children are gone then too.
void run(Work& work, std::size_t items, int processes);

// Shared memory for results that are written where the caller reads them.  Zeroed; throws OsError.
class Area {
 public:
  explicit Area(std::size_t bytes);
  ~Area();
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;
  [[nodiscard]] void* address() const noexcept { return address_; }

 private:
  std::size_t bytes_;
  void* address_ = nullptr;
};
inline constexpr std::size_t area_alignment = 4096;

[[nodiscard]] std::string items_text(const char* call, const char* mangled, Index first, Index last);

}  // namespace multiprocessing::parallel

#pragma GCC visibility pop
