#include "manager/local_port.hpp"

#include <bit>
#include <utility>

#include "base/log.hpp"
#include "memory/family.hpp"
#include "multiprocessing/errors.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"

namespace multiprocessing::managers {

// --- a channel and the call in it -------------------------------------------------------------------------------------

class LocalCall final : public Call {
 public:
  LocalCall(Server& server, memory::Ref channel, SessionPtr session)
      : Call(server), channel_ref_(std::move(channel)), client_(std::move(session)), member_(this->channel().member) {}

  [[nodiscard]] bool is_of_family() const noexcept override { return true; }
  [[nodiscard]] std::uint64_t id() const noexcept { return channel_ref_.id(); }
  [[nodiscard]] std::uint64_t member() const noexcept { return member_; }

  void take() {
    const std::uint64_t asked = channel().asked.load(std::memory_order_acquire);  // sync(manager-asked)
    if (is_open() || asked == channel().answered.load(std::memory_order_relaxed)) return;
    confirmed();  // who asks has got the answer before
    let_go();
    try {
      copy_request();
      begin(client_, asked);
    } catch (const std::exception& e) {
      begin_malformed(client_, asked);
      return fail(Status::error, e.what());
    }
    MULTIPROCESSING_STEP("manager.server.taken");
    server().carry_out(*this);
  }

  // What the last answer named is the client's now, if it has come.
  void settle() noexcept {
    if (is_open() || channel().taken.load(std::memory_order_acquire) < number()) return;
    confirmed();
    let_go();
  }

  // Its client has ended.
  void drop() noexcept {
    if (channel().taken.load(std::memory_order_acquire) >= number()) confirmed();
    give_up();
    let_go();
  }

  // Lets its client look, and see that the server has ended.
  void hang_up() noexcept { channel().answers.notify(); }

 private:
  [[nodiscard]] Channel& channel() const noexcept { return *static_cast<Channel*>(channel_ref_.address()); }

  void copy_request() {
    const std::uint64_t bytes = channel().request_bytes;
    const std::uint64_t block = channel().request_block;
    request().clear();
    if (block == 0) {
      if (bytes > inline_bytes) codec::throw_malformed("a request longer than its channel");
      request().assign(channel().request, channel().request + bytes);
      return;
    }
    const memory::Ref from = memory::Ref::adopt(block, memory::Kind::block);
    if (bytes > from.bytes()) codec::throw_malformed("a request longer than its block");
    const auto* const data = static_cast<const std::byte*>(from.address());
    request().assign(data, data + bytes);
  }

  void cannot_answer() noexcept override {
    constexpr AnswerHeader nothing{0, Status::error, 0, 0, 0};
    send(nothing, {});  // which has room in the channel
  }

  void send(const AnswerHeader& header, std::span<const Value* const> values) override {
    write_answer(header, values);
    MULTIPROCESSING_STEP("manager.server.written");
    channel().answered.store(number(), std::memory_order_release);
    MULTIPROCESSING_STEP("manager.server.answered");
    channel().answers.notify();
  }

  static std::size_t bytes_of(std::span<const Value* const> values) {
    std::size_t bytes = sizeof(AnswerHeader);
    for (const Value* const value : values) {
      bytes += sizeof(ValueHeader) + value->bytes.size() + value->objects.size() * ValueReader::in_answer +
               value->holds.size() * sizeof(std::uint64_t);
    }
    return bytes;
  }

  void write_answer(const AnswerHeader& header, std::span<const Value* const> values) {
    const std::size_t bytes = bytes_of(values);
    std::byte* to = channel().answer;
    channel().answer_block = 0;
    if (bytes > inline_bytes) {
      block_ = memory::take_block(bytes);
      to = static_cast<std::byte*>(block_.ref.address());
      channel().answer_block = block_.ref.id();
    }
    channel().answer_bytes = bytes;
    const auto put = [&to](const void* from, std::size_t count) {
      if (count != 0) std::memcpy(to, from, count);
      to += count;
    };
    put(&header, sizeof header);
    for (const Value* const value : values) {
      const ValueHeader start{value->bytes.size(), static_cast<std::uint32_t>(value->objects.size()),
                              static_cast<std::uint32_t>(value->holds.size())};
      put(&start, sizeof start);
      put(value->bytes.data(), value->bytes.size());
      for (const ServedPtr& object : value->objects) {
        const std::uint64_t pair[2] = {object->id, object->companion.id()};
        put(pair, sizeof pair);
        told_.push_back(object);
      }
      for (const memory::Ref& held : value->holds) {
        const std::uint64_t id = held.id();
        put(&id, sizeof id);
        held_.push_back(held);
      }
    }
  }

  // What the answer before named, for its client to take hold of.
  void let_go() noexcept {
    told_.clear();
    held_.clear();
    if (block_.ref) memory::keep_block(std::move(block_));
    block_ = {};
  }

