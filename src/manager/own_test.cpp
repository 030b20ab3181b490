// Objects of own classes, and pools of a manager.
#include <unistd.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "manager/manager_test_support.hpp"
#include "multiprocessing/manager_server.hpp"
#include "multiprocessing/pool_errors.hpp"
#include "multiprocessing/process.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::test;

namespace {

class Animal {
 public:
  Animal() = default;
  Animal(const Animal&) = delete;
  Animal& operator=(const Animal&) = delete;
  virtual ~Animal() = default;
  [[nodiscard]] virtual std::string sound() const { return "?"; }
  [[nodiscard]] int legs() const { return 4; }
};

class Counter : public Animal {
 public:
  explicit Counter(int start) : count_(start) {}
  Counter(std::string name, int start) : count_(start), name_(std::move(name)) {}
  int add(int n) { return count_ += n; }
  void reset() { count_ = 0; }
  [[nodiscard]] int get() const noexcept { return count_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string sound() const override { return "tick"; }
  void fail(const std::string& why) { throw std::invalid_argument(why); }
  [[nodiscard]] pid_t process() const { return ::getpid(); }
  void fill(const mp::ListProxy<int>& list) { list.push_back(count_); }
  void block(const mp::EventProxy& until) { until.wait(); }

 private:
  int count_;
  std::string name_;
};

class OwnTest : public EveryWay {};

// The server is a copy of this process, so what is registered here is registered there.
[[maybe_unused]] const bool registered = [] {
  mp::register_class<Counter, int>("Counter");
  mp::register_method("Counter.add", &Counter::add);
  mp::register_method("Counter.get", &Counter::get);
  mp::register_method("Counter.reset", &Counter::reset);
  mp::register_method("Counter.fail", &Counter::fail);
  return true;
}();

FOR_EVERY_WAY(OwnTest);

TEST_P(OwnTest, MethodsAreCalledInTheServer) {
  const auto counter = objects_->create<Counter>(10);
  EXPECT_EQ(counter.call(&Counter::add, 5), 15);
  EXPECT_EQ(counter.call(&Counter::get), 15);
  counter.call(&Counter::reset);
  EXPECT_EQ(counter.call(&Counter::get), 0);
}
TEST_P(OwnTest, AnExceptionArrivesAsItself) {
  const auto counter = objects_->create<Counter>(10);
  try {
    counter.call(&Counter::fail, "no such thing");
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(e.what(), "no such thing");
  }
  EXPECT_EQ(counter.call(&Counter::get), 10);
}
TEST_P(OwnTest, CallsOfOneObjectDoNotOverlap) {
  const auto counter = objects_->create<Counter>(0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) counter.call(&Counter::add, 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.call(&Counter::get), 200);
}

class FamilyOwnTest : public ::testing::Test {
 protected:
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(60)};
  const mp::Manager manager_;
};

TEST_F(FamilyOwnTest, ConstructorsOverloadedAndInheritedAndVirtualMethodsAreFound) {
  const auto counter = manager_.create<Counter>("clock", 1);
  EXPECT_EQ(counter.call(&Counter::name), "clock");
  EXPECT_EQ(counter.call(&Animal::sound), "tick");
  EXPECT_EQ(counter.call(&Animal::legs), 4);
  EXPECT_EQ(counter.call(&Counter::process), manager_.pid());
}
TEST_F(FamilyOwnTest, MethodsMayUseProxies) {
  const auto list = manager_.list<int>();
  manager_.create<Counter>(3).call(&Counter::fill, list);
  EXPECT_EQ(list.copy(), (std::vector<int>{3}));
}
TEST_F(FamilyOwnTest, AMethodThatBlocksHoldsUpNobodyElse) {
  const auto event = manager_.event();
  const auto blocked = manager_.create<Counter>(1);
  std::thread waiter([&] { blocked.call(&Counter::block, event); });
  EXPECT_EQ(manager_.create<Counter>(2).call(&Counter::get), 2);
  EXPECT_EQ(manager_.value<int>(5).get(), 5);
  event.set();
  waiter.join();
}
struct SaysGoodbye {
  explicit SaysGoodbye(mp::Queue<int> to) : queue(std::move(to)) {}
  SaysGoodbye(const SaysGoodbye&) = delete;
  SaysGoodbye& operator=(const SaysGoodbye&) = delete;
  ~SaysGoodbye() { queue.put(1); }
  mp::Queue<int> queue;
};

TEST_F(FamilyOwnTest, ObjectsAreDestroyedWithTheirLastProxyAndWithTheManager) {
  const mp::Queue<int> goodbyes;
  { static_cast<void>(manager_.create<SaysGoodbye>(goodbyes)); }
  static_cast<void>(manager_.value<int>(0));  // the answer before named it
  EXPECT_EQ(goodbyes.get(), 1);
  mp::Manager manager;
  const auto kept = manager.create<SaysGoodbye>(goodbyes);
  manager.shutdown();
  EXPECT_EQ(goodbyes.get_nowait(), 1);
}
TEST_F(FamilyOwnTest, ARemoteManagerWantsMethodsRegistered) {
  const mp::Manager manager({.address = "tcp://127.0.0.1:0", .authkey = key});
  const auto remote = mp::connect_manager(manager.address(), key);
  EXPECT_THROW(remote.create<Counter>(1).call(&Counter::name), mp::NotSendable);
  EXPECT_THROW(mp::register_method("Counter.add", &Counter::reset), std::invalid_argument);
}

int square(int x) { return x * x; }
int fail(int) { throw std::out_of_range("far"); }
void die() { ::_exit(3); }

TEST_F(FamilyOwnTest, APoolOfTheManagerRunsTasks) {
  const mp::PoolProxy pool = manager_.pool(2);
  EXPECT_EQ(pool.apply(square, 7), 49);
  EXPECT_EQ(pool.map(square, std::vector<int>{1, 2, 3}), (std::vector<int>{1, 4, 9}));
  const mp::ResultProxy<int> later = pool.apply_async(square, 3);
  EXPECT_EQ(later.get(), 9);
  EXPECT_TRUE(later.ready());
  EXPECT_TRUE(later.successful());
  EXPECT_THROW(pool.apply(fail, 1), std::out_of_range);
  EXPECT_THROW(pool.apply(die), mp::WorkerDied);
  pool.close();
  pool.join();
}
TEST_F(FamilyOwnTest, AnotherProcessMayUseThePool) {
  const mp::PoolProxy pool = manager_.pool(1);
  const auto result = manager_.value<int>(0);
  mp::Process child([](const mp::PoolProxy& p, const mp::ValueProxy<int>& out) { out.set(p.apply(square, 6)); }, pool,
                    result);
  child.start();
  child.join();
  EXPECT_EQ(result.get(), 36);
}

// --- ManagerServer ----------------------------------------------------------------------------------------------------

class ServerTest : public ::testing::Test {
 protected:
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(60)};
  mp::ManagerServer server_{{.address = "tcp://127.0.0.1:0", .authkey = key}};
  std::thread thread_;
  mp::RemoteManager start() {
    thread_ = std::thread([this] { server_.serve_forever(); });
    return mp::connect_manager(server_.address(), key);
  }
  ~ServerTest() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }
};

