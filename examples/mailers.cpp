// Ten mailers send 5,000 mails: each its 500, and all of them at the same time.
#include <chrono>
#include <iomanip>
#include <iostream>
#include <multiprocessing/process.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <thread>
#include <vector>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

constexpr int mailers = 10;
constexpr int mails = 5000;

void send(int first, int last, const mp::Value<int>& sent) {
  for (int mail = first; mail < last; ++mail) {
    std::this_thread::sleep_for(100us);  // the post office thinks
    sent.update([](int& n) { ++n; });
  }
}

int main() {
  const auto begin = std::chrono::steady_clock::now();
  const mp::Value<int> sent(0);
  std::vector<mp::Process> all;
  for (int i = 0; i < mailers; ++i) {
    all.emplace_back(send, i * mails / mailers, (i + 1) * mails / mailers, sent);
    all.back().start();
  }
  for (mp::Process& mailer : all) mailer.join();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::cout << mailers << " mailers have sent " << sent.get() << " mails" << std::endl;
  std::cerr << std::fixed << std::setprecision(2) << "in " << took.count() << " s\n";
}
