// A server with a process for each client: what one client makes its process do, crash included, no other notices.
//
//   echo_process_per_client ADDRESS KEYFILE            serves until it is interrupted
//   echo_process_per_client ADDRESS KEYFILE TEXT…      a client: prints each text as the server gives it back
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <csignal>
#include <fstream>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

namespace {

volatile std::sig_atomic_t stopped = 0;

// In a process of its own.
void serve(const mp::Connection& client) {
  try {
    for (;;) {
      auto text = client.recv<std::string>();
      if (text == "crash") ::abort();
      std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
      client.send(text);
    }
  } catch (const mp::EndOfFile&) {  // it has hung up
  }
}

void listen(const std::string& address, const std::string& key) {
  const mp::Listener listener({.address = address, .authkey = key, .max_connections = 100});
  std::cout << "listening at " << listener.address() << std::endl;
  while (stopped == 0) {
    const auto client = listener.accept(200ms);
    if (!client) continue;
    mp::Process process({.daemon = true}, serve, *client);
    process.start();
    client->close();  // the child has its own; now it is the only one, and its end is the client's end of file
  }
}

void ask(const std::string& address, const std::string& key, char** texts) {
  const mp::Connection server = mp::Client(address, key);
  for (; *texts != nullptr; ++texts) {
    server.send(std::string(*texts));
    std::cout << server.recv<std::string>() << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::cerr << "usage: echo_process_per_client ADDRESS KEYFILE [TEXT...]\n";
    return 2;
  }
  std::string key;
  std::getline(std::ifstream(argv[2]), key);
  mp::log_to_stderr();
  std::signal(SIGTERM, [](int) { stopped = 1; });
  std::signal(SIGINT, [](int) { stopped = 1; });
  argc == 3 ? listen(argv[1], key) : ask(argv[1], key, argv + 3);
  return 0;
} catch (const std::exception& error) {
  std::cerr << "echo: " << error.what() << '\n';
  return 1;
}
