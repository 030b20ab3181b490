// The unwinder goes over the stack twice: first it only searches for a handler, and all frames are still there; then
// it unwinds.  In both it asks the personality routine of each frame.  So a frame with a routine of ours that looks
// around during the search, and never handles anything, sees the stack of every exception that leaves it, at no cost
// while nothing is thrown and without a symbol of the program's being replaced.  The compiler has no way to say which
// personality a function has: hence the assembler.
#include "crash/traced_call.hpp"

#include <unwind.h>

#include <cstddef>

#include "crash/modules.hpp"

namespace multiprocessing::crash {
namespace {

struct Thrown {
  std::uint32_t count;
  std::uint64_t address[most_frames];
};
constinit thread_local Thrown thrown{};

_Unwind_Reason_Code note(_Unwind_Context* context, void* /*unused*/) {
  int exact = 0;
  const std::uint64_t address = _Unwind_GetIPInfo(context, &exact);
  if (address == 0 || thrown.count == most_frames || is_traced_call(address)) return _URC_END_OF_STACK;
  thrown.address[thrown.count++] = address - (exact == 0);
  return _URC_NO_REASON;
}

}  // namespace

extern "C" [[gnu::visibility("hidden")]] _Unwind_Reason_Code multiprocessing_traced_personality(
    int /*version*/, _Unwind_Action actions, _Unwind_Exception_Class /*class*/, _Unwind_Exception* /*exception*/,
    _Unwind_Context* /*context*/) {
  if ((actions & _UA_SEARCH_PHASE) != 0) {
    thrown.count = 0;
    _Unwind_Backtrace(note, nullptr);
  }
  return _URC_CONTINUE_UNWIND;
}

#if defined(__x86_64__)
#define MULTIPROCESSING_TRACED 1
asm(R"(
        .text
        .globl  multiprocessing_traced_call
        .type   multiprocessing_traced_call, @function
        .p2align 4
multiprocessing_traced_call:
        .cfi_startproc
        .cfi_personality 0x1b, multiprocessing_traced_personality
        endbr64
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq    %rdi, %rax
        movq    %rsi, %rdi
        call    *%rax
        .globl  multiprocessing_traced_return
        .hidden multiprocessing_traced_return
multiprocessing_traced_return:
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   multiprocessing_traced_call, . - multiprocessing_traced_call
)");
#elif defined(__aarch64__)
#define MULTIPROCESSING_TRACED 1
asm(R"(
        .text
        .globl  multiprocessing_traced_call
        .type   multiprocessing_traced_call, %function
        .p2align 4
multiprocessing_traced_call:
        .cfi_startproc
        .cfi_personality 0x1b, multiprocessing_traced_personality
        stp     x29, x30, [sp, -16]!
        .cfi_def_cfa_offset 16
        .cfi_offset 29, -16
        .cfi_offset 30, -8
        mov     x29, sp
        mov     x2, x0
        mov     x0, x1
        blr     x2
        .globl  multiprocessing_traced_return
        .hidden multiprocessing_traced_return
multiprocessing_traced_return:
        ldp     x29, x30, [sp], 16
        .cfi_restore 30
        .cfi_restore 29
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   multiprocessing_traced_call, . - multiprocessing_traced_call
)");
#else  // exceptions have no stack
#define MULTIPROCESSING_TRACED 0
extern "C" void multiprocessing_traced_call(void (*function)(void*), void* argument) { function(argument); }
#endif

extern "C" const char multiprocessing_traced_return[];

bool is_traced_call(std::uint64_t address) noexcept {
#if MULTIPROCESSING_TRACED
  return address == reinterpret_cast<std::uint64_t>(multiprocessing_traced_return);
#else
  static_cast<void>(address);
  return false;
#endif
}

Trace take_thrown() {
  Trace trace = trace_of(thrown.address, thrown.count);
  thrown.count = 0;
  return trace;
}

}  // namespace multiprocessing::crash
