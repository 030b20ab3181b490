// The forkserver: the program as it is before main, with one thread, which copies itself on request.
//
//        start() ──request: slot, message, descriptors──► server        one per process that uses the method;
//     (the parent) ◄──────────── 0 or errno ───────────── (its child)   started by its first start(), by exec
//          │                                               ╎
//          └──── parent of ────► child ◄──── copied from ──┘            clone(CLONE_PARENT)
//
// The child's parent, for the kernel, is the process that has called start(): who waits for it, signals it, is told of its
// end and dies with it is as under fork, and none of it needs the server, dead or alive.
//
//  died …                                        what the others see
//  server, before the child is there             start() sees its end, and asks another one
//  server, after it, before or after its answer  start() finds the child's pid in its slot, where the kernel has written it
//  parent, before or after its request           the server sees its end, and ends; a child at its gate ends too
//  child, anywhere                               a dead child of its parent
//
// Steps: forkserver.begun, .asked; in the server member.newcomer_holds, member.newcomer_forked; then as in bootstrap.hpp.
//
// Threads: the parent's asks one at a time.  The server blocks all signals: Ctrl-C is for the program and its children.
#pragma once

#include <sys/types.h>

#include "memory/family.hpp"
#include "process/preparation.hpp"

namespace multiprocessing::process_ {

// --- in the parent
// Has the server of this process make the child; starts one where there is none.  Throws OsError, and Error when the
// program ends each time before it can serve.
[[nodiscard]] pid_t ask_forkserver(const Message& message, const memory::Newcomer& newcomer);
void end_forkserver() noexcept;  // at the end of this process

// --- in the server
[[noreturn]] void serve(int socket, pid_t parent);

}  // namespace multiprocessing::process_
