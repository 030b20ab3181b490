// Collects what the scan finds into tasks of a good size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "job.hpp"

namespace mpcopy {

// A task costs some microseconds and a small file some tens of them: 64 files make the task's own cost vanish,
// and are few enough to be copied again when a worker dies.  A folder is not divided below the larger number: two
// workers that make files in one folder wait for each other.
inline constexpr std::size_t kBatchItems = 64;
inline constexpr std::size_t kMostBatchItems = 256;
// A file of this size is a task by itself.
inline constexpr std::uint64_t kBatchBytes = 4U << 20U;

class Batcher {
 public:
  // The items added from now on are of this folder.
  void enter(Folder folder);
  // `other`: of a hard link, see Item.
  void add(Kind kind, std::string name, std::uint64_t bytes, std::string other = {});
  // The scan is over: what is collected so far becomes a task, however small.
  void flush();

  // The next task.  Large files first: one that starts last would keep everybody waiting at the end.
  std::optional<Batch> next_large();
  std::optional<Batch> next_small();
  // The next hard links: when all else has been copied, so that what they are links to is there.
  std::optional<Batch> next_links();
  [[nodiscard]] bool empty() const { return large_.empty() && small_.empty() && links_.empty(); }

 private:
  // A task that is being put together.
  struct Collection {
    Batch batch{};
    std::uint64_t bytes = 0;
    bool has_folder = false;  // its last folder is folder_
  };
  void collect(Collection& into, std::deque<Batch>& full, Item item);
  static void close(Collection& collection, std::deque<Batch>& full);

  Folder folder_;
  std::uint64_t serial_ = 0;
  Collection collected_, collected_links_;
  std::deque<Batch> large_, small_, links_;
};

}  // namespace mpcopy
