// A server with a fixed number of processes that all accept from one listener.  One that dies is replaced; after 1,000
// clients one is, too.  SIGHUP replaces all of them, each when it has served its client; SIGTERM ends the server so.
//
//   echo_pool ADDRESS KEYFILE PROCESSES
#include <algorithm>
#include <cctype>
#include <csignal>
#include <fstream>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

constexpr int clients_of_a_worker = 1000;
volatile std::sig_atomic_t ending = 0, renewing = 0;

void serve(const mp::Connection& client) {
  try {
    for (;;) {
      auto text = client.recv<std::string>();
      if (text == "crash") std::abort();
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
      client.send(text);
    }
  } catch (const mp::Error&) {  // the end, mostly; and what this client did wrong is no other's business
  }
}

void work(const mp::Listener& listener) {
  std::signal(SIGHUP, SIG_IGN);                   // the server's
  std::signal(SIGTERM, [](int) { ending = 1; });  // after this client
  for (int served = 0; served < clients_of_a_worker && ending == 0;) {
    if (const auto client = listener.accept(100ms)) {
      serve(*client);
      ++served;
    }
  }
  while (const auto client = listener.drain()) serve(*client);  // who was being let in
}

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "usage: echo_pool ADDRESS KEYFILE PROCESSES\n";
    return 2;
  }
  std::string key;
  std::getline(std::ifstream(argv[2]), key);
  std::signal(SIGHUP, [](int) { renewing = 1; });
  std::signal(SIGTERM, [](int) { ending = 1; });
  const mp::Listener listener({.address = argv[1], .authkey = key, .idle_timeout = 60s, .max_message = 1 << 20});
  std::cout << "listening at " << listener.address() << std::endl;

  std::vector<mp::Process> workers;
  const auto start_one = [&] {  // a daemon: it does not outlive the server, whatever ends that
    workers.emplace_back(mp::ProcessOptions{.daemon = true}, [&listener] { work(listener); }).start();
  };
  for (int i = 0; i < std::stoi(argv[3]); ++i) start_one();
  while (ending == 0) {
    if (std::exchange(renewing, 0) != 0) {
      for (mp::Process& worker : workers) worker.terminate();
      std::cout << "renewing" << std::endl;
    }
    std::vector<mp::Waitable> ends;
    for (const mp::Process& worker : workers) ends.emplace_back(worker.sentinel());
    const auto ended = mp::wait(ends, 100ms);
    for (auto i = ended.rbegin(); i != ended.rend(); ++i) workers.erase(workers.begin() + static_cast<long>(*i));
    for (std::size_t i = 0; i < ended.size(); ++i) start_one();
  }
  for (mp::Process& worker : workers) worker.terminate();
  for (mp::Process& worker : workers) worker.join();
  return 0;
} catch (const std::exception& error) {
  std::cerr << "echo: " << error.what() << '\n';
  return 1;
}
