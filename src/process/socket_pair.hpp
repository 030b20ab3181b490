// Two connected sockets for packets, above the standard streams' numbers.
#pragma once

#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"

namespace multiprocessing::process_ {

class SocketPair {
 public:
  SocketPair() {
    int ends[2];
    if (const int error = os::message_socketpair(ends); error < 0) base::throw_os_error("socketpair", "", -error);
    const int first = os::above_standard(ends[0]);
    const int second = os::above_standard(ends[1]);
    if (first >= 0) ours_ = base::Fd(first);
    if (second >= 0) theirs_ = base::Fd(second);
    if (first < 0 || second < 0) base::throw_os_error("duplicate", "socket", first < 0 ? -first : -second);
  }
  [[nodiscard]] int ours() const noexcept { return ours_.get(); }
  [[nodiscard]] int theirs() const noexcept { return theirs_.get(); }
  [[nodiscard]] base::Fd take_ours() noexcept { return std::move(ours_); }

 private:
  base::Fd ours_;
  base::Fd theirs_;
};

}  // namespace multiprocessing::process_
