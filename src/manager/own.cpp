// Objects of own classes, and what names their code.
//
// The calls of one object run one after another, each in a thread that may take its time; while they do, the server goes
// on.  A client that dies does not stop a call that has begun.
#include "manager/own.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <utility>

#include "manager/client.hpp"
#include "manager/code.hpp"
#include "manager/served.hpp"
#include "multiprocessing/detail/manager_own.hpp"
#include "multiprocessing/detail/pool_core.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::managers {

// --- the names of code ------------------------------------------------------------------------------------------------

namespace {

#if defined(__aarch64__) || defined(__arm__)
bool is_virtual(const PointerToMember& method) { return (method.adjustment & 1) != 0; }
#else
bool is_virtual(const PointerToMember& method) { return (method.code & 1) != 0; }
#endif
constexpr std::uint64_t vtable_mark = std::uint64_t{1} << 63;

std::atomic<const Registered*> registered{nullptr};

}  // namespace

MethodName name_method(const void* method) {
  PointerToMember pointer{};
  std::memcpy(&pointer, method, sizeof pointer);
  MethodName name;
  name.adjustment = pointer.adjustment;
  if (is_virtual(pointer)) {
    name.vtable = vtable_mark | pointer.code;
  } else {
    name.code = codec::token_of(reinterpret_cast<const void*>(pointer.code));
  }
  return name;
}

void find_method(const MethodName& name, void* method) {
  PointerToMember pointer{};
  pointer.adjustment = name.adjustment;
  pointer.code = name.vtable != 0 ? name.vtable & ~vtable_mark : reinterpret_cast<std::uint64_t>(codec::code_of(name.code));
  std::memcpy(method, &pointer, sizeof pointer);
}

void add_registered(std::unique_ptr<Registered> entry) {
  if (const Registered* const known = find_registered(entry->name)) {
    if (*known->type == *entry->type && known->method == entry->method) return;
    throw std::invalid_argument("register: '" + entry->name + "' is the name of something else already");
  }
  Registered* const added = entry.release();
  added->next = registered.load(std::memory_order_relaxed);
  while (!registered.compare_exchange_weak(added->next, added, std::memory_order_release)) {
  }
}

const Registered* find_registered(std::string_view name) noexcept {
  const Registered* entry = registered.load(std::memory_order_acquire);
  while (entry != nullptr && entry->name != name) entry = entry->next;
  return entry;
}

const Registered* find_registered(const std::type_info& type, std::string_view method) noexcept {
  const Registered* entry = registered.load(std::memory_order_acquire);
  while (entry != nullptr && !(*entry->type == type && entry->method == method)) entry = entry->next;
  return entry;
}

void write_code(Ask& ask, const Object& object, const void* trampoline, const void* method,
                const std::type_info& type, std::size_t method_bytes) {
  if (object.client().takes_handles()) {
    ask.value(false);
    ask.value(codec::token_of(trampoline));
    ask.value(method != nullptr ? name_method(method) : MethodName());
    return;
  }
  const std::string_view bytes(static_cast<const char*>(method), method_bytes);
  const Registered* const known = find_registered(type, bytes);
  if (known == nullptr) {
    throw NotSendable("a remote manager is told what to call by its name: register " + pool::type_text(type.name()) +
                      " in both programs (mp::register_method, mp::register_class)");
  }
  ask.value(true);
  ask.value(known->name);
  ask.value(fingerprint(type));
}

Value encoded_exception(const std::exception_ptr& exception) {
  codec::Encoder out;
  try {
    std::rethrow_exception(exception);
  } catch (...) {
    pool::encode_current_exception(out);
  }
  return value_of(out);
}

void fail_thrown(Call& call) {
  const Value what = encoded_exception(std::current_exception());
  const std::lock_guard lock(call.server().gate);
  call.fail_with(what);
}

namespace {

template <class T>
T decoded(const ValueView& view) {
  codec::Decoder in(view.bytes);
  return codec::decode<T>(in);
}

}  // namespace

Code::Code(const Call& call, ValueReader& in) {
  const bool by_name = decoded<bool>(in.next());
  const ValueView first = in.next();
  const ValueView second = in.next();
  if (by_name) {
    const auto name = decoded<std::string>(first);
    named = find_registered(name);
    if (named == nullptr) throw Error("manager: nothing is registered as '" + name + "' where the manager runs");
    if (fingerprint(*named->type) != decoded<std::uint64_t>(second)) {
      throw TypeMismatch("manager: '" + name + "' has another signature where the manager runs");
    }
    if (!named->method.empty()) std::memcpy(&method, named->method.data(), sizeof method);
    return;
  }
  if (!call.is_of_family()) throw Error("manager: code is called by registered name from elsewhere");
  trampoline = codec::code_of(decoded<codec::Token>(first));
  const auto name = decoded<MethodName>(second);
  if (name.vtable != 0 || name.code != codec::Token{}) find_method(name, &method);
}

Caller Code::caller() const {
  if (named == nullptr) return reinterpret_cast<Caller>(const_cast<void*>(trampoline));
  if (named->caller == nullptr) throw TypeMismatch("manager: a class is registered by that name, and no method");
  return named->caller;
}

