#include "multiprocessing/detail/message_buffer.hpp"

#include "os/os.hpp"

namespace multiprocessing::channel {

void prefer_huge_pages(void* where, std::size_t bytes) noexcept {
  constexpr std::size_t worthwhile = std::size_t{4} << 20;  // below it a system call costs more than it saves
  if (bytes >= worthwhile) os::prefer_huge_pages(where, bytes);
}

}  // namespace multiprocessing::channel
