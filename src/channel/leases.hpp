// Leases: items that were taken and not acknowledged yet, of a queue that delivers at least once.
//
//   table of the queue ─► Lease ─► run        a Lease holds a small item itself, a larger one lies in a run
//
// Invariants
//   1. Under the consumers' lock.
//   2. A lease is written before the get that it belongs to commits (by the store of `head`), and counts from then on:
//      one whose number the head has not passed is nobody's.  So there is no instant at which an item is neither in the
//      ring nor leased.  Whoever takes the lock from a dead owner clears such leases before the head can pass them.
//   3. Acknowledged is member = 0, by one store.
//   4. How many items are unfinished is never stored: those in the rings, and the leases.
//
//  died …                                     what the others see
//  in get, lease written, head not stored      the item in the ring; the lease is cleared (2)
//  after it                                    a lease of a dead member: the item goes to the next consumer that finds
//                                              the ring empty
//  taking over such a lease, before `member`   the same
//  after it, deliveries not counted            the same again, one delivery more than counted
//  in task_done, before member = 0             not acknowledged
//  after it, run not freed                     a free lease with a run: freed by who uses it next
#pragma once

#include <span>

#include "channel/queue_layout.hpp"
#include "synchronize/slots.hpp"

namespace multiprocessing::channel {

struct Lease {
  static constexpr std::size_t small = 80;
  Word member;  // its name + 1; 0: free; `lost`: delivered as often as may be, to processes that died
  Word thread;  // that took it
  Word number;  // of the item; it counts once the head is beyond
  Word deliveries;
  Word size;  // the first word of a record
  Word run;   // 0: the item is here:
  std::byte item[small];
};
static_assert(sizeof(Lease) == 128);

struct Holder {
  std::uint64_t member;
  std::uint64_t thread;
};

class Leases {
 public:
  Leases(const memory::Ref& queue, QueueHeader& header) noexcept
      : queue_(queue), header_(header), slots_(queue, header.leases) {}

  // The item in `record` (its handles' ids, then its bytes), for `holder`.  Throws OsError when there is no memory.
  void write(const Holder& holder, std::uint32_t number, std::uint64_t size, std::span<const std::byte> record);
  // After a dead owner of the lock: clears leases that the head has not passed.
  void clear_uncommitted(std::uint32_t head);

  // The oldest lease of a member that `is_gone`, to be delivered again; null: none.  Those that were delivered as often
  // as may be become lost.
  template <class IsGone>
  [[nodiscard]] Lease* of_the_gone(IsGone is_gone) {
    Lease* oldest = nullptr;
    slots_.for_each([&](Lease& lease) {
      if (!is_held(lease) || !is_gone(read(lease.member) - 1)) return;
      if (header_.most_deliveries != 0 && read(lease.deliveries) >= header_.most_deliveries) {
        write_word(lease.member, lost);
      } else if (oldest == nullptr || is_older(lease, *oldest)) {
        oldest = &lease;
      }
    });
    return oldest;
  }
  [[nodiscard]] std::span<const std::byte> item(const Lease& lease) const;
  void take_over(Lease& lease, const Holder& holder);

  // The oldest item that this thread has, or this process, or else anybody.  False: there is none.
  bool acknowledge(const Holder& holder);
  [[nodiscard]] bool any_held();
  // The numbers of items that are lost; forgets them.
  [[nodiscard]] std::size_t forget_lost();
  // Members that hold leases, at most so many.
  std::size_t holders(std::span<std::uint64_t> names);
  // What may be unloaded of the cargo: all before this number.
  [[nodiscard]] std::uint32_t oldest_number(std::uint32_t head);

 private:
  static constexpr std::uint64_t lost = ~std::uint64_t{0};
  static std::uint64_t read(const Word& word) noexcept { return word.load(std::memory_order_relaxed); }
  static void write_word(Word& word, std::uint64_t value) noexcept { word.store(value, std::memory_order_release); }
  static bool is_held(const Lease& lease) noexcept { return read(lease.member) != 0 && read(lease.member) != lost; }
  static bool is_older(const Lease& a, const Lease& b) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(read(a.number)) -
                                     static_cast<std::uint32_t>(read(b.number))) < 0;
  }
  void clear(Lease& lease);

  const memory::Ref& queue_;
  QueueHeader& header_;
  synchronize::Slots<Lease> slots_;
};

}  // namespace multiprocessing::channel
