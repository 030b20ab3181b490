// Producers and consumers: two cooks, three eaters, one queue between them.  close() tells the eaters that no more comes.
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <vector>

namespace mp = multiprocessing;

void cook(const std::string& name, const mp::Queue<std::string>& table) {
  for (int i = 1; i <= 15; ++i) table.put("bun " + std::to_string(i) + " by " + name);
}

void eat(const mp::Queue<std::string>& table, const mp::Value<int>& eaten) {
  int mine = 0;
  for (const std::string& bun : table) {  // ends when the queue is closed and empty
    if (!bun.empty()) ++mine;
  }
  eaten.update([mine](int& all) { all += mine; });
}

int main() {
  const mp::Queue<std::string> table(4);  // a cook waits when four buns are there
  const mp::Value<int> eaten(0);
  std::vector<mp::Process> cooks, eaters;
  for (const char* name : {"Ann", "Ben"}) cooks.emplace_back(cook, name, table);
  for (int i = 0; i < 3; ++i) eaters.emplace_back(eat, table, eaten);
  for (mp::Process& one : eaters) one.start();
  for (mp::Process& one : cooks) one.start();

  for (mp::Process& one : cooks) one.join();
  table.close();
  for (mp::Process& one : eaters) one.join();
  std::cout << eaten.get() << " buns were made and eaten" << std::endl;
}
