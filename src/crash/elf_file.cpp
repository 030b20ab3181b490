// The file may be anything: every offset is checked against its size.  (It can still be cut short by somebody else
// while it is mapped, as any file can that a program runs from.)
#include "crash/elf_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>

#include "base/fd.hpp"

namespace multiprocessing::crash {
namespace {

struct Bytes {
  const std::byte* data;
  std::size_t size;

  template <class T>
  [[nodiscard]] std::optional<T> at(std::uint64_t offset) const {
    if (offset > size || size - offset < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, data + offset, sizeof value);
    return value;
  }
  [[nodiscard]] Bytes part(std::uint64_t offset, std::uint64_t length) const {
    if (offset > size || length > size - offset) return {data, 0};
    return {data + offset, length};
  }
  [[nodiscard]] std::string text(std::uint64_t offset) const {
    if (offset >= size) return {};
    const auto* const begin = reinterpret_cast<const char*>(data + offset);
    return {begin, ::strnlen(begin, size - offset)};
  }
};

std::uint64_t align4(std::uint64_t n) { return (n + 3) & ~std::uint64_t{3}; }

std::string build_id_in(Bytes notes) {
  for (std::uint64_t at = 0;;) {
    const auto note = notes.at<ElfW(Nhdr)>(at);
    if (!note) return {};
    const std::uint64_t value = at + sizeof *note + align4(note->n_namesz);
    if (note->n_type == NT_GNU_BUILD_ID && notes.text(at + sizeof *note) == "GNU") {
      const Bytes id = notes.part(value, note->n_descsz);
      return {reinterpret_cast<const char*>(id.data), id.size < 20 ? id.size : 20};
    }
    at = value + align4(note->n_descsz);
  }
}

std::optional<ElfW(Shdr)> section(Bytes file, const ElfW(Ehdr) & header, std::uint64_t index) {
  if (index >= header.e_shnum) return std::nullopt;
  return file.at<ElfW(Shdr)>(header.e_shoff + index * sizeof(ElfW(Shdr)));
}

// The function at the address in one symbol table.
std::string function_in(Bytes symbols, Bytes names, std::uint64_t address) {
  for (std::uint64_t at = 0;; at += sizeof(ElfW(Sym))) {
    const auto symbol = symbols.at<ElfW(Sym)>(at);
    if (!symbol) return {};
    const unsigned type = symbol->st_info & 0xfU;
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF) continue;
    if (symbol->st_value <= address && address - symbol->st_value < symbol->st_size) return names.text(symbol->st_name);
  }
}

}  // namespace

ElfFile::ElfFile(const std::string& path) {
  // A name that a damaged worker told may be that of a pipe, say: not to be waited for.
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) return;
  void* const data = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return;
  data_ = static_cast<const std::byte*>(data);
  size_ = static_cast<std::size_t>(status.st_size);
  const auto header = Bytes{data_, size_}.at<ElfW(Ehdr)>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
    ::munmap(data, size_);
    data_ = nullptr;
    size_ = 0;
  }
}

ElfFile::~ElfFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string ElfFile::build_id() const {
  const Bytes file{data_, size_};
  const auto header = file.at<ElfW(Ehdr)>(0);
  if (!header) return {};
  for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
    const auto segment = file.at<ElfW(Phdr)>(header->e_phoff + i * sizeof(ElfW(Phdr)));
    if (!segment || segment->p_type != PT_NOTE) continue;
    std::string id = build_id_in(file.part(segment->p_offset, segment->p_filesz));
    if (!id.empty()) return id;
  }
  return {};
}

std::string ElfFile::function_at(std::uint64_t offset) const {
  const Bytes file{data_, size_};
  const auto header = file.at<ElfW(Ehdr)>(0);
  if (!header) return {};
  for (const std::uint32_t table : {SHT_SYMTAB, SHT_DYNSYM}) {  // the second is left in a stripped file
    for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
      const auto symbols = section(file, *header, i);
      if (!symbols || symbols->sh_type != table) continue;
      const auto names = section(file, *header, symbols->sh_link);
      if (!names) continue;
      std::string name = function_in(file.part(symbols->sh_offset, symbols->sh_size),
                                     file.part(names->sh_offset, names->sh_size), offset);
      if (!name.empty()) return name;
    }
  }
  return {};
}

}  // namespace multiprocessing::crash
