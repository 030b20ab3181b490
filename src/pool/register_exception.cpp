// Invariant: an entry, once listed, stays and does not change; the list grows at its head by one store.
#include "multiprocessing/register_exception.hpp"

namespace multiprocessing::pool {
namespace {

constinit std::atomic<const ExceptionType*> registered{nullptr};

template <class Matches>
const ExceptionType* find(Matches matches) noexcept {
  const ExceptionType* type = registered.load(std::memory_order_acquire);  // sync(exception-registered)
  while (type != nullptr && !matches(*type)) type = type->next;
  return type;
}

}  // namespace

void add_exception(ExceptionType& type) noexcept {
  if (type.listed.exchange(true)) return;
  type.next = registered.load(std::memory_order_relaxed);
  while (
      !registered.compare_exchange_weak(type.next, &type, std::memory_order_acq_rel)) {  // sync(exception-registered)
  }
}

const ExceptionType* registered_exception(const std::type_info& type) noexcept {
  return find([&type](const ExceptionType& each) { return each.type == type || each.nested_type() == type; });
}

const ExceptionType* registered_exception(std::string_view name) noexcept {
  return find([name](const ExceptionType& each) { return each.type.name() == name; });
}

}  // namespace multiprocessing::pool
