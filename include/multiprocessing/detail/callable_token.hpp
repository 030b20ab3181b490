// Token: the address of a piece of code, in a form that another process of the program understands.
//
//   Token token = token_of(address_of_code);          // module (by build-id) and offset in it
//   const void* code = code_of(token);                // the same code, wherever that module lies here
//
// It holds across fork and across exec of the same program, position independent or not, in the program
// itself or in a shared library, because it names the exact build of the module.  Code made at run time (a
// JIT) has no token.
//
// Threads: safe from any.  Fork: no locks are held; a child of a threaded program may use both, at once, for
// every module that its parent had seen by then: call learn_modules() before a fork that must rely on it.
// Errors: NotSendable where there is no token for the code, or no code for the token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing::codec {

struct Token {
  // The module's build-id (up to 20 bytes, as the linker makes it; zero-padded), then its length.  A module
  // without one: a hash over its path and segments, and length 0.
  std::array<std::byte, 24> module;
  std::uint64_t offset;  // from the module's load address

  friend bool operator==(const Token&, const Token&) noexcept = default;
};
static_assert(std::is_trivially_copyable_v<Token> && sizeof(Token) == 32);

[[nodiscard]] Token token_of(const void* code);

// Throws NotSendable unless a loaded module has that id and the offset lies in code of its.
[[nodiscard]] const void* code_of(const Token& token);

// Brings the list of loaded modules up to date.  token_of and code_of do it when they miss one; it takes the
// dynamic loader's lock, which a child forked from a threaded program had better not need.
void learn_modules();

}  // namespace multiprocessing::codec

#pragma GCC visibility pop
