// Watch: the part of the supervisor that knows what workers may not do: run past their tasks' limits, have more memory
// than allowed, take for ever to end.  It reads mailboxes and /proc, and decides; killing is the supervisor's.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/pool_options.hpp"
#include "pool/control.hpp"

namespace multiprocessing::pool {

class Watch {
 public:
  Watch(Control& control, Mailbox* mailboxes, const PoolOptions& options)
      : control_(control),
        mailboxes_(mailboxes),
        memory_limit_(options.memory_limit),
        grace_ns_(static_cast<std::uint64_t>(options.grace.count())) {}

  // Once the worker of this place runs: what it has is not counted.
  void has_started(std::uint32_t place, pid_t pid) noexcept;

  // Looks at the worker in this place.  True: it has to be killed; its doom is written.
  [[nodiscard]] bool look(std::uint32_t place, pid_t pid, std::uint64_t now_ns) noexcept;

  // When the next look at all places is due: begin() forgets, look() and look_again_at() bring it nearer.
  void begin() noexcept { next_ns_ = never; }
  void look_again_at(std::uint64_t ns) noexcept { next_ns_ = ns < next_ns_ ? ns : next_ns_; }
  [[nodiscard]] detail::Deadline next() const noexcept;
  // Some worker in the first so many places has been given tasks with limits.
  [[nodiscard]] bool anything_watched(std::size_t places) const noexcept;

 private:
  static constexpr std::uint64_t never = ~std::uint64_t{0};
  struct Seen {                            // in private memory: what a worker says of its task is believed once
    std::uint32_t task = number_mask + 1;  // none
    std::uint64_t began_ns = 0;
    bool told = false;
    std::uint64_t memory_at_start = 0;
  };
  [[nodiscard]] bool is_over_time(std::uint32_t place, std::uint64_t now_ns) noexcept;
  [[nodiscard]] bool is_over_memory(std::uint32_t place, pid_t pid, std::uint64_t now_ns) noexcept;
  [[nodiscard]] bool is_leaving_for_too_long(std::uint32_t place, std::uint64_t now_ns) noexcept;
  bool condemn(std::uint32_t place, Cause cause, std::uint32_t task) noexcept;

  Control& control_;
  Mailbox* const mailboxes_;
  const std::uint64_t memory_limit_;
  const std::uint64_t grace_ns_;
  std::uint64_t next_ns_ = never;
  std::array<Seen, most_workers> seen_{};
};

}  // namespace multiprocessing::pool
