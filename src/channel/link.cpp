// The connection's protocol.
//
// Invariants
//   1. A message is one packet of a SOCK_SEQPACKET socket: in the socket whole or not at all.  What is too large for a
//      packet is written into a memory file before, sealed, and travels as a descriptor.
//   2. Receiving is looking (MSG_PEEK), holding what the message names, and then one call that takes the packet away.
//      So nothing is lost by an error or a death before that call.  Looking and taking happen under the receivers'
//      lock, and nothing waits there.
//   3. What a message names is kept alive by cargo on its Direction.  Messages with handles are numbered, under the
//      senders' lock, in the order in which they go into the socket; whoever takes a message drops the cargo of the
//      numbers below its `cargo_limit`, which have all been taken before.  Messages without handles need no lock: their
//      limit is `sent` as it was before they were sent.
//   4. A descriptor is closed by the last call that uses it: close() only marks, when another thread is inside.
//
//  send       died …                             what the others see
//   1 file     while filling it                   nothing: the file goes with the process
//   2 number   after storing next                 a number that no message has
//   3 cargo    after load_cargo                   pins too many; gone with the next message that names a later limit
//   4 commit   after sendmsg                      the message
//   5 mirror   before storing sent                messages without handles name a lower limit: cargo stays longer
//  receive
//   1 look     after peeking                      the message goes to the next receiver
//   2 hold     after adopting                     the same; the holds are reaped with the process
//   3 commit   after taking                       the message went with the dead one
//   4 drop     before dropping cargo              pins too many; gone with the next message that is taken
//  A death anywhere closes the descriptors: the other end sees the end of file when this was the last copy.
#include "multiprocessing/detail/link.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <new>
#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "channel/link_layout.hpp"
#include "channel/link_use.hpp"
#include "memory/arena.hpp"
#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "sync/spin.hpp"

namespace multiprocessing::channel {
namespace {

using detail::SharedFd;
using memory::Ref;

constexpr std::chrono::milliseconds look_again{100};
constexpr std::size_t packet_buffer = sizeof(PacketHeader) + largest_packet;

// --- errors ---------------------------------------------------------------------------------------------------------

[[noreturn]] void throw_foreign(const char* what) {
  throw Error(std::string("a packet that this library did not send has arrived at a connection, and was dropped: ") +
              what);
}

// --- sending --------------------------------------------------------------------------------------------------------

constexpr std::array<std::byte, largest_ballast> ballast{};

// A message as the kernel wants it.
class Packet {
 public:
  Packet(const Packet&) = delete;
  Packet& operator=(const Packet&) = delete;
  Packet(const Outgoing& message, std::size_t packet_limit) {
    if (message.descriptors.size() > most_carried) {
      throw NotSendable("a message carries " + std::to_string(most_carried) +
                        " descriptors at the most, this one has " + std::to_string(message.descriptors.size()));
    }
    const std::size_t content = message.handles.size() * sizeof(std::uint64_t) + message.bytes.size();
    if (content > longest_content || message.handles.size() > most_message_handles) {
      throw NotSendable("a message is limited to 1 TiB and 16 million handles");
    }
    header_ = {packet_magic,
               content > packet_limit,
               static_cast<std::uint16_t>(message.descriptors.size()),
               message.type,
               message.bytes.size(),
               static_cast<std::uint32_t>(message.handles.size()),
               0};
    for (const Ref& handle : message.handles) ids_.push_back(handle.id());
    add(&header_, sizeof header_);
    const auto ids = std::as_bytes(std::span(ids_));
    if (header_.large == 0) {
      add(ids.data(), ids.size());
      add(message.bytes.data(), message.bytes.size());
    } else {
      fill_file(ids, message.bytes);
      add(ballast.data(), std::min(packet_limit / 2, ballast.size()));
      descriptors_[descriptor_count_++] = file_.get();
    }
    for (const SharedFd& descriptor : message.descriptors) descriptors_[descriptor_count_++] = descriptor.get();
  }

  // 0, or the negative errno.
  [[nodiscard]] int push(int socket, std::uint32_t cargo_limit) noexcept {
    header_.cargo_limit = cargo_limit;
    return std::min(0, os::send_packet(socket, {parts_.data(), part_count_}, {descriptors_.data(), descriptor_count_}));
  }

 private:
  void add(const void* data, std::size_t bytes) noexcept {
    if (bytes != 0) parts_[part_count_++] = {const_cast<void*>(data), bytes};
  }

