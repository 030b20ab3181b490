#include "wire/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::wire {
namespace {

[[noreturn]] void refuse(std::string_view text, const char* why) {
  throw std::invalid_argument("'" + std::string(text) + "' is no address: " + why +
                              "; one looks like unix:///path, tcp://host:port or tls://host:port");
}

os::SocketAddress local(const std::string& path) {
  os::SocketAddress address;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path) {
    throw std::invalid_argument("the path of a Unix socket has " + std::to_string(sizeof name.sun_path - 1) +
                                " bytes at the most: '" + path + "'");
  }
  std::memcpy(name.sun_path, path.data(), path.size());
  std::memcpy(&address.storage, &name, sizeof name);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

std::uint32_t ipv4_of(const os::SocketAddress& address) noexcept {
  sockaddr_in name{};
  std::memcpy(&name, &address.storage, sizeof name);
  return ntohl(name.sin_addr.s_addr);
}

constexpr std::uint32_t loopback_network = 127;

}  // namespace

Address Address::parse(std::string_view text) {
  Address address;
  const auto starts = [&](std::string_view with) { return text.substr(0, with.size()) == with; };
  if (text.find('\0') != std::string_view::npos) refuse(text, "it has a zero byte");  // abstract sockets, too
  if (text.empty() || starts("unix://")) {
    address.path = text.empty() ? "" : text.substr(7);
    if (!address.path.empty() && address.path[0] != '/') refuse(text, "a path begins with /");
    return address;
  }
  address.kind = Kind::network;
  address.always_tls = starts("tls://");
  if (!address.always_tls && !starts("tcp://")) refuse(text, "it has no scheme");
  const std::string_view rest = text.substr(6);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) refuse(text, "it has no port");
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) refuse(text, "its port is no number");
  std::string_view host = rest.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    refuse(text, "an IPv6 host stands in []");
  }
  if (host.empty()) refuse(text, "it has no host (0.0.0.0 is every interface)");
  address.host = host;
  return address;
}

std::vector<os::SocketAddress> Address::resolve(bool to_listen) const {
  if (kind == Kind::local) return {local(path)};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) throw Error("the host '" + host + "' is not found: " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, &::freeaddrinfo);
  std::vector<os::SocketAddress> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (one->ai_addrlen > sizeof(sockaddr_storage)) continue;
    os::SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.length = one->ai_addrlen;
  }
  return addresses;
}

bool is_on_this_machine(const os::SocketAddress& address) noexcept {
  switch (address.storage.ss_family) {
    case AF_UNIX:
      return true;
    case AF_INET:
      return ipv4_of(address) >> 24 == loopback_network;
    case AF_INET6: {
      sockaddr_in6 name{};
      std::memcpy(&name, &address.storage, sizeof name);
      if (IN6_IS_ADDR_V4MAPPED(&name.sin6_addr)) return name.sin6_addr.s6_addr[12] == loopback_network;
      return IN6_IS_ADDR_LOOPBACK(&name.sin6_addr);
    }
    default:
      return false;
  }
}

std::string text_of(const os::SocketAddress& address, bool always_tls) {
  if (address.storage.ss_family == AF_UNIX) {
    sockaddr_un name{};
    std::memcpy(&name, &address.storage, sizeof name);
    const std::size_t most =
        address.length > offsetof(sockaddr_un, sun_path) ? address.length - offsetof(sockaddr_un, sun_path) : 0;
    return "unix://" + std::string(name.sun_path, ::strnlen(name.sun_path, most));
  }
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getnameinfo(address.get(), address.length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "an unknown address";
  }
  const bool six = address.storage.ss_family == AF_INET6;
  return std::string(always_tls ? "tls://" : "tcp://") + (six ? "[" : "") + host + (six ? "]:" : ":") + port;
}

}  // namespace multiprocessing::wire
