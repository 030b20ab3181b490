// The file of multiprocessing/trace.hpp: events in the JSON array format of Chrome's trace viewer, a line each.
//
//   [
//   {"name":"process_name","ph":"M","pid":4711,"tid":4711,"args":{"start_ticks":1234,"name":"MainProcess"}}
//   ,{"name":"parse", … }
//   ,{"name":"parse", … }
//   ]
//
// Every process of the family keeps its events in memory for a while and then puts them all where the last line with
// the bracket is, by one write that ends with a new such line.  It holds the file's lock meanwhile (of fcntl: it goes with
// its process, and no fork inherits it).  Between writes it has no descriptor: there is none to be closed or mistaken.
//
//  killed …                        what the file is           who mends it
//  before the write                valid JSON                 nobody has to: the events of the last second are lost
//  in the middle of the write      ends within a line, or     the next writer, which puts its lines behind the last that
//                                  without the bracket        is whole.  Where none comes: the viewers open that too
//  after it                        valid JSON
//
// The first line names the process that began the file.  A process that comes upon a file whose beginner still lives is
// of its family, and adds to it; else it begins anew.
//
// A writer that was stopped while it has the lock: others wait 1 s and then give up what they have to write.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace multiprocessing::process_ {

// One event; times are of the steady clock, which all processes of a machine share.
class TraceEvent {
 public:
  // `phase`: of the format: X complete, i instant, M metadata.
  TraceEvent(std::string_view name, char phase, pid_t pid, std::uint32_t tid);
  TraceEvent& at(std::uint64_t ns);
  TraceEvent& lasting(std::uint64_t ns);
  TraceEvent& arg(std::string_view key, std::string_view text);
  TraceEvent& arg(std::string_view key, std::int64_t number);
  [[nodiscard]] std::string json() &&;

 private:
  void next_arg(std::string_view key);
  std::string json_;
  bool has_args_ = false;
};

class Trace {
 public:
  // Of this process; null: nothing is traced.
  [[nodiscard]] static Trace* current() noexcept;
  // What a process that is no copy of this one is told; empty: nothing is traced.
  [[nodiscard]] static std::string current_path();
  // There, before anything is traced: the file is its parent's and not that of the environment.
  static void inherit(const std::string& path);
  // For the end of a process: writes what it has, if it has anything.
  static void flush_current() noexcept;
  // Throws OsError.
  static void begin(const std::string& path);

  void add(TraceEvent&& event) noexcept;
  void name_process(pid_t pid, std::string_view name) noexcept;
  void flush() noexcept;
  void flush_if_due() noexcept;

  [[nodiscard]] static std::uint64_t now() noexcept;

 private:
  Trace(std::string path, const Trace* replaced);
  static Trace* make(Trace* inherited);
  static Trace* continue_with(const std::string& path, Trace* replaced);
  [[nodiscard]] int begin_file() const noexcept;
  [[nodiscard]] bool write_out(std::string& lines) const noexcept;

  const std::string path_;  // absolute
  const Trace* const replaced_;
  const pid_t pid_;
  std::atomic<std::uint64_t> oldest_ns_{0};  // of the events not written; 0: none
  std::mutex file_mutex_;                    // fcntl's locks are the process's, not the thread's
  std::mutex mutex_;
  std::string lines_;
};

}  // namespace multiprocessing::process_
