// Door: a listening socket, and the path of a Unix socket while it lives.
//
// A path is replaced when nobody listens there any more (its listener was killed); EADDRINUSE when somebody does.  That is
// looked at and done under a lock on the folder, so that of two who replace the same path one gets EADDRINUSE.  Nothing
// in the abstract namespace, where any user of the machine could be.
//
//  the listener died …                 what others see
//   after mkdir, before bind           an empty folder, 0700, that the next one uses
//   between bind and listen            connections are refused; the next listener replaces the path
//   later                              the same
#pragma once

#include <string>

#include "multiprocessing/detail/deadline.hpp"
#include "os/os.hpp"
#include "os/private_fd.hpp"
#include "wire/address.hpp"

namespace multiprocessing::wire {

class Door {
 public:
  // Throws OsError, Error for an unknown host.  `any_user`: others of this machine may connect to a path, too.
  Door(const Address& address, int backlog, bool any_user = false);
  ~Door() { close(); }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] const std::string& address() const noexcept { return text_; }  // with the port that it has got
  [[nodiscard]] bool is_local() const noexcept { return !path_.empty(); }
  [[nodiscard]] bool is_on_this_machine() const noexcept { return on_this_machine_; }
  // The path goes with it, in the process that made it.
  void close() noexcept;
  // Who is forked from now on may accept here, too.
  void share() noexcept { socket_.share(); }

 private:
  void open_local(Address address, int backlog, bool any_user);
  void open_network(const Address& address, int backlog);

  os::PrivateFd socket_;
  std::string text_;
  std::string path_;
  std::string folder_;  // that goes, too
  os::FileIdentity identity_;
  pid_t maker_ = 0;
  bool on_this_machine_ = true;
};

// A connected socket.  Throws OsError: ECONNREFUSED, ETIMEDOUT …, with the address.  `at`: where it has got to.
[[nodiscard]] os::PrivateFd connect(const Address& address, detail::Deadline deadline, os::SocketAddress& at);

}  // namespace multiprocessing::wire
