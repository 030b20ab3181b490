// Process: a function that runs in a process of its own, as Python's multiprocessing.Process.
//
//   void task(std::string name) { … }
//
//   mp::Process p(task, "child 1");                            // callable and arguments; nothing runs yet
//   mp::Process q({.name = "TEST", .daemon = true}, task, "child 2");
//   p.start();                                                 // asks the OS and returns
//   p.join();                                                  // waits for the end
//   p.exitcode();                                              // 0; 1: an exception left task; -9: SIGKILL
//
// By subclass: the constructor runs in the parent, run() in the child.
//
//   class MyProcess : public mp::Process {
//     void run() override { … }
//   };
//
// By default the child is a fork: it has the parent's memory as it was at start(), as a copy.  So any closure will do,
// also [&], and what it changes is its own.  Signal handlers are inherited; SIGTERM and SIGINT are unblocked,
// so that terminate() and interrupt() reach a child whatever its parent had blocked.  start_method.hpp has two other ways
// to begin, for programs with threads or much memory; the target and its arguments must be such as can be sent, then,
// and a subclass derives from ProcessOf:
//
//   class MyProcess : public mp::ProcessOf<MyProcess> {
//    public:
//     MyProcess() = default;                                   // to be made in the child, then filled
//     explicit MyProcess(std::string who) : who_(std::move(who)) {}
//     void run() override { … }
//     template <class Archive> void serialize(Archive& archive) { archive(who_); }
//    private:
//     std::string who_;
//   };
//
// The end.  When the target returns, the child waits for its own non-daemon children, writes out stdout,
// stderr and the standard streams, and is gone: without the parent's atexit handlers and static destructors,
// also when the target calls exit().  An exception that leaves the target is printed on stderr, type,
// text and stack; the exit code is 1.
//
// Who waits for whom.  A Process object may be thrown away: the child runs on, is reaped, and the program
// waits for it at its end.  Daemon children get SIGTERM there instead, and SIGKILL two seconds later; they
// die with their parent even when that is SIGKILLed.  A daemon child must not start processes.
// docs/processes.md has the whole table.
//
// Threads: const members, ProcessInfo and the free functions are safe from any thread, and several threads may join
// one child; start(), set_*(), close() and moving need the object to themselves.
// Fork: only the process that started a child joins it; elsewhere that throws std::logic_error.
// Errors: std::logic_error for a wrong order of calls, OsError when the OS refuses (nothing is half made then, and
// start() may be tried again), DaemonicChildError, NotSendable.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/detail/deadline.hpp"
#include "multiprocessing/detail/process_target.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/start_method.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace memory {
struct Forked;
}
namespace process_ {
class Child;
class Peer;
}  // namespace process_

struct ProcessOptions {
  std::string name{};            // empty: "Process-N"; a child of Process-N gets "Process-N:M"
  std::optional<bool> daemon{};  // not given: as the current process
};

// How long daemon children have between SIGTERM and SIGKILL when their parent ends.
inline constexpr std::chrono::seconds daemon_grace{2};

class Process {
 public:
  // For subclasses: run() is what the child does.
  Process();
  explicit Process(ProcessOptions options);

