// An ELF file on disk: its build-id, and which function is where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace multiprocessing::crash {

class ElfFile {
 public:
  explicit ElfFile(const std::string& path);  // what is no regular ELF file has nothing in it
  ~ElfFile();
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  [[nodiscard]] std::string build_id() const;  // "": none
  // The name, as the linker knows it, of the function at an offset from the load address; "": not known.
  [[nodiscard]] std::string function_at(std::uint64_t offset) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace multiprocessing::crash
