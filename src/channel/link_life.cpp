// What both kinds of links have: a descriptor that is closed by the last call that uses it (invariant 4 of link.cpp).
#include <cxxabi.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "channel/fork_lock.hpp"
#include "channel/link_use.hpp"
#include "channel/wire_link.hpp"
#include "multiprocessing/detail/link.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"

namespace multiprocessing::channel {
namespace {

using detail::SharedFd;

constexpr std::chrono::milliseconds look_again{100};

constexpr std::uint64_t closed_bit = std::uint64_t{1} << 31;
constexpr std::uint64_t calls_mask = closed_bit - 1;

std::uint64_t generation_now() { return std::uint64_t{fork_generation()} << 32; }

// The same state in this process: the calls that were in progress where it was forked from are not.
std::uint64_t here(std::uint64_t state) {
  const std::uint64_t now = generation_now();
  return state >> 32 == now >> 32 ? state : now | (state & closed_bit);
}

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                         &std::free);
  return name != nullptr ? name.get() : type.name();
}

}  // namespace

void throw_mismatch(std::uint64_t found, std::uint64_t asked, const std::type_info& wanted) {
  const std::string call = asked == 0 ? std::string("recv_bytes") : "recv<" + readable_name(wanted) + ">";
  throw TypeMismatch(
      call + (found == 0 ? ": the next message was sent by send_bytes" : ": the next message is of another type") +
      "; it stays, to be received as what it is");
}

void throw_closed_connection(const char* verb) {
  base::throw_os_error(std::string(verb) + " on a closed connection", "", EBADF);
}

void Incoming::done() noexcept {
  handles_.clear();
  descriptors_.clear();
  owned_ = {};
  is_foreign_ = false;
  bytes_ = {};
  if (mapped_ != nullptr) os::unmap(std::exchange(mapped_, nullptr), mapped_bytes_);
}

Link::Link(SharedFd fd) noexcept : fd_(std::move(fd)), state_(generation_now()) {}

std::shared_ptr<Link> Link::arrived(Parts parts) {
  if (parts.ways == Ways::wire) return WireLink::arrived(std::move(parts.fd), parts.state);
  return std::make_shared<FamilyLink>(std::move(parts.fd), std::move(parts.in), std::move(parts.out), parts.ways);
}

bool Link::enter() noexcept {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  do {
    if ((seen & closed_bit) != 0) return false;
  } while (!state_.compare_exchange_weak(seen, here(seen) + 1, std::memory_order_acquire));  // sync(link)
  return true;
}

void Link::leave() noexcept {
  const std::uint64_t left = state_.fetch_sub(1, std::memory_order_acq_rel) - 1;  // sync(link): pairs with the last
  if ((left & closed_bit) != 0 && (left & calls_mask) == 0) let_go();
}

void Link::close() noexcept {
  std::uint64_t seen = state_.load(std::memory_order_relaxed);
  do {
    if ((seen & closed_bit) != 0) return;
  } while (!state_.compare_exchange_weak(seen, here(seen) | closed_bit, std::memory_order_acq_rel));
  if ((here(seen) & calls_mask) == 0) let_go();
}

// Closed and nobody inside: nobody else gets here.
void Link::let_go() noexcept {
  fd_ = {};
  let_go_of_more();
}

bool Link::closed() const noexcept { return (state_.load(std::memory_order_acquire) & closed_bit) != 0; }

int Link::fileno() const {
  const Use use(*this, "fileno");
  return fd_.get();
}

SharedFd Link::descriptor() const {
  const Use use(*this, "wait");
  return fd_;
}

// Not for ever: another thread may close this end meanwhile.
void Link::wait_for(short events, const char* verb, Deadline deadline) const {
  pollfd look{fd_.get(), events, 0};
  const int outcome = os::poll({&look, 1}, deadline.at_most(look_again));
  if (outcome < 0 && outcome != -EINTR) base::throw_os_error("poll", "connection", -outcome);
  if (outcome > 0 && (look.revents & POLLNVAL) != 0) base::throw_os_error(verb, "connection", EBADF);
  if (closed()) throw_closed_connection(verb);
}

}  // namespace multiprocessing::channel
