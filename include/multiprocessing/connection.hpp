// Pipe and Connection: messages between two ends, as Python's multiprocessing.Pipe.
//
//   auto [left, right] = mp::Pipe();                     // both ends send and receive
//   mp::Process child([](mp::Connection to_parent) { to_parent.send(std::vector<int>{1, 2, 3}); }, right);
//   child.start();
//   right.close();                                       // the child has its own: see "The end of file"
//   auto numbers = left.recv<std::vector<int>>();
//
//   auto [in, out] = mp::Pipe({.duplex = false});        // `in` only receives, `out` only sends
//
// Messages: any value that can be sent (serialize.hpp), from 0 bytes to 1 TiB; a string literal travels as std::string.
// recv<T>() of another type than was sent throws TypeMismatch, and the message stays.  A message may hold handles of
// this library (queues …), which it keeps alive on its way; Descriptors; and connections, this one's other end
// included.  Those two travel through connections only: a Queue or a pool's task that is given one throws NotSendable.
//
// Sending.  A message is delivered whole or not at all, whenever its sender dies; what was sent stays after that.
// send() blocks while too much is on its way: some hundred small messages, or four or more large ones; a single message
// of any size finds room at once, so two sides that send each other 200 MB at the same time both go on.
// Once nobody is left who could receive, send() throws OsError with EPIPE; there is no SIGPIPE.
//
// The end of file.  recv() throws EndOfFile, and poll() and wait() say "ready", once everything was received and no
// process holds the other end any more: closed, ended or killed.  A forked child inherits what its parent has open: so
// as in Python, each process closes the ends that it does not use, also the other end of its own.
//
// Handles: copies of a Connection in one process share one descriptor; close() closes it for all of them, and a thread
// that waits in one of them gets OsError within 100 ms.  All operations are const.
// Threads: any number of threads of any number of processes may use one end; each message goes to one receiver, and
// the messages of one thread arrive in their order.  One Connection object is like an int.
// Fork: the child has copies of its parent's ends.  A receiver that dies before its recv() has returned leaves the
// message to the others of its end, or has taken it along.
// Errors: EndOfFile, TypeMismatch; OsError: EPIPE; EBADF for the wrong direction and for a closed connection; EMFILE
// when a message has descriptors and this process has none left (the message stays).  Error: somebody has written
// something else into the socket; that packet is dropped and the next recv() goes on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/link.hpp"
#include "multiprocessing/detail/message_buffer.hpp"
#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

// A file descriptor as a value that can be sent through a connection.
//
//   left.send(mp::Descriptor(::fileno(file)));
//   auto file = right.recv<mp::Descriptor>();            // another number, the same open file
//
// Copies share one descriptor; it is closed with the last of them.
class Descriptor {
 public:
  explicit Descriptor(int fd);  // a duplicate: `fd` stays the caller's.  Throws OsError
  [[nodiscard]] int fileno() const noexcept { return fd_.get(); }

  // Travelling inside messages (serialize.hpp).
  explicit Descriptor(codec::Undecoded) noexcept {}
  template <class Archive>
  void save(Archive& archive) const {
    archive.carry(fd_);
  }
  template <class Archive>
  void load(Archive& archive) {
    fd_ = archive.adopt_descriptor();
  }

 private:
  friend class Waitable;
  detail::SharedFd fd_;
};

struct PipeOptions {
  bool duplex = true;  // false: the first end only receives, the second only sends
};

class Connection {
 public:
  template <class T>
  void send(const T& value) const {
    using Sent = codec::travel_t<T>;  // text as std::string
    if constexpr (std::is_same_v<Sent, T>) {
      send_value(value);
    } else {
      send_value(Sent(value));
    }
  }

  template <class T>
  T recv() const {
    static_assert(std::is_same_v<T, std::remove_cvref_t<T>>, "recv: a plain value type");
    const Received received(*this, type_of<T>(), typeid(T));
    return received.template value<T>();
  }

  // Bytes as they are; recv_bytes() takes only what send_bytes() sent.
  void send_bytes(std::span<const std::byte> bytes) const { link("send").send({0, bytes, {}, {}}); }
  void send_bytes(std::string_view bytes) const { send_bytes(std::as_bytes(std::span(bytes))); }
  std::vector<std::byte> recv_bytes() const {
    const Received received(*this, 0, typeid(std::byte));
    return {received.bytes().begin(), received.bytes().end()};
  }

