// SocketHere: says, while it lives, that a socket belongs to this process alone.
//
// A forked child has copies of all descriptors, and a socket is closed with the last of them: when this process is killed
// and a child of it lives on, the other end would never hear of it, and locks that died with this process would stay held.
// So a child closes its copies of these at once (SOCK_CLOEXEC does the same where another program is executed).
//
// Threads: any.  Fork: in the child the object means nothing; it is not to be destroyed there, nor the socket closed again.
#pragma once

namespace multiprocessing::managers {

class SocketHere {
 public:
  explicit SocketHere(int fd);  // may throw std::bad_alloc
  ~SocketHere();                // before the socket is closed
  SocketHere(const SocketHere&) = delete;
  SocketHere& operator=(const SocketHere&) = delete;

  struct Place;

 private:
  Place* const place_;
};

}  // namespace multiprocessing::managers
