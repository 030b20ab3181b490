#include "counters.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace mpcopy {
namespace {

std::span<SharedCounters::Slot> current;  // of this process, or inherited from the one that forked it

}  // namespace

SharedCounters::SharedCounters(std::size_t slots) {
  void* memory = ::mmap(nullptr, slots * sizeof(Slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of the progress counters");
  slots_ = {static_cast<Slot*>(memory), slots};  // zeroed pages are slots at zero
  current = slots_;
}

SharedCounters::~SharedCounters() {
  current = {};
  ::munmap(slots_.data(), slots_.size_bytes());
}

SharedCounters::Slot* SharedCounters::inherited(std::size_t slot) {
  return slot < current.size() ? &current[slot] : nullptr;
}

}  // namespace mpcopy
