// FAULTS 29 on a manager's port: strangers, and clients with the key who do not keep to the protocol.  Each time: that one
// is refused or answered with an error, the log says so once, others are served, and memory does not grow.
#include <gtest/gtest.h>
#include <malloc.h>

#include <random>
#include <thread>

#include "channel/listener_test_support.hpp"
#include "manager/raw_client.hpp"
#include "multiprocessing/synchronize.hpp"
#include "multiprocessing/manager.hpp"
#include "multiprocessing/manager_server.hpp"
#include "wire/bytes.hpp"

namespace multiprocessing::managers {
namespace {

using namespace testing;
using multiprocessing::testing::Logged;
using multiprocessing::testing::Stranger;
using multiprocessing::testing::times;
using multiprocessing::testing::Watchdog;
using namespace std::chrono_literals;

class Counter {
 public:
  explicit Counter(int start) : count_(start) {}
  int add(int n) { return count_ += n; }
  void hold(const Lock& /*lock*/) {}

 private:
  int count_;
};
class Other {
 public:
  [[nodiscard]] int look() const { return secret_; }

 private:
  [[maybe_unused]] int padding_[64] = {};
  int secret_ = 5;
};
[[maybe_unused]] const bool registered = [] {
  register_class<Counter, int>("faults.Counter");
  register_method("faults.Counter.add", &Counter::add);
  register_method("faults.Counter.hold", &Counter::hold);
  register_method("faults.Other.look", &Other::look);
  return true;
}();

class ManagerFaults : public ::testing::Test {
 protected:
  ManagerFaults() : server_({.address = "tcp://127.0.0.1:0", .authkey = key, .max_message = most}) {
    server_.serve("locks", locks_);
    server_.serve("counter", std::make_shared<Counter>(1));
    thread_ = std::thread([this] { server_.serve_forever(); });
    honest_.emplace(server_.address(), key);
    value_.emplace(honest_->value<int>(0));
  }
  ~ManagerFaults() override {
    server_.stop();
    thread_.join();
  }
  [[nodiscard]] const std::string& address() const { return server_.address(); }
  void expect_others_served() {
    value_->set(++times_);
    EXPECT_EQ(value_->get(), times_);
  }
  void expect_refused_once(Logged& log, const std::string& kind, const std::string& reason) {
    expect_others_served();
    const std::string text = log.text();
    EXPECT_EQ(times(text, kind), 1U) << text;
    EXPECT_EQ(times(text, reason), 1U) << text;
  }

