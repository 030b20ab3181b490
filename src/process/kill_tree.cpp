// Whoever kills one process after the other races with those that still fork.  So:
//   1. Stop the root, then everything below it, walking down again until a walk finds nobody new and nobody
//      running: what is stopped does not fork, and a fork cannot complete with a stop pending.
//   2. Kill everything below the root.  The root is a subreaper: whoever loses its parent in this becomes the
//   root's
//      child, not init's, so another walk finds it.
//   3. Kill the root.
// A process is named by pid and start time, and signalled through a pidfd that is opened before that is
// compared: a pid that was reused is noticed, and is never a stranger's death.
//
// Not covered: children of a process that starts a new PID namespace's init without us seeing /proc of it,
// and processes that a more privileged one below us started and that we may not signal.
#include "process/kill_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "os/os.hpp"

namespace multiprocessing::process_ {
namespace {

// Something below the root may sleep in the kernel and not stop, but then it does not fork either.
constexpr std::chrono::milliseconds patience{200};

struct Descendant {
  pid_t pid;
  std::uint64_t started;  // ticks since boot
};

std::string read_file(const std::string& path) {
  std::string text;
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

// Calls f(number) for each number in a text of numbers and blanks.
template <class F>
void for_each_number(std::string_view text, F f) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    pid_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error == std::errc()) f(number);
    at = error == std::errc() ? next : at + 1;
  }
}

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  const std::string path = "/proc/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), &::closedir);
  if (folder == nullptr) return threads;
  while (const dirent* entry = ::readdir(folder.get())) {
    for_each_number(entry->d_name, [&threads](pid_t thread) { threads.push_back(thread); });
  }
  return threads;
}

std::string of_thread(pid_t pid, pid_t thread, const char* file) {
  return "/proc/" + std::to_string(pid) + "/task/" + std::to_string(thread) + "/" + file;
}

bool is_stopped(pid_t pid) {
  const auto threads = threads_of(pid);
  return std::all_of(threads.begin(), threads.end(), [pid](pid_t thread) {
    const std::string stat = read_file(of_thread(pid, thread, "stat"));
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= stat.size()) return true;  // gone
    return std::string_view("TtZX").find(stat[name_end + 2]) != std::string_view::npos;
  });
}

void signal_one(const Descendant& target, int signo) {
  const base::Fd pidfd(os::pidfd_open(target.pid));
  if (os::start_ticks(target.pid) != target.started) return;
  if (pidfd) {
    os::pidfd_signal(pidfd.get(), signo);
  } else {
    ::kill(target.pid, signo);  // no descriptor left: the best that can be had
  }
}

class Tree {
 public:
  explicit Tree(pid_t root) : root_(root) {}

  // Walks from the root; everybody not known yet gets the signal.  Returns whether there was one.
  bool signal_new(int signo) {
    const std::size_t before = known_.size();
    std::vector<pid_t> todo{root_};
    while (!todo.empty()) {
      const pid_t parent = todo.back();
      todo.pop_back();
      for (const pid_t thread : threads_of(parent)) {
        for_each_number(read_file(of_thread(parent, thread, "children")), [&](pid_t child) {
          if (meet(child, signo)) todo.push_back(child);
        });
      }
    }
    return known_.size() > before;
  }

  [[nodiscard]] bool all_stopped() const {
    return is_stopped(root_) &&
           std::all_of(known_.begin(), known_.end(), [](const Descendant& one) { return is_stopped(one.pid); });
  }

  void signal_all(int signo) const {
    for (const Descendant& one : known_) signal_one(one, signo);
  }

 private:
  // False for what is dead already: it has no children any more.
  bool meet(pid_t pid, int signo) {
    char state = 0;
    const std::uint64_t started = os::start_ticks(pid, &state);
    if (started == 0 || state == 'Z' || state == 'X' || pid == ::getpid()) return false;
    const bool is_known = std::any_of(known_.begin(), known_.end(),
                                      [&](const Descendant& one) { return one.pid == pid && one.started == started; });
    if (!is_known) {
      known_.push_back({pid, started});
      signal_one(known_.back(), signo);
    }
    return true;
  }

  const pid_t root_;
  std::vector<Descendant> known_;
};

void kill_descendants(pid_t root) {
  Tree tree(root);
  const auto deadline = os::Deadline::after(patience);
  while ((tree.signal_new(SIGSTOP) || !tree.all_stopped()) && !deadline.is_over()) ::sched_yield();
  tree.signal_all(SIGKILL);
  while (tree.signal_new(SIGKILL) && !deadline.is_over()) {
  }
}

}  // namespace

void kill_tree(pid_t pid, int pidfd) noexcept {
  os::pidfd_signal(pidfd, SIGSTOP);
  try {
    kill_descendants(pid);
  } catch (...) {  // out of memory
  }
  os::pidfd_signal(pidfd, SIGKILL);
}

}  // namespace multiprocessing::process_
