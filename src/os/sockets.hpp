// The contract with the kernel, continued: stream sockets, local and over a network.
//
// Results are those of os.hpp: a count, a descriptor or 0; the negative errno.  Nothing blocks, whatever the flags of
// the descriptor; nothing raises SIGPIPE; nothing repeats a call after EINTR but where it says so.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <span>

namespace multiprocessing::os {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
};

int stream_socket(int family) noexcept;  // CLOEXEC, non-blocking
// A local path gets the mode 0600; a port that was in use a moment ago can be had again.
int bind_socket(int fd, const SocketAddress& address) noexcept;
int listen_socket(int fd, int backlog) noexcept;
int accept_socket(int fd, SocketAddress& peer) noexcept;            // CLOEXEC, non-blocking; -EAGAIN
int connect_socket(int fd, const SocketAddress& address) noexcept;  // -EINPROGRESS; -EAGAIN: a full local backlog
int socket_error(int fd) noexcept;                                  // 0, or the errno of what went wrong, negative
int local_address(int fd, SocketAddress& address) noexcept;
int read_some(int fd, std::span<std::byte> into) noexcept;          // 0: the end; -EAGAIN
int peek_some(int fd, std::span<std::byte> into) noexcept;          // the same, and leaves it there
int write_some(int fd, std::span<const std::byte> bytes) noexcept;  // -EAGAIN; -EPIPE
bool is_stream_socket(int fd) noexcept;
int shut_down(int fd) noexcept;               // both ways, for every copy
int peer_user(int fd, uid_t& user) noexcept;  // of a local socket, when it was connected
// Small messages go at once, and a peer that has silently gone is an error within about a minute.
int tune_network_socket(int fd) noexcept;

// A lock on a folder, for those who replace what is in it; gone with the descriptor.  -EWOULDBLOCK: somebody has it.
int lock_folder(const char* path) noexcept;

}  // namespace multiprocessing::os
