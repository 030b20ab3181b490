// Redis over a Unix socket: GET of one key, by one client.  The protocol is written by hand: no client library is in it.
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "harness/arguments.hpp"
#include "harness/sample.hpp"
#include "harness/team.hpp"

namespace {

class Connection {
 public:
  explicit Connection(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    for (int tries = 0; ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0; ++tries) {
      bench::require(tries < 5'000, "redis-server does not start");
      ::usleep(1'000);
    }
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(fd_); }

  void call(std::string_view request, std::string_view expected) const {
    bench::require(::write(fd_, request.data(), request.size()) == static_cast<ssize_t>(request.size()), "write");
    char answer[64];
    std::size_t have = 0;
    while (have < expected.size()) {
      const ssize_t count = ::read(fd_, answer + have, sizeof answer - have);
      bench::require(count > 0, "read");
      have += static_cast<std::size_t>(count);
    }
    bench::require(std::string_view(answer, have) == expected, "the value is another one");
  }

 private:
  int fd_;
};

bench::Sample measure(const bench::Arguments& arguments) {
  const std::size_t items = arguments.number("items", 30'000);
  char folder[] = "/tmp/benchmark-redis-XXXXXX";
  bench::require(::mkdtemp(folder) != nullptr, "mkdtemp");
  const std::string path = std::string(folder) + "/socket";
  bench::Sample sample;
  {
    const bench::RawFork server([&] {
      if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(127);  // what it says is no figure
      ::execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path.c_str(), "--save", "", "--loglevel",
               "warning", "--dir", folder, static_cast<char*>(nullptr));
      ::_exit(127);
    });
    const Connection connection(path);
    connection.call("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n7\r\n", "+OK\r\n");
    sample = bench::timed(items, [&] {
      for (std::size_t i = 0; i < items; ++i) connection.call("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$1\r\n7\r\n");
    });
  }
  ::unlink(path.c_str());
  ::rmdir(folder);
  return sample;
}

}  // namespace

int main(int argc, char** argv) {
  return bench::report([&] { return measure(bench::Arguments(argc, argv)); });
}
