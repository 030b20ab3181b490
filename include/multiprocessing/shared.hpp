// Shared<T>: a constant that many tasks take as an argument.  It is encoded once, into memory that all processes of the
// family see, and decoded once in each process that gets it; with a task there travels no more than its name.
//
//   auto model = mp::shared(load_model(path));              // mp::Shared<Model>
//   pool.apply_async(score, model, 3);                      // double score(const Model& model, int x)
//   struct Score { mp::Shared<Model> model; double operator()(int x) const { return model->score(x); } };
//   pool.map(Score{model}, numbers);
//
// A function takes it as Shared<T>, as const T& or as T.  Changes are not seen by others: it is a constant.
// Large arrays of numbers that should not be copied even once belong into an mp::Array (sharedctypes.hpp).
//
// Threads: each thread decodes a copy of its own.  Fork: a child shares what its parent had decoded, by copy on write.
// Ownership: a cheap handle.  The encoded value lives as long as a process has a handle of it, or a message names one; a
// thread that has decoded some keeps the last eight, so that the next task finds them.
// Errors: what T's serializer throws; NotSendable where T holds handles of this library (send those by themselves);
// OsError when there is no memory.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/archive.hpp"
#include "multiprocessing/detail/callable.hpp"
#include "multiprocessing/detail/constant.hpp"
#include "multiprocessing/detail/undecoded.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

template <class T>
class Shared {
  static_assert(std::is_same_v<T, std::decay_t<T>>, "mp::Shared holds a value");

 public:
  using value_type = T;

  explicit Shared(T value) : block_(nullptr), value_(std::make_shared<const T>(std::move(value))) {
    codec::Encoder out;
    codec::encode(out, *value_);
    block_ = codec::make_constant(out);
  }

  [[nodiscard]] const T& get() const noexcept { return *value_; }
  const T& operator*() const noexcept { return *value_; }
  const T* operator->() const noexcept { return value_.get(); }
  operator const T&() const noexcept { return *value_; }  // NOLINT: so that a function of const T& takes it

  // Travelling inside messages (serialize.hpp).
  explicit Shared(codec::Undecoded) noexcept : block_(nullptr) {}
  template <class Archive>
  void save(Archive& archive) const {
    archive.carry(block_.ref);
    archive(block_.size);
  }
  template <class Archive>
  void load(Archive& archive) {
    block_.ref = archive.adopt();
    archive(block_.size);
    value_ = std::static_pointer_cast<const T>(codec::constant(block_, typeid(T), [](codec::Decoder& in) {
      return std::static_pointer_cast<const void>(std::make_shared<const T>(codec::decode<T>(in)));
    }));
  }

 private:
  codec::Constant block_;
  std::shared_ptr<const T> value_;
};

template <class T>
[[nodiscard]] Shared<std::decay_t<T>> shared(T&& value) {
  return Shared<std::decay_t<T>>(std::forward<T>(value));
}

namespace codec {
template <class T>
inline constexpr bool travels_as_itself<Shared<T>> = true;
}  // namespace codec

}  // namespace multiprocessing

#pragma GCC visibility pop
