// The client of a manager of this family: calls through channels (channel.hpp has the protocol).
#include <array>
#include <chrono>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "manager/channel.hpp"
#include "manager/local_client.hpp"
#include "manager/per_process.hpp"
#include "memory/family.hpp"
#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "synchronize/this_member.hpp"

#include <unistd.h>

namespace multiprocessing::managers {
namespace {

class LocalClient final : public Client {
 public:
  explicit LocalClient(memory::Ref root) : root_ref_(std::move(root)) {
    manager_.assign(root_().manager.data(), root_().manager.size());
  }

  void exchange(std::span<const std::byte> request, std::span<const memory::Ref> /*held by the caller*/,
                Deadline deadline, AnswerBuffer& into) override {
    Line line = take_line();
    Channel& channel = channel_of(line);
    try {
      const std::uint64_t number = write_request(channel, request, line);
      MULTIPROCESSING_STEP("manager.client.asked");
      ring(root_(), line.place);
      await_answer(channel, number, deadline, line);
      read_answer(channel, into);
      take(channel, number);
    } catch (...) {
      give_up(line);
      throw;
    }
    line.request_block = memory::Ref();
    put_back(std::move(line));
  }

  void post(std::span<const std::byte>) noexcept override {}  // holders are known to the arena

  Object::Parts depart(const Object& object, const memory::Ref& companion, const std::shared_ptr<Held>&) override {
    Object::Parts parts;
    parts.way = Way::family;
    parts.id = object.id();
    parts.companion = companion;
    return parts;
  }
  Object object(std::uint64_t id, std::uint64_t companion) override {
    return {shared_from_this(), id, memory::Ref::adopt(companion, memory::Kind::companion), nullptr};
  }
  [[nodiscard]] bool takes_handles() const noexcept override { return true; }
  [[nodiscard]] std::string address() const override { return ""; }

 private:
  struct Line {
    memory::Ref channel;
    std::size_t place = 0;
    memory::Ref request_block;
  };
  struct Here {
    std::mutex mutex;
    std::vector<Line> idle;
  };

  [[nodiscard]] Root& root_() const noexcept { return *static_cast<Root*>(root_ref_.address()); }
  static Channel& channel_of(const Line& line) noexcept { return *static_cast<Channel*>(line.channel.address()); }

  Line take_line() {
    require_server();
    {
      Here& here = here_.get();
      const std::lock_guard lock(here.mutex);
      if (!here.idle.empty()) {
        Line line = std::move(here.idle.back());
        here.idle.pop_back();
        return line;
      }
    }
    return new_line();
  }

  void put_back(Line line) {
    Here& here = here_.get();
    const std::lock_guard lock(here.mutex);
    here.idle.push_back(std::move(line));
  }

  Line new_line() {
    Line line;
    line.channel = memory::Ref::create(memory::Kind::channel, sizeof(Channel));
    auto* const channel = new (line.channel.address()) Channel;
    channel->member = synchronize::this_member();
    channel->pid = static_cast<std::uint64_t>(::getpid());
    for (std::size_t place = 0; place < most_channels; ++place) {
      std::uint64_t free = 0;
      if (root_().places[place].load(std::memory_order_relaxed) != 0) continue;
      if (!root_().places[place].compare_exchange_strong(free, line.channel.id(), std::memory_order_acq_rel)) continue;
      MULTIPROCESSING_STEP("manager.client.placed");
      line.place = place;
      return line;
    }
    throw Error("manager: " + std::to_string(most_channels) + " calls are on their way already");
  }

  static std::uint64_t write_request(Channel& channel, std::span<const std::byte> request, Line& line) {
    channel.request_bytes = request.size();
    channel.request_block = 0;
    std::byte* to = channel.request;
    if (request.size() > inline_bytes) {
      memory::Block block = memory::take_block(request.size());
      channel.request_block = block.ref.id();
      to = static_cast<std::byte*>(block.ref.address());
      line.request_block = std::move(block.ref);
    }
    std::memcpy(to, request.data(), request.size());
    MULTIPROCESSING_STEP("manager.client.written");
    const std::uint64_t number = channel.answered.load(std::memory_order_acquire) + 1;
    channel.asked.store(number, std::memory_order_release);  // sync(manager-asked)
    return number;
  }

