// Writer and Reader: one message on its way through archive_core.hpp's recursion, and the cereal archives
// that types with functions of their own are given.
//
// The recursion is ours from the first byte to the last.  Only where it meets a type with cereal's functions
// does an archive come into being (six hash tables: most messages have no use for it), and whatever such a
// function hands to the archive comes back into our recursion, so that bounds, depth and speed are the same
// everywhere.  What makes and ends archives stands in archive.cpp: here every program would compile it again.
#pragma once

#include <cereal/cereal.hpp>
#include <cereal/types/string.hpp>  // for save_minimal by way of a string
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <typeindex>
#include <utility>
#include <vector>

#include "multiprocessing/detail/archive_core.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

// The archives as a serialize function sees them: ar(a, b), ar & a, ar << a, cereal::make_nvp, base_class,
// defer … as with cereal's own, and carry()/adopt() for the handles and descriptors of this library.
class OutputArchive : public cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit OutputArchive(Writer& out);
  ~OutputArchive();

  template <class... T>
  OutputArchive& operator()(T&&... values) {
    (put(values), ...);
    return *this;
  }
  template <class T>
  OutputArchive& operator&(T&& value) {
    return (*this)(value);
  }
  template <class T>
  OutputArchive& operator<<(T&& value) {
    return (*this)(value);
  }

  void carry(const memory::Ref& ref);
  void carry(const detail::SharedFd& descriptor);
  void serializeDeferments();

 private:
  friend class Writer;
  using Base = cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision>;

  template <class T>
  void put(const T& value);
  template <class T>
  void put(const cereal::NameValuePair<T>& pair) {
    put(pair.value);
  }
  template <class T>
  void put(const cereal::SizeTag<T>& tag);
  template <class T>
  void put(const cereal::BinaryData<T>& data);
  template <class T>
  void put(const cereal::DeferredData<T>& later) {
    defer([this, later] { put(later.value); });
  }
  template <class T>
  void put(const cereal::base_class<T>& base) {
    put(*base.base_ptr);
  }
  template <class T>
  void put(const cereal::virtual_base_class<T>& base) {
    Base::operator()(base);
  }

  template <class T>
  void put_own(const T& value) {
    Base::operator()(value);
  }

  void defer(std::function<void()> put_later);

  Writer& out_;
  std::vector<std::function<void()>> deferred_;
};

class InputArchive : public cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit InputArchive(Reader& in);
  ~InputArchive();

  template <class... T>
  InputArchive& operator()(T&&... values) {
    (get(values), ...);
    return *this;
  }
  template <class T>
  InputArchive& operator&(T&& value) {
    return (*this)(value);
  }
  template <class T>
  InputArchive& operator>>(T&& value) {
    return (*this)(value);
  }

  [[nodiscard]] memory::Ref adopt();
  [[nodiscard]] detail::SharedFd adopt_descriptor();
  void serializeDeferments();

 private:
  friend class Reader;
  using Base = cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision>;

  template <class T>
  void get(T& value);
  template <class T>
  void get(cereal::NameValuePair<T>& pair) {
    get(pair.value);
  }
  template <class T>
  void get(cereal::SizeTag<T>& tag);
  template <class T>
  void get(cereal::BinaryData<T>& data);
  template <class T>
  void get(cereal::DeferredData<T>& later) {
    defer([this, later]() mutable { get(later.value); });
  }
  template <class T>
  void get(cereal::base_class<T>& base) {
    get(*base.base_ptr);
  }
  template <class T>
  void get(cereal::virtual_base_class<T>& base) {
    Base::operator()(base);
  }

  template <class T>
  void get_own(T& value) {
    Base::operator()(value);
  }

  void defer(std::function<void()> get_later);

  Reader& in_;
  std::vector<std::function<void()>> deferred_;
};

// What cereal itself hands to an archive on the way: values of save_minimal, versions.
template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const T& value) { archive(value); }
template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, T& value) { archive(value); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::BinaryData<T>& data) {
  archive(data);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::BinaryData<T>& data) {
  archive(data);
}
template <class T>
void CEREAL_SERIALIZE_FUNCTION_NAME(OutputArchive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}
template <class T>
void CEREAL_SERIALIZE_FUNCTION_NAME(InputArchive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}

}  // namespace multiprocessing::codec

CEREAL_REGISTER_ARCHIVE(multiprocessing::codec::OutputArchive)
CEREAL_REGISTER_ARCHIVE(multiprocessing::codec::InputArchive)
CEREAL_SETUP_ARCHIVE_TRAITS(multiprocessing::codec::InputArchive, multiprocessing::codec::OutputArchive)

