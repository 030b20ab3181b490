// Collects the files that the scan finds into tasks of a good size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "job.hpp"

namespace mpcopy {

// A task costs some microseconds and a small file some tens of them: 64 files make the task's own cost vanish,
// and are few enough to be copied again when a worker dies.
inline constexpr std::size_t kBatchItems = 64;
// A file of this size is a task by itself.
inline constexpr std::uint64_t kBatchBytes = 4U << 20U;

class Batcher {
 public:
  // The items added from now on are of this folder.
  void enter(Folder folder);
  void add(Kind kind, std::string name, std::uint64_t bytes);
  // The scan is over: what is collected so far becomes a task, however small.
  void flush();

  // The next task.  Large files first: one that starts last would keep everybody waiting at the end.
  std::optional<Batch> next();
  [[nodiscard]] bool empty() const { return large_.empty() && small_.empty(); }

 private:
  Folder folder_;
  bool collected_has_folder_ = false;  // the last folder of collected_ is folder_
  std::uint64_t serial_ = 0;
  std::uint64_t collected_bytes_ = 0;
  Batch collected_;
  std::deque<Batch> large_, small_;
};

}  // namespace mpcopy
