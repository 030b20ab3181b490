// Files by name: directories, locks on files, and descriptors of other processes.  Results as in os.hpp: a descriptor, a
// count or 0; a failure is the negative errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "os/os.hpp"

namespace multiprocessing::os {

// --- directories ----------------------------------------------------------------------------------------------------
int make_directory(const char* path) noexcept;    // 0700; -EEXIST
int remove_directory(const char* path) noexcept;  // -ENOTEMPTY
int open_directory(const char* path) noexcept;    // no symbolic link
struct Owner {
  uid_t user = 0;
  mode_t permissions = 0;
};
int owner_of(int fd, Owner& owner) noexcept;

// --- files in a directory -------------------------------------------------------------------------------------------
// Each for reading and writing, CLOEXEC, at a number above the standard streams; no symbolic link, nothing that blocks.
int create_file(int directory, const char* name) noexcept;  // 0600; -EEXIST
int open_file(int directory, const char* name) noexcept;    // -EINVAL: it is no regular file
int unlink_file(int directory, const char* name) noexcept;
int rename_file(int directory, const char* from, const char* to) noexcept;  // replaces
// Calls `f` with each name but "." and "..".
int for_each_name(int directory, void (*f)(void* context, const char* name), void* context) noexcept;
int read_all(int fd, std::span<std::byte> into, std::uint64_t offset) noexcept;  // bytes there, up to as many as fit

// flock(): held by the open file, so by all forks of who opened it, until the last of them closes it or dies.
enum class FileLock { shared, exclusive };
int lock_file(int fd, FileLock how) noexcept;      // waits
int try_lock_file(int fd, FileLock how) noexcept;  // -EWOULDBLOCK
void unlock_file(int fd) noexcept;                 // for all who share the open file

// --- memory files ---------------------------------------------------------------------------------------------------
// The file has all its pages from now on: -ENOSPC, -ENOMEM here instead of SIGBUS later.
int secure_pages(int fd, std::uint64_t offset, std::uint64_t bytes) noexcept;
// What can be had without somebody being killed for it: of the machine, or of this process's control group.
std::uint64_t available_memory() noexcept;
// Its size is final; so it is a memfd.
bool is_size_sealed(int fd) noexcept;

// Opens anew, for reading and writing, what a process has under the number `fd`, if that is the file of this identity.
// -ENOENT: it is not (any more); -EACCES: nobody may look, as at a program that changes its user.
int open_of_process(pid_t pid, int fd, const FileIdentity& identity) noexcept;
// The same where neither process nor number is known: all processes are looked through.  -ENOENT: none that lets us look.
int open_of_any_process(const FileIdentity& identity, int likely_fd) noexcept;

FileIdentity identity_of_path(const char* path) noexcept;  // follows links; zeros: not there
std::uint64_t boot_identity() noexcept;                    
}  // namespace multiprocessing::os
