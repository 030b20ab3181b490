// Somebody else writes into the socket: each packet that is not ours is reported, dropped, and harms nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "channel/connection_test_support.hpp"
#include "channel/link_layout.hpp"
#include "multiprocessing/connection.hpp"
#include "multiprocessing/queue.hpp"
#include "os/os.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing {
namespace {

using namespace std::chrono_literals;
using channel::PacketHeader;
using testing::Ends;
using testing::NothingLeft;
using testing::Watchdog;

// The left end, and the right end's other side of the socket: what is written there arrives at the left.
struct Foreign {
  Ends pipe;
  int socket = pipe.right.fileno();

  void write(const PacketHeader& header, std::string content = "", std::vector<int> fds = {}) const {
    content.insert(0, reinterpret_cast<const char*>(&header), sizeof header);
    write_raw(std::move(content), std::move(fds));
  }
  void write_raw(std::string packet, std::vector<int> fds = {}) const {
    const iovec part{packet.data(), packet.size()};
    ASSERT_EQ(os::send_packet(socket, {&part, 1}, fds), static_cast<int>(packet.size()));
  }
  // What was written is reported with this text, and what comes after it is received.
  void expect_refused(const std::string& text) const {
    pipe.right.send("after");
    EXPECT_TRUE(pipe.left.poll());
    try {
      pipe.left.recv<std::string>();
      ADD_FAILURE() << "not refused";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
    EXPECT_EQ(pipe.left.recv<std::string>(), "after");
    EXPECT_FALSE(pipe.left.poll());
  }
};

PacketHeader good_header(std::size_t bytes) {
  return {channel::packet_magic, 0, 0, channel::fingerprint(typeid(std::string).name()), bytes, 0, 0};
}

base::Fd memory_file(const std::string& content, std::uint64_t size, bool sealed) {
  base::Fd file(os::memfd_create("foreign"));
  EXPECT_EQ(os::set_size(file.get(), size), 0);
  EXPECT_EQ(os::write_all(file.get(), std::as_bytes(std::span(content)), 0), 0);
  if (sealed) {
    EXPECT_EQ(os::seal_content(file.get()), 0);
  }
  return file;
}

TEST(ForeignPacketTest, OneThatIsMadeAsOursIsReceived) {  // so that the others are refused for what is said
  const NothingLeft nothing_left;
  const Foreign foreign;
  foreign.write(good_header(3), "abc");
  EXPECT_EQ(foreign.pipe.left.recv<std::string>(), "abc");
  PacketHeader large = good_header(100'000);
  large.large = 1;
  const std::string content(100'000, 'x');
  const base::Fd file = memory_file(content, content.size(), true);
  foreign.write(large, "", {file.get()});
  EXPECT_TRUE(foreign.pipe.left.recv<std::string>() == content);
}

TEST(ForeignPacketTest, JunkIsRefused) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Foreign foreign;
  foreign.write_raw("junk");
  foreign.expect_refused("too short");
  foreign.write_raw(std::string(1'000, 'j'));
  foreign.expect_refused("no header");
  foreign.write_raw(std::string(100'000, 'j'));
  foreign.expect_refused("no header");
}

TEST(ForeignPacketTest, APacketOfNothingIsNotTheEndOfFile) {
  const NothingLeft nothing_left;
  const Foreign foreign;
  ASSERT_EQ(::send(foreign.socket, nullptr, 0, 0), 0);
  foreign.expect_refused("empty");
}

TEST(ForeignPacketTest, LengthsAreCheckedBeforeAnythingIsDoneWithThem) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Foreign foreign;
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{4}, std::uint64_t{1} << 39}) {
    foreign.write(good_header(bytes), "abc");
    foreign.expect_refused("length");
  }
  for (const std::uint64_t bytes : {std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    foreign.write(good_header(bytes), "abc");
    foreign.expect_refused("more than a message can hold");
  }
  PacketHeader header = good_header(3);
  header.handles = 1;
  foreign.write(header, "abc");
  foreign.expect_refused("length");
  header.handles = ~std::uint32_t{0};
  foreign.write(header, "abc");
  foreign.expect_refused("more than a message can hold");
  foreign.write(good_header(60'000), std::string(60'000, 'x'));
  foreign.expect_refused("too long");
}

TEST(ForeignPacketTest, DescriptorsMustBeThoseAnnouncedAndNoneIsLeft) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Foreign foreign;
  foreign.write(good_header(3), "abc", {0, 0});
  foreign.expect_refused("descriptors");
  PacketHeader header = good_header(3);
  header.descriptors = 1;
  foreign.write(header, "abc");
  foreign.expect_refused("descriptors");
  header.descriptors = 60'000;
  foreign.write(header, "abc");
  foreign.expect_refused("too many descriptors");
  foreign.write_raw("junk", std::vector<int>(os::most_descriptors, 0));
  foreign.expect_refused("too short");
}

TEST(ForeignPacketTest, LargeContentMustBeASealedFileOfThatLengthWithoutHoles) {
  Watchdog dog{60s};
  const NothingLeft nothing_left;
  const Foreign foreign;
  PacketHeader header = good_header(100'000);
  header.large = 1;
  foreign.write(header);
  foreign.expect_refused("descriptors");
  const std::string content(100'000, 'x');
  for (const base::Fd& file : {memory_file(content, content.size(), false), memory_file(content, 100'001, true),
                               memory_file("", content.size(), true), base::Fd(::open("/dev/zero", O_RDONLY))}) {
    foreign.write(header, "", {file.get()});
    foreign.expect_refused("no sealed file");
  }
  header.bytes = 0;
  foreign.write(header, "", {memory_file("", 0, true).get()});
  foreign.expect_refused("no sealed file");
  header.large = 2;
  foreign.write(header);
  foreign.expect_refused("no header");
}

TEST(ForeignPacketTest, HandlesMustNameObjectsThatAreThere) {
  const NothingLeft nothing_left;
  const Foreign foreign;
  PacketHeader header = good_header(0);
  header.handles = 1;
  foreign.write(header, std::string(8, '\xff'));
  foreign.expect_refused("does not exist any more");
}

TEST(ForeignPacketTest, ContentOfTheRightTypeAndTheWrongFormIsAnError) {
  const Foreign foreign;
  PacketHeader header = good_header(3);
  header.type = channel::fingerprint(typeid(std::vector<int>).name());
  foreign.write(header, "abc");
  EXPECT_THROW(foreign.pipe.left.recv<std::vector<int>>(), Error);
  header.type = channel::fingerprint(typeid(Connection).name());
  foreign.write(header, "abc");
  EXPECT_THROW(foreign.pipe.left.recv<Connection>(), Error);
  header.type = channel::fingerprint(typeid(Descriptor).name());
  header.bytes = 4;
  foreign.write(header, std::string(4, '\0'));
  EXPECT_THROW(foreign.pipe.left.recv<Descriptor>(), Error);
  EXPECT_FALSE(foreign.pipe.left.poll());
}

// A connection is a descriptor, its ways, and two directions: anything else in their places is no connection.
struct Pretended {
  detail::SharedFd fd;
  std::uint8_t ways = 3;
  memory::Ref in;
  memory::Ref out;
  template <class Archive>
  void save(Archive& archive) const {
    archive.carry(fd);
    archive(ways);
    archive.carry(in);
    archive.carry(out);
  }
  template <class Archive>
  void load(Archive&) {}
};

// One of a Listener, as it travels.
struct PretendedSocket {
  PretendedSocket(detail::SharedFd socket, std::size_t state_bytes) : fd(std::move(socket)), state(state_bytes) {}
  explicit PretendedSocket(codec::Undecoded) {}
  detail::SharedFd fd;
  std::vector<std::byte> state;
  template <class Archive>
  void save(Archive& archive) const {
    archive.carry(fd);
    archive(channel::Ways::wire, state);
  }
  template <class Archive>
  void load(Archive&) {}
};

TEST(ForeignPacketTest, WhatIsNoConnectionOverASocketDoesNotBecomeOne) {
  const NothingLeft nothing_left;
  const auto decoded = [](const PretendedSocket& pretended) {
    codec::Encoder out;
    out.let_descriptors_travel(true);
    codec::encode(out, pretended);
    codec::Decoder in(out.bytes(), out.descriptors());
    return codec::decode<Connection>(in);
  };
  constexpr std::size_t empty_state = 24;
  const auto stream = [] { return detail::SharedFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); };
  EXPECT_FALSE(decoded({stream(), empty_state}).closed());
  EXPECT_THROW(decoded({stream(), empty_state - 1}), Error);
  EXPECT_THROW(decoded({stream(), empty_state + 100}), Error) << "bytes that are no part of a message";
  EXPECT_THROW(decoded({detail::SharedFd(os::eventfd(false)), empty_state}), Error);
  EXPECT_THROW(decoded({detail::SharedFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)), empty_state}), Error);
}

TEST(ForeignPacketTest, WhatIsNoConnectionDoesNotBecomeOne) {
  const NothingLeft nothing_left;
  const Ends pipe;
  const auto parts = [&] {
    struct Archive {
      Pretended found;
      void carry(const detail::SharedFd& fd) { found.fd = fd; }
      void carry(const memory::Ref& ref) { (found.in ? found.out : found.in) = ref; }
      void operator()(channel::Ways) {}
      void operator()(const std::vector<std::byte>&) {}
    } archive;
    pipe.left.save(archive);
    return archive.found;
  }();
  const auto decoded = [](const Pretended& pretended) {
    codec::Encoder out;
    out.let_descriptors_travel(true);
    codec::encode(out, pretended);
    codec::Decoder in(out.bytes(), out.descriptors());
    return codec::decode<Connection>(in);
  };
  EXPECT_FALSE(decoded(parts).closed());
  Pretended no_socket = parts;
  no_socket.fd = detail::SharedFd(os::eventfd(false));
  EXPECT_THROW(decoded(no_socket), Error);
  Pretended no_direction = parts;
  no_direction.in = memory::Ref::create(memory::Kind::block, 4096);
  EXPECT_THROW(decoded(no_direction), Error);
  for (const int ways : {0, 4, 255}) {
    Pretended no_ways = parts;
    no_ways.ways = static_cast<std::uint8_t>(ways);
    EXPECT_THROW(decoded(no_ways), Error);
  }
}

}  // namespace
}  // namespace multiprocessing
