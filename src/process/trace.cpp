#include "process/trace.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"
#include "multiprocessing/trace.hpp"
#include "os/os.hpp"
#include "os/signals_blocked.hpp"
#include "process/bootstrap.hpp"
#include "process/identity.hpp"

namespace multiprocessing::process_ {
namespace {

constexpr std::size_t written_at = std::size_t{64} << 10;  // bytes of events
constexpr std::uint64_t written_after_ns = 1'000'000'000;
constexpr std::size_t longest_text = 500;  // of one field: a whole line is shorter than `searched`
constexpr std::size_t searched = std::size_t{64} << 10;
constexpr std::string_view bracket = "\n]\n";

// Constant-initialised, because the guard of a local static could be found taken by a forked child.
constinit std::atomic<Trace*> instance{nullptr};                  // never freed: another thread may be using it
constinit std::atomic<bool> off{false};                           // the environment has been asked
constinit std::atomic<const std::string*> parents_path{nullptr};  // of a parent that this process is no copy of

void append_text(std::string& json, std::string_view text) {
  json += '"';
  for (const char c : text.substr(0, longest_text)) {
    if (c == '"' || c == '\\') {
      json += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      json += ' ';
    } else if (static_cast<unsigned char>(c) < 0x80) {
      json += c;
    } else {
      json += '?';  // it need not be UTF-8, and a cut may have split a character
    }
  }
  json += '"';
}

void append_us(std::string& json, std::uint64_t ns) {
  std::array<char, 40> text{};
  const int size = std::snprintf(text.data(), text.size(), "%llu.%03u", static_cast<unsigned long long>(ns / 1000),
                                 static_cast<unsigned>(ns % 1000));
  json.append(text.data(), static_cast<std::size_t>(size));
}

// No file size limit kills us: a write beyond it fails.  REQUIRES: signals blocked.
int write_at(int fd, std::string_view text, off_t offset) noexcept {
  while (!text.empty()) {
    const ssize_t n = ::pwrite(fd, text.data(), text.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : EIO;
      sigset_t too_large;
      sigemptyset(&too_large);
      sigaddset(&too_large, SIGXFSZ);
      const timespec at_once{};
      if (error == EFBIG) ::sigtimedwait(&too_large, nullptr, &at_once);
      return -error;
    }
    text.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
  return 0;
}

// Until `fd` is closed; false: someone has had it for long.
bool lock_file(int fd) noexcept {
  const auto deadline = detail::Deadline::after(std::chrono::seconds(1));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  while (::fcntl(fd, F_SETLK, &whole) != 0) {
    if ((errno != EAGAIN && errno != EACCES && errno != EINTR) || deadline.is_over()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// The place behind the last whole event: where the bracket is, unless a writer was killed.
std::optional<off_t> end_of_events(int fd) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  std::array<char, searched> tail;
  for (const std::size_t wanted : {std::size_t{16}, searched}) {  // the long look is for torn files only
    const off_t from = std::max<off_t>(0, status.st_size - static_cast<off_t>(wanted));
    const ssize_t n = ::pread(fd, tail.data(), wanted, from);
    if (n <= 0) return std::nullopt;
    const std::string_view text(tail.data(), static_cast<std::size_t>(n));
    if (text.ends_with(bracket) && text.size() > bracket.size() && text[text.size() - bracket.size() - 1] == '}') {
      return from + static_cast<off_t>(text.size() - bracket.size());
    }
    if (wanted != searched) continue;
    const std::size_t whole = text.rfind("}\n");
    if (whole != std::string_view::npos) return from + static_cast<off_t>(whole + 1);
  }
  return std::nullopt;
}

// The file was begun by a process that is still there.
bool is_of_our_family(int fd) noexcept {
  std::array<char, 256> head{};
  if (::pread(fd, head.data(), head.size() - 1, 0) <= 0) return false;
  int pid = 0;
  unsigned long long ticks = 0;
  const int found = std::sscanf(head.data(),
                                "[ {\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%*u,"
                                "\"args\":{\"start_ticks\":%llu",
                                &pid, &ticks);
  return found == 2 && ticks != 0 && os::start_ticks(pid) == ticks;
}

}  // namespace

TraceEvent::TraceEvent(std::string_view name, char phase, pid_t pid, std::uint32_t tid) {
  json_ = R"({"name":)";
  append_text(json_, name);
  json_ += R"(,"ph":")";
  json_ += phase;
  json_ += R"(","pid":)" + std::to_string(pid) + R"(,"tid":)" + std::to_string(tid);
  if (phase == 'i') json_ += R"(,"s":"t")";
}

TraceEvent& TraceEvent::at(std::uint64_t ns) {
  json_ += R"(,"ts":)";
  append_us(json_, ns);
  return *this;
}

TraceEvent& TraceEvent::lasting(std::uint64_t ns) {
  json_ += R"(,"dur":)";
  append_us(json_, ns);
  return *this;
}

void TraceEvent::next_arg(std::string_view key) {
  json_ += has_args_ ? "," : R"(,"args":{)";
  has_args_ = true;
  append_text(json_, key);
  json_ += ':';
}

TraceEvent& TraceEvent::arg(std::string_view key, std::string_view text) {
  next_arg(key);
  append_text(json_, text);
  return *this;
}

TraceEvent& TraceEvent::arg(std::string_view key, std::int64_t number) {
  next_arg(key);
  json_ += std::to_string(number);
  return *this;
}

std::string TraceEvent::json() && {
  json_ += has_args_ ? "}}" : "}";
  return std::move(json_);
}

Trace::Trace(std::string path, const Trace* replaced) : path_(std::move(path)), replaced_(replaced), pid_(::getpid()) {}

std::uint64_t Trace::now() noexcept {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

Trace* Trace::current() noexcept {
  Trace* const found = instance.load(std::memory_order_acquire);  // sync(trace-made)
  if (found != nullptr && found->pid_ == ::getpid()) return found;
  if (found == nullptr && off.load(std::memory_order_relaxed)) return nullptr;
  try {
    return make(found);
  } catch (...) {
    return nullptr;
  }
}

// What the one it replaces had not written its own process writes.
Trace* Trace::continue_with(const std::string& path, Trace* replaced) {
  auto* const fresh = new Trace(path, replaced);
  if (!instance.compare_exchange_strong(replaced, fresh, std::memory_order_acq_rel)) {  // sync(trace-made)
    delete fresh;
    return replaced;
  }
  fresh->name_process(fresh->pid_, identity().name);
  return fresh;
}

std::string Trace::current_path() {
  const Trace* const found = current();
  return found != nullptr ? found->path_ : std::string();
}

void Trace::inherit(const std::string& path) {
  if (!path.empty()) parents_path.store(new std::string(path), std::memory_order_release);  // sync(trace-inherited)
}

// In a child: goes on with its parent's file.  Else: does what the environment says.
Trace* Trace::make(Trace* inherited) {
  if (inherited != nullptr) return continue_with(inherited->path_, inherited);
  if (const std::string* const path = parents_path.load(std::memory_order_acquire)) {  // sync(trace-inherited)
    return continue_with(*path, nullptr);
  }
  off = true;
  const char* const path = ::secure_getenv("MULTIPROCESSING_TRACE");
  if (path == nullptr || *path == '\0') return nullptr;
  try {
    begin(path);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "multiprocessing: MULTIPROCESSING_TRACE: %s\n", error.what());
  }
  return instance.load(std::memory_order_acquire);
}

void Trace::begin(const std::string& path) {
  flush_current();
  auto* const fresh = new Trace(std::filesystem::absolute(path).string(), instance.load(std::memory_order_acquire));
  if (const int error = fresh->begin_file(); error < 0) {
    delete fresh;
    base::throw_os_error("open for the trace", path, -error);
  }
  instance.store(fresh, std::memory_order_release);  // sync(trace-made)
  register_exit_handler();                           // which writes what is left
}

int Trace::begin_file() const noexcept {
  const os::SignalsBlocked blocked;
  const base::Fd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666));
  if (!file) return -errno;
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return -errno;
  if (!S_ISREG(status.st_mode)) return -EINVAL;
  if (!lock_file(file.get())) return -EBUSY;
  if (is_of_our_family(file.get())) return 0;
  if (::ftruncate(file.get(), 0) != 0) return -errno;
  TraceEvent first("process_name", 'M', pid_, static_cast<std::uint32_t>(pid_));
  first.arg("start_ticks", static_cast<std::int64_t>(os::start_ticks(pid_))).arg("name", identity().name);
  return write_at(file.get(), "[\n" + std::move(first).json() + std::string(bracket), 0);
}

