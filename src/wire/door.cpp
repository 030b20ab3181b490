#include "wire/door.hpp"

#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/error.hpp"

namespace multiprocessing::wire {
namespace {

using namespace std::chrono_literals;
using detail::Deadline;

void pause(std::chrono::milliseconds time) { os::poll({}, Deadline::after(time)); }

std::string temporary_folder() {
  const char* base = ::secure_getenv("XDG_RUNTIME_DIR");
  if (base == nullptr || base[0] != '/') base = ::secure_getenv("TMPDIR");
  if (base == nullptr || base[0] != '/') base = "/tmp";
  std::string name = std::string(base) + "/multiprocessing-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) base::throw_os_error("mkdtemp", name);
  return name;
}

// Held while a path is looked at and replaced.  Whoever holds it for longer than a second is none of ours.
os::PrivateFd lock_of(const std::string& folder) {
  const Deadline patience = Deadline::after(1s);
  for (;;) {
    os::PrivateFd lock;
    const int outcome = lock.open([&] { return os::lock_folder(folder.c_str()); });
    if (outcome != -EWOULDBLOCK || patience.is_over()) return lock;
    pause(10ms);
  }
}

// Nobody listens at this socket any more.
bool is_stale(const os::SocketAddress& address, const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) < 0) return errno == ENOENT;
  if (!S_ISSOCK(status.st_mode) || status.st_uid != ::geteuid()) return false;
  os::PrivateFd probe;
  return probe.open([] { return os::stream_socket(AF_UNIX); }) >= 0 && os::connect_socket(probe.get(), address) == -ECONNREFUSED;
}

os::FileIdentity identity_at(const std::string& path) noexcept {
  struct stat status {};
  if (::lstat(path.c_str(), &status) < 0) return {};
  return {status.st_dev, status.st_ino};
}

os::PrivateFd made(int family, const std::string& object) {
  os::PrivateFd fd;
  const int outcome = fd.open([family] { return os::stream_socket(family); });
  if (outcome < 0) base::throw_os_error("socket", object, -outcome);
  return fd;
}

int connected(int socket, const os::SocketAddress& address, Deadline deadline) {
  for (;;) {
    const int outcome = os::connect_socket(socket, address);
    if (outcome == -EAGAIN) {  // local: its backlog is full, and nothing tells when it is not any more
      if (deadline.is_over()) return -ETIMEDOUT;
      pause(10ms);
      continue;
    }
    if (outcome != -EINPROGRESS && outcome != -EINTR) return outcome;
    pollfd look{socket, POLLOUT, 0};
    const int ready = os::poll({&look, 1}, deadline);
    if (ready < 0) return ready;
    return ready == 0 ? -ETIMEDOUT : os::socket_error(socket);
  }
}

}  // namespace

Door::Door(const Address& address, int backlog, bool any_user) : maker_(::getpid()) {
  if (address.kind == Address::Kind::local) {
    open_local(address, backlog, any_user);
  } else {
    open_network(address, backlog);
  }
}

void Door::open_local(Address address, int backlog, bool any_user) {
  if (address.path.empty()) {
    folder_ = temporary_folder();
    address.path = folder_ + "/listener";
  }
  const std::string folder = address.path.substr(0, std::max<std::size_t>(address.path.rfind('/'), 1));
  if (::mkdir(folder.c_str(), S_IRWXU) < 0 && errno != EEXIST) base::throw_os_error("mkdir", folder);
  const os::SocketAddress where = address.resolve(true).front();
  const os::PrivateFd lock = lock_of(folder);
  os::PrivateFd socket = made(AF_UNIX, address.path);
  int outcome = os::bind_socket(socket.get(), where);
  if (outcome == -EADDRINUSE && is_stale(where, address.path)) {
    ::unlink(address.path.c_str());
    outcome = os::bind_socket(socket.get(), where);
  }
  if (outcome < 0) base::throw_os_error("listen at", address.path, -outcome);
  identity_ = identity_at(address.path);
  path_ = address.path;
  text_ = "unix://" + path_;
  socket_ = std::move(socket);
  constexpr mode_t for_all = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH;
  outcome = any_user && ::chmod(path_.c_str(), for_all) < 0 ? -errno : os::listen_socket(socket_.get(), backlog);
  if (outcome < 0) {
    close();
    base::throw_os_error("listen at", path_, -outcome);
  }
}

void Door::open_network(const Address& address, int backlog) {
  const std::string name = address.host + ":" + std::to_string(address.port);
  int outcome = -EADDRNOTAVAIL;
  for (const os::SocketAddress& where : address.resolve(true)) {
    os::PrivateFd socket = made(where.storage.ss_family, name);
    outcome = os::bind_socket(socket.get(), where);
    if (outcome >= 0) outcome = os::listen_socket(socket.get(), backlog);
    os::SocketAddress got;
    if (outcome >= 0) outcome = os::local_address(socket.get(), got);
    if (outcome < 0) continue;
    socket_ = std::move(socket);
    text_ = text_of(got, address.always_tls);
    on_this_machine_ = wire::is_on_this_machine(got);
    return;
  }
  base::throw_os_error("listen at", name, -outcome);
}

void Door::close() noexcept {
  if (!socket_) return;
  if (!path_.empty() && maker_ == ::getpid() && identity_at(path_) == identity_) {
    ::unlink(path_.c_str());
    if (!folder_.empty()) ::rmdir(folder_.c_str());
  }
  socket_.reset();
}

os::PrivateFd connect(const Address& address, Deadline deadline, os::SocketAddress& at) {
  const bool local = address.kind == Address::Kind::local;
  const std::string name = local ? address.path : address.host + ":" + std::to_string(address.port);
  int outcome = -EADDRNOTAVAIL;
  for (const os::SocketAddress& where : address.resolve(false)) {
    os::PrivateFd socket = made(where.storage.ss_family, name);
    outcome = connected(socket.get(), where, deadline);
    if (outcome >= 0 && !local) outcome = os::tune_network_socket(socket.get());
    if (outcome < 0) continue;
    at = where;
    return socket;
  }
  base::throw_os_error("connect to", name, -outcome);
}

}  // namespace multiprocessing::wire
