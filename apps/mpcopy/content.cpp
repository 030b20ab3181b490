#include "content.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "text.hpp"

namespace mpcopy {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10U;

// Of the process: a worker copies one file at a time, and most need none.
std::vector<char> buffer, other_buffer;  // NOLINT(cert-err58-cpp): an empty vector does not throw

char* sized(std::vector<char>& some) {
  some.resize(kBufferBytes);
  return some.data();
}

// As much as there is, up to `size`.
std::size_t read_at(int fd, char* into, std::size_t size, std::uint64_t at, const std::string& path) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, into + done, size - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw CopyError("cannot read", path);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

bool kernel_cannot_copy(int error) {
  // EPERM: a seccomp filter that does not know the call.
  constexpr std::array kErrors{EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM};
  return std::find(kErrors.begin(), kErrors.end(), error) != kErrors.end();
}

// The first data in the range; empty, at its end, where there is none.  A file system that knows no holes has data
// everywhere.
Range data_in(int fd, Range range) {
  const off_t from = ::lseek(fd, static_cast<off_t>(range.from), SEEK_DATA);
  if (from < 0 && errno == ENXIO) return {range.to, range.to};
  if (from < 0) return range;
  const std::uint64_t begin = std::min(static_cast<std::uint64_t>(from), range.to);
  if (begin == range.to) return {range.to, range.to};
  const off_t to = ::lseek(fd, from, SEEK_HOLE);
  return {begin, to < 0 ? range.to : std::min(static_cast<std::uint64_t>(to), range.to)};
}

}  // namespace

bool may_have_holes(const struct stat& info) { return info.st_blocks * 512 < info.st_size; }

struct ContentCopier::Sum {
  Sum() : state(XXH3_createState()) { XXH3_128bits_reset(state); }
  ~Sum() { XXH3_freeState(state); }
  Sum(const Sum&) = delete;
  Sum& operator=(const Sum&) = delete;
  void add(const char* data, std::size_t size) { XXH3_128bits_update(state, data, size); }
  [[nodiscard]] bool operator==(const Sum& other) const {
    return XXH128_isEqual(XXH3_128bits_digest(state), XXH3_128bits_digest(other.state)) != 0;
  }
  XXH3_state_t* state;
};

ContentCopier::ContentCopier(const Ends& ends, const Rules& rules, Target target, Observer& observer)
    : ends_(ends), rules_(rules), target_(target), observer_(observer) {
  if (rules.verify) sum_ = std::make_unique<Sum>();
}

ContentCopier::~ContentCopier() = default;

std::uint64_t ContentCopier::copy(Range range, bool may_have_holes) {
  if (!may_have_holes) return copy_data(range);
  std::uint64_t at = range.from;
  while (at < range.to) {
    const Range data = data_in(ends_.in, {at, range.to});
    pass_hole({at, data.from});
    at = copy_data(data);
    if (at < data.to) break;  // the source has become shorter
  }
  return at;
}

void ContentCopier::copy_rest(std::uint64_t from) {
  constexpr auto kEverything = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  copy_by_buffer({from, kEverything});
}

std::uint64_t ContentCopier::copy_data(Range range) {
  const bool by_kernel = target_ == Target::blank && !sum_ && rules_.reflink != Reflink::never;
  const std::uint64_t done = by_kernel ? copy_by_kernel(range) : range.from;
  return done < range.to ? copy_by_buffer({done, range.to}) : done;
}

// As far as copy_file_range goes, which may stop anywhere.  An end that it reports is believed by nobody: see
// copy_rest.
std::uint64_t ContentCopier::copy_by_kernel(Range range) {
  auto in_at = static_cast<loff_t>(range.from);
  auto out_at = in_at;
  while (static_cast<std::uint64_t>(in_at) < range.to) {
    const std::uint64_t step = std::min(rules_.step_bytes, range.to - static_cast<std::uint64_t>(in_at));
    const ssize_t n = ::copy_file_range(ends_.in, &in_at, ends_.out, &out_at, step, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || (n < 0 && kernel_cannot_copy(errno))) break;
    if (n < 0) {  // the call does not say which side failed
      const int error = errno;
      throw CopyError("cannot copy " + shown(ends_.source) + " to", ends_.target, error);
    }
    observer_.on_moved(static_cast<std::uint64_t>(n));
  }
  return static_cast<std::uint64_t>(in_at);
}

std::uint64_t ContentCopier::copy_by_buffer(Range range) {
  char* data = sized(buffer);
  const std::size_t step = std::min<std::uint64_t>(kBufferBytes, rules_.step_bytes);
  std::uint64_t at = range.from;
  while (at < range.to) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(step, range.to - at));
    const std::size_t n = read_at(ends_.in, data, wanted, at, ends_.source);
    if (n == 0) break;
    note(data, {at, at + n});
    write_block(data, n, at);
    at += n;
    observer_.on_moved(n);
    if (n < wanted) break;
  }
  return at;
}

void ContentCopier::write_block(const char* data, std::size_t size, std::uint64_t at) {
  if (target_ == Target::partial) {
    char* there = sized(other_buffer);
    if (read_at(ends_.out, there, size, at, ends_.target) == size && std::memcmp(there, data, size) == 0) return;
  }
  while (size > 0) {
    const ssize_t n = ::pwrite(ends_.out, data, size, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw CopyError("cannot write", ends_.target);
    data += n;
    at += static_cast<std::uint64_t>(n);
    size -= static_cast<std::size_t>(n);
  }
}

void ContentCopier::pass_hole(Range range) {
  if (range.from == range.to) return;
  if (target_ == Target::partial) clear(range);
  observer_.on_passed(range.to - range.from);
}

void ContentCopier::clear(Range range) {
  const Range data = data_in(ends_.out, range);
  if (data.from == data.to) return;
  constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (::fallocate(ends_.out, kMode, static_cast<off_t>(data.from), static_cast<off_t>(range.to - data.from)) == 0)
    return;
  const std::vector<char> zeros(kBufferBytes, '\0');
  for (std::uint64_t at = data.from; at < range.to; at += kBufferBytes) {
    write_block(zeros.data(), static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, range.to - at)), at);
  }
}

void ContentCopier::note(const char* data, Range range) {
  if (!sum_) return;
  sum_->add(data, static_cast<std::size_t>(range.to - range.from));
  if (!noted_.empty() && noted_.back().to == range.from) {
    noted_.back().to = range.to;
  } else {
    noted_.push_back(range);
  }
}

// Written back and dropped from memory first: what is compared is what the disk gives.
void ContentCopier::verify() {
  if (!sum_) return;
  if (::fdatasync(ends_.out) != 0 && errno != EINVAL && errno != EROFS) throw CopyError("cannot write", ends_.target);
  Sum there;
  char* data = sized(buffer);
  for (const Range& range : noted_) {
    ::posix_fadvise(ends_.out, static_cast<off_t>(range.from), static_cast<off_t>(range.to - range.from),
                    POSIX_FADV_DONTNEED);
    for (std::uint64_t at = range.from; at < range.to;) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, range.to - at));
      const std::size_t n = read_at(ends_.out, data, size, at, ends_.target);
      there.add(data, n);
      if (n < size) break;
      at += n;
    }
  }
  if (!(there == *sum_)) throw CopyError("verification failed: " + shown(ends_.target) + " is not what was written");
}

}  // namespace mpcopy
