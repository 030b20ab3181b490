// Three stages, each a process, with queues of ten between them: a stage that is faster than the next one waits, so that
// there are never more than ten items between two of them, however many there are in all.
#include <chrono>
#include <iostream>
#include <multiprocessing/multiprocessing.hpp>
#include <string>
#include <thread>

namespace mp = multiprocessing;
using namespace std::chrono_literals;

constexpr int room = 10;

struct Image {
  int number = 0;
  std::string pixels{};
};

void load(const mp::Queue<Image>& out) {  // fast
  for (int i = 1; i <= 100; ++i) out.put({i, std::string(1000, 'x')});
  out.close();
}

void scale(const mp::Queue<Image>& in, const mp::Queue<Image>& out, const mp::Value<int>& most) {
  for (Image image : in) {
    const auto waiting = static_cast<int>(in.qsize());
    most.update([waiting](int& n) { n = std::max(n, waiting); });
    image.pixels.resize(image.pixels.size() / 10);
    out.put(std::move(image));
  }
  out.close();
}

void save(const mp::Queue<Image>& in, const mp::Value<int>& saved) {
  for (const Image& image : in) {
    std::this_thread::sleep_for(200us);  // slow
    saved.update([&image](int& n) { n += static_cast<int>(image.pixels.size()); });
  }
}

int main() {
  const mp::Queue<Image> loaded(room), scaled(room);
  const mp::Value<int> most(0), saved(0);
  mp::Process loader(load, loaded), scaler(scale, loaded, scaled, most), saver(save, scaled, saved);
  loader.start();
  scaler.start();
  saver.start();
  saver.join();
  std::cout << saved.get() << " bytes of 100 images saved, never more than " << room << " waiting: " << std::boolalpha
            << (most.get() <= room) << std::endl;
}
