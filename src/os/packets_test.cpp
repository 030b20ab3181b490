// Packets, sealed files and event descriptors: what connections rely on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "os/os.hpp"
#include "support/watchdog.hpp"

namespace multiprocessing::os {
namespace {

using testing::Watchdog;

struct Pair {
  base::Fd left;
  base::Fd right;
  Pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(message_socketpair(fds), 0);
    left = base::Fd(fds[0]);
    right = base::Fd(fds[1]);
  }
};

int send_text(int fd, std::string text, std::span<const int> descriptors = {}) {
  const iovec part{text.data(), text.size()};
  return send_packet(fd, {&part, 1}, descriptors);
}

struct Peek {
  std::string text = std::string(64, '\0');
  int descriptors[most_descriptors];
  PeekedPacket packet;
  int outcome;
  explicit Peek(int fd) {
    outcome = peek_packet(fd, std::as_writable_bytes(std::span(text)), descriptors, packet);
    text.resize(std::min(text.size(), packet.bytes));
  }
  ~Peek() {
    for (std::size_t i = 0; i < packet.descriptors; ++i) ::close(descriptors[i]);
  }
};

TEST(Packets, APeekedPacketStaysUntilItIsDropped) {
  const Pair pair;
  EXPECT_EQ(Peek(pair.right.get()).outcome, -EAGAIN);
  EXPECT_EQ(send_text(pair.left.get(), "first"), 5);
  EXPECT_EQ(send_text(pair.left.get(), "second"), 6);
  EXPECT_EQ(Peek(pair.right.get()).text, "first");
  EXPECT_EQ(Peek(pair.right.get()).text, "first");
  EXPECT_EQ(drop_packet(pair.right.get()), 0);
  EXPECT_EQ(Peek(pair.right.get()).text, "second");
}

TEST(Packets, ALongPacketTellsItsWholeLength) {
  const Pair pair;
  EXPECT_EQ(send_text(pair.left.get(), std::string(1000, 'x')), 1000);
  EXPECT_EQ(Peek(pair.right.get()).packet.bytes, 1000U);
}

TEST(Packets, DescriptorsArriveWithEveryPeek) {
  const Pair pair;
  const Pair sent;
  const int fds[] = {sent.left.get(), sent.right.get()};
  EXPECT_GT(send_text(pair.left.get(), "x", fds), 0);
  for (int i = 0; i < 2; ++i) {
    const Peek peek(pair.right.get());
    ASSERT_EQ(peek.packet.descriptors, 2U);
    EXPECT_EQ(identity_of(peek.descriptors[1]), identity_of(sent.right.get()));
    EXPECT_NE(::fcntl(peek.descriptors[0], F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(Packets, WhatWasSentBeforeTheEndIsStillThere) {
  Pair pair;
  EXPECT_EQ(send_text(pair.left.get(), "last"), 4);
  EXPECT_EQ(send_text(pair.right.get(), "unread"), 6);
  EXPECT_FALSE(is_hung_up(pair.right.get()));
  pair.left.reset();
  EXPECT_TRUE(is_hung_up(pair.right.get()));
  EXPECT_EQ(Peek(pair.right.get()).outcome, -ECONNRESET);  // once
  EXPECT_EQ(Peek(pair.right.get()).text, "last");
  EXPECT_EQ(drop_packet(pair.right.get()), 0);
  const Peek end(pair.right.get());
  EXPECT_EQ(end.outcome, 0);
  EXPECT_EQ(end.packet.bytes, 0U);
}

TEST(Packets, SendingToAnEndThatIsGoneIsAnErrorAndNoSignal) {
  Pair pair;
  pair.right.reset();
  EXPECT_EQ(send_text(pair.left.get(), "x"), -EPIPE);
}

TEST(Packets, CapacityIsKnownForPacketSocketsOnly) {
  const Pair pair;
  EXPECT_GT(packet_capacity(pair.left.get()), 4096);
  const base::Fd event(eventfd(false));
  EXPECT_LT(packet_capacity(event.get()), 0);
}

struct Memfd {
  base::Fd fd{memfd_create("test")};
};

TEST(Sealed, OnlyAFileWhoseContentIsFinalAndThereHasASize) {
  const std::vector<std::byte> content(3 * page_bytes + 5, std::byte{7});
  const Memfd file;
  std::uint64_t bytes = 0;
  EXPECT_EQ(set_size(file.fd.get(), content.size()), 0);
  EXPECT_EQ(write_all(file.fd.get(), content, 0), 0);
  EXPECT_EQ(sealed_size(file.fd.get(), bytes), -EINVAL);  // not sealed yet
  EXPECT_EQ(seal_content(file.fd.get()), 0);
  EXPECT_EQ(sealed_size(file.fd.get(), bytes), 0);
  EXPECT_EQ(bytes, content.size());
  void* where = nullptr;
  ASSERT_EQ(map_sealed(file.fd.get(), bytes, &where), 0);
  EXPECT_EQ(std::memcmp(where, content.data(), bytes), 0);
  unmap(where, bytes);

  const Memfd holes;
  EXPECT_EQ(set_size(holes.fd.get(), 1 << 20), 0);
  EXPECT_EQ(seal_content(holes.fd.get()), 0);
  EXPECT_EQ(sealed_size(holes.fd.get(), bytes), -EINVAL);
  const Pair no_file;
  EXPECT_LT(sealed_size(no_file.left.get(), bytes), 0);
}

TEST(Event, IsReadableOrNotHoweverOftenItIsSet) {
  const base::Fd event(eventfd(true));
  const auto readable = [&] {
    pollfd look{event.get(), POLLIN, 0};
    return poll({&look, 1}, Deadline::passed()) == 1;
  };
  EXPECT_TRUE(readable());
  EXPECT_EQ(set_event(event.get(), false), 0);
  EXPECT_EQ(set_event(event.get(), false), 0);
  EXPECT_FALSE(readable());
  EXPECT_EQ(set_event(event.get(), true), 0);
  EXPECT_EQ(set_event(event.get(), true), 0);
  EXPECT_TRUE(readable());
}

TEST(FutexWaitAny, ReturnsWhenOneIsNotAsExpectedAndAtItsDeadline) {
  Watchdog dog{std::chrono::seconds(60)};
  std::atomic<std::uint32_t> words[2] = {1, 2};
  const FutexWait asleep[] = {{&words[0], 1}, {&words[1], 2}};
  const Deadline deadline = Deadline::after(std::chrono::milliseconds(20));
  const int outcome = futex_wait_any(asleep, deadline);
  if (outcome == -ENOSYS) GTEST_SKIP() << "before Linux 5.16";
  EXPECT_EQ(outcome, -ETIMEDOUT);
  EXPECT_TRUE(deadline.is_over());
  const FutexWait changed[] = {{&words[0], 1}, {&words[1], 3}};
  EXPECT_EQ(futex_wait_any(changed, Deadline::never()), -EAGAIN);
}

}  // namespace
}  // namespace multiprocessing::os
