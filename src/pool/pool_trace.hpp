// What the trace (process/trace.hpp) is told of one pool.  The events and their fields: docs/formats/trace.md.
//
// Each place of a pool is a track: whoever works there, one after another.  No two of its events overlap, though the
// end of a task that died is when the host learned of it.
//
// REQUIRES: the engine's lock held, except where it is made.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pool/mailbox.hpp"
#include "pool/waiting_tasks.hpp"
#include "process/trace.hpp"

namespace multiprocessing::pool {

class PoolTrace {
 public:
  // Null: nothing is traced.
  [[nodiscard]] static std::unique_ptr<PoolTrace> of(const std::string& pool_name);
  explicit PoolTrace(std::string name);

  void worker_runs(std::size_t place, pid_t pid) noexcept;
  void task_ran(std::size_t place, pid_t pid, const Task& task, Span span, std::string_view outcome) noexcept;
  void worker_ended(std::size_t place, pid_t pid, int status, std::string_view how) noexcept;
  void cancelled(const Job& job, std::size_t calls) noexcept;
  void broken(std::string_view why) noexcept;
  void flush() noexcept;
  void flush_if_due() noexcept;

 private:
  struct Track {
    bool named = false;
    std::uint64_t end_ns = 0;  // of its last task
  };
  Track& track(std::size_t place);
  [[nodiscard]] std::uint32_t tid(std::size_t place) const noexcept;
  [[nodiscard]] process_::TraceEvent event(std::string_view name, char phase, std::size_t place) const;
  static void add(process_::TraceEvent&& event) noexcept;

  const std::string name_;
  const std::uint32_t first_tid_;
  std::vector<Track> tracks_;
};

}  // namespace multiprocessing::pool