void Trace::flush_current() noexcept {
  Trace* const found = instance.load(std::memory_order_acquire);  // sync(trace-made)
  if (found != nullptr && found->pid_ == ::getpid()) found->flush();
}

void Trace::add(TraceEvent&& event) noexcept {
  bool enough = false;
  try {
    const std::string line = std::move(event).json();
    const std::lock_guard lock(mutex_);
    lines_ += "\n,";
    lines_ += line;
    if (oldest_ns_.load(std::memory_order_relaxed) == 0) oldest_ns_.store(now(), std::memory_order_relaxed);
    enough = lines_.size() > written_at;
  } catch (...) {  // no memory: an event less
  }
  if (enough) flush();
  flush_if_due();
}

void Trace::name_process(pid_t pid, std::string_view name) noexcept {
  TraceEvent event("process_name", 'M', pid, static_cast<std::uint32_t>(pid));
  event.arg("name", name);
  add(std::move(event));
}

void Trace::flush_if_due() noexcept {
  const std::uint64_t oldest = oldest_ns_.load(std::memory_order_relaxed);
  if (oldest != 0 && now() > oldest + written_after_ns) flush();
}

void Trace::flush() noexcept {
  const std::lock_guard one(file_mutex_);
  std::string lines;
  {
    const std::lock_guard lock(mutex_);
    lines.swap(lines_);
    oldest_ns_.store(0, std::memory_order_relaxed);
  }
  if (!lines.empty() && !write_out(lines)) base::log(LogLevel::warning, "events are missing in the trace ", path_);
}

bool Trace::write_out(std::string& lines) const noexcept {
  const os::SignalsBlocked blocked;
  const base::Fd file(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!file || !lock_file(file.get())) return false;
  const std::optional<off_t> end = end_of_events(file.get());
  if (!end) return false;  // someone else has made another file of it
  try {
    lines += bracket;
  } catch (...) {
    return false;
  }
  struct stat status {};
  const auto new_size = *end + static_cast<off_t>(lines.size());
  if (write_at(file.get(), lines, *end) == 0) {
    if (::fstat(file.get(), &status) == 0 && status.st_size > new_size) return ::ftruncate(file.get(), new_size) == 0;
    return true;
  }
  // A full disk: as it was before.
  if (::ftruncate(file.get(), *end) == 0) static_cast<void>(write_at(file.get(), bracket, *end));
  return false;
}

}  // namespace multiprocessing::process_

namespace multiprocessing {

void trace_to(const std::string& path) { process_::Trace::begin(path); }

}  // namespace multiprocessing
