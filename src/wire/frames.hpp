// Frames: messages of an authenticated stream (docs/formats/wire.md).
//
//   frame = length u64 | type u64 | kind u16 | zero u16 | content byte{length} | end u8
//
// Invariants
//   1. A length is never believed before its bytes are there: memory grows with what has come, to twice of it.
//   2. The last byte of a frame says nothing.  Who reads the stream byte by byte can leave it in the socket until the
//      message is taken: so the descriptor polls readable as long as there is a message.
//   3. After an exception the stream means nothing any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace multiprocessing::wire {

inline constexpr std::size_t frame_header_bytes = 20;
inline constexpr std::size_t frame_end_bytes = 1;
inline constexpr std::byte frame_end{0xa5};

struct Message {
  std::uint16_t kind = 0;  // 0: a value or bytes of a Connection; others belong to who runs a protocol of its own
  std::uint64_t type = 0;  // fingerprint of the value's type; 0: plain bytes
  std::vector<std::byte> bytes;
};

struct FrameHeader {
  std::uint64_t length = 0;
  std::uint64_t type = 0;
  std::uint16_t kind = 0;
};

void append_frame(std::vector<std::byte>& to, std::uint16_t kind, std::uint64_t type, std::span<const std::byte> bytes);

class FrameReader {
 public:
  explicit FrameReader(std::uint64_t max_message) : max_message_(max_message) {}

  void received(std::span<const std::byte> bytes);  // throws Error for what is no frame, or too long a one

  // Whole messages, in order.
  [[nodiscard]] std::optional<Message> next();
  [[nodiscard]] bool has_message() const noexcept { return !ready_.empty(); }

  // The frame that next() gives next: its header, as soon as that is there.
  [[nodiscard]] std::optional<FrameHeader> front() const noexcept;
  // Bytes that lack up to the next point to look at: the end of the header, of the content, of the frame.
  [[nodiscard]] std::size_t lacking() const noexcept;
  // All of the frame is there but its last byte (and no message before it).
  [[nodiscard]] bool lacks_only_end() const noexcept;

  [[nodiscard]] bool is_between_frames() const noexcept { return head_.empty(); }

  // What has come and was not taken, as the frames that it came in, the last one perhaps a part.
  [[nodiscard]] std::vector<std::byte> unread() const;

 private:
  void take_header();
  void take_end(std::byte end);

  std::uint64_t max_message_;
  std::deque<Message> ready_;
  std::vector<std::byte> head_;  // of the frame in progress
  FrameHeader header_;           // … once head_ is whole
  std::vector<std::byte> content_;
};

}  // namespace multiprocessing::wire
