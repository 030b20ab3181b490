#include "process/forkserver.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "process/bootstrap.hpp"
#include "process/child.hpp"
#include "process/default_method.hpp"
#include "process/program.hpp"
#include "process/socket_pair.hpp"

namespace multiprocessing::process_ {
namespace {

using Answer = std::int32_t;  // 0 or the errno

// Executes the program as a server, and keeps a socket to it.
class ServerMaker final : public memory::Maker {
 public:
  explicit ServerMaker(const Message& message) noexcept : message_(message) {}
  pid_t make(const memory::Newcomer& newcomer) override {
    SocketPair sockets;
    const bool by_main_thread = ::gettid() == ::getpid();
    const int error = message_.send(
        sockets.ours(), {Role::forkserver, ::getpid(), by_main_thread, newcomer, memory::descriptor()}, false);
    if (error < 0) base::throw_os_error("send", "the forkserver's start", -error);
    const pid_t pid = execute_program(sockets.theirs(), os::Signals::blocked);
    socket = sockets.take_ours();
    return pid;
  }

  base::Fd socket;

 private:
  const Message& message_;
};

// The parent's side.
class Forkserver {
 public:
  static Forkserver& current();
  static void finish_current() noexcept;

  pid_t make(const Message& message, const memory::Newcomer& newcomer) {
    const std::lock_guard lock(mutex_);
    constexpr int most_attempts = 3;
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
      if (!is_usable()) begin();
      if (const auto pid = ask(message, newcomer)) return *pid;
      end();
    }
    throw Error(
        "mp::Process: the forkserver, which is this program executed once more, ended three times before it could "
        "serve; "
        "does a static initialiser of the program end it?");
  }

 private:
  explicit Forkserver(const Forkserver* inherited) noexcept : owner_(::getpid()), inherited_(inherited) {}

  // The program may have closed the socket, and its number may be that of another file.
  [[nodiscard]] bool is_usable() {
    return server_ != nullptr && os::identity_of(socket_) == socket_identity_ && server_->is_alive();
  }

  void begin() {
    end();
    Preparation preparation;
    preparation.name = "Forkserver";
    preparation.parent = ::getpid();
    preparation.start_method = default_method();
    auto server = std::make_unique<Child>("Forkserver", "", true);
    server->keep_out_of_reports();
    const Message message(preparation, codec::Encoder());
    ServerMaker maker(message);
    server->has_started(memory::start_member({}, maker));
    by_main_thread_ = ::gettid() == ::getpid();
    socket_ = maker.socket.release();
    socket_identity_ = os::identity_of(socket_);
    server_ = std::move(server);
    MULTIPROCESSING_STEP("forkserver.begun");
  }

  void end() {
    if (socket_ >= 0 && os::identity_of(socket_) == socket_identity_) ::close(socket_);
    socket_ = -1;
    if (server_ == nullptr) return;
    server_->signal(SIGKILL);
    server_->join(Deadline::never());
    server_.reset();
  }

  // Empty: the server has ended, and there is no child.
  std::optional<pid_t> ask(const Message& message, const memory::Newcomer& newcomer) {
    const Message::Envelope envelope{Role::child, ::getpid(), by_main_thread_, newcomer, -1};
    int outcome = 0;
    while ((outcome = message.send(socket_, envelope, true)) == -EAGAIN && wait(POLLOUT)) {
    }
    if (outcome < 0 && outcome != -EPIPE && outcome != -EAGAIN) {
      base::throw_os_error("send", "what a new process is to run", -outcome);
    }
    MULTIPROCESSING_STEP("forkserver.asked");
    Answer answer = 0;
    if (outcome == 0 && receive(answer)) {
      if (answer != 0) base::throw_os_error("fork", "in the forkserver", answer);
      return memory::born(newcomer);
    }
    server_->signal(SIGKILL);
    server_->join(Deadline::never());  // what it was doing has happened now, or never will
    const pid_t pid = memory::born(newcomer);
    return pid != 0 ? std::optional(pid) : std::nullopt;
  }

  [[nodiscard]] bool receive(Answer& answer) {
    for (;;) {
      const int outcome = os::receive_message(socket_, &answer, sizeof answer);
      if (outcome == sizeof answer) return true;
      if (outcome != -EAGAIN && outcome != -EINTR) return false;
      if (outcome == -EAGAIN && !wait(POLLIN))
        return os::receive_message(socket_, &answer, sizeof answer) == sizeof answer;
    }
  }

  // False: the server has ended.
  [[nodiscard]] bool wait(short events) {
    std::array<pollfd, 2> either{pollfd{socket_, events, 0}, pollfd{server_->sentinel(), POLLIN, 0}};
    os::poll(either, Deadline::never());
    return either[1].revents == 0;
  }

