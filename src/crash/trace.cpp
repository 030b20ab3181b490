#include "crash/trace.hpp"

#include <algorithm>
#include <cstring>

#include "crash/modules.hpp"

namespace multiprocessing::crash {
namespace {

Module module_of(const LoadedModule& loaded) {
  const std::size_t id_bytes = std::min<std::size_t>(loaded.id_bytes, most_id_bytes);
  return {std::string(loaded.path, ::strnlen(loaded.path, sizeof loaded.path)),
          std::string(reinterpret_cast<const char*>(loaded.id), id_bytes)};
}

Frame frame_of(const RawFrame& raw, const LoadedModule* modules, std::size_t count) {
  if (raw.module >= count || raw.address < modules[raw.module].base) return {no_module, raw.address};
  return {raw.module, raw.address - modules[raw.module].base};
}

}  // namespace

Trace trace_of(const std::uint64_t* addresses, std::size_t count) {
  Trace trace;
  LoadedModule modules[most_modules];
  std::uint32_t known = 0;
  trace.frames.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const RawFrame raw{addresses[i], module_index(addresses[i], modules, known)};
    trace.frames.push_back(frame_of(raw, modules, known));
  }
  for (std::uint32_t i = 0; i < known; ++i) trace.modules.push_back(module_of(modules[i]));
  return trace;
}

std::optional<Crash> read_report(const Report& report, pid_t pid, int signal) {
  if (report.signal.load(std::memory_order_acquire) != signal) return std::nullopt;  // sync(crash-signal)
  if (report.pid != pid) return std::nullopt;
  Crash crash{.signal = signal, .code = report.code, .address = report.address, .trace = {}};
  const std::size_t frames = report.frames.load(std::memory_order_acquire);  // sync(crash-frame)
  const std::size_t modules = report.modules.load(std::memory_order_relaxed);
  if (frames > most_frames || modules > most_modules) return crash;
  for (std::size_t i = 0; i < frames; ++i) {
    crash.trace.frames.push_back(frame_of(report.frame[i], report.module, modules));
  }
  for (std::size_t i = 0; i < modules; ++i) crash.trace.modules.push_back(module_of(report.module[i]));
  return crash;
}

}  // namespace multiprocessing::crash
