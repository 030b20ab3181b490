// shared_memory: what Python's documentation says of it, sentence by sentence.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <multiprocessing/multiprocessing.hpp>
#include <optional>
#include <string>
#include <vector>

#include "conformance/start_methods.hpp"
#include "support/temporary_folder.hpp"

namespace {

namespace mp = multiprocessing;
using mp::testing::require;

// This program has a directory of names of its own, so that several can run at the same time; each test begins with none
// in it.  Set before a forkserver is started, whose environment is the one of then.
struct DirectoryOfNames {
  DirectoryOfNames() {
    if (::getenv("MULTIPROCESSING_RUNTIME_DIR") != nullptr) return;  // a process that one of the tests has started
    ::setenv("MULTIPROCESSING_RUNTIME_DIR", folder.emplace().path().c_str(), 1);
  }
  std::optional<mp::testing::TemporaryFolder> folder;
};
const DirectoryOfNames directory;

class NamesClaims : public mp::testing::EveryStartMethod {
 protected:
  ~NamesClaims() override {
    for (const auto& entry : std::filesystem::directory_iterator(directory.folder->path()))
      std::filesystem::remove(entry);
  }

  static int error_of_attaching(const std::string& name) {
    try {
      mp::SharedMemory({.name = name});
      return 0;
    } catch (const mp::OsError& error) {
      return error.code().value();
    }
  }
};
class SharedMemoryClaims : public NamesClaims {};
FOR_EVERY_START_METHOD(SharedMemoryClaims);
class ShareableListClaims : public NamesClaims {};
FOR_EVERY_START_METHOD(ShareableListClaims);
class SharedMemoryManagerClaims : public NamesClaims {};
FOR_EVERY_START_METHOD(SharedMemoryManagerClaims);

std::string text_in(const mp::SharedMemory& block, std::size_t bytes) {
  return {reinterpret_cast<const char*>(block.span().data()), bytes};
}
void put_text(const mp::SharedMemory& block, const std::string& text) {
  std::memcpy(block.span().data(), text.data(), text.size());
}

// --- SharedMemory -------------------------------------------------------------------------------------------------------

// The first example: two handles of one block, "Attach to an existing shared memory block".
TEST_P(SharedMemoryClaims, TheExampleOfTheDocumentation) {
  const mp::SharedMemory shm_a({.create = true, .size = 10});
  const auto buffer = shm_a.span();
  EXPECT_GE(buffer.size(), 10U);
  put_text(shm_a, "\x16\x21\x2c\x37");  // 22, 33, 44, 55
  buffer[4] = std::byte{100};
  start(
      [](std::string name) {
        const mp::SharedMemory shm_b({.name = name});
        require(text_in(shm_b, 5) == "\x16\x21\x2c\x37\x64");
        put_text(shm_b, "howdy");
        shm_b.close();
      },
      shm_a.name());
  join_all();
  EXPECT_EQ(text_in(shm_a, 5), "howdy");
  shm_a.close();
  shm_a.unlink();
}

// "Each shared memory block is assigned a unique name.  In this way, one process can create a shared memory block with a
// particular name and a different process can attach to that same shared memory block using that same name."
TEST_P(SharedMemoryClaims, AnotherProcessAttachesByTheSameName) {
  const mp::SharedMemory block({.name = "a name", .create = true, .size = 100});
  start([](std::string name) { put_text(mp::SharedMemory({.name = name}), "here"); }, block.name());
  join_all();
  EXPECT_EQ(text_in(block, 4), "here");
}

// "If None is supplied for the name, a novel name will be generated."
TEST_P(SharedMemoryClaims, WithoutANameANovelOneIsMade) {
  const mp::SharedMemory a({.create = true, .size = 1});
  const mp::SharedMemory b({.create = true, .size = 1});
  EXPECT_NE(a.name(), b.name());
  EXPECT_FALSE(a.name().empty());
}

// "create controls whether a new shared memory block is created (True) or an existing shared memory block is attached
// (False)": FileExistsError and FileNotFoundError otherwise.
TEST_P(SharedMemoryClaims, CreateNeedsANewNameAndAttachAnExistingOne) {
  EXPECT_EQ(error_of_attaching("n"), ENOENT);
  const mp::SharedMemory block({.name = "n", .create = true, .size = 1});
  start(
      [](int) {
        try {
          mp::SharedMemory({.name = "n", .create = true, .size = 1});
          require(false);
        } catch (const mp::OsError& error) {
          require(error.code().value() == EEXIST);
        }
      },
      0);
  join_all();
}

// "When attaching to an existing shared memory block, the size parameter is ignored."  "size may be larger than requested":
// here it is exact.
TEST_P(SharedMemoryClaims, WhoAttachesHasItsSizeWhateverSizeItAskedFor) {
  const mp::SharedMemory block({.name = "n", .create = true, .size = 12'345});
  start([](int) { require(mp::SharedMemory({.name = "n", .size = 7}).size() == 12'345); }, 0);
  join_all();
}

// "size: must be a positive number different from zero" (ValueError).
TEST_P(SharedMemoryClaims, ASizeOfZeroIsAnInvalidArgument) {
  EXPECT_THROW(mp::SharedMemory({.name = "n", .create = true, .size = 0}), std::invalid_argument);
}

// "close(): Close the file descriptor/handle to the shared memory from this instance. … may or may not be freed even if all
// open handles have been closed": here it never is before unlink() or the program's end.
TEST_P(SharedMemoryClaims, CloseEndsAccessHereAndNotElsewhere) {
  const mp::SharedMemory block({.name = "n", .create = true, .size = 100});
  put_text(block, "kept");
  block.close();
  EXPECT_THROW(static_cast<void>(block.span()), std::logic_error);
  start([](int) { require(text_in(mp::SharedMemory({.name = "n"}), 4) == "kept"); }, 0);
  join_all();
}

// "unlink(): Delete the underlying shared memory block.  This should be called only once per shared memory block regardless
// of the number of handles to it … may be called in any order"
TEST_P(SharedMemoryClaims, UnlinkAndCloseMayComeInAnyOrder) {
  const mp::SharedMemory a({.name = "a", .create = true, .size = 10});
  a.unlink();
  put_text(
      a,
      "there");  // "a shared memory block may not be accessed after unlink" there; here it is the user's till close()
  EXPECT_EQ(text_in(a, 5), "there");
  a.close();
  const mp::SharedMemory b({.name = "b", .create = true, .size = 10});
  b.close();
  b.unlink();
  EXPECT_EQ(error_of_attaching("a"), ENOENT);
  EXPECT_EQ(error_of_attaching("b"), ENOENT);
}

// Python's resource tracker unlinks what a process has only attached to when that process ends (bpo-38119).  Not here.
TEST_P(SharedMemoryClaims, TheEndOfWhoOnlyAttachedUnlinksNothing) {
  const mp::SharedMemory block({.name = "n", .create = true, .size = 1});
  for (int i = 0; i < 3; ++i) {
    start([](int) { mp::SharedMemory({.name = "n"}).close(); }, 0);
    join_all();
    EXPECT_EQ(error_of_attaching("n"), 0);
  }
  mp::Process& killed = start(
      [](mp::Event attached) {
        const mp::SharedMemory guest({.name = "n"});
        attached.set();
        for (;;) ::pause();
      },
      mp::Event());
  kill(killed);
  EXPECT_EQ(error_of_attaching("n"), 0);
}

// A SharedMemory is pickled by its name.
TEST_P(SharedMemoryClaims, ItIsAnArgumentOfAProcessAndAnItemOfAQueue) {
  const mp::SharedMemory block({.create = true, .size = 100});
  const mp::SharedMemory another({.create = true, .size = 100});
  const mp::Queue<mp::SharedMemory> there;
  const mp::Queue<mp::SharedMemory> back;
  const mp::Event received;
  there.put(another);
  start(
      [](mp::SharedMemory argument, mp::Queue<mp::SharedMemory> in, mp::Queue<mp::SharedMemory> out, mp::Event taken) {
        put_text(argument, "argument");
        put_text(in.get(), "by queue");
        const mp::SharedMemory made({.create = true, .size = 50});
        put_text(made, "made here");
        out.put(made);
        taken.wait();
      },
      block, there, back, received);
  const mp::SharedMemory made = back.get();
  received.set();
  join_all();
  EXPECT_EQ(text_in(block, 8), "argument");
  EXPECT_EQ(text_in(another, 8), "by queue");
  EXPECT_EQ(text_in(made, 9), "made here");       // though the process that made it has ended …
  EXPECT_EQ(error_of_attaching(made.name()), 0);  // … it is of this program
}

TEST_P(SharedMemoryClaims, TasksOfAPoolTakeAndReturnBlocks) {
  auto pool = mp::get_context(GetParam()).pool(2);
  const mp::SharedMemory block({.create = true, .size = 100});
  const auto made = pool.apply(
      [](mp::SharedMemory argument, std::size_t size) {
        put_text(argument, "task");
        mp::SharedMemory result({.create = true, .size = size});
        put_text(result, "result");
        return result;
      },
      block, std::size_t{50});
  EXPECT_EQ(text_in(block, 4), "task");
  EXPECT_EQ(text_in(made, 6), "result");
}

// The supervisor of a forked pool is of the program, and the last of it when the program is killed.
TEST_P(SharedMemoryClaims, NoEntryIsLeftOfAKilledProgramThatHasAPool) {
  const mp::Event ready;
  mp::Process& program = start(
      [](mp::Event made) {
        const mp::SharedMemory block({.name = "frames", .create = true, .size = 1});
        auto pool = mp::get_context(mp::StartMethod::fork).pool(2);
        require(pool.apply([](int n) { return n + 1; }, 1) == 2);
        made.set();
        for (;;) ::pause();
      },
      ready);
  ready.wait();
  EXPECT_EQ(error_of_attaching("frames"), 0);
  ::kill(*program.pid(), SIGKILL);  // it alone
  mp::testing::until([] { return std::filesystem::is_empty(directory.folder->path()); });
  kill(program);
}

// --- ShareableList --------------------------------------------------------------------------------------------------------

// "This example demonstrates basic use of a ShareableList instance".
TEST_P(ShareableListClaims, TheExampleOfTheDocumentation) {
  const std::vector<std::byte> bytes(5, std::byte{'H'});
  const mp::ShareableList a{"howdy", bytes, -273.154, 100, nullptr, true, 42};
  EXPECT_EQ(a.get<double>(2), -273.154);
  a.set(2, -78.5);
  EXPECT_EQ(a.get<double>(2), -78.5);
  a.set(2, "dry ice");  // "Changing data types is supported as well"
  EXPECT_EQ(a.get<std::string>(2), "dry ice");
  EXPECT_THROW(a.set(2, "larger than previously allocated storage space"), std::invalid_argument);
  EXPECT_EQ(a.get<std::string>(2), "dry ice");
  EXPECT_EQ(a.size(), 7U);
  EXPECT_EQ(a.index(42), 6U);
  EXPECT_EQ(a.count("howdy"), 1U);
  a.shm().close();
  a.shm().unlink();
}

// "The following example demonstrates how one, two, or many processes may access the same ShareableList by supplying the
// name of the shared memory block behind it."
TEST_P(ShareableListClaims, ManyProcessesAccessItByTheNameOfItsBlock) {
  const mp::ShareableList b(std::vector<mp::ShareableItem>{0, 1, 2, 3, 4});
  start(
      [](std::string name) {
        const mp::ShareableList c({.name = name});
        require(c.size() == 5 && c.get<int>(4) == 4);
        c.set(4, -999);
        c.shm().close();
      },
      b.shm().name());
  join_all();
  EXPECT_EQ(b.get<int>(4), -999);
}

// "ShareableList objects … can be pickled and unpickled. … deserialized objects share the same block"
TEST_P(ShareableListClaims, ItTravelsAsAHandle) {
  const mp::ShareableList list{0, 1, "text"};
  start(
      [](mp::ShareableList same) {
        require(same.get<std::string>(2) == "text");
        same.set(0, 7);
      },
      list);
  join_all();
  EXPECT_EQ(list.get<int>(0), 7);
}

// "sequence is used in populating a new ShareableList full of values.  Set to None to instead attach to an already existing
// ShareableList by its unique shared memory name."
TEST_P(ShareableListClaims, WithASequenceItIsNewAndWithoutItIsFound) {
  const mp::ShareableList fresh({1, 2}, {.name = "list"});
  EXPECT_THROW(mp::ShareableList({3}, {.name = "list"}), mp::OsError);
  EXPECT_EQ(mp::ShareableList({.name = "list"}).size(), 2U);
  EXPECT_THROW(mp::ShareableList({.name = "no list"}), mp::OsError);
}

// "count(value): Return the number of occurrences of value." "index(value): … Raise ValueError if value is not present."
TEST_P(ShareableListClaims, CountAndIndex) {
  const mp::ShareableList list{1, 2, 1};
  EXPECT_EQ(list.count(1), 2U);
  EXPECT_EQ(list.count(3), 0U);
  EXPECT_EQ(list.index(1), 0U);
  EXPECT_THROW(static_cast<void>(list.index(3)), std::invalid_argument);
}

// bpo-106939: there trailing zeros of texts and bytes are lost.  Not here.
TEST_P(ShareableListClaims, TrailingZerosOfTextsAndBytesStay) {
  const mp::ShareableList list{std::string("?\0", 2), std::vector<std::byte>{std::byte{3}, std::byte{0}, std::byte{0}}};
  EXPECT_EQ(list.get<std::string>(0), std::string("?\0", 2));
  EXPECT_EQ(list.get<std::vector<std::byte>>(1).size(), 3U);
}

// --- SharedMemoryManager ----------------------------------------------------------------------------------------------------

// "This example shows … with SharedMemoryManager() as smm: sl = smm.ShareableList(range(2000)); # Divide the work among two
// processes, storing partial results in sl"
TEST_P(SharedMemoryManagerClaims, TheExampleOfTheDocumentation) {
  std::string name;
  {
    const mp::SharedMemoryManager smm;
    std::vector<mp::ShareableItem> range;
    for (int i = 0; i < 2'000; ++i) range.emplace_back(i);
    const mp::ShareableList sl = smm.shareable_list(range);
    name = sl.name();
    const auto work = [](mp::ShareableList list, int from, int to) {
      int sum = 0;
      for (int i = from; i < to; ++i) sum += list.get<int>(static_cast<std::size_t>(i));
      list.set(static_cast<std::size_t>(from), sum);
    };
    start(work, sl, 0, 1'000);
    start(work, sl, 1'000, 2'000);
    join_all();
    EXPECT_EQ(sl.get<int>(0) + sl.get<int>(1'000), 1'999'000);
  }
  EXPECT_EQ(error_of_attaching(name), ENOENT);
}

// "When [the manager's] shutdown is called … all of the shared memory blocks … are released": those of a program that is
// killed, too.
TEST_P(SharedMemoryManagerClaims, WhatItMadeGoesWithItsProgram) {
  const mp::Queue<std::string> names;
  mp::Process& program = start(
      [](mp::Queue<std::string> out) {
        const mp::SharedMemoryManager manager;
        const mp::SharedMemory block = manager.shared_memory(100);
        out.put(block.name());
        for (;;) ::pause();
      },
      names);
  const std::string name = names.get();
  EXPECT_EQ(error_of_attaching(name), 0);
  kill(program);
  EXPECT_EQ(error_of_attaching(name), ENOENT);
}

}  // namespace