namespace multiprocessing::codec {

template <class T>
struct HasOwnFunctions : std::bool_constant<cereal::traits::is_output_serializable<T, OutputArchive>::value &&
                                            cereal::traits::is_input_serializable<T, InputArchive>::value> {};

// Objects that several shared_ptrs of a message point to, numbered from 1 in the order they are met.
class SharedWritten {
 public:
  std::pair<std::uint32_t, bool> number_of(std::shared_ptr<const void> object, std::type_index type);

 private:
  std::map<std::pair<const void*, std::type_index>, std::uint32_t> numbers_;
  std::vector<std::shared_ptr<const void>> alive_;  // so that no address is used twice within a message
};

class SharedRead {
 public:
  // Throws Error for a number that is neither the next nor of an object already met.
  [[nodiscard]] bool is_new(std::uint32_t number) const;
  void add(std::shared_ptr<void> object, std::type_index type);
  // For an object that is made only after its members are read: until fill(), naming it is an error.
  std::size_t reserve();
  void fill(std::size_t place, std::shared_ptr<void> object, std::type_index type);
  // Throws Error where the object is of another type: bytes do not turn one type into another.
  [[nodiscard]] std::shared_ptr<void> find(std::uint32_t number, std::type_index type) const;

 private:
  struct Object {
    std::shared_ptr<void> object;
    std::type_index type;
  };
  std::vector<Object> objects_;
};

class Writer {
 public:
  explicit Writer(Encoder& out) noexcept;
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void raw(const void* data, std::size_t size) { out_.write(data, size); }
  [[nodiscard]] std::byte* room(std::size_t size) { return out_.extend(size); }
  void count(std::uint64_t count) { out_.write(&count, sizeof count); }
  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }
  void carry(const memory::Ref& ref) { out_.carry(ref); }
  void carry(const detail::SharedFd& descriptor) { out_.carry(descriptor); }

  // After an element that may have taken no bytes: `before` was the size then.
  void weigh(std::size_t before) {
    if (out_.size() == before && ++weightless_ > kMaxWeightless) throw_too_many_weightless();
  }
  SharedWritten& shared();
  template <class T>
  void own(const T& value);

 private:
  friend class Nested;
  OutputArchive& archive();

  Encoder& out_;
  unsigned depth_ = 0;
  std::size_t weightless_ = 0;
  std::unique_ptr<SharedWritten> shared_;
  std::unique_ptr<OutputArchive> archive_;
};

class Reader {
 public:
  explicit Reader(Decoder& in) noexcept;
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  const std::byte* raw(std::size_t size) { return in_.take(size).data(); }
  [[nodiscard]] std::size_t remaining() const noexcept { return in_.remaining(); }
  memory::Ref adopt() { return in_.adopt(); }
  detail::SharedFd adopt_descriptor() { return in_.adopt_descriptor(); }

  // The number of elements of type T that follow: never more than the bytes there could hold.
  template <class T>
  std::size_t count() {
    const auto count = read<std::uint64_t>(*this);
    constexpr std::size_t each = min_bytes<T>();
    if constexpr (each != 0) {
      if (count > remaining() / each) throw_truncated_count(count);
    } else {
      if (count > remaining() + (kMaxWeightless - weightless_)) throw_truncated_count(count);
    }
    return static_cast<std::size_t>(count);
  }
  void weigh(std::size_t before) {
    if (in_.remaining() == before && ++weightless_ > kMaxWeightless) throw_malformed("too many empty elements");
  }
  SharedRead& shared();
  template <class T>
  void own(T& value);

 private:
  friend class Nested;
  InputArchive& archive();
  [[noreturn]] void throw_truncated_count(std::uint64_t count) const;

  Decoder& in_;
  unsigned depth_ = 0;
  std::size_t weightless_ = 0;
  std::unique_ptr<SharedRead> shared_;
  std::unique_ptr<InputArchive> archive_;
};

