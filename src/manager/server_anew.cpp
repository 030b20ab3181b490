// The server's process under forkserver and spawn: its plan, written down and read again.
#include <signal.h>

#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "manager/server_process.hpp"
#include "multiprocessing/detail/callable_token.hpp"
#include "multiprocessing/detail/shared_fd.hpp"
#include "os/os.hpp"
#include "process/helper.hpp"
#include "process/start.hpp"

namespace multiprocessing::managers {
namespace {

class Anew final : public detail::Runnable {
 public:
  static std::unique_ptr<detail::Runnable> read(codec::Decoder& in) { return std::make_unique<Anew>(in); }

  explicit Anew(codec::Decoder& in) {
    plan_.root = in.adopt();
    const detail::SharedFd owner = in.adopt_descriptor();
    plan_.owner = base::Fd(os::duplicate(owner.get()));
    if (!plan_.owner) base::throw_os_error("duplicate", "manager", -plan_.owner.release());
    plan_.network = codec::decode<NetworkOptions>(in);
    plan_.initializer = process_::read_routine(in);
  }

  void run() override {
    process_::become_helper();
    codec::learn_modules();
    serve(plan_);
  }

 private:
  ServerPlan plan_{};
};

}  // namespace

memory::Forked start_server_anew(StartMethod method, ServerPlan plan, const process_::Child& record) {
  codec::Encoder out;
  out.let_descriptors_travel(true);
  out.carry(plan.root);
  out.carry(detail::SharedFd(plan.owner.release()));
  codec::encode(out, plan.network);
  process_::write_routine(out, plan.initializer);
  return process_::start_by_message(method, record, out, &Anew::read);
}

}  // namespace multiprocessing::managers