  static constexpr std::uint64_t most = 1 << 20;
  Watchdog dog_{120s};
  Queue<Lock> locks_;
  ManagerServer server_;
  std::thread thread_;
  std::optional<RemoteManager> honest_;
  std::optional<ValueProxy<int>> value_;
  int times_ = 0;
};

std::vector<std::byte> hello_of(const std::string& with_key) {
  const wire::Wire client(wire::Role::client, {.key = with_key});
  return {client.outgoing().begin(), client.outgoing().end()};
}

// --- strangers --------------------------------------------------------------------------------------------------------

TEST_F(ManagerFaults, Faults29_GarbageAtItsPortIsRefused) {
  Logged log;
  const Stranger stranger(address());
  stranger.say("GET / HTTP/1.1\r\n\r\n");
  stranger.wait_for_end();
  expect_refused_once(log, "has refused", "not the protocol");
}
TEST_F(ManagerFaults, Faults29_AWrongKeyIsRefusedAndTheClientToldSo) {
  Logged log;
  EXPECT_THROW(static_cast<void>(connect_manager(address(), "another key of 16 and more")), AuthenticationError);
  log.wait_for("another authkey");
  expect_refused_once(log, "has refused", "another authkey");
}
TEST_F(ManagerFaults, Faults29_NoKeyIsRefused) {
  Logged log;
  const Stranger stranger(address());
  stranger.say(hello_of(""));
  stranger.wait_for_end();
  expect_refused_once(log, "has refused", "has no authkey");
}
TEST_F(ManagerFaults, Faults29_AnOldVersionOfTheWireIsRefused) {
  Logged log;
  const Stranger stranger(address());
  std::vector<std::byte> hello = hello_of(key);
  wire::put_u16(&hello[8], 0);
  stranger.say(hello);
  stranger.wait_for_end();
  expect_refused_once(log, "has refused", "speaks version 0 of the protocol, this listener version 1");
}
TEST_F(ManagerFaults, Faults29_HalfAHandshakeIsRefusedWhenItEnds) {
  Logged log;
  Stranger stranger(address());
  stranger.say(std::span<const std::byte>(hello_of(key)).first(20));
  stranger.hang_up();
  log.wait_for("has gone during the handshake");
  expect_refused_once(log, "has refused", "has gone during the handshake");
}
TEST_F(ManagerFaults, Faults29_ACrowdThatSpeaksSlowlyHoldsNobodyUp) {
  Logged log;
  std::vector<Stranger> crowd;
  const std::vector<std::byte> hello = hello_of(key);
  for (int i = 0; i < 70; ++i) crowd.emplace_back(address());
  const RemoteManager another(address(), key);
  for (std::size_t at = 0; at < 3; ++at) {
    for (const Stranger& one : crowd) one.say(std::span(hello).subspan(at, 1));
    expect_others_served();
  }
  for (const Stranger& one : crowd) one.wait_for_end();
  EXPECT_EQ(times(log.text(), "has refused"), 70U);
}

// --- with the key, and another protocol -------------------------------------------------------------------------------

TEST_F(ManagerFaults, Faults29_AnOldVersionOfTheManagersProtocolIsRefusedAndToldWhich) {
  Logged log;
  RawClient raw(address(), most, false);
  raw.greet(0);
  const auto welcome = raw.receive();
  ASSERT_TRUE(welcome);
  EXPECT_EQ(read_plain<Welcome>(welcome->bytes).version, protocol_version);
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "speaks version 0 of the protocol");
}
TEST_F(ManagerFaults, Faults29_ARequestBeforeTheHelloIsRefused) {
  Logged log;
  RawClient raw(address(), most, false);
  raw.send({.op = Op::make});
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "does not speak a manager's protocol");
}
TEST_F(ManagerFaults, Faults29_HalfAHelloIsRefused) {
  Logged log;
  RawClient raw(address(), most, false);
  raw.send(Frame::hello, Bytes(sizeof(Hello) - 1));
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "does not speak a manager's protocol");
}
TEST_F(ManagerFaults, Faults29_ATruncatedRequestIsRefused) {
  Logged log;
  RawClient raw(address());
  raw.send(Frame::request, Bytes(sizeof(RequestHeader) - 1));
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "truncated");
}
TEST_F(ManagerFaults, Faults29_AHugeFrameIsRefusedAndTakesNoMemory) {
  Logged log;
  RawClient raw(address());
  std::vector<std::byte> frame(wire::frame_header_bytes);
  wire::put_u64(frame.data(), std::uint64_t{1} << 60);
  raw.say(frame);
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "are the most that are taken here");
}
TEST_F(ManagerFaults, Faults29_RandomFramesAreRefusedOrAnsweredAndHarmNobody) {
  std::mt19937 random(29);
  for (int round = 0; round < 300; ++round) {
    RawClient raw(address());
    Bytes bytes(random() % 200);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    if (bytes.size() >= sizeof(RequestHeader)) {  // of an object that is there, with an operation that may be
      bytes[0] = static_cast<std::byte>(random() % 4);
      std::fill(bytes.begin() + 1, bytes.begin() + 8, std::byte{0});
      std::memset(&bytes[40], 0, 4);
      bytes[40] = static_cast<std::byte>(random() % 100);
    }
    raw.send(static_cast<Frame>(random() % 7), bytes);
  }
  expect_others_served();
}
TEST_F(ManagerFaults, Faults29_ASecondRequestBeforeTheAnswerIsRefused) {
  Logged log;
  RawClient raw(address());
  const std::uint64_t queue = raw.make(Kind::queue, {encoded(std::int64_t{0})});
  raw.send({.object = queue, .op = Op::get});
  raw.send({.object = queue, .op = Op::get});
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "before the one before was answered");
}
TEST_F(ManagerFaults, Faults29_APostOfWhatHasAnAnswerIsRefused) {
  Logged log;
  RawClient raw(address());
  raw.send(Frame::post, bytes_of({.op = Op::find_named, .values = {named("locks")}}));
  raw.expect_cut_off();
  expect_refused_once(log, "is cut off", "has posted what has an answer");
}

// --- well-framed requests that mean nothing ---------------------------------------------------------------------------

