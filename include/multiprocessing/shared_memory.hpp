// SharedMemory: memory by name, between programs that need not know each other, as Python's
// multiprocessing.shared_memory.  (For processes of one program Value and Array need no name: sharedctypes.hpp.)
//
//   mp::SharedMemory block({.name = "frames", .create = true, .size = 1 << 20});   // zeros
//   block.span()[0] = std::byte{42};
//
//   mp::SharedMemory same({.name = "frames"});                                     // in any other program of this user
//   same.span()[0];                                                                // 42
//
//   mp::SharedMemoryManager manager;                                               // unlinks what it made when it goes
//   mp::SharedMemory scratch = manager.shared_memory(4096);                        // with a name of its own choice
//
// How long it lives.  The name is there until unlink(), or until the program that created it ends by any means, SIGKILL
// included; with .persist until unlink() alone, or until its directory is emptied.  The memory is there as long as anybody
// has it mapped, so nobody's memory goes away below him.  What is not persistent lies in no file system: its pages go with
// its last user, whatever kills that one, and neither the size of /dev/shm nor its being there plays a role.
//   The program is the process that created the block, those forked from it, and those that got the SharedMemory from one of
// them as an argument, a result or an item.  Another process that attached by name is a guest: the name does not wait for it, its end unlinks
// nothing, and its unlink() throws std::logic_error (not of a persistent block, which belongs to whoever can attach to it).
//   create of a name that is there throws OsError with EEXIST; what is left of a program that has ended is no obstacle.
//
// Names have 1 to 200 bytes, no '/' and no '.' in front.  They are per user: each has a directory of mode 0700,
// $MULTIPROCESSING_RUNTIME_DIR, else $XDG_RUNTIME_DIR/multiprocessing, else /tmp/multiprocessing-UID, else
// $TMPDIR/multiprocessing-UID.  Programs whose directories differ do not see each other's names.  After a SIGKILL an entry of
// 64 bytes without memory is left there until the next program uses the directory.
//
// Who may attach: processes of the same user (and root, in the same directory).  So .mode is 0600, and anything that
// would let in others is refused with std::invalid_argument instead of being taken for granted: a name that others could
// reach is one that they could take first.  A program that hides from the debuggers of its own user (PR_SET_DUMPABLE, as
// after setuid) cannot be attached to, and neither can one in a container with processes of its own: EACCES.
//
// Memory is secured at the creation, all of it: no room is an OsError (ENOMEM, ENOSPC) there, and never a SIGBUS later.
// Its size is final, for its creator too.  (A persistent block is a file; one who truncates it kills its users.)
//
// Handles: a cheap copy, all of one mapping; close() closes it for all copies in this process.  As an argument of a process,
// a task or an item it travels by its name, and is attached where it arrives; OsError with ENOENT when it was unlinked.
// A block costs the processes of its program two descriptors each, until it is unlinked, and guests none.
// Threads: all calls from any thread; the bytes are plain memory, as between threads.  Nobody may use the span of a block
// that another thread closes.  Fork: the child has the mapping; its end unlinks nothing as long as its parent lives.  What
// is unlinked after a fork is freed when the child, too, has closed it or has ended.
// Errors: OsError; std::invalid_argument for a name or a size that cannot be; std::logic_error: it is closed; Error: damage.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "multiprocessing/detail/undecoded.hpp"
#include "multiprocessing/errors.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

namespace shared_memory {
class Block;

// What a handle is on its way.
struct Sent {
  std::string name;
  std::string directory;
  std::uint64_t id = 0;
  bool is_ours = false;
};
}  // namespace shared_memory

struct SharedMemoryOptions {
  std::string name = {};  // empty, with create: a random one
  bool create = false;    // false: attach to what is there
  std::size_t size = 0;   // in bytes, with create; what attaches gets all of it
  mode_t mode = 0600;     // no other: see above
  bool persist = false;   // with create: it outlives its program
};

class SharedMemory {
 public:
  explicit SharedMemory(const SharedMemoryOptions& options);

  // Throws std::logic_error once it is closed.
  [[nodiscard]] std::span<std::byte> span() const;
  [[nodiscard]] std::size_t size() const noexcept;  // 0 where nothing was attached
  [[nodiscard]] const std::string& name() const;

  // Ends the access from this process, also by the copies of this handle; the block is there as before.
  void close() const noexcept;
  // Takes the name away; who has the memory goes on with it.  Throws OsError(ENOENT) when that has been done before.
  void unlink() const;

  // Travelling inside messages (serialize.hpp).
  explicit SharedMemory(codec::Undecoded) noexcept {}
  template <class Archive>
  void save(Archive& archive) const {
    const shared_memory::Sent sent = to_send();
    archive(sent.name, sent.directory, sent.id, sent.is_ours);
  }
  template <class Archive>
  void load(Archive& archive) {
    shared_memory::Sent sent;
    archive(sent.name, sent.directory, sent.id, sent.is_ours);
    receive(sent);
  }

 private:
  friend class ShareableList;
  explicit SharedMemory(std::shared_ptr<shared_memory::Block> block) noexcept;
  [[nodiscard]] const shared_memory::Block& block() const;
  [[nodiscard]] shared_memory::Sent to_send() const;
  void receive(const shared_memory::Sent& sent);

  std::shared_ptr<shared_memory::Block> block_;
};

}  // namespace multiprocessing

#pragma GCC visibility pop
