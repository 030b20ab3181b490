// The library inside a shared library that is opened by dlopen: 0 when children begin in it and pools run its functions
// under every start method.
#include <cstdlib>
#include <multiprocessing/multiprocessing.hpp>
#include <string>

namespace mp = multiprocessing;

namespace {

const std::string made_by_initialiser = "made by an initialiser";

void target(mp::Queue<std::string> to) {
  const bool is_clean = std::getenv("LD_PRELOAD") == nullptr && std::getenv("MULTIPROCESSING_START") == nullptr;
  to.put(is_clean ? made_by_initialiser : "the environment is not that of the parent");
}

std::string greeting(const std::string& name) { return name + made_by_initialiser; }

}  // namespace

extern "C" int run_plugin() {
  for (const auto method : mp::get_all_start_methods()) {
    for (int i = 0; i < 2; ++i) {
      mp::Queue<std::string> queue;
      mp::Process child = mp::get_context(method).process(target, queue);
      child.start();
      child.join();
      if (child.exitcode() != 0 || queue.get() != made_by_initialiser) return 1;
    }
    mp::Pool pool = mp::get_context(method).pool(2);
    if (pool.apply(greeting, "") != made_by_initialiser) return 1;
    if (pool.apply([](int x) { return x + 1; }, 1) != 2) return 1;
  }
  return 0;
}
