// For tests: somebody who has the key of a manager and speaks its protocol, as far as he likes.
//
//   RawClient raw(address);
//   const std::uint64_t queue = raw.make(Kind::queue, {encoded(std::int64_t{0})});
//   EXPECT_EQ(raw.ask({.object = queue, .op = Op::put, .values = {encoded(1)}}).status(), Status::done);
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "manager/protocol.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "os/os.hpp"
#include "os/sockets.hpp"
#include "wire/caller.hpp"
#include "wire/frames.hpp"

namespace multiprocessing::managers::testing {

inline const std::string key = "a key of sixteen bytes or more";
using Bytes = std::vector<std::byte>;

// A value of a request: its bytes, and the objects and handles that it claims to name.
struct Given {
  std::string bytes{};
  std::vector<std::uint64_t> objects{};
  std::vector<std::uint64_t> handles{};
};
inline Given named(std::string text) { return {.bytes = std::move(text)}; }
template <class T>
Given encoded(const T& value) {
  codec::Encoder out;
  codec::encode(out, value);
  return {.bytes = {reinterpret_cast<const char*>(out.bytes().data()), out.size()}};
}

struct Request {
  std::uint64_t object = manager_object;
  Op op = Op::make;
  std::int64_t first = 0;
  std::int64_t second = 0;
  std::vector<Given> values{};
  std::int64_t patience_ns = -1;
  std::uint64_t thread = 1;
  std::optional<std::uint32_t> claimed_values{};  // what the header says instead
};

template <class T>
void append(Bytes& to, const T& plain) {
  const auto bytes = std::as_bytes(std::span(&plain, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}
inline Bytes bytes_of(const Request& request) {
  Bytes bytes;
  const auto values = static_cast<std::uint32_t>(request.values.size());
  append(bytes, RequestHeader{request.object, request.thread, request.patience_ns, request.first, request.second,
                              request.op, request.claimed_values.value_or(values)});
  for (const Given& value : request.values) {
    append(bytes, ValueHeader{value.bytes.size(), static_cast<std::uint32_t>(value.objects.size()),
                              static_cast<std::uint32_t>(value.handles.size())});
    const auto text = std::as_bytes(std::span(value.bytes));
    bytes.insert(bytes.end(), text.begin(), text.end());
    for (const std::uint64_t object : value.objects) append(bytes, object);
    for (const std::uint64_t handle : value.handles) append(bytes, handle);
  }
  return bytes;
}

struct Reply {
  Bytes bytes;
  [[nodiscard]] AnswerHeader header() const { return read_plain<AnswerHeader>(bytes); }
  [[nodiscard]] Status status() const { return header().status; }
  [[nodiscard]] std::string text() const {
    ValueReader in(std::span<const std::byte>(bytes).subspan(sizeof(AnswerHeader)), header().values, ValueReader::in_answer);
    const ValueView value = in.next();
    return {reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()};
  }
};

class RawClient {
 public:
  explicit RawClient(const std::string& address, std::uint64_t max_message = wire::default_max_message,
                     bool greets = true)
      : guest_(wire::call(address, key, detail::Deadline::never(), {.max_message = max_message})) {
    if (!greets) return;
    greet();
    static_cast<void>(receive());
  }

  void greet(std::uint32_t version = protocol_version) {
    Hello hello{{}, version, 0};
    static_cast<void>(os::random_bytes(std::as_writable_bytes(std::span(hello.session))));
    send(Frame::hello, std::as_bytes(std::span(&hello, 1)));
  }
  void send(Frame kind, std::span<const std::byte> bytes) {
    guest_.wire->send(static_cast<std::uint16_t>(kind), 0, bytes);
    say(guest_.wire->take_outgoing());
  }
  void send(const Request& request) { send(Frame::request, bytes_of(request)); }
  // Any bytes, after the handshake.
  void say(std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const int count = os::write_some(guest_.socket.get(), bytes);
      if (count == -EAGAIN) wait(POLLOUT);
      if (count < 0 && count != -EAGAIN) return;  // cut off
      if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  // As much as goes without waiting; false: it was not all.
  [[nodiscard]] bool say_at_once(std::span<const std::byte> bytes) const {
    return os::write_some(guest_.socket.get(), bytes) == static_cast<int>(bytes.size());
  }
  void finish() const { ::shutdown(guest_.socket.get(), SHUT_WR); }  // it says no more
  // Nothing: it was cut off.
  std::optional<wire::Message> receive() {
    for (;;) {
      if (auto message = guest_.wire->next()) return message;
      std::byte buffer[4096];
      const int count = os::read_some(guest_.socket.get(), buffer);
      if (count == -EAGAIN) {
        wait(POLLIN);
      } else if (count <= 0) {
        return std::nullopt;
      } else {
        guest_.wire->received(std::span(buffer).first(static_cast<std::size_t>(count)));
      }
    }
  }
  // Does not say that the answer has come.
  Reply ask(const Request& request) {
    send(request);
    auto message = receive();
    if (!message) throw Error("cut off");
    return {std::move(message->bytes)};
  }
  std::uint64_t make(Kind kind, std::vector<Given> values = {}) {
    values.insert(values.begin(), named(""));
    const Reply reply = ask({.first = static_cast<std::int64_t>(kind), .values = std::move(values)});
    if (reply.status() != Status::done) throw Error("make: " + reply.text());
    return static_cast<std::uint64_t>(reply.header().number);
  }
  void expect_cut_off() {
    while (receive()) {
    }
  }

 private:
  void wait(short events) const {
    pollfd look{guest_.socket.get(), events, 0};
    os::poll({&look, 1}, detail::Deadline::never());
  }
  wire::Guest guest_;
};

}  // namespace multiprocessing::managers::testing
