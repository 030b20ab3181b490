// Everything that mpcopy keeps, compared with what `cp -a` and `rsync -aHAXS` keep of the same tree.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "test_mpcopy.hpp"
#include "test_tree.hpp"

namespace mpcopy {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::data_of;
using testing::Mpcopy;
using testing::tree_at;
using testing::write_file;

class MpcopyAttributes : public Mpcopy {
 protected:
  MpcopyAttributes() {
    make_tree(here_ / "s");
    if (::geteuid() != 0) return;
    ::mknod((here_ / "s/device").c_str(), S_IFCHR | 0640, makedev(1, 3));
    write_file(here_ / "s/of another", "x");
    EXPECT_EQ(::chown((here_ / "s/of another").c_str(), 1234, 4321), 0);
    EXPECT_EQ(::chmod((here_ / "s/of another").c_str(), 06751), 0);
    EXPECT_EQ(::lchown((here_ / "s/dangling").c_str(), 1234, 4321), 0);
    testing::set_mtime(here_ / "s/dangling", 1'234'567'891, 1);
  }
  // False: there is no such program.
  bool copied_by(std::vector<std::string> command) {
    command.insert(command.begin(), "/usr/bin/env");
    testing::Program program(command);
    const int code = program.wait();
    EXPECT_TRUE(code == 0 || code == 127) << program.output();
    return code == 0;
  }
  // Of directories, links and FIFOs rsync gives some the time at which it made them.
  static testing::Tree with_times_of_files_alone(testing::Tree tree) {
    for (auto& [path, description] : tree) {
      if (description.rfind("100", 0) == 0) continue;
      const std::size_t time = description.find(' ', description.find(' ') + 1);
      description.erase(time, description.find(' ', time + 1) - time);
    }
    return tree;
  }
  // user::rw- user:1234:r-- group::r-- mask::r-- other::---, as the kernel takes it.
  static std::string acl() {
    const auto entry = [](unsigned tag, unsigned permissions, std::uint32_t id) {
      std::string bytes{static_cast<char>(tag), '\0', static_cast<char>(permissions), '\0'};
      for (unsigned shift : {0U, 8U, 16U, 24U}) bytes.push_back(static_cast<char>(id >> shift));
      return bytes;
    };
    constexpr auto kNobody = static_cast<std::uint32_t>(-1);
    return std::string("\2\0\0\0", 4) + entry(0x01, 6, kNobody) + entry(0x02, 4, 1234) + entry(0x04, 4, kNobody) +
           entry(0x10, 4, kNobody) + entry(0x20, 0, kNobody);
  }
  static bool set_acl(const std::string& path, const char* which) {
    return ::setxattr(path.c_str(), which, acl().data(), acl().size(), 0) == 0;
  }
};

TEST_F(MpcopyAttributes, AreThoseThatCpKeeps) {
  if (!copied_by({"cp", "-a", here_ / "s", here_ / "cp"})) GTEST_SKIP() << "no cp here";
  EXPECT_EQ(run({"-j2", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "cp"));
  EXPECT_EQ(data_of(here_ / "t/sparse"), data_of(here_ / "cp/sparse"));
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
}

TEST_F(MpcopyAttributes, AreThoseThatRsyncKeeps) {
  if (!copied_by({"rsync", "-aHAXS", here_ / "s/", here_ / "rsync"})) GTEST_SKIP() << "no rsync here";
  EXPECT_EQ(run({"-j2", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(with_times_of_files_alone(tree_at(here_ / "t")), with_times_of_files_alone(tree_at(here_ / "rsync")));
}

TEST_F(MpcopyAttributes, OfALargeFileAreKeptWhenItGoesInPieces) {
  EXPECT_EQ(run({"-j2", "--piece-size", "1M", here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
  EXPECT_EQ(data_of(here_ / "t/sparse"), data_of(here_ / "s/sparse"));
}

TEST_F(MpcopyAttributes, IncludeAccessControlLists) {
  if (!set_acl(here_ / "s/deep/large", "system.posix_acl_access") ||
      !set_acl(here_ / "s/empty", "system.posix_acl_default")) {
    GTEST_SKIP() << "no access control lists here";
  }
  write_file(here_ / "s/empty/f", "x");
  EXPECT_EQ(run({here_ / "s", here_ / "t"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "t"), tree_at(here_ / "s"));
}

TEST_F(MpcopyAttributes, AreNotThoseOfAListThatTheTargetDirectoryGives) {
  fs::create_directory(here_ / "into");
  if (!set_acl(here_ / "into", "system.posix_acl_default")) GTEST_SKIP() << "no access control lists here";
  EXPECT_EQ(run({here_ / "s", here_ / "into"}), 0) << output_;
  EXPECT_EQ(tree_at(here_ / "into/s"), tree_at(here_ / "s"));
}

TEST_F(MpcopyAttributes, HardLinksAreKeptAcrossSources) {
  fs::create_directory(here_ / "t");
  fs::create_directory(here_ / "other");
  fs::create_hard_link(here_ / "s/f7", here_ / "other/f7");
  EXPECT_EQ(run({here_ / "s", here_ / "other", here_ / "t"}), 0) << output_;
  EXPECT_TRUE(fs::equivalent(here_ / "t/s/f7", here_ / "t/other/f7"));
  EXPECT_EQ(fs::hard_link_count(here_ / "t/other/f7"), 4U);
}

TEST_F(MpcopyAttributes, HardLinksToWhatCouldNotBeCopiedAreCopiesOfTheirOwn) {
  fs::create_directories(here_ / "a");
  write_file(here_ / "a/one", "new");
  fs::create_hard_link(here_ / "a/one", here_ / "a/two");
  fs::create_directories(here_ / "b/one");  // in the way of whichever comes first
  fs::create_directories(here_ / "b/two");
  EXPECT_EQ(run({here_ / "a/.", here_ / "b"}), 1);
  fs::remove(here_ / "b/two");
  EXPECT_EQ(run({here_ / "a/.", here_ / "b"}), 1);
  EXPECT_EQ(testing::read_file(here_ / "b/two"), "new") << output_;
}

}  // namespace
}  // namespace mpcopy
