// Ask and Answer: a call being written, and what came of it being read; and proxies inside of values.
#include <chrono>
#include <exception>
#include <stdexcept>
#include <utility>

#include "manager/client.hpp"
#include "multiprocessing/detail/link.hpp"
#include "multiprocessing/detail/manager_client.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/errors.hpp"
#include "sync/thread_id.hpp"

namespace multiprocessing::managers {
namespace {

thread_local const Context* context = nullptr;  // the innermost

[[noreturn]] void throw_outcome(Status status, const std::string& text) {
  switch (status) {
    case Status::closed: throw Closed(text);
    case Status::empty: throw Empty(text);
    case Status::missing: throw std::out_of_range(text);
    case Status::type_mismatch: throw TypeMismatch(text);
    case Status::not_held: throw std::logic_error(text);
    case Status::invalid: throw std::invalid_argument(text);
    case Status::broken: throw BrokenBarrier(text);
    case Status::not_sendable: throw NotSendable(text);
    default: throw Error(text);
  }
}

std::string text_of(const ValueView& value) {
  return {reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size()};
}

}  // namespace

const Context* exchange_context(const Context* next) noexcept { return std::exchange(context, next); }

// --- Object -----------------------------------------------------------------------------------------------------------

Object::Object(std::shared_ptr<Client> client, std::uint64_t id, memory::Ref companion,
               std::shared_ptr<Held> held) noexcept
    : client_(std::move(client)), id_(id), companion_(std::move(companion)), held_(std::move(held)) {}

Client& Object::client() const {
  if (client_ == nullptr) throw std::logic_error("this proxy is empty: it was moved from, or never received");
  return *client_;
}

Object::Parts Object::depart() const {
  Client& own = client();
  if (context != nullptr && context->going != nullptr && context->client->manager() == own.manager()) {
    Parts parts;
    parts.id = id_;
    context->going->push_back(id_);
    return parts;
  }
  Parts parts = own.depart(*this, companion_, held_);
  if (context != nullptr && parts.way == Way::address) {
    throw NotSendable(
        "a proxy of a remote manager cannot be put into another manager: it would take the key along.  Give the other "
        "side the address and the key, and let it connect");
  }
  return parts;
}

Object Object::arrive(Parts&& parts) {
  if (parts.way == Way::family) return local_object(std::move(parts.companion));
  if (parts.way == Way::address) {
    const std::shared_ptr<Client> client = remote_client(parts.address, parts.authkey, parts.manager);
    return client->object(parts.id, 0);
  }
  if (parts.way != Way::within || context == nullptr || context->arriving == nullptr) {
    codec::throw_malformed("a proxy that does not come from its manager");
  }
  for (const auto& [id, companion] : *context->arriving) {
    if (id == parts.id) return context->client->object(id, companion);
  }
  codec::throw_malformed("a proxy of an object that its message does not name");
}

// --- Ask --------------------------------------------------------------------------------------------------------------

Ask::Ask(const Object& object, Op op, Deadline deadline)
    : client_(object.client().shared_from_this()), deadline_(deadline) {
  encoder_->clear();
  RequestHeader start{};
  start.object = object.id();
  start.thread = static_cast<std::uint64_t>(sync::thread_id());
  start.op = op;
  start.patience_ns = -1;
  if (!deadline.is_never()) {
    const auto left = deadline.when() - Deadline::Clock::now();
    start.patience_ns = left.count() > 0 ? std::chrono::nanoseconds(left).count() : 0;
  }
  encoder_->write(&start, sizeof start);
}

Ask::~Ask() { encoder_->clear(); }

std::byte* Ask::header() noexcept { return const_cast<std::byte*>(encoder_->bytes().data()); }

Ask& Ask::numbers(std::int64_t first, std::int64_t second) noexcept {
  std::memcpy(header() + offsetof(RequestHeader, first), &first, sizeof first);
  std::memcpy(header() + offsetof(RequestHeader, second), &second, sizeof second);
  return *this;
}

Ask::Writing::Writing(Ask& to)
    : ask(to),
      context{to.client_.get(), &to.objects_, nullptr, managers::context},
      start(to.encoder_->size()),
      carried(to.encoder_->carried().size()) {
  static_cast<void>(ask.encoder_->extend(sizeof(ValueHeader)));
  ask.objects_.clear();
  managers::context = &context;
}

Ask::Writing::~Writing() { managers::context = context.outer; }

void Ask::Writing::finish() {
  codec::Encoder& out = *ask.encoder_;
  const auto handles = out.carried().size() - carried;
  if (handles != 0 && !ask.client_->takes_handles()) {
    throw NotSendable(
        "a handle of this program's memory (a queue, a lock, a proxy of a local manager …) cannot go to a remote "
        "manager: use the manager's own objects");
  }
  const ValueHeader value{out.size() - start - sizeof(ValueHeader), static_cast<std::uint32_t>(ask.objects_.size()),
                          static_cast<std::uint32_t>(handles)};
  out.write(ask.objects_.data(), ask.objects_.size() * sizeof(std::uint64_t));
  for (std::size_t i = carried; i < out.carried().size(); ++i) {
    const std::uint64_t id = out.carried()[i].id();
    out.write(&id, sizeof id);
  }
  std::memcpy(ask.header() + start, &value, sizeof value);
  ++ask.values_;
  std::memcpy(ask.header() + offsetof(RequestHeader, values), &ask.values_, sizeof ask.values_);
}

Ask& Ask::text(std::string_view text) {
  return value_by([text](codec::Encoder& out) { out.write(text.data(), text.size()); });
}

Answer Ask::send() { return Answer(client_, encoder_->bytes(), encoder_->carried(), deadline_); }

void Ask::post() { client_->post(encoder_->bytes()); }

// --- Answer -----------------------------------------------------------------------------------------------------------

Answer::Answer(std::shared_ptr<Client> client, std::span<const std::byte> request,
               std::span<const memory::Ref> handles, Deadline deadline)
    : client_(std::move(client)) {
  client_->exchange(request, handles, deadline, *buffer_);
  if (buffer_->bytes.size() < sizeof(AnswerHeader)) codec::throw_truncated(sizeof(AnswerHeader), buffer_->bytes.size());
  const auto header = read_plain<AnswerHeader>(buffer_->bytes);
  at_ = sizeof header;
  values_ = header.values;
  number_ = header.number;
  timed_out_ = header.status == Status::timed_out;
  if (header.status == Status::done || timed_out_) return;
  if (header.values == 0) throw Error("the manager's server has no memory for an answer");
  ValueReader reader(buffer_->bytes.subspan(at_), header.values, ValueReader::in_answer);
  const ValueView what = reader.next();
  if (header.status == Status::thrown) {
    codec::Decoder in(what.bytes);
    std::rethrow_exception(pool::decode_exception(in));
  }
  throw_outcome(header.status, text_of(what));
}

Answer::~Answer() {
  constexpr std::size_t most_kept = std::size_t{1} << 20;
  buffer_->block = memory::Ref();
  buffer_->bytes = {};
  if (buffer_->own.capacity() > most_kept) buffer_->own = {};
}

Answer::Reading::Reading(Answer& answer)
    : may_name_handles(answer.client_->takes_handles()),
      context{answer.client_.get(), nullptr, &answer.buffer_->objects, managers::context} {
  ValueReader reader(answer.buffer_->bytes.subspan(answer.at_), static_cast<std::uint32_t>(answer.values_),
                     ValueReader::in_answer);
  const std::size_t before = reader.remaining();
  const ValueView value = reader.next();
  answer.at_ += before - reader.remaining();
  --answer.values_;
  bytes = value.bytes;
  answer.buffer_->objects.clear();
  for (std::size_t i = 0; i < value.object_count(ValueReader::in_answer); ++i) {
    const auto pair = value.objects.subspan(i * ValueReader::in_answer);
    answer.buffer_->objects.emplace_back(read_plain<std::uint64_t>(pair), read_plain<std::uint64_t>(pair.subspan(8)));
  }
  managers::context = &context;
}

Answer::Reading::~Reading() { managers::context = context.outer; }

Object Answer::next_object() {
  const Reading reading(*this);
  if (buffer_->objects.empty()) codec::throw_malformed("no object where there should be one");
  return client_->object(buffer_->objects.front().first, buffer_->objects.front().second);
}

std::uint64_t fingerprint(const std::type_info& type) noexcept { return channel::fingerprint(type.name()); }

}  // namespace multiprocessing::managers
