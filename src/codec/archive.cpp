// What of Encoder, Decoder, Writer and Reader is not worth inlining: beginning and end, growth, handles, shared objects,
// the cereal archives, errors.
#include "multiprocessing/detail/archive.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::codec {

Encoder::Encoder(Encoder&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)),
      carried_(std::move(other.carried_)),
      carried_at_(std::move(other.carried_at_)),
      descriptors_travel_(other.descriptors_travel_),
      descriptors_(std::move(other.descriptors_)),
      descriptors_at_(std::move(other.descriptors_at_)) {}

Encoder& Encoder::operator=(Encoder&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  carried_.swap(other.carried_);
  carried_at_.swap(other.carried_at_);
  std::swap(descriptors_travel_, other.descriptors_travel_);
  descriptors_.swap(other.descriptors_);
  descriptors_at_.swap(other.descriptors_at_);
  return *this;
}

Encoder::~Encoder() { std::free(data_); }

void Encoder::drop_carried() noexcept {
  while (!carried_at_.empty() && carried_at_.back() >= size_) {
    carried_at_.pop_back();
    carried_.pop_back();
  }
  while (!descriptors_at_.empty() && descriptors_at_.back() >= size_) {
    descriptors_at_.pop_back();
    descriptors_.pop_back();
  }
}

// Doubling keeps the cost of growth constant per byte; from 256 on, since most messages fit.
void Encoder::grow(std::size_t more) {
  if (more > static_cast<std::size_t>(-1) / 2 - size_) throw std::bad_alloc();
  const std::size_t capacity = std::max({capacity_ * 2, size_ + more, std::size_t{256}});
  void* const data = std::realloc(data_, capacity);
  if (data == nullptr) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(data);
  capacity_ = capacity;
}

void Encoder::carry(memory::Ref ref) {
  const std::uint64_t id = ref.id();
  const std::size_t at = size_;
  carried_at_.reserve(carried_at_.size() + 1);  // so that both vectors grow or none
  carried_.push_back(std::move(ref));
  carried_at_.push_back(at);
  try {
    write(&id, sizeof id);
  } catch (...) {
    carried_.pop_back();
    carried_at_.pop_back();
    throw;
  }
}

void Encoder::carry(detail::SharedFd descriptor) {
  if (!descriptors_travel_) {
    throw NotSendable(
        "a file descriptor or connection cannot go this way: descriptors travel through connections only "
        "(mp::Pipe), or by being inherited by a Process");
  }
  const auto place = static_cast<std::uint32_t>(descriptors_.size());
  const std::size_t at = size_;
  descriptors_at_.reserve(descriptors_at_.size() + 1);
  descriptors_.push_back(std::move(descriptor));
  descriptors_at_.push_back(at);
  try {
    write(&place, sizeof place);
  } catch (...) {
    descriptors_.pop_back();
    descriptors_at_.pop_back();
    throw;
  }
}

detail::SharedFd Decoder::adopt_descriptor() {
  std::uint32_t place = 0;
  read(&place, sizeof place);
  if (place >= descriptors_.size()) throw_malformed("a descriptor that did not come with it");
  return descriptors_[place];
}

memory::Ref Decoder::adopt() {
  if (!handles_) throw_malformed("a handle of this program's memory, from somewhere else");
  std::uint64_t id = 0;
  read(&id, sizeof id);
  return memory::Ref::adopt(id);
}

OutputArchive::OutputArchive(Writer& out) : Base(this), out_(out) {}
OutputArchive::~OutputArchive() = default;
void OutputArchive::carry(const memory::Ref& ref) { out_.carry(ref); }
void OutputArchive::carry(const detail::SharedFd& descriptor) { out_.carry(descriptor); }
void OutputArchive::defer(std::function<void()> put_later) { deferred_.push_back(std::move(put_later)); }
void OutputArchive::serializeDeferments() {
  for (std::size_t i = 0; i < deferred_.size(); ++i) deferred_[i]();  // which may defer more
}

InputArchive::InputArchive(Reader& in) : Base(this), in_(in) {}
InputArchive::~InputArchive() = default;
memory::Ref InputArchive::adopt() { return in_.adopt(); }
detail::SharedFd InputArchive::adopt_descriptor() { return in_.adopt_descriptor(); }
void InputArchive::defer(std::function<void()> get_later) { deferred_.push_back(std::move(get_later)); }
void InputArchive::serializeDeferments() {
  for (std::size_t i = 0; i < deferred_.size(); ++i) deferred_[i]();  // which may defer more
}

Writer::Writer(Encoder& out) noexcept : out_(out) {}
Writer::~Writer() = default;
OutputArchive& Writer::archive() {
  if (archive_ == nullptr) archive_ = std::make_unique<OutputArchive>(*this);
  return *archive_;
}
SharedWritten& Writer::shared() {
  if (shared_ == nullptr) shared_ = std::make_unique<SharedWritten>();
  return *shared_;
}

Reader::Reader(Decoder& in) noexcept : in_(in) {}
Reader::~Reader() = default;
InputArchive& Reader::archive() {
  if (archive_ == nullptr) archive_ = std::make_unique<InputArchive>(*this);
  return *archive_;
}
SharedRead& Reader::shared() {
  if (shared_ == nullptr) shared_ = std::make_unique<SharedRead>();
  return *shared_;
}

std::pair<std::uint32_t, bool> SharedWritten::number_of(std::shared_ptr<const void> object, std::type_index type) {
  const auto next = static_cast<std::uint32_t>(numbers_.size() + 1);
  const auto [entry, is_new] = numbers_.try_emplace({object.get(), type}, next);
  if (is_new) alive_.push_back(std::move(object));
  return {entry->second, is_new};
}

bool SharedRead::is_new(std::uint32_t number) const {
  if (number > objects_.size() + 1) throw_malformed("a shared object's number out of order");
  return number == objects_.size() + 1;
}

void SharedRead::add(std::shared_ptr<void> object, std::type_index type) {
  objects_.push_back({std::move(object), type});
}

std::size_t SharedRead::reserve() {
  objects_.push_back({nullptr, typeid(void)});
  return objects_.size() - 1;
}

void SharedRead::fill(std::size_t place, std::shared_ptr<void> object, std::type_index type) {
  objects_[place] = {std::move(object), type};
}

std::shared_ptr<void> SharedRead::find(std::uint32_t number, std::type_index type) const {
  const Object& found = objects_[number - 1];
  if (found.type != type) throw_malformed("a shared object of another type, or not complete yet");
  return found.object;
}

void throw_truncated(std::size_t wanted, std::size_t left) {
  throw Error("message truncated: " + std::to_string(wanted) + " bytes expected, " + std::to_string(left) + " left");
}

void Reader::throw_truncated_count(std::uint64_t count) const {
  throw Error("message truncated: " + std::to_string(count) + " elements announced, " + std::to_string(remaining()) +
              " bytes left");
}

void throw_malformed(const char* what) { throw Error(std::string("message malformed: ") + what); }

void throw_too_deep_to_write() {
  throw NotSendable("this value is nested more than " + std::to_string(kMaxDepth) +
                    " levels deep (containers and pointers inside one another); send it flat, in a std::vector");
}

void throw_too_many_weightless() {
  throw NotSendable("this value has more than " + std::to_string(kMaxWeightless) +
                    " elements that take no bytes in a message; send their number instead");
}

void throw_valueless_variant() { throw NotSendable("a std::variant that is valueless by exception cannot be sent"); }

void rethrow_as_not_sendable(const char* what) { throw NotSendable(what); }

}  // namespace multiprocessing::codec
