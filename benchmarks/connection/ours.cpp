// multiprocessing::Pipe: a message of 64 bytes, there and back.
#include <array>
#include <cstddef>
#include <multiprocessing/connection.hpp>
#include <string>
#include <utility>

#include "harness/child.hpp"
#include "synchronize/workload.hpp"

namespace {

namespace mp = multiprocessing;

struct Ours {
  using Child = bench::Child;
  struct End {
    std::array<mp::Connection, 2> ends;
    std::string message;
    void give(int to) { ends[static_cast<std::size_t>(1 - to)].send(message); }
    void await(int who) { message = ends[static_cast<std::size_t>(who)].recv<std::string>(); }
  };
  [[nodiscard]] End end() const { return {ends, std::string(64, 'x')}; }
  std::array<mp::Connection, 2> ends = [] {
    auto [left, right] = mp::Pipe();
    return std::array<mp::Connection, 2>{std::move(left), std::move(right)};
  }();
};

}  // namespace

int main(int argc, char** argv) { return bench::turns_main<Ours>(argc, argv); }
