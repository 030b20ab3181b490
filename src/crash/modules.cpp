#include "crash/modules.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstring>

namespace multiprocessing::crash {
namespace {

std::size_t align4(std::size_t n) { return (n + 3) & ~std::size_t{3}; }

void read_build_id(const unsigned char* notes, std::size_t size, LoadedModule& module) noexcept {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes, sizeof header);
    const std::size_t value = sizeof header + align4(header.n_namesz);
    const std::size_t next = value + align4(header.n_descsz);
    if (next > size || next < value) return;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 && std::memcmp(notes + sizeof header, "GNU", 4) == 0) {
      module.id_bytes = header.n_descsz < most_id_bytes ? header.n_descsz : most_id_bytes;
      std::memcpy(module.id, notes + value, module.id_bytes);
      return;
    }
    notes += next;
    size -= next;
  }
}

// By way of the program headers, which the first page of a module has beside the ELF header.
void find_build_id(const unsigned char* start, LoadedModule& module) noexcept {
  ElfW(Ehdr) header;
  std::memcpy(&header, start, sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(ElfW(Phdr))) return;
  if (header.e_phoff + header.e_phnum * sizeof(ElfW(Phdr)) > 4096) return;
  for (unsigned i = 0; i < header.e_phnum && module.id_bytes == 0; ++i) {
    ElfW(Phdr) segment;
    std::memcpy(&segment, start + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type != PT_NOTE) continue;
    const std::uint64_t at = module.base + segment.p_vaddr;
    if (at < module.begin || at + segment.p_memsz > module.end) continue;
    read_build_id(reinterpret_cast<const unsigned char*>(at), segment.p_memsz, module);
  }
}

}  // namespace

bool find_module(std::uint64_t address, LoadedModule& module) noexcept {
  dl_find_object found{};
  if (_dl_find_object(reinterpret_cast<void*>(address), &found) != 0 || found.dlfo_link_map == nullptr) return false;
  module.base = found.dlfo_link_map->l_addr;
  module.begin = reinterpret_cast<std::uint64_t>(found.dlfo_map_start);
  module.end = reinterpret_cast<std::uint64_t>(found.dlfo_map_end);
  module.id_bytes = 0;
  find_build_id(static_cast<const unsigned char*>(found.dlfo_map_start), module);
  const char* const name = found.dlfo_link_map->l_name;
  std::size_t length = 0;
  for (; name != nullptr && name[length] != '\0' && length < sizeof module.path - 1; ++length) {
    module.path[length] = name[length];
  }
  module.path[length] = '\0';
  return true;
}

}  // namespace multiprocessing::crash