  const pid_t owner_;
  [[maybe_unused]] const Forkserver* const inherited_;  // never used; keeps it reachable for leak checkers
  std::mutex mutex_;
  std::unique_ptr<Child> server_;
  bool by_main_thread_ = false;
  int socket_ = -1;  // not a base::Fd, for the same reason as the pidfd of a Child
  os::FileIdentity socket_identity_;
};

constinit std::atomic<Forkserver*> instance{nullptr};

// As Registry::current(): a forked process finds a copy, and makes its own.
Forkserver& Forkserver::current() {
  Forkserver* found = instance.load(std::memory_order_acquire);  // sync(forkserver-made)
  while (found == nullptr || found->owner_ != ::getpid()) {
    std::unique_ptr<Forkserver> fresh(new Forkserver(found));
    if (instance.compare_exchange_strong(found, fresh.get(), std::memory_order_acq_rel)) found = fresh.release();
  }
  return *found;
}

// A thread that is in the middle of a start has the lock; then the server sees our end, and ends by itself.
void Forkserver::finish_current() noexcept {
  Forkserver* const found = instance.load(std::memory_order_acquire);  // sync(forkserver-made)
  if (found == nullptr || found->owner_ != ::getpid()) return;
  const std::unique_lock lock(found->mutex_, std::try_to_lock);
  if (!lock) return;
  try {
    found->end();
  } catch (...) {  // it cannot be signalled or waited for, and ends by itself all the same
  }
}

// --- the server ------------------------------------------------------------------------------------------------------

// Each child's come with its request.  Those of the first start() would stay open for as long as the server lives, and
// who reads from the other end of such a one would wait for the server's end.
void let_go_of_standard_streams() noexcept {
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return;
  for (int stream = 0; stream <= STDERR_FILENO; ++stream) ::dup2(nothing, stream);
  if (nothing > STDERR_FILENO) ::close(nothing);
}

void take_standard_streams(Received& start) {
  for (int stream = 0; stream <= STDERR_FILENO; ++stream) {
    if (!start.standard[stream]) continue;
    if (!*start.standard[stream]) {
      ::close(stream);
    } else if (::dup2(start.standard[stream]->get(), stream) < 0) {
      base::throw_os_error("dup2", "a standard stream");
    }
    start.standard[stream].reset();
  }
}

void take_signal_mask(std::uint64_t blocked) {
  sigset_t mask;
  sigemptyset(&mask);
  for (int signal = 1; signal <= 64; ++signal) {
    if ((blocked >> (signal - 1) & 1) != 0) sigaddset(&mask, signal);
  }
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

[[noreturn]] void begin_child(Received start) {
  try {
    memory::enter_family(start.newcomer, start.parent);
    take_standard_streams(start);
    const Preparation preparation = start.open();
    ChildPlan plan(preparation, start.by_main_thread);
    inherit_settings(preparation);
    take_signal_mask(preparation.blocked_signals);
    enter_child(plan);
    run_received(std::move(start), preparation);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "multiprocessing: process %d cannot start: %s\n", static_cast<int>(::getpid()), error.what());
  }
  leave_child(1);
}

// In the server: the answer.  In the child: does not return.
Answer copy_for(Received start, base::Fd& socket, base::Fd& parent_end) {
  const pid_t pid = memory::fork_newcomer(start.newcomer);
  if (pid == 0) {
    socket.reset();
    parent_end.reset();
    begin_child(std::move(start));
  }
  return pid < 0 ? -pid : 0;
}

Answer answer_next(base::Fd& socket, base::Fd& parent_end, bool& asked) {
  try {
    auto start = Received::from(socket.get());
    asked = start.has_value();
    return asked ? copy_for(std::move(*start), socket, parent_end) : 0;
  } catch (const OsError& error) {
    asked = true;
    return error.code().value();
  } catch (const std::exception&) {
    asked = true;
    return EINVAL;
  }
}

}  // namespace

pid_t ask_forkserver(const Message& message, const memory::Newcomer& newcomer) {
  return Forkserver::current().make(message, newcomer);
}

void end_forkserver() noexcept { Forkserver::finish_current(); }

void serve(int number, pid_t parent) {
  flush_standard_streams();                // lest what static initialisers have said be said again by every child
  let_go_of_standard_streams();            // before anything of ours can have one of their numbers
  base::Fd socket(os::duplicate(number));  // CLOEXEC
  ::close(number);
  base::Fd parent_end(os::pidfd_open(parent));
  while (socket && ::getppid() == parent) {
    // Without a pidfd, none being left, the parent's end is seen ten times a second.
    std::array<pollfd, 2> either{pollfd{socket.get(), POLLIN, 0}, pollfd{parent_end.get(), POLLIN, 0}};
    os::poll(either, parent_end ? Deadline::never() : Deadline::after(std::chrono::milliseconds(100)));
    if (either[1].revents != 0) break;
    if (either[0].revents == 0) continue;
    bool asked = false;
    const Answer answer = answer_next(socket, parent_end, asked);
    if (!asked && os::is_hung_up(socket.get())) break;
    if (asked) os::send_message(socket.get(), &answer, sizeof answer);
  }
  ::_exit(0);
}

}  // namespace multiprocessing::process_
