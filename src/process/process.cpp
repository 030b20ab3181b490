#include "multiprocessing/process.hpp"

#include <signal.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

#include "memory/family.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "process/before_main.hpp"
#include "process/bootstrap.hpp"
#include "process/child.hpp"
#include "process/identity.hpp"
#include "process/registry.hpp"
#include "process/relative.hpp"
#include "process/report.hpp"
#include "process/start.hpp"

namespace multiprocessing {

using process_::Child;
using process_::ChildPlan;
using process_::Registry;

Process::Process() : Process(ProcessOptions{}) {}

Process::Process(ProcessOptions options) {
  std::string path = process_::next_path();
  if (options.name.empty()) options.name = "Process-" + path;
  const bool daemon = options.daemon.value_or(process_::identity().daemon);
  child_ = std::make_shared<Child>(std::move(options.name), std::move(path), daemon);
}

Process::Process(Process&& other) noexcept = default;
Process& Process::operator=(Process&& other) noexcept = default;
Process::~Process() = default;

void Process::run() {
  if (target_ != nullptr) target_->run();
}

namespace {

// Of a Process without a target.
class Nothing final : public detail::Runnable {
 public:
  void run() override {}
  static std::unique_ptr<detail::Runnable> read(codec::Decoder& /*in*/) { return std::make_unique<Nothing>(); }
};

}  // namespace

detail::TargetReader Process::write(codec::Encoder& out) const {
  if (typeid(*this) != typeid(Process)) detail::throw_unsendable_process(typeid(*this), codec::Why::no_functions);
  return target_ != nullptr ? target_->write(out) : &Nothing::read;
}

void Process::becomes_this_process() {
  process_::Identity& me = process_::identity();
  me.made.fetch_sub(1, std::memory_order_relaxed);  // it is not one of those that the program makes
  child_ = std::make_shared<Child>(me.name, me.path, me.daemon);
  child_->becomes_this_process();
}

void Process::start() {
  Child& child = usable();
  if (child.is_started())
    throw std::logic_error("mp::Process: '" + child.name() + "' was started before; make a new object to run it again");
  if (!child.was_made_here())
    throw std::logic_error("mp::Process: '" + child.name() +
                           "' was made by another process; only that one can start it");
  if (process_::identity().daemon) {
    throw DaemonicChildError("mp::Process: '" + process_::identity().name +
                             "' is a daemon process and must not start others; give it .daemon = false");
  }
  if (process_::is_before_main()) {
    throw std::logic_error(
        "mp::Process: '" + child.name() +
        "' cannot be started before the process that this program is executed for has begun: not by a "
        "static initialiser, nor by a main that does not call mp::init() first where it has to");
  }
  Registry& registry = Registry::current();
  registry.reap_ended();
  Registry::Node node{child_};
  process_::register_exit_handler();
  process_::flush_standard_streams();
  const StartMethod method = method_.value_or(get_start_method());
  memory::Forked forked = method == StartMethod::fork ? start_by_fork(child) : start_by_message(method, child);
  MULTIPROCESSING_STEP("process.start.forked");
  child.has_started(std::move(forked));
  process_::report_start(child.name(), child.pid());
  registry.add(std::move(node));
  MULTIPROCESSING_STEP("process.start.registered");
  target_.reset();
}

memory::Forked Process::start_by_fork(Child& child) {
  ChildPlan plan(child);
  process_::report_fork();
  MULTIPROCESSING_STEP("process.start.planned");
  memory::Forked forked = memory::fork_member();
  if (forked.pid == 0) process_::run_child(plan, child, *this);
  return forked;
}

memory::Forked Process::start_by_message(StartMethod method, const Child& child) const {
  codec::Encoder target;
  target.let_descriptors_travel(true);
  const detail::TargetReader reader = write(target);
  return process_::start_by_message(method, child, target, reader);
}

Child& Process::usable() const {
  if (child_ != nullptr) return *child_;
  if (closed_) throw std::invalid_argument("mp::Process: this object was closed");
  throw std::logic_error("mp::Process: this object was moved from");
}

Child& Process::started(const char* verb) const {
  Child& child = usable();
  if (child.is_started()) return child;
  throw std::logic_error(std::string("mp::Process: cannot ") + verb + " '" + child.name() + "' before start()");
}

std::string Process::name() const { return usable().name(); }

void Process::set_name(std::string name) {
  Child& child = usable();
  Registry::current().under_lock([&] { child.set_name(std::move(name)); });
}

bool Process::daemon() const { return usable().daemon(); }

void Process::set_daemon(bool daemon) {
  Child& child = usable();
  if (child.is_started())
    throw std::logic_error("mp::Process: '" + child.name() + "' has started; set daemon before start()");
  child.set_daemon(daemon);
}

std::optional<pid_t> Process::pid() const {
  const Child& child = usable();
  return child.is_started() ? std::optional(child.pid()) : std::nullopt;
}

bool Process::is_alive() const {
  Child& child = usable();
  return child.is_started() && child.is_alive();
}

std::optional<int> Process::exitcode() const {
  Child& child = usable();
  return child.is_started() ? child.exitcode() : std::nullopt;
}

void Process::join() const { started("join").join(detail::Deadline::never()); }
bool Process::join_until(detail::Deadline deadline) const { return started("join").join(deadline); }
void Process::terminate() const { started("terminate").signal(SIGTERM); }
void Process::interrupt() const { started("interrupt").signal(SIGINT); }
void Process::kill() const { started("kill").kill(); }

int Process::sentinel() const {
  if (!usable().is_started())
    throw std::invalid_argument("mp::Process: '" + child_->name() + "' has no sentinel before start()");
  return child_->sentinel();
}

void Process::close() {
  if (closed_) return;
  Child& child = usable();
  if (child.is_started() && child.is_alive()) {
    throw std::invalid_argument("mp::Process: cannot close '" + child.name() +
                                "' while it runs; join() or kill() it first");
  }
  target_.reset();
  child_.reset();
  closed_ = true;
}

ProcessInfo::ProcessInfo(std::string name, std::shared_ptr<process_::Peer> peer)
    : name_(std::move(name)), peer_(std::move(peer)) {}

pid_t ProcessInfo::pid() const { return peer_->pid(); }
bool ProcessInfo::daemon() const { return peer_->daemon(); }
bool ProcessInfo::is_alive() const { return peer_->is_alive(); }
int ProcessInfo::sentinel() const { return peer_->sentinel(); }
void ProcessInfo::join() const { peer_->join(detail::Deadline::never()); }
bool ProcessInfo::join_until(detail::Deadline deadline) const { return peer_->join(deadline); }
void ProcessInfo::terminate() const { peer_->signal(SIGTERM); }
void ProcessInfo::interrupt() const { peer_->signal(SIGINT); }
void ProcessInfo::kill() const { peer_->kill(); }

std::vector<ProcessInfo> active_children() {
  Registry& registry = Registry::current();
  auto children = registry.alive();
  return registry.under_lock([&children] {
    std::vector<ProcessInfo> views;
    views.reserve(children.size());
    for (auto& child : children) views.emplace_back(child->name(), child);
    return views;
  });
}

ProcessInfo current_process() {
  const process_::Identity& me = process_::identity();
  return {me.name, std::make_shared<process_::Relative>(::getpid(), me.daemon)};
}

std::optional<ProcessInfo> parent_process() {
  const process_::Identity& me = process_::identity();
  if (me.parent == nullptr) return std::nullopt;
  return ProcessInfo(me.parent_name, me.parent);
}

int cpu_count() { return os::available_cpus(); }

}  // namespace multiprocessing