Maker Code::maker() const {
  if (named == nullptr) return reinterpret_cast<Maker>(const_cast<void*>(trampoline));
  if (named->maker == nullptr) throw TypeMismatch("manager: a method is registered by that name, and no class");
  return named->maker;
}

// --- the server's side ------------------------------------------------------------------------------------------------

namespace {

class ServedOwn final : public Served {
 public:
  explicit ServedOwn(Made object) : object_(std::move(object)) {}
  // Its destructor is the program's: not under the gate.
  ~ServedOwn() override {
    if (workers_ == nullptr) return;
    try {
      workers_->run([object = std::move(object_.object)]() mutable { object.reset(); });
    } catch (const std::exception&) {  // no thread can be had: here, then
    }
  }
  void destroy_by(Workers& workers) noexcept { workers_ = &workers; }

  void handle(Call& call, ValueReader& /*in*/) override {
    if (call.op() != Op::call) throw_unknown_operation();
    calls_.push_back(call.shared_from_this());
    if (!running_) run_next(call.server());
  }

 private:
  // Gate held.
  void run_next(Server& server) {
    while (!calls_.empty() && !calls_.front()->is_open()) calls_.pop_front();
    running_ = !calls_.empty();
    if (!running_) return;
    server.run_soon([self = std::static_pointer_cast<ServedOwn>(shared_from_this()),
                     call = std::move(calls_.front())] { self->run(*call); },
                    takes_long_);
    calls_.pop_front();
  }

  void run(Call& call) {
    Server& server = call.server();
    const auto begin = std::chrono::steady_clock::now();
    try {
      ValueReader in = call.values();
      const Code code(call, in);
      const ValueView arguments = in.next();
      codec::Encoder result;
      WithinServer within(server, &arguments);
      codec::Decoder given(arguments.bytes);
      if (!call.is_of_family()) given.forbid_handles();
      const Caller caller = code.caller();
      caller(target(code), &code.method, given, result);
      const std::lock_guard lock(server.gate);
      call.done(0, within.value(result));
    } catch (...) {
      fail_thrown(call);
    }
    const std::lock_guard lock(server.gate);
    takes_long_ = std::chrono::steady_clock::now() - begin > long_time;
    run_next(server);
  }

  // The family's callers know what it is; from elsewhere any method may be named for any object.
  [[nodiscard]] void* target(const Code& code) const {
    if (code.named == nullptr) return object_.object.get();
    void* const target = code.named->target(object_);
    if (target == nullptr) throw TypeMismatch("manager: '" + code.named->name + "' is a method of another class");
    return target;
  }

  static constexpr std::chrono::microseconds long_time{200};
  Made object_;
  Workers* workers_ = nullptr;
  std::deque<std::shared_ptr<Call>> calls_;
  bool running_ = false;
  bool takes_long_ = false;  // its last call did
};

void make_by_thread(Call& call) {
  Server& server = call.server();
  try {
    ValueReader in = call.values();
    in.next();  // its name
    const Code code(call, in);
    const ValueView arguments = in.next();
    Made object;
    {
      const WithinServer within(server, &arguments);
      codec::Decoder given(arguments.bytes);
      if (!call.is_of_family()) given.forbid_handles();
      object = code.maker()(given);
    }
    const auto served = std::make_shared<ServedOwn>(std::move(object));
    served->destroy_by(server.workers);
    const std::lock_guard lock(server.gate);
    server.finish_make(call, served);
  } catch (...) {
    fail_thrown(call);
  }
}

}  // namespace

ServedPtr make_own(Call& call, ValueReader& /*in*/) {
  call.server().workers.run([shared = call.shared_from_this()] { make_by_thread(*shared); });
  return nullptr;
}

ServedPtr serve_object(Made object) { return std::make_shared<ServedOwn>(std::move(object)); }

// --- WithinServer -----------------------------------------------------------------------------------------------------

WithinServer::WithinServer(Server& server, const ValueView* arriving)
    : server_(server), client_(server.client_if_any()), context_{client_.get(), &going_, &arriving_, nullptr} {
  if (arriving != nullptr) {
    const std::lock_guard lock(server.gate);
    for (std::size_t i = 0; i < arriving->object_count(ValueReader::in_request); ++i) {
      const auto id = read_plain<std::uint64_t>(arriving->objects.subspan(i * ValueReader::in_request));
      const ServedPtr object = server.find(id);
      if (object != nullptr && object->companion) arriving_.emplace_back(id, object->companion.id());
    }
  }
  if (client_ != nullptr) context_.outer = exchange_context(&context_);
}

WithinServer::~WithinServer() {
  if (client_ != nullptr) exchange_context(context_.outer);
}

Value WithinServer::value(const codec::Encoder& out) {
  Value value = value_of(out);
  value.holds = out.carried();
  for (const std::uint64_t id : going_) {
    if (ServedPtr object = server_.find(id)) value.objects.push_back(std::move(object));
  }
  return value;
}

}  // namespace multiprocessing::managers