TEST_F(ServerTest, AQueueOfTheFamilyIsServed) {
  const mp::Queue<std::string> jobs(2);
  server_.serve("jobs", jobs);
  const auto remote = start().queue<std::string>("jobs");
  jobs.put("a");
  EXPECT_EQ(remote.get(), "a");
  std::thread getter([&] { EXPECT_EQ(remote.get(), "b"); });
  jobs.put("b");
  getter.join();
  remote.put("c");
  remote.put("d");
  EXPECT_THROW(remote.put_nowait("e"), mp::Full);
  EXPECT_EQ(jobs.get(), "c");
  EXPECT_EQ(remote.qsize(), 1U);
  EXPECT_EQ(remote.get(), "d");
  jobs.close();
  EXPECT_THROW(static_cast<void>(remote.get()), mp::Closed);
}
TEST_F(ServerTest, APutWaitsForRoomInAQueueOfTheFamily) {
  const mp::Queue<int> jobs(1);
  server_.serve("jobs", jobs);
  const auto remote = start().queue<int>("jobs");
  remote.put(1);
  std::thread putter([&] { remote.put(2); });
  EXPECT_EQ(jobs.get(), 1);
  EXPECT_EQ(jobs.get(), 2);
  putter.join();
}
TEST_F(ServerTest, AnObjectOfTheProgramIsServed) {
  const auto counter = std::make_shared<Counter>(10);
  server_.serve("counter", counter);
  EXPECT_THROW(server_.serve("counter", counter), std::invalid_argument);
  const auto manager = start();
  EXPECT_EQ(manager.find<Counter>("counter").call(&Counter::add, 1), 11);
  EXPECT_EQ(counter->get(), 11);
  EXPECT_THROW(static_cast<void>(manager.find<Counter>("other")), std::out_of_range);
  EXPECT_THROW(static_cast<void>(manager.find<Animal>("counter")), mp::TypeMismatch);
}
TEST_F(ServerTest, StopEndsItsClientsCalls) {
  const auto remote = start().queue<int>();
  std::thread stopper([&] { server_.stop(); });
  EXPECT_THROW(static_cast<void>(remote.get()), mp::ManagerDied);
  stopper.join();
}

}  // namespace
