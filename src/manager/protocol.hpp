// The messages between a manager's clients and its server, as bytes: docs/formats/manager.md.
//
//   request   RequestHeader | value × values
//   answer    AnswerHeader  | value × values
//   value     ValueHeader   | bytes | served objects that the bytes name | handles that they name (family only)
//
// In a request a served object is its number; in an answer number and companion (the handle by which members of the
// server's family hold it; 0 on its way elsewhere).  Handles are ids of the arena.
//
// Over a socket each is a frame (wire/frames.hpp) of one of the kinds below.  A client begins with `hello`, and has one
// request on its way at a time; `confirm` and `post` have no answer.
//
// Nothing in here is believed before it is checked: bytes from a socket, and memory that a dying process has written to,
// are read through ValueReader only, which never reads past its bytes and never allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "multiprocessing/detail/archive_bytes.hpp"
#include "multiprocessing/detail/manager_client.hpp"

namespace multiprocessing::managers {

enum class Frame : std::uint16_t {
  hello = 1,    // Hello
  welcome = 2,  // Welcome
  request = 3,
  answer = 4,
  confirm = 5,  // empty: the answer has come
  post = 6,     // a request
};
struct Hello {
  std::array<char, 16> session;  // the same for all connections of a process
  std::uint32_t version;
  std::uint32_t reserved;
};
struct Welcome {
  std::array<char, 16> manager;
  std::uint32_t version;
  std::uint32_t reserved;
};
inline constexpr std::uint32_t protocol_version = 1;

inline constexpr std::uint64_t manager_object = 0;  // the number of the manager itself

struct RequestHeader {
  std::uint64_t object;
  std::uint64_t thread;      // of the client's process: for locks
  std::int64_t patience_ns;  // negative: for ever
  std::int64_t first;
  std::int64_t second;
  Op op;
  std::uint32_t values;
};
static_assert(sizeof(RequestHeader) == 48);

enum class Status : std::uint32_t {
  done = 0,
  timed_out = 1,
  // What follows has one value, a text, and is thrown by the client as …
  closed = 2,         // Closed
  missing = 3,        // std::out_of_range
  type_mismatch = 4,  // TypeMismatch
  not_held = 5,       // std::logic_error
  invalid = 6,        // std::invalid_argument
  broken = 7,         // BrokenBarrier
  not_sendable = 8,   // NotSendable
  error = 9,          // Error
  thrown = 10,        // the value is an exception of user code (pool::decode_exception)
  empty = 11,         // Empty
};

struct AnswerHeader {
  std::int64_t number;
  Status status;
  std::uint32_t values;
  std::uint32_t confirm;  // 1: the server takes the effect back unless the client confirms the answer
  std::uint32_t reserved;
};
static_assert(sizeof(AnswerHeader) == 24);

struct ValueHeader {
  std::uint64_t bytes;
  std::uint32_t objects;
  std::uint32_t handles;
};
static_assert(sizeof(ValueHeader) == 16);

template <class T>
[[nodiscard]] T read_plain(std::span<const std::byte> from) noexcept {
  T value;
  std::memcpy(&value, from.data(), sizeof value);
  return value;
}

// A value where it lies: borrowed.
struct ValueView {
  std::span<const std::byte> bytes;
  std::span<const std::byte> objects;  // of 8 bytes each in a request, of 16 in an answer
  std::span<const std::byte> handles;  // of 8 bytes each
  [[nodiscard]] std::size_t object_count(std::size_t each) const noexcept { return objects.size() / each; }
  [[nodiscard]] std::size_t handle_count() const noexcept { return handles.size() / sizeof(std::uint64_t); }
  [[nodiscard]] std::uint64_t handle(std::size_t i) const noexcept {
    return read_plain<std::uint64_t>(handles.subspan(i * sizeof(std::uint64_t)));
  }
};

class ValueReader {
 public:
  static constexpr std::size_t in_request = 8;
  static constexpr std::size_t in_answer = 16;

  ValueReader(std::span<const std::byte> bytes, std::uint32_t values, std::size_t object_bytes) noexcept
      : in_(bytes), left_(values), object_bytes_(object_bytes) {}
  // Throws Error("message truncated …").
  ValueView next() {
    if (left_ == 0) codec::throw_malformed("fewer values than the operation takes");
    --left_;
    const auto header = read_plain<ValueHeader>(in_.take(sizeof(ValueHeader)));
    if (header.bytes > in_.remaining()) codec::throw_truncated(header.bytes, in_.remaining());
    ValueView value;
    value.bytes = in_.take(header.bytes);
    value.objects = in_.take(header.objects * object_bytes_);
    value.handles = in_.take(header.handles * sizeof(std::uint64_t));
    return value;
  }
  [[nodiscard]] std::uint32_t left() const noexcept { return left_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return in_.remaining(); }

 private:
  codec::Decoder in_;
  std::uint32_t left_;
  std::size_t object_bytes_;
};

}  // namespace multiprocessing::managers
