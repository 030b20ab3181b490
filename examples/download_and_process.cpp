// One process downloads, another one works on what has come, while the next page is on its way.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <multiprocessing/process.hpp>
#include <multiprocessing/queue.hpp>
#include <string>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

struct Page {
  std::string address;
  std::string text;
};

Page fetch(int number) {
  std::this_thread::sleep_for(5ms);  // the network
  Page page{"page " + std::to_string(number), ""};
  for (int i = 0; i <= number; ++i) page.text += "word ";
  return page;
}

void download(const mp::Queue<Page>& pages) {
  for (int i = 1; i <= 5; ++i) pages.put(fetch(i));
  pages.close();
}

void process(const mp::Queue<Page>& pages) {
  for (const Page& page : pages) {
    const auto words = std::count(page.text.begin(), page.text.end(), ' ');
    std::cout << page.address << " has " << words << " words" << std::endl;
  }
}

int main() {
  const mp::Queue<Page> pages;
  mp::Process downloader(download, pages);
  mp::Process processor(process, pages);
  downloader.start();
  processor.start();
  downloader.join();
  processor.join();
}