TEST_F(ManagerFaults, Faults29_HugeCountsInsideARequestAreAnErrorAndTakeNoMemory) {
  RawClient raw(address());
  const std::uint64_t dict = raw.make(Kind::dict);
  EXPECT_EQ(raw.ask({.object = dict, .op = Op::set_many, .claimed_values = 0xffffffff}).status(), Status::error);
  EXPECT_EQ(raw.ask({.first = static_cast<int>(Kind::list), .values = {named("")}, .claimed_values = 0xffffffff}).status(),
            Status::error);
  for (const ValueHeader& claim : {ValueHeader{~std::uint64_t{0}, 0, 0}, ValueHeader{0, 0xffffffff, 0},
                                   ValueHeader{0, 0, 0xffffffff}, ValueHeader{~std::uint64_t{7}, 0xffffffff, 0xffffffff}}) {
    Bytes bytes = bytes_of({.object = dict, .op = Op::set, .claimed_values = 2});
    append(bytes, claim);
    raw.send(Frame::request, bytes);
    const auto answer = raw.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(read_plain<AnswerHeader>(answer->bytes).status, Status::error);
  }
  expect_others_served();
}
TEST_F(ManagerFaults, Faults29_UnknownOperationsKindsAndObjectsAreErrors) {
  RawClient raw(address());
  const std::uint64_t lock = raw.make(Kind::lock);
  EXPECT_EQ(raw.ask({.object = lock, .op = static_cast<Op>(9999)}).status(), Status::error);
  EXPECT_EQ(raw.ask({.object = lock, .op = Op::put, .values = {encoded(1)}}).status(), Status::error);
  EXPECT_EQ(raw.ask({.object = 123456, .op = Op::get}).status(), Status::error);
  EXPECT_EQ(raw.ask({.op = static_cast<Op>(9999)}).status(), Status::error);
  EXPECT_EQ(raw.ask({.first = 9999, .values = {named("")}}).status(), Status::error);
  expect_others_served();
}
TEST_F(ManagerFaults, Faults29_HandlesInAValueAreRefused) {
  const Lock lock;
  RawClient raw(address());
  const std::uint64_t list = raw.make(Kind::list);
  const Reply reply = raw.ask({.object = list, .op = Op::push_back, .values = {{.bytes = "12345678", .handles = {1}}}});
  EXPECT_EQ(reply.status(), Status::error);
  EXPECT_EQ(raw.ask({.object = list, .op = Op::size}).header().number, 0);
  expect_others_served();
}
TEST_F(ManagerFaults, Faults29_HandlesHiddenInTheBytesOfAnItemOrAnArgumentAreRefused) {
  const Lock lock;
  const Given hidden = encoded(lock);
  RawClient raw(address());
  const Reply queue = raw.ask({.op = Op::make,
                               .first = static_cast<int>(Kind::queue),
                               .second = static_cast<std::int64_t>(fingerprint(typeid(Lock))),
                               .values = {named("locks"), encoded(std::int64_t{0})}});
  ASSERT_EQ(queue.status(), Status::done);
  const Reply put = raw.ask(
      {.object = static_cast<std::uint64_t>(queue.header().number), .op = Op::put, .values = {hidden}});
  EXPECT_EQ(put.status(), Status::error);
  EXPECT_TRUE(locks_.empty());
  const auto counter = raw.ask({.op = Op::find_named,
                                .first = static_cast<int>(Kind::own),
                                .second = static_cast<std::int64_t>(fingerprint(typeid(Counter))),
                                .values = {named("counter")}});
  ASSERT_EQ(counter.status(), Status::done);
  const Reply call = raw.ask({.object = static_cast<std::uint64_t>(counter.header().number),
                              .op = Op::call,
                              .values = {encoded(true), encoded(std::string("faults.Counter.hold")),
                                         encoded(fingerprint(typeid(&Counter::hold))), hidden}});
  EXPECT_EQ(call.status(), Status::thrown);
  EXPECT_NE(call.text().find("handle"), std::string::npos) << call.text();
  expect_others_served();
}

// --- code ---------------------------------------------------------------------------------------------------------------