  void fill_file(std::span<const std::byte> ids, std::span<const std::byte> bytes) {
    const int raw = os::memfd_create("multiprocessing-message");
    if (raw < 0) base::throw_os_error("memfd_create", "a message", -raw);
    file_ = base::Fd(raw);
    const std::uint64_t size = ids.size() + bytes.size();
    int error = os::set_size(raw, size);  // first: beyond `ulimit -f` writing would be deadly
    if (error >= 0) error = os::write_all(raw, ids, 0);
    if (error >= 0) error = os::write_all(raw, bytes.first(bytes.size() / 2), ids.size());
    MULTIPROCESSING_STEP("conn.send.half_filled");
    if (error >= 0) error = os::write_all(raw, bytes.subspan(bytes.size() / 2), ids.size() + bytes.size() / 2);
    if (error >= 0) error = os::seal_content(raw);
    if (error < 0) base::throw_os_error("secure " + std::to_string(size) + " bytes for", "a message", -error);
    MULTIPROCESSING_STEP("conn.send.filled");
  }

  PacketHeader header_;
  std::vector<std::uint64_t> ids_;
  base::Fd file_;
  std::array<iovec, 3> parts_;
  std::size_t part_count_ = 0;
  std::array<int, os::most_descriptors> descriptors_;
  std::size_t descriptor_count_ = 0;
};

// True: it is in the socket.  False: no room now.
bool went(int outcome) {
  switch (-outcome) {
    case 0:
      return true;
    case EAGAIN:
    case EINTR:
      return false;
    case EPIPE:
      base::throw_os_error("send: nobody is left who could receive", "", EPIPE);
    case ETOOMANYREFS:
      base::throw_os_error("send", "a message with descriptors (too many are on their way: see `ulimit -n`)",
                           ETOOMANYREFS);
    default:
      base::throw_os_error("send", "connection", -outcome);
  }
}

bool has_room(int socket) {
  pollfd look{socket, POLLOUT, 0};
  return os::poll({&look, 1}, Deadline::passed()) > 0;
}

Direction& direction_of(const Ref& ref) { return *static_cast<Direction*>(ref.address()); }

bool push_numbered(int socket, const Ref& out, Packet& packet, std::span<const Ref> handles) {
  Direction& direction = direction_of(out);
  const sync::Holding lock(direction.senders);
  // Looking first: cargo for a message that does not go would stay until another one comes.
  if (os::is_hung_up(socket)) return went(-EPIPE);
  if (!has_room(socket)) return false;
  const auto number = static_cast<std::uint32_t>(direction.next.load(std::memory_order_relaxed));
  direction.next.store(number + 1, std::memory_order_relaxed);  // first: a number is never given twice
  MULTIPROCESSING_STEP("conn.send.numbered");
  memory::load_cargo(out, handles, number);
  MULTIPROCESSING_STEP("conn.send.loaded");
  const int outcome = packet.push(socket, number + 1);
  MULTIPROCESSING_STEP("conn.send.sent");
  if (outcome == 0) direction.sent.store(number + 1, std::memory_order_release);  // sync(sent): pairs with send()
  return went(outcome);
}

// --- receiving ------------------------------------------------------------------------------------------------------

// The descriptors of a peeked packet, until they have owners.
class Peeked {
 public:
  Peeked() = default;
  Peeked(const Peeked&) = delete;
  Peeked& operator=(const Peeked&) = delete;
  ~Peeked() {
    for (std::size_t i = given_; i < packet_.descriptors; ++i) ::close(descriptors_[i]);
  }
  // False: nothing there.
  [[nodiscard]] bool look(int socket, std::span<std::byte> buffer) {
    for (;;) {
      const int outcome = os::peek_packet(socket, buffer, descriptors_, packet_);
      if (outcome == 0) return true;
      if (outcome == -EAGAIN) return false;
      // ECONNRESET comes once, when the other side is gone; what it has sent before is still to be had.
      if (outcome != -EINTR && outcome != -ECONNRESET) base::throw_os_error("receive", "connection", -outcome);
    }
  }
  [[nodiscard]] const os::PeekedPacket& packet() const noexcept { return packet_; }
  [[nodiscard]] base::Fd next() noexcept { return base::Fd(descriptors_[given_++]); }

