#include "channel/leases.hpp"

#include <algorithm>
#include <cstring>

#include "memory/arena.hpp"
#include "os/faults.hpp"

namespace multiprocessing::channel {

void Leases::write(const Holder& holder, std::uint32_t number, std::uint64_t size, std::span<const std::byte> record) {
  Lease& lease = slots_.find_or_grow([](const Lease& candidate) { return read(candidate.member) == 0; });
  if (read(lease.run) != 0) memory::free_run(lease.run);
  std::byte* to = lease.item;
  if (record.size() > Lease::small) {
    memory::allocate_run(queue_, lease.run, record.size());
    to = static_cast<std::byte*>(memory::Arena::get().at(read(lease.run), record.size()));
  }
  if (!record.empty()) std::memcpy(to, record.data(), record.size());
  write_word(lease.size, size);
  write_word(lease.thread, holder.thread);
  write_word(lease.number, number);
  write_word(lease.deliveries, 1);
  write_word(lease.member, holder.member + 1);
  MULTIPROCESSING_STEP("lease.written");
}

void Leases::clear_uncommitted(std::uint32_t head) {
  slots_.for_each([&](Lease& lease) {
    const auto ahead = static_cast<std::int32_t>(static_cast<std::uint32_t>(read(lease.number)) - head);
    if (is_held(lease) && ahead >= 0) clear(lease);
  });
}

std::span<const std::byte> Leases::item(const Lease& lease) const {
  const std::size_t bytes = bytes_in_ring(read(lease.size));
  if (bytes <= Lease::small) return {lease.item, bytes};
  return {static_cast<const std::byte*>(memory::Arena::get().at(read(lease.run), bytes)), bytes};
}

void Leases::take_over(Lease& lease, const Holder& holder) {
  write_word(lease.thread, holder.thread);
  write_word(lease.member, holder.member + 1);
  MULTIPROCESSING_STEP("lease.taken_over");
  write_word(lease.deliveries, read(lease.deliveries) + 1);
}

bool Leases::acknowledge(const Holder& holder) {
  Lease* found = nullptr;
  int best = 0;
  slots_.for_each([&](Lease& lease) {
    if (!is_held(lease)) return;
    const bool mine = read(lease.member) == holder.member + 1;
    const int rank = mine && read(lease.thread) == holder.thread ? 3 : mine ? 2 : 1;
    if (rank > best || (rank == best && is_older(lease, *found))) {
      found = &lease;
      best = rank;
    }
  });
  if (found == nullptr) return false;
  clear(*found);
  return true;
}

void Leases::clear(Lease& lease) {
  write_word(lease.member, 0);
  MULTIPROCESSING_STEP("lease.cleared");
  if (read(lease.run) != 0) memory::free_run(lease.run);
}

bool Leases::any_held() {
  return slots_.find([](const Lease& lease) { return is_held(lease); }) != nullptr;
}

std::size_t Leases::forget_lost() {
  std::size_t count = 0;
  slots_.for_each([&](Lease& lease) {
    if (read(lease.member) != lost) return;
    clear(lease);
    ++count;
  });
  return count;
}

std::size_t Leases::holders(std::span<std::uint64_t> names) {
  std::size_t count = 0;
  slots_.for_each([&](const Lease& lease) {
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(count);
    if (!is_held(lease) || count == names.size() || std::find(names.begin(), end, read(lease.member) - 1) != end)
      return;
    names[count++] = read(lease.member) - 1;
  });
  return count;
}

std::uint32_t Leases::oldest_number(std::uint32_t head) {
  std::uint32_t oldest = head;
  slots_.for_each([&](const Lease& lease) {
    const auto number = static_cast<std::uint32_t>(read(lease.number));
    if (is_held(lease) && static_cast<std::int32_t>(number - oldest) < 0) oldest = number;
  });
  return oldest;
}

}  // namespace multiprocessing::channel