class CodeFaults : public ManagerFaults {
 protected:
  RawClient raw_{address()};
  const std::uint64_t counter_ = static_cast<std::uint64_t>(
      raw_.ask({.op = Op::find_named,
                .first = static_cast<int>(Kind::own),
                .second = static_cast<std::int64_t>(fingerprint(typeid(Counter))),
                .values = {named("counter")}})
          .header()
          .number);
  Reply call(const std::string& name, std::uint64_t signature, const Given& arguments) {
    return raw_.ask({.object = counter_,
                     .op = Op::call,
                     .values = {encoded(true), encoded(name), encoded(signature), arguments}});
  }
};

TEST_F(CodeFaults, Faults29_CodeByItsAddressIsRefused) {
  const codec::Token token = codec::token_of(reinterpret_cast<const void*>(&call_method<Counter, decltype(&Counter::add)>));
  auto add = &Counter::add;
  const Reply reply = raw_.ask({.object = counter_,
                                .op = Op::call,
                                .values = {encoded(false), encoded(token), encoded(name_method(&add)),
                                           encoded(std::tuple<int>(5))}});
  EXPECT_EQ(reply.status(), Status::thrown);
  EXPECT_NE(reply.text().find("registered name"), std::string::npos) << reply.text();
  const Reply make = raw_.ask({.op = Op::make,
                               .first = static_cast<int>(Kind::own),
                               .values = {named(""), encoded(false), encoded(token), encoded(MethodName()), named("")}});
  EXPECT_EQ(make.status(), Status::thrown);
  expect_others_served();
}
TEST_F(CodeFaults, Faults29_AnotherSignatureOrAnUnknownNameIsRefused) {
  EXPECT_EQ(call("faults.Counter.add", fingerprint(typeid(&Counter::add)), encoded(std::tuple<int>(5))).status(), Status::done);
  EXPECT_EQ(call("faults.Counter.add", 1, encoded(std::tuple<int>(5))).status(), Status::thrown);
  EXPECT_EQ(call("no such name", 1, encoded(std::tuple<int>(5))).status(), Status::thrown);
  EXPECT_EQ(call("faults.Counter", fingerprint(typeid(Counter(std::tuple<int>))), named("")).status(), Status::thrown);
  EXPECT_EQ(call("faults.Counter.add", fingerprint(typeid(&Counter::add)), named("x")).status(), Status::thrown);
  expect_others_served();
}
TEST_F(CodeFaults, Faults29_AMethodOfAnotherClassIsRefused) {
  const Reply reply = call("faults.Other.look", fingerprint(typeid(&Other::look)), named(""));
  EXPECT_EQ(reply.status(), Status::thrown);
  EXPECT_NE(reply.text().find("of another class"), std::string::npos) << reply.text();
  expect_others_served();
}
TEST_F(CodeFaults, Faults29_PoolsAreNotForTheNetwork) {
  const Reply reply =
      raw_.ask({.first = static_cast<int>(Kind::pool), .values = {named(""), encoded(std::int64_t{1'000'000})}});
  EXPECT_EQ(reply.status(), Status::not_sendable);
  expect_others_served();
}

// --- memory -------------------------------------------------------------------------------------------------------------