  // The child will call function(args...).  Both are decay-copied now, and moved into the call in the child;
  // string literals travel as std::string.
  template <class F, class... Args>
    requires(!std::derived_from<std::remove_cvref_t<F>, Process> &&
             !std::same_as<std::remove_cvref_t<F>, ProcessOptions>)
  explicit Process(F&& function, Args&&... args)
      : Process(ProcessOptions{}, std::forward<F>(function), std::forward<Args>(args)...) {}

  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, ProcessOptions>)
  Process(ProcessOptions options, F&& function, Args&&... args)
      : Process(std::move(options)) {
    using Function = std::decay_t<F>;
    constexpr bool callable = std::is_invocable_v<Function, detail::kept_t<Args>...>;
    static_assert(
        callable,
        "mp::Process: the target cannot be called with these arguments (they arrive as copies, a string "
        "literal as std::string: take values, const references or std::string_view)");
    if constexpr (callable) {
      target_ = std::make_unique<detail::Call<Function, detail::kept_t<Args>...>>(
          std::in_place, std::forward<F>(function), std::forward<Args>(args)...);
    }
  }

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  virtual ~Process();  // a started child runs on

  // What the child does; unless overridden, the call given to the constructor, once.
  virtual void run();

  // Starts the child.  The target and its arguments are dropped here afterwards: the child has its copy.
  // Throws DaemonicChildError in a daemon process, OsError when the OS has no process or descriptor left, NotSendable
  // under another start method than fork when the child cannot be given what it is to run.
  void start();

  std::string name() const;
  void set_name(std::string name);  // after start() only this side knows of it
  bool daemon() const;
  void set_daemon(bool daemon);      // before start()
  std::optional<pid_t> pid() const;  // empty before start()

  bool is_alive() const;
  // Waits for the end.  The second form gives up after `patience` and says whether the child has ended.
  void join() const;
  template <class Rep, class Period>
  bool join(std::chrono::duration<Rep, Period> patience) const {
    return join_until(detail::Deadline::after(patience));
  }
  // Empty while it runs, and where someone else reaped the child (waitpid(-1) in the program, SIGCHLD ignored).
  std::optional<int> exitcode() const;

  // A child that has ended already is left in peace.
  void terminate() const;  // SIGTERM
  void interrupt() const;  // SIGINT
  // SIGKILL to the child and all its descendants, those in sessions of their own included.
  void kill() const;

  // A pidfd: it polls readable once the child has ended.  It belongs to this object: valid until the object
  // and every ProcessInfo of the child are gone, or until close().
  int sentinel() const;

  // Lets go of the sentinel; any later use throws std::invalid_argument.  Throws that too while the child runs.
  void close();

 private:
  [[nodiscard]] process_::Child& usable() const;
  [[nodiscard]] process_::Child& started(const char* verb) const;
  bool join_until(detail::Deadline deadline) const;

  friend class Context;
  template <class Derived>
  friend class ProcessOf;
  // For another program: what is to be run there.
  virtual detail::TargetReader write(codec::Encoder& out) const;
  void becomes_this_process();  // made anew in the child that it stands for
  memory::Forked start_by_fork(process_::Child& child);
  memory::Forked start_by_message(StartMethod method, const process_::Child& child) const;

  std::optional<StartMethod> method_;  // of its context
  std::unique_ptr<detail::Target> target_;
  std::shared_ptr<process_::Child> child_;  // null: moved from, or closed
  bool closed_ = false;
};

// The base of subclasses that begin under every start method.  Derived has a serialize function, is default
// constructible and movable; the child makes a Derived, fills it by serialize, and calls its run().
template <class Derived>
class ProcessOf : public Process {
 protected:
  using Process::Process;

 private:
  detail::TargetReader write(codec::Encoder& out) const override {
    constexpr codec::Why why = codec::why<Derived>();
    if constexpr (why != codec::Why::sendable) {
      detail::throw_unsendable_process(typeid(Derived), why);
    } else {
      if (typeid(*this) != typeid(Derived)) detail::throw_unsendable_process(typeid(*this), codec::Why::base_class);
      codec::encode(out, static_cast<const Derived&>(*this));
      return &Received::read;
    }
  }

  // In the child.
  class Received final : public detail::Runnable {
   public:
    explicit Received(codec::Decoder& in) : process_(codec::decode<Derived>(in)) {
      static_cast<ProcessOf&>(process_).becomes_this_process();
    }
    static std::unique_ptr<detail::Runnable> read(codec::Decoder& in) { return std::make_unique<Received>(in); }
    void run() override { static_cast<Process&>(process_).run(); }

   private:
    Derived process_;
  };
};

// A view of a process: a child, this process, or its parent.  Copyable; holds the sentinel open.
//
//   auto me = mp::current_process();
//   std::cout << me.name() << ' ' << me.pid() << '\n';
//
// name() is as of the making of the view.  join() on the current process throws std::logic_error.  kill() on
// a child takes its descendants too, on this process or its parent it is a plain SIGKILL.
class ProcessInfo {
 public:
  const std::string& name() const noexcept { return name_; }
  pid_t pid() const;
  bool daemon() const;
  bool is_alive() const;
  int sentinel() const;
  void join() const;
  template <class Rep, class Period>
  bool join(std::chrono::duration<Rep, Period> patience) const {
    return join_until(detail::Deadline::after(patience));
  }
  void terminate() const;
  void interrupt() const;
  void kill() const;

  // Made by the functions below.
  ProcessInfo(std::string name, std::shared_ptr<process_::Peer> peer);

 private:
  bool join_until(detail::Deadline deadline) const;

  std::string name_;
  std::shared_ptr<process_::Peer> peer_;
};

// The children of this process that are alive.  Reaps those that are not.
std::vector<ProcessInfo> active_children();

// This process.  The main one is named "MainProcess".
ProcessInfo current_process();

// The process whose start() made this one; empty in the main process.
std::optional<ProcessInfo> parent_process();

// CPUs this process can use: the smaller of its affinity and its cgroup's quota, at least 1.
int cpu_count();

}  // namespace multiprocessing

#pragma GCC visibility pop
