#include "storm/surroundings.hpp"

#include <dirent.h>
#include <sys/wait.h>

#include <cerrno>

#include "support/arena_check.hpp"

namespace multiprocessing::storm {
namespace {

std::set<std::string> names_in(const char* path) {
  std::set<std::string> names;
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return names;
  while (const dirent* entry = ::readdir(folder)) names.insert(entry->d_name);
  ::closedir(folder);
  return names;
}

}  // namespace

Surroundings::Surroundings(Report& report)
    : stats(memory::stats()), descriptors(names_in("/proc/self/fd")), shm(names_in("/dev/shm")) {
  const testing::ArenaState arena = testing::look_at_arena();
  if (!arena.damage.empty()) report.violation("the arena: " + arena.damage);
  owned_bytes = arena.owned_bytes;
}

void compare(const Surroundings& before, Report& report) {
  const Surroundings after(report);
  const auto expect_same = [&](const char* what, std::uint64_t was, std::uint64_t is) {
    if (was != is)
      report.violation(std::string(what) + ": " + std::to_string(was) + " before, " + std::to_string(is) + " after");
  };
  expect_same("members", before.stats.members, after.stats.members);
  expect_same("objects", before.stats.objects, after.stats.objects);
  expect_same("bytes of heap", before.owned_bytes, after.owned_bytes);
  expect_same("descriptors", before.descriptors.size(), after.descriptors.size());
  if (before.shm != after.shm) report.violation("/dev/shm has changed");
  if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) report.violation("there are children left");
}

}  // namespace multiprocessing::storm
