// Packets with descriptors, sealed memory files, event descriptors: what connections are made of.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "os/faults.hpp"
#include "os/os.hpp"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

namespace multiprocessing::os {
namespace {

int result(long value) noexcept { return value < 0 ? -errno : static_cast<int>(value); }

// Room for the most descriptors that a packet can carry.
struct Control {
  alignas(cmsghdr) char bytes[CMSG_SPACE(most_descriptors * sizeof(int))];
};

// The descriptors in what recvmsg() has filled in; those beyond the room for them are closed.
std::size_t take_descriptors(msghdr& message, std::span<int, most_descriptors> descriptors) noexcept {
  std::size_t count = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < here; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      if (count < descriptors.size()) {
        descriptors[count++] = fd;
      } else {
        ::close(fd);
      }
    }
  }
  return count;
}

}  // namespace

int send_packet(int fd, std::span<const iovec> parts, std::span<const int> descriptors) noexcept {
  if (const int error = injected(Call::send)) return -error;
  Control control;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  if (!descriptors.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    std::memset(control.bytes, 0, message.msg_controllen);
    cmsghdr* const part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(part), descriptors.data(), descriptors.size_bytes());
  }
  const int outcome = result(::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
  if (outcome == -ECONNRESET || outcome == -ENOTCONN || outcome == -ECONNREFUSED) return -EPIPE;
  return outcome;
}

int peek_packet(int fd, std::span<std::byte> buffer, std::span<int, most_descriptors> descriptors,
                PeekedPacket& packet) noexcept {
  if (const int error = injected(Call::receive)) return -error;
  Control control;
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const ssize_t bytes = ::recvmsg(fd, &message, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (bytes < 0) return -errno;
  packet.bytes = static_cast<std::size_t>(bytes);
  packet.descriptors = take_descriptors(message, descriptors);
  packet.descriptors_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  return 0;
}

int drop_packet(int fd) noexcept {
  if (const int error = injected(Call::receive)) return -error;
  return result(::recv(fd, nullptr, 0, MSG_DONTWAIT));
}

bool is_hung_up(int fd) noexcept {
  pollfd look{fd, POLLRDHUP, 0};
  int outcome = 0;
  do {
    outcome = result(::poll(&look, 1, 0));
  } while (outcome == -EINTR);
  return outcome > 0 && (look.revents & (POLLRDHUP | POLLHUP)) != 0;
}

int packet_capacity(int fd) noexcept {
  int type = 0;
  int bytes = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) return -errno;
  if (type != SOCK_SEQPACKET) return -EPROTOTYPE;
  length = sizeof bytes;
  if (::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &length) < 0) return -errno;
  return bytes;
}

int duplicate(int fd) noexcept {
  if (const int error = injected(Call::duplicate)) return -error;
  return result(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

int write_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset) noexcept {
  while (!bytes.empty()) {
    if (const int error = injected(Call::write)) return -error;
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno != EINTR) return -errno;
    if (written <= 0) continue;
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

int seal_content(int fd) noexcept {
  return result(::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
}

// All there: a hole would be filled when it is read, and kill the reader when there is no memory for it.
int sealed_size(int fd, std::uint64_t& bytes) noexcept {
  constexpr int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
  const int seals = result(::fcntl(fd, F_GET_SEALS));
  if (seals < 0) return seals;
  struct stat status {};
  if (::fstat(fd, &status) < 0) return -errno;
  if ((seals & wanted) != wanted || status.st_size < 0) return -EINVAL;
  if (static_cast<std::uint64_t>(status.st_blocks) * 512 < static_cast<std::uint64_t>(status.st_size)) return -EINVAL;
  bytes = static_cast<std::uint64_t>(status.st_size);
  return 0;
}

// Private: kernels before 6.7 refuse a shared mapping of a file that is sealed against writing.
int map_sealed(int fd, std::size_t bytes, void** where) noexcept {
  if (const int error = injected(Call::mmap)) return -error;
  void* const area = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (area == MAP_FAILED) return -errno;
  *where = area;
  return 0;
}

void read_ahead(void* where, std::size_t bytes) noexcept { ::madvise(where, bytes, MADV_POPULATE_READ); }

int eventfd(bool readable) noexcept {
  if (const int error = injected(Call::eventfd)) return -error;
  return result(::eventfd(readable ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int set_event(int fd, bool readable) noexcept {
  std::uint64_t count = 1;
  long outcome = 0;
  do {
    outcome = readable ? ::write(fd, &count, sizeof count) : ::read(fd, &count, sizeof count);
  } while (outcome < 0 && errno == EINTR);
  return outcome < 0 && errno != EAGAIN ? -errno : 0;  // EAGAIN: it is as wanted already
}

FileIdentity identity_of(int fd) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) < 0) return {};
  return {status.st_dev, status.st_ino};
}

int file_size(int fd, std::uint64_t& bytes) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) < 0) return -errno;
  bytes = static_cast<std::uint64_t>(status.st_size);
  return 0;
}

}  // namespace multiprocessing::os
