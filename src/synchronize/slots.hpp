// Slots: places for the processes or threads that take part in something, in tables that the object owns.
//
//   word of the object ─► Table ─ next ─► Table ─ next ─► 0        each a page: a header line, then slots
//
// Invariants
//   1. A slot of zeros is free; tables come zeroed, and stay as long as the object.
//   2. All of it under the object's inner lock, taken as Exclusive.
// The first table is made by the first who needs a slot, so an object that nobody waits for costs none.
#pragma once

#include <cstddef>

#include "memory/arena.hpp"

namespace multiprocessing::synchronize {

using memory::Word;

template <class Slot>
class Slots {
 public:
  Slots(const memory::Ref& owner, Word& first) noexcept : owner_(owner), first_(first) {}

  // The first slot that `wanted` says yes to; null when there is none.
  template <class Wanted>
  [[nodiscard]] Slot* find(Wanted wanted) const {
    for (Table* table = at(first_); table != nullptr; table = at(table->next)) {
      for (Slot& slot : table->slots) {
        if (wanted(slot)) return &slot;
      }
    }
    return nullptr;
  }
  template <class Visit>
  void for_each(Visit visit) const {
    static_cast<void>(find([&](Slot& slot) {
      visit(slot);
      return false;
    }));
  }
  // The same, with one table more when there is none.  Throws OsError when there is no memory for it.
  template <class Wanted>
  [[nodiscard]] Slot& find_or_grow(Wanted wanted) const {
    for (;;) {
      if (Slot* const found = find(wanted)) return *found;
      Word* last = &first_;
      while (Table* const table = at(*last)) last = &table->next;
      memory::allocate_run(owner_, *last, memory::page_bytes);
    }
  }

 private:
  static constexpr std::size_t header_bytes = 64;
  struct Table {
    alignas(header_bytes) Word next;
    alignas(header_bytes) Slot slots[(memory::page_bytes - header_bytes) / sizeof(Slot)];
  };
  static_assert(sizeof(Table) <= memory::page_bytes);

  static Table* at(const Word& word) {
    const std::uint64_t offset = word.load(std::memory_order_relaxed);
    return offset == 0 ? nullptr : static_cast<Table*>(memory::Arena::get().at(offset, sizeof(Table)));
  }

  const memory::Ref& owner_;
  Word& first_;
};

}  // namespace multiprocessing::synchronize
