// Encoder and Decoder: the bytes of one message, being written and being read.
//
//   Encoder out;                       // kept and reused: clear() keeps the memory
//   encode(out, value);                // archive.hpp
//   send(out.bytes());
//   …
//   Decoder in(received);              // borrows: `received` outlives it
//   T value = decode<T>(in);
//
// Threads: one object, one thread at a time.  Fork: private memory, copied as any other.
// Errors: a Decoder never reads past its bytes; it throws Error("message truncated: …") instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "multiprocessing/detail/ref.hpp"
#include "multiprocessing/detail/shared_fd.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

// A growable run of bytes.  Not std::vector<std::byte>: its growth zero-fills what is about to be
// overwritten, and cannot move pages (realloc of a large block does).
class Encoder {
 public:
  Encoder() noexcept = default;
  Encoder(Encoder&& other) noexcept;
  Encoder& operator=(Encoder&& other) noexcept;
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  ~Encoder();

  // Forgets bytes and handles; keeps the memory for the next message.
  void clear() noexcept { truncate(0); }

  void write(const void* data, std::size_t size) {
    std::byte* const to = extend(size);
    if (size != 0) std::memcpy(to, data, size);
  }

  // Appends `size` bytes and returns where they are: uninitialised, to be filled by the caller.  The address
  // holds until the next call that appends.
  [[nodiscard]] std::byte* extend(std::size_t size) {
    if (capacity_ - size_ < size) grow(size);
    std::byte* const at = data_ + size_;
    size_ += size;
    return at;
  }

  // Drops everything after offset `size`, handles included: what a serializer had written before it threw.
  void truncate(std::size_t size) noexcept {
    if (size < size_) size_ = size;
    if (!carried_at_.empty() || !descriptors_at_.empty()) drop_carried();
  }

  // A handle of this library inside the message: its id travels, and carried() holds on to the object.
  void carry(memory::Ref ref);

  // A file descriptor inside the message: its place in descriptors() travels.  Throws NotSendable unless the message
  // goes where descriptors can follow it, which is through a connection.
  void carry(detail::SharedFd descriptor);
  void let_descriptors_travel(bool allowed) noexcept { descriptors_travel_ = allowed; }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const std::vector<memory::Ref>& carried() const noexcept { return carried_; }
  [[nodiscard]] const std::vector<detail::SharedFd>& descriptors() const noexcept { return descriptors_; }

 private:
  void grow(std::size_t more);
  void drop_carried() noexcept;  // what stood behind the end

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::vector<memory::Ref> carried_;
  std::vector<std::size_t> carried_at_;  // offset of each in the bytes, for truncate()
  bool descriptors_travel_ = false;
  std::vector<detail::SharedFd> descriptors_;
  std::vector<std::size_t> descriptors_at_;
};

[[noreturn]] void throw_truncated(std::size_t wanted, std::size_t left);
[[noreturn]] void throw_malformed(const char* what);  // Error("message malformed: …")

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes, std::span<const detail::SharedFd> descriptors = {}) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), descriptors_(descriptors) {}

  void read(void* data, std::size_t size) {
    const std::span<const std::byte> from = take(size);
    if (size != 0) std::memcpy(data, from.data(), size);
  }

  // The next `size` bytes where they are: borrowed, of no particular alignment.
  std::span<const std::byte> take(std::size_t size) {
    if (size > remaining()) throw_truncated(size, remaining());
    const std::byte* const from = at_;
    at_ += size;
    return {from, size};
  }

  // Of bytes that come from outside of the family, where anybody could have written any number.
  void forbid_handles() noexcept { handles_ = false; }

  // The counterpart of carry().  Throws Error when the object is gone.
  [[nodiscard]] memory::Ref adopt();
  [[nodiscard]] detail::SharedFd adopt_descriptor();  // throws Error when none came with the message

  [[nodiscard]] std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - at_); }

 private:
  const std::byte* at_;
  const std::byte* end_;
  std::span<const detail::SharedFd> descriptors_;
  bool handles_ = true;
};

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
