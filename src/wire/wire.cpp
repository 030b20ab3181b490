#include "wire/wire.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::wire {
namespace {

constexpr std::byte tls_handshake_record{22};
constexpr std::size_t tls_read_bytes = 64 * 1024;
constexpr std::size_t kept_bytes = 256 * 1024;  // memory of what was sent that is kept for the next message

}  // namespace

Wire::Wire(Role role, Options options) : options_(std::move(options)), frames_(options_.max_message) {
  handshake_.emplace(role, options_.key, options_.max_message, options_.nonce);
  options_.key.clear();
  if (options_.security != Security::plain && options_.tls == nullptr) throw std::logic_error("a Wire without its TLS");
  if (role == Role::listener) {
    undecided_ = options_.security != Security::plain;
  } else if (options_.security == Security::plain) {
    say_handshake();
  } else {
    begin_tls();
  }
}

Wire::Wire(const Resumed& state) : peer_max_message_(state.peer_max_message), frames_(state.max_message) {
  options_.max_message = state.max_message;
  frames_.received(state.unread);
}

Wire::~Wire() = default;

void Wire::received(std::span<const std::byte> bytes) {
  if (failed_) throw Error("the other side has been refused already");
  if (bytes.empty()) return;
  try {
    if (undecided_) decide(bytes[0]);
    dispatch(bytes);
  } catch (...) {
    failed_ = true;
    collect_tls();
    throw;
  }
}

void Wire::decide(std::byte first) {
  undecided_ = false;
  if (first == tls_handshake_record) {
    begin_tls();
  } else if (options_.security == Security::tls) {
    throw AuthenticationError(
        "the other side does not speak TLS, which is asked of everybody who is not on this machine");
  }
}

void Wire::begin_tls() {
  tls_ = std::make_unique<TlsSession>(options_.tls, options_.host);
  collect_tls();
}

void Wire::dispatch(std::span<const std::byte> bytes) {
  if (tls_ == nullptr) return take(bytes);
  constexpr std::size_t slice_bytes = 4096;
  while (!bytes.empty()) {
    const bool early = handshake_.has_value();
    const auto slice = early ? bytes.first(std::min(bytes.size(), slice_bytes)) : bytes;
    bytes = bytes.subspan(slice.size());
    if (early) {
      tls_handshake_bytes_ += slice.size();
      if (tls_handshake_bytes_ > most_tls_handshake) {
        throw AuthenticationError("the other side says too much before it has shown who it is");
      }
    }
    tls_->received(
        slice,
        [this] {
          handshake_->bind(tls_->secret());
          say_handshake();
        },
        [this](std::span<const std::byte> plain) { take(plain); });
    collect_tls();
  }
}

void Wire::take(std::span<const std::byte> plain) {
  if (handshake_) {
    try {
      plain = handshake_->received(plain);
    } catch (...) {
      say_handshake();
      throw;
    }
    say_handshake();
    if (handshake_->done()) {
      peer_max_message_ = handshake_->peer_max_message();
      handshake_.reset();
    }
  }
  if (!plain.empty()) frames_.received(plain);
}

void Wire::say_handshake() {
  put(handshake_->outgoing());
  handshake_->outgoing().clear();
}

void Wire::put(std::span<const std::byte> plain) {
  if (tls_ != nullptr) {
    if (!plain.empty()) tls_->send(plain);
    collect_tls();
  } else {
    out_.insert(out_.end(), plain.begin(), plain.end());
  }
}

void Wire::collect_tls() {
  if (tls_ == nullptr) return;
  out_.insert(out_.end(), tls_->outgoing().begin(), tls_->outgoing().end());
  tls_->outgoing().clear();
}

void Wire::send(std::uint16_t kind, std::uint64_t type, std::span<const std::byte> bytes) {
  if (!established()) throw Error("send: the other side has not been let in");
  if (bytes.size() > peer_max_message_) {
    throw NotSendable("a message of " + std::to_string(bytes.size()) + " bytes is longer than the " +
                      std::to_string(peer_max_message_) + " that the other side takes (its max_message)");
  }
  if (tls_ == nullptr) {
    append_frame(out_, kind, type, bytes);
    return;
  }
  std::vector<std::byte> frame;
  append_frame(frame, kind, type, bytes);
  put(frame);
}

void Wire::sent(std::size_t bytes) noexcept {
  sent_ += bytes;
  if (sent_ < out_.size()) {
    if (sent_ < kept_bytes || sent_ < out_.size() / 2) return;
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
    return;
  }
  sent_ = 0;
  if (out_.capacity() > kept_bytes) {
    out_ = {};
  } else {
    out_.clear();
  }
}

std::vector<std::byte> Wire::take_outgoing() {
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
  return std::exchange(out_, {});
}

std::size_t Wire::lacking() const noexcept {
  if (undecided_) return 1;
  if (tls_ != nullptr) return tls_read_bytes;
  return handshake_ ? handshake_->lacking() : frames_.lacking();
}

Wire::Resumed Wire::state() const { return {options_.max_message, peer_max_message_, frames_.unread()}; }

}  // namespace multiprocessing::wire
