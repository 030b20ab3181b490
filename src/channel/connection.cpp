#include "multiprocessing/connection.hpp"

#include "base/error.hpp"
#include "os/os.hpp"

namespace multiprocessing {

Descriptor::Descriptor(int fd) {
  const int copy = os::duplicate(fd);
  if (copy < 0) base::throw_os_error("duplicate descriptor", std::to_string(fd), -copy);
  fd_ = detail::SharedFd(copy);
}

std::pair<Connection, Connection> Pipe(PipeOptions options) {
  auto [left, right] = channel::Link::make_pair(options.duplex);
  return {Connection(std::move(left)), Connection(std::move(right))};
}

}  // namespace multiprocessing
