#include "channel/wire_link.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "channel/link_use.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "os/sockets.hpp"
#include "wire/bytes.hpp"

namespace multiprocessing::channel {
namespace {

using Lock = std::lock_guard<ForkLock>;

constexpr std::size_t read_bytes = 32 * 1024;
constexpr std::size_t write_bytes = std::size_t{1} << 20;
constexpr std::uint16_t value_kind = 0;
constexpr std::chrono::hours longest{24 * 365 * 10};            // of an idle timeout: it is added to times
constexpr std::size_t state_bytes = 3 * sizeof(std::uint64_t);  // before what was read and not taken

bool is_gone(int outcome) { return outcome == -EPIPE || outcome == -ECONNRESET; }
bool is_later(int outcome) { return outcome == -EAGAIN || outcome == -EINTR; }

}  // namespace

WireLink::WireLink(detail::SharedFd fd, std::unique_ptr<wire::Wire> wire, Options options)
    : Link(std::move(fd)), wire_(std::move(wire)), options_(std::move(options)) {
  options_.idle_timeout =
      std::clamp<std::chrono::milliseconds>(options_.idle_timeout, std::chrono::milliseconds(0), longest);
}

void WireLink::let_go_of_more() noexcept { options_.place.reset(); }

// --- to another process ---------------------------------------------------------------------------------------------

Link::Parts WireLink::parts() const {
  const Use use(*this, "send");
  const Lock receiving(receiving_);
  const Lock lock(wire_lock_);
  if (wire_->has_tls()) {
    throw NotSendable("a connection with TLS stays in its process: the state of the encryption cannot travel");
  }
  if (!broken_.empty() || sends_broken_) throw NotSendable("a connection that is broken cannot be sent");
  const wire::Wire::Resumed state = wire_->state();
  Parts parts{fd_, Ways::wire, {}, {}, std::vector<std::byte>(state_bytes + state.unread.size())};
  wire::put_u64(&parts.state[0], state.max_message);
  wire::put_u64(&parts.state[8], state.peer_max_message);
  wire::put_u64(&parts.state[16], static_cast<std::uint64_t>(options_.idle_timeout.count()));
  std::copy(state.unread.begin(), state.unread.end(), parts.state.begin() + state_bytes);
  return parts;
}

std::shared_ptr<Link> WireLink::arrived(detail::SharedFd fd, std::span<const std::byte> state) {
  if (state.size() < state_bytes || !os::is_stream_socket(fd.get())) {
    throw Error("what was received is not the end of a connection");
  }
  const auto unread = state.subspan(state_bytes);
  const std::chrono::milliseconds idle(static_cast<std::int64_t>(wire::get_u64(&state[16])));
  auto wire = std::make_unique<wire::Wire>(
      wire::Wire::Resumed{wire::get_u64(&state[0]), wire::get_u64(&state[8]), {unread.begin(), unread.end()}});
  return std::make_shared<WireLink>(std::move(fd), std::move(wire), Options{idle, {}});
}

// --- sending --------------------------------------------------------------------------------------------------------

void WireLink::send(const Outgoing& message) const {
  const Use use(*this, "send");
  if (!message.handles.empty()) {
    throw NotSendable(
        "send: a handle (queue, lock, connection …) means nothing outside of its process family, and this"
        " connection is a socket to anybody; handles go through a Pipe");
  }
  if (!message.descriptors.empty()) {
    throw NotSendable(
        "send: file descriptors and connections do not go through sockets of a Listener; they go through"
        " a Pipe");
  }
  const Lock sending(sending_);
  if (sends_broken_)
    base::throw_os_error("send: an earlier message was cut off, and the connection with it", "", EPIPE);
  std::vector<std::byte> bytes;
  {
    const Lock lock(wire_lock_);
    wire_->send(value_kind, message.type, message.bytes);
    bytes = wire_->take_outgoing();
  }
  flush(bytes);
}

void WireLink::flush(std::span<const std::byte> bytes) const {
  bool begun = false;
  try {
    while (!bytes.empty()) {
      const int count = os::write_some(fd_.get(), bytes.first(std::min(bytes.size(), write_bytes)));
      if (is_later(count)) {
        wait_for_room();
        continue;
      }
      if (is_gone(count)) base::throw_os_error("send: nobody is left who could receive", "", EPIPE);
      if (count < 0) base::throw_os_error("send", "connection", -count);
      begun = true;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  } catch (...) {
    // Of an encrypted message that was not begun the other side would miss the number.
    if (begun || wire_->has_tls()) sends_broken_ = true;
    throw;
  }
}

void WireLink::wait_for_room() const {
  bool full = false;  // nothing more can be taken in before recv()
  {
    const Lock receiving(receiving_);
    full = look_locked() != There::nothing;
  }
  wait_for(full ? POLLOUT : POLLOUT | POLLIN, "send", Deadline::never());
}

// --- receiving ------------------------------------------------------------------------------------------------------

void WireLink::break_off(const std::string& why) const noexcept {
  try {
    broken_ = why;
  } catch (...) {
    broken_.assign(1, '?');
  }
  sends_broken_ = true;
  os::shut_down(fd_.get());
}

// The next message, as far as it is there.
bool WireLink::is_ours() const {
  const Lock lock(wire_lock_);
  const auto front = wire_->front();
  return !front || front->kind == value_kind;
}

// Reads what may be read.
WireLink::There WireLink::look_locked() const {
  for (;;) {
    bool only_end = false;
    if (broken_.empty() && !is_ours()) break_off("a message of another protocol has arrived");
    if (!broken_.empty()) return There::end;
    {
      const Lock lock(wire_lock_);
      if (wire_->has_message()) return There::message;
      only_end = wire_->lacks_only_end();
    }
    if (ended_) return There::end;
    if (only_end) {
      std::byte end{};
      const int count = os::peek_some(fd_.get(), {&end, 1});
      if (count > 0) return There::message;
      if (is_later(count)) return There::nothing;
      ended_ = true;  // in the middle of a message
      continue;
    }
    if (const There there = read_more(); there == There::nothing) return there;
  }
}

// There::nothing: nothing is there now; anything else: look again.
WireLink::There WireLink::read_more() const {
  std::array<std::byte, read_bytes> buffer;
  std::size_t most = 0;
  {
    const Lock lock(wire_lock_);
    most = std::min(wire_->lacking(), buffer.size());
  }
  const int count = os::read_some(fd_.get(), std::span(buffer).first(most));
  if (is_later(count)) return There::nothing;
  if (count == 0 || is_gone(count)) {
    ended_ = true;
    return There::end;
  }
  if (count < 0) base::throw_os_error("receive", "connection", -count);
  heard_ = Deadline::Clock::now();
  try {
    const Lock lock(wire_lock_);
    wire_->received(std::span(buffer).first(static_cast<std::size_t>(count)));
  } catch (const Error& error) {
    break_off(error.what());
  }
  return broken_.empty() ? There::message : There::end;
}

// The message that look() has seen.
void WireLink::take(Incoming& into) const {
  const Lock lock(wire_lock_);
  if (!wire_->has_message()) {
    std::byte end{};
    const int count = os::read_some(fd_.get(), {&end, 1});
    if (count <= 0) throw Error("recv: another process reads from this connection, too");
    try {
      wire_->received({&end, 1});
    } catch (const Error& error) {
      break_off(error.what());
      throw;
    }
  }
  into.owned_ = std::move(wire_->next()->bytes);
  into.bytes_ = into.owned_;
  into.is_foreign_ = true;
}

void WireLink::receive(std::uint64_t type, const std::type_info& wanted, Incoming& into) const {
  const Use use(*this, "recv");
  into.done();
  const Deadline idle = options_.idle_timeout.count() > 0 ? Deadline::after(options_.idle_timeout) : Deadline::never();
  Deadline patience = idle;
  for (;;) {
    {
      const Lock receiving(receiving_);
      const There there = look_locked();
      if (there == There::message) {
        std::uint64_t found = 0;
        {
          const Lock lock(wire_lock_);
          found = wire_->front()->type;
        }
        if (found != type) throw_mismatch(found, type, wanted);
        return take(into);
      }
      if (!broken_.empty()) throw Error("recv: " + broken_ + "; the connection was ended");
      if (there == There::end) {
        const Lock lock(wire_lock_);
        throw EndOfFile(wire_->is_between_messages()
                            ? "recv: everything was received and the other side has gone"
                            : "recv: the other side has gone in the middle of a message, which is lost");
      }
      if (!idle.is_never() && heard_ + options_.idle_timeout > patience.when()) {
        patience = Deadline::at(heard_ + options_.idle_timeout);
      }
    }
    if (patience.is_over()) base::throw_os_error("recv: nothing was heard for the idle timeout", "", ETIMEDOUT);
    wait_for(POLLIN, "recv", patience);
  }
}

WireLink::There WireLink::look() const {
  const Lock receiving(receiving_);
  return look_locked();
}

bool WireLink::readable(Deadline deadline) const {
  const Use use(*this, "poll");
  while (look() == There::nothing) {
    if (deadline.is_over()) return false;
    wait_for(POLLIN, "poll", deadline);
  }
  return true;
}

bool WireLink::ready(bool) const {
  const Use use(*this, "wait");
  return look() != There::nothing;
}

}  // namespace multiprocessing::channel
