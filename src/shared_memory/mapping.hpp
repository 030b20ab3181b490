// A mapping until it is given away.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "os/os.hpp"

namespace multiprocessing::shared_memory {

class Mapping {
 public:
  Mapping(int fd, std::size_t bytes, const std::string& name) : bytes_(bytes) {
    void* where = nullptr;
    const int error = os::map_shared(fd, bytes, &where);
    if (error < 0) base::throw_os_error("map shared memory", name, -error);
    memory_ = static_cast<std::byte*>(where);
  }
  ~Mapping() {
    if (memory_ != nullptr) os::unmap_guarded(memory_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] std::span<std::byte> get() const noexcept { return {memory_, bytes_}; }
  [[nodiscard]] std::span<std::byte> release() noexcept { return {std::exchange(memory_, nullptr), bytes_}; }

 private:
  std::size_t bytes_;
  std::byte* memory_;
};

}  // namespace multiprocessing::shared_memory