  // True: recv() would not block, for a message or the end of file is there (or comes within `patience`).
  [[nodiscard]] bool poll() const { return link("poll").readable(detail::Deadline::passed()); }
  template <class Rep, class Period>
  [[nodiscard]] bool poll(std::chrono::duration<Rep, Period> patience) const {
    return link("poll").readable(detail::Deadline::after(patience));
  }

  // Polls readable when poll() is true: for the program's own poll or epoll, not to be read from.  Valid until close().
  [[nodiscard]] int fileno() const { return link("fileno").fileno(); }
  // Idempotent.  What was sent before is still delivered.
  void close() const noexcept {
    if (link_ != nullptr) link_->close();
  }
  [[nodiscard]] bool closed() const noexcept { return link_ == nullptr || link_->closed(); }

  // Travelling inside messages (serialize.hpp).
  explicit Connection(codec::Undecoded) noexcept {}
  template <class Archive>
  void save(Archive& archive) const {
    const channel::Link::Parts parts = link("send").parts();
    archive.carry(parts.fd);
    archive(parts.ways);
    if (parts.ways == channel::Ways::wire) {
      archive(parts.state);
    } else {
      archive.carry(parts.in);
      archive.carry(parts.out);
    }
  }
  template <class Archive>
  void load(Archive& archive) {
    channel::Link::Parts parts;
    parts.fd = archive.adopt_descriptor();
    archive(parts.ways);
    if (parts.ways == channel::Ways::wire) {
      archive(parts.state);
    } else {
      parts.in = archive.adopt();
      parts.out = archive.adopt();
    }
    link_ = channel::Link::arrived(std::move(parts));
  }

  // Made by Pipe().
  explicit Connection(std::shared_ptr<channel::Link> link) noexcept : link_(std::move(link)) {}

 private:
  friend class Waitable;

  // A message between its arrival and its value.
  class Received {
   public:
    Received(const Connection& from, std::uint64_t type, const std::type_info& wanted) {
      from.link("recv").receive(type, wanted, *incoming_);
    }
    ~Received() { incoming_->done(); }
    Received(const Received&) = delete;
    Received& operator=(const Received&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return incoming_->bytes(); }
    template <class T>
    [[nodiscard]] T value() const {
      if constexpr (codec::is_bulk<T>) {
        if (bytes().size() % sizeof(typename T::value_type) != 0) codec::throw_malformed("a part of an element");
        T value{};
        codec::bulk_reserve(value, bytes().size());
        codec::bulk_assign(value, bytes());
        return value;
      } else {
        codec::Decoder decoder(bytes(), incoming_->descriptors());
        if (incoming_->is_foreign()) decoder.forbid_handles();
        return codec::decode<T>(decoder);
      }
    }

   private:
    mutable channel::Scratch<channel::Incoming> incoming_;
  };

  // The calling thread's encoder, with leave to take descriptors while this object lives.
  class Encoding {
   public:
    Encoding() {
      encoder_->clear();
      encoder_->let_descriptors_travel(true);
    }
    ~Encoding() {
      encoder_->clear();
      encoder_->let_descriptors_travel(false);
    }
    Encoding(const Encoding&) = delete;
    Encoding& operator=(const Encoding&) = delete;
    codec::Encoder& operator*() noexcept { return *encoder_; }

   private:
    channel::Scratch<codec::Encoder> encoder_;
  };

  template <class T>
  static std::uint64_t type_of() noexcept {
    return channel::fingerprint(typeid(T).name());
  }

  template <class T>
  void send_value(const T& value) const {
    if constexpr (codec::is_bulk<T>) {
      link("send").send({type_of<T>(), codec::bulk_bytes(value), {}, {}});
    } else {
      Encoding encoding;
      codec::encode(*encoding, value);
      link("send").send({type_of<T>(), (*encoding).bytes(), (*encoding).carried(), (*encoding).descriptors()});
    }
  }

  [[nodiscard]] const channel::Link& link(const char* verb) const {
    if (link_ == nullptr) channel::throw_closed_connection(verb);
    return *link_;
  }

  std::shared_ptr<channel::Link> link_;
};

// The two ends of a new connection.  Throws OsError when the OS has no descriptor or memory left.
[[nodiscard]] std::pair<Connection, Connection> Pipe(PipeOptions options = {});

}  // namespace multiprocessing

#pragma GCC visibility pop
