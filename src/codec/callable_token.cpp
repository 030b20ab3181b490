// Invariants
//   The list of modules is immutable once published; a newer one replaces it by one store.  So there is
//   nothing to lock here, and nothing that a fork could leave half done in the child.
//   An entry is believed only after a look at the memory it speaks of: a module may have been unloaded since
//   and another be mapped in its place.
#include "multiprocessing/detail/callable_token.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::codec {
namespace {

using ModuleId = std::array<std::byte, 24>;
constexpr std::size_t kIdBytes = 20;   // of a build-id that are compared; the linkers make 8, 16 or 20
constexpr std::size_t kLengthAt = 23;  // byte of ModuleId that tells how many there are

struct Range {
  std::uintptr_t begin;
  std::uintptr_t end;
  [[nodiscard]] bool contains(std::uintptr_t address) const { return begin <= address && address < end; }
  bool operator==(const Range&) const = default;
};

struct Module {
  ModuleId id{};
  bool is_program = false;              // not a library: it is never unloaded
  std::uintptr_t base = 0;              // load address: what p_vaddr counts from
  std::vector<Range> code;              // executable segments
  const std::byte* build_id = nullptr;  // in the module's memory; null: id is a hash
  std::size_t build_id_size = 0;
  Range mapped{~std::uintptr_t{0}, 0};  // from the first segment to the end of the last

  bool operator==(const Module&) const = default;
};

using Modules = std::vector<Module>;

// Readers hold no claim on the list they look at, so a replaced one is kept: a few hundred bytes for each
// time that the program has loaded or unloaded a module between two uses of callables.
struct Known {
  Modules modules;
  const Known* replaced = nullptr;
};

std::size_t align4(std::size_t n) { return (n + 3) & ~std::size_t{3}; }

// The build-id among the notes of one PT_NOTE segment: name "GNU", type NT_GNU_BUILD_ID.
void find_build_id(const std::byte* notes, std::size_t size, Module& module) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes, sizeof header);
    const std::size_t name_at = sizeof header;
    const std::size_t value_at = name_at + align4(header.n_namesz);
    const std::size_t next = value_at + align4(header.n_descsz);
    if (next > size || next < value_at) return;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 && std::memcmp(notes + name_at, "GNU", 4) == 0 &&
        header.n_descsz != 0) {
      module.build_id = notes + value_at;
      module.build_id_size = header.n_descsz < kIdBytes ? header.n_descsz : kIdBytes;
      std::memcpy(module.id.data(), module.build_id, module.build_id_size);
      module.id[kLengthAt] = static_cast<std::byte>(module.build_id_size);
      return;
    }
    notes += next;
    size -= next;
  }
}

// FNV-1a: for the identity of a module that was linked without a build-id.
class Hash {
 public:
  void add(const void* data, std::size_t size) {
    for (const auto* at = static_cast<const unsigned char*>(data); size != 0; ++at, --size) {
      value_ = (value_ ^ *at) * 0x100000001b3ULL;
    }
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

// Path and segments.  Two builds at one path whose segments agree in every size are not told apart.
void identify_by_hash(const dl_phdr_info& info, Module& module) {
  Hash hash;
  hash.add(info.dlpi_name, std::strlen(info.dlpi_name));
  hash.add(info.dlpi_phdr, info.dlpi_phnum * sizeof(ElfW(Phdr)));
  const std::uint64_t value = hash.value();
  std::memcpy(module.id.data(), &value, sizeof value);
}

Module describe(const dl_phdr_info& info) {
  Module module;
  module.base = info.dlpi_addr;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    const std::uintptr_t begin = module.base + segment.p_vaddr;
    const std::uintptr_t end = begin + segment.p_memsz;
    if (segment.p_type == PT_LOAD) {
      if ((segment.p_flags & PF_X) != 0) module.code.push_back({begin, end});
      if (begin < module.mapped.begin) module.mapped.begin = begin;
      if (end > module.mapped.end) module.mapped.end = end;
    } else if (segment.p_type == PT_NOTE && module.build_id == nullptr) {
      find_build_id(reinterpret_cast<const std::byte*>(begin), segment.p_memsz, module);
    }
  }
  if (module.build_id == nullptr) identify_by_hash(info, module);
  return module;
}

int append_module(dl_phdr_info* info, std::size_t /*size*/, void* modules) {
  try {
    auto& list = *static_cast<Modules*>(modules);
    list.push_back(describe(*info));
    list.back().is_program = list.size() == 1;  // the loader begins with it
    return 0;
  } catch (const std::bad_alloc&) {
    return -1;  // no exception may pass through the loader's C frames
  }
}

std::atomic<const Known*> published{nullptr};

const Known* known() {
  return published.load(std::memory_order_acquire);  // sync(modules-published): pairs with learn()
}

// The modules that are loaded now: the list known already where nothing has changed, so that asking for what
// is not there, however often, costs no memory.
const Known* learn() {
  auto fresh = std::make_unique<Known>();
  if (dl_iterate_phdr(append_module, &fresh->modules) != 0) throw std::bad_alloc();
  fresh->replaced = known();
  do {
    if (fresh->replaced != nullptr && fresh->replaced->modules == fresh->modules) return fresh->replaced;
  } while (!published.compare_exchange_weak(fresh->replaced, fresh.get(), std::memory_order_acq_rel,
                                            std::memory_order_acquire));  // sync(modules-published)
  return fresh.release();
}

// Is the module that the entry describes still there?  _dl_find_object takes no lock, and knows nothing in a static
// program.
bool is_loaded(const Module& module) {
  if (module.is_program) return true;
  if (module.code.empty()) return false;
  dl_find_object found{};
  if (_dl_find_object(reinterpret_cast<void*>(module.code.front().begin), &found) != 0) return false;
  if (reinterpret_cast<std::uintptr_t>(found.dlfo_map_end) < module.mapped.end) return false;
  return module.build_id == nullptr || std::memcmp(module.build_id, module.id.data(), module.build_id_size) == 0;
}

bool has_code_at(const Module& module, std::uintptr_t address) {
  for (const Range& range : module.code) {
    if (range.contains(address)) return true;
  }
  return false;
}

// The module for which matches(module) is true and which is still loaded, if need be after one look for new
// ones.
template <class Matches>
const Module* find_module(const Matches& matches) {
  const auto search = [&matches](const Known* list) -> const Module* {
    if (list == nullptr) return nullptr;
    for (const Module& module : list->modules) {
      if (matches(module) && is_loaded(module)) return &module;
    }
    return nullptr;
  };
  const Module* const found = search(known());
  return found != nullptr ? found : search(learn());
}

}  // namespace

void learn_modules() { learn(); }

Token token_of(const void* code) {
  const auto address = reinterpret_cast<std::uintptr_t>(code);
  const Module* const module = find_module([address](const Module& m) { return has_code_at(m, address); });
  if (module == nullptr) {
    throw NotSendable(
        "this function cannot be sent to another process: it lies in no loaded module (is it a null pointer, "
        "or "
        "code made at run time?)");
  }
  return {module->id, address - module->base};
}

const void* code_of(const Token& token) {
  const Module* const module = find_module([&token](const Module& m) { return m.id == token.module; });
  if (module == nullptr) {
    throw NotSendable(
        "a function was sent that lies in a module which this process has not loaded (a shared library "
        "opened after "
        "this process was started, or another build of the program)");
  }
  const std::uintptr_t address = module->base + token.offset;
  if (!has_code_at(*module, address)) {
    throw NotSendable("a function was sent whose address lies outside of its module's code");
  }
  return reinterpret_cast<const void*>(address);
}

}  // namespace multiprocessing::codec
