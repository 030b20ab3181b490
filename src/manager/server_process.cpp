#include "manager/server_process.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "manager/local_client.hpp"
#include "manager/local_port.hpp"
#include "manager/loop.hpp"
#include "multiprocessing/detail/callable_token.hpp"
#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "os/programs.hpp"
#include "process/bootstrap.hpp"
#include "process/helper.hpp"
#include "process/identity.hpp"
#include "process/report.hpp"
#include "process/start.hpp"

namespace multiprocessing::managers {
namespace {

void say(Root& root, State state, const std::string& text) noexcept {
  const std::size_t bytes = std::min(text.size(), root.text.size());
  std::memcpy(root.text.data(), text.data(), bytes);
  root.text_bytes = static_cast<std::uint32_t>(bytes);
  root.state.store(static_cast<std::uint64_t>(state), std::memory_order_release);
  root.changed.notify();
}

constexpr std::chrono::seconds patience_with_methods{10};

// The server's parts, in the order in which they are made.
class Running {
 public:
  explicit Running(ServerPlan& plan)
      : plan_(plan),
        root_(*static_cast<Root*>(plan.root.address())),
        server_(plan.root),
        loop_(server_),
        local_(server_, loop_, plan.root) {}

  void run() {
    const std::uint64_t owner = loop_.add(plan_.owner.get(), [this](bool, bool) { end(); });
    if (owner == 0) throw Error("manager: there is no room for another descriptor");
    loop_.when_idle([this] { local_.look_around(); });
    if (!plan_.network.address.empty()) network_.emplace(server_, loop_, plan_.network, root_.manager);
    local_.start();
    if (network_) network_->open();
    say(root_, State::serving, network_ ? network_->address() : "");
    MULTIPROCESSING_STEP("manager.server.serving");
    loop_.run();
    root_.bell.notify();
    network_.reset();
    {
      const std::lock_guard gate(server_.gate);
      local_.end();
      server_.drop_objects();
    }
    // The leader, and destructors of the program's objects.  A method that does not end is ended with the process, by its
    // owner (shutdown()) or, when that has gone, after this.
    static_cast<void>(server_.workers.finish(patience_with_methods));
  }

 private:
  void end() {
    const std::lock_guard gate(server_.gate);
    server_.begin_to_end();
  }

  ServerPlan& plan_;
  Root& root_;
  Server server_;
  Loop loop_;
  LocalPort local_;
  std::optional<NetworkPort> network_;
};

}  // namespace

void serve(ServerPlan& plan) noexcept {
  Root& root = *static_cast<Root*>(plan.root.address());
  root.server.store(memory::self_name(), std::memory_order_release);
  try {
    if (!plan.network.address.empty()) os::raise_descriptor_limit();  // a client is one
    if (plan.initializer) plan.initializer();
    auto* const running = new Running(plan);  // not destroyed: methods may still run in it
    running->run();
  } catch (const std::exception& e) {
    base::log(LogLevel::error, "manager: the server ends: ", e.what());
    say(root, State::failed, e.what());
    process_::leave_child(1);
  } catch (...) {
    say(root, State::failed, "the initializer threw something that is no std::exception");
    process_::leave_child(1);
  }
  process_::leave_child(0);
}

// --- from the owner ---------------------------------------------------------------------------------------------------

ServerProcess::ServerProcess(ManagerOptions options) : owner_(::getpid()) {
  process_::register_exit_handler();  // code of the program's in the server must not run our static destructors
  root_ = memory::Ref::create(memory::Kind::manager, sizeof(Root));
  Root* const made = new (root_.address()) Root;
  made->magic = root_magic;
  if (const int error = os::random_bytes(std::as_writable_bytes(std::span(made->manager))); error < 0) {
    base::throw_os_error("getrandom", "manager", -error);
  }
  const int owner = os::pidfd_open(owner_);
  if (owner < 0) base::throw_os_error("pidfd_open", "manager", -owner);
  ServerPlan plan{.root = root_,
                  .owner = base::Fd(owner),
                  .network = {std::move(options.address), std::move(options.authkey), options.max_message,
                              static_cast<std::size_t>(std::max(options.max_connections, 1)), std::move(options.tls)},
                  .initializer = std::move(options.initializer)};
  const std::string path = process_::next_path();
  name_ = options.name.empty() ? "Manager-" + path : options.name;
  const process_::Child record(name_, path, false);
  process_::flush_standard_streams();
  const StartMethod method = options.start_method.value_or(get_start_method());
  if (method == StartMethod::fork) {
    process_::report_fork();
    codec::learn_modules();  // before the fork: the child must not need the loader's lock
    process_::ChildPlan child(record);
    forked_ = memory::fork_member();
    if (forked_.pid == 0) {
      process_::become_helper();
      process_::enter_child(child);
      serve(plan);
    }
  } else {
    forked_ = start_server_anew(method, std::move(plan), record);
  }
  process_::report_start(name_, forked_.pid);
  await_start();
}

void ServerProcess::await_start() {
  const auto decided = [this] { return root().state.load(std::memory_order_acquire) != 0; };
  while (!root().changed.wait_until(decided, Deadline::after(sync::EventCount::look_again))) {
    if (!os::wait_ended(forked_.pidfd.get(), Deadline::passed())) continue;
    if (decided()) break;
    shutdown({});
    throw ManagerDied("the manager's server was killed while it started");
  }
  const std::string text(root().text.data(), std::min<std::size_t>(root().text_bytes, root().text.size()));
  if (static_cast<State>(root().state.load()) == State::failed) {
    shutdown({});
    throw Error("the manager could not be started: " + text);
  }
  address_ = text;
}

Object ServerProcess::manager() const { return {local_client(root_), manager_object, {}, nullptr}; }

void ServerProcess::shutdown(std::chrono::nanoseconds grace) {
  if (ended_ || owner_ != ::getpid()) return;
  ended_ = true;
  root().wish.store(1, std::memory_order_release);
  root().bell.notify();
  if (!os::wait_ended(forked_.pidfd.get(), Deadline::after(grace))) {
    os::pidfd_signal(forked_.pidfd.get(), SIGKILL);
    os::wait_ended(forked_.pidfd.get(), Deadline::never());
  }
  root().state.store(static_cast<std::uint64_t>(State::ended), std::memory_order_release);
  os::Ending ending;
  os::reap(forked_.pidfd.get(), ending);
  memory::reap_member(forked_.member);
  process_::report_end(name_, forked_.pid, ending.known ? std::optional(ending.status) : std::nullopt);
}

ServerProcess::~ServerProcess() { shutdown(std::chrono::seconds(5)); }

}  // namespace multiprocessing::managers
