#include "shared_memory/kept.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "shared_memory/directory.hpp"
#include "shared_memory/leave.hpp"
#include "shared_memory/names.hpp"

namespace multiprocessing::shared_memory {
namespace {

constinit std::vector<Kept>* all = nullptr;  // never deleted: static objects may come later than the last exit handler

void close_if(base::Fd& fd, const os::FileIdentity& identity) noexcept {
  if (os::identity_of(fd.get()) == identity) {
    fd.reset();
  } else {
    static_cast<void>(fd.release());
  }
}

void close(Kept& kept) noexcept {
  close_if(kept.entry, kept.entry_identity);
  close_if(kept.memory, kept.memory_identity);
}

auto find(std::uint64_t id) noexcept {
  return std::find_if(all->begin(), all->end(), [id](const Kept& kept) { return kept.id == id; });
}

// Registered before main: it runs after whatever the program registers, and after its children were waited for.
[[maybe_unused]] const int registered = std::atexit([] { leave(); });

}  // namespace

void keep(Kept kept) {
  if (all == nullptr) all = new std::vector<Kept>;
  all->push_back(std::move(kept));
}

bool is_kept(std::uint64_t id) noexcept { return all != nullptr && find(id) != all->end(); }

void let_go(std::uint64_t id) noexcept {
  if (!is_kept(id)) return;
  const auto found = find(id);
  close(*found);
  all->erase(found);
}

// The forks of this process that go on have the same open files, and so the lock: for as long the name stays.  What cannot
// be removed because somebody is stopped in the middle of something, the next who meets it removes: no end waits for that.
void leave() noexcept {
  std::vector<Kept> mine;
  {
    const auto still = hold_still();
    if (all != nullptr) mine.swap(*all);
  }
  for (Kept& kept : mine) close(kept);
  for (const Kept& kept : mine) {
    if (!remove_if_left(kept.directory, kept.name, kept.id)) return;
  }
}

}  // namespace multiprocessing::shared_memory
