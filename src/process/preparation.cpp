#include "process/preparation.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "multiprocessing/errors.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"

namespace multiprocessing::process_ {
namespace {

constexpr std::uint64_t start_magic = 0x317472617473706dU;  // "mpstart1"

// The packet's bytes.  Its descriptors: the message, then those that `has` names in the order of its bits, then
// what the arguments carry.
struct Header {
  std::uint64_t magic;
  Role role;
  std::int32_t parent;
  std::uint64_t incarnation;
  std::uint32_t member;
  std::uint32_t has;
  std::uint64_t bytes;  // of the message
};
static_assert(sizeof(Header) == 40 && std::is_trivially_copyable_v<Header>);

constexpr std::uint32_t has_memory = 1;
constexpr std::uint32_t has_stream = 2;      // << 0, 1, 2: it is open
constexpr std::uint32_t tells_streams = 16;  // those that are not named are closed
constexpr std::uint32_t by_main = 32;
constexpr std::size_t most_carried = os::most_descriptors - 5;

}  // namespace

Message::Message(const Preparation& preparation, const codec::Encoder& target)
    : file_(os::memfd_create("multiprocessing-start")), carried_(target.descriptors()) {
  if (carried_.size() > most_carried) {
    throw NotSendable("the arguments of a process carry " + std::to_string(most_carried) +
                      " descriptors and connections at the most under this start method, these have " +
                      std::to_string(carried_.size()));
  }
  if (!file_) base::throw_os_error("memfd_create", "what a new process is to run", -file_.release());
  codec::Encoder head;
  codec::encode(head, preparation);
  bytes_ = head.size() + target.size();
  int error = os::set_size(file_.get(), bytes_);
  if (error >= 0) error = os::write_all(file_.get(), head.bytes(), 0);
  if (error >= 0) error = os::write_all(file_.get(), target.bytes(), head.size());
  if (error >= 0) error = os::seal_content(file_.get());
  if (error < 0) base::throw_os_error("write down", "what a new process is to run", -error);
}

int Message::send(int socket, const Envelope& envelope, bool with_standard_streams) const {
  Header header{start_magic,
                envelope.role,
                envelope.parent,
                envelope.newcomer.incarnation,
                envelope.newcomer.member,
                envelope.by_main_thread ? by_main : 0,
                bytes_};
  std::array<int, os::most_descriptors> descriptors;
  std::size_t count = 0;
  descriptors[count++] = file_.get();
  if (envelope.memory >= 0) {
    header.has |= has_memory;
    descriptors[count++] = envelope.memory;
  }
  if (with_standard_streams) {
    header.has |= tells_streams;
    for (int stream = 0; stream <= STDERR_FILENO; ++stream) {
      if (os::identity_of(stream) == os::FileIdentity{}) continue;
      header.has |= has_stream << stream;
      descriptors[count++] = stream;
    }
  }
  for (const detail::SharedFd& carried : carried_) descriptors[count++] = carried.get();
  const iovec part{&header, sizeof header};
  const int outcome = os::send_packet(socket, {&part, 1}, {descriptors.data(), count});
  return outcome < 0 ? outcome : 0;
}

std::optional<Received> Received::from(int socket) {
  Header header{};
  std::array<int, os::most_descriptors> raw;
  os::PeekedPacket packet;
  std::array<std::byte, sizeof header> bytes;
  if (os::peek_packet(socket, bytes, raw, packet) < 0) return std::nullopt;
  std::vector<base::Fd> descriptors;
  bool lost = packet.descriptors_lost;
  for (std::size_t i = 0; i < packet.descriptors; ++i) {
    const int kept = os::above_standard(raw[i]);
    if (kept >= 0) descriptors.emplace_back(kept);
    lost = lost || kept < 0;
  }
  os::drop_packet(socket);
  if (lost) base::throw_os_error("receive", "descriptors for a new process", EMFILE);
  if (packet.bytes != sizeof header || descriptors.empty()) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != start_magic) return std::nullopt;

  Received start;
  start.role = header.role;
  start.parent = header.parent;
  start.by_main_thread = (header.has & by_main) != 0;
  start.newcomer = {header.member, header.incarnation};
  start.bytes_ = header.bytes;
  auto next = descriptors.begin();
  const auto take = [&next, &descriptors] {
    if (next == descriptors.end()) throw Error("what a new process was sent lacks a descriptor");
    return std::move(*next++);
  };
  start.file_ = take();
  if ((header.has & has_memory) != 0) start.memory = take();
  for (int stream = 0; stream <= STDERR_FILENO; ++stream) {
    if ((header.has & tells_streams) == 0) break;
    start.standard[stream] = (header.has & has_stream << stream) != 0 ? take() : base::Fd();
  }
  while (next != descriptors.end()) start.carried_.emplace_back((next++)->release());
  return start;
}

Preparation Received::open() {
  std::uint64_t size = 0;
  int error = os::sealed_size(file_.get(), size);
  if (error >= 0 && (size != bytes_ || size == 0)) error = -EINVAL;
  void* where = nullptr;
  if (error >= 0) error = os::map_sealed(file_.get(), size, &where);
  if (error < 0) base::throw_os_error("read", "what this process is to run", -error);
  // It stays mapped: the process that it is for ends with it.
  codec::Decoder in({static_cast<const std::byte*>(where), size});
  Preparation preparation = codec::decode<Preparation>(in);
  target_ = {static_cast<const std::byte*>(where) + (size - in.remaining()), in.remaining()};
  file_.reset();
  return preparation;
}

}  // namespace multiprocessing::process_
