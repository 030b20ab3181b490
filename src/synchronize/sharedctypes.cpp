// Value and Array in shared memory.
//
//   Value    OwnedLock | current : 0 or 1 | bytes | copy 0 | copy 1      set: the other copy, then `current`, by one store
//   Array    OwnedLock | data: offset of its run | count | element bytes
//
//  died …                              what the others see
//  in set or update, before `current`   the value before
//  after it                             the new value; the lock comes from a dead owner
#include "multiprocessing/sharedctypes.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>
#include <stdexcept>

#include "base/error.hpp"
#include "memory/arena.hpp"
#include "os/faults.hpp"
#include "synchronize/owned.hpp"

namespace multiprocessing::synchronize {
namespace {

using memory::Word;

constexpr std::size_t alignment = 16;
constexpr std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

struct ValueState {
  sync::OwnedLock lock;
  std::atomic<std::uint32_t> current{0};
  std::uint32_t reserved = 0;
};
constexpr std::size_t copies_at = aligned(sizeof(ValueState));

struct ArrayState {
  sync::OwnedLock lock;
  Word data{0};
  std::uint64_t count = 0;
  std::uint64_t element_bytes = 0;
};

ValueState& value_of(const memory::Ref& ref) { return *static_cast<ValueState*>(ref.address()); }
ArrayState& array_of(const memory::Ref& ref) { return *static_cast<ArrayState*>(ref.address()); }

std::byte* copy(const memory::Ref& ref, std::uint32_t which, std::size_t bytes) {
  return static_cast<std::byte*>(ref.address()) + copies_at + (which & 1) * aligned(bytes);
}

}  // namespace

memory::Ref make_value(const void* initial, std::size_t bytes) {
  memory::Ref ref = memory::Ref::create(memory::Kind::value, copies_at + 2 * aligned(bytes));
  new (ref.address()) ValueState;
  std::memcpy(copy(ref, 0, bytes), initial, bytes);
  return ref;
}

const void* current(const memory::Ref& ref, std::size_t bytes) noexcept {
  return copy(ref, value_of(ref).current.load(std::memory_order_acquire), bytes);
}

void replace(const memory::Ref& ref, const void* with, std::size_t bytes) noexcept {
  std::atomic<std::uint32_t>& current = value_of(ref).current;
  const std::uint32_t next = 1 - (current.load(std::memory_order_relaxed) & 1);
  std::memcpy(copy(ref, next, bytes), with, bytes);
  MULTIPROCESSING_STEP("value.written");
  current.store(next, std::memory_order_release);
  MULTIPROCESSING_STEP("value.committed");
}

memory::Ref make_array(std::size_t count, std::size_t element_bytes) {
  if (count > std::numeric_limits<std::size_t>::max() / 2 / element_bytes) {
    base::throw_os_error("allocate " + std::to_string(count) + " elements for", "an Array", ENOMEM);
  }
  memory::Ref ref = memory::Ref::create(memory::Kind::array, sizeof(ArrayState));
  auto& array = *new (ref.address()) ArrayState;
  array.count = count;
  array.element_bytes = element_bytes;
  if (count != 0) memory::allocate_run(ref, array.data, count * element_bytes);
  return ref;
}

ArrayView view(const memory::Ref& ref, std::size_t element_bytes) {
  const ArrayState& array = array_of(ref);
  if (array.element_bytes != element_bytes) throw TypeMismatch("the received array holds elements of another type");
  if (array.count == 0) return {nullptr, 0};
  const std::uint64_t data = array.data.load(std::memory_order_relaxed);
  return {memory::Arena::get().at(data, array.count * element_bytes), array.count};
}

}  // namespace multiprocessing::synchronize
