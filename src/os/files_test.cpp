#include "os/files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/fd.hpp"
#include "support/crash.hpp"
#include "support/temporary_folder.hpp"

namespace multiprocessing::os {
namespace {

using testing::Child;
using testing::TemporaryFolder;

class Files : public ::testing::Test {
 protected:
  const TemporaryFolder folder;
  const base::Fd directory{open_directory(folder.path().c_str())};
};

TEST_F(Files, AFileIsCreatedOnceAndOpenedOften) {
  const base::Fd file(create_file(directory.get(), "a"));
  EXPECT_TRUE(file);
  EXPECT_EQ(create_file(directory.get(), "a"), -EEXIST);
  EXPECT_EQ(identity_of(base::Fd(open_file(directory.get(), "a")).get()), identity_of(file.get()));
  EXPECT_EQ(unlink_file(directory.get(), "a"), 0);
  EXPECT_EQ(open_file(directory.get(), "a"), -ENOENT);
}

TEST_F(Files, WhatIsNoRegularFileIsNotOpened) {
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("/etc/passwd", folder / "link");
  EXPECT_EQ(open_file(directory.get(), "fifo"), -EINVAL);
  EXPECT_EQ(open_file(directory.get(), "link"), -EINVAL);
  EXPECT_EQ(open_directory((folder / "link").c_str()), -ENOTDIR);
}

TEST_F(Files, ALockIsOfTheOpenFileAndSoOfAllForks) {
  base::Fd file(create_file(directory.get(), "a"));
  ASSERT_EQ(try_lock_file(file.get(), FileLock::shared), 0);
  const base::Fd other(open_file(directory.get(), "a"));
  Child fork{Child::plain, [] {
               for (;;) ::pause();
             }};
  file.reset();
  EXPECT_EQ(try_lock_file(other.get(), FileLock::exclusive), -EWOULDBLOCK);
  fork.signal(SIGKILL);
  fork.wait();
  EXPECT_EQ(try_lock_file(other.get(), FileLock::exclusive), 0);
}

TEST_F(Files, WhatAProcessHasOpenIsOpenedByItsIdentityOnly) {
  const base::Fd memory(memfd_create("test"));
  const FileIdentity identity = identity_of(memory.get());
  const base::Fd again(open_of_process(::getpid(), memory.get(), identity));
  EXPECT_EQ(identity_of(again.get()), identity);
  EXPECT_EQ(open_of_process(::getpid(), directory.get(), identity), -ENOENT);
  EXPECT_EQ(open_of_process(::getpid(), 999, identity), -ENOENT);
  EXPECT_TRUE(base::Fd(open_of_any_process(identity, 999)));
  EXPECT_EQ(open_of_any_process({identity.device, identity.inode + 1'000'000}, memory.get()), -ENOENT);
}

TEST_F(Files, OnlyASealedMemoryFileHasAFinalSize) {
  const base::Fd memory(memfd_create("test"));
  EXPECT_FALSE(is_size_sealed(memory.get()));
  ASSERT_EQ(seal_size(memory.get()), 0);
  EXPECT_TRUE(is_size_sealed(memory.get()));
  EXPECT_FALSE(is_size_sealed(base::Fd(create_file(directory.get(), "a")).get()));
}

TEST_F(Files, SecuredPagesAreThere) {
  const base::Fd memory(memfd_create("test"));
  ASSERT_EQ(set_size(memory.get(), 100 << 20), 0);
  ASSERT_EQ(secure_pages(memory.get(), 0, 100 << 20), 0);
  struct stat status {};
  ASSERT_EQ(::fstat(memory.get(), &status), 0);
  EXPECT_GE(status.st_blocks * 512L, 100L << 20);
  EXPECT_GT(available_memory(), 0U);
}

TEST_F(Files, ADirectoryIsRemovedWhenItIsEmptyOnly) {
  const std::string sub = folder / "sub";
  ASSERT_EQ(make_directory(sub.c_str()), 0);
  EXPECT_EQ(make_directory(sub.c_str()), -EEXIST);
  const base::Fd inside(open_directory(sub.c_str()));
  Owner owner;
  ASSERT_EQ(owner_of(inside.get(), owner), 0);
  EXPECT_EQ(owner.user, ::geteuid());
  EXPECT_EQ(owner.permissions, 0700U);
  base::Fd(create_file(inside.get(), "a")).reset();
  EXPECT_EQ(remove_directory(sub.c_str()), -ENOTEMPTY);
  EXPECT_EQ(rename_file(inside.get(), "a", "b"), 0);
  EXPECT_EQ(unlink_file(inside.get(), "b"), 0);
  EXPECT_EQ(remove_directory(sub.c_str()), 0);
}

}  // namespace
}  // namespace multiprocessing::os
