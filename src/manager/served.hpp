// How each kind of object is made.  The rest of it is in the kind's own .cpp.
#pragma once

#include <string>

#include "manager/server.hpp"

namespace multiprocessing::managers {

[[nodiscard]] ServedPtr make_queue(Call& call, ValueReader& in, bool joinable);
[[nodiscard]] ServedPtr make_dict(Call& call, ValueReader& in);
[[nodiscard]] ServedPtr make_namespace();
[[nodiscard]] ServedPtr make_list(Call& call, ValueReader& in);
[[nodiscard]] ServedPtr make_array(Call& call, ValueReader& in);
[[nodiscard]] ServedPtr make_value(Call& call, ValueReader& in);
[[nodiscard]] ServedPtr make_lock(bool recursive);
[[nodiscard]] ServedPtr make_semaphore(Call& call, ValueReader& in, bool bounded);
[[nodiscard]] ServedPtr make_condition(Call& call, ValueReader& in);
[[nodiscard]] ServedPtr make_event();
[[nodiscard]] ServedPtr make_barrier(Call& call, ValueReader& in);

[[noreturn]] void throw_unknown_operation();
[[nodiscard]] inline std::string text(const ValueView& view) {
  return {reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size()};
}
// What was encoded, without what it names.
[[nodiscard]] inline Value value_of(const codec::Encoder& out) {
  Value value;
  value.bytes.assign(reinterpret_cast<const char*>(out.bytes().data()), out.size());
  return value;
}
// A number that is the argument of a constructor.
[[nodiscard]] inline std::int64_t number(const ValueView& view) {
  codec::Decoder in(view.bytes);
  return codec::decode<std::int64_t>(in);
}

}  // namespace multiprocessing::managers
