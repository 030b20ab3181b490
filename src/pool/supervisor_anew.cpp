// The supervisor as a program that is executed anew, or as a copy of the forkserver: what it needs of the host travels as
// the target of a process does (process/start.hpp).  Its workers are copies of it, as ever.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable_token.hpp"
#include "multiprocessing/detail/process_target.hpp"
#include "multiprocessing/detail/shared_fd.hpp"
#include "os/os.hpp"
#include "pool/supervisor.hpp"
#include "process/helper.hpp"
#include "process/identity.hpp"
#include "process/start.hpp"

namespace multiprocessing::pool {
namespace {

// Of SupervisorPlan and PoolOptions: what is plain.
struct Travelling {
  memory::MemberId host_member = 0;
  std::size_t max_tasks_per_child = 0;
  std::uint64_t memory_limit = 0;
  std::int64_t grace_ns = 0;
  std::string name;
  std::vector<int> cpus;
  int log_level = 0;
};

template <class T>
T* mapped(const detail::SharedFd& file, std::size_t count) {
  void* area = nullptr;
  if (const int error = os::map_shared_file(file.get(), count * sizeof(T), &area); error < 0) {
    base::throw_os_error("map", "memory of a pool", -error);
  }
  return static_cast<T*>(area);
}

base::Fd own(const detail::SharedFd& shared) {
  base::Fd copy(os::duplicate(shared.get()));
  if (!copy) base::throw_os_error("duplicate", "a descriptor of a pool", -copy.release());
  return copy;
}

class Anew final : public detail::Runnable {
 public:
  static std::unique_ptr<detail::Runnable> read(codec::Decoder& in) { return std::make_unique<Anew>(in); }

  explicit Anew(codec::Decoder& in) {
    const auto plain = codec::decode<Travelling>(in);
    plan_.host_member = plain.host_member;
    plan_.options.max_tasks_per_child = plain.max_tasks_per_child;
    plan_.options.memory_limit = plain.memory_limit;
    plan_.options.grace = std::chrono::nanoseconds(plain.grace_ns);
    plan_.options.name = plain.name;
    plan_.options.cpus = plain.cpus;
    log_level_ = plain.log_level;
    plan_.options.initializer = process_::read_routine(in);
    plan_.options.finalizer = process_::read_routine(in);
    plan_.control = mapped<Control>(in.adopt_descriptor(), 1);
    plan_.mailboxes = mapped<Mailbox>(in.adopt_descriptor(), most_workers);
    plan_.bell = own(in.adopt_descriptor());
    plan_.host = own(in.adopt_descriptor());
  }

  void run() override {
    codec::learn_modules();
    base::lowest_log_level.store(log_level_, std::memory_order_relaxed);
    supervise(plan_);
  }

 private:
  SupervisorPlan plan_{};
  int log_level_ = base::log_nothing;  // of the workers
};

}  // namespace

memory::Forked start_supervisor_anew(StartMethod method, SupervisorPlan plan, base::Fd control_file,
                                     base::Fd mailboxes_file) {
  codec::Encoder out;
  out.let_descriptors_travel(true);
  const PoolOptions& options = plan.options;
  codec::encode(out,
                Travelling{plan.host_member, options.max_tasks_per_child, options.memory_limit, options.grace.count(),
                           options.name, options.cpus, base::lowest_log_level.load(std::memory_order_relaxed)});
  process_::write_routine(out, options.initializer);
  process_::write_routine(out, options.finalizer);
  out.carry(detail::SharedFd(control_file.release()));
  out.carry(detail::SharedFd(mailboxes_file.release()));
  out.carry(detail::SharedFd(plan.bell.release()));
  out.carry(detail::SharedFd(plan.host.release()));
  const process_::Child record(process_::identity().name, process_::identity().path, false);
  return process_::start_by_message(method, record, out, &Anew::read, base::log_nothing);  // it has nothing to say
}

}  // namespace multiprocessing::pool
