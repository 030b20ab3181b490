// What a call names of code, as the server finds it: by token within its family, by registered name from elsewhere.
#pragma once

#include <cstdint>
#include <exception>

#include "manager/server.hpp"
#include "multiprocessing/detail/manager_own.hpp"

namespace multiprocessing::managers {

// As the C++ ABI for x86-64 has them: an address, or 1 + the offset in the table of virtual functions.  On ARM the mark is
// in the adjustment.
struct PointerToMember {
  std::uint64_t code;
  std::int64_t adjustment;
};

// What write_code() has written.  Throws for what is not there, or is not what the caller takes it for.
struct Code {
  Code(const Call& call, ValueReader& in);
  [[nodiscard]] Caller caller() const;  // throw where it is not one
  [[nodiscard]] Maker maker() const;
  const Registered* named = nullptr;  // or
  const void* trampoline = nullptr;
  PointerToMember method{};
};

[[nodiscard]] Value encoded_exception(const std::exception_ptr& exception);
// From within a handler: the call fails with the exception.  The gate is not held.
void fail_thrown(Call& call);

}  // namespace multiprocessing::managers
