// multiprocessing::Event: one for each side.
#include <array>
#include <multiprocessing/synchronize.hpp>

#include "harness/child.hpp"
#include "synchronize/workload.hpp"

namespace {

struct Ours {
  using Child = bench::Child;
  struct End {
    std::array<multiprocessing::Event, 2> turn;
    void give(int to) const { turn[static_cast<std::size_t>(to)].set(); }
    void await(int who) const {
      turn[static_cast<std::size_t>(who)].wait();
      turn[static_cast<std::size_t>(who)].clear();
    }
  };
  End end() const { return {turn}; }
  std::array<multiprocessing::Event, 2> turn;
};

}  // namespace

int main(int argc, char** argv) { return bench::turns_main<Ours>(argc, argv); }
