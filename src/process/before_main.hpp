// How a program that was executed as a process of this library begins.
//
// Who starts whom, and what runs where:
//
//   fork         parent ──fork──► child: enter_child, target
//   spawn        parent ──exec──► the program's loader, [1], static initialisers, [2], target.  Not main
//   forkserver   parent ──exec──► server: loader, [1], static initialisers, [2], serves requests (forkserver.hpp)
//
//   [1]  join_at_start(): the first of our code to run.  The program's memory becomes that of the family, so that whatever a
//        static initialiser makes is of the family too; and it waits until its parent has its pidfd.
//   [2]  in place of the last of the program's static initialisers, which it calls first.  The list of initialisers is
//        ours to change: in this program only, after [1] has found that it is one of ours.
//
//  died …                                    what the others see
//  parent, before the process is there       nothing has happened; the packet goes with its socket
//  parent, before the gate opens             the child finds another parent, and ends before any static initialiser
//  parent, after it                          a started child whose parent died: a daemon ends, another runs to its end
//  child, anywhere                           as any child: pidfd readable, exit code; its slot was its parent's to reap
//
// Steps: process.start.sent, process.child.joined; then as in bootstrap.hpp.
//
// An uncaught error in [1] or in a static initialiser is an exit code of the child, which start() has not waited for.
#pragma once

namespace multiprocessing::process_ {

// This program was executed as one of ours and has not got to [2] yet: no process can be started.
[[nodiscard]] bool is_before_main() noexcept;

}  // namespace multiprocessing::process_
