// TlsOptions: certificates for connections over a network (listener.hpp).
//
//   mp::Listener listener({.address = "tcp://10.0.0.7:5000", .authkey = key,
//                          .tls = {.certificate = "server.pem", .private_key = "server.key"}});
//   mp::Connection c = mp::Client("tcp://10.0.0.7:5000", key, {.tls = {.authority = "ca.pem"}});
//
// Nothing here is needed: without certificates TLS 1.3 runs on a secret that both sides make of the authkey.  With them
// the authkey is asked for as well.  The files are in PEM format and are read when the Listener or Client is made.
#pragma once

#include <string>

#include "multiprocessing/detail/language.hpp"

#pragma GCC visibility push(default)

namespace multiprocessing {

struct TlsOptions {
  std::string certificate{};  // this side's, and those that lead to its authority behind it
  std::string private_key{};
  std::string authority{};  // who must have signed the other side's; a listener that has one asks clients for theirs

  [[nodiscard]] bool empty() const noexcept { return certificate.empty() && private_key.empty() && authority.empty(); }
};

}  // namespace multiprocessing

#pragma GCC visibility pop
