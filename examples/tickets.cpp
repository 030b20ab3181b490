// Twenty people buy ten tickets; how many are left stands in a file.
//
//   tickets             with a lock: ten are sold
//   tickets --no-lock   without: two who read the same number sell the same ticket
#include <chrono>
#include <fstream>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

struct Office {
  std::string file;
  std::optional<mp::Lock> lock{};

  [[nodiscard]] int left() const {
    int number = 0;
    std::ifstream(file) >> number;
    return number;
  }
  void set_left(int number) const { std::ofstream(file) << number; }

  [[nodiscard]] bool sell() const {
    const int number = left();
    if (number == 0) return false;
    std::this_thread::sleep_for(1ms);  // paying
    set_left(number - 1);
    return true;
  }
};

void buy(const Office& office, const mp::Value<int>& sold) {
  std::optional<std::scoped_lock<const mp::Lock>> hold;
  if (office.lock) hold.emplace(*office.lock);
  if (office.sell()) sold.update([](int& n) { ++n; });
}

int main(int argc, char**) {
  Office office{"/tmp/tickets-" + std::to_string(mp::current_process().pid())};
  if (argc == 1) office.lock.emplace();
  office.set_left(10);

  const mp::Value<int> sold(0);
  std::vector<mp::Process> people;
  for (int i = 0; i < 20; ++i) people.emplace_back(buy, office, sold);
  for (mp::Process& one : people) one.start();
  for (mp::Process& one : people) one.join();

  std::cout << sold.get() << " sold, " << office.left() << " left" << std::endl;
  std::remove(office.file.c_str());
}