TEST_F(ManagerFaults, Faults29_WhoTakesNoAnswersGetsNoMoreOfThem) {
  RawClient raw(address());
  const std::uint64_t list = raw.make(Kind::list);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(raw.ask({.object = list, .op = Op::push_back, .values = {named(std::string(100'000, 'x'))}}).status(),
              Status::done);
  }
  const std::size_t before = ::mallinfo2().uordblks;
  Bytes frames;
  for (int i = 0; i < 500; ++i) wire::append_frame(frames, static_cast<std::uint16_t>(Frame::request), 0, bytes_of({.object = list, .op = Op::items}));
  EXPECT_TRUE(raw.say_at_once(frames));
  for (int i = 0; i < 20; ++i) expect_others_served();  // by then it has seen all of them
  EXPECT_LT(::mallinfo2().uordblks, before + 20'000'000) << "400 MB were asked for";
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(raw.receive()) << i;
}
TEST_F(ManagerFaults, Faults29_AClientThatTakesNoMessagesAtAllHarmsNobody) {
  std::optional<RawClient> raw(std::in_place, address(), sizeof(Welcome));
  raw->send({.op = Op::find_named, .values = {named("nothing")}});  // answered with more than it takes
  raw->expect_cut_off();
  raw.emplace(address(), sizeof(Welcome));
  RawClient maker(address());
  const std::uint64_t barrier = maker.make(Kind::barrier, {encoded(std::int64_t{2})});
  raw->send({.object = barrier, .op = Op::wait, .patience_ns = 1'000'000});  // answered when its time is over
  raw->expect_cut_off();
  expect_others_served();
}
TEST_F(ManagerFaults, Faults29_MemoryStaysWhatItWas) {
  const auto visit = [&](int round) {
    const Stranger stranger(address());
    stranger.say(std::vector<std::byte>(100'000, std::byte{'m'}));
    stranger.wait_for_end();
    RawClient raw(address());
    const std::uint64_t dict = raw.make(Kind::dict);
    static_cast<void>(raw.ask({.object = dict, .op = Op::set, .values = {named("key"), named(std::string(100'000, 'x'))}}));
    if (round % 2 == 0) raw.send(Frame::request, Bytes(3));
  };
  const auto settled = [&] {  // what was made by those who have gone is swept
    expect_others_served();
    return ::mallinfo2().uordblks;
  };
  for (int i = 0; i < 20; ++i) visit(i);
  const std::size_t before = settled();
  for (int i = 0; i < 100; ++i) visit(i);
  while (settled() > before + 200'000) std::this_thread::yield();
}

// --- what belongs to the family -----------------------------------------------------------------------------------------

class HandleFaults : public ::testing::Test {
 protected:
  Watchdog dog_{120s};
  const Manager manager_{{.address = "tcp://127.0.0.1:0", .authkey = key}};
  const RemoteManager remote_{manager_.address(), key};
};

TEST_F(HandleFaults, Faults29_AnItemWithAHandleIsNotSendableAndStays) {
  const auto here = manager_.queue<Queue<int>>("queues");
  const auto there = remote_.queue<Queue<int>>("queues");
  const Queue<int> item;
  here.put(item);
  EXPECT_THROW(static_cast<void>(there.get()), NotSendable);
  EXPECT_EQ(here.qsize(), 1U);
  here.get().put(5);
  EXPECT_EQ(item.get(), 5);
  EXPECT_THROW(there.put(Queue<int>()), NotSendable);
}
TEST_F(HandleFaults, Faults29_ItIsNotTakenFromADictOrAList) {
  const auto dict = manager_.dict<int, Queue<int>>("dict");
  const auto list = manager_.list<Queue<int>>("list");
  dict.set(1, Queue<int>());
  for (int i = 0; i < 3; ++i) list.push_back(Queue<int>());
  EXPECT_THROW(static_cast<void>((remote_.dict<int, Queue<int>>("dict").pop(1))), NotSendable);
  EXPECT_THROW(static_cast<void>(remote_.list<Queue<int>>("list").pop(1)), NotSendable);
  EXPECT_TRUE(dict.contains(1));
  EXPECT_EQ(list.size(), 3U);
}
// Each of those who wait fails in turn, which gives the item to the next, and the family gets it at last.
TEST_F(HandleFaults, Faults29_ManyWhoWaitForItAllFailAndItStays) {
  const auto here = manager_.queue<Queue<int>>("queues");
  std::vector<std::thread> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.emplace_back([&] {
      const auto there = remote_.queue<Queue<int>>("queues");
      EXPECT_THROW(static_cast<void>(there.get()), NotSendable);
    });
  }
  here.put(Queue<int>());
  for (std::thread& one : waiting) one.join();
  EXPECT_NO_THROW(static_cast<void>(here.get()));
}
TEST_F(HandleFaults, Faults29_AnUpdateThatCannotBeSentIsGivenToTheNextWhoWaits) {
  const auto dict = manager_.dict<int, Queue<int>>("dict");
  dict.set(1, Queue<int>());
  std::vector<std::thread> waiting;
  const auto begun = manager_.semaphore(0);
  dict.update(1, [&](Queue<int>&) {
    for (int i = 0; i < 3; ++i) {
      waiting.emplace_back([&] {
        const auto there = remote_.dict<int, Queue<int>>("dict");
        begun.release();
        EXPECT_THROW(there.update(1, [](Queue<int>&) {}), NotSendable);
      });
    }
    for (int i = 0; i < 3; ++i) begun.acquire();
    std::this_thread::yield();
  });
  for (std::thread& one : waiting) one.join();
  dict.update(1, [](Queue<int>& queue) { queue.put(1); });
  EXPECT_EQ(dict.at(1).get(), 1);
}

}  // namespace
}  // namespace multiprocessing::managers
