// Invariants
//   libbacktrace reads the modules that are loaded when a state is first used, and never lets go of a state.  So there
//   is one state for what was loaded at the first question, a new one only when a module is asked for that has come
//   since, and one for each file that only a worker has loaded.  Their list grows at its head, by one store: nothing to
//   lock, and nothing for a fork to leave half done.
//   A module is what its build-id says it is, wherever it lies and whatever is in its file by now.
#include "crash/line_table.hpp"

#if __has_include(<backtrace.h>) && MULTIPROCESSING_HAVE_BACKTRACE

#include <backtrace.h>
#include <link.h>

#include <atomic>
#include <cstring>
#include <memory>

#include "crash/elf_file.hpp"
#include "crash/modules.hpp"

namespace multiprocessing::crash {
namespace {

struct Loaded {
  Module module;
  std::uint64_t base;
};

struct State {
  backtrace_state* state = nullptr;
  std::string file;             // "": the modules loaded when it was made
  std::vector<Loaded> modules;  // of these
  const State* next = nullptr;
};
constinit std::atomic<const State*> states{nullptr};
constexpr int most_states = 32;  // each some MiB, for ever: who loads more libraries gets names without lines

int add_loaded(dl_phdr_info* info, std::size_t /*size*/, void* data) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    LoadedModule found;
    if (!find_module(info->dlpi_addr + segment.p_vaddr, found)) return 0;
    try {
      const std::string id(reinterpret_cast<const char*>(found.id), found.id_bytes);
      static_cast<std::vector<Loaded>*>(data)->push_back({{found.path, id}, found.base});
    } catch (const std::bad_alloc&) {
      return 1;  // no exception may pass through the loader's frames
    }
    return 0;
  }
  return 0;
}

std::vector<Loaded> loaded_now() {
  std::vector<Loaded> all;
  dl_iterate_phdr(add_loaded, &all);
  return all;
}

bool is_same(const Module& a, const Module& b) {
  return a.build_id.empty() && b.build_id.empty() ? a.path == b.path : a.build_id == b.build_id;
}

const Loaded* find(const std::vector<Loaded>& modules, const Module& module) {
  for (const Loaded& each : modules) {
    if (is_same(each.module, module)) return &each;
  }
  return nullptr;
}

void ignore_error(void* /*data*/, const char* /*message*/, int /*error*/) {}

const State* add_state(std::unique_ptr<State> fresh) {
  int count = 0;
  for (const State* each = states.load(std::memory_order_acquire); each != nullptr; each = each->next) ++count;
  if (count >= most_states) return nullptr;
  const char* const file = fresh->file.empty() ? nullptr : fresh->file.c_str();
  fresh->state = backtrace_create_state(file, 1, ignore_error, nullptr);
  if (fresh->state == nullptr) return nullptr;
  fresh->next = states.load(std::memory_order_acquire);
  while (!states.compare_exchange_weak(fresh->next, fresh.get(), std::memory_order_acq_rel)) {
  }
  return fresh.release();
}

// libbacktrace takes the file it is given for that of the program: what lies in it, it expects beside the program.
std::uint64_t base_of_program() {
  std::uint64_t base = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = info->dlpi_addr;
        return 1;
      },
      &base);
  return base;
}

struct Place {
  backtrace_state* state = nullptr;
  std::uint64_t address = 0;
};

Place place_of(const Module& module, std::uint64_t offset) {
  for (const State* each = states.load(std::memory_order_acquire); each != nullptr; each = each->next) {
    if (const Loaded* found = find(each->modules, module)) return {each->state, found->base + offset};
  }
  auto fresh = std::make_unique<State>();
  fresh->modules = loaded_now();
  if (const Loaded* found = find(fresh->modules, module)) {
    const std::uint64_t address = found->base + offset;
    const State* const state = add_state(std::move(fresh));
    return state != nullptr ? Place{state->state, address} : Place{};
  }
  if (module.path.empty() || module.build_id.empty() || ElfFile(module.path).build_id() != module.build_id) return {};
  fresh->file = module.path;
  fresh->modules = {{module, base_of_program()}};
  const State* const state = add_state(std::move(fresh));
  return state != nullptr ? Place{state->state, state->modules[0].base + offset} : Place{};
}

}  // namespace

std::vector<Line> lines_at(const Module& module, std::uint64_t offset) {
  std::vector<Line> lines;
  const Place place = place_of(module, offset);
  if (place.state == nullptr) return lines;
  const auto add = [](void* data, std::uintptr_t /*pc*/, const char* file, int line, const char* function) {
    if (file == nullptr && function == nullptr) return 0;
    try {
      static_cast<std::vector<Line>*>(data)->push_back(
          {function != nullptr ? function : "", file != nullptr ? file : "", line});
    } catch (const std::bad_alloc&) {
      return 1;
    }
    return 0;
  };
  backtrace_pcinfo(place.state, place.address, add, ignore_error, &lines);
  return lines;
}

}  // namespace multiprocessing::crash

#else

namespace multiprocessing::crash {

std::vector<Line> lines_at(const Module& /*module*/, std::uint64_t /*offset*/) { return {}; }

}  // namespace multiprocessing::crash

#endif
