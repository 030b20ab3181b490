#include "manager/socket_here.hpp"

#include <unistd.h>

#include <atomic>

#include "os/programs.hpp"

namespace multiprocessing::managers {

// Places are never freed: a fork may find any thread anywhere, and the child only walks along the list.
struct SocketHere::Place {
  std::atomic<int> fd{-1};
  Place* next = nullptr;
};

namespace {

std::atomic<SocketHere::Place*> places{nullptr};

void close_copies() noexcept {
  for (auto* place = places.load(std::memory_order_acquire); place != nullptr; place = place->next) {
    if (const int fd = place->fd.exchange(-1, std::memory_order_relaxed); fd >= 0) ::close(fd);
  }
}
[[maybe_unused]] const int registered = os::at_fork(nullptr, nullptr, close_copies);

SocketHere::Place* place_for(int fd) {
  for (auto* place = places.load(std::memory_order_acquire); place != nullptr; place = place->next) {
    int free = -1;
    if (place->fd.compare_exchange_strong(free, fd, std::memory_order_relaxed)) return place;
  }
  auto* const place = new SocketHere::Place;
  place->fd.store(fd, std::memory_order_relaxed);
  place->next = places.load(std::memory_order_relaxed);
  while (!places.compare_exchange_weak(place->next, place, std::memory_order_release)) {
  }
  return place;
}

}  // namespace

SocketHere::SocketHere(int fd) : place_(place_for(fd)) {}
SocketHere::~SocketHere() { place_->fd.store(-1, std::memory_order_relaxed); }

}  // namespace multiprocessing::managers
