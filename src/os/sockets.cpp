#include "os/sockets.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "os/faults.hpp"

namespace multiprocessing::os {
namespace {

int result(long value) noexcept { return value < 0 ? -errno : static_cast<int>(value); }

int set_option(int fd, int level, int name, int value) noexcept {
  return result(::setsockopt(fd, level, name, &value, sizeof value));
}

}  // namespace

int stream_socket(int family) noexcept {
  if (const int error = injected(Call::socket)) return -error;
  return result(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

int bind_socket(int fd, const SocketAddress& address) noexcept {
  if (address.storage.ss_family == AF_UNIX) {
    ::fchmod(fd, S_IRUSR | S_IWUSR);  // of the socket: the path that bind makes has its mode
  } else {
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  }
  return result(::bind(fd, address.get(), address.length));
}

int listen_socket(int fd, int backlog) noexcept { return result(::listen(fd, backlog)); }

int accept_socket(int fd, SocketAddress& peer) noexcept {
  if (const int error = injected(Call::accept)) return -error;
  peer.length = sizeof peer.storage;
  return result(::accept4(fd, peer.get(), &peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

int connect_socket(int fd, const SocketAddress& address) noexcept {
  if (const int error = injected(Call::connect)) return -error;
  return result(::connect(fd, address.get(), address.length));
}

int socket_error(int fd) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) return -errno;
  return -error;
}

int local_address(int fd, SocketAddress& address) noexcept {
  address.length = sizeof address.storage;
  return result(::getsockname(fd, address.get(), &address.length));
}

int read_some(int fd, std::span<std::byte> into) noexcept {
  if (const int error = injected(Call::receive)) return -error;
  return result(::recv(fd, into.data(), into.size(), MSG_DONTWAIT));
}

int peek_some(int fd, std::span<std::byte> into) noexcept {
  if (const int error = injected(Call::receive)) return -error;
  return result(::recv(fd, into.data(), into.size(), MSG_DONTWAIT | MSG_PEEK));
}

int write_some(int fd, std::span<const std::byte> bytes) noexcept {
  if (const int error = injected(Call::send)) return -error;
  return result(::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool is_stream_socket(int fd) noexcept {
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

int shut_down(int fd) noexcept { return result(::shutdown(fd, SHUT_RDWR)); }

int peer_user(int fd, uid_t& user) noexcept {
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0) return -errno;
  user = who.uid;
  return 0;
}

int tune_network_socket(int fd) noexcept {
  constexpr int idle_seconds = 30;
  constexpr int between_seconds = 10;
  constexpr int probes = 3;
  constexpr int unacknowledged_milliseconds = 60'000;
  int outcome = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (outcome >= 0) outcome = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (outcome >= 0) outcome = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds);
  if (outcome >= 0) outcome = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, between_seconds);
  if (outcome >= 0) outcome = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
  if (outcome >= 0) outcome = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, unacknowledged_milliseconds);
  return outcome;
}

int lock_folder(const char* path) noexcept {
  const int fd = result(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd < 0) return fd;
  int outcome = 0;
  do {
    outcome = result(::flock(fd, LOCK_EX | LOCK_NB));
  } while (outcome == -EINTR);
  if (outcome >= 0) return fd;
  ::close(fd);
  return outcome;
}

}  // namespace multiprocessing::os
