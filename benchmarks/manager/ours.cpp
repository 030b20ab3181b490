// multiprocessing::Manager: a dict's get, by one client or several; --network: through a socket instead of shared memory.
#include <cstddef>
#include <multiprocessing/manager.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/synchronize.hpp>
#include <string>
#include <vector>

#include "harness/arguments.hpp"
#include "harness/placement.hpp"
#include "harness/sample.hpp"

namespace {

namespace mp = multiprocessing;
using Dict = mp::DictProxy<std::string, int>;

void get(const Dict& dict, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) bench::require(dict.at("a") == 7, "the value is another one");
}

bench::Sample measure(const bench::Arguments& arguments) {
  const std::size_t items = arguments.number("items", 100'000);
  const std::size_t clients = arguments.number("clients", 1);
  const std::string key = "a key that both sides know";
  const mp::Manager manager(arguments.flag("network") ? mp::ManagerOptions{.address = "tcp://127.0.0.1:0", .authkey = key}
                                                      : mp::ManagerOptions{});
  const auto dict = [&] {
    const Dict made = manager.dict<std::string, int>("dict");
    made.set("a", 7);
    return arguments.flag("network") ? mp::connect_manager(manager.address(), key).dict<std::string, int>("dict") : made;
  }();
  get(dict, 100);
  if (clients == 1) return bench::timed(items, [&] { get(dict, items); });
  const mp::Barrier gate(static_cast<int>(clients) + 1);
  std::vector<mp::Process> processes;
  for (std::size_t i = 0; i < clients; ++i) {
    processes.emplace_back([&] {
      get(dict, 1);
      gate.wait();
      get(dict, items / clients);
      gate.wait();
    });
    processes.back().start();
  }
  gate.wait();
  return bench::timed(items / clients * clients, [&] { gate.wait(); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::report([&] { return measure(bench::Arguments(argc, argv)); });
}
