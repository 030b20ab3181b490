// Beside: the same over a bare pair of Unix sockets that keep the boundaries of messages.
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <stdexcept>

#include "synchronize/workload.hpp"

namespace {

struct Bare {
  using Child = bench::RawFork;
  struct End {
    std::array<int, 2> ends;
    std::array<char, 64> message;
    void give(int to) {
      bench::require(::send(ends[static_cast<std::size_t>(1 - to)], message.data(), message.size(), 0) == 64, "send");
    }
    void await(int who) {
      bench::require(::recv(ends[static_cast<std::size_t>(who)], message.data(), message.size(), 0) == 64, "recv");
    }
  };
  Bare() { bench::require(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) == 0, "socketpair"); }
  [[nodiscard]] End end() const { return {ends, {}}; }
  std::array<int, 2> ends{};
};

}  // namespace

int main(int argc, char** argv) { return bench::turns_main<Bare>(argc, argv); }
