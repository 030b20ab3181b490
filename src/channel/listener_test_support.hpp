// What the tests of listeners share.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/listener.hpp"
#include "os/os.hpp"
#include "os/sockets.hpp"
#include "support/watchdog.hpp"
#include "wire/door.hpp"

namespace multiprocessing::testing {

using namespace std::chrono_literals;

inline const std::string listener_key = "a key of more than 16 bytes";

// Both ends of a connection, made by a Listener and a Client in this process.
struct SocketEnds {
  SocketEnds(const Listener& listener, const std::string& key, ClientOptions options = {})
      : SocketEnds(made(listener, key, std::move(options))) {}
  Connection server;
  Connection client;

 private:
  explicit SocketEnds(std::pair<Connection, Connection> both)
      : server(std::move(both.first)), client(std::move(both.second)) {}
  static std::pair<Connection, Connection> made(const Listener& listener, const std::string& key,
                                                ClientOptions options) {
    std::optional<Connection> client;
    std::thread connecting([&] { client.emplace(Client(listener.address(), key, options)); });
    Connection server = listener.accept();
    connecting.join();
    return {std::move(server), std::move(*client)};
  }
};

// A socket that knows nothing of this library.
class Stranger {
 public:
  explicit Stranger(const std::string& address) {
    os::SocketAddress at;
    socket_ = wire::connect(wire::Address::parse(address), detail::Deadline::never(), at);
  }
  explicit Stranger(const Listener& listener) : Stranger(listener.address()) {}
  void say(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const int count = os::write_some(socket_.get(), bytes);
      if (count == -EAGAIN) wait(POLLOUT);
      if (count < 0 && count != -EAGAIN) return;  // it has been sent away
      if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void say(const std::string& text) const { say(std::as_bytes(std::span(text))); }
  // Reads until there are so many, or the end.
  [[nodiscard]] std::vector<std::byte> hear(std::size_t bytes) const {
    std::vector<std::byte> heard;
    while (heard.size() < bytes) {
      std::byte buffer[4096];
      const int count =
          os::read_some(socket_.get(), std::span(buffer).first(std::min(sizeof buffer, bytes - heard.size())));
      if (count == -EAGAIN) {
        wait(POLLIN);
        continue;
      }
      if (count <= 0) break;
      heard.insert(heard.end(), buffer, buffer + count);
    }
    return heard;
  }
  void wait_for_end() const { static_cast<void>(hear(static_cast<std::size_t>(-1))); }
  void hang_up() { socket_.reset(); }
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  void wait(short events) const {
    pollfd look{socket_.get(), events, 0};
    os::poll({&look, 1}, detail::Deadline::never());
  }
  os::PrivateFd socket_;
};

// Somebody accepts, and answers everything with what it was told, until the object goes.
class Echo {
 public:
  explicit Echo(const Listener& listener) : listener_(listener), thread_([this] { run(); }) {}
  ~Echo() {
    stop_ = true;
    thread_.join();
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

 private:
  void run() const {
    while (!stop_) {
      std::optional<Connection> one = listener_.accept(10ms);
      if (!one) continue;
      try {
        for (;;) one->send(one->recv<std::string>());
      } catch (const Error&) {
      }
    }
  }
  Listener listener_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

inline void expect_served(const Listener& listener, const std::string& key) {
  const Connection client = Client(listener.address(), key);
  client.send("still there?");
  EXPECT_EQ(client.recv<std::string>(), "still there?");
}

// What this process writes to stderr, at level warning, while the object lives.
class Logged {
 public:
  Logged() : before_(::dup(STDERR_FILENO)), file_(::memfd_create("stderr", MFD_CLOEXEC)) {
    log_to_stderr();
    std::fflush(stderr);
    ::dup2(file_.get(), STDERR_FILENO);
  }
  ~Logged() {
    std::fflush(stderr);
    ::dup2(before_.get(), STDERR_FILENO);
    base::lowest_log_level = base::log_nothing;
  }
  Logged(const Logged&) = delete;
  Logged& operator=(const Logged&) = delete;
  [[nodiscard]] std::string text() const {
    std::string text;
    char buffer[4096];
    for (off_t at = 0;;) {
      const ssize_t count = ::pread(file_.get(), buffer, sizeof buffer, at);
      if (count <= 0) return text;
      text.append(buffer, static_cast<std::size_t>(count));
      at += count;
    }
  }
  void wait_for(const std::string& part) const {
    while (text().find(part) == std::string::npos) os::poll({}, detail::Deadline::after(1ms));
  }

 private:
  const base::Fd before_;
  const base::Fd file_;
};

inline std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace multiprocessing::testing
