#include "pool/watch.hpp"

#include <algorithm>
#include <chrono>

#include "os/os.hpp"

namespace multiprocessing::pool {
namespace {

using namespace std::chrono_literals;

// How often memory is looked at: what a task can touch meanwhile is what it may have too much.
constexpr std::uint64_t memory_interval_ns = 20'000'000;

constexpr std::uint64_t shortest_interval_ns = 1'000'000;

std::uint64_t value(const Word& word) { return word.load(std::memory_order_acquire); }

}  // namespace

detail::Deadline Watch::next() const noexcept {
  if (next_ns_ == never) return detail::Deadline::never();
  return detail::Deadline::at(detail::Deadline::Clock::time_point(std::chrono::nanoseconds(next_ns_)));
}

bool Watch::anything_watched(std::size_t places) const noexcept {
  for (std::size_t place = 0; place < places; ++place) {
    if (control_.places[place].watched.load() != 0) return true;
  }
  return false;
}

void Watch::has_started(std::uint32_t place, pid_t pid) noexcept {
  seen_[place] = Seen{};
  if (memory_limit_ != 0) seen_[place].memory_at_start = os::private_memory(pid);
}

bool Watch::look(std::uint32_t place, pid_t pid, std::uint64_t now_ns) noexcept {
  if (value(control_.places[place].doom) != 0) return true;
  if (is_leaving_for_too_long(place, now_ns)) return true;
  if (control_.places[place].watched.load() == 0) return false;
  return is_over_time(place, now_ns) || is_over_memory(place, pid, now_ns);
}

// Only the task that it is about may go with the worker.
bool Watch::condemn(std::uint32_t place, Cause cause, std::uint32_t task) noexcept {
  if (!halt(mailboxes_[place], task)) return false;
  control_.places[place].condemn(cause, task);
  return true;
}

bool Watch::is_over_time(std::uint32_t place, std::uint64_t now_ns) noexcept {
  Mailbox& mailbox = mailboxes_[place];
  Seen& seen = seen_[place];
  if (value(control_.shortest_ns) == never) return false;
  const std::uint64_t shortest = std::max(value(control_.shortest_ns), shortest_interval_ns);
  const std::uint64_t word = value(mailbox.began);
  const std::uint32_t task = Ticket::of(value(mailbox.ticket)).running();
  const Began began = Began::of(word);
  if (word == 0 || began.task != static_cast<std::uint16_t>(task)) {
    // Nothing that is limited runs, or it begins just now: whatever does has so long at least.
    look_again_at(now_ns + shortest);
    return false;
  }
  if (seen.task != task) seen = {task, std::min(began.us * 1000, now_ns), false, seen.memory_at_start};
  const Limits limits = control_.limits[place][task % most_ahead];
  const std::uint64_t hard = limits.hard_ns != 0 ? seen.began_ns + limits.hard_ns : never;
  const std::uint64_t soft = limits.soft_ns != 0 && !seen.told ? seen.began_ns + limits.soft_ns : never;
  if (now_ns >= hard && condemn(place, Cause::timed_out, task)) return true;
  if (now_ns >= soft) {
    mailbox.stop_requested.store(task + 1, std::memory_order_release);
    seen.told = true;
  }
  look_again_at(std::min({hard > now_ns ? hard : never, soft > now_ns ? soft : never, now_ns + shortest}));
  return false;
}

bool Watch::is_over_memory(std::uint32_t place, pid_t pid, std::uint64_t now_ns) noexcept {
  if (memory_limit_ == 0) return false;
  look_again_at(now_ns + memory_interval_ns);
  const std::uint64_t memory = os::private_memory(pid);
  if (memory < seen_[place].memory_at_start + memory_limit_) return false;
  return condemn(place, Cause::out_of_memory, Ticket::of(value(mailboxes_[place].ticket)).running());
}

bool Watch::is_leaving_for_too_long(std::uint32_t place, std::uint64_t now_ns) noexcept {
  const std::uint64_t left = value(mailboxes_[place].leaving_ns);
  if (left == 0) return false;
  if (now_ns < left + grace_ns_) {
    look_again_at(left + grace_ns_);
    return false;
  }
  return true;
}

}  // namespace multiprocessing::pool
