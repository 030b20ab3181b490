#include "parallel/team.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "memory/family.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/pool_errors.hpp"
#include "multiprocessing/process.hpp"
#include "os/faults.hpp"
#include "parallel/child.hpp"
#include "process/bootstrap.hpp"

namespace multiprocessing::parallel {
namespace {

base::Fd make_file() {
  const int fd = os::memfd_create("parallel");
  if (fd < 0) base::throw_os_error("memfd_create", "results of a parallel call", -fd);
  return base::Fd(fd);
}

// The file's bytes, to read.
class Mapping {
 public:
  Mapping(int fd, std::size_t bytes) : bytes_(bytes) {
    if (const int error = os::map_sealed(fd, bytes, &where_); error < 0) {
      base::throw_os_error("map", "results of a parallel call", -error);
    }
    os::read_ahead(where_, bytes_);
  }
  ~Mapping() { os::unmap(where_, bytes_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(where_), bytes_}; }

 private:
  std::size_t bytes_;
  void* where_ = nullptr;
};

struct Payload {
  Record record;
  std::span<const std::byte> bytes;
};

std::string name_of(std::size_t number) { return "ParallelWorker-" + std::to_string(number + 1); }

std::string path_of(std::size_t number) {
  const std::string& mine = process_::identity().path;
  return (mine.empty() ? "" : mine + ':') + std::to_string(number + 1);
}

}  // namespace

Area::Area(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
  if (const int error = os::map_shared_anonymous(bytes_, &address_); error < 0) {
    base::throw_os_error("map", "shared memory of a parallel call", -error);
  }
}

Area::~Area() { os::unmap(address_, bytes_); }

std::string items_text(const char* call, const char* mangled, Index first, Index last) {
  return std::string(call) + " of " + pool::type_text(mangled) + ", item " + std::to_string(first) +
         (last == first ? "" : " to " + std::to_string(last));
}

Team::Team(Work& work, std::size_t items, std::size_t processes)
    : work_(work),
      items_(items),
      processes_(processes),
      area_(sizeof(Board)),
      board_(*new (area_.address()) Board),  // not Board{}: that would write, and so make real, every page of it
      file_(make_file()),
      file_identity_(os::identity_of(file_.get())) {
  board_.first_failed.store(items, std::memory_order_relaxed);
  children_.reserve(processes);
}

// Those that run are killed, with what they have started.
Team::~Team() {
  for (std::size_t number = 0; number < children_.size(); ++number) {
    try {
      if (!is_done(number)) kill(number);
    } catch (...) {  // no permission: it runs as another user by now, and is waited for
    }
  }
  try {
    join();
  } catch (...) {  // it cannot be waited for: nothing is gained by staying
  }
}

// Killing what a child has started means to stop it first (process/kill_tree.hpp).  Were we killed then, a child that is
// not bound to us yet would stay stopped for ever; but such a child has started nothing.
void Team::kill(std::size_t number) {
  if (board_.places[number].bound.load(std::memory_order_acquire) != 0) {  // sync(child-bound)
    children_[number]->kill();
  } else {
    children_[number]->signal(SIGKILL);
  }
}

void Team::fork_all() {
  process_::register_exit_handler();  // an item that calls exit() must not run our static destructors
  process_::flush_standard_streams();
  for (std::size_t number = 0; number < processes_; ++number) fork_one(number);
  MULTIPROCESSING_STEP("parallel.all_forked");
}

void Team::fork_one(std::size_t number) {
  auto record = std::make_unique<process_::Child>(name_of(number), path_of(number), false);
  process_::ChildPlan plan(*record);
  memory::Forked forked = memory::fork_member();
  if (forked.pid == 0) {
    children_.clear();  // closes the pidfds of those before it
    be_child({.work = work_,
              .board = board_,
              .place = board_.places[number],
              .items = items_,
              .processes = processes_,
              .file = file_.get(),
              .file_identity = file_identity_},
             plan);
  }
  record->has_started(std::move(forked));
  children_.push_back(std::move(record));
  MULTIPROCESSING_STEP("parallel.forked");
}

bool Team::is_done(std::size_t number) const {
  return board_.places[number].done.load(std::memory_order_acquire) != 0;  // sync(child-done)
}

void Team::wait() {
  std::vector<std::size_t> running(children_.size());
  for (std::size_t number = 0; number < running.size(); ++number) running[number] = number;
  std::vector<pollfd> polled;
  while (!running.empty()) {
    polled.clear();
    for (const std::size_t number : running) polled.push_back({children_[number]->pidfd_number(), POLLIN, 0});
    if (os::poll(polled, os::Deadline::never()) < 0) continue;
    std::vector<std::size_t> left;
    for (std::size_t i = 0; i < running.size(); ++i) {
      if (polled[i].revents == 0 || !look_at(running[i])) left.push_back(running[i]);
    }
    if (left.size() == running.size()) {  // the program has closed descriptors that are ours: look now and then
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    running = std::move(left);
  }
  MULTIPROCESSING_STEP("parallel.all_done");
}

// Its pidfd says that it has ended.  True: it was done.
bool Team::look_at(std::size_t number) {
  if (is_done(number)) return true;
  process_::Child& child = *children_[number];
  char state = 0;
  if (os::start_ticks(child.pid(), &state) != 0 && state == 'Z') {
    ::kill(-child.pid(), SIGKILL);  // before it is reaped its pid, and so its group, is nobody else's
  }
  if (child.is_alive()) return false;
  if (is_done(number)) return true;
  throw_died(number);
}

void Team::throw_died(std::size_t number) {
  const Place& place = board_.places[number];
  const Chunk chunk{place.first.load(), place.end.load()};
  const std::string task = place.began.load() != 0 ? work_.describe(place.at.load(), chunk) : std::string();
  throw WorkerDied(children_[number]->pid(), children_[number]->exitcode().value_or(-SIGKILL), task);
}

// REQUIRES: all are done.
void Team::collect() {
  require_written();
  if (board_.written.load(std::memory_order_relaxed) == 0) return;
  // The file itself says how long it is: a child that has scribbled over the board must not make us read past its end.
  std::uint64_t bytes = 0;
  int error = os::seal_content(file_.get());
  if (error == 0) error = os::sealed_size(file_.get(), bytes);
  if (error < 0) base::throw_os_error("read", "results of a parallel call", -error);
  const Mapping mapping(file_.get(), bytes);
  read(mapping.bytes());
  MULTIPROCESSING_STEP("parallel.collected");
}

void Team::require_written() const {
  for (std::size_t number = 0; number < processes_; ++number) {
    const int error = board_.places[number].error.load(std::memory_order_relaxed);
    if (error != 0) base::throw_os_error("write", "results of a parallel call", error);
  }
}

void Team::read(std::span<const std::byte> file) {
  std::vector<Payload> payloads;
  const Payload* failure = nullptr;
  for (codec::Decoder in(file); in.remaining() != 0;) {
    Payload payload{};
    in.read(&payload.record, sizeof payload.record);
    payload.bytes = in.take(payload.record.bytes);
    payloads.push_back(payload);
  }
  for (const Payload& payload : payloads) {
    if (payload.record.first != payload.record.end) continue;
    if (failure == nullptr || payload.record.first < failure->record.first) failure = &payload;
  }
  if (failure != nullptr) {
    codec::Decoder in(failure->bytes);
    std::rethrow_exception(pool::decode_exception(in));
  }
  std::ranges::sort(payloads, {}, [](const Payload& payload) { return payload.record.first; });
  for (const Payload& payload : payloads) {
    codec::Decoder in(payload.bytes);
    work_.take({payload.record.first, payload.record.end}, in);
  }
}

void Team::join() {
  for (const auto& child : children_) child->join(os::Deadline::never());
  children_.clear();
}

void run(Work& work, std::size_t items, int processes) {
  if (processes < 0 || static_cast<std::size_t>(processes) > most_processes) {
    throw std::invalid_argument(
        "a parallel call: the number of processes is between 1 and 1024, or 0 for one per core");
  }
  if (items == 0) return;
  const auto wanted = static_cast<std::size_t>(processes == 0 ? cpu_count() : processes);
  Team team(work, items, std::min({wanted, items, most_processes}));
  team.fork_all();
  team.wait();
  team.collect();
  team.join();
}

}  // namespace multiprocessing::parallel
