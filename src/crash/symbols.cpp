#include "crash/symbols.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "crash/elf_file.hpp"
#include "crash/line_table.hpp"

namespace multiprocessing::crash {
namespace {

std::string function_in_file(const Module& module, std::uint64_t offset) {
  const ElfFile file(module.path.empty() ? "/proc/self/exe" : module.path);
  if (!module.build_id.empty() && file.build_id() != module.build_id) return {};  // another one has its place by now
  return file.function_at(offset);
}

void add_symbols(std::vector<Symbol>& symbols, const Trace& trace, const Frame& frame) {
  if (frame.module >= trace.modules.size()) {
    symbols.push_back({.function = {}, .file = {}, .line = 0, .module = {}, .offset = frame.offset});
    return;
  }
  const Module& module = trace.modules[frame.module];
  std::vector<Line> lines = lines_at(module, frame.offset);
  if (lines.empty()) lines.emplace_back();
  // The linker's name is the fuller one: debug information has no parameters for a function that is not exported.
  if (std::string name = function_in_file(module, frame.offset); !name.empty()) lines.back().function = std::move(name);
  for (Line& line : lines) {
    std::string function = demangled(line.function);
    function = function.substr(0, function.find(" [clone "));  // a part that the compiler has split off
    symbols.push_back({.function = std::move(function),
                       .file = std::move(line.file),
                       .line = line.line,
                       .module = module.path,
                       .offset = frame.offset});
  }
}

}  // namespace

std::vector<Symbol> symbols_of(const Trace& trace) {
  std::vector<Symbol> symbols;
  for (const Frame& frame : trace.frames) add_symbols(symbols, trace, frame);
  return symbols;
}

std::string function_name(const void* function) {
  const auto address = reinterpret_cast<std::uint64_t>(function);
  const Trace trace = trace_of(&address, 1);
  return trace.modules.empty() ? std::string() : demangled(function_in_file(trace.modules[0], trace.frames[0].offset));
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                    std::free);
  return status == 0 ? text.get() : name;
}

}  // namespace multiprocessing::crash