 private:
  std::array<int, os::most_descriptors> descriptors_;
  os::PeekedPacket packet_;
  std::size_t given_ = 0;
};

void drop(int socket) {
  for (;;) {
    const int outcome = os::drop_packet(socket);
    if (outcome >= 0 || outcome == -EAGAIN) return;
    if (outcome != -EINTR && outcome != -ECONNRESET) base::throw_os_error("receive", "connection", -outcome);
  }
}

PacketHeader checked_header(const std::byte* packet, const Peeked& peeked) {
  PacketHeader header;
  if (peeked.packet().bytes < sizeof header) throw_foreign("it is too short");
  std::memcpy(&header, packet, sizeof header);
  if (header.magic != packet_magic || header.large > 1) throw_foreign("it has no header");
  const std::size_t rest = peeked.packet().bytes - sizeof header;
  if (rest > largest_packet) throw_foreign("it is too long");
  if (header.bytes > longest_content || header.handles > most_message_handles) {
    throw_foreign("it announces more than a message can hold");
  }
  if (header.large == 0 && header.handles * sizeof(std::uint64_t) + header.bytes != rest) {
    throw_foreign("its length is not what it announces");
  }
  if (header.descriptors > most_carried) throw_foreign("it announces too many descriptors");
  if (!peeked.packet().descriptors_lost &&
      peeked.packet().descriptors != header.descriptors + std::size_t{header.large}) {
    throw_foreign("it has not the descriptors that it announces");
  }
  return header;
}

// The content of a large message, to be read where the kernel has it.
void* map_content(const base::Fd& file, std::uint64_t bytes) {
  std::uint64_t size = 0;
  if (os::sealed_size(file.get(), size) < 0 || size != bytes || bytes == 0) {
    throw_foreign("its content is no sealed file of the length that it announces");
  }
  void* where = nullptr;
  if (const int error = os::map_sealed(file.get(), bytes, &where); error < 0) {
    base::throw_os_error("map " + std::to_string(bytes) + " bytes of", "a message", -error);
  }
  return where;
}

std::vector<Ref> take_hold(const std::byte* ids, std::size_t count) {
  std::vector<Ref> handles;
  handles.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t id = 0;
    std::memcpy(&id, ids + i * sizeof id, sizeof id);
    handles.push_back(Ref::adopt(id));
  }
  return handles;
}

Ref make_direction() {
  Ref ref = Ref::create(memory::Kind::connection, sizeof(Direction));
  auto& direction = *new (ref.address()) Direction{};
  direction.magic = direction_magic;
  return ref;
}

bool is_direction(const Ref& ref) {
  return ref && ref.kind() == memory::Kind::connection && ref.bytes() >= sizeof(Direction) &&
         direction_of(ref).magic == direction_magic;
}

bool includes(Ways ways, Ways way) { return (static_cast<unsigned>(ways) & static_cast<unsigned>(way)) != 0; }

}  // namespace

// --- the life of a link ---------------------------------------------------------------------------------------------

FamilyLink::FamilyLink(SharedFd fd, Ref in, Ref out, Ways ways)
    : Link(std::move(fd)), in_(std::move(in)), out_(std::move(out)), ways_(ways) {
  const int capacity = os::packet_capacity(fd_.get());
  if (capacity <= 0 || !is_direction(in_) || !is_direction(out_) || ways_ < Ways::receives || ways_ > Ways::both) {
    throw Error("what was received is not the end of a connection");
  }
  // A quarter of the buffer: that is the room there is when poll() says that there is some.
  packet_limit_ = std::min(largest_packet, static_cast<std::size_t>(capacity) / 4);
}

Link::Pair Link::make_pair(bool duplex) {
  const Ref right_to_left = make_direction();
  const Ref left_to_right = make_direction();
  int fds[2] = {-1, -1};
  if (const int error = os::message_socketpair(fds); error < 0) base::throw_os_error("socketpair", "Pipe", -error);
  base::Fd right_fd(fds[1]);
  SharedFd left(fds[0]);
  SharedFd right(right_fd.release());
  return {std::make_shared<FamilyLink>(std::move(left), right_to_left, left_to_right, duplex ? Ways::both : Ways::receives),
          std::make_shared<FamilyLink>(std::move(right), left_to_right, right_to_left, duplex ? Ways::both : Ways::sends)};
}

void FamilyLink::let_go_of_more() noexcept {
  in_ = {};
  out_ = {};
}

Link::Parts FamilyLink::parts() const {
  const Use use(*this, "send");
  return {fd_, ways_, in_, out_, {}};
}

void FamilyLink::require(Ways way, const char* verb) const {
  if (includes(ways_, way)) return;
  base::throw_os_error(
      std::string(verb) + (way == Ways::sends ? ": this connection is read-only" : ": this connection is write-only"),
      "", EBADF);
}

