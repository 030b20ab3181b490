// A forked child has no copies of private descriptors, and its objects do not close what it opens instead.
#include "os/private_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

namespace multiprocessing::os {
namespace {

int devnull() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
PrivateFd made() {
  PrivateFd fd;
  EXPECT_EQ(fd.open(devnull), 0);
  return fd;
}
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// Whether that holds in a forked child.
template <class Claim>
bool in_child(Claim claim) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(claim() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

TEST(PrivateFd, IsClosedAndEmptyInAForkedChild) {
  const PrivateFd fd = made();
  const int number = fd.get();
  EXPECT_TRUE(in_child([&] { return !is_open(number) && !fd; }));
  EXPECT_TRUE(is_open(number));
}

TEST(PrivateFd, StaysPrivateWhereverItIsMoved) {
  PrivateFd first = made();
  PrivateFd second = std::move(first);
  std::vector<PrivateFd> many;
  for (int i = 0; i < 10; ++i) many.push_back(made());
  many[3] = std::move(second);
  many.erase(many.begin() + 5);
  std::vector<int> numbers;
  for (const PrivateFd& fd : many) numbers.push_back(fd.get());
  EXPECT_TRUE(in_child([&] { return std::none_of(numbers.begin(), numbers.end(), is_open); }));
}

TEST(PrivateFd, OfTheParentClosesNothingInTheChild) {
  PrivateFd fd = made();
  const int number = fd.get();
  EXPECT_TRUE(in_child([&] {
    const int own = devnull();  // the lowest number that is free
    fd.reset();
    return own == number && is_open(own);
  }));
}

TEST(PrivateFd, IsInheritedOnceItIsShared) {
  PrivateFd fd = made();
  fd.share();
  EXPECT_TRUE(in_child([&] { return is_open(fd.get()); }));
  const base::Fd released = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(in_child([&] { return is_open(released.get()); }));
}

TEST(PrivateFd, GivesTheErrorAndIsEmptyWhenNothingWasOpened) {
  PrivateFd fd = made();
  EXPECT_EQ(fd.open([] { return -EMFILE; }), -EMFILE);
  EXPECT_FALSE(fd);
}

TEST(PrivateFd, OfThreadsThatOpenAndCloseAreInNoChild) {
  std::vector<int> free;
  for (int fd = 0; fd < 20; ++fd) {
    if (!is_open(fd)) free.push_back(fd);
  }
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&over] {
      while (!over) const PrivateFd one = made();
    });
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(in_child([&free] { return std::none_of(free.begin(), free.end(), is_open); }));
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace multiprocessing::os
