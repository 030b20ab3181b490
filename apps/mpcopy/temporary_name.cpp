#include "temporary_name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/fd.hpp"

namespace mpcopy {
namespace {

using multiprocessing::base::Fd;

constexpr std::string_view kPrefix = ".mpcopy-";
constexpr std::string_view kPartial = "part";
constexpr std::size_t kHexDigits = 16;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

bool is_in_use(int directory, const char* name) {
  const Fd fd(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
}

}  // namespace

std::string temporary_name(std::uint64_t run, std::uint64_t serial) {
  char name[64];
  std::snprintf(name, sizeof name, ".mpcopy-%016" PRIx64 "-%" PRIu64, run, serial);
  return name;
}

std::string partial_name(std::string_view target, const struct stat& source) {
  std::string key(target);
  for (const std::int64_t number :
       {std::int64_t{source.st_size}, std::int64_t{source.st_mtim.tv_sec}, std::int64_t{source.st_mtim.tv_nsec}}) {
    key.append("/").append(std::to_string(number));
  }
  char name[64];
  std::snprintf(name, sizeof name, ".mpcopy-%016" PRIx64 "-part", std::uint64_t{XXH3_64bits(key.data(), key.size())});
  return name;
}

Leftover leftover_of(std::string_view name) {
  if (name.substr(0, kPrefix.size()) != kPrefix) return Leftover::none;
  name.remove_prefix(kPrefix.size());
  if (name.size() < kHexDigits + 2 || name[kHexDigits] != '-') return Leftover::none;
  if (!std::all_of(name.begin(), name.begin() + kHexDigits, is_hex)) return Leftover::none;
  name.remove_prefix(kHexDigits + 1);
  if (name == kPartial) return Leftover::partial;
  return std::all_of(name.begin(), name.end(), is_digit) ? Leftover::temporary : Leftover::none;
}

void remove_leftovers(int directory, int source) {
  Fd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseDirectory> stream(own ? ::fdopendir(own.get()) : nullptr);
  if (!stream) return;
  static_cast<void>(own.release());  // the stream's now
  std::vector<std::string> found;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (leftover_of(entry->d_name) != Leftover::none) found.emplace_back(entry->d_name);
  }
  for (const std::string& name : found) {
    struct stat there {};
    if (source >= 0 && ::fstatat(source, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) continue;
    if (leftover_of(name) == Leftover::partial && is_in_use(directory, name.c_str())) continue;
    ::unlinkat(directory, name.c_str(), 0);
  }
}

}  // namespace mpcopy
