#include "crash/stack_text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <string_view>

#include "crash/symbols.hpp"

namespace multiprocessing::crash {
namespace {

constexpr std::array throwing = {"__cxa_throw", "__cxa_rethrow", "_Unwind_RaiseException", "_Unwind_Resume_or_Rethrow",
                                 "multiprocessing_traced_personality"};
constexpr std::string_view rethrowing = "std::rethrow_exception(";

bool throws(const Symbol& symbol) {
  return std::ranges::find(throwing, symbol.function) != throwing.end() || symbol.function.starts_with(rethrowing);
}

// "void ns::f<int>(…)" → "ns::f<int>(…)": templates carry their result type.
bool calls_the_task(const Symbol& symbol) {
  std::string_view name = symbol.function;
  for (const std::string_view result : {"void ", "auto ", "decltype(auto) ", "constexpr "}) {
    if (name.starts_with(result)) name.remove_prefix(result.size());
  }
  constexpr std::string_view ours[] = {
      "multiprocessing::pool::",   "multiprocessing::codec::",      "multiprocessing::crash::",
      "multiprocessing::detail::", "multiprocessing::Process::run", "multiprocessing::process_::"};
  constexpr std::string_view standard[] = {
      "std::__invoke",          "std::invoke",    "std::apply",   "std::__apply_impl",
      "std::_Function_handler", "std::function<", "std::thread::"};
  constexpr std::string_view thread_start[] = {"start_thread", "clone3", "clone", "__clone"};
  if (std::ranges::find(thread_start, name) != std::end(thread_start)) return true;
  if (name.empty() && symbol.module.find("/libstdc++.") != std::string::npos) return true;
  const auto begins = [&](std::string_view prefix) { return name.starts_with(prefix); };
  // An invoker's result type may be anything: found by its name inside.
  return std::ranges::any_of(ours, begins) || std::ranges::any_of(standard, begins) ||
         (name.find(" std::__invoke") != name.npos && name.find('(') > name.find(" std::__invoke"));
}

// Without what has thrown at one end and what has called the task at the other; all, if nothing would be left.
std::span<const Symbol> own_frames(const std::vector<Symbol>& symbols) {
  std::size_t first = 0;
  for (std::size_t i = 0; i < symbols.size() && i < 16; ++i) {
    if (throws(symbols[i])) first = i + 1;
  }
  std::size_t end = symbols.size();
  while (end > first && calls_the_task(symbols[end - 1])) --end;
  const std::span<const Symbol> all(symbols);
  return first == end ? all : all.subspan(first, end - first);
}

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

// Names came from files, and from a process that had gone wrong.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string line_of(const Symbol& symbol) {
  const std::string module = symbol.module.substr(symbol.module.rfind('/') + 1);
  const std::string place = module.empty() ? "the program" : module;
  if (!symbol.file.empty()) {
    return (symbol.function.empty() ? "??" : symbol.function) + " at " + symbol.file + ":" +
           std::to_string(symbol.line);
  }
  return (symbol.function.empty() ? "??" : symbol.function) + " in " + place + "+" + hex(symbol.offset);
}

bool is_of_the_system(const Symbol& symbol) {
  for (const std::string_view folder : {"/lib/", "/lib64/", "/usr/lib/"}) {
    if (symbol.module.starts_with(folder)) return true;
  }
  return false;
}

std::string top_of(std::span<const Symbol> symbols) {
  const auto own = [](const Symbol& s) { return !s.function.empty() && !is_of_the_system(s); };
  const auto found = std::ranges::find_if(symbols, own);
  if (found == symbols.end()) return {};
  return printable(found->function +
                   (found->file.empty() ? "" : " (" + found->file + ":" + std::to_string(found->line) + ")"));
}

}  // namespace

StackText text_of(const Trace& trace) {
  const std::vector<Symbol> symbols = symbols_of(trace);
  const std::span<const Symbol> own = own_frames(symbols);
  StackText text{.all = {}, .top = top_of(own)};
  std::string last;
  int repeated = 0;
  const auto end_repetition = [&] {
    if (repeated != 0) text.all += "\n(" + std::to_string(repeated) + " more)";
    repeated = 0;
  };
  for (std::size_t i = 0; i < own.size(); ++i) {
    std::string line = printable(line_of(own[i]));
    if (line == last) {
      ++repeated;
      continue;
    }
    end_repetition();
    text.all += (text.all.empty() ? "#" : "\n#") + std::to_string(i) + " " + line;
    last = std::move(line);
  }
  end_repetition();
  return text;
}

}  // namespace multiprocessing::crash