  const memory::Ref channel_ref_;
  const SessionPtr client_;
  const std::uint64_t member_;
  std::vector<ServedPtr> told_;
  std::vector<memory::Ref> held_;
  memory::Block block_;
};

// --- the port ---------------------------------------------------------------------------------------------------------

namespace {
// Of this thread, if it is a leader.
thread_local std::uint64_t leading = 0;          // as which one
thread_local std::function<void()> quick_job;    // to be run when it has let go of the gate
}  // namespace

LocalPort::LocalPort(Server& server, Loop& loop, memory::Ref root)
    : server_(server), loop_(loop), root_ref_(std::move(root)) {}
LocalPort::~LocalPort() = default;

void LocalPort::start() {
  {
    const std::lock_guard gate(server_.gate);
    server_.set_quick_runner([this](std::function<void()>& job) {
      if (leading == 0 || leading != leader_ || quick_job) return false;
      quick_job = std::move(job);
      return true;
    });
  }
  loop_.on_tick([this] { return watch_leader(); });
  take_over();
}

void LocalPort::take_over() {
  const std::uint64_t number = leader_.fetch_add(1) + 1;
  server_.workers.run([this, number] { lead(number); });
}

void LocalPort::lead(std::uint64_t number) {
  leading = number;
  sync::Naps naps;
  while (leader_ == number && !server_.ending()) {
    const auto something = [this] {
      return root().ready_words.load(std::memory_order_relaxed) != 0 || root().wish.load(std::memory_order_relaxed) != 0 ||
             server_.ending();
    };
    if (root().bell.wait_until(something, Deadline::after(naps.next()))) {
      naps = {};
      serve_all();
      if (root().wish.load(std::memory_order_acquire) != 0) {
        const std::lock_guard gate(server_.gate);
        server_.begin_to_end();
      }
    } else {
      // A client may have died, or been stopped, between its call and the bell.
      const std::lock_guard gate(server_.gate);
      for (std::size_t place = 0; place < most_channels; ++place) serve(place);
    }
    run_quick_jobs();
  }
  leading = 0;
}

void LocalPort::run_quick_jobs() {
  while (quick_job) run_quick_job();
}

void LocalPort::run_quick_job() {
  const std::function<void()> job = std::exchange(quick_job, nullptr);
  ++jobs_;
  running_ = leading;
  loop_.tick();
  job();
  std::uint64_t mine = leading;
  running_.compare_exchange_strong(mine, 0);
}

bool LocalPort::watch_leader() {
  const std::uint64_t jobs = jobs_;
  const bool same = std::exchange(jobs_seen_, jobs) == jobs;
  std::uint64_t leader = leader_;
  if (same && running_.compare_exchange_strong(leader, 0)) take_over();
  return !same || running_ != 0;
}

void LocalPort::serve_all() {
  std::uint64_t words = root().ready_words.exchange(0, std::memory_order_acq_rel);  // sync(manager-ready)
  const std::lock_guard gate(server_.gate);
  for (; words != 0; words &= words - 1) {
    const auto word = static_cast<std::size_t>(std::countr_zero(words));
    std::uint64_t places = root().ready[word].exchange(0, std::memory_order_acq_rel);
    for (; places != 0; places &= places - 1) {
      serve(word * bits + static_cast<std::size_t>(std::countr_zero(places)));
    }
  }
}

void LocalPort::serve(std::size_t place) {
  const std::uint64_t id = root().places[place].load(std::memory_order_acquire);
  if (calls_[place] != nullptr && calls_[place]->id() != id) forget(place);
  if (id == 0 || !know(place, id)) return;
  calls_[place]->take();
}

bool LocalPort::know(std::size_t place, std::uint64_t id) {
  if (calls_[place] != nullptr) return true;
  try {
    memory::Ref channel = memory::Ref::adopt(id, memory::Kind::channel);
    const auto& fields = *static_cast<const Channel*>(channel.address());
    Client& client = client_of(fields.member, static_cast<pid_t>(fields.pid));
    client.places.push_back(place);
    calls_[place] = std::make_shared<LocalCall>(server_, std::move(channel), client.session);
    return true;
  } catch (const Error&) {  // it died with its client
    std::uint64_t dead = id;
    root().places[place].compare_exchange_strong(dead, 0, std::memory_order_acq_rel);
    return false;
  }
}

LocalPort::Client& LocalPort::client_of(std::uint64_t member, pid_t pid) {
  const auto known = clients_.find(member);
  if (known != clients_.end()) return known->second;
  Client& client = clients_[member];
  client.session = std::make_shared<Session>();
  client.pidfd = base::Fd(os::pidfd_open(pid));
  // The pid may be another's by now, if that client has died meanwhile: then the loop finds it gone by its name.
  if (client.pidfd && !memory::is_gone(member)) {
    client.key = loop_.add(client.pidfd.get(), [this, member](bool, bool) {
      const std::lock_guard gate(server_.gate);
      client_has_gone(member);
    });
  }
  return client;
}

void LocalPort::forget(std::size_t place) noexcept {
  const auto call = std::exchange(calls_[place], nullptr);
  if (call != nullptr) call->drop();
}

void LocalPort::client_has_gone(std::uint64_t member) noexcept {
  const auto found = clients_.find(member);
  if (found == clients_.end()) return;
  Client client = std::move(found->second);
  clients_.erase(found);
  if (client.key != 0) loop_.remove(client.key);
  for (const std::size_t place : client.places) {
    if (calls_[place] == nullptr || calls_[place]->member() != member) continue;  // it was freed by its client before
    std::uint64_t id = calls_[place]->id();
    forget(place);
    root().places[place].compare_exchange_strong(id, 0, std::memory_order_acq_rel);
  }
  server_.end_session(client.session);
}

void LocalPort::look_around() {
  const std::lock_guard gate(server_.gate);
  for (const auto& call : calls_) {
    if (call != nullptr) call->settle();
  }
  std::vector<std::uint64_t> gone;
  for (const auto& [member, client] : clients_) {
    if (client.key == 0 && memory::is_gone(member)) gone.push_back(member);
  }
  for (const std::uint64_t member : gone) client_has_gone(member);
}

void LocalPort::end() noexcept {
  root().state.store(static_cast<std::uint64_t>(State::ended), std::memory_order_release);
  root().changed.notify();
  for (const auto& call : calls_) {
    if (call == nullptr) continue;
    call->drop();  // what it holds is to be destroyed with the rest
    call->hang_up();
  }
}

}  // namespace multiprocessing::managers
