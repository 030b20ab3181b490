#include "process/before_main.hpp"

#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <span>
#include <utility>

#include "memory/family.hpp"
#include "multiprocessing/start_method.hpp"
#include "os/faults.hpp"
#include "os/os.hpp"
#include "process/bootstrap.hpp"
#include "process/forkserver.hpp"
#include "process/preparation.hpp"
#include "process/program.hpp"
#include "process/watch_parent.hpp"

extern "C" {
// The linker's names for the list of initialisers, in a program that our code is linked into.
using Initialiser = void (*)(int, char**, char**);
extern Initialiser __init_array_start[] __attribute__((weak, visibility("hidden")));
extern Initialiser __init_array_end[] __attribute__((weak, visibility("hidden")));
}

namespace multiprocessing::process_ {
namespace {

struct Pending {
  Received start;
  Preparation preparation;
};

constinit std::atomic<Pending*> pending{nullptr};
constinit Initialiser last_initialiser = nullptr;

[[noreturn]] void begin() {
  Pending& what = *pending.exchange(nullptr);
  if (what.start.role == Role::forkserver) serve(os::inherited_descriptor, what.start.parent);
  settle_child();
  run_received(std::move(what.start), what.preparation);
}

// --- the program's list of initialisers ----------------------------------------------------------------------------

struct Program {
  std::span<Initialiser> initialisers;
  std::uintptr_t read_only = 0;  // after relocation
  std::uintptr_t read_only_end = 0;
};

int look_at_program(dl_phdr_info* module, std::size_t /*size*/, void* argument) {
  auto& program = *static_cast<Program*>(argument);
  std::uintptr_t at = 0;
  std::size_t bytes = 0;
  for (int i = 0; i < module->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = module->dlpi_phdr[i];
    const std::uintptr_t begin = module->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_GNU_RELRO) {
      program.read_only = begin;
      program.read_only_end = begin + segment.p_memsz;
    }
    if (segment.p_type != PT_DYNAMIC) continue;
    for (const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(begin); entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_INIT_ARRAY) at = module->dlpi_addr + entry->d_un.d_ptr;
      if (entry->d_tag == DT_INIT_ARRAYSZ) bytes = entry->d_un.d_val;
    }
  }
  program.initialisers = {reinterpret_cast<Initialiser*>(at), bytes / sizeof(Initialiser)};
  return 1;  // the first is the program itself
}

Program look_at_program() {
  Program program;
  ::dl_iterate_phdr(look_at_program, &program);
  // A static program that is not position independent has no dynamic section.
  if (program.initialisers.empty() && __init_array_start != nullptr) {
    program.initialisers = {__init_array_start, __init_array_end};
  }
  return program;
}

void run_last_initialiser(int argc, char** argv, char** environment) {
  if (last_initialiser != nullptr) last_initialiser(argc, argv, environment);
  begin();
}

void join_at_start(int argc, char** argv, char** environment);

// [2].  Where it cannot be, init() is.
void take_over_after_last_initialiser() noexcept {
  const Program program = look_at_program();
  if (program.initialisers.empty()) return;
  Initialiser& last = program.initialisers.back();
  if (last == &join_at_start) begin();  // nothing comes after this
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<std::uintptr_t>(&last);
  auto* const first_page = reinterpret_cast<void*>(at & ~(page - 1));
  if (::mprotect(first_page, page, PROT_READ | PROT_WRITE) != 0) return;
  last_initialiser = std::exchange(last, &run_last_initialiser);
  if (program.read_only <= at && at < program.read_only_end) ::mprotect(first_page, page, PROT_READ);
}

// --- [1] -----------------------------------------------------------------------------------------------------------

// The variables of the environment as they were where start() was called.
void restore_environment(const char* start) {
  const char* const before = std::strchr(start, ',');
  if (before != nullptr && before[1] != '\0') {
    ::setenv("LD_PRELOAD", before + 1, 1);
  } else if (before != nullptr) {
    ::unsetenv("LD_PRELOAD");
  }
  ::unsetenv(start_variable);
}

void join(int socket) {
  auto start = Received::from(socket);
  if (!start || !start->memory) return;  // not from us
  memory::join_family(std::move(start->memory), start->newcomer);
  MULTIPROCESSING_STEP("process.child.joined");
  memory::enter_family(start->newcomer, start->parent);
  Preparation preparation = start->open();
  ChildPlan plan(preparation, start->by_main_thread);
  const bool is_server = start->role == Role::forkserver;
  if (!is_server) ::close(socket);
  if (is_server && start->by_main_thread) os::set_parent_death_signal(SIGKILL);
  if (!is_server && preparation.daemon) die_with_parent(start->parent, start->by_main_thread);
  plan.identity->pid = ::getpid();
  set_identity(std::move(plan.identity));
  inherit_settings(preparation);
  pending.store(new Pending{std::move(*start), std::move(preparation)});
  take_over_after_last_initialiser();
}

// As early as our code can run: before the program's own initialisers, which have the default priority or a later one.
// (101 is for the testing build, which arms its steps.)
__attribute__((constructor(102), used)) void join_at_start(int argc, char** argv, char** /*environment*/) {
  set_program_arguments(argc, argv);
  const char* const start = ::getenv(start_variable);
  if (start == nullptr) return;
  const int socket = std::atoi(start);
  restore_environment(start);
  try {
    join(socket);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "multiprocessing: process %d cannot start: %s\n", static_cast<int>(::getpid()), error.what());
    std::fflush(stderr);
    ::_exit(1);
  }
}

}  // namespace

bool is_before_main() noexcept { return pending.load() != nullptr; }

}  // namespace multiprocessing::process_

namespace multiprocessing {

void init(int argc, char** argv) {
  process_::set_program_arguments(argc, argv);
  if (process_::is_before_main()) process_::begin();
}

}  // namespace multiprocessing
