// What a manager's server may answer, as its clients read it.
//
// input = proxy u8, bytes of an answer.
#include <functional>
#include <memory>
#include <stdexcept>

#include "fuzz/fuzz.hpp"
#include "manager/client.hpp"
#include "multiprocessing/manager.hpp"
#include "multiprocessing/queue.hpp"

namespace {

using namespace multiprocessing;
using namespace multiprocessing::managers;
using fuzz::Bytes;

// A server that answers everything with the same.
class Parrot final : public Client {
 public:
  explicit Parrot(std::span<const std::byte> answer) : answer_(answer) { manager_ = "sixteen bytes..."; }
  void exchange(std::span<const std::byte>, std::span<const memory::Ref>, Deadline, AnswerBuffer& into) override {
    if (++times_ > 3) throw ManagerDied("enough");
    into.own.assign(answer_.begin(), answer_.end());
    into.bytes = into.own;
  }
  void post(std::span<const std::byte>) noexcept override {}
  Object::Parts depart(const Object& object, const memory::Ref&, const std::shared_ptr<Held>&) override {
    Object::Parts parts;
    parts.id = object.id();
    return parts;
  }
  Object object(std::uint64_t id, std::uint64_t) override { return {shared_from_this(), id, {}, nullptr}; }
  [[nodiscard]] bool takes_handles() const noexcept override { return false; }
  [[nodiscard]] std::string address() const override { return ""; }

 private:
  const std::span<const std::byte> answer_;
  int times_ = 0;
};

class Everything : public Factory {
 public:
  explicit Everything(const Object& manager) : Factory(manager) {}
};

struct Job {
  int id = 0;
  std::string name;
  std::vector<std::string> words;
};

using Use = void (*)(const Object&);
constexpr Use uses[] = {
    [](const Object& object) { static_cast<void>(QueueProxy<std::string>(object).get()); },
    [](const Object& object) { static_cast<void>(QueueProxy<Job>(object).try_get()); },
    [](const Object& object) { static_cast<void>(QueueProxy<ListProxy<int>>(object).get().size()); },
    [](const Object& object) { static_cast<void>(QueueProxy<Queue<int>>(object).get()); },
    [](const Object& object) { static_cast<void>(DictProxy<std::string, Job>(object).copy()); },
    [](const Object& object) { static_cast<void>(DictProxy<int, std::vector<int>>(object).pop(1)); },
    [](const Object& object) {
      static_cast<void>(DictProxy<int, std::string>(object).update(1, [](std::string& text) { text += "x"; }));
    },
    [](const Object& object) { static_cast<void>(ListProxy<std::string>(object).copy()); },
    [](const Object& object) { static_cast<void>(ListProxy<DictProxy<int, int>>(object).at(0).size()); },
    [](const Object& object) { static_cast<void>(NamespaceProxy(object).names()); },
    [](const Object& object) { static_cast<void>(NamespaceProxy(object).get<std::vector<double>>("x")); },
    [](const Object& object) { static_cast<void>(ValueProxy<std::string>(object).get()); },
    [](const Object& object) { static_cast<void>(LockProxy(object).acquire()); },
    [](const Object& object) { static_cast<void>(ConditionProxy(object).wait()); },
    [](const Object& object) { static_cast<void>(BarrierProxy(object).wait()); },
    [](const Object& object) { static_cast<void>(ResultProxy<std::string>(object).get()); },
    [](const Object& object) { static_cast<void>(Everything(object).queue<int>("name").get()); },
    [](const Object& object) { static_cast<void>(Everything(object).find<Job>("name")); },
};

Bytes answer(std::uint8_t use, Status status, std::initializer_list<Bytes> values, std::uint32_t objects = 0) {
  Bytes bytes{static_cast<std::byte>(use)};
  const AnswerHeader header{1, status, static_cast<std::uint32_t>(values.size()), 0, 0};
  fuzz::append(bytes, std::as_bytes(std::span(&header, 1)));
  for (const Bytes& value : values) {
    const ValueHeader start{value.size(), objects, 0};
    fuzz::append(bytes, std::as_bytes(std::span(&start, 1)));
    fuzz::append(bytes, value);
    for (std::uint32_t i = 0; i < objects; ++i) fuzz::append(bytes, Bytes(ValueReader::in_answer, std::byte{5}));
  }
  return bytes;
}
template <class T>
Bytes encoded(const T& value) {
  codec::Encoder out;
  codec::encode(out, value);
  return {out.bytes().begin(), out.bytes().end()};
}

}  // namespace

FUZZ_TARGET(bytes) {
  Input input(bytes);
  const std::size_t use = input.byte() % std::size(uses);
  const auto parrot = std::make_shared<Parrot>(input.rest());
  try {
    uses[use](Object(parrot, 1, {}, nullptr));
  } catch (const std::exception&) {  // whatever the answer says was thrown
  }
}

FUZZ_SEEDS() {
  Seeds all;
  const Bytes job = encoded(Job{1, "job", {"a", "b"}});
  for (std::uint8_t use = 0; use < std::size(uses); ++use) {
    for (std::uint32_t status = 0; status <= 12; ++status) {
      all.push_back(answer(use, static_cast<Status>(status), {encoded(std::string("text"))}));
    }
    all.push_back(answer(use, Status::done, {encoded(1), job}));
    all.push_back(answer(use, Status::done, {encoded(std::string("key")), job, encoded(std::string("b")), job}));
    all.push_back(answer(use, Status::done, {Bytes{}}, 1));
    all.push_back(answer(use, Status::done, {Bytes(9)}, 1));
    all.push_back(answer(use, Status::done, {}));
  }
  return all;
}
