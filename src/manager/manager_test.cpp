// The life of a manager: its start, its objects' lives, its end by any means.
#include <signal.h>
#include <unistd.h>

#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "manager/manager_test_support.hpp"
#include "memory/family.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queue.hpp"
#include "multiprocessing/start_method.hpp"
#include "os/os.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::test;
using namespace std::chrono_literals;

namespace {

class ManagerTest : public ::testing::Test {
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(60)};
};

bool has_ended(pid_t pid) {
  char state = 0;
  return mp::os::start_ticks(pid, &state) == 0 || state == 'Z';
}

TEST_F(ManagerTest, CallsAfterShutdownThrowManagerDied) {
  mp::Manager manager;
  const auto dict = manager.dict<std::string, int>();
  manager.shutdown();
  EXPECT_THROW(dict.set("a", 1), mp::ManagerDied);
  EXPECT_THROW(static_cast<void>(manager.list<int>()), mp::ManagerDied);
  manager.shutdown();
}
TEST_F(ManagerTest, ACallThatWaitsGetsManagerDiedWhenTheServerIsKilled) {
  const mp::Manager manager;
  const auto queue = manager.queue<int>();
  const auto begun = manager.event();
  std::thread killer([&] {
    begun.wait();
    ::kill(manager.pid(), SIGKILL);
  });
  begun.set();
  EXPECT_THROW(static_cast<void>(queue.get()), mp::ManagerDied);
  killer.join();
  EXPECT_THROW(static_cast<void>(queue.get()), mp::ManagerDied);
}
TEST_F(ManagerTest, AManagerCanBeMadeAfterOneWasKilled) {
  mp::Manager manager;
  ::kill(manager.pid(), SIGKILL);
  manager = mp::Manager();
  EXPECT_EQ(manager.value<int>(3).get(), 3);
}
TEST_F(ManagerTest, TheServerEndsWithTheProcessThatMadeIt) {
  const mp::Queue<pid_t> servers;
  mp::Process owner([servers] {
    const mp::Manager manager;
    servers.put(manager.pid());
    ::raise(SIGKILL);
  });
  owner.start();
  const pid_t server = servers.get();
  owner.join();
  while (!has_ended(server)) std::this_thread::yield();
}
TEST_F(ManagerTest, TheServerEndsWhenItsOwnerExits) {
  const mp::Queue<pid_t> servers;
  mp::Process owner([servers] {
    auto* const never_destroyed = new mp::Manager;
    servers.put(never_destroyed->pid());
  });
  owner.start();
  const pid_t server = servers.get();
  owner.join();
  EXPECT_EQ(owner.exitcode(), 0);
  while (!has_ended(server)) std::this_thread::yield();
}

// Looks until the server has swept.
template <class Condition>
void until(const Condition& condition) {
  while (!condition()) std::this_thread::yield();
}

TEST_F(ManagerTest, ObjectsGoWithTheirLastProxy) {
  const mp::Manager manager;
  const auto kept = manager.dict<int, std::string>();
  const auto before = mp::memory::stats();
  {
    std::vector<mp::DictProxy<int, std::string>> many;
    for (int i = 0; i < 500; ++i) many.push_back(manager.dict<int, std::string>());
    EXPECT_GE(mp::memory::stats().objects, before.objects + 500);
  }
  until([&] { return mp::memory::stats().objects <= before.objects; });
  kept.set(1, "still there");
}
TEST_F(ManagerTest, ObjectsOfADeadProcessGo) {
  const mp::Manager manager;
  const auto before = mp::memory::stats();
  mp::Process child([factory = &manager] {
    std::vector<mp::ListProxy<int>> many;
    for (int i = 0; i < 100; ++i) many.push_back(factory->list<int>());
    ::raise(SIGKILL);
  });
  child.start();
  child.join();
  until([&] { return mp::memory::stats().objects <= before.objects + 1; });  // the channel of this process
}
TEST_F(ManagerTest, AnObjectWithANameStays) {
  const mp::Manager manager;
  manager.list<int>("kept").push_back(1);
  const auto before = mp::memory::stats();
  static_cast<void>(manager.list<int>());
  until([&] { return mp::memory::stats().objects <= before.objects; });
  EXPECT_EQ(manager.list<int>("kept").size(), 1U);
}

TEST_F(ManagerTest, TheInitializerRunsInTheServer) {
  const mp::Queue<pid_t> queue;
  const mp::Manager manager({.initializer = [queue] { queue.put(::getpid()); }});
  EXPECT_EQ(queue.get(), manager.pid());
}
TEST_F(ManagerTest, AFailingInitializerIsTold) {
  try {
    const mp::Manager manager({.initializer = [] { throw std::runtime_error("no licence"); }});
    FAIL();
  } catch (const mp::Error& e) {
    EXPECT_NE(std::string(e.what()).find("no licence"), std::string::npos) << e.what();
  }
}
TEST_F(ManagerTest, ANetworkAddressNeedsAKey) {
  EXPECT_THROW(mp::Manager({.address = "tcp://127.0.0.1:0"}), std::exception);
  EXPECT_THROW(mp::Manager({.address = "tcp://127.0.0.1:0", .authkey = "short"}), std::exception);
}

class ManagerUnder : public ::testing::TestWithParam<mp::StartMethod> {
  const multiprocessing::testing::Watchdog watchdog_{std::chrono::seconds(60)};
};
INSTANTIATE_TEST_SUITE_P(EveryStartMethod, ManagerUnder, ::testing::ValuesIn(mp::get_all_start_methods()),
                         [](const auto& param) { return std::string(param.param == mp::StartMethod::fork ? "Fork" : param.param == mp::StartMethod::spawn ? "Spawn" : "Forkserver"); });

struct Counter {
  explicit Counter(int start) : count(start) {}
  int add(int n) { return count += n; }
  int count;
};

TEST_P(ManagerUnder, ServesContainersOwnClassesAndTheNetwork) {
  const mp::Manager manager({.address = "tcp://127.0.0.1:0", .authkey = key, .start_method = GetParam()});
  const auto dict = manager.dict<std::string, int>("counts");
  dict.set("a", 1);
  EXPECT_EQ(dict.update("a", [](int& n) { return ++n; }), 2);
  EXPECT_EQ(manager.create<Counter>(10).call(&Counter::add, 5), 15);
  EXPECT_EQ((mp::connect_manager(manager.address(), key).dict<std::string, int>("counts").at("a")), 2);
}

}  // namespace