// One level deeper while this object lives.
class Nested {
 public:
  explicit Nested(Writer& out) : depth_(out.depth_) {
    if (depth_ == kMaxDepth) throw_too_deep_to_write();
    ++depth_;
  }
  explicit Nested(Reader& in) : depth_(in.depth_) {
    if (depth_ == kMaxDepth) throw_malformed("nested too deep");
    ++depth_;
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() { --depth_; }

 private:
  unsigned& depth_;
};

template <class T>
void write(Writer& out, const T& value) {
  if constexpr (own<T>) {
    out.own(value);
  } else if constexpr (fixed_bytes<T>() != kVaries) {
    Packer packer(out.room(fixed_bytes<T>()));
    codec::write(packer, value);
  } else {
    write_parts(out, value);
  }
}

template <class T>
T read(Reader& in) {
  if constexpr (is_handle<T> && own<T>) {
    T value{Undecoded{}};
    in.own(value);
    return value;
  } else if constexpr (own<T>) {
    T value{};
    in.own(value);
    return value;
  } else if constexpr (fixed_bytes<T>() != kVaries) {
    Unpacker unpacker(in.raw(fixed_bytes<T>()));
    return read<T>(unpacker);
  } else {
    return read_parts<T>(in);
  }
}

template <class T>
void Writer::own(const T& value) {
  const Nested nested(*this);
  archive().put_own(value);
}

template <class T>
void Reader::own(T& value) {
  const Nested nested(*this);
  archive().get_own(value);
}

// One readable line for a type that cannot be sent; true for one that can.
template <class T>
consteval bool require_sendable() {
  constexpr Why reason = why<T>();
  static_assert(reason != Why::pointer,
                "this type cannot be sent to another process: it holds a raw pointer; send the data itself "
                "(std::string, std::vector, std::unique_ptr, ...)");
  static_assert(reason != Why::view,
                "this type cannot be sent to another process: it holds a view (std::string_view, std::span, "
                "std::initializer_list); send the data itself (std::string, std::vector, ...)");
  static_assert(reason != Why::reference,
                "this type cannot be sent to another process: it is or holds a reference; send the data itself");
  static_assert(reason != Why::base_class,
                "this type cannot be sent to another process: an aggregate with a base class needs a serialize member "
                "function (ar(cereal::base_class<Base>(this), member, ...))");
  static_assert(reason != Why::too_many_members,
                "this type cannot be sent to another process: an aggregate with more than 32 members needs a serialize "
                "member function");
  static_assert(reason != Why::uncountable_members,
                "this type cannot be sent to another process: it is or holds a reference; send the data "
                "itself, or give "
                "the type a serialize member function");
  static_assert(reason != Why::union_type,
                "this type cannot be sent to another process: it holds a union; use std::variant");
  static_assert(reason != Why::polymorphic_pointer,
                "this type cannot be sent to another process: a smart pointer to a class with virtual functions needs "
                "<cereal/types/polymorphic.hpp> and CEREAL_REGISTER_TYPE, or use std::variant");
  static_assert(reason != Why::not_constructible,
                "this type cannot be sent to another process: a type with a serialize function must be default "
                "constructible and movable, to be made where it arrives");
  static_assert(reason != Why::no_functions,
                "this type cannot be sent to another process: it, or something in it, is no plain aggregate and has no "
                "serialize member function (locks, threads, streams and std::function belong to one process)");
  return reason == Why::sendable;
}

// own<T>: functions for both directions.  What cereal wraps around pointers on their way has one.
template <class T>
void OutputArchive::put(const T& value) {
  if constexpr (own<T> || (std::is_class_v<T> && why<T>() != Why::sendable &&
                           cereal::traits::is_output_serializable<T, OutputArchive>::value)) {
    out_.own(value);
  } else if constexpr (require_sendable<T>()) {
    codec::write(out_, value);
  }
}
template <class T>
void OutputArchive::put(const cereal::SizeTag<T>& tag) {
  out_.count(static_cast<std::uint64_t>(tag.size));
}
template <class T>
void OutputArchive::put(const cereal::BinaryData<T>& data) {
  out_.raw(data.data, static_cast<std::size_t>(data.size));
}

template <class T>
void InputArchive::get(T& value) {
  if constexpr (own<T> || (std::is_class_v<T> && why<T>() != Why::sendable &&
                           cereal::traits::is_input_serializable<T, InputArchive>::value)) {
    in_.own(value);
  } else if constexpr (require_sendable<T>()) {
    read_into(in_, value);
  }
}
// The containers that have no Format resize() to this count: it is bounded by the bytes, at one byte an
// element.
template <class T>
void InputArchive::get(cereal::SizeTag<T>& tag) {
  tag.size = static_cast<std::remove_reference_t<T>>(in_.count<std::byte>());
}
template <class T>
void InputArchive::get(cereal::BinaryData<T>& data) {
  const auto size = static_cast<std::size_t>(data.size);
  const std::byte* const from = in_.raw(size);
  if (size != 0) std::memcpy(data.data, from, size);
}

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