// A peer that answers at once does so sooner than a sleeper is woken.
void FamilyLink::spin_until_readable() const {
  constexpr int system_call = 16;  // times the cost of a look at memory
  pollfd look{fd_.get(), POLLIN, 0};
  for (sync::Spin spin(system_call); spin.again();) {
    if (os::poll({&look, 1}, Deadline::passed()) == 0) continue;
    spin.paid_off();
    return;
  }
}

// --- messages -------------------------------------------------------------------------------------------------------

void FamilyLink::send(const Outgoing& message) const {
  const Use use(*this, "send");
  require(Ways::sends, "send");
  Packet packet(message, packet_limit_);
  const Direction& direction = direction_of(out_);
  for (;;) {
    const bool done =
        message.handles.empty()
            ? went(packet.push(
                  fd_.get(), static_cast<std::uint32_t>(direction.sent.load(std::memory_order_acquire))))  // sync(sent)
            : push_numbered(fd_.get(), out_, packet, message.handles);
    if (done) return;
    wait_for(POLLOUT, "send", Deadline::never());
  }
}

void FamilyLink::receive(std::uint64_t type, const std::type_info& wanted, Incoming& into) const {
  const Use use(*this, "recv");
  require(Ways::receives, "recv");
  into.done();
  if (into.packet_ == nullptr) into.packet_ = std::make_unique_for_overwrite<std::byte[]>(packet_buffer);
  try {
    if (take(type, wanted, into)) return;
    spin_until_readable();
    while (!take(type, wanted, into)) wait_for(POLLIN, "recv", Deadline::never());
  } catch (...) {
    into.done();
    throw;
  }
}

// False: nothing there.
bool FamilyLink::take(std::uint64_t type, const std::type_info& wanted, Incoming& into) const {
  const int socket = fd_.get();
  std::uint32_t cargo_limit = 0;
  {
    const sync::Holding lock(direction_of(in_).receivers);
    Peeked peeked;
    if (!peeked.look(socket, {into.packet_.get(), packet_buffer})) return false;
    MULTIPROCESSING_STEP("conn.recv.peeked");
    if (peeked.packet().bytes == 0) {
      const bool ended = os::is_hung_up(socket);
      drop(socket);
      if (ended) throw EndOfFile("recv: everything was received and nobody is left who could send");
      throw_foreign("it is empty");
    }
    try {
      const PacketHeader header = checked_header(into.packet_.get(), peeked);
      if (header.type != type) throw_mismatch(header.type, type, wanted);
      if (peeked.packet().descriptors_lost) base::throw_os_error("receive", "the descriptors of a message", EMFILE);
      const std::byte* content = into.packet_.get() + sizeof header;
      const std::uint64_t ids = header.handles * sizeof(std::uint64_t);
      if (header.large != 0) {
        into.mapped_ = map_content(peeked.next(), ids + header.bytes);
        into.mapped_bytes_ = ids + header.bytes;
        content = static_cast<const std::byte*>(into.mapped_);
      }
      into.bytes_ = {content + ids, header.bytes};
      for (int i = 0; i < header.descriptors; ++i) into.descriptors_.emplace_back(peeked.next().release());
      into.handles_ = take_hold(content, header.handles);
      cargo_limit = header.cargo_limit;
    } catch (const TypeMismatch&) {
      throw;
    } catch (const OsError&) {
      throw;
    } catch (const Error&) {
      drop(socket);  // else it would stand in the way for ever
      throw;
    }
    MULTIPROCESSING_STEP("conn.recv.held");
    drop(socket);
    MULTIPROCESSING_STEP("conn.recv.taken");
  }
  if (into.mapped_ != nullptr) os::read_ahead(into.mapped_, into.mapped_bytes_);  // not under the lock: it takes long
  if (memory::has_cargo(in_)) memory::drop_cargo(in_, cargo_limit);
  MULTIPROCESSING_STEP("conn.recv.dropped");
  return true;
}

bool FamilyLink::readable(Deadline deadline) const {
  const Use use(*this, "poll");
  require(Ways::receives, "poll");
  for (;;) {
    pollfd look{fd_.get(), POLLIN, 0};
    const int outcome = os::poll({&look, 1}, deadline.at_most(look_again));
    if (outcome < 0 && outcome != -EINTR) base::throw_os_error("poll", "connection", -outcome);
    if (outcome > 0) {
      if ((look.revents & POLLNVAL) != 0) base::throw_os_error("poll", "connection", EBADF);
      return true;
    }
    if (deadline.is_over()) return false;
    if (closed()) throw_closed_connection("poll");
  }
}

}  // namespace multiprocessing::channel
