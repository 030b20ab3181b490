#include "wire/frames.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "wire/bytes.hpp"

namespace multiprocessing::wire {
namespace {

constexpr std::size_t type_at = 8;
constexpr std::size_t kind_at = 16;
constexpr std::size_t zero_at = 18;

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_header(std::vector<std::byte>& to, const FrameHeader& header) {
  std::byte bytes[frame_header_bytes];
  put_u64(bytes, header.length);
  put_u64(bytes + type_at, header.type);
  put_u16(bytes + kind_at, header.kind);
  put_u16(bytes + zero_at, 0);
  append(to, bytes);
}

}  // namespace

void append_frame(std::vector<std::byte>& to, std::uint16_t kind, std::uint64_t type,
                  std::span<const std::byte> bytes) {
  to.reserve(to.size() + frame_header_bytes + bytes.size() + frame_end_bytes);
  append_header(to, {bytes.size(), type, kind});
  append(to, bytes);
  to.push_back(frame_end);
}

void FrameReader::received(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t now = std::min(lacking(), bytes.size());
    const auto part = bytes.first(now);
    if (head_.size() < frame_header_bytes) {
      append(head_, part);
      if (head_.size() == frame_header_bytes) take_header();
    } else if (content_.size() < header_.length) {
      append(content_, part);
    } else {
      take_end(part[0]);
    }
    bytes = bytes.subspan(now);
  }
}

void FrameReader::take_header() {
  header_ = {get_u64(head_.data()), get_u64(head_.data() + type_at), get_u16(head_.data() + kind_at)};
  if (get_u16(head_.data() + zero_at) != 0) throw Error("what has arrived is no message of multiprocessing");
  if (header_.length > max_message_) {
    throw Error("a message of " + std::to_string(header_.length) + " bytes is announced, and " +
                std::to_string(max_message_) + " are the most that are taken here (max_message)");
  }
}

void FrameReader::take_end(std::byte end) {
  if (end != frame_end) throw Error("a message does not end where it should");
  ready_.push_back({header_.kind, header_.type, std::move(content_)});
  content_ = {};
  head_.clear();
}

std::optional<Message> FrameReader::next() {
  if (ready_.empty()) return std::nullopt;
  std::optional<Message> message(std::move(ready_.front()));
  ready_.pop_front();
  return message;
}

std::optional<FrameHeader> FrameReader::front() const noexcept {
  if (!ready_.empty()) return FrameHeader{ready_.front().bytes.size(), ready_.front().type, ready_.front().kind};
  if (head_.size() == frame_header_bytes) return header_;
  return std::nullopt;
}

std::size_t FrameReader::lacking() const noexcept {
  if (head_.size() < frame_header_bytes) return frame_header_bytes - head_.size();
  if (content_.size() < header_.length) return static_cast<std::size_t>(header_.length) - content_.size();
  return frame_end_bytes;
}

bool FrameReader::lacks_only_end() const noexcept {
  return ready_.empty() && head_.size() == frame_header_bytes && content_.size() == header_.length;
}

std::vector<std::byte> FrameReader::unread() const {
  std::vector<std::byte> bytes;
  for (const Message& message : ready_) append_frame(bytes, message.kind, message.type, message.bytes);
  append(bytes, head_);
  append(bytes, content_);
  return bytes;
}

}  // namespace multiprocessing::wire
