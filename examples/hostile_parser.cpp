// A parser that cannot be trusted: some documents crash it, one makes it loop, one makes it eat all memory.  Each of them
// costs its own result and nothing else.
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <multiprocessing/pool.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

// Somebody else's code.
int count_brackets(const std::string& document) {
  if (document == "<!crash>") *static_cast<volatile int*>(nullptr) = 1;
  if (document == "<!loop>") {
    for (volatile bool never = true; never;) {
    }
  }
  std::string eaten = document;
  while (document == "<!eat>") eaten += eaten;
  if (document == "<!exit>") std::_Exit(3);
  int brackets = 0;
  for (const char c : document) brackets += c == '<';
  return brackets;
}

std::string reason(const mp::AsyncResult<int>& result) try {
  return std::to_string(result.get()) + " brackets";
} catch (const mp::WorkerDied& death) {
  return death.signal() ? "died of signal " + std::to_string(*death.signal())
                        : "exited with code " + std::to_string(*death.exit_code());
} catch (const mp::TaskTimeout&) {
  return "took too long";
} catch (const mp::MemoryLimitExceeded&) {
  return "took too much memory";
}

int main() {
  const std::vector<std::string> documents = {"<a><b>",       "<!crash>", "<p>",     "<!loop>",
                                              "<ul><li><li>", "<!eat>",   "<!exit>", "<q>"};
  mp::Pool pool({.processes = 2, .memory_limit = mp::mib(20)});
  std::vector<mp::AsyncResult<int>> results;
  for (const std::string& document : documents) {
    results.push_back(pool.apply_async({.timeout = 1s}, count_brackets, document));
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    std::cout << documents[i] << ": " << reason(results[i]) << std::endl;
  }
}