  static void take(Channel& channel, std::uint64_t number) noexcept {
    MULTIPROCESSING_STEP("manager.client.read");
    channel.taken.store(number, std::memory_order_release);
    MULTIPROCESSING_STEP("manager.client.taken");
  }

  // What was done for it, and not taken, the server takes back when it sees that the place is free.
  void give_up(const Line& line) noexcept { root_().places[line.place].store(0, std::memory_order_release); }

  void await_answer(Channel& channel, std::uint64_t number, Deadline deadline, const Line& line) {
    const auto answered = [&] { return channel.answered.load(std::memory_order_acquire) >= number; };
    const Deadline last = with_patience(deadline);
    while (!channel.answers.wait_until(answered, last.at_most(sync::EventCount::look_again))) {
      require_server();
      ring(root_(), line.place);  // the one who rang may have been stopped in between, or the bit was lost with a server
      if (!last.is_over()) continue;
      throw ManagerDied("the manager's server does not answer: it is stopped, or overloaded");
    }
  }

  static void read_answer(Channel& channel, AnswerBuffer& into) {
    const std::uint64_t bytes = channel.answer_bytes;
    if (channel.answer_block != 0) {
      into.block = memory::Ref::adopt(channel.answer_block, memory::Kind::block);
      if (bytes > into.block.bytes()) codec::throw_malformed("an answer longer than its block");
      into.bytes = {static_cast<const std::byte*>(into.block.address()), bytes};
      return;
    }
    if (bytes > inline_bytes) codec::throw_malformed("an answer longer than its channel");
    into.own.assign(channel.answer, channel.answer + bytes);
    into.bytes = into.own;
  }

  void require_server() {
    const auto state = static_cast<State>(root_().state.load(std::memory_order_acquire));
    if (state == State::ended) throw ManagerDied("the manager has been shut down");
    const std::uint64_t server = root_().server.load(std::memory_order_relaxed);
    const std::uint64_t now = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Deadline::Clock::now().time_since_epoch()).count());
    // Asking the system costs more than the call: at most once in a while, and at once by who waits longer than that.
    if (now - looked_ms_.load(std::memory_order_relaxed) < 50) return;
    if (memory::is_gone(server)) throw ManagerDied("the manager's server was killed");
    looked_ms_.store(now, std::memory_order_relaxed);
  }

  const memory::Ref root_ref_;
  PerProcess<Here> here_;
  std::atomic<std::uint64_t> looked_ms_{0};
};

struct Clients {
  std::mutex mutex;
  std::map<std::uint64_t, std::weak_ptr<Client>> by_root;
};
constinit Forever<PerProcess<Clients>> clients;

}  // namespace

std::shared_ptr<Client> local_client(const memory::Ref& root) {
  Clients& all = clients.value.get();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.by_root, [](const auto& known) { return known.second.expired(); });
  std::weak_ptr<Client>& known = all.by_root[root.id()];
  std::shared_ptr<Client> client = known.lock();
  if (client == nullptr) {
    client = std::make_shared<LocalClient>(root);
    known = client;
  }
  return client;
}

Object local_object(memory::Ref companion) {
  if (companion.kind() != memory::Kind::companion) throw TypeMismatch("the received handle is not that of a proxy");
  const Companion named = *static_cast<const Companion*>(companion.address());
  memory::Ref root;
  try {
    root = memory::Ref::adopt(named.root, memory::Kind::manager);
  } catch (const Error&) {
    throw ManagerDied("the manager of the received proxy is gone");
  }
  return {local_client(root), named.object, std::move(companion), nullptr};
}

}  // namespace multiprocessing::managers
