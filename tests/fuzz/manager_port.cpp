// What somebody with the key may send to a manager's port: frames that are a hello, requests, or nothing of the kind.
//
// input = frames.  A frame = kind u8, length u8, bytes.  The server goes on to serve.
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "fuzz/fuzz.hpp"
#include "manager/raw_client.hpp"
#include "multiprocessing/manager.hpp"
#include "multiprocessing/manager_server.hpp"

namespace {

using namespace multiprocessing;
using namespace multiprocessing::managers;
using namespace multiprocessing::managers::testing;

// As long as the program: fuzzers end by exit().
struct Port {
  Port() {
    server = new ManagerServer({.address = "unix://", .authkey = key, .max_message = 4096});
    std::thread([this] { server->serve_forever(); }).detach();
    honest = new RemoteManager(server->address(), key);
    value = new ValueProxy<int>(honest->value<int>(0));
  }
  ManagerServer* server = nullptr;
  RemoteManager* honest = nullptr;
  ValueProxy<int>* value = nullptr;
};
Port& port() {
  static auto* const made = new Port;
  return *made;
}

fuzz::Bytes frame(Frame kind, std::span<const std::byte> content) {
  fuzz::Bytes bytes{static_cast<std::byte>(kind), static_cast<std::byte>(content.size())};
  fuzz::append(bytes, content);
  return bytes;
}
fuzz::Bytes hello(std::uint32_t version) {
  const Hello said{{}, version, 0};
  return frame(Frame::hello, std::as_bytes(std::span(&said, 1)));
}
fuzz::Bytes after_hello(const Request& request, Frame kind = Frame::request) {
  fuzz::Bytes bytes = hello(protocol_version);
  fuzz::append(bytes, frame(kind, bytes_of(request)));
  fuzz::append(bytes, frame(Frame::confirm, {}));
  return bytes;
}

}  // namespace

FUZZ_TARGET(bytes) {
  Input input(bytes);
  Port& there = port();
  RawClient raw(there.server->address(), 4096, false);
  while (!input.empty()) {
    const auto kind = static_cast<Frame>(input.byte());
    const auto length = std::min<std::size_t>(input.byte(), input.rest().size());
    fuzz::Bytes content(length);
    for (std::byte& byte : content) byte = static_cast<std::byte>(input.byte());
    raw.send(kind, content);
  }
  raw.finish();
  bool sends_whole_messages = true;
  try {
    raw.expect_cut_off();
  } catch (const Error&) {
    sends_whole_messages = false;
  }
  FUZZ_REQUIRE(sends_whole_messages);
  there.value->set(1);
  FUZZ_REQUIRE(there.value->get() == 1);
}

FUZZ_SEEDS() {
  Seeds all{hello(protocol_version), hello(0), frame(Frame::request, {}), frame(Frame::welcome, {})};
  all.push_back(after_hello({.first = static_cast<int>(Kind::list), .values = {named("list")}}));
  all.push_back(after_hello({.op = Op::find_named, .first = static_cast<int>(Kind::list), .values = {named("list")}}));
  all.push_back(after_hello({.object = 1, .op = Op::at}));
  all.push_back(after_hello({.op = Op::release, .first = 1, .second = 1}, Frame::post));
  return all;
}
