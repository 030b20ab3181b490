// Block: named memory as one process has it; and what is done with names.
//
// Whose it is.  The *program* of a block is the process that created it, those that were forked from it, and those to which
// it came as a handle from one of them.  Each of these has the entry's file open and locked (shared), and the memory's
// descriptor: they keep the name, until unlink() or their end.  Who attaches by name is a guest: it has the mapping and
// nothing else, and nobody waits for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "os/files.hpp"
#include "shared_memory/directory.hpp"

namespace multiprocessing::shared_memory {

class Block {
 public:
  struct Identity {
    std::string name;
    std::string directory;
    std::uint64_t id = 0;  // of the block, which no other has: its name may be another one's later
    bool is_persistent = false;
    bool is_ours = false;  // this process is of its program
  };
  // Takes over the mapping: of the memory, or of all of a persistent block's file.
  Block(Identity identity, std::span<std::byte> mapping) noexcept;
  ~Block() { close(); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  [[nodiscard]] const Identity& identity() const noexcept { return identity_; }
  [[nodiscard]] const std::string& name() const noexcept { return identity_.name; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::byte* memory() const noexcept { return memory_.load(std::memory_order_acquire); }  // null: closed

  // Once, before others have it: this process keeps the name now.
  void become_ours() noexcept { identity_.is_ours = true; }

  void close() noexcept;
  // Throws OsError(ENOENT) where it has no name any more, and std::logic_error for a guest.
  void unlink() const;

 private:
  Identity identity_;
  std::size_t size_;
  std::atomic<std::byte*> memory_;
};

struct Creation {
  std::string name;  // empty: a random one
  std::size_t size = 0;
  bool persist = false;
  // Fills the memory, which is zeros, before anybody can find it.  None: zeros it is.
  std::function<void(std::span<std::byte>)> fill = {};
};

// Throw OsError: EEXIST, ENOENT, ENOMEM, ENOSPC …; std::invalid_argument for a name that can be none.
[[nodiscard]] std::shared_ptr<Block> create(Creation creation);
[[nodiscard]] std::shared_ptr<Block> attach(const std::string& name);
// The very block that another process has sent: no other that has its name now.
[[nodiscard]] std::shared_ptr<Block> adopt(const Block::Identity& sent);

void require_name(const std::string& name);

}  // namespace multiprocessing::shared_memory
