#include "process/program.hpp"

#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace multiprocessing::process_ {
namespace {

// Set before main, by one thread.
constinit char** arguments = nullptr;

constexpr std::string_view preload_variable = "LD_PRELOAD";

// Its path, so that the new process has its name (and under valgrind is this program and not valgrind); a program whose
// file was replaced or removed since can still be executed by the link.
std::string program_file() {
  constexpr char link[] = "/proc/self/exe";
  constexpr std::string_view removed = " (deleted)";
  char path[PATH_MAX];
  const ssize_t length = ::readlink(link, path, sizeof path);
  if (length <= 0 || length == sizeof path) return link;
  const std::string_view found(path, static_cast<std::size_t>(length));
  if (found.size() > removed.size() && found.substr(found.size() - removed.size()) == removed) return link;
  return std::string(found);
}

struct Search {
  std::uintptr_t address;
  bool first = true;
  bool found = false;
  std::string file;
};

int look_into(dl_phdr_info* module, std::size_t /*size*/, void* argument) {
  auto& search = *static_cast<Search*>(argument);
  const bool is_program = search.first;
  search.first = false;
  for (int i = 0; i < module->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = module->dlpi_phdr[i];
    const std::uintptr_t begin = module->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || search.address < begin || search.address - begin >= segment.p_memsz) continue;
    search.found = true;
    char whole[PATH_MAX];
    if (!is_program) search.file = ::realpath(module->dlpi_name, whole) != nullptr ? whole : module->dlpi_name;
    return 1;
  }
  return 0;
}

bool names(const char* entry, std::string_view variable) {
  return std::strncmp(entry, variable.data(), variable.size()) == 0 && entry[variable.size()] == '=';
}

// The environment of this process and what the new one needs besides.
class Environment {
 public:
  Environment() {
    const std::string library = library_of(reinterpret_cast<const void*>(&execute_program));
    // Neither can stand in the variable.
    const bool preload = !library.empty() && library.find_first_of(" :") == std::string::npos;
    start_.append(start_variable).append("=").append(std::to_string(os::inherited_descriptor));
    if (preload) preload_.append(preload_variable).append("=").append(library);
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
      if (names(*entry, start_variable)) continue;
      if (!preload || !names(*entry, preload_variable)) {
        entries_.push_back(*entry);
        continue;
      }
      before_ = *entry + preload_variable.size() + 1;
      preload_.append(":").append(before_);
    }
    if (preload) {
      start_.append(",").append(before_);
      entries_.push_back(preload_.data());
    }
    entries_.push_back(start_.data());
    entries_.push_back(nullptr);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  [[nodiscard]] char* const* get() const noexcept { return entries_.data(); }

 private:
  std::string start_;
  std::string preload_;
  std::string before_;
  std::vector<char*> entries_;
};

}  // namespace

void set_program_arguments(int argc, char** argv) noexcept {
  if (argc > 0) arguments = argv;
}

std::string library_of(const void* code) {
  Search search{reinterpret_cast<std::uintptr_t>(code), true, false, {}};
  ::dl_iterate_phdr(look_into, &search);
  return search.file;
}

pid_t execute_program(int socket, os::Signals signals) {
  std::string file = program_file();
  char* only_name[] = {file.data(), nullptr};
  const Environment environment;
  char* const* const called_with = arguments != nullptr ? arguments : only_name;
  const pid_t pid = os::spawn(file.c_str(), called_with, environment.get(), socket, signals);
  if (pid < 0) base::throw_os_error("posix_spawn", file, -pid);
  return pid;
}

}  // namespace multiprocessing::process_
